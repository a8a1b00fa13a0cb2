//! Claims about what a worker holds.

mod lost;

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// The smallest task there is, with so many training steps.
fn task(steps: u64) -> TaskConfig {
    let json = format!(
        r#"{{
            "data": {{"kind": "gaussian", "samples": 4, "whiten": false}},
            "model": {{"kind": "deep_linear", "widths": [1, 1], "rank": 1, "init": "teacher"}},
            "train": {{"optimizer": "sgd", "learning_rate": 0.0, "weight_decay": 0.0, "momentum": 0.0,
                      "batch_size": "full", "steps": {steps}, "loss": "mse"}},
            "checkpoints": [0],
            "seed": 0
        }}"#
    );
    TaskConfig::from_json(&json).unwrap()
}

fn lease(token: &str, points: Range<u64>) -> Leased {
    mixed(token, points, |_| 0)
}

/// A lease whose points train for a number of steps.
pub(in crate::runner) fn mixed(token: &str, points: Range<u64>, steps: impl Fn(u64) -> u64) -> Leased {
    let tasks = points.map(|point| (point, Ok(task(steps(point))))).collect();
    Leased { token: Token::new(token), sweep: "s".into(), tasks }
}

fn alone(_: &[TaskConfig]) -> usize {
    1
}

/// Tasks stack that train for equally many steps.
fn equal(tasks: &[TaskConfig]) -> usize {
    tasks.iter().take_while(|task| task.train.steps == tasks[0].train.steps).count()
}

fn holding(slots: usize, leases: impl IntoIterator<Item = Leased>) -> Held {
    let mut held = Held::new(slots);
    leases.into_iter().for_each(|lease| held.take(lease, false));
    held
}

fn points(assignments: &[Assignment]) -> Vec<u64> {
    assignments.iter().map(|assignment| assignment.point).collect()
}

/// Starts single points while there are any, at most `threads` of them.
fn started(held: &mut Held, threads: usize) -> Vec<u64> {
    (0..threads).flat_map(|_| points(&held.start(1, alone))).collect()
}

fn ended(end: TaskEnd, reported: u64) -> Ended {
    Ended { end, reported, shelf: None }
}

/// Ends a point whose ensemble it was.
fn complete(held: &mut Held, token: &Token, point: u64, reported: u64) {
    held.end(token, point, ended(TaskEnd::Completed, reported));
    held.free();
}

fn stop(held: &mut Held, token: &Token, point: u64) {
    held.end(token, point, ended(TaskEnd::Stopped, 0));
    held.free();
}

fn sent(held: &mut Held) -> Option<Vec<u64>> {
    held.outcomes().map(|sending| sending.outcomes.iter().map(|outcome| outcome.point).collect())
}

#[test]
fn points_start_in_the_order_of_leases_and_points() {
    let mut held = holding(2, [lease("a", 0..3), lease("b", 10..12)]);
    assert_eq!(started(&mut held, 2), [0, 1]);
    complete(&mut held, &Token::new("a"), 1, 0);
    assert_eq!(started(&mut held, 9), [2, 10, 11]);
}

#[test]
fn an_ensemble_takes_what_stacks_up_to_its_width_across_leases() {
    let mut held = holding(8, [mixed("a", 0..3, |_| 1), mixed("b", 10..14, |point| if point < 12 { 1 } else { 2 })]);
    let first = held.start(4, equal);
    assert_eq!(points(&first), [0, 1, 2, 10]);
    assert_eq!((first[2].token.clone(), first[3].token.clone()), (Token::new("a"), Token::new("b")));
    assert_eq!(points(&held.start(4, equal)), [11]);
    assert_eq!(points(&held.start(4, equal)), [12, 13]);
    assert!(held.start(4, equal).is_empty());
}

#[test]
fn only_the_head_of_the_queue_joins_a_running_ensemble_and_only_if_it_stacks() {
    let mut held = holding(8, [mixed("a", 0..3, |_| 1), mixed("b", 10..12, |point| point)]);
    assert_eq!(points(&held.start(1, equal)), [0]);
    assert_eq!(points(&held.join(0, &task(1), equal)), [0; 0], "no room");
    assert_eq!(points(&held.join(1, &task(1), equal)), [1]);
    assert_eq!(points(&held.join(9, &task(1), equal)), [2]);
    assert_eq!(points(&held.join(9, &task(11), equal)), [0; 0], "11 would overtake 10");
    assert_eq!(points(&held.join(9, &task(10), equal)), [10]);
    assert_eq!(
        held.running(),
        [(Token::new("a"), vec![(0, 0.0), (1, 0.0), (2, 0.0)]), (Token::new("b"), vec![(10, 0.0)])]
    );
}

