//! A scripted coordinator: every call of the worker reaches the test, which answers it. A call that the test is not
//! waiting for is an error, but for requests for work, heartbeats and new baselines, which a worker may send beside
//! anything.

pub(crate) mod s3;
mod tasks;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use phasegrid_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use phasegrid_proto::v1::*;
use phasegrid_worker::client::Client;
use phasegrid_worker::runner::{self, Capacity, RunError, SpoolSettings};
use phasegrid_worker::snapshots::SnapshotSettings;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use tasks::{endless, estimated, lease, quick};

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A heartbeat that does not come during a test.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);
/// A heartbeat that comes as soon as anyone asks for it.
pub(crate) const SOON: Duration = Duration::from_millis(5);

/// The name of the worker under test.
pub(crate) const NAME: &str = "w-1";

/// A call that waits for the test's answer.
#[derive(Debug)]
pub(crate) struct Call<Q, A> {
    pub(crate) request: Q,
    answer: oneshot::Sender<Result<A, Status>>,
}

impl<Q, A> Call<Q, A> {
    pub(crate) fn answer(self, answer: A) {
        self.answer.send(Ok(answer)).ok();
    }

    pub(crate) fn refuse(self, status: Status) {
        self.answer.send(Err(status)).ok();
    }
}

/// A stream of reports that the worker has opened. Dropping it breaks the stream.
#[derive(Debug)]
pub(crate) struct Reports {
    requests: Streaming<ReportRequest>,
    answers: mpsc::UnboundedSender<Result<ReportResponse, Status>>,
}

impl Reports {
    async fn request(&mut self) -> ReportRequest {
        let next = tokio::time::timeout(PATIENCE, self.requests.next()).await.expect("no report came");
        next.expect("the worker closed the stream").expect("the connection holds")
    }

    /// The records of the next request with their points.
    pub(crate) async fn records(&mut self) -> Vec<(u64, Record)> {
        let points = self.request().await.points.into_iter();
        points.flat_map(|of| of.records.into_iter().map(move |record| (of.point, record))).collect()
    }

    /// The next request: its lease, and each point's steps.
    pub(crate) async fn next(&mut self) -> (String, Vec<(u64, Vec<u64>)>) {
        let request = self.request().await;
        let steps = |of: PointRecords| (of.point, of.records.iter().map(|record| record.step).collect());
        (request.token, request.points.into_iter().map(steps).collect())
    }

    pub(crate) fn answer(&self, verdict: Verdict) {
        self.answers.send(Ok(ReportResponse { verdict: verdict.into() })).ok();
    }

    /// Ends the stream with an error.
    pub(crate) fn refuse(self, status: Status) {
        self.answers.send(Err(status)).ok();
    }

    /// Acknowledges records until those of `points` have come, each as often as it is named.
    pub(crate) async fn acknowledge(&mut self, points: &[u64]) {
        let mut missing: Vec<u64> = points.to_vec();
        while !missing.is_empty() {
            for (point, steps) in self.next().await.1 {
                for _ in steps {
                    let found = missing.iter().position(|of| *of == point).expect("a record that nobody waits for");
                    missing.remove(found);
                }
            }
            self.answer(Verdict::Accepted);
        }
    }
}

/// Everything that a worker can say.
#[derive(Debug)]
pub(crate) enum Said {
    Register(Call<RegisterRequest, RegisterResponse>),
    Lease(Call<LeaseRequest, LeaseResponse>),
    Heartbeat(Call<HeartbeatRequest, HeartbeatResponse>),
    Report(Reports),
    Finish(Call<FinishRequest, FinishResponse>),
    Release(Call<ReleaseRequest, ReleaseResponse>),
    Reclaim(Call<ReclaimRequest, ReclaimResponse>),
    FindBaseline(Call<FindBaselineRequest, FindBaselineResponse>),
    StoreBaseline(Call<StoreBaselineRequest, StoreBaselineResponse>),
}

/// The test's side of the scripted coordinator.
pub(crate) struct Coordinator {
    url: String,
    said: mpsc::UnboundedReceiver<Said>,
    /// Calls that may come beside anything and came while the test waited for something else.
    aside: VecDeque<Said>,
}

macro_rules! expect {
    ($($(#[$doc:meta])* $name:ident: $kind:ident -> $call:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(&mut self) -> $call {
            match self.next(stringify!($kind), |said| matches!(said, Said::$kind(_))).await {
                Said::$kind(call) => call,
                other => unreachable!("{other:?}"),
            }
        }
    )*};
}

