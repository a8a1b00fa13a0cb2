//! Workers come and go as they please.

use std::collections::HashSet;

use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, sweeps, wait};

/// A sweep that takes one worker a few seconds.
fn sweep() -> String {
    sweeps::quadratic(4000, 8)
}

fn attempts(cluster: &Cluster, sweep: &str) -> HashSet<String> {
    column(&cluster.table(sweep, "tasks"), "attempts").into_iter().collect()
}

fn once() -> HashSet<String> {
    HashSet::from(["1".to_owned()])
}

#[test]
fn a_worker_that_joins_midway_takes_work() {
    let cluster = Cluster::start();
    let _first = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    let _second = cluster.worker();
    cluster.until_complete(&sweep);

    let workers: HashSet<String> = column(&cluster.table(&sweep, "tasks"), "worker").into_iter().collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    let known: HashSet<String> = cluster.workers().into_iter().map(|worker| worker.id).collect();
    assert_eq!(workers, known);
    assert_eq!(attempts(&cluster, &sweep), once());
}

#[test]
fn a_worker_that_is_asked_to_leave_gives_its_work_back_at_once_and_no_attempt_is_counted() {
    let cluster = Cluster::start();
    let mut leaver = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    leaver.terminate();
    assert_eq!(leaver.exit_code(), 0);
    let progress = cluster.progress(&sweep).expect("the coordinator answers");
    assert_eq!(progress.leased, 0, "{progress:?}");

    let _other = cluster.worker();
    cluster.until_complete(&sweep);
    assert_eq!(attempts(&cluster, &sweep), once());
}

#[test]
fn a_drained_worker_finishes_what_it_holds_and_leaves() {
    let cluster = Cluster::start();
    let mut drained = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 1);
    let [worker] = &cluster.workers()[..] else { panic!("one worker has joined") };

    assert_eq!(cluster.call(["drain", &worker.id]).output().success(), "");
    assert_eq!(drained.exit_code(), 0);

    let _other = cluster.worker();
    cluster.until_complete(&sweep);
    assert_eq!(attempts(&cluster, &sweep), once());
}

#[test]
fn a_worker_that_starts_before_its_coordinator_waits_for_it() {
    let mut cluster = Cluster::start();
    cluster.coordinator().kill();
    let worker = cluster.worker();
    wait::until("the worker has looked for its coordinator", || worker.stderr().contains(cluster.url()).then_some(()));

    cluster.restart_coordinator();

    wait::until("the worker joins", || (cluster.workers().len() == 1).then_some(()));
}

#[test]
fn a_cancelled_sweep_leaves_the_worker_free_for_the_next() {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    let endless = cluster.submit(&sweeps::quadratic(100_000_000, 2));
    wait::until("the endless sweep is under way", || (cluster.progress(&endless)?.leased > 0).then_some(()));

    assert_eq!(cluster.call(["cancel", &endless]).output().success(), "");

    let small = cluster.submit(&sweeps::quadratic(80, 1));
    cluster.until_complete(&small);
}