#[test]
fn points_wait_while_their_snapshots_are_looked_for_and_start_from_them() {
    let (mut held, token) = (holding(4, []), Token::new("a"));
    held.take(lease("a", 0..2), true);
    held.take(lease("b", 5..6), false);
    assert!(held.start(4, equal).is_empty(), "later leases do not overtake");
    assert_eq!(held.running().len(), 2, "a heartbeat names the lease");
    let snapshot = v1::Snapshot { digest: "d".into(), step: 3, ..Default::default() };
    held.found(&token, vec![(1, snapshot.clone())]);
    let snapshots: Vec<_> = held.start(4, equal).into_iter().map(|of| (of.point, of.start.snapshot)).collect();
    assert_eq!(snapshots, [(0, None), (1, Some(snapshot)), (5, None)]);
    held.found(&Token::new("gone"), vec![]);
}

#[test]
fn the_next_lease_is_wanted_while_fewer_points_wait_than_there_are_slots() {
    let mut held = holding(2, []);
    assert!(held.wants_lease());
    held.take(lease("a", 0..3), false);
    assert!(!held.wants_lease());
    started(&mut held, 2);
    assert!(held.wants_lease());
}

#[test]
fn no_lease_is_wanted_while_too_many_outcomes_are_not_acknowledged() {
    let (bound, token) = (4 + UNACKNOWLEDGED as u64, Token::new("a"));
    let mut held = holding(1, [lease("a", 0..bound + 1)]);
    for point in 0..=bound {
        assert_eq!(started(&mut held, 1), [point]);
        complete(&mut held, &token, point, 0);
    }
    assert!(!held.wants_lease());
    assert_eq!(sent(&mut held).map(|points| points.len() as u64), Some(bound + 1));
    assert!(!held.wants_lease(), "they are on the way");
    held.finished(&token);
    assert!(held.wants_lease());
}

#[test]
fn an_outcome_waits_until_all_its_records_are_durable() {
    let (mut held, token) = (holding(1, [lease("a", 0..1)]), Token::new("a"));
    started(&mut held, 1);
    held.acknowledge(&token, 0, 1);
    complete(&mut held, &token, 0, 2);
    assert_eq!(held.outcomes(), None);
    held.acknowledge(&token, 0, 1);
    let outcome = Outcome::Completed(v1::Completed { records: 2 });
    let outcomes = vec![v1::Outcome { point: 0, outcome: Some(outcome) }];
    assert_eq!(held.outcomes(), Some(Sending { token: token.clone(), known_as: token.clone(), outcomes }));
    assert_eq!(held.outcomes(), None, "they are on the way");
    assert!(!held.is_empty());
    held.finished(&token);
    assert!(held.is_empty());
}

#[test]
fn a_point_is_finished_while_its_neighbours_in_the_ensemble_go_on() {
    let (mut held, token) = (holding(3, [lease("a", 0..3)]), Token::new("a"));
    assert_eq!(points(&held.start(3, equal)), [0, 1, 2]);
    held.end(&token, 1, ended(TaskEnd::Completed, 0));
    assert_eq!(sent(&mut held), Some(vec![1]));
    held.end(&token, 2, ended(TaskEnd::Completed, 0));
    held.end(&token, 0, ended(TaskEnd::Completed, 0));
    assert_eq!(sent(&mut held), None, "outcomes gather while others are on the way");
    held.finished(&token);
    assert_eq!(sent(&mut held), Some(vec![2, 0]));
    held.finished(&token);
    assert!(!held.is_empty(), "the thread has not come back");
    held.free();
    assert!(held.is_empty());
}

#[test]
fn a_configuration_that_makes_no_sense_fails_for_good_and_the_others_run() {
    let mut range = lease("a", 0..3);
    range.tasks[1].1 = Err("task.seed: missing".into());
    let mut held = holding(2, [range]);
    let failed = Outcome::Failed(v1::Failed { error: "task.seed: missing".into(), permanent: true });
    assert_eq!(held.outcomes().unwrap().outcomes, [v1::Outcome { point: 1, outcome: Some(failed) }]);
    assert_eq!(started(&mut held, 2), [0, 2]);
}

#[test]
fn a_dropped_lease_stops_its_tasks_and_the_worker_stays_until_they_have() {
    let (mut held, token) = (holding(1, [lease("a", 0..2)]), Token::new("a"));
    let running = held.start(1, alone);
    held.drop_lease(&token);
    assert!(running[0].stop.is_raised() && !held.is_empty());
    held.acknowledge(&token, 0, 1);
    stop(&mut held, &token, 0);
    assert!(held.is_empty());
    assert_eq!(held.outcomes(), None);
}

