use super::*;
use crate::access::{Role, Secret};

#[tokio::test]
async fn a_worker_that_cannot_be_used_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    for id in ["", "a b", &"x".repeat(101)] {
        assert!(matches!(coordinator.register(worker(id, 1)).await, Err(Refusal::InvalidArgument(_))), "{id}");
    }
    assert!(matches!(coordinator.register(worker("w", 0)).await, Err(Refusal::InvalidArgument(_))));
    let device = |bytes| Registration { device: "x".repeat(bytes), ..worker("w", 1) };
    let refused = coordinator.register(device(4097)).await;
    assert_eq!(refused, Err(Refusal::InvalidArgument("device: at most 4096 bytes are accepted".to_owned())));
    let other = Registration { numerics_version: NUMERICS_VERSION + 1, ..worker("w", 1) };
    assert!(matches!(coordinator.register(other).await, Err(Refusal::FailedPrecondition(_))));
    assert_eq!(coordinator.workers().await.unwrap(), []);
}

#[tokio::test]
async fn tasks_carry_their_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let held = lease(&coordinator).await;
    assert_eq!(held.sweep_id, id);
    let spec = coordinator.spec(&id).await.unwrap();
    assert_eq!(held.tasks.len(), 2);
    for (point, task) in (0..).zip(&held.tasks) {
        assert_eq!((task.point, task.attempt), (point, 1));
        assert_eq!(task.config, spec.shard(point).unwrap().to_json());
    }
}

#[tokio::test]
async fn a_worker_that_waits_is_served_when_work_turns_up() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let asking = coordinator.clone();
    let waiting = tokio::spawn(async move { asking.lease("w", Duration::from_secs(60)).await });
    coordinator.create_sweep("a wish", &map(4), &[]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().lease.unwrap().tasks.len(), 2);
}

#[tokio::test]
async fn a_worker_that_waits_is_told_to_drain() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let asking = coordinator.clone();
    let waiting = tokio::spawn(async move { asking.lease("w", Duration::from_secs(60)).await });
    coordinator.drain("w").await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(LeaseAnswer { lease: None, drain: true }));
    assert!(coordinator.heartbeat("w", vec![]).await.unwrap().drain);
    assert!(coordinator.workers().await.unwrap()[0].draining);
}

#[tokio::test]
async fn a_worker_that_waits_gets_a_failed_point_when_its_backoff_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _) = with_sweep(&folder, 1).await;
    let held = lease(&coordinator).await;
    let failed = Outcome::Failed { error: "out of memory".to_owned(), permanent: false };
    coordinator.finish(&held.token, vec![(0, failed)]).await.unwrap();
    assert_eq!(coordinator.lease("w", Duration::ZERO).await, Ok(LeaseAnswer::default()));
    let again = coordinator.lease("w", Duration::from_secs(60)).await.unwrap().lease.unwrap();
    assert_eq!(again.tasks[0].attempt, 2);
}

#[tokio::test]
async fn waiting_for_work_ends_without_any() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    assert_eq!(coordinator.lease("w", Duration::from_millis(20)).await, Ok(LeaseAnswer::default()));
}

#[tokio::test]
async fn work_for_a_caller_who_has_gone_is_given_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let asking = coordinator.clone();
    let gone = tokio::spawn(async move { asking.lease("w", Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    coordinator.create_sweep("a wish", &map(2), &[]).await.unwrap();
    let answer = coordinator.lease("w", Duration::from_secs(60)).await.unwrap();
    assert_eq!(answer.lease.unwrap().tasks.len(), 2);
}

#[tokio::test]
async fn an_outcome_that_ended_the_lease_is_acknowledged_again() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _) = with_sweep(&folder, 10).await;
    let held = lease(&coordinator).await;
    assert_eq!(complete(&coordinator, &held).await, Verdict::Accepted);
    assert_eq!(coordinator.finish(&held.token, completed(&held)).await, Ok(Verdict::Accepted));
    assert_eq!(coordinator.report(&held.token, vec![(0, vec![record(50)])]).await, Ok(Verdict::Stale));
    assert_eq!(coordinator.workers().await.unwrap()[0].finished, 2);
}

#[tokio::test]
async fn what_is_reported_under_foreign_tokens_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 10).await;
    let held = lease(&coordinator).await;
    for token in ["elsewhere-0a1b2c3d.1".to_owned(), format!("{id}.99")] {
        assert_eq!(coordinator.report(&token, vec![(0, vec![record(0)])]).await, Ok(Verdict::Stale));
        assert_eq!(coordinator.finish(&token, completed(&held)).await, Ok(Verdict::Stale));
        assert_eq!(coordinator.release(&token).await, Ok(()));
        let held = vec![HeldLease { token: token.clone(), running: vec![] }];
        assert_eq!(coordinator.heartbeat("w", held).await.unwrap().dropped_tokens, [token]);
    }
    assert!(matches!(coordinator.report("no token", vec![]).await, Err(Refusal::InvalidArgument(_))));
    let progress = coordinator.sweep(&id).await.unwrap().0.progress;
    assert_eq!((progress.leased, progress.finished), (2, 0));
}

