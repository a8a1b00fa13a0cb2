use super::*;
use crate::results::TaskState;

/// [`map`] that estimates at its three checkpoints, in so many shards of each point.
fn split(points: u64, shards: u32) -> String {
    let llc = format!("[task.llc]\npreset = \"population\"\nshards = {shards}\n[axes]");
    map(points).replace("[axes]", &llc)
}

async fn with_split_sweep(folder: &tempfile::TempDir, points: u64) -> (Coordinator, String) {
    let coordinator = open(folder).await;
    let sweep = coordinator.create_sweep("a wish", &split(points, 3), &[]).await.unwrap();
    coordinator.register(worker("w", 2)).await.unwrap();
    (coordinator, sweep.id)
}

/// Reports the records that each shard of the lease is to make, and ends it.
async fn compute(coordinator: &Coordinator, lease: &LeasedRange) {
    let steps = |task: &LeasedTask| TaskConfig::from_json(&task.config).unwrap().record_steps();
    let records = |task: &LeasedTask| (task.point, steps(task).into_iter().map(record).collect());
    let reported = lease.tasks.iter().map(records).collect();
    assert_eq!(coordinator.report(&lease.token, reported).await, Ok(Verdict::Accepted));
    let ended = |task: &LeasedTask| (task.point, Outcome::Completed { records: steps(task).len() as u64 });
    coordinator.finish(&lease.token, lease.tasks.iter().map(ended).collect()).await.unwrap();
}

#[tokio::test]
async fn shards_are_leased_one_by_one_and_read_as_one_task() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_split_sweep(&folder, 2).await;
    let (view, _) = coordinator.sweep(&id).await.unwrap();
    assert_eq!((view.progress.size, view.shards), (6, 3));

    let first = lease(&coordinator).await;
    assert_eq!(first.tasks.iter().map(|task| task.point).collect::<Vec<_>>(), [0, 1]);
    compute(&coordinator, &first).await;
    let [task] = &coordinator.results(&id, 0, 10).await.unwrap()[..] else { panic!("one task has begun") };
    assert_eq!((task.point, task.state, task.records.len()), (0, TaskState::Unfinished, 2));

    while let Some(lease) = coordinator.lease("w", Duration::ZERO).await.unwrap().lease {
        compute(&coordinator, &lease).await;
    }
    let tasks = coordinator.results(&id, 0, 10).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.point).collect::<Vec<_>>(), [0, 1]);
    for task in &tasks {
        assert_eq!((task.state, task.attempts, task.worker.as_str()), (TaskState::Finished, 1, "w"));
        assert_eq!(task.records, [0, 50, 100].map(record));
    }
    for (page, task) in tasks.iter().enumerate() {
        assert_eq!(coordinator.results(&id, page as u64, 1).await.unwrap(), std::slice::from_ref(task));
    }
    let (view, _) = coordinator.sweep(&id).await.unwrap();
    assert_eq!((view.state, view.progress.finished), (SweepState::Completed, 6));
}

#[tokio::test]
async fn a_shard_that_failed_is_named_and_tried_again_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_split_sweep(&folder, 2).await;
    let failed = |error: &str| Outcome::Failed { error: error.to_owned(), permanent: true };
    while let Some(lease) = coordinator.lease("w", Duration::ZERO).await.unwrap().lease {
        let ended = |task: &LeasedTask| match task.point {
            4 => (4, failed("no room")),
            point => (point, Outcome::Completed { records: 0 }),
        };
        coordinator.finish(&lease.token, lease.tasks.iter().map(ended).collect()).await.unwrap();
    }
    let (view, failures) = coordinator.sweep(&id).await.unwrap();
    assert_eq!((view.progress.finished, view.progress.failed), (5, 1));
    assert_eq!(failures, [FailedPoint { point: 1, shard: 1, attempts: 1, error: "no room".to_owned() }]);
    let tasks = coordinator.results(&id, 0, 10).await.unwrap();
    assert_eq!((tasks[0].state, tasks[1].state), (TaskState::Finished, TaskState::Failed));
    assert_eq!(tasks[1].error.as_deref(), Some("no room"));

    assert_eq!(coordinator.retry(&id).await, Ok(1));
    let again = lease(&coordinator).await;
    assert_eq!(again.tasks.iter().map(|task| task.point).collect::<Vec<_>>(), [4]);
}
