use super::*;

/// A sweep of six points of which `a` held three and was not heard of any more; `b` is there.
fn lost() -> (Cluster, Grant) {
    let mut cluster = Cluster::with_sweep(6).with_worker("a", 3).with_worker("b", 3);
    let grant = cluster.lease("a");
    assert_eq!(points(&grant), [0, 1, 2]);
    cluster.report(grant.lease, &[(0, 0), (0, 1), (1, 0)]).unwrap();
    cluster.pass(61);
    cluster.register("a", 3);
    cluster.register("b", 3);
    (cluster, grant)
}

#[test]
fn what_nobody_has_taken_is_the_workers_again_with_its_records() {
    let (mut cluster, grant) = lost();
    let reclaimed = cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, false)]).unwrap();
    assert_eq!(reclaimed.points.iter().collect::<Vec<_>>(), [0, 1]);
    let lease = reclaimed.lease;
    assert_eq!(cluster.report(grant.lease, &[(0, 2)]), Ok(Verdict::Stale));
    // Records that were on the way are sent again; those that arrived count once.
    assert_eq!(cluster.report(lease, &[(0, 1), (0, 2)]), Ok(Verdict::Accepted));
    let finished = cluster.finish(lease, vec![(0, Outcome::Completed { records: 3 })]);
    assert_eq!((finished, cluster.progress().finished), (Verdict::Accepted, 1));
    assert_eq!(points(&cluster.lease("b")), [2, 3], "what was not reclaimed is pending");
}

#[test]
fn asked_twice_the_answer_is_the_same() {
    let (mut cluster, grant) = lost();
    let first = cluster.reclaim("a", grant.lease, &[(0, 2, true)]);
    assert!(first.is_some());
    cluster.ledger.take_changes();
    assert_eq!(cluster.reclaim("a", grant.lease, &[(0, 2, true)]), first);
    assert_eq!(cluster.ledger.take_changes(), []);
}

#[test]
fn what_was_computed_is_had_from_whoever_holds_it_and_what_still_runs_is_not() {
    let (mut cluster, grant) = lost();
    let other = cluster.lease("b");
    assert_eq!(points(&other), [0, 1, 2]);
    cluster.report(other.lease, &[(1, 0)]).unwrap();
    let reclaimed = cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, false)]).unwrap();
    assert_eq!(reclaimed.points.iter().collect::<Vec<_>>(), [0]);
    assert_eq!(cluster.heartbeat("b", &[other.lease]).unwrap().dropped, [other.lease]);
    cluster.register("c", 3);
    assert_eq!(points(&cluster.lease("c")), [2, 3], "what the other one still computes is kept for it, and no more");
    // It goes on with the rest in the same way.
    let rest = cluster.reclaim("b", other.lease, &[(0, 0, true), (1, 1, false)]).unwrap();
    assert_eq!(rest.points.iter().collect::<Vec<_>>(), [1], "what was reclaimed as computed stays");
    assert_eq!(cluster.finish(reclaimed.lease, vec![(0, Outcome::Completed { records: 2 })]), Verdict::Accepted);
}

#[test]
fn a_point_that_finished_elsewhere_stays_so() {
    let (mut cluster, grant) = lost();
    let other = cluster.lease("b");
    cluster.complete(&other);
    assert_eq!(cluster.reclaim("a", grant.lease, &[(0, 0, true)]), None);
}

#[test]
fn nobody_reclaims_what_was_never_his() {
    let (mut cluster, grant) = lost();
    assert_eq!(cluster.reclaim("b", grant.lease, &[(0, 0, true)]), None, "it was another worker's");
    assert_eq!(cluster.reclaim("a", grant.lease, &[(3, 0, true)]), None, "it was not in the lease");
    let never = LeaseKey { epoch: 9, ..grant.lease };
    assert_eq!(cluster.reclaim("a", never, &[(0, 0, true)]), None);
}

