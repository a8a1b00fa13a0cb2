use super::*;

/// Sweeps whose tasks are worth remembering, of so many seeds from the first one on.
pub(super) fn long(from: u64, points: u64) -> String {
    map(points).replace("steps = 100\n", "steps = 10_000\n").replace("from = 0", &format!("from = {from}"))
}

async fn known(coordinator: &Coordinator, source: &str) -> Option<u64> {
    coordinator.known(source, &[]).await.unwrap().known
}

async fn records(coordinator: &Coordinator, id: &str) -> Vec<(u64, Vec<v1::Record>)> {
    let results = coordinator.results(id, 0, 100).await.unwrap();
    results.into_iter().map(|result| (result.point, result.records)).collect()
}

#[tokio::test]
async fn what_one_sweep_has_computed_another_does_not_compute_again() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    assert_eq!(known(&coordinator, &long(0, 4)).await, Some(0));
    let first = coordinator.create_sweep("first", &long(0, 4), &[]).await.unwrap().id;
    assert_eq!(work_off(&coordinator).await, 4);
    assert_eq!(known(&coordinator, &long(2, 6)).await, Some(2));

    // Seeds 2 to 7, of which 2 and 3 are there; and after a restart all of them are.
    let second = coordinator.create_sweep("second", &long(2, 6), &[]).await.unwrap().id;
    assert_eq!(work_off(&coordinator).await, 4);
    let (first, second_records) = (records(&coordinator, &first).await, records(&coordinator, &second).await);
    assert_eq!(second_records.len(), 6);
    assert_eq!(second_records[0].1, first[2].1);
    assert!(second_records.iter().all(|(_, records)| records.len() == 1));
    coordinator.shutdown().await;
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let third = coordinator.create_sweep("third", &long(0, 8), &[]).await.unwrap().id;
    assert_eq!(work_off(&coordinator).await, 0);
    let (view, _) = coordinator.sweep(&third).await.unwrap();
    assert_eq!((view.state, view.progress.finished), (SweepState::Completed, 8));
}

#[tokio::test]
async fn a_result_that_never_came_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let first = coordinator.create_sweep("first", &long(0, 2), &[]).await.unwrap().id;
    let held = lease(&coordinator).await;
    assert_eq!(held.tasks.len(), 2);
    coordinator.cancel(&first).await.unwrap();
    coordinator.create_sweep("second", &long(0, 2), &[]).await.unwrap();
    assert_eq!(work_off(&coordinator).await, 2);
    assert_eq!(known(&coordinator, &long(0, 2)).await, Some(2));
}

#[tokio::test]
async fn tasks_of_milliseconds_are_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _) = with_sweep(&folder, 4).await;
    assert_eq!(work_off(&coordinator).await, 4);
    assert_eq!(known(&coordinator, &map(4)).await, Some(0));
}

#[tokio::test]
async fn a_sweep_that_makes_no_sense_or_is_too_large_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    assert!(matches!(coordinator.known("name = 1", &[]).await, Err(Refusal::InvalidArgument(_))));
    assert_eq!(coordinator.known(&long(0, 1_000_000), &[]).await, Ok(Known { size: 1_000_000, known: None }));
}
