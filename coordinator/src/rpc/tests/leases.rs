//! A worker touches its own leases alone.

use phasegrid_proto::place::Place;
use phasegrid_proto::{NUMERICS_VERSION, v1};
use tonic::{Code, Status};

use super::secured::{Clients, Secured, wish};
use super::{SWEEP, completed, report};
use crate::access::Role;
use crate::service::TokenWish;

async fn register(clients: &mut Clients, worker: &str) -> Result<(), Status> {
    let request = v1::RegisterRequest {
        worker_id: worker.to_owned(),
        slots: 2,
        device: "cpu".to_owned(),
        numerics_version: NUMERICS_VERSION,
        memory_bytes: 0,
    };
    clients.workers.register(request).await.map(drop)
}

async fn lease(clients: &mut Clients, worker: &str) -> Result<Option<v1::LeasedRange>, Status> {
    let request = v1::LeaseRequest { worker_id: worker.to_owned(), wait: None };
    Ok(clients.workers.lease(request).await?.into_inner().lease)
}

async fn heartbeat(clients: &mut Clients, worker: &str, token: &str) -> Result<Vec<String>, Status> {
    let leases = vec![v1::HeldLease { token: token.to_owned(), running: vec![] }];
    let request = v1::HeartbeatRequest { worker_id: worker.to_owned(), leases };
    Ok(clients.workers.heartbeat(request).await?.into_inner().dropped_tokens)
}

async fn reported(clients: &mut Clients, token: &str, point: u64) -> Result<v1::Verdict, Status> {
    let requests = tokio_stream::iter(vec![report(token, point, &[0])]);
    let mut answers = clients.workers.report(requests).await?.into_inner();
    Ok(answers.message().await?.unwrap().verdict())
}

async fn finished(clients: &mut Clients, token: &str, point: u64) -> Result<v1::Verdict, Status> {
    let request = v1::FinishRequest { token: token.to_owned(), outcomes: vec![completed(point, 1)] };
    Ok(clients.workers.finish(request).await?.into_inner().verdict())
}

async fn released(clients: &mut Clients, token: &str) -> Result<(), Status> {
    clients.workers.release(v1::ReleaseRequest { token: token.to_owned(), points: vec![] }).await.map(drop)
}

async fn ceded(clients: &mut Clients, token: &str, point: u64) -> Result<(), Status> {
    clients.workers.release(v1::ReleaseRequest { token: token.to_owned(), points: vec![point] }).await.map(drop)
}

async fn reclaimed(clients: &mut Clients, worker: &str, token: &str, point: u64) -> Result<String, Status> {
    let points = vec![v1::KeptPoint { point, ..Default::default() }];
    let request = v1::ReclaimRequest { worker_id: worker.to_owned(), token: token.to_owned(), points };
    Ok(clients.workers.reclaim(request).await?.into_inner().token)
}

fn assert_denied<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    let refusal = outcome.unwrap_err();
    assert_eq!(refusal.code(), Code::PermissionDenied, "{refusal}");
    assert!(refusal.message().contains("registered with another token"), "{refusal}");
}

/// A coordinator with a sweep of two points.
async fn with_sweep() -> Secured {
    let secured = Secured::start().await;
    let mut submitter = secured.clients_of(Role::Submit).await;
    let (request_id, source) = ("wish".to_owned(), SWEEP.to_owned());
    let request = v1::CreateSweepRequest { request_id, source, ..Default::default() };
    submitter.sweeps.create_sweep(request).await.unwrap();
    secured
}

#[tokio::test]
async fn another_tokens_worker_and_its_leases_are_out_of_reach() {
    let secured = with_sweep().await;
    let mut mine = secured.clients_of(Role::Worker).await;
    let mut theirs = secured.clients_of(Role::Worker).await;
    register(&mut mine, "mine").await.unwrap();
    register(&mut theirs, "theirs").await.unwrap();
    let held = lease(&mut mine, "mine").await.unwrap().unwrap();
    let (token, point) = (held.token.as_str(), held.tasks[0].point);

    assert_denied(register(&mut theirs, "mine").await);
    assert_denied(lease(&mut theirs, "mine").await);
    assert_denied(heartbeat(&mut theirs, "mine", token).await);
    assert_denied(reported(&mut theirs, token, point).await);
    assert_denied(finished(&mut theirs, token, point).await);
    assert_denied(released(&mut theirs, token).await);
    assert_denied(ceded(&mut theirs, token, point).await);
    assert_denied(reclaimed(&mut theirs, "mine", token, point).await);
    assert_eq!(reclaimed(&mut theirs, "theirs", token, point).await.unwrap(), "", "it is not theirs to have back");
    // Naming it as one's own keeps nothing alive.
    assert_eq!(heartbeat(&mut theirs, "theirs", token).await.unwrap(), [token]);

    assert_eq!(heartbeat(&mut mine, "mine", token).await.unwrap(), [""; 0]);
    assert_eq!(reported(&mut mine, token, point).await.unwrap(), v1::Verdict::Accepted);
    assert_eq!(finished(&mut mine, token, point).await.unwrap(), v1::Verdict::Accepted);
    released(&mut mine, token).await.unwrap();
}

