use super::*;

#[test]
fn a_lease_covers_the_next_points_in_order() {
    let mut cluster = Cluster::with_sweep(10).with_worker("a", 3).with_worker("b", 2);
    assert_eq!(cluster.lease("a").tasks, [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(cluster.lease("b").tasks, [(3, 1), (4, 1)]);
}

#[test]
fn leases_grow_to_the_lease_target_once_points_are_known_to_be_short() {
    let mut cluster = Cluster::with_sweep(1_000_000).with_worker("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(grant.tasks.len(), 2);
    cluster.now += Duration::from_millis(100);
    cluster.complete(&grant);
    // Two slots, 0.1 seconds a point, 5 seconds.
    assert_eq!(cluster.lease("a").tasks.len(), 100);
}

#[test]
fn the_end_of_a_sweep_is_shared() {
    let mut cluster = Cluster::with_sweep(12).with_worker("a", 2).with_worker("b", 2);
    let grant = cluster.lease("a");
    cluster.complete(&grant);
    assert_eq!(cluster.lease("a").tasks.len(), 5, "half of the ten that are left");
}

#[test]
fn sweeps_are_served_in_the_order_of_their_creation() {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 2);
    let second = cluster.create(2);
    assert_eq!(cluster.lease("a").lease.sweep, SweepKey(1));
    assert_eq!(cluster.lease("a").lease.sweep, second);
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
}

#[test]
fn an_unknown_worker_is_told_to_register() {
    let mut cluster = Cluster::with_sweep(2);
    let refused = cluster.scheduler.on_lease_request(&"a".into(), cluster.now);
    assert_eq!(refused, Err(Refused::UnknownWorker("a".into())));
    assert_eq!(cluster.heartbeat("a", &[]), Err(Refused::UnknownWorker("a".into())));
}

#[test]
fn a_draining_worker_gets_no_lease_and_keeps_what_it_holds() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.drain("a");
    assert_eq!(cluster.ask("a"), LeaseReply::Drain);
    assert_eq!(
        cluster.heartbeat("a", &[grant.lease]),
        Ok(HeartbeatReply { dropped: vec![], drain: true, cede: vec![] })
    );
    assert_eq!(cluster.complete(&grant), Verdict::Accepted);
}

#[test]
fn a_worker_that_registers_again_keeps_its_leases_and_drains_no_more() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.drain("a");
    cluster.register("a", 2);
    assert_eq!(
        cluster.heartbeat("a", &[grant.lease]),
        Ok(HeartbeatReply { dropped: vec![], drain: false, cede: vec![] })
    );
    assert_eq!(cluster.scheduler.workers().next().unwrap().leased, 2);
}

#[test]
fn a_released_lease_is_pending_at_once_and_counts_no_attempt() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 3).with_worker("b", 3);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(1, COMPLETED)]);
    let released = cluster.scheduler.on_release(grant.lease);
    cluster.apply(released);
    assert_eq!(cluster.progress().leased, 0);
    assert_eq!(cluster.lease("b").tasks[..2], [(0, 1), (2, 1)]);
    let again = cluster.scheduler.on_release(grant.lease);
    assert_eq!(again.changes, [], "releasing twice is no error and changes nothing");
}
