use super::*;

#[test]
fn a_silent_worker_loses_its_lease_and_only_started_points_are_charged() {
    let mut cluster = Cluster::with_sweep(100).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.complete(&grant);
    let grant = cluster.lease("a");
    assert!(grant.tasks.len() > 4, "{grant:?}");
    cluster.finish(grant.lease, vec![(2, COMPLETED)]);
    cluster.pass(60);
    cluster.register("b", 4);
    // 2 was finished; 3 and 4 are the first two unfinished points, and so were running.
    assert_eq!(cluster.lease("b").tasks[..4], [(3, 2), (4, 2), (5, 1), (6, 1)]);
    assert_eq!(cluster.complete(&grant), Verdict::Stale);
}

#[test]
fn a_lease_fetched_ahead_is_charged_only_for_slots_that_were_free() {
    let mut cluster = Cluster::with_sweep(6).with_worker("a", 2);
    let (first, ahead) = (cluster.lease("a"), cluster.lease("a"));
    cluster.finish(first.lease, vec![(0, COMPLETED)]);
    cluster.pass(60);
    cluster.register("b", 4);
    assert_eq!(points(&ahead), [2, 3]);
    assert_eq!(cluster.lease("b").tasks[..3], [(1, 2), (2, 2), (3, 1)]);
}

#[test]
fn a_lease_fetched_ahead_that_ends_later_is_not_charged_for_slots_that_were_taken() {
    let mut cluster = Cluster::with_sweep(6).with_worker("a", 2);
    cluster.lease("a");
    cluster.pass(30);
    cluster.lease("a");
    cluster.pass(30);
    cluster.pass(30);
    cluster.register("b", 6);
    let attempts = std::iter::from_fn(|| match cluster.ask("b") {
        LeaseReply::Granted(grant) => Some(grant.tasks),
        _ => None,
    });
    assert_eq!(attempts.flatten().collect::<Vec<_>>()[..4], [(0, 2), (1, 2), (2, 1), (3, 1)]);
}

#[test]
fn a_point_that_was_spoken_of_had_been_started_wherever_it_stands() {
    let mut cluster = Cluster::with_sweep(6).with_worker("a", 1);
    let (_, ahead) = (cluster.lease("a"), cluster.lease("a"));
    cluster.report(ahead.lease, &[(1, 0)]).unwrap();
    cluster.pass(60);
    cluster.register("b", 1);
    assert_eq!((cluster.lease("b").tasks, cluster.lease("b").tasks), (vec![(0, 2)], vec![(1, 2)]));
}

#[test]
fn heartbeats_keep_the_leases_they_name() {
    let mut cluster = Cluster::with_sweep(100).with_worker("a", 2);
    let (kept, orphan) = (cluster.lease("a"), cluster.lease("a"));
    for _ in 0..12 {
        cluster.pass(10);
        assert_eq!(cluster.heartbeat("a", &[kept.lease]), Ok(HeartbeatReply::default()));
    }
    assert_eq!(cluster.complete(&kept), Verdict::Accepted);
    assert_eq!(cluster.complete(&orphan), Verdict::Stale, "its answer never reached the worker");
    assert_eq!(cluster.lease("a").tasks[..2], [(2, 1), (3, 1)], "so no attempt was made");
}

#[test]
fn a_heartbeat_names_what_the_worker_no_longer_holds() {
    let mut cluster = Cluster::with_sweep(100).with_worker("a", 2).with_worker("b", 2);
    let (lost, of_b) = (cluster.lease("a"), cluster.lease("b"));
    cluster.pass(60);
    cluster.register("a", 2);
    let reply = cluster.heartbeat("a", &[lost.lease, of_b.lease]).unwrap();
    assert_eq!(reply.dropped, [lost.lease, of_b.lease]);
}

#[test]
fn a_point_that_is_lost_too_often_is_set_aside() {
    let mut cluster = Cluster::with_sweep(1);
    for attempt in 1..=3 {
        cluster.register("a", 1);
        assert_eq!(cluster.lease("a").tasks, [(0, attempt)]);
        cluster.pass(60);
    }
    assert_eq!(cluster.state(), SweepState::Completed);
    assert_eq!(cluster.progress().failed, 1);
}

