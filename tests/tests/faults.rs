//! Whatever dies midway: every point ends once, and every number is that of a run in which nothing happened.

use std::sync::OnceLock;

use phasegrid_tests::tables::{assert_holds, column};
use phasegrid_tests::{Cluster, Tables, sweeps};

/// Tasks long enough that a kill finds one running.
const STEPS: u64 = 4000;
const SEEDS: u64 = 8;
const POINTS: usize = 4 * SEEDS as usize;

/// Long enough for a living worker's heartbeats on a busy machine, short enough to wait for.
const LEASE_TIME: &str = "2s";

fn sweep() -> String {
    sweeps::quadratic(STEPS, SEEDS)
}

/// The tables of the sweep when one worker computes it in peace.
fn undisturbed() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let cluster = Cluster::start();
        let _worker = cluster.worker();
        let sweep = cluster.submit(&sweep());
        cluster.until_complete(&sweep);
        assert_each_point_ended_once(&cluster, &sweep);
        Tables::of(&cluster, &sweep)
    })
}

fn assert_each_point_ended_once(cluster: &Cluster, sweep: &str) {
    let points: Vec<String> = (0..POINTS).map(|point| point.to_string()).collect();
    let tasks = cluster.table(sweep, "tasks");
    assert_eq!(column(&tasks, "task"), points);
    assert_eq!(column(&tasks, "state"), vec!["finished"; POINTS]);
    let records = column(&cluster.table(sweep, "records"), "task");
    let expected: Vec<String> = points.into_iter().flat_map(|point| vec![point; sweeps::RECORDS]).collect();
    assert_eq!(records, expected);
}

/// The sweep ends, and as if nothing had happened.
fn assert_undisturbed(cluster: &Cluster, sweep: &str) {
    cluster.until_complete(sweep);
    assert_each_point_ended_once(cluster, sweep);
    Tables::of(cluster, sweep).assert_equal(undisturbed());
}

#[test]
fn a_killed_worker_costs_no_point_and_changes_no_number() {
    let cluster = Cluster::with_lease_time(LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    worker.kill();
    let _other = cluster.worker();

    assert_undisturbed(&cluster, &sweep);
}

#[test]
fn a_worker_rides_out_a_coordinator_that_is_killed_and_started_again() {
    let mut cluster = Cluster::with_lease_time(LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    cluster.coordinator().kill();
    cluster.restart_coordinator();

    assert_undisturbed(&cluster, &sweep);
    assert!(worker.is_running());
}

#[test]
fn what_a_coordinator_has_shown_as_finished_survives_its_being_killed() {
    let mut cluster = Cluster::with_lease_time(LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 5);

    worker.kill();
    let shown = cluster.table(&sweep, "records");
    cluster.coordinator().kill();
    cluster.restart_coordinator();

    assert_holds(&cluster.table(&sweep, "records"), &shown);
}

#[test]
fn a_killed_worker_and_a_killed_coordinator_together_change_no_number() {
    let mut cluster = Cluster::with_lease_time(LEASE_TIME);
    let mut worker = cluster.worker();
    let mut rider = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    worker.kill();
    cluster.coordinator().kill();
    cluster.restart_coordinator();

    assert_undisturbed(&cluster, &sweep);
    assert!(rider.is_running());
}
