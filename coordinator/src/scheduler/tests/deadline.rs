use super::*;

/// Points that take ten seconds each, as the first has told, and a minute at least until a worker is said to hang.
fn cluster() -> Cluster {
    let hard_deadline = Some(HardDeadline { factor: 10.0, least: Duration::from_secs(60) });
    let mut cluster = Cluster::under(Settings { hard_deadline, ..settings() }).with_worker("a", 1);
    cluster.create(9);
    let grant = cluster.lease("a");
    cluster.now += Duration::from_secs(10);
    cluster.complete(&grant);
    cluster
}

/// Lets time pass in heartbeats that say the same, until an answer says something.
fn hang(cluster: &mut Cluster, held: &[(LeaseKey, &[(u64, f64)])]) -> (u64, HeartbeatReply) {
    for beats in 1..1000 {
        cluster.pass(10);
        let reply = cluster.beat("a", held).unwrap();
        if reply != HeartbeatReply::default() {
            return (10 * beats, reply);
        }
    }
    panic!("it hangs for ever")
}

#[test]
fn a_worker_that_lives_and_makes_no_progress_loses_what_it_started_and_gets_no_more() {
    let mut cluster = cluster();
    let (hung, ahead) = (cluster.lease("a"), cluster.lease("a"));
    let (after, reply) = hang(&mut cluster, &[(hung.lease, &[(1, 0.5)]), (ahead.lease, &[])]);
    // The first heartbeat told of a point that runs; then ten times the ten seconds that it should take.
    assert_eq!(after, 10 + 110);
    assert_eq!(reply, HeartbeatReply { dropped: vec![hung.lease, ahead.lease], drain: true, cede: vec![] });
    assert_eq!(cluster.complete(&hung), Verdict::Stale);
    assert_eq!(cluster.ask("a"), LeaseReply::Drain);
    cluster.register("b", 1);
    assert_eq!(cluster.lease("b").tasks, [(1, 2)], "an attempt was made");
    assert_eq!(cluster.lease("b").tasks, [(2, 1)], "none was of what waited behind it");
}

#[test]
fn whatever_moves_is_left_alone_however_slow() {
    let mut cluster = cluster();
    let grant = cluster.lease("a");
    for beat in 1..200 {
        cluster.pass(50);
        if beat % 4 == 0 {
            cluster.report(grant.lease, &[(1, beat)]).unwrap();
        }
        let share = f64::from(u32::try_from(beat / 2).unwrap()) / 100.0;
        assert_eq!(cluster.beat("a", &[(grant.lease, &[(1, share)])]), Ok(HeartbeatReply::default()));
    }
}

#[test]
fn short_points_have_some_time_at_least() {
    let mut cluster = Cluster::with_sweep(9);
    let hard_deadline = Some(HardDeadline { factor: 10.0, least: Duration::from_secs(60) });
    cluster = Cluster { settings: Settings { hard_deadline, ..settings() }, ..cluster };
    cluster.restart();
    cluster.register("a", 1);
    // A point that took no time at all.
    let grant = cluster.lease("a");
    cluster.complete(&grant);
    let grant = cluster.lease("a");
    assert_eq!(hang(&mut cluster, &[(grant.lease, &[(1, 0.0)])]).0, 10 + 70);
}

/// A worker that hangs on its first lease, as long as that is its own; at most for so many seconds.
fn seconds_of_patience(hard_deadline: Option<HardDeadline>, most: u64) -> u64 {
    let mut cluster = Cluster::under(Settings { hard_deadline, ..settings() }).with_worker("a", 1);
    cluster.create(9);
    let grant = cluster.lease("a");
    let held: &[(u64, f64)] = &[(points(&grant)[0], 0.5)];
    let lives = |cluster: &mut Cluster| cluster.beat("a", &[(grant.lease, held)]) == Ok(HeartbeatReply::default());
    let mut seconds = 0;
    while seconds < most && lives(&mut cluster) {
        cluster.pass(50);
        seconds += 50;
    }
    seconds
}

#[test]
fn before_there_is_a_pace_patience_is_the_factor_times_the_least() {
    let hard_deadline = Some(HardDeadline { factor: 10.0, least: Duration::from_secs(60) });
    assert_eq!(seconds_of_patience(hard_deadline, 50_000), 650);
    assert_eq!(seconds_of_patience(None, 50_000), 50_000, "off is off");
}

#[test]
fn what_waits_behind_a_reclaimed_lease_is_not_taken_for_what_hangs() {
    let mut cluster = cluster();
    let lost = cluster.lease("a");
    cluster.pass(61);
    cluster.register("a", 1);
    cluster.register("b", 1);
    let [_, meanwhile] = ["b", "a"].map(|worker| cluster.lease(worker));
    assert_eq!(points(&meanwhile), [2]);
    cluster.now += Duration::from_secs(1);
    let heir = cluster.reclaim("a", lost.lease, &[(1, 0, false)]).unwrap();
    for beat in 1..100_u32 {
        cluster.pass(50);
        let running = [(1, f64::from(beat) / 100.0)];
        let reply = cluster.beat("a", &[(heir.lease, &running), (meanwhile.lease, &[])]);
        assert_eq!(reply, Ok(HeartbeatReply::default()));
    }
}
