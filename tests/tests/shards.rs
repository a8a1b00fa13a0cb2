//! Shards split the estimates of a point over workers, and change nothing of what comes of it.

use std::collections::HashSet;

use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, Tables, sweeps};

/// Long enough that several workers get a shard.
const STEPS: u64 = 2000;

/// Two seeds of one cell, estimated at all nine checkpoints.
fn sweep(shards: u32) -> String {
    sweeps::quadratic(STEPS, 2)
        .replace("checkpoints = [0, 2000]", &format!("shards = {shards}"))
        .replace("\"data.train_fraction\" = [0.5, 0.8]", "\"data.train_fraction\" = [0.8]")
}

/// The same, where training stops at the third checkpoint in a row at which most of the validation examples are right.
fn stopping_sweep(shards: u32) -> String {
    sweep(shards).replace("[task.checkpoints]", "stop = { val_accuracy = 0.05, checkpoints = 3 }\n\n[task.checkpoints]")
}

/// The tables of the sweep when two workers compute it, and the records of each task.
fn compute(source: &str) -> (Tables, Vec<String>) {
    let cluster = Cluster::start();
    let _workers = [cluster.worker(), cluster.worker()];
    let sweep = cluster.submit(source);
    cluster.until_complete(&sweep);
    let tasks = cluster.table(&sweep, "tasks");
    assert_eq!(column(&tasks, "state"), ["finished"; 4]);
    (Tables::of(&cluster, &sweep), column(&cluster.table(&sweep, "records"), "task"))
}

#[test]
fn a_split_sweep_has_the_tables_of_a_whole_one() {
    let (whole, records) = compute(&sweep(1));
    assert_eq!(records.len(), 4 * sweeps::RECORDS);
    let (split, _) = compute(&sweep(4));
    split.assert_equal(&whole);
}

#[test]
fn a_split_sweep_that_stops_early_has_the_tables_of_a_whole_one() {
    let (whole, records) = compute(&stopping_sweep(1));
    assert!(records.len() < 4 * sweeps::RECORDS, "nothing stopped early: {records:?}");
    let (split, _) = compute(&stopping_sweep(4));
    split.assert_equal(&whole);
}

#[test]
fn one_point_is_computed_by_several_workers() {
    let cluster = Cluster::start();
    let workers = [cluster.worker(), cluster.worker()];
    phasegrid_tests::wait::until("both have joined", || (cluster.workers().len() == workers.len()).then_some(()));
    // Shards that take much longer than a worker that has joined takes to ask for one.
    let source = sweep(4)
        .replace("2000", "16000")
        .replace("every = 250", "every = 2000")
        .replace("\"train.weight_decay\" = [0.0, 1.0]", "\"train.weight_decay\" = [0.0]");
    let sweep = cluster.submit(&source.replace("count = 2", "count = 1"));
    cluster.until_complete(&sweep);

    let [worker] = &column(&cluster.table(&sweep, "tasks"), "worker")[..] else { panic!("there is one task") };
    let names: HashSet<&str> = worker.split(", ").collect();
    assert_eq!(names, HashSet::from(["worker-1", "worker-2"]));
    let shown = cluster.call(["show", &sweep]).output().success();
    assert!(shown.contains("4/4 shards finished"), "{shown}");
    let steps = column(&cluster.table(&sweep, "records"), "step");
    let expected: Vec<String> = (0..sweeps::RECORDS as u64).map(|i| (i * 2000).to_string()).collect();
    assert_eq!(steps, expected);
}
