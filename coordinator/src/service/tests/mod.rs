//! The service as its callers see it, on a real store in a folder of its own.

mod failing;
mod garbage;
mod people;
mod recall;
mod restarts;
mod sealing;
mod several;
mod shards;
mod workers;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::{NUMERICS_VERSION, v1};
use phasegrid_tests::sweeps;

use super::*;

/// Long enough that no lease ends in a test by itself.
fn patient() -> Settings {
    Settings { lease_time: Duration::from_secs(3600), ..Settings::default() }
}

/// A sweep file of so many points.
fn map(points: u64) -> String {
    let rest = format!("[task.checkpoints]\nevery = 50\n[axes]\nseed = {{ from = 0, count = {points} }}\n");
    sweeps::trivial("map", &rest)
}

async fn open(folder: &tempfile::TempDir) -> Coordinator {
    Coordinator::open(folder.path(), &Place::Nowhere, patient()).await.unwrap()
}

fn worker(id: &str, slots: u32) -> Registration {
    Registration {
        id: id.to_owned(),
        slots,
        device: "cpu".to_owned(),
        memory: 8 << 30,
        numerics_version: NUMERICS_VERSION,
    }
}

/// A coordinator with a sweep of so many points and the worker "w" of two slots.
async fn with_sweep(folder: &tempfile::TempDir, points: u64) -> (Coordinator, String) {
    let coordinator = open(folder).await;
    let sweep = coordinator.create_sweep("a wish", &map(points), &[]).await.unwrap();
    coordinator.register(worker("w", 2)).await.unwrap();
    (coordinator, sweep.id)
}

async fn lease(coordinator: &Coordinator) -> LeasedRange {
    let answer = coordinator.lease("w", Duration::ZERO).await.unwrap();
    answer.lease.expect("there is work")
}

fn record(step: u64) -> v1::Record {
    v1::Record { step, train_loss: Some(0.25), ..Default::default() }
}

/// One record for each point of a lease, and then its end.
async fn complete(coordinator: &Coordinator, lease: &LeasedRange) -> Verdict {
    let records = lease.tasks.iter().map(|task| (task.point, vec![record(0)])).collect();
    assert_eq!(coordinator.report(&lease.token, records).await, Ok(Verdict::Accepted));
    coordinator.finish(&lease.token, completed(lease)).await.unwrap()
}

fn completed(lease: &LeasedRange) -> Vec<(u64, Outcome)> {
    lease.tasks.iter().map(|task| (task.point, Outcome::Completed { records: 1 })).collect()
}

/// Works until there is nothing left; answers how many tasks there were.
async fn work_off(coordinator: &Coordinator) -> usize {
    let mut tasks = 0;
    while let Some(lease) = coordinator.lease("w", Duration::ZERO).await.unwrap().lease {
        tasks += lease.tasks.len();
        assert_eq!(complete(coordinator, &lease).await, Verdict::Accepted);
    }
    tasks
}
