use super::*;

#[test]
fn cancelling_ends_the_leases_and_keeps_what_is_finished() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, COMPLETED)]);
    let cancelled = cluster.scheduler.on_cancel(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(cancelled), SweepState::Cancelled);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]).unwrap().dropped, [grant.lease]);
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
    let progress = cluster.progress();
    assert_eq!((progress.finished, progress.leased, progress.pending), (1, 0, 8));
    assert_eq!(cluster.scheduler.on_cancel(SweepKey(1)).unwrap(), Decision::quiet(SweepState::Cancelled));
    assert_eq!(cluster.scheduler.on_retry(SweepKey(1)), Err(Refused::Cancelled));
}

#[test]
fn retrying_a_completed_sweep_makes_its_failed_points_pending_with_attempts_from_one() {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, failed("a defect", true)), (1, COMPLETED)]);
    assert_eq!(cluster.state(), SweepState::Completed);
    let retried = cluster.scheduler.on_retry(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(retried), 1);
    assert_eq!(cluster.state(), SweepState::Running);
    assert_eq!(cluster.lease("a").tasks, [(0, 1)]);
    assert_eq!(cluster.scheduler.on_retry(SweepKey(1)).unwrap(), Decision::quiet(0), "nothing else has failed");
}

#[test]
fn progress_is_weighted_by_work_and_counts_what_is_running() {
    let mut cluster = Cluster::empty().with_worker("a", 3);
    cluster.create_weighed(3, Workload::each(vec![1.0, 1.0, 8.0]));
    let grant = cluster.lease("a");
    cluster.now += Duration::from_secs(10);
    cluster.finish(grant.lease, vec![(0, COMPLETED), (1, COMPLETED)]);
    let held = vec![Held { lease: grant.lease, running: vec![(2, 0.25), (0, 0.5), (77, 1.0)] }];
    let heartbeat = cluster.scheduler.on_heartbeat(&"a".into(), held, cluster.now).unwrap();
    cluster.apply(heartbeat);
    let progress = cluster.progress();
    assert_eq!(progress.work_done, 0.4);
    // Four units in ten seconds, six are left.
    assert_eq!(progress.remaining, Some(Duration::from_secs(15)));
    assert_eq!(progress.workers, 1);
}

#[test]
fn nobody_at_work_means_no_time_of_the_end() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 1);
    let grant = cluster.lease("a");
    cluster.now += Duration::from_secs(10);
    cluster.complete(&grant);
    assert_eq!(cluster.progress().remaining, None);
    cluster.lease("a");
    assert_eq!(cluster.progress().remaining, Some(Duration::from_secs(80)));
}

#[test]
fn costs_that_say_nothing_are_replaced_by_the_least() {
    let Workload::Each { costs, .. } = Workload::each(vec![4.0, 0.0, f64::NAN, 2.0]) else { panic!("no costs") };
    assert_eq!(*costs, [4.0, 2.0, 2.0, 2.0]);
    assert!(matches!(Workload::each(vec![0.0, f64::INFINITY]), Workload::Equal));
}
