use super::*;

#[tokio::test]
async fn the_same_request_creates_one_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let first = coordinator.create_sweep("a wish", &map(3), &[]).await.unwrap();
    let again = coordinator.create_sweep("a wish", &map(3), &[]).await.unwrap();
    let other = coordinator.create_sweep("another", &map(3), &[]).await.unwrap();
    assert_eq!(first.id, again.id);
    assert_ne!(first.id, other.id);
    assert!(first.id.starts_with("map-"), "{}", first.id);
    assert_eq!(coordinator.sweeps(0, "").await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn a_sweep_file_that_makes_no_sense_is_refused_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let overrides = ["task.train.stepz=5".to_owned()];
    let Err(Refusal::InvalidArgument(message)) = coordinator.create_sweep("a wish", &map(3), &overrides).await else {
        panic!("a sweep was created")
    };
    assert!(message.contains("stepz"), "{message}");
    assert!(matches!(coordinator.create_sweep("", &map(3), &[]).await, Err(Refusal::InvalidArgument(_))));
    assert_eq!(coordinator.sweeps(0, "").await.unwrap().0, []);
}

#[tokio::test]
async fn what_is_longer_than_it_may_be_is_refused_with_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let wish = |request: usize, user: usize| Wish {
        request_id: "é".repeat(request),
        user: "é".repeat(user),
        source: map(1),
        ..Wish::default()
    };
    for (wish, expected) in [
        (wish(65, 1), "request_id: 1 to 64 characters are accepted"),
        (wish(1, 65), "user: at most 64 characters without control characters are accepted"),
    ] {
        let Err(Refusal::InvalidArgument(message)) = coordinator.submit(wish).await else { panic!("{expected}") };
        assert_eq!(message, expected);
    }
    let named = |length| map(1).replace("\"map\"", &format!("{:?}", "é".repeat(length)));
    let Err(Refusal::InvalidArgument(message)) = coordinator.create_sweep("long", &named(101), &[]).await else {
        panic!("a sweep was created")
    };
    assert!(message.contains("name") && message.contains("1 to 100 characters"), "{message}");
    assert_eq!(coordinator.sweeps(0, "").await.unwrap().0, []);
    coordinator.submit(wish(64, 64)).await.unwrap();
    coordinator.create_sweep("not too long", &named(100), &[]).await.unwrap();
}

#[tokio::test]
async fn sweeps_are_listed_in_pages_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let mut created = Vec::new();
    for wish in 0..5 {
        created.push(coordinator.create_sweep(&wish.to_string(), &map(1), &[]).await.unwrap().id);
    }
    created.reverse();
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = coordinator.sweeps(2, &token).await.unwrap();
        assert!(page.len() <= 2);
        listed.extend(page.into_iter().map(|sweep| sweep.id));
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, created);
    assert!(matches!(coordinator.sweeps(2, "x").await, Err(Refusal::InvalidArgument(_))));
    assert!(matches!(coordinator.sweeps(1001, "").await, Err(Refusal::InvalidArgument(_))));
}

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    assert!(matches!(coordinator.sweep("map-1").await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.cancel("map-1").await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.watch("map-1").await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.results("map-1", 0, 1).await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.drain("w").await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.lease("w", Duration::ZERO).await, Err(Refusal::NotFound(_))));
    assert!(matches!(coordinator.heartbeat("w", vec![]).await, Err(Refusal::NotFound(_))));
}

#[tokio::test]
async fn a_sweep_runs_from_its_file_to_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 20).await;
    work_off(&coordinator).await;
    let (view, failed) = coordinator.sweep(&id).await.unwrap();
    assert_eq!((view.state, view.progress.finished, failed), (SweepState::Completed, 20, vec![]));
    let results = coordinator.results(&id, 0, 100).await.unwrap();
    assert_eq!(results.iter().map(|result| result.point).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(results.iter().all(|result| result.worker == "w" && result.records == [record(0)]));
    assert_eq!(coordinator.results(&id, 15, 3).await.unwrap()[..], results[15..18]);
}

#[tokio::test]
async fn a_sweep_of_a_hundred_million_points_is_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 100_000_000).await;
    let held = lease(&coordinator).await;
    complete(&coordinator, &held).await;
    let progress = coordinator.sweep(&id).await.unwrap().0.progress;
    assert_eq!((progress.size, progress.finished, progress.pending), (100_000_000, 2, 99_999_998));
    coordinator.shutdown().await;
    let stored = std::fs::metadata(folder.path().join("phasegrid.db")).unwrap().len();
    assert!(stored < 1 << 20, "{stored} bytes");
}

