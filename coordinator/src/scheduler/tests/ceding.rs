use super::*;

/// `a` holds five of the eight points that are left of a sweep, and has started two.
fn hoard() -> (Cluster, Grant) {
    let mut cluster = Cluster::with_sweep(10).with_worker("a", 2);
    let first = cluster.lease("a");
    cluster.now += Duration::from_secs(2);
    cluster.complete(&first);
    let grant = cluster.lease("a");
    assert_eq!(points(&grant), [2, 3, 4, 5, 6], "five seconds of two slots");
    (cluster, grant)
}

#[test]
fn nothing_is_asked_for_while_nobody_waits() {
    let (mut cluster, grant) = hoard();
    assert_eq!(cluster.heartbeat("a", &[grant.lease]).unwrap().cede, []);
}

#[test]
fn a_slow_worker_is_asked_for_the_share_of_those_with_nothing_to_do() {
    let (mut cluster, grant) = hoard();
    let rest = cluster.lease("a");
    assert_eq!(points(&rest), [7, 8, 9]);
    cluster.register("b", 2);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing);
    let asked = cluster.heartbeat("a", &[grant.lease, rest.lease]).unwrap().cede;
    // Half of the six that wait, and of the last lease first.
    assert_eq!(asked, [Cession { lease: rest.lease, points: 3 }]);
    cluster.cede(rest.lease, [8, 9]);
    assert_eq!(
        [points(&cluster.lease("b")), points(&cluster.lease("b"))],
        [[8], [9]],
        "each its share of what is left"
    );
    assert_eq!(cluster.heartbeat("a", &[grant.lease, rest.lease]).unwrap().cede, [], "nobody waits any more");
    assert_eq!(cluster.complete(&grant), Verdict::Accepted);
    assert_eq!(cluster.finish(rest.lease, vec![(7, COMPLETED)]), Verdict::Accepted);
}

#[test]
fn a_worker_whose_slots_are_full_takes_nothing_from_others() {
    let (mut cluster, grant) = hoard();
    let rest = cluster.lease("a");
    cluster.register("b", 1);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing);
    cluster.cede(rest.lease, [9]);
    assert_eq!(points(&cluster.lease("b")), [9]);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing, "it asks ahead of need");
    assert_eq!(cluster.heartbeat("a", &[grant.lease, rest.lease]).unwrap().cede, []);
}

#[test]
fn nothing_is_asked_for_of_a_paused_sweep_nor_for_a_worker_that_drains() {
    let (mut cluster, grant) = hoard();
    let rest = cluster.lease("a");
    cluster.register("b", 2);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing);
    let leases = [grant.lease, rest.lease];
    assert_eq!(cluster.heartbeat("a", &leases).unwrap().cede.len(), 1);
    let paused = cluster.scheduler.on_pause(SweepKey(1)).unwrap();
    cluster.apply(paused);
    assert_eq!(cluster.heartbeat("a", &leases).unwrap().cede, []);
    let resumed = cluster.scheduler.on_resume(SweepKey(1)).unwrap();
    cluster.apply(resumed);
    cluster.drain("b");
    assert_eq!(cluster.heartbeat("a", &leases).unwrap().cede, []);
}

#[test]
fn points_that_end_within_a_second_are_not_worth_the_way() {
    let mut cluster = Cluster::with_sweep(100).with_worker("a", 2);
    let first = cluster.lease("a");
    cluster.now += Duration::from_millis(20);
    cluster.complete(&first);
    let grant = cluster.lease("a");
    assert_eq!(points(&grant).len(), 98);
    cluster.register("b", 2);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]).unwrap().cede, []);
}

#[test]
fn a_lease_that_was_ceded_whole_has_ended() {
    let (mut cluster, grant) = hoard();
    cluster.cede(grant.lease, 0..10);
    assert_eq!(cluster.complete(&grant), Verdict::Stale);
    let again = cluster.scheduler.on_cede(grant.lease, &(0..10).collect());
    assert_eq!(again.changes, []);
}

#[test]
fn what_was_given_back_is_not_the_leases_any_more() {
    let (mut cluster, grant) = hoard();
    cluster.report(grant.lease, &[(6, 0)]).unwrap();
    cluster.cede(grant.lease, [6]);
    assert_eq!(cluster.scheduler.snapshot(), cluster.ledger.snapshot(), "nor its records");
    assert_eq!(cluster.finish(grant.lease, vec![(6, COMPLETED)]), Verdict::Stale);
    assert_eq!(cluster.finish(grant.lease, vec![(2, COMPLETED)]), Verdict::Accepted);
}

#[test]
fn nobody_is_asked_for_points_of_a_lease_that_it_does_not_know() {
    let (mut cluster, grant) = hoard();
    let rest = cluster.lease_untold("a");
    cluster.register("b", 2);
    assert_eq!(cluster.ask("b"), LeaseReply::Nothing);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]).unwrap().cede, [Cession { lease: grant.lease, points: 2 }]);
    cluster.tell(&rest);
    let asked = cluster.heartbeat("a", &[grant.lease, rest.lease]).unwrap().cede;
    assert_eq!(asked, [Cession { lease: rest.lease, points: 3 }]);
}

#[test]
fn those_with_nothing_to_do_are_counted_once_a_second() {
    let (mut cluster, grant) = hoard();
    let rest = cluster.lease("a");
    let asked = |worker: Option<&str>, cluster: &mut Cluster| {
        if let Some(worker) = worker {
            cluster.register(worker, 2);
            assert_eq!(cluster.ask(worker), LeaseReply::Nothing);
        }
        let cede = cluster.heartbeat("a", &[grant.lease, rest.lease]).unwrap().cede;
        cede.iter().map(|cession| cession.points).sum::<u64>()
    };
    assert_eq!([asked(Some("b"), &mut cluster), asked(Some("c"), &mut cluster)], [3, 3]);
    cluster.now += Duration::from_secs(1);
    assert_eq!(asked(None, &mut cluster), 4, "two thirds of six");
}
