//! Both services over a real connection: a server on a free port, and the generated clients.

mod doors;
mod leases;
mod secured;
mod watching;

use std::net::SocketAddr;
use std::time::Duration;

use phasegrid_proto::place::Place;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use phasegrid_proto::v1::worker_service_client::WorkerServiceClient;
use phasegrid_proto::{NUMERICS_VERSION, v1};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;

use super::server::{Server, ServerError};
use super::tables;
use crate::results::{Cell, Table};
use crate::service::{Coordinator, Settings};
use crate::stopping::Stopper;

/// Two tasks that differ in their seed.
const SWEEP: &str = r#"
name = "tiny"
[task.data]
kind = "modular"
operation = "add"
modulus = 5
train_fraction = 0.5
[task.model]
kind = "quadratic"
width = 4
[task.train]
optimizer = "sgd"
learning_rate = 0.1
batch_size = "full"
steps = 10
loss = "mse"
[task.checkpoints]
every = 10
[axes]
seed = [0, 1]
"#;

/// A server with its clients; it stops when this is dropped.
struct Running {
    url: String,
    sweeps: SweepServiceClient<Channel>,
    workers: WorkerServiceClient<Channel>,
    stopper: Stopper,
    serving: JoinHandle<Result<(), ServerError>>,
    _data: TempDir,
}

impl Running {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(data.path(), &Place::Nowhere, Settings::default()).await.unwrap();
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).await.unwrap();
        let url = server.url();
        let (stopper, stopping) = Stopper::new();
        let serving = tokio::spawn(server.run(coordinator, stopping.wait()));
        let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
        let (sweeps, workers) = (SweepServiceClient::new(channel.clone()), WorkerServiceClient::new(channel));
        Self { url, sweeps, workers, stopper, serving, _data: data }
    }

    async fn create(&mut self, request_id: &str) -> v1::Sweep {
        let (request_id, source) = (request_id.to_owned(), SWEEP.to_owned());
        let request = v1::CreateSweepRequest { request_id, source, ..Default::default() };
        self.sweeps.create_sweep(request).await.unwrap().into_inner().sweep.unwrap()
    }

    async fn lease(&mut self) -> v1::LeasedRange {
        let request = v1::RegisterRequest {
            worker_id: "w".to_owned(),
            slots: 2,
            device: "cpu".to_owned(),
            numerics_version: NUMERICS_VERSION,
            memory_bytes: 8 << 30,
        };
        let terms = self.workers.register(request).await.unwrap().into_inner();
        assert_eq!(terms.lease_time.map(|time| time.seconds), Some(60));
        let wait = Duration::from_secs(10).try_into().ok();
        let request = v1::LeaseRequest { worker_id: "w".to_owned(), wait };
        self.workers.lease(request).await.unwrap().into_inner().lease.unwrap()
    }

    async fn report(&mut self, requests: Vec<v1::ReportRequest>) -> Vec<v1::Verdict> {
        let mut answers = self.workers.report(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut verdicts = vec![];
        while let Some(answer) = answers.message().await.unwrap() {
            verdicts.push(answer.verdict());
        }
        verdicts
    }

    async fn table(&mut self, id: &str, level: v1::TableLevel) -> Table {
        let request = v1::ReadTableRequest { id: id.to_owned(), level: level.into() };
        let mut parts = self.sweeps.read_table(request).await.unwrap().into_inner();
        let mut table = Table::default();
        while let Some(part) = parts.message().await.unwrap() {
            assert!(part.columns.is_empty() || part.rows.is_empty(), "columns come first and alone");
            tables::append(&mut table, part);
        }
        table
    }
}

fn record(step: u64) -> v1::Record {
    v1::Record { step, train_loss: Some(0.5), ..Default::default() }
}

fn report(token: &str, point: u64, steps: &[u64]) -> v1::ReportRequest {
    let records = steps.iter().copied().map(record).collect();
    v1::ReportRequest { token: token.to_owned(), points: vec![v1::PointRecords { point, records }] }
}

fn completed(point: u64, records: u64) -> v1::Outcome {
    let outcome = v1::outcome::Outcome::Completed(v1::Completed { records });
    v1::Outcome { point, outcome: Some(outcome) }
}

#[tokio::test]
async fn the_same_request_creates_one_sweep() {
    let mut running = Running::start().await;
    let first = running.create("wish").await;
    assert_eq!(running.create("wish").await, first);
    assert_ne!(running.create("another wish").await.id, first.id);
    assert_eq!((first.name.as_str(), first.progress.unwrap().size), ("tiny", 2));
}

