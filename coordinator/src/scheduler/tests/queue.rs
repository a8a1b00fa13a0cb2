use super::*;

fn of(user: &str) -> Submission {
    Submission { user: User(user.into()), ..Submission::default() }
}

fn prioritise(cluster: &mut Cluster, sweep: SweepKey, priority: i32) {
    let decision = cluster.scheduler.on_prioritise(sweep, priority).unwrap();
    cluster.apply(decision);
}

/// Whose sweeps the next leases are of.
fn serve(cluster: &mut Cluster, leases: usize) -> Vec<u64> {
    (0..leases).map(|_| cluster.lease("a").lease.sweep.0).collect()
}

#[test]
fn a_higher_priority_is_served_first_and_may_change_at_any_time() {
    let mut cluster = Cluster::empty().with_worker("a", 1);
    let [low, high] = [cluster.create(9), cluster.create(9)];
    prioritise(&mut cluster, high, 5);
    assert_eq!(serve(&mut cluster, 2), [2, 2]);
    prioritise(&mut cluster, low, 6);
    assert_eq!(serve(&mut cluster, 2), [1, 1]);
    prioritise(&mut cluster, low, -1);
    cluster.restart();
    cluster.register("a", 1);
    assert_eq!(serve(&mut cluster, 1), [2]);
    let waiting = cluster.scheduler.explain(low, 8, cluster.now).unwrap();
    assert_eq!(waiting, Standing::Waiting(vec![Obstacle::SweepsAhead(1), Obstacle::PointsAhead(6)]));
}

#[test]
fn users_of_one_cluster_share_its_slots_however_many_sweeps_each_has() {
    let mut cluster = Cluster::empty().with_worker("a", 2);
    for user in ["ann", "ann", "ann", "bob"] {
        cluster.submit(100, of(user));
    }
    assert_eq!(serve(&mut cluster, 6), [1, 4, 1, 4, 1, 4], "ann's oldest and bob's in turns");
}

#[test]
fn a_user_whose_leases_last_gets_no_more_slots_than_one_whose_leases_end_at_once() {
    let mut cluster = Cluster::empty().with_worker("a", 2);
    cluster.submit(100, of("ann"));
    cluster.submit(100, of("bob"));
    let of_ann = cluster.lease("a");
    for _ in 0..5 {
        let of_bob = cluster.lease("a");
        assert_eq!((of_ann.lease.sweep.0, of_bob.lease.sweep.0), (1, 2), "bob holds nothing and ann something");
        cluster.now += Duration::from_secs(1);
        cluster.complete(&of_bob);
    }
    cluster.restart();
    cluster.register("a", 2);
    assert_eq!(serve(&mut cluster, 1), [2], "after a restart too");
}

#[test]
fn one_worker_serves_its_users_in_turns() {
    let mut cluster = Cluster::empty().with_worker("a", 1);
    cluster.submit(100, of("ann"));
    cluster.submit(100, of("bob"));
    let served: Vec<_> = (0..4)
        .map(|_| {
            let grant = cluster.lease("a");
            cluster.now += Duration::from_secs(10);
            cluster.complete(&grant);
            grant.lease.sweep.0
        })
        .collect();
    assert_eq!(served, [1, 2, 1, 2]);
}

#[test]
fn a_sweep_of_which_nothing_can_be_leased_is_not_looked_at() {
    let mut cluster = Cluster::empty().with_worker("a", 4);
    let [first, second] = [cluster.create(4), cluster.create(4)];
    assert_eq!(cluster.lease("a").lease.sweep, first);
    assert!(cluster.scheduler.take_news());
    assert_eq!(cluster.lease("a").lease.sweep, second);
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
    assert!(!cluster.scheduler.take_news(), "nobody else needs to ask");
    cluster.pass(60);
    assert!(cluster.scheduler.take_news(), "what was lost can be leased again");
}