impl Coordinator {
    pub(crate) async fn start() -> Self {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a free port").with_nodelay(Some(true));
        let url = format!("http://{}", incoming.local_addr().expect("it is bound"));
        let (heard, said) = mpsc::unbounded_channel();
        tokio::spawn(Server::builder().add_service(WorkerServiceServer::new(Ear(heard))).serve_with_incoming(incoming));
        Self { url, said, aside: VecDeque::new() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Starts a worker with so many slots, a thread each.
    pub(crate) fn worker(&self, slots: usize) -> Worker {
        let client = Client::new(&self.url, &Default::default(), NAME, slots as u32, "cpu").expect("an address");
        let (leave, left) = oneshot::channel::<()>();
        let left = async move {
            // A worker that the test does not tell to leave stays.
            if left.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let capacity = Capacity { slots, devices: vec![tch::Device::Cpu; slots] };
        // A snapshot at every checkpoint, where the coordinator says.
        let snapshots = SnapshotSettings { place: None, interval: Duration::ZERO };
        let run = tokio::spawn(runner::run(client, capacity, snapshots, SpoolSettings::default(), left));
        Worker { leave: Some(leave), run }
    }

    /// Starts a worker and registers it.
    pub(crate) async fn registered(&mut self, slots: usize, heartbeat_interval: Duration) -> Worker {
        let worker = self.worker(slots);
        self.register().await.answer(terms(heartbeat_interval));
        worker
    }

    expect! {
        register: Register -> Call<RegisterRequest, RegisterResponse>;
        lease: Lease -> Call<LeaseRequest, LeaseResponse>;
        heartbeat: Heartbeat -> Call<HeartbeatRequest, HeartbeatResponse>;
        reports: Report -> Reports;
        finish: Finish -> Call<FinishRequest, FinishResponse>;
        release: Release -> Call<ReleaseRequest, ReleaseResponse>;
        reclaim: Reclaim -> Call<ReclaimRequest, ReclaimResponse>;
        find_baseline: FindBaseline -> Call<FindBaselineRequest, FindBaselineResponse>;
        store_baseline: StoreBaseline -> Call<StoreBaselineRequest, StoreBaselineResponse>;
    }

    /// Answers heartbeats until one shows what is waited for.
    pub(crate) async fn heartbeat_with(&mut self, shows: impl Fn(&HeartbeatRequest) -> bool) {
        let answer = async {
            loop {
                let heartbeat = self.heartbeat().await;
                let shown = shows(&heartbeat.request);
                heartbeat.answer(HeartbeatResponse::default());
                if shown {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("no heartbeat shows it");
    }

    /// The worker has said nothing that the test did not hear, but for what may come beside anything.
    pub(crate) fn heard_all(&mut self) {
        while let Ok(said) = self.said.try_recv() {
            assert!(is_aside(&said), "unexpected: {said:?}");
        }
    }

    async fn next(&mut self, kind: &str, wanted: impl Fn(&Said) -> bool) -> Said {
        if let Some(said) = self.aside.iter().position(&wanted).and_then(|position| self.aside.remove(position)) {
            return said;
        }
        loop {
            let said = tokio::time::timeout(PATIENCE, self.said.recv()).await;
            let said = said.unwrap_or_else(|_| panic!("{kind} never came")).expect("the server runs");
            if wanted(&said) {
                return said;
            }
            assert!(is_aside(&said), "waiting for {kind}, but the worker said {said:?}");
            self.aside.push_back(said);
        }
    }
}

fn is_aside(said: &Said) -> bool {
    matches!(said, Said::Lease(_) | Said::Heartbeat(_) | Said::StoreBaseline(_))
}

/// The answer to a registration.
pub(crate) fn terms(heartbeat_interval: Duration) -> RegisterResponse {
    let span = |span: Duration| prost_types::Duration::try_from(span).ok();
    RegisterResponse { heartbeat_interval: span(heartbeat_interval), lease_time: span(NEVER), snapshots: String::new() }
}

/// An answer to [`Coordinator::finish`].
pub(crate) fn accepted() -> FinishResponse {
    FinishResponse { verdict: Verdict::Accepted.into() }
}

/// A worker under test.
pub(crate) struct Worker {
    leave: Option<oneshot::Sender<()>>,
    run: JoinHandle<Result<(), RunError>>,
}

impl Worker {
    /// What a signal does.
    pub(crate) fn tell_to_leave(&mut self) {
        self.leave.take().expect("told once").send(()).expect("the worker runs");
    }

    /// Waits until the worker has left.
    pub(crate) async fn left(self) -> Result<(), RunError> {
        tokio::time::timeout(PATIENCE, self.run).await.expect("the worker stays").expect("no panic")
    }
}

/// The server's side: passes every call on and waits for the test's answer.
struct Ear(mpsc::UnboundedSender<Said>);

impl Ear {
    async fn pass<Q, A>(
        &self,
        request: Request<Q>,
        say: impl FnOnce(Call<Q, A>) -> Said,
    ) -> Result<Response<A>, Status> {
        let (answer, answered) = oneshot::channel();
        self.0.send(say(Call { request: request.into_inner(), answer })).ok();
        answered.await.map_err(|_| Status::unavailable("the test dropped the call"))?.map(Response::new)
    }
}

#[tonic::async_trait]
impl WorkerService for Ear {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        self.pass(request, Said::Register).await
    }

    async fn lease(&self, request: Request<LeaseRequest>) -> Result<Response<LeaseResponse>, Status> {
        self.pass(request, Said::Lease).await
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        self.pass(request, Said::Heartbeat).await
    }

    type ReportStream = Pin<Box<dyn Stream<Item = Result<ReportResponse, Status>> + Send>>;

    async fn report(&self, request: Request<Streaming<ReportRequest>>) -> Result<Response<Self::ReportStream>, Status> {
        let (answers, stream) = mpsc::unbounded_channel();
        self.0.send(Said::Report(Reports { requests: request.into_inner(), answers })).ok();
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(stream))))
    }

    async fn finish(&self, request: Request<FinishRequest>) -> Result<Response<FinishResponse>, Status> {
        self.pass(request, Said::Finish).await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        self.pass(request, Said::Release).await
    }

    async fn reclaim(&self, request: Request<ReclaimRequest>) -> Result<Response<ReclaimResponse>, Status> {
        self.pass(request, Said::Reclaim).await
    }

    async fn find_baseline(
        &self,
        request: Request<FindBaselineRequest>,
    ) -> Result<Response<FindBaselineResponse>, Status> {
        self.pass(request, Said::FindBaseline).await
    }

    async fn store_baseline(
        &self,
        request: Request<StoreBaselineRequest>,
    ) -> Result<Response<StoreBaselineResponse>, Status> {
        self.pass(request, Said::StoreBaseline).await
    }
}