#[test]
fn neighbours_of_a_point_that_kills_workers_are_not_set_aside_with_it() {
    let mut cluster = Cluster::with_sweep(4);
    for _ in 0..20 {
        cluster.register("a", 4);
        let LeaseReply::Granted(grant) = cluster.ask("a") else { break };
        match points(&grant).contains(&1) {
            true => drop(cluster.pass(60)),
            false => drop(cluster.complete(&grant)),
        }
    }
    assert_eq!(cluster.state(), SweepState::Completed);
    assert_eq!((cluster.progress().finished, cluster.progress().failed), (3, 1));
}

#[test]
fn the_tick_says_when_to_look_again() {
    let mut cluster = Cluster::with_sweep(9);
    assert_eq!(cluster.pass(0), None, "nothing can expire");
    cluster.register("a", 1);
    cluster.lease("a");
    let first = cluster.now + Duration::from_secs(60);
    cluster.pass(20);
    cluster.register("b", 1);
    assert_eq!(cluster.pass(0), Some(first));
    assert_eq!(cluster.pass(40), Some(first + Duration::from_secs(20)), "then b has been silent for as long");
}

#[test]
fn workers_silent_for_a_lease_time_are_forgotten() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 1);
    cluster.pass(59);
    assert_eq!(cluster.scheduler.workers().count(), 1);
    cluster.pass(1);
    assert_eq!(cluster.scheduler.workers().count(), 0);
}

#[test]
fn a_worker_rides_out_a_restart_with_its_lease_and_its_records() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.report(grant.lease, &[(0, 0), (1, 0)]).unwrap();
    cluster.finish(grant.lease, vec![(0, Outcome::Completed { records: 1 })]);
    cluster.restart();
    assert_eq!(cluster.heartbeat("a", &[grant.lease]), Err(Refused::UnknownWorker("a".into())));
    cluster.register("a", 2);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]), Ok(HeartbeatReply::default()));
    cluster.report(grant.lease, &[(1, 5)]).unwrap();
    let again = (0, Outcome::Completed { records: 1 });
    assert_eq!(cluster.finish(grant.lease, vec![again, (1, Outcome::Completed { records: 2 })]), Verdict::Accepted);
    assert_eq!(cluster.progress().finished, 2);
}

#[test]
fn after_a_restart_a_lease_has_its_whole_time_again() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    cluster.lease("a");
    cluster.now += Duration::from_secs(3600);
    cluster.restart();
    cluster.pass(59);
    assert_eq!(cluster.progress().leased, 2);
    cluster.pass(1);
    assert_eq!(cluster.progress().leased, 0);
}

#[test]
fn a_lease_of_which_its_worker_was_never_told_is_charged_to_nobody() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 3);
    let grant = cluster.lease_untold("a");
    // A result that was there already is on its way into the store.
    cluster.report(grant.lease, &[(1, 0)]).unwrap();
    cluster.pass(60);
    cluster.register("b", 3);
    assert_eq!(cluster.lease("b").tasks, [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn a_lease_whose_answer_was_long_in_coming_has_its_time_from_then_on() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 3);
    let grant = cluster.lease_untold("a");
    cluster.pass(50);
    cluster.heartbeat("a", &[]).unwrap();
    cluster.tell(&grant);
    cluster.pass(50);
    assert_eq!(cluster.heartbeat("a", &[grant.lease]), Ok(HeartbeatReply::default()));
    cluster.pass(60);
    cluster.register("b", 3);
    assert_eq!(cluster.lease("b").tasks, [(0, 2), (1, 2), (2, 2)]);
}

#[test]
fn a_lease_of_which_results_were_there_is_an_orphan_too_if_its_answer_never_arrives() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 3);
    let grant = cluster.lease_untold("a");
    cluster.finish(grant.lease, vec![(0, COMPLETED)]);
    cluster.tell(&grant);
    for _ in 0..6 {
        cluster.pass(10);
        cluster.heartbeat("a", &[]).unwrap();
    }
    assert_eq!(cluster.lease("a").tasks, [(1, 1), (2, 1)]);
}
