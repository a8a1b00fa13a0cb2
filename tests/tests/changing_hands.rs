//! Work that changes hands: what a worker goes on with while nobody hears of it is kept, and what a slow one has not started
//! goes to those with nothing to do.

use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, Link, sweeps, wait};

#[test]
fn what_a_worker_computes_while_it_is_cut_off_is_kept() {
    let cluster = Cluster::with_lease_time("2s");
    let link = Link::to(cluster.url());
    let mut worker = cluster.worker_through(&link.url(), []);
    // Four tasks of some seconds.
    let sweep = cluster.submit(&sweeps::quadratic(200_000, 1));
    wait::until("a point runs", || {
        let running = column(&cluster.table(&sweep, "records"), "task");
        (!running.is_empty()).then_some(())
    });

    link.cut();
    wait::until("the lease is lost", || cluster.progress(&sweep).filter(|progress| progress.leased == 0));
    link.mend();

    cluster.until_complete(&sweep);
    assert!(worker.is_running());
    let log = worker.stderr();
    assert!(log.contains("reclaimed") && !log.contains("its work is dropped"), "{log}");
    let tasks = cluster.table(&sweep, "tasks");
    let attempts = column(&tasks, "attempts");
    assert!(attempts.contains(&"2".to_owned()), "an attempt was lost, and went on as the next: {attempts:?}");
    assert_eq!(column(&cluster.table(&sweep, "records"), "task").len(), 4 * sweeps::RECORDS);
}

#[test]
fn a_worker_that_joins_near_the_end_takes_what_another_has_not_started() {
    let cluster = Cluster::with_settings([("LEASE_TIME", "1h"), ("LEASE_TARGET", "10m")]);
    let _first = cluster.worker();
    let sweep = cluster.submit(&sweeps::quadratic(50_000, 3));
    wait::until("one worker holds all that is left", || {
        cluster.progress(&sweep).filter(|progress| progress.pending == 0 && progress.leased > 4)
    });

    let _second = cluster.worker();

    cluster.until_complete(&sweep);
    let tasks = cluster.table(&sweep, "tasks");
    let workers = column(&tasks, "worker");
    assert!(workers.contains(&"worker-2".to_owned()), "{workers:?}");
    assert!(column(&tasks, "attempts").iter().all(|attempts| attempts == "1"), "giving back counts no attempt");
}
