//! What people do with sweeps that run: pause and resume them, rank them, have what failed tried again, ask why a point
//! waits, count what is known already, and copy the data folder.

use phasegrid_tests::tables::column;
use phasegrid_tests::{Call, Cluster, Output, Tables, sweeps, wait};

/// A sweep of two points for each seed, and two more that fail at once for the same reason: their loss leaves what a float
/// holds.
fn half_failing(seeds: u64) -> String {
    sweeps::quadratic(80, seeds)
        .replace("\"adamw\"", "\"sgd\"")
        .replace("\"train.weight_decay\" = [0.0, 1.0]", "\"train.learning_rate\" = [1e-3, 1e30]")
        .replace("y = \"train.weight_decay\"", "y = \"train.learning_rate\"")
}

#[test]
fn a_paused_sweep_leases_nothing_more_until_it_is_resumed() {
    let cluster = Cluster::start();
    let sweep = cluster.submit(&sweeps::quadratic(80, 2));
    let paused = cluster.call(["pause", &sweep]).output();
    assert_eq!((paused.code, &*paused.stdout), (0, ""), "{paused:?}");
    assert!(paused.stderr.contains("paused"), "{paused:?}");
    let _worker = cluster.worker();
    // A later sweep is computed, and so the worker has asked more than once.
    let other = cluster.submit(&sweeps::quadratic(160, 1));
    cluster.until_complete(&other);
    let progress = cluster.progress(&sweep).expect("the coordinator answers");
    assert_eq!((progress.leased, progress.finished, progress.pending), (0, 0, 8));
    assert!(cluster.call(["explain", &sweep, "3"]).output().success().contains("paused"));

    assert_eq!(cluster.call(["resume", &sweep]).output().success(), "");

    cluster.until_complete(&sweep);
}

#[test]
fn a_sweep_of_higher_priority_is_served_before_one_that_was_there_first() {
    let cluster = Cluster::start();
    let [first, second] = [80, 160].map(|steps| cluster.submit(&sweeps::quadratic(steps, 2)));
    let ranked = cluster.call(["priority", &second, "5"]).output();
    assert!(ranked.code == 0 && ranked.stderr.contains("priority 5"), "{ranked:?}");
    assert!(cluster.call(["explain", &first, "0"]).output().success().contains("1 other sweep is served first"));

    let _worker = cluster.worker();
    wait::until("the second has ended", || {
        let [first, second] = [&first, &second].map(|sweep| cluster.progress(sweep));
        let (first, second) = (first?, second?);
        assert!(first.finished == 0 || second.pending == 0, "{first:?} {second:?}");
        (second.finished == second.size).then_some(())
    });
    cluster.until_complete(&first);
}

#[test]
fn a_sweep_that_mostly_fails_is_paused_with_the_reason_and_goes_on_when_it_is_told_to() {
    let cluster = Cluster::with_settings([("BREAKER_POINTS", "2"), ("BREAKER_SHARE", "0.2"), ("LEASE_TARGET", "1ms")]);
    let sweep = cluster.submit(&half_failing(4));
    let watcher = cluster.call(["watch", &sweep]).start(cluster.folder().path());
    let _worker = cluster.worker();
    wait::until("the breaker trips", || {
        cluster.call(["show", &sweep]).output().stdout.contains("paused").then_some(())
    });
    let shown = cluster.call(["show", &sweep]).output().success();
    assert!(shown.contains("failed"), "{shown}");
    wait::until("who watches is told", || watcher.stderr().contains("phasegrid resume").then_some(()));

    assert_eq!(cluster.call(["resume", &sweep]).output().success(), "");

    // It is not overruled: the rest fails too, and the sweep ends.
    assert_eq!(Output::of(watcher).code, 8);
    let explained = cluster.call(["explain", &sweep, "4"]).output().success();
    assert!(explained.contains("1e+30") && explained.contains("attempt"), "{explained}");

    let retried = cluster.call(["retry", &sweep]).output();
    assert!(retried.code == 0 && retried.stderr.contains('8'), "{retried:?}");
    wait::until("what failed has failed again, or the breaker has tripped again", || {
        let progress = cluster.progress(&sweep)?;
        (progress.failed > 0 && progress.leased == 0).then_some(())
    });
}

#[test]
fn a_run_of_which_most_fails_ends_with_a_code_of_its_own() {
    let folder = phasegrid_tests::Folder::new();
    let sweep = folder.file("sweep.toml", half_failing(4));
    let run = Call::new(["run", &sweep, "--out", &folder.at("out"), "--workers", "1"]);
    let run = run.env("PHASEGRID_BREAKER_POINTS", "2").env("PHASEGRID_BREAKER_SHARE", "0.2");
    run.env("PHASEGRID_LEASE_TARGET", "1ms")
        .output()
        .failure(12, &["the sweep was paused", "failed", "the same command goes on"]);
}

#[test]
fn results_of_another_sweep_are_counted_before_and_taken_over_after() {
    let cluster = Cluster::start();
    let worker = cluster.worker();
    // Tasks that are worth remembering: 10^8 operations and more.
    let first = cluster.submit(&sweeps::quadratic(4000, 1));
    cluster.until_complete(&first);
    drop(worker);
    let larger = cluster.folder().file("larger.toml", sweeps::quadratic(4000, 2));
    let plan = cluster.call(["plan", &larger, "--known"]).output().success();
    assert!(plan.contains("4 of 8"), "{plan}");

    let second = cluster.call(["submit", &larger]).output().success();
    let second = second.trim_end();
    let _worker = cluster.worker();
    cluster.until_complete(second);

    let seeds = |sweep: &str| {
        let tasks = cluster.table(sweep, "tasks");
        let rows = column(&tasks, "seed").into_iter().zip(column(&tasks, "final_train_loss"));
        rows.filter(|(seed, _)| seed == "0").collect::<Vec<_>>()
    };
    assert_eq!(seeds(second), seeds(&first));
    assert_eq!(seeds(second).len(), 4);
}

#[test]
fn a_copy_that_was_made_while_the_coordinator_worked_is_a_whole_data_folder() {
    let mut cluster = Cluster::start();
    let _worker = cluster.worker();
    let sweep = cluster.submit(&sweeps::quadratic(4000, 8));
    cluster.until_finished(&sweep, 2);
    let copy = cluster.folder().at("copy");
    let known = cluster.table(&sweep, "tasks").lines().filter(|line| line.contains("finished")).count();
    assert_eq!(cluster.call(["backup", "--data", &cluster.data(), "--to", &copy]).output().code, 0);
    cluster.until_complete(&sweep);
    let undisturbed = Tables::of(&cluster, &sweep);
    cluster.coordinator().kill();

    let restored = Cluster::on_folder(copy, "2s");
    let finished = restored.progress(&sweep).expect("the coordinator answers").finished;
    assert!(finished >= known as u64, "what was shown before the copy is in it: {finished} of {known}");
    let _worker = restored.worker();
    restored.until_complete(&sweep);
    Tables::of(&restored, &sweep).assert_equal(&undisturbed);
}
