//! Claims about leases that were lost.

use super::*;

fn kept(point: u64, acknowledged: u64, computed: bool) -> Kept {
    Kept { point, acknowledged, computed }
}

fn reclaimed<const N: usize>(known_as: &str, points: [u64; N]) -> Reclaimed {
    Reclaimed { known_as: Token::new(known_as), points: points.into() }
}

#[test]
fn a_lease_of_which_nothing_was_started_is_gone_when_it_is_lost() {
    let (mut held, token) = (holding(1, [lease("a", 0..2)]), Token::new("a"));
    assert_eq!(held.lose(&token), Loss::Gone);
    assert!(held.is_empty());
    assert_eq!(held.gone(), [token]);
}

#[test]
fn what_ran_when_the_worker_was_cut_off_runs_on_and_is_not_begun_again() {
    let (mut held, token) = (holding(2, [lease("a", 0..3)]), Token::new("a"));
    let running = held.start(1, alone).remove(0);
    held.progress(&token, 0, 0.5);
    held.acknowledge(&token, 0, 1);
    assert_eq!(held.lose(&token), Loss::Kept);
    held.progress(&token, 0, 0.75);
    held.settled(&token);
    assert_eq!(held.claim().unwrap().kept, [kept(0, 1, false)]);
    assert!(held.regain(&token, &reclaimed("b", [0])));
    assert!(!running.stop.is_raised());
    assert_eq!(started(&mut held, 9), [0; 0], "nor what was not begun");
    assert_eq!(held.running(), [(Token::new("b"), vec![(0, 0.75)])]);
    // It ends under the name that its thread knows, with the records of before.
    complete(&mut held, &running.token, 0, 2);
    held.acknowledge(&token, 0, 1);
    let outcome = Some(Outcome::Completed(v1::Completed { records: 2 }));
    let outcomes = vec![v1::Outcome { point: 0, outcome }];
    assert_eq!(held.outcomes(), Some(Sending { token: token.clone(), known_as: Token::new("b"), outcomes }));
    held.finished(&token);
    assert_eq!((held.is_empty(), held.gone()), (true, vec![token]));
}

#[test]
fn a_lease_that_is_lost_while_its_last_outcome_is_accepted_is_gone() {
    let (mut held, token) = (holding(1, [lease("a", 0..1)]), Token::new("a"));
    started(&mut held, 1);
    complete(&mut held, &token, 0, 0);
    held.outcomes().unwrap();
    assert_eq!(held.lose(&token), Loss::Kept);
    held.settled(&token);
    held.finished(&token);
    assert_eq!((held.claim(), held.is_empty(), held.gone()), (None, true, vec![token]));
}

#[test]
fn what_was_started_goes_on_and_is_asked_for_once_nothing_is_on_the_way() {
    let (mut held, token) = (holding(4, [lease("a", 0..6)]), Token::new("a"));
    let running = (0..4).flat_map(|_| held.start(1, alone)).collect::<Vec<_>>();
    // 0 has ended and its outcome is on the way, 1 is ready, 2 has ended and lacks a record, 3 runs.
    complete(&mut held, &token, 0, 0);
    held.outcomes().unwrap();
    complete(&mut held, &token, 1, 1);
    held.acknowledge(&token, 1, 1);
    complete(&mut held, &token, 2, 2);
    held.acknowledge(&token, 2, 1);
    assert_eq!((held.lose(&token), held.lose(&token)), (Loss::Kept, Loss::Known));
    assert!(!running[3].stop.is_raised() && held.running().is_empty() && held.outcomes().is_none());
    assert!(!held.wants_lease(), "it might be leased what it asks for");
    held.settled(&token);
    assert_eq!(held.claim(), None, "an outcome is on the way");
    held.came_late(&token);
    let claim = held.claim().unwrap();
    assert_eq!((claim.token, claim.known_as), (token.clone(), token.clone()));
    assert_eq!(claim.kept, [kept(2, 1, true), kept(3, 0, false), kept(1, 1, true), kept(0, 0, true)]);
    assert_eq!(held.claim(), None, "it is asked for once");

    let b = Token::new("b");
    assert!(held.regain(&token, &reclaimed("b", [0, 1, 2])));
    assert!(running[3].stop.is_raised(), "somebody else computes it");
    assert_eq!(held.running(), [(b.clone(), vec![])]);
    let sending = held.outcomes().unwrap();
    assert_eq!((sending.token, sending.known_as), (token.clone(), b.clone()));
    assert_eq!(sending.outcomes.iter().map(|of| of.point).collect::<Vec<_>>(), [1, 0]);
    held.finished(&token);
    held.acknowledge(&token, 2, 1);
    assert_eq!(held.outcomes().unwrap().outcomes.len(), 1);
    held.finished(&token);
    assert!(held.called(&b).is_none() && !held.is_empty(), "3 has still to stop");
}

#[test]
fn a_failure_is_not_asked_for() {
    let (mut held, token) = (holding(2, [lease("a", 0..2)]), Token::new("a"));
    started(&mut held, 2);
    let failed = TaskEnd::Failed { error: "e".into(), permanent: false };
    held.end(&token, 0, Ended { end: failed, reported: 0, shelf: None });
    assert_eq!(held.lose(&token), Loss::Kept);
    held.settled(&token);
    assert_eq!(held.claim().unwrap().kept, [kept(1, 0, false)]);
    assert!(held.regain(&token, &reclaimed("b", [1])));
    assert_eq!(held.outcomes(), None, "it is told of no point that it does not hold");
}

#[test]
fn what_was_leased_twice_meanwhile_is_held_once() {
    let (mut held, token) = (holding(1, [lease("a", 0..1)]), Token::new("a"));
    started(&mut held, 1);
    held.lose(&token);
    held.take(lease("b", 0..3), false);
    held.take(lease("d", 0..1), false);
    held.settled(&token);
    held.claim().unwrap();
    assert!(held.regain(&token, &reclaimed("c", [0])));
    assert_eq!(held.gone(), [Token::new("d")]);
    complete(&mut held, &token, 0, 0);
    assert_eq!(started(&mut held, 9), [1, 2]);
}

#[test]
fn the_last_points_that_wait_are_given_back_and_none_that_was_started() {
    let (mut held, token) = (holding(1, [lease("a", 0..4)]), Token::new("a"));
    started(&mut held, 1);
    assert_eq!(held.cede(&token, 2), [2, 3]);
    assert_eq!(held.cede(&token, 2), [1]);
    assert_eq!(held.cede(&token, 2), [0; 0]);
    let mut idle = holding(1, [lease("b", 0..2)]);
    assert_eq!(idle.cede(&Token::new("b"), 9), [0, 1]);
    assert!(idle.is_empty());
    assert_eq!(points(&idle.start(1, alone)), [0; 0]);
}

#[test]
fn a_worker_that_leaves_keeps_nothing_of_what_it_lost() {
    let (mut held, token) = (holding(1, [lease("a", 0..1)]), Token::new("a"));
    let running = held.start(1, alone);
    held.lose(&token);
    held.leave();
    assert!(running[0].stop.is_raised());
    assert_eq!((held.claim(), held.give_back()), (None, None));
    assert!(!held.regain(&token, &reclaimed("b", [0])), "what comes of the question is given back");
    assert_eq!(held.gone(), [token]);
}