#[tokio::test]
async fn sweeps_are_listed_newest_first_page_by_page() {
    let mut running = Running::start().await;
    let created = [running.create("1").await.id, running.create("2").await.id, running.create("3").await.id];
    let mut listed = vec![];
    let mut page_token = String::new();
    loop {
        let request = v1::ListSweepsRequest { page_size: 2, page_token };
        let page = running.sweeps.list_sweeps(request).await.unwrap().into_inner();
        assert!(page.sweeps.len() <= 2);
        assert!(page.sweeps.iter().all(|sweep| sweep.resolved_source.is_empty()), "sources are too long for lists");
        listed.extend(page.sweeps.into_iter().map(|sweep| sweep.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    listed.reverse();
    assert_eq!(listed, created);
}

#[tokio::test]
async fn a_sweep_goes_from_its_file_to_its_tables() {
    let mut running = Running::start().await;
    let id = running.create("wish").await.id;
    let request = v1::WatchSweepRequest { id: id.clone(), after_sequence: 0 };
    let mut events = running.sweeps.watch_sweep(request).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap();
    assert_eq!((first.state(), first.progress.unwrap().finished), (v1::SweepState::Running, 0));

    let mut outcomes = 0;
    while outcomes < 2 {
        let v1::LeasedRange { token, tasks, .. } = running.lease().await;
        let points: Vec<_> = tasks.iter().map(|task| task.point).collect();
        let reports = points.iter().flat_map(|&point| [report(&token, point, &[0]), report(&token, point, &[10])]);
        let verdicts = running.report(reports.collect()).await;
        assert_eq!(verdicts, vec![v1::Verdict::Accepted; 2 * points.len()]);
        let finish = v1::FinishRequest { token, outcomes: points.iter().map(|&point| completed(point, 2)).collect() };
        let answer = running.workers.finish(finish).await.unwrap().into_inner();
        assert_eq!(answer.verdict(), v1::Verdict::Accepted);
        outcomes += points.len();
    }

    let mut last = first;
    while let Some(event) = events.message().await.unwrap() {
        assert!(event.sequence > last.sequence);
        last = event;
    }
    assert_eq!((last.state(), last.progress.unwrap().finished), (v1::SweepState::Completed, 2));

    let records = running.table(&id, v1::TableLevel::Records).await;
    let steps: Vec<_> = records.numbers("step").collect();
    assert_eq!(steps, [Some(0.0), Some(10.0), Some(0.0), Some(10.0)]);
    let tasks = running.table(&id, v1::TableLevel::Tasks).await;
    let state = tasks.column("state").unwrap();
    assert!(tasks.rows.iter().all(|row| row[state] == Cell::Text("finished".to_owned())));
    assert_eq!(running.table(&id, v1::TableLevel::Cells).await.numbers("tasks").collect::<Vec<_>>(), [Some(2.0)]);
}

#[tokio::test]
async fn reports_under_a_released_lease_are_stale() {
    let mut running = Running::start().await;
    running.create("wish").await;
    let v1::LeasedRange { token, tasks, .. } = running.lease().await;
    running.workers.release(v1::ReleaseRequest { token: token.clone(), points: vec![] }).await.unwrap();
    assert_eq!(running.report(vec![report(&token, tasks[0].point, &[0])]).await, [v1::Verdict::Stale]);
}

#[tokio::test]
async fn refusals_carry_their_code() {
    let mut running = Running::start().await;
    let (sweeps, workers) = (&mut running.sweeps, &mut running.workers);
    let request =
        v1::CreateSweepRequest { request_id: "wish".to_owned(), source: "name = 3".to_owned(), ..Default::default() };
    let refusal = sweeps.create_sweep(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(refusal.message().contains("name"), "{refusal}");

    let refusal = sweeps.get_sweep(v1::GetSweepRequest { id: "nothing".to_owned() }).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);

    let refusal = sweeps.read_table(v1::ReadTableRequest::default()).await.unwrap_err();
    assert_eq!(refusal.message(), "level: cells, tasks and records are accepted");

    let request = v1::LeaseRequest { worker_id: "stranger".to_owned(), wait: None };
    assert_eq!(workers.lease(request).await.unwrap_err().code(), Code::NotFound);

    let request = v1::FinishRequest { token: "made up".to_owned(), outcomes: vec![v1::Outcome::default()] };
    assert_eq!(workers.finish(request).await.unwrap_err().message(), "outcomes.outcome: missing");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_its_streams_and_itself() {
    let mut running = Running::start().await;
    let id = running.create("wish").await.id;
    let request = v1::WatchSweepRequest { id, after_sequence: 0 };
    let mut events = running.sweeps.watch_sweep(request).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    running.stopper.stop();
    assert_eq!(events.message().await.unwrap(), None);
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_others_can_reach_or_that_is_taken_is_refused() {
    let refusal = Server::bind("0.0.0.0:0".parse().unwrap(), None).await.unwrap_err();
    assert!(refusal.to_string().contains("phasegrid init-cluster"), "{refusal}");
    let taken = Server::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let refusal = Server::bind(taken.address(), None).await.unwrap_err();
    assert!(matches!(refusal, ServerError::AddressInUse(address) if address == taken.address()));
}
