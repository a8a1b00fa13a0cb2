use super::*;

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let first = lease(&coordinator).await;
    complete(&coordinator, &first).await;
    let held = lease(&coordinator).await;
    let point = held.tasks[0].point;
    coordinator.report(&held.token, vec![(point, vec![record(0)])]).await.unwrap();
    let before = coordinator.sweep(&id).await.unwrap();
    coordinator.shutdown().await;
    assert!(matches!(coordinator.sweep(&id).await, Err(Refusal::Unavailable(_))));

    let coordinator = open(&folder).await;
    let (view, _) = coordinator.sweep(&id).await.unwrap();
    assert_eq!((view.progress.finished, view.progress.leased), (before.0.progress.finished, held.tasks.len() as u64));
    assert_eq!((view.created, &view.resolved_source), (before.0.created, &before.0.resolved_source));
    // The worker is unknown until it registers again; its lease is not.
    let still_held = || vec![HeldLease { token: held.token.clone(), running: vec![] }];
    assert!(matches!(coordinator.heartbeat("w", still_held()).await, Err(Refusal::NotFound(_))));
    coordinator.register(worker("w", 2)).await.unwrap();
    assert_eq!(coordinator.heartbeat("w", still_held()).await, Ok(Directives::default()));
    let rest = held.tasks[1..].iter().map(|task| (task.point, vec![record(0)])).collect();
    coordinator.report(&held.token, rest).await.unwrap();
    assert_eq!(coordinator.finish(&held.token, completed(&held)).await, Ok(Verdict::Accepted));
    work_off(&coordinator).await;
    assert_eq!(coordinator.sweep(&id).await.unwrap().0.progress.finished, 10);
}

#[tokio::test]
async fn a_request_is_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    coordinator.shutdown().await;
    let coordinator = open(&folder).await;
    assert_eq!(coordinator.create_sweep("a wish", &map(10), &[]).await.unwrap().id, id);
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let held = lease(&coordinator).await;
    complete(&coordinator, &held).await;
    // The files of a coordinator that was killed this moment.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let survivor = open(&copy).await;
    assert_eq!(survivor.results(&id, 0, 10).await, coordinator.results(&id, 0, 10).await);
    assert_eq!(survivor.sweep(&id).await.unwrap().0.progress.finished, 2);
}

#[tokio::test]
async fn sequence_numbers_rise_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let before = coordinator.watch(&id).await.unwrap().borrow().sequence;
    coordinator.shutdown().await;
    let coordinator = open(&folder).await;
    assert!(coordinator.watch(&id).await.unwrap().borrow().sequence > before);
}

#[tokio::test]
async fn a_second_coordinator_on_the_same_folder_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(&folder).await;
    let Err(error) = Coordinator::open(folder.path(), &Place::Nowhere, patient()).await else {
        panic!("two coordinators")
    };
    assert!(error.to_string().contains("is in use by another coordinator"), "{error}");
}

#[tokio::test]
async fn a_stored_sweep_that_cannot_be_read_is_shown_and_left_alone_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, strange) = with_sweep(&folder, 10).await;
    let fine = coordinator.create_sweep("another wish", &map(3), &[]).await.unwrap().id;
    coordinator.shutdown().await;
    // As a later release might have written it.
    let database = rusqlite::Connection::open(folder.path().join("phasegrid.db")).unwrap();
    let changed = "UPDATE sweep SET source = replace(source, 'quadratic', 'cubic') WHERE id = ?";
    assert_eq!(database.execute(changed, [&strange]).unwrap(), 1);
    drop(database);

    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    work_off(&coordinator).await;
    assert_eq!(coordinator.sweep(&fine).await.unwrap().0.state, SweepState::Completed);
    let view = coordinator.sweep(&strange).await.unwrap().0;
    assert_eq!((view.state, view.progress.pending), (SweepState::Running, 10));
    assert!(view.problem.unwrap().contains("\"cubic\" is not accepted"));
    let refused = |refusal| matches!(refusal, Refusal::FailedPrecondition(_));
    assert!(refused(coordinator.spec(&strange).await.unwrap_err()));
    assert!(refused(coordinator.retry(&strange).await.unwrap_err()));
    assert_eq!(coordinator.cancel(&strange).await.unwrap().state, SweepState::Cancelled);
}

#[tokio::test]
async fn an_orderly_stop_leaves_one_file_that_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    work_off(&coordinator).await;
    coordinator.results(&id, 0, 10).await.unwrap();
    coordinator.shutdown().await;
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(files, ["lock", "phasegrid.db"]);
    assert!(matches!(coordinator.results(&id, 0, 10).await, Err(Refusal::Unavailable(_))));
}
