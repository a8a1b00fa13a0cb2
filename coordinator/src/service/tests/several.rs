//! Several coordinators on one PostgreSQL database.

use phasegrid_tests::Postgres;

use super::*;
use crate::access::{Denied, Role, Secret};

/// A new database.
pub(super) async fn database(name: &'static str) -> Address {
    blocking(move || Postgres::shared().database(name)).await.parse().unwrap()
}

async fn sql(database: &'static str, sql: &'static str) {
    blocking(move || Postgres::shared().sql(database, sql)).await;
}

async fn join(database: &Address, url: &str) -> Coordinator {
    join_keeping(database, url, Keeping::default()).await
}

pub(super) async fn join_keeping(database: &Address, url: &str, keeping: Keeping) -> Coordinator {
    // However busy the machine: no term runs out by itself.
    Coordinator::join_with_terms_of(Duration::from_secs(3600), database, url, keeping, patient()).await.unwrap()
}

/// Waits until it leads and has loaded everything.
pub(super) async fn until_serving(coordinator: &Coordinator) {
    let mut duty = coordinator.duty.clone();
    duty.wait_for(|duty| matches!(duty, Duty::Serving(_))).await.unwrap();
}

async fn until_standing_by(coordinator: &Coordinator) {
    let mut duty = coordinator.duty.clone();
    duty.wait_for(|duty| matches!(duty, Duty::Absent(_))).await.unwrap();
}

#[tokio::test]
async fn one_leads_and_the_others_name_it() {
    let database = database("one_leads").await;
    let leader = join(&database, "http://127.0.0.1:1").await;
    let other = join(&database, "http://127.0.0.1:2").await;
    until_serving(&leader).await;
    let id = leader.create_sweep("a wish", &map(4), &[]).await.unwrap().id;
    for refused in [other.sweep(&id).await.map(drop), other.lease("w", Duration::ZERO).await.map(drop)] {
        let message = refused.unwrap_err();
        let Refusal::Unavailable(message) = message else { panic!("{message:?}") };
        assert!(message.contains("http://127.0.0.1:1 leads"), "{message}");
    }
}

#[tokio::test]
async fn a_worker_keeps_its_lease_when_another_takes_over() {
    let database = database("takes_over").await;
    let leader = join(&database, "http://127.0.0.1:1").await;
    let other = join(&database, "http://127.0.0.1:2").await;
    until_serving(&leader).await;
    let id = leader.create_sweep("a wish", &map(10), &[]).await.unwrap().id;
    leader.register(worker("w", 2)).await.unwrap();
    let first = lease(&leader).await;
    complete(&leader, &first).await;
    let held = lease(&leader).await;

    leader.shutdown().await;
    assert!(matches!(leader.sweep(&id).await, Err(Refusal::Unavailable(_))));
    until_serving(&other).await;
    // As after a restart: the worker is unknown until it registers again; its lease is not.
    let holds = vec![HeldLease { token: held.token.clone(), running: vec![] }];
    assert!(matches!(other.heartbeat("w", holds.clone()).await, Err(Refusal::NotFound(_))));
    other.register(worker("w", 2)).await.unwrap();
    assert_eq!(other.heartbeat("w", holds).await, Ok(Directives::default()));
    assert_eq!(complete(&other, &held).await, Verdict::Accepted);
    work_off(&other).await;
    assert_eq!(other.sweep(&id).await.unwrap().0.progress.finished, 10);
    assert_eq!(other.create_sweep("a wish", &map(10), &[]).await.unwrap().id, id, "the request is remembered");
}

