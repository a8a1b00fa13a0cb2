//! Claims about what a worker holds.

use proptest::prelude::*;

use super::*;

/// The smallest task there is.
const TASK: &str = r#"{
    "data": {"kind": "gaussian", "samples": 4},
    "model": {"kind": "deep_linear", "widths": [1, 1], "rank": 1, "init": "teacher"},
    "train": {"optimizer": "sgd", "learning_rate": 0.0, "weight_decay": 0.0, "momentum": 0.0,
              "batch_size": "full", "steps": 0, "loss": "mse"},
    "checkpoints": [0],
    "seed": 0
}"#;

fn lease(token: &str, points: Range<u64>) -> Leased {
    let task = || Ok(TaskConfig::from_json(TASK).unwrap());
    Leased { token: Token::new(token), sweep: "s".into(), tasks: points.map(|point| (point, task())).collect() }
}

fn alone(tasks: &[TaskConfig]) -> Vec<Range<usize>> {
    (0..tasks.len()).map(|task| task..task + 1).collect()
}

#[expect(clippy::single_range_in_vec_init, reason = "one ensemble that spans all tasks")]
fn together(tasks: &[TaskConfig]) -> Vec<Range<usize>> {
    vec![0..tasks.len()]
}

fn held(slots: usize, threads: usize) -> Held {
    Held::new(Capacity { slots, threads })
}

/// Points of the ensembles that start now.
fn started(held: &mut Held) -> Vec<Vec<u64>> {
    std::iter::from_fn(|| held.start()).map(|assignment| assignment.points).collect()
}

fn completed(points: &[u64], reported: u64) -> Vec<Ended> {
    let ended = |&point| Ended { point, end: TaskEnd::Completed, reported };
    points.iter().map(ended).collect()
}

fn stopped(points: &[u64]) -> Vec<Ended> {
    points.iter().map(|&point| Ended { point, end: TaskEnd::Stopped, reported: 0 }).collect()
}

fn points(outcomes: Option<(Token, Vec<v1::Outcome>)>) -> Option<Vec<u64>> {
    outcomes.map(|(_, outcomes)| outcomes.iter().map(|outcome| outcome.point).collect())
}

#[test]
fn points_start_in_order_and_no_more_than_slots_at_once() {
    let mut held = held(2, 2);
    held.take(lease("a", 0..3), alone);
    held.take(lease("b", 10..12), alone);
    assert_eq!(started(&mut held), [[0], [1]]);
    held.end(&Token::new("a"), completed(&[1], 0));
    assert_eq!(started(&mut held), [[2]]);
    held.end(&Token::new("a"), completed(&[0], 0));
    assert_eq!(started(&mut held), [[10]]);
}

#[test]
fn a_wide_ensemble_is_cut_so_that_every_thread_has_one() {
    let mut held = held(4, 2);
    held.take(lease("a", 0..5), together);
    assert_eq!(started(&mut held), [[0, 1], [2, 3]]);
    held.end(&Token::new("a"), completed(&[0, 1], 0));
    assert_eq!(started(&mut held), [[4]]);
}

#[test]
fn threads_limit_ensembles_even_where_slots_are_left() {
    let mut held = held(8, 1);
    held.take(lease("a", 0..2), alone);
    assert_eq!(started(&mut held), [[0]]);
}

#[test]
fn the_next_lease_is_wanted_while_fewer_points_wait_than_there_are_slots() {
    let mut held = held(2, 2);
    assert!(held.wants_lease());
    held.take(lease("a", 0..3), alone);
    assert!(!held.wants_lease());
    started(&mut held);
    assert!(held.wants_lease());
}

#[test]
fn no_lease_is_wanted_while_too_many_outcomes_are_not_acknowledged() {
    let (mut held, token) = (held(1, 1), Token::new("a"));
    let bound = 4 + UNACKNOWLEDGED as u64;
    held.take(lease("a", 0..bound + 1), alone);
    for point in 0..=bound {
        assert_eq!(started(&mut held), [[point]]);
        held.end(&token, completed(&[point], 0));
    }
    assert!(!held.wants_lease());
    assert_eq!(points(held.outcomes()).map(|points| points.len() as u64), Some(bound + 1));
    assert!(!held.wants_lease(), "they are on the way");
    held.finished(&token);
    assert!(held.wants_lease());
}

#[test]
fn an_outcome_waits_until_all_its_records_are_durable() {
    let (mut held, token) = (held(1, 1), Token::new("a"));
    held.take(lease("a", 0..1), alone);
    started(&mut held);
    held.acknowledge(&token, 0, 1);
    held.end(&token, completed(&[0], 2));
    assert_eq!(held.outcomes(), None);
    held.acknowledge(&token, 0, 1);
    let outcome = Outcome::Completed(v1::Completed { records: 2 });
    assert_eq!(held.outcomes(), Some((token.clone(), vec![v1::Outcome { point: 0, outcome: Some(outcome) }])));
    assert_eq!(held.outcomes(), None, "they are on the way");
    assert!(!held.is_empty());
    held.finished(&token);
    assert!(held.is_empty());
}