#[test]
fn a_leaving_worker_gives_a_lease_back_once_nothing_of_it_is_on_the_way() {
    let (mut held, token) = (holding(2, [lease("a", 0..4)]), Token::new("a"));
    let running = held.start(1, alone);
    held.start(1, alone);
    held.leave();
    assert!(running[0].stop.is_raised() && started(&mut held, 1).is_empty());
    assert!(held.join(1, &task(0), equal).is_empty());
    assert_eq!(held.give_back(), None, "points run");
    stop(&mut held, &token, 0);
    complete(&mut held, &token, 1, 1);
    assert_eq!(held.give_back(), None, "a record is on the way");
    held.acknowledge(&token, 1, 1);
    assert_eq!(sent(&mut held), Some(vec![1]));
    assert_eq!(held.give_back(), None, "an outcome is on the way");
    held.finished(&token);
    assert_eq!(held.give_back(), Some(token));
    assert!(held.is_empty());
}

#[test]
fn a_leaving_worker_does_not_give_back_what_is_finished() {
    let (mut held, token) = (holding(1, [lease("a", 0..1)]), Token::new("a"));
    started(&mut held, 1);
    held.leave();
    complete(&mut held, &token, 0, 0);
    held.outcomes().unwrap();
    held.finished(&token);
    assert_eq!(held.give_back(), None);
    assert!(held.is_empty());
}

#[test]
fn a_heartbeat_names_every_lease_and_its_running_points() {
    let mut held = holding(2, [lease("a", 0..2), lease("b", 7..8)]);
    started(&mut held, 2);
    held.progress(&Token::new("a"), 0, 0.5);
    held.progress(&Token::new("a"), 1, f64::INFINITY);
    held.progress(&Token::new("gone"), 1, 0.1);
    complete(&mut held, &Token::new("a"), 1, 1);
    assert_eq!(held.running(), [(Token::new("a"), vec![(0, 0.5)]), (Token::new("b"), vec![])]);
}

#[tokio::test]
async fn snapshots_are_let_go_once_an_outcome_is_durable_that_needs_them_no_more() {
    let failed = |permanent| TaskEnd::Failed { error: "e".into(), permanent };
    let (mut held, token) = (holding(4, [lease("a", 0..4)]), Token::new("a"));
    held.start(4, equal);
    let (_folder, shelf) = Shelf::lone();
    let shelf = Arc::new(shelf);
    for (point, end) in [TaskEnd::Completed, failed(true), failed(false), TaskEnd::Stopped].into_iter().enumerate() {
        held.end(&token, point as u64, Ended { end, reported: 0, shelf: Some(Arc::clone(&shelf)) });
    }
    assert_eq!(sent(&mut held), Some(vec![0, 1, 2]));
    assert_eq!(held.finished(&token).len(), 2, "who tries 2 again goes on from there");
    assert_eq!(held.finished(&token).len(), 0);
}

proptest! {
    /// Whatever stacks, however wide, however many threads, in whatever order points end and others join: points leave the
    /// queue in order and once each, no more run than there is room for, and all are finished.
    #[test]
    fn every_point_is_started_once_in_order_within_the_room(
        kinds in prop::collection::vec(0_u64..3, 1..40),
        width in 1_usize..6,
        threads in 1_usize..4,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let (total, token) = (kinds.len() as u64, Token::new("a"));
        let mut held = holding(width * threads, [mixed("a", 0..total, |point| kinds[point as usize])]);
        let (mut order, mut running, mut choices) = (Vec::<u64>::new(), Vec::<Vec<u64>>::new(), choices.iter().cycle());
        loop {
            while running.len() < threads {
                let ensemble = points(&held.start(width, equal));
                if ensemble.is_empty() {
                    break;
                }
                order.extend(&ensemble);
                running.push(ensemble);
            }
            let Some(choice) = choices.next().filter(|_| !running.is_empty()) else { break };
            let chosen = choice.index(running.len());
            let ensemble = &mut running[chosen];
            let kind = kinds[ensemble[0] as usize];
            prop_assert!(ensemble.len() <= width && ensemble.iter().all(|point| kinds[*point as usize] == kind));
            let point = ensemble.swap_remove(choice.index(ensemble.len()));
            held.end(&token, point, ended(TaskEnd::Completed, 0));
            let joined = points(&held.join(width - ensemble.len(), &task(kind), equal));
            order.extend(&joined);
            ensemble.extend(joined);
            if ensemble.is_empty() {
                running.remove(chosen);
                held.free();
            }
            if held.outcomes().is_some() {
                held.finished(&token);
            }
        }
        prop_assert_eq!(order, (0..total).collect::<Vec<_>>());
        prop_assert!(held.is_empty());
    }
}
