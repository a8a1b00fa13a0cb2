use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// One point, one worker, and a second to wait after the first attempt.
fn cluster(max_attempts: u32) -> Cluster {
    let mut cluster =
        Cluster::under(Settings { retry_backoff: SECOND, max_attempts, ..settings() }).with_worker("a", 1);
    cluster.create(1);
    cluster
}

fn fail(cluster: &mut Cluster) {
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, failed("out of memory", false))]);
}

/// How long it takes until there is work again.
fn wait(cluster: &mut Cluster) -> Duration {
    let before = cluster.now;
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
    cluster.scheduler.take_news();
    cluster.now = cluster.scheduler.next_return().unwrap();
    let tick = cluster.scheduler.on_tick(cluster.now);
    cluster.apply(tick);
    assert!(cluster.scheduler.take_news(), "who waits is to be asked again");
    cluster.register("a", 1);
    cluster.now - before
}

#[test]
fn each_wait_is_twice_as_long_as_the_one_before_up_to_an_hour() {
    let mut cluster = cluster(60);
    let mut waits = Vec::new();
    for _ in 0..15 {
        fail(&mut cluster);
        waits.push(wait(&mut cluster).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]);
}

#[test]
fn a_point_whose_worker_fell_silent_waits_too_and_the_others_do_not() {
    let mut cluster = Cluster::under(Settings { retry_backoff: SECOND, ..settings() }).with_worker("a", 2);
    cluster.create(9);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, COMPLETED)]);
    cluster.pass(60);
    cluster.register("b", 2);
    assert_eq!(points(&cluster.lease("b"))[0], 2);
    let Standing::Waiting(obstacles) = cluster.scheduler.explain(SweepKey(1), 1, cluster.now).unwrap() else {
        panic!()
    };
    assert_eq!(obstacles[0], Obstacle::BackingOff(SECOND));
    cluster.now += SECOND;
    assert_eq!(points(&cluster.lease("b"))[0], 1, "whoever asks first gets it, tick or not");
}

#[test]
fn what_waits_is_pending_for_people_and_the_sweep_does_not_end_without_it() {
    let mut cluster = cluster(3);
    fail(&mut cluster);
    let progress = cluster.progress();
    assert_eq!((cluster.state(), progress.pending, progress.leased), (SweepState::Running, 1, 0));
}

#[test]
fn after_a_restart_the_wait_begins_anew() {
    let mut cluster = cluster(9);
    fail(&mut cluster);
    wait(&mut cluster);
    fail(&mut cluster);
    cluster.now += SECOND;
    cluster.restart();
    cluster.register("a", 1);
    assert_eq!(wait(&mut cluster), 2 * SECOND);
}

#[test]
fn a_person_who_retries_a_failed_point_does_not_wait() {
    let mut cluster = cluster(1);
    fail(&mut cluster);
    let retried = cluster.scheduler.on_retry(SweepKey(1)).unwrap();
    cluster.apply(retried);
    assert_eq!(cluster.lease("a").tasks, [(0, 1)]);
}