#[test]
fn a_point_whose_acknowledged_records_are_gone_is_computed_again() {
    let (mut cluster, grant) = lost();
    let other = cluster.lease("b");
    cluster.finish(other.lease, vec![(0, failed("a failure", false))]);
    let released = cluster.scheduler.on_release(other.lease);
    cluster.apply(released);
    let reclaimed = cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, true)]).unwrap();
    assert_eq!(reclaimed.points.iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_sweep_that_was_cancelled_gives_nothing_back() {
    let (mut cluster, grant) = lost();
    let cancelled = cluster.scheduler.on_cancel(SweepKey(1)).unwrap();
    cluster.apply(cancelled);
    assert_eq!(cluster.reclaim("a", grant.lease, &[(0, 2, true)]), None);
}

#[test]
fn a_point_that_waits_after_its_loss_need_not_wait() {
    let mut cluster = Cluster::under(Settings { retry_backoff: Duration::from_secs(300), ..settings() });
    cluster.create(1);
    cluster.register("a", 1);
    let grant = cluster.lease("a");
    cluster.pass(61);
    cluster.register("a", 1);
    let reclaimed = cluster.reclaim("a", grant.lease, &[(0, 0, true)]).unwrap();
    assert_eq!(cluster.scheduler.next_return(), None);
    assert_eq!(cluster.finish(reclaimed.lease, vec![(0, COMPLETED)]), Verdict::Accepted);
    assert_eq!(cluster.state(), SweepState::Completed);
}

#[test]
fn a_lease_that_is_lost_again_before_its_worker_hears_of_it_is_reclaimed_by_the_name_that_it_knows() {
    let (mut cluster, grant) = lost();
    cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, true)]).unwrap();
    cluster.pass(61);
    cluster.register("a", 3);
    let again = cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, true)]).unwrap();
    assert_eq!(again.points.iter().collect::<Vec<_>>(), [0, 1]);
    let outcomes = [(0, 2), (1, 1)].map(|(point, records)| (point, Outcome::Completed { records }));
    assert_eq!(cluster.finish(again.lease, outcomes.into()), Verdict::Accepted);
    assert_eq!(cluster.progress().finished, 2);
}

#[test]
fn a_lease_that_gave_way_twice_is_reclaimed_by_the_name_that_its_worker_knows() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 1).with_worker("b", 1).with_worker("c", 3);
    let [first, second] = ["a", "b"].map(|worker| cluster.lease(worker).lease);
    cluster.pass(61);
    cluster.register("c", 3);
    let held = cluster.lease("c");
    assert_eq!(points(&held), [0, 1, 2]);
    cluster.report(held.lease, &[(2, 0)]).unwrap();
    cluster.register("a", 1);
    cluster.register("b", 1);
    assert!(cluster.reclaim("a", first, &[(0, 0, true)]).is_some());
    assert!(cluster.reclaim("b", second, &[(1, 0, true)]).is_some());
    let rest = cluster.reclaim("c", held.lease, &[(0, 0, false), (1, 0, false), (2, 1, false)]).unwrap();
    assert_eq!(rest.points.iter().collect::<Vec<_>>(), [2]);
    assert_eq!(cluster.finish(rest.lease, vec![(2, Outcome::Completed { records: 1 })]), Verdict::Accepted);
}

#[test]
fn a_lease_that_is_alive_is_the_workers_and_what_it_does_not_name_is_given_back() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 3);
    let grant = cluster.lease("a");
    let reclaimed = cluster.reclaim("a", grant.lease, &[(1, 0, false)]).unwrap();
    assert_eq!((reclaimed.lease, reclaimed.points.iter().collect::<Vec<_>>()), (grant.lease, vec![1]));
    assert_eq!(cluster.progress().pending, 2);
}

#[test]
fn a_worker_that_drains_gets_back_what_it_has_computed_and_not_what_runs() {
    let (mut cluster, grant) = lost();
    cluster.drain("a");
    let reclaimed = cluster.reclaim("a", grant.lease, &[(0, 2, true), (1, 1, false)]).unwrap();
    assert_eq!(reclaimed.points.iter().collect::<Vec<_>>(), [0]);
}

/// Whoever is cut off is not the only one: `a` and `b` both lost a point that they run, and each was leased the other's.
fn swapped() -> (Cluster, [Grant; 2], [Grant; 2]) {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 1).with_worker("b", 1);
    let lost = ["a", "b"].map(|worker| cluster.lease(worker));
    cluster.pass(61);
    cluster.register("a", 1);
    cluster.register("b", 1);
    let [of_b, of_a] = ["b", "a"].map(|worker| cluster.lease(worker));
    assert_eq!((points(&of_a), points(&of_b)), (vec![1], vec![0]));
    (cluster, lost, [of_a, of_b])
}

#[test]
fn workers_that_were_cut_off_together_keep_what_they_run() {
    let (mut cluster, [lost_by_a, lost_by_b], [of_a, of_b]) = swapped();
    cluster.heartbeat("a", &[lost_by_a.lease, of_a.lease]).unwrap();
    let first = cluster.reclaim("a", lost_by_a.lease, &[(0, 0, false)]).unwrap();
    assert_eq!(cluster.heartbeat("b", &[lost_by_b.lease, of_b.lease]).unwrap().dropped, [lost_by_b.lease, of_b.lease]);
    let second = cluster.reclaim("b", lost_by_b.lease, &[(1, 0, false)]).unwrap();
    for (heir, point) in [(first, 0), (second, 1)] {
        assert_eq!(cluster.finish(heir.lease, vec![(point, COMPLETED)]), Verdict::Accepted);
    }
    assert_eq!(cluster.state(), SweepState::Completed);
}

