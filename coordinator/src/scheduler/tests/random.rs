//! Random schedules: workers that join, work, fail, fall silent and come back as if nothing had happened; restarts in
//! between. The [`Ledger`](super::Ledger) holds the invariants after every change.

use proptest::prelude::*;

use super::*;

/// One event: what, and two numbers that choose of whom and how.
type Event = (u8, usize, u64);

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0_u8..18, 0_usize..1000, 0_u64..1000), 1..150)
}

/// Plays events on a cluster. `played` sees the cluster after each.
pub(crate) fn play(events: Vec<Event>, mut played: impl FnMut(&mut Cluster)) -> Cluster {
    let backoff = Duration::from_secs(20);
    let hard_deadline = Some(HardDeadline { factor: 2.0, least: Duration::from_secs(30) });
    let mut cluster = Cluster::under(Settings {
        hard_deadline,
        retry_backoff: backoff,
        breaker: Some(Breaker { points: 3, share: 0.3 }),
        ..settings()
    });
    cluster.create(23);
    cluster.submit(200, Submission { user: User("ann".into()), ..Submission::default() });
    let mut leases: Vec<(String, Grant)> = Vec::new();
    for (kind, who, how) in events {
        let worker = format!("w{}", who % 4);
        let lease = if leases.is_empty() { None } else { Some(leases[who % leases.len()].clone()) };
        match (kind, lease) {
            (0 | 1, _) => cluster.register(&worker, 1 + u32::try_from(how % 4).unwrap()),
            (2..=4, _) => {
                if let Ok(decision) = cluster.scheduler.on_lease_request(&worker.as_str().into(), cluster.now)
                    && let LeaseReply::Granted(grant) = cluster.apply(decision)
                {
                    if how % 4 > 0 {
                        cluster.tell(&grant);
                    }
                    leases.push((worker, grant));
                }
            }
            (5, Some((_, grant))) => {
                let points = points(&grant);
                let point = points[usize::try_from(how).unwrap() % points.len()];
                cluster.report(grant.lease, &[(point, how), (point, how + 1)]).unwrap();
            }
            (6..=8, Some((_, grant))) => {
                let mut outcomes = points(&grant).into_iter().map(|point| match (point + how) % 7 {
                    0 => (point, failed("a failure", false)),
                    1 if how % 5 == 0 => (point, failed("for good", true)),
                    // Wrong where records were reported, right elsewhere.
                    _ => (point, COMPLETED),
                });
                let some = if how % 2 == 0 { outcomes.collect() } else { outcomes.by_ref().take(2).collect() };
                cluster.finish(grant.lease, some);
            }
            (9, Some((holder, grant))) if how % 2 == 0 => drop(cluster.heartbeat(&holder, &[grant.lease])),
            (9, Some((holder, grant))) => {
                let running = [(points(&grant)[0], 0.25)];
                drop(cluster.beat(&holder, &[(grant.lease, &running)]));
            }
            (10, Some((_, grant))) => {
                let released = cluster.scheduler.on_release(grant.lease);
                cluster.apply(released);
            }
            (11, _) => drop(cluster.pass(how % 70)),
            (12, _) if how % 4 == 0 => cluster.restart(),
            (12, _) if how % 4 == 2 => cluster.reload(),
            (12, _) => {
                if let Ok(decision) = cluster.scheduler.on_retry(SweepKey(1 + how / 2 % 2)) {
                    cluster.apply(decision);
                }
            }
            (13, _) if how % 10 == 0 => {
                let cancelled = cluster.scheduler.on_cancel(SweepKey(2)).unwrap();
                cluster.apply(cancelled);
            }
            (14, _) => {
                let key = SweepKey(1 + how % 2);
                let switch = if how % 3 == 0 { Scheduler::on_pause } else { Scheduler::on_resume };
                let switched = switch(&mut cluster.scheduler, key).unwrap();
                cluster.apply(switched);
            }
            (15, _) => {
                let priority = i32::try_from(how % 3).unwrap();
                let prioritised = cluster.scheduler.on_prioritise(SweepKey(1 + how / 3 % 2), priority).unwrap();
                cluster.apply(prioritised);
            }
            (16, Some((holder, grant))) => {
                let stored = cluster.ledger.reported(grant.lease);
                let acknowledged = |point| stored.get(&point).map_or(0, |reported| reported.records);
                let kept = points(&grant).into_iter().map(|point| (point, acknowledged(point), (point + how) % 3 > 0));
                let kept: Vec<_> = kept.take(1 + who % 5).collect();
                if let Some(Heir { lease, points }) = cluster.reclaim(&holder, grant.lease, &kept) {
                    let tasks = points.iter().map(|point| (point, 1)).collect();
                    leases.push((holder, Grant { lease, tasks }));
                }
            }
            (17, Some((_, grant))) => {
                let ceded = points(&grant).into_iter().rev().take(1 + who % 3).collect();
                let ceded = cluster.scheduler.on_cede(grant.lease, &ceded);
                cluster.apply(ceded);
            }
            _ => {}
        }
        cluster.scheduler.check_queue();
        played(&mut cluster);
    }
    cluster
}

/// Lets one good worker do all that is left, of paused sweeps too.
fn work_off(cluster: &mut Cluster) {
    cluster.pass(1000);
    loop {
        cluster.register("good", 4);
        match cluster.ask("good") {
            LeaseReply::Granted(grant) => drop(cluster.complete(&grant)),
            // What was set back waits.
            _ if cluster.scheduler.next_return().is_some() => {}
            _ if resume_all(cluster) => {}
            _ => break,
        }
        cluster.pass(1);
    }
}

/// False if none was paused.
fn resume_all(cluster: &mut Cluster) -> bool {
    let resume = |key| {
        let resumed = cluster.scheduler.on_resume(key).unwrap();
        !resumed.changes.is_empty() && cluster.apply(resumed) == SweepState::Running
    };
    [SweepKey(1), SweepKey(2)].map(resume).contains(&true)
}

proptest! {
    #[test]
    fn whatever_happens_the_changes_say_all_and_every_sweep_ends(events in events()) {
        let mut cluster = play(events, |cluster| assert_eq!(cluster.scheduler.snapshot(), cluster.ledger.snapshot()));
        work_off(&mut cluster);
        for sweep in cluster.ledger.snapshot() {
            prop_assert_eq!(cluster.scheduler.state(sweep.key), Some(sweep.state));
            let progress = cluster.scheduler.progress(sweep.key, cluster.now).unwrap();
            prop_assert_eq!(progress.leased, 0);
            if sweep.state != SweepState::Cancelled {
                prop_assert_eq!(sweep.state, SweepState::Completed);
                prop_assert_eq!(progress.finished + progress.failed, progress.size);
                prop_assert_eq!(progress.work_done, 1.0);
            }
        }
    }

    #[test]
    fn points_by_state_always_add_up(events in events()) {
        play(events, |cluster| {
            for key in [SweepKey(1), SweepKey(2)] {
                let Progress { size, finished, failed, leased, pending, work_done, .. } =
                    cluster.scheduler.progress(key, cluster.now).unwrap();
                assert_eq!(finished + failed + leased + pending, size);
                assert!((0.0..=1.0).contains(&work_done));
            }
        });
    }
}
