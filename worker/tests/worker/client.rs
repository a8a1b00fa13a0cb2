//! What the client makes of the coordinator's answers.

use std::time::Duration;

use phasegrid_proto::v1::*;
use phasegrid_worker::client::{Client, ClientError};
use tonic::Status;

use crate::harness::*;

#[tokio::test]
async fn a_baseline_is_looked_up_and_shared_by_its_digest() {
    let mut coordinator = Coordinator::start().await;
    let client = Client::new(coordinator.url(), &Default::default(), NAME, 1, "cpu").unwrap();
    let estimate = Estimate { llc: Some(4191.0), ..Default::default() };

    let found = tokio::spawn(async move { (client.find_baseline("d1".into()).await, client) });
    let find = coordinator.find_baseline().await;
    assert_eq!(find.request.digest, "d1");
    find.answer(FindBaselineResponse { estimate: Some(estimate.clone()) });
    let (found, client) = found.await.unwrap();
    assert_eq!(found.unwrap(), Some(estimate.clone()));

    let sent = estimate.clone();
    let stored = tokio::spawn(async move { client.store_baseline("d2".into(), sent).await });
    let store = coordinator.store_baseline().await;
    assert_eq!(store.request, StoreBaselineRequest { digest: "d2".into(), estimate: Some(estimate) });
    store.answer(StoreBaselineResponse {});
    stored.await.unwrap().unwrap();
}

#[tokio::test]
async fn of_many_calls_that_find_the_worker_forgotten_one_registers_it_again() {
    let mut coordinator = Coordinator::start().await;
    let client = std::sync::Arc::new(Client::new(coordinator.url(), &Default::default(), NAME, 1, "cpu").unwrap());
    let calls = [0, 1].map(|_| {
        tokio::spawn({
            let client = client.clone();
            async move { client.heartbeat(vec![]).await }
        })
    });
    let forgotten = [coordinator.heartbeat().await, coordinator.heartbeat().await];
    for call in forgotten {
        call.refuse(Status::not_found("unknown worker"));
    }
    let interval = Duration::from_millis(700);
    coordinator.register().await.answer(terms(interval));
    for _ in 0..2 {
        coordinator.heartbeat().await.answer(HeartbeatResponse::default());
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(client.terms().heartbeat_interval, interval);
    coordinator.heard_all();
}

#[tokio::test]
async fn heartbeats_are_sent_at_most_ten_times_a_second_whatever_the_coordinator_wants() {
    let mut coordinator = Coordinator::start().await;
    let client = std::sync::Arc::new(Client::new(coordinator.url(), &Default::default(), NAME, 1, "cpu").unwrap());
    let registered = tokio::spawn({
        let client = client.clone();
        async move { client.register().await }
    });
    coordinator.register().await.answer(terms(Duration::ZERO));
    registered.await.unwrap().unwrap();
    assert_eq!(client.terms().heartbeat_interval, Duration::from_millis(100));
}

#[tokio::test]
async fn an_answer_without_a_verdict_is_a_defect() {
    let mut coordinator = Coordinator::start().await;
    let client = Client::new(coordinator.url(), &Default::default(), NAME, 1, "cpu").unwrap();
    let finish = tokio::spawn(async move { client.finish(&phasegrid_worker::client::Token::new("a"), vec![]).await });
    coordinator.finish().await.answer(FinishResponse::default());
    assert!(matches!(finish.await.unwrap(), Err(ClientError::Refused { .. })));
}

#[tokio::test]
async fn a_coordinator_that_is_frozen_is_left_for_the_next() {
    // The system accepts its connections; nobody reads what is sent.
    let frozen = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut coordinator = Coordinator::start().await;
    let urls = format!("http://{},{}", frozen.local_addr().unwrap(), coordinator.url());
    let client = Client::new(&urls, &Default::default(), NAME, 1, "cpu").unwrap();
    let client = client.with_answer_time(Duration::from_secs(1));
    let registered = tokio::spawn(async move { client.register().await.map(|()| client) });
    coordinator.register().await.answer(terms(NEVER));
    registered.await.unwrap().unwrap();
}
