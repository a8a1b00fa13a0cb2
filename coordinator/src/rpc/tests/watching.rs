//! Health, reflection and metrics, on the port of everything else; and the limits of a connection.

use http_body_util::BodyExt as _;
use phasegrid_proto::place::Place;
use phasegrid_proto::v1;
use phasegrid_tests::Postgres;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tower::Service as _;

use super::secured::Secured;
use super::{Running, SWEEP};
use crate::access::Role;
use crate::rpc::MESSAGE_LIMIT;
use crate::rpc::server::Server;
use crate::rpc::streams::MOST_STREAMS;
use crate::service::Coordinator;

#[tokio::test]
async fn health_is_told_without_a_token() {
    let secured = Secured::start().await;
    let mut health = HealthClient::new(secured.clients(None).await.channel);
    for service in ["", "phasegrid.v1.SweepService", "phasegrid.v1.WorkerService", "phasegrid.v1.TokenService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status().as_str_name(), "SERVING", "{service:?}");
    }
}

#[tokio::test]
async fn health_tells_who_leads_from_who_stands_by() {
    let database = tokio::task::spawn_blocking(|| Postgres::shared().database("health")).await.unwrap();
    let database = database.parse().unwrap();
    let join = async || Coordinator::join(&database, "http://127.0.0.1:1", &Place::Nowhere, Default::default()).await;
    let leader = join().await.unwrap();
    assert!(leader.until_serving(true).await);
    let other = join().await.unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let channel = Channel::from_shared(server.url()).unwrap().connect_lazy();
    let serving = tokio::spawn(server.run(other, std::future::pending()));
    let health = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
        answer.status().as_str_name()
    };
    assert_eq!(health("").await, "SERVING");
    assert_eq!(health("phasegrid.v1.SweepService").await, "NOT_SERVING");
    leader.shutdown().await;
    while health("phasegrid.v1.SweepService").await != "SERVING" {}
    serving.abort();
}

#[tokio::test]
async fn the_services_describe_themselves_to_those_who_may_look() {
    let secured = Secured::start().await;
    let read = secured.token(Role::Read).await;
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let question = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(secured.clients(None).await.channel);
    let mut request = Request::new(tokio_stream::iter([question]));
    request.metadata_mut().insert("authorization", format!("Bearer {read}").parse().unwrap());
    let mut answers = client.server_reflection_info(request).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["SweepService", "WorkerService", "TokenService"] {
        assert!(names.contains(&format!("phasegrid.v1.{service}")), "{names:?}");
    }
}

/// Asks for the metrics as a scraper does, over HTTP/2.
async fn scrape(mut channel: Channel, token: Option<&str>) -> (u16, String) {
    let mut request = http::Request::get("/metrics");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let response = channel.call(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn metrics_are_for_those_who_may_look() {
    let secured = Secured::start().await;
    let channel = secured.clients(None).await.channel;
    let (status, text) = scrape(channel.clone(), None).await;
    assert_eq!(status, 401);
    assert!(text.contains("--token-file"), "{text}");
    let worker = secured.token(Role::Worker).await;
    assert_eq!(scrape(channel.clone(), Some(&worker)).await.0, 403);
    let read = secured.token(Role::Read).await;
    let (status, page) = scrape(channel, Some(&read)).await;
    assert_eq!(status, 200);
    assert!(page.contains("phasegrid_workers 0\n") && page.ends_with("# EOF\n"), "{page}");
}

#[tokio::test]
async fn metrics_tell_of_sweeps_commits_and_calls_and_come_over_plain_http_too() {
    let mut running = Running::start().await;
    running.create("wish").await;
    running.lease().await;
    running.sweeps.get_sweep(v1::GetSweepRequest { id: "nothing".to_owned() }).await.unwrap_err();
    let mut socket = tokio::net::TcpStream::connect(running.url.strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: phasegrid\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for line in [
        "phasegrid_sweeps{state=\"running\"} 1",
        "phasegrid_points{state=\"leased\"} 2",
        "phasegrid_points{state=\"pending\"} 0",
        "phasegrid_leases 1",
        "phasegrid_workers 1",
        "phasegrid_requests_total{method=\"/phasegrid.v1.SweepService/CreateSweep\",code=\"OK\"} 1",
        "phasegrid_requests_total{method=\"/phasegrid.v1.SweepService/GetSweep\",code=\"NOT_FOUND\"} 1",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    let commits = page.lines().find_map(|line| line.strip_prefix("phasegrid_commit_seconds_count "));
    assert!(commits.unwrap().parse::<u64>().unwrap() >= 2, "a sweep and a lease were written");
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_with_the_limit() {
    let mut running = Running::start().await;
    let source = format!("{SWEEP}# {}", "x".repeat(MESSAGE_LIMIT));
    let request = v1::CreateSweepRequest { request_id: "wish".to_owned(), source, ..Default::default() };
    let mut sweeps = running.sweeps.clone().max_encoding_message_size(2 * MESSAGE_LIMIT);
    let refusal = sweeps.create_sweep(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::OutOfRange, "{refusal}");
    assert!(refusal.message().contains(&MESSAGE_LIMIT.to_string()), "{refusal}");
    running.create("another wish").await;
}

#[tokio::test]
async fn a_connection_with_too_many_streams_is_refused_another_until_one_ends() {
    let mut running = Running::start().await;
    let id = running.create("wish").await.id;
    let request = || v1::WatchSweepRequest { id: id.clone(), after_sequence: 0 };
    let mut streams = vec![];
    for _ in 0..MOST_STREAMS {
        streams.push(running.sweeps.watch_sweep(request()).await.unwrap().into_inner());
    }
    let refusal = running.sweeps.watch_sweep(request()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert!(refusal.message().contains("open streams a connection are accepted"), "{refusal}");
    // Other calls, and other connections, are answered.
    running.sweeps.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap();
    let other = Channel::from_shared(running.url.clone()).unwrap().connect().await.unwrap();
    v1::sweep_service_client::SweepServiceClient::new(other).watch_sweep(request()).await.unwrap();
    streams.clear();
    while let Err(refusal) = running.sweeps.watch_sweep(request()).await {
        // The server learns of the ends in its own time.
        assert_eq!(refusal.code(), Code::ResourceExhausted);
    }
}
