use super::*;

fn pause(cluster: &mut Cluster) -> SweepState {
    let decision = cluster.scheduler.on_pause(SweepKey(1)).unwrap();
    cluster.apply(decision)
}

fn resume(cluster: &mut Cluster) -> SweepState {
    let decision = cluster.scheduler.on_resume(SweepKey(1)).unwrap();
    cluster.apply(decision)
}

#[test]
fn a_paused_sweep_leases_nothing_and_what_is_leased_may_end() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(pause(&mut cluster), SweepState::Paused);
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]), Ok(HeartbeatReply::default()));
    assert_eq!(cluster.complete(&grant), Verdict::Accepted);
    assert_eq!((cluster.state(), cluster.progress().finished, cluster.progress().pending), (SweepState::Paused, 2, 7));
    assert_eq!(resume(&mut cluster), SweepState::Running);
    assert_eq!(points(&cluster.lease("a"))[..2], [2, 3]);
}

#[test]
fn a_paused_sweep_completes_with_its_last_leased_points() {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 2);
    let grant = cluster.lease("a");
    pause(&mut cluster);
    cluster.complete(&grant);
    assert_eq!(cluster.state(), SweepState::Completed);
    assert_eq!((pause(&mut cluster), resume(&mut cluster)), (SweepState::Completed, SweepState::Completed));
}

#[test]
fn a_pause_outlives_a_restart_and_a_retry_and_can_be_cancelled() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 1);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, failed("a defect", true))]);
    pause(&mut cluster);
    cluster.restart();
    let retried = cluster.scheduler.on_retry(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(retried), 1);
    assert_eq!((cluster.state(), cluster.progress().pending), (SweepState::Paused, 3));
    let cancelled = cluster.scheduler.on_cancel(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(cancelled), SweepState::Cancelled);
    assert_eq!(resume(&mut cluster), SweepState::Cancelled);
}