#[tokio::test]
async fn the_lease_of_a_silent_worker_goes_to_one_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { lease_time: Duration::from_millis(100), ..Settings::default() };
    let coordinator = Coordinator::open(folder.path(), &Place::Nowhere, settings).await.unwrap();
    coordinator.create_sweep("a wish", &map(2), &[]).await.unwrap();
    // On a machine that stalls a worker may be forgotten before it asks.
    let lost = loop {
        coordinator.register(worker("w", 2)).await.unwrap();
        if let Ok(LeaseAnswer { lease: Some(lease), .. }) = coordinator.lease("w", Duration::ZERO).await {
            break lease;
        }
    };
    let other = loop {
        coordinator.register(worker("other", 2)).await.unwrap();
        match coordinator.lease("other", Duration::from_millis(50)).await.unwrap().lease {
            Some(lease) => break lease,
            None => continue,
        }
    };
    assert_eq!(other.tasks.iter().map(|task| (task.point, task.attempt)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    assert_eq!(coordinator.finish(&lost.token, completed(&lost)).await, Ok(Verdict::Stale));
}

#[tokio::test]
async fn baselines_are_found_under_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let spec = crate::spec::Spec::parse(&map(1), &[]).unwrap();
    let digest = spec.shard(0).unwrap().digest();
    assert_eq!(coordinator.find_baseline(&digest).await, Ok(None));
    let estimate = v1::Estimate { llc: Some(1.5), ..Default::default() };
    coordinator.store_baseline(&digest, estimate.clone()).await.unwrap();
    assert_eq!(coordinator.find_baseline(&digest).await, Ok(Some(estimate)));
}

#[tokio::test]
async fn what_cannot_be_a_baseline_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    for digest in ["", "digest", &"A".repeat(32), &"0".repeat(33)] {
        let refused = coordinator.store_baseline(digest, v1::Estimate::default()).await;
        assert_eq!(refused, Err(Refusal::InvalidArgument("digest: 32 digits of 0-9a-f are accepted".to_owned())));
        assert!(coordinator.find_baseline(digest).await.is_err(), "{digest}");
    }
    let digest = "0".repeat(32);
    let long = v1::Estimate { health_reason: "x".repeat(16 << 10), ..Default::default() };
    let refused = coordinator.store_baseline(&digest, long).await;
    assert_eq!(refused, Err(Refusal::InvalidArgument("estimate: at most 16384 bytes are accepted".to_owned())));
    assert_eq!(coordinator.find_baseline(&digest).await, Ok(None));
}

#[tokio::test]
async fn a_worker_that_waits_gets_nothing_once_its_token_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    let wish = |role| TokenWish { role, name: String::new(), lifetime: None, uses: None };
    let secrets = [(); 2].map(|()| Secret::random().unwrap());
    coordinator.create_token(&secrets[0], wish(Role::Admin)).await.unwrap();
    coordinator.create_token(&secrets[1], wish(Role::Worker)).await.unwrap();
    let theirs = coordinator.on_behalf_of(coordinator.identify(Some(&secrets[1].reveal())).unwrap());
    theirs.register(worker("w", 2)).await.unwrap();
    let waiting = tokio::spawn(async move { theirs.lease("w", Duration::from_secs(60)).await });
    // It waits when this is decided: nothing else runs here until it does.
    tokio::task::yield_now().await;
    coordinator.revoke_token(secrets[1].id().as_str()).await.unwrap();
    let id = coordinator.create_sweep("a wish", &map(4), &[]).await.unwrap().id;
    let refused = waiting.await.unwrap();
    assert!(matches!(&refused, Err(Refusal::Unauthenticated(message)) if message.contains("revoked")), "{refused:?}");
    assert_eq!(coordinator.sweep(&id).await.unwrap().0.progress.leased, 0);
}

#[tokio::test]
async fn a_step_that_cannot_be_stored_is_a_defect_of_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, _) = with_sweep(&folder, 2).await;
    let held = lease(&coordinator).await;
    let refused = coordinator.report(&held.token, vec![(0, vec![record(1 << 63)])]).await;
    assert!(matches!(&refused, Err(Refusal::InvalidArgument(message)) if message.contains("point 0")), "{refused:?}");
    assert_eq!(complete(&coordinator, &held).await, Verdict::Accepted);
}

#[tokio::test]
async fn a_worker_is_told_where_to_keep_snapshots_and_the_folder_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open(&folder).await;
    assert_eq!(coordinator.register(worker("w", 1)).await.unwrap().snapshots, "");
    let place = folder.path().join("two words/snapshots");
    let coordinator = coordinator.with_snapshots(&Place::folder(&place)).unwrap();
    let url = coordinator.register(worker("w", 1)).await.unwrap().snapshots;
    assert!(url.starts_with("file:///") && url.ends_with("/two%20words/snapshots"), "{url}");
    assert!(place.is_dir());

    let below_a_file = Place::folder(&folder.path().join("lock/snapshots"));
    let Err(error) = coordinator.with_snapshots(&below_a_file) else { panic!("a folder in a file") };
    assert!(error.to_string().contains("lock/snapshots cannot be made: "), "{error}");
}
