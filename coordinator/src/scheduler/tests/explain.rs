use super::*;

fn explain(cluster: &Cluster, point: u64) -> Standing {
    cluster.scheduler.explain(SweepKey(1), point, cluster.now).unwrap()
}

fn start(cluster: &Cluster, point: u64) -> Start {
    let Standing::Held { start, .. } = explain(cluster, point) else { panic!("{point} is not held") };
    start
}

#[test]
fn a_point_that_waits_is_told_all_that_is_before_it() {
    let mut cluster = Cluster::with_sweep(9);
    cluster.create(9);
    assert_eq!(explain(&cluster, 4), Standing::Waiting(vec![Obstacle::NoWorker, Obstacle::PointsAhead(4)]));
    cluster.register("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(explain(&cluster, 4), Standing::Waiting(vec![Obstacle::PointsAhead(2)]));
    let released = cluster.scheduler.on_release(grant.lease);
    cluster.apply(released);
    assert_eq!(explain(&cluster, 0), Standing::Waiting(vec![]), "the next that asks gets it");
    let second = cluster.scheduler.explain(SweepKey(2), 0, cluster.now).unwrap();
    assert_eq!(second, Standing::Waiting(vec![Obstacle::SweepsAhead(1)]));
    let paused = cluster.scheduler.on_pause(SweepKey(1)).unwrap();
    cluster.apply(paused);
    assert_eq!(explain(&cluster, 4), Standing::Waiting(vec![Obstacle::Paused(None), Obstacle::PointsAhead(4)]));
    assert_eq!(cluster.scheduler.explain(SweepKey(2), 0, cluster.now).unwrap(), Standing::Waiting(vec![]));
}

#[test]
fn a_point_that_is_held_is_told_by_whom_and_how_far_it_is() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let (first, ahead) = (cluster.lease("a"), cluster.lease("a"));
    let held = Held { lease: first.lease, running: vec![(0, 0.5)] };
    let beat = cluster.scheduler.on_heartbeat(&"a".into(), vec![held], cluster.now).unwrap();
    cluster.apply(beat);
    assert_eq!(start(&cluster, 0), Start::Running(Some(0.5)));
    assert_eq!(start(&cluster, 1), Start::Running(None), "a slot was free for it");
    assert_eq!((start(&cluster, 2), start(&cluster, 3)), (Start::After(2), Start::After(3)));
    let Standing::Held { lease, worker, since, .. } = explain(&cluster, 3) else { panic!("not held") };
    assert_eq!((lease, worker, since), (ahead.lease, "a".into(), cluster.now));
}

#[test]
fn a_point_that_has_ended_is_told_how() {
    let mut cluster = Cluster::with_sweep(3).with_worker("a", 2);
    let grant = cluster.lease("a");
    cluster.finish(grant.lease, vec![(0, COMPLETED), (1, failed("a defect", true))]);
    let cancelled = cluster.scheduler.on_cancel(SweepKey(1)).unwrap();
    cluster.apply(cancelled);
    assert_eq!(
        [0, 1, 2].map(|point| explain(&cluster, point)),
        [Standing::Finished, Standing::Failed, Standing::GivenUp]
    );
    let none = cluster.scheduler.explain(SweepKey(1), 3, cluster.now);
    assert_eq!(none, Err(Refused::UnknownPoint { point: 3, size: 3 }));
}
