use super::*;

/// A sweep of so many points that is paused once three of them, and more than half of those that ended, are set aside.
fn cluster(size: u64) -> Cluster {
    let breaker = Some(Breaker { points: 3, share: 0.5 });
    let mut cluster = Cluster::under(Settings { breaker, ..settings() }).with_worker("a", 1);
    cluster.create(size);
    cluster
}

/// Ends the next points, one after the other: those for which it is true by a failure for good.
fn end(cluster: &mut Cluster, fails: &[bool]) {
    for fails in fails {
        cluster.now += Duration::from_secs(10);
        let grant = cluster.lease("a");
        let outcome = if *fails { failed("the loss is not finite", true) } else { COMPLETED };
        cluster.finish(grant.lease, vec![(points(&grant)[0], outcome)]);
        let released = cluster.scheduler.on_release(grant.lease);
        cluster.apply(released);
    }
}

fn resume(cluster: &mut Cluster) {
    let resumed = cluster.scheduler.on_resume(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(resumed), SweepState::Running);
}

#[test]
fn a_sweep_of_which_most_fails_is_paused_with_the_reason() {
    let mut cluster = cluster(9);
    end(&mut cluster, &[true, false, true]);
    assert_eq!(cluster.state(), SweepState::Running, "two are too few to tell");
    end(&mut cluster, &[true]);
    assert_eq!(cluster.state(), SweepState::Paused);
    let reason = cluster.scheduler.pause_reason(SweepKey(1)).unwrap();
    let expected = "3 of the 4 points that have ended failed, the last of them: the loss is not finite";
    assert_eq!(&*reason, expected);
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
    cluster.restart();
    assert_eq!(cluster.scheduler.pause_reason(SweepKey(1)).as_deref(), Some(expected));
    resume(&mut cluster);
    assert_eq!(cluster.scheduler.pause_reason(SweepKey(1)), None);
}

#[test]
fn a_region_that_fails_in_a_map_that_does_not_is_no_reason() {
    let mut cluster = cluster(20);
    end(&mut cluster, &[false; 6]);
    end(&mut cluster, &[true; 6]);
    assert_eq!(cluster.state(), SweepState::Running, "half is not more than half");
    end(&mut cluster, &[true]);
    assert_eq!(cluster.state(), SweepState::Paused);
}

#[test]
fn attempts_that_fail_or_are_lost_do_not_count_while_the_points_may_be_tried_again() {
    let mut cluster = cluster(9).with_worker("b", 4);
    let grant = cluster.lease("b");
    cluster
        .finish(grant.lease, points(&grant).into_iter().map(|point| (point, failed("out of memory", false))).collect());
    cluster.lease("b");
    cluster.pass(60);
    assert_eq!((cluster.state(), cluster.progress().failed), (SweepState::Running, 0));
    cluster.register("a", 1);
    for _ in 0..3 {
        let grant = cluster.lease("a");
        assert_eq!(grant.tasks[0].1, 3, "each has its last attempt");
        cluster.finish(grant.lease, vec![(grant.tasks[0].0, failed("out of memory", false))]);
    }
    assert_eq!(cluster.state(), SweepState::Paused);
}

#[test]
fn whoever_resumes_is_not_stopped_again_over_a_restart_too_until_the_failed_points_are_retried() {
    let mut cluster = cluster(20);
    end(&mut cluster, &[true; 3]);
    resume(&mut cluster);
    end(&mut cluster, &[true; 2]);
    cluster.restart();
    cluster.register("a", 1);
    end(&mut cluster, &[true; 2]);
    assert_eq!(cluster.state(), SweepState::Running);
    let retried = cluster.scheduler.on_retry(SweepKey(1)).unwrap();
    assert_eq!(cluster.apply(retried), 7);
    end(&mut cluster, &[true; 3]);
    assert_eq!(cluster.state(), SweepState::Paused);
}

#[test]
fn a_sweep_that_a_person_paused_is_not_armed_less_and_one_that_is_over_is_completed() {
    let mut cluster = cluster(4);
    end(&mut cluster, &[true; 2]);
    let paused = cluster.scheduler.on_pause(SweepKey(1)).unwrap();
    cluster.apply(paused);
    resume(&mut cluster);
    end(&mut cluster, &[true]);
    assert_eq!(cluster.state(), SweepState::Paused);
    resume(&mut cluster);
    end(&mut cluster, &[true]);
    assert_eq!(cluster.state(), SweepState::Completed);
}
