//! A disk that is full for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::*;
use crate::store::Write;

/// A store that refuses every write while `full`.
struct Failing {
    store: SqliteStore,
    full: Arc<AtomicBool>,
}

impl Store for Failing {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full { place: "phasegrid.db".to_owned() });
        }
        self.store.commit(writes, now)
    }
}

fn start(folder: &tempfile::TempDir) -> (Coordinator, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let store = SqliteStore::open(folder.path()).unwrap();
    let (reader, records) = (store.reader().unwrap(), store.reader().unwrap());
    let store = Failing { store, full: Arc::clone(&full) };
    (Coordinator::start(store, reader, records, Keeping::default(), patient()).unwrap(), full)
}

#[tokio::test]
async fn a_full_disk_makes_calls_unavailable_and_the_same_calls_work_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, full) = start(&folder);
    let id = coordinator.create_sweep("a wish", &map(4), &[]).await.unwrap().id;
    coordinator.register(worker("w", 2)).await.unwrap();
    let held = lease(&coordinator).await;

    full.store(true, Ordering::SeqCst);
    let records = || held.tasks.iter().map(|task| (task.point, vec![record(0)])).collect::<Vec<_>>();
    let refused = coordinator.report(&held.token, records()).await;
    assert!(matches!(&refused, Err(Refusal::Unavailable(message)) if message.contains("is full")), "{refused:?}");
    assert!(matches!(coordinator.create_sweep("another", &map(4), &[]).await, Err(Refusal::Unavailable(_))));

    full.store(false, Ordering::SeqCst);
    // Calls that meet the return to the stored state are still refused: to be sent again, as the contract has it.
    let verdict = loop {
        match coordinator.report(&held.token, records()).await {
            Err(Refusal::Unavailable(_)) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(verdict, Ok(Verdict::Accepted));
    assert_eq!(coordinator.finish(&held.token, completed(&held)).await, Ok(Verdict::Accepted));
    work_off(&coordinator).await;
    assert_eq!(coordinator.sweep(&id).await.unwrap().0.progress.finished, 4);
    assert_eq!(coordinator.sweeps(0, "").await.unwrap().0.len(), 1, "the refused sweep was never created");
    assert_eq!(coordinator.workers().await.unwrap().len(), 1, "workers need not register again");
}

#[tokio::test]
async fn a_lease_that_could_not_be_written_was_never_granted() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, full) = start(&folder);
    coordinator.create_sweep("a wish", &map(4), &[]).await.unwrap();
    coordinator.register(worker("w", 2)).await.unwrap();
    full.store(true, Ordering::SeqCst);
    assert!(matches!(coordinator.lease("w", Duration::ZERO).await, Err(Refusal::Unavailable(_))));
    full.store(false, Ordering::SeqCst);
    let answer = loop {
        match coordinator.lease("w", Duration::ZERO).await {
            Err(Refusal::Unavailable(_)) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    let points: Vec<_> = answer.lease.unwrap().tasks.iter().map(|task| (task.point, task.attempt)).collect();
    assert_eq!(points, [(0, 1), (1, 1)]);
}

#[tokio::test]
async fn a_watcher_sees_the_end_although_it_could_not_be_written_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, full) = start(&folder);
    let id = coordinator.create_sweep("a wish", &map(2), &[]).await.unwrap().id;
    coordinator.register(worker("w", 2)).await.unwrap();
    let held = lease(&coordinator).await;
    let mut watcher = coordinator.watch(&id).await.unwrap();
    let records = held.tasks.iter().map(|task| (task.point, vec![record(0)])).collect();
    assert_eq!(coordinator.report(&held.token, records).await, Ok(Verdict::Accepted));

    full.store(true, Ordering::SeqCst);
    assert!(matches!(coordinator.finish(&held.token, completed(&held)).await, Err(Refusal::Unavailable(_))));
    full.store(false, Ordering::SeqCst);
    while let Err(Refusal::Unavailable(_)) = coordinator.finish(&held.token, completed(&held)).await {
        tokio::task::yield_now().await;
    }
    let ended = watcher.wait_for(|event| event.state == SweepState::Completed);
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it is told").unwrap();
    assert_eq!(ended.progress.finished, 2);
}