#[tokio::test]
async fn watchers_see_the_end_and_numbers_that_rise() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 50).await;
    let mut watch = coordinator.watch(&id).await.unwrap();
    let first = watch.borrow_and_update().clone();
    assert_eq!((first.state, first.progress.pending), (SweepState::Running, 50));
    let work = tokio::spawn(async move { work_off(&coordinator).await });
    let mut sequence = first.sequence;
    let last = loop {
        watch.changed().await.unwrap();
        let event = watch.borrow_and_update().clone();
        assert!(event.sequence > sequence);
        sequence = event.sequence;
        if event.state != SweepState::Running {
            break event;
        }
    };
    assert_eq!((last.state, last.progress.finished), (SweepState::Completed, 50));
    work.await.unwrap();
}

#[tokio::test]
async fn failed_points_are_shown_and_can_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 1).await;
    let held = lease(&coordinator).await;
    let failed = Outcome::Failed { error: "the loss is not finite at step 3".to_owned(), permanent: true };
    coordinator.finish(&held.token, vec![(0, failed)]).await.unwrap();
    let (view, failures) = coordinator.sweep(&id).await.unwrap();
    assert_eq!(view.state, SweepState::Completed);
    let expected =
        FailedPoint { point: 0, shard: 0, attempts: 1, error: "the loss is not finite at step 3".to_owned() };
    assert_eq!(failures, [expected]);
    assert_eq!(coordinator.retry(&id).await, Ok(1));
    work_off(&coordinator).await;
    assert_eq!(coordinator.sweep(&id).await.unwrap().0.progress.finished, 1);
    assert_eq!(coordinator.retry(&id).await, Ok(0));
}

#[tokio::test]
async fn a_worker_that_waits_gets_work_when_a_paused_sweep_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    assert_eq!(coordinator.pause(&id).await.unwrap().state, SweepState::Paused);
    assert_eq!(coordinator.lease("w", Duration::ZERO).await, Ok(LeaseAnswer::default()));
    let waiting = tokio::spawn({
        let coordinator = coordinator.clone();
        async move { coordinator.lease("w", Duration::from_secs(60)).await }
    });
    assert_eq!(coordinator.resume(&id).await.unwrap().state, SweepState::Running);
    assert!(waiting.await.unwrap().unwrap().lease.is_some());
}

#[tokio::test]
async fn a_point_is_explained_from_its_axes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 3).await;
    let waiting = coordinator.explain(&id, 2).await.unwrap();
    assert_eq!(waiting.axes, [("seed".to_owned(), "2".to_owned())]);
    assert_eq!(waiting.shards[0].standing, Standing::Waiting(vec![Obstacle::PointsAhead(2)]));
    let held = lease(&coordinator).await;
    let account = coordinator.explain(&id, 0).await.unwrap().shards.remove(0);
    assert!(matches!(&account.standing, Standing::Held { start: Start::Running(None), .. }), "{account:?}");
    assert!(account.held_since.is_some_and(|since| since > std::time::UNIX_EPOCH));
    let failed = Outcome::Failed { error: "out of memory".to_owned(), permanent: false };
    coordinator.finish(&held.token, vec![(0, failed)]).await.unwrap();
    coordinator.report(&held.token, vec![(1, vec![record(0)])]).await.unwrap();
    coordinator.finish(&held.token, vec![(1, Outcome::Completed { records: 1 })]).await.unwrap();
    let again = coordinator.explain(&id, 0).await.unwrap().shards.remove(0).history;
    assert_eq!(again.attempts.iter().map(|past| past.error.as_str()).collect::<Vec<_>>(), ["out of memory"]);
    let finished = coordinator.explain(&id, 1).await.unwrap().shards.remove(0);
    assert_eq!(finished.standing, Standing::Finished);
    assert_eq!(finished.history.finish.map(|past| (past.attempt, past.worker)), Some((1, "w".to_owned())));
    assert!(matches!(coordinator.explain(&id, 3).await, Err(Refusal::NotFound(_))));
}

#[tokio::test]
async fn a_cancelled_sweep_keeps_its_results_and_cannot_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let first = lease(&coordinator).await;
    complete(&coordinator, &first).await;
    let held = lease(&coordinator).await;
    assert_eq!(coordinator.cancel(&id).await.unwrap().state, SweepState::Cancelled);
    assert_eq!(coordinator.cancel(&id).await.unwrap().state, SweepState::Cancelled);
    assert!(matches!(coordinator.retry(&id).await, Err(Refusal::FailedPrecondition(_))));
    assert_eq!(coordinator.finish(&held.token, completed(&held)).await, Ok(Verdict::Stale));
    assert_eq!(coordinator.results(&id, 0, 10).await.unwrap().len(), 2);
}