#[test]
fn what_its_new_holder_has_begun_stays_with_it_unless_it_is_computed() {
    let (mut cluster, [lost, _], [_, of_b]) = swapped();
    cluster.beat("b", &[(of_b.lease, &[(0, 0.0)])]).unwrap();
    assert_eq!(cluster.reclaim("a", lost.lease, &[(0, 0, false)]), None);
    assert!(cluster.reclaim("a", lost.lease, &[(0, 0, true)]).is_some());
}

#[test]
fn of_a_lease_that_gives_way_what_nobody_has_begun_is_pending_at_once() {
    let (mut cluster, lost) = lost();
    let other = cluster.lease("b");
    cluster.reclaim("a", lost.lease, &[(0, 2, true)]).unwrap();
    assert_eq!(cluster.progress().leased, 1, "no lease waits for a worker that knows nothing of it");
    let again = cluster.reclaim("b", other.lease, &[(1, 0, false)]).unwrap();
    assert_eq!(again.points.iter().collect::<Vec<_>>(), [1], "should it have begun some, it asks");
    assert_eq!(points(&cluster.lease("b")), [2, 3]);
}

#[test]
fn a_lease_that_the_worker_got_meanwhile_keeps_its_name_without_what_it_has_twice() {
    let (mut cluster, lost) = lost();
    let meanwhile = cluster.lease("a");
    assert_eq!(points(&meanwhile), [0, 1, 2]);
    let heir = cluster.reclaim("a", lost.lease, &[(0, 2, true), (1, 1, false)]).unwrap();
    assert_eq!(cluster.heartbeat("a", &[heir.lease, meanwhile.lease]), Ok(HeartbeatReply::default()));
    assert_eq!(cluster.finish(meanwhile.lease, vec![(0, COMPLETED)]), Verdict::Stale);
    assert_eq!(cluster.finish(meanwhile.lease, vec![(2, COMPLETED)]), Verdict::Accepted);
    assert_eq!(cluster.finish(heir.lease, vec![(0, Outcome::Completed { records: 2 })]), Verdict::Accepted);
}

#[test]
fn points_that_were_computed_while_nobody_listened_say_nothing_of_the_pace() {
    let (mut cluster, lost) = lost();
    let heir = cluster.reclaim("a", lost.lease, &[(0, 2, true), (1, 1, true), (2, 0, false)]).unwrap();
    let outcomes = [(0, 2), (1, 1), (2, 0)].map(|(point, records)| (point, Outcome::Completed { records }));
    assert_eq!(cluster.finish(heir.lease, outcomes.into()), Verdict::Accepted);
    assert_eq!(cluster.scheduler.sweeps[&SweepKey(1)].pace.time_of(1.0, 1), None);
}

#[test]
fn a_write_that_fails_makes_no_worker_forget_what_it_may_ask_for() {
    let (mut cluster, lost) = lost();
    cluster.reload();
    let heir = cluster.reclaim("a", lost.lease, &[(0, 2, true), (1, 1, false)]).unwrap();
    assert_eq!(heir.points.iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_heir_that_was_never_stored_takes_nobodys_place() {
    let (mut cluster, lost) = lost();
    let unstored = cluster.ledger.snapshot();
    let kept = [Kept { point: 2, acknowledged: 0, computed: true }];
    drop(cluster.scheduler.on_reclaim(&"a".into(), lost.lease, &kept, None, cluster.now).unwrap());
    assert_eq!(cluster.ledger.snapshot(), unstored);
    cluster.reload();
    assert_eq!(points(&cluster.lease("b")), [0, 1, 2], "another lease has the name that the heir would have had");
    assert!(cluster.reclaim("a", lost.lease, &[(2, 0, true)]).is_some());
}

#[test]
fn what_a_worker_runs_is_known_after_a_write_that_fails() {
    let (mut cluster, [lost, _], [_, of_b]) = swapped();
    cluster.beat("b", &[(of_b.lease, &[(0, 0.5)])]).unwrap();
    cluster.reload();
    assert_eq!(cluster.reclaim("a", lost.lease, &[(0, 0, false)]), None);
}