#[tokio::test]
async fn a_successor_knows_the_tokens_that_the_leader_made_and_revoked() {
    let database = database("tokens").await;
    let first = join(&database, "http://127.0.0.1:1").await;
    let second = join(&database, "http://127.0.0.1:2").await;
    until_serving(&first).await;
    assert!(!first.requires_tokens());
    let secrets = [Secret::random().unwrap(), Secret::random().unwrap()];
    let wish = TokenWish { role: Role::Admin, name: String::new(), lifetime: None, uses: None };
    for secret in &secrets {
        first.create_token(secret, wish.clone()).await.unwrap();
    }
    assert!(matches!(second.check_serving(), Err(Refusal::Unavailable(_))), "it knows no tokens, and lets nobody in");

    first.shutdown().await;
    until_serving(&second).await;
    assert!(second.requires_tokens());
    let holder = |secret: &Secret| Caller::Holder(secret.id().clone(), Role::Admin);
    assert_eq!(second.identify(Some(&secrets[0].reveal())), Ok(holder(&secrets[0])));
    second.revoke_token(secrets[0].id().as_str()).await.unwrap();

    let third = join(&database, "http://127.0.0.1:3").await;
    second.shutdown().await;
    until_serving(&third).await;
    assert_eq!(third.identify(Some(&secrets[0].reveal())), Err(Denied::Revoked(secrets[0].id().clone())));
    assert_eq!(third.identify(Some(&secrets[1].reveal())), Ok(holder(&secrets[1])));
}

#[tokio::test]
async fn a_leader_that_was_succeeded_says_nothing_as_done_and_stands_by() {
    let database = database("succeeded").await;
    let leader = join(&database, "http://127.0.0.1:1").await;
    until_serving(&leader).await;
    let id = leader.create_sweep("a wish", &map(4), &[]).await.unwrap().id;
    leader.register(worker("w", 2)).await.unwrap();
    let held = lease(&leader).await;
    // What a successor does while this one is paused.
    sql("succeeded", "UPDATE phasegrid.leadership SET term = term + 1, address = 'http://127.0.0.1:2'").await;
    let records = held.tasks.iter().map(|task| (task.point, vec![record(0)])).collect();
    assert!(matches!(leader.report(&held.token, records).await, Err(Refusal::Unavailable(_))));
    until_standing_by(&leader).await;
    // When the successor's term has run out this one leads again, and has what is stored.
    sql("succeeded", "UPDATE phasegrid.leadership SET expire_time = clock_timestamp()").await;
    until_serving(&leader).await;
    leader.register(worker("w", 2)).await.unwrap();
    assert_eq!(complete(&leader, &held).await, Verdict::Accepted);
    assert_eq!(leader.sweep(&id).await.unwrap().0.progress.finished, held.tasks.len() as u64);
}

#[tokio::test]
async fn a_database_that_went_away_is_waited_for() {
    let server = Arc::new(blocking(Postgres::new).await);
    let with_server = |work: fn(&Postgres)| {
        let server = Arc::clone(&server);
        blocking(move || work(&server))
    };
    let url = server.url("postgres").parse().unwrap();
    let coordinator = Coordinator::join(&url, "http://127.0.0.1:1", &Place::Nowhere, patient()).await.unwrap();
    until_serving(&coordinator).await;
    let id = coordinator.create_sweep("a wish", &map(4), &[]).await.unwrap().id;
    with_server(Postgres::crash).await;
    // Longer than a term: it gives up leading.
    until_standing_by(&coordinator).await;
    assert!(matches!(coordinator.sweep(&id).await, Err(Refusal::Unavailable(_))));
    with_server(Postgres::start).await;
    until_serving(&coordinator).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    work_off(&coordinator).await;
    assert_eq!(coordinator.sweep(&id).await.unwrap().0.progress.finished, 4);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let address = "postgres://grid:s3cret@127.0.0.1:1/sweeps".parse().unwrap();
    let Err(error) = Coordinator::join(&address, "http://127.0.0.1:1", &Place::Nowhere, patient()).await else {
        panic!("it joined")
    };
    let message = error.to_string();
    assert!(message.contains("postgres://grid@127.0.0.1:1/sweeps cannot be used: "), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
}