#[test]
fn outcomes_of_a_lease_gather_while_others_are_on_the_way() {
    let (mut held, token) = (held(3, 3), Token::new("a"));
    held.take(lease("a", 0..3), alone);
    started(&mut held);
    held.end(&token, completed(&[1], 0));
    assert_eq!(points(held.outcomes()), Some(vec![1]));
    held.end(&token, completed(&[2], 0));
    held.end(&token, completed(&[0], 0));
    assert_eq!(points(held.outcomes()), None);
    held.finished(&token);
    assert_eq!(points(held.outcomes()), Some(vec![2, 0]));
    held.finished(&token);
    assert!(held.is_empty());
}

#[test]
fn a_configuration_that_makes_no_sense_fails_for_good_and_the_others_run() {
    let mut held = held(2, 2);
    let mut range = lease("a", 0..3);
    range.tasks[1].1 = Err("task.seed: missing".into());
    held.take(range, alone);
    let failed = Outcome::Failed(v1::Failed { error: "task.seed: missing".into(), permanent: true });
    assert_eq!(held.outcomes().unwrap().1, [v1::Outcome { point: 1, outcome: Some(failed) }]);
    assert_eq!(started(&mut held), [[0], [2]]);
}

#[test]
fn a_dropped_lease_stops_its_tasks_and_keeps_their_threads_busy_until_they_have() {
    let (mut held, token) = (held(1, 1), Token::new("a"));
    held.take(lease("a", 0..2), alone);
    let running = held.start().unwrap();
    assert!(held.drop_lease(&token));
    assert!(!held.drop_lease(&token));
    assert!(running.stop.is_raised());
    held.take(lease("b", 5..6), alone);
    assert_eq!(started(&mut held), Vec::<Vec<u64>>::new());
    held.acknowledge(&token, 0, 1);
    held.end(&token, stopped(&[0]));
    assert_eq!(started(&mut held), [[5]]);
    assert_eq!(held.outcomes(), None);
}

#[test]
fn a_leaving_worker_gives_a_lease_back_once_nothing_of_it_is_on_the_way() {
    let (mut held, token) = (held(2, 2), Token::new("a"));
    held.take(lease("a", 0..4), alone);
    let running = held.start().unwrap();
    held.start().unwrap();
    held.stop();
    assert!(running.stop.is_raised());
    assert_eq!(held.give_back(), None, "points run");
    held.end(&token, stopped(&[0]));
    held.end(&token, completed(&[1], 1));
    assert_eq!(held.give_back(), None, "a record is on the way");
    held.acknowledge(&token, 1, 1);
    assert_eq!(points(held.outcomes()), Some(vec![1]));
    assert_eq!(held.give_back(), None, "an outcome is on the way");
    held.finished(&token);
    assert_eq!(held.give_back(), Some(token));
    assert!(held.is_empty());
}

#[test]
fn a_leaving_worker_does_not_give_back_what_is_finished() {
    let (mut held, token) = (held(1, 1), Token::new("a"));
    held.take(lease("a", 0..1), alone);
    started(&mut held);
    held.stop();
    held.end(&token, completed(&[0], 0));
    held.outcomes().unwrap();
    held.finished(&token);
    assert_eq!(held.give_back(), None);
    assert!(held.is_empty());
}

#[test]
fn a_heartbeat_names_every_lease_and_its_running_points() {
    let mut held = held(2, 2);
    held.take(lease("a", 0..2), alone);
    held.take(lease("b", 7..8), alone);
    started(&mut held);
    held.progress(&Token::new("a"), 0, 0.5);
    held.progress(&Token::new("a"), 1, f64::INFINITY);
    held.progress(&Token::new("gone"), 1, 0.1);
    held.end(&Token::new("a"), completed(&[1], 1));
    assert_eq!(held.running(), [(Token::new("a"), vec![(0, 0.5)]), (Token::new("b"), vec![])]);
}

proptest! {
    /// Whatever the ensembles, slots, threads and order of ends: points start in order, never too many at once, each once,
    /// and all are finished.
    #[test]
    fn every_point_is_started_once_in_order_within_the_slots(
        cuts in prop::collection::vec(1_usize..6, 1..12),
        slots in 1_usize..9,
        threads in 1_usize..5,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let capacity = Capacity { slots, threads: threads.min(slots) };
        let (mut held, token) = (Held::new(capacity), Token::new("a"));
        let total: usize = cuts.iter().sum();
        held.take(lease("a", 0..total as u64), |_| {
            cuts.iter().scan(0, |start, cut| { let range = *start..*start + cut; *start += cut; Some(range) }).collect()
        });
        let (mut order, mut running, mut choices) = (Vec::new(), Vec::<Vec<u64>>::new(), choices.iter().cycle());
        loop {
            for ensemble in started(&mut held) {
                order.extend(ensemble.iter().copied());
                running.push(ensemble);
            }
            prop_assert!(running.len() <= capacity.threads && running.iter().flatten().count() <= capacity.slots);
            let Some(choice) = choices.next().filter(|_| !running.is_empty()) else { break };
            let ensemble = running.swap_remove(choice.index(running.len()));
            held.end(&token, completed(&ensemble, 0));
            if held.outcomes().is_some() {
                held.finished(&token);
            }
        }
        prop_assert_eq!(order, (0..total as u64).collect::<Vec<_>>());
        prop_assert!(held.is_empty());
    }
}
