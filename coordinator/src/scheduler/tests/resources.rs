use super::*;

const GIB: u64 = 1 << 30;

fn needs(device: Option<Device>, memory: u64) -> Submission {
    Submission { requirement: Requirement { device, memory }, ..Submission::default() }
}

fn join(cluster: &mut Cluster, id: &str, device: &str, memory: u64) {
    let registration = Registration { worker: id.into(), slots: 1, device: device.into(), memory };
    let registered = cluster.scheduler.on_register(registration, cluster.now);
    cluster.apply(registered);
}

#[test]
fn a_worker_gets_only_what_it_suits_and_the_others_are_not_held_up() {
    let mut cluster = Cluster::empty();
    let [on_gpus, large, any] =
        [needs(Some(Device::Cuda), 0), needs(None, 64 * GIB), needs(None, 0)].map(|needs| cluster.submit(2, needs));
    join(&mut cluster, "small", "cpu", 16 * GIB);
    assert_eq!(cluster.lease("small").lease.sweep, any, "the oldest are not for it");
    join(&mut cluster, "gpu", "cuda:0,cuda:1", 80 * GIB);
    assert_eq!(cluster.lease("gpu").lease.sweep, on_gpus);
    join(&mut cluster, "large", "cpu", 64 * GIB);
    assert_eq!(cluster.lease("large").lease.sweep, large);
    join(&mut cluster, "who knows", "cpu", 0);
    assert_eq!(cluster.lease("who knows").lease.sweep, any);
    assert_eq!(cluster.ask("who knows"), LeaseReply::Nothing);
}

#[test]
fn a_sweep_whom_no_worker_suits_says_what_it_needs() {
    let mut cluster = Cluster::empty();
    let key = cluster.submit(2, needs(Some(Device::Cuda), 16 * GIB));
    assert_eq!(cluster.scheduler.unmet(key), None, "nobody is there at all");
    join(&mut cluster, "a", "cpu", 64 * GIB);
    join(&mut cluster, "b", "cuda:0", 8 * GIB);
    let needed = cluster.scheduler.unmet(key).unwrap();
    assert_eq!(needed.to_string(), "cuda with 16 GiB");
    let waiting = cluster.scheduler.explain(key, 0, cluster.now).unwrap();
    assert_eq!(waiting, Standing::Waiting(vec![Obstacle::NoWorkerSuits(needed)]));
    join(&mut cluster, "c", "cuda:0", 16 * GIB);
    assert_eq!(cluster.scheduler.unmet(key), None);
    cluster.drain("c");
    assert_eq!(cluster.scheduler.unmet(key), Some(needed));
}

#[test]
fn the_end_of_a_sweep_is_shared_among_those_that_suit_it() {
    let mut cluster = Cluster::empty();
    cluster.submit(9, needs(Some(Device::Cuda), 0));
    join(&mut cluster, "gpu", "cuda:0", 0);
    (0..7).for_each(|cpu| join(&mut cluster, &cpu.to_string(), "cpu", 0));
    let first = cluster.lease("gpu");
    cluster.complete(&first);
    assert_eq!(cluster.lease("gpu").tasks.len(), 8, "all that is left");
}