#[tokio::test]
async fn workers_of_one_token_share_its_right() {
    let secured = with_sweep().await;
    let token = secured.token(Role::Worker).await;
    let (mut first, mut second) = (secured.clients(Some(&token)).await, secured.clients(Some(&token)).await);
    register(&mut first, "w").await.unwrap();
    let held = lease(&mut first, "w").await.unwrap().unwrap();
    assert_eq!(reported(&mut second, &held.token, held.tasks[0].point).await.unwrap(), v1::Verdict::Accepted);
}

#[tokio::test]
async fn a_workers_token_registers_as_many_workers_as_it_may_and_they_work_on() {
    let secured = with_sweep().await;
    let (token, _) = secured.token_with(TokenWish { uses: Some(1), ..wish(Role::Worker) }).await;
    let mut clients = secured.clients(Some(&token)).await;
    register(&mut clients, "w").await.unwrap();
    register(&mut clients, "w").await.unwrap();
    let refusal = register(&mut clients, "another").await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unauthenticated);
    assert!(refusal.message().contains("is used up"), "{refusal}");
    let held = lease(&mut clients, "w").await.unwrap().unwrap();
    assert_eq!(reported(&mut clients, &held.token, held.tasks[0].point).await.unwrap(), v1::Verdict::Accepted);
}

#[tokio::test]
async fn a_revoked_token_reports_nothing_on_streams_that_are_open() {
    let secured = with_sweep().await;
    let (token, id) = secured.token_with(wish(Role::Worker)).await;
    let mut clients = secured.clients(Some(&token)).await;
    register(&mut clients, "w").await.unwrap();
    let held = lease(&mut clients, "w").await.unwrap().unwrap();
    let point = held.tasks[0].point;
    let (sender, requests) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    sender.send(report(&held.token, point, &[0])).await.unwrap();
    let mut answers = clients.workers.report(requests).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().verdict(), v1::Verdict::Accepted);

    secured.coordinator.revoke_token(&id).await.unwrap();
    sender.send(report(&held.token, point, &[10])).await.unwrap();
    let refusal = answers.message().await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unauthenticated);
    assert!(refusal.message().contains("was revoked"), "{refusal}");
    assert_eq!(register(&mut clients, "w").await.unwrap_err().code(), Code::Unauthenticated);
    let mut heir = secured.clients_of(Role::Worker).await;
    register(&mut heir, "w").await.unwrap();
    assert_eq!(reported(&mut heir, &held.token, point).await.unwrap(), v1::Verdict::Accepted);
}

#[tokio::test]
async fn a_restart_changes_nothing_about_whose_worker_it_is() {
    let secured = with_sweep().await;
    let (mine, theirs) = (secured.token(Role::Worker).await, secured.token(Role::Worker).await);
    register(&mut secured.clients(Some(&mine)).await, "w").await.unwrap();
    secured.stopper.stop();
    secured.serving.await.unwrap().unwrap();

    let reopened =
        crate::service::Coordinator::open(&secured.folder.path().join("data"), &Place::Nowhere, Default::default())
            .await;
    let coordinator = reopened.unwrap();
    let registration = || crate::service::Registration {
        id: "w".to_owned(),
        slots: 1,
        device: "cpu".to_owned(),
        numerics_version: NUMERICS_VERSION,
        memory: 0,
    };
    let as_caller = |token: &str| coordinator.on_behalf_of(coordinator.identify(Some(token)).unwrap());
    let refusal = as_caller(&theirs).register(registration()).await.unwrap_err();
    assert!(refusal.to_string().contains("registered with another token"), "{refusal}");
    as_caller(&mine).register(registration()).await.unwrap();
}
