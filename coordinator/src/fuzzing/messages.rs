//! What travels: every method of every service, past the door, with bytes for a message.

use std::path::Path;
use std::time::Duration;

use phasegrid_proto::place::Place;
use phasegrid_proto::{NUMERICS_VERSION, v1};
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status};

use crate::access::{Role, Secret};
use crate::rpc::exchange::Exchange;
use crate::service::{Coordinator, Settings, TokenWish};

const SWEEP: &str = r#"
name = "map"
[task]
checkpoints = [0, 10]
[task.data]
kind = "modular"
modulus = 7
train_fraction = 0.5
[task.model]
kind = "quadratic"
width = 8
[task.train]
learning_rate = 1e-3
steps = 10
[axes]
seed = { from = 0, count = 100 }
"#;

/// What takes longer waits for work, or for its turn on a busy machine: nobody waits for the answer.
const PATIENCE: Duration = Duration::from_millis(20);
/// What is asked to see whether anybody still answers waits for its turn, however busy the machine is.
const LONG: Duration = Duration::from_secs(60);

/// A coordinator with a sweep and a worker that holds a lease, behind all its doors.
pub struct Doors {
    runtime: Runtime,
    coordinator: Coordinator,
    exchange: Exchange,
    admin: Secret,
    worker: Secret,
    sweep: String,
    lease: String,
}

impl Doors {
    /// A new one, in an empty folder.
    ///
    /// # Panics
    /// If the folder cannot be used.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let [admin, worker] = [(); 2].map(|()| Secret::random().expect("there is randomness"));
        let (coordinator, exchange) = runtime.block_on(async {
            let settings = Settings { retry_backoff: Duration::ZERO, ..Settings::default() };
            let coordinator = Coordinator::open(folder, &Place::Nowhere, settings).await.expect("the folder is good");
            for (secret, role) in [(&admin, Role::Admin), (&worker, Role::Worker)] {
                let wish = TokenWish { role, name: String::new(), lifetime: None, uses: None };
                coordinator.create_token(secret, wish).await.expect("tokens can be made");
            }
            let exchange = Exchange::new(&coordinator).await;
            (coordinator, exchange)
        });
        let mut doors =
            Self { runtime, coordinator, exchange, admin, worker, sweep: String::new(), lease: String::new() };
        doors.begin();
        doors
    }

    /// A sweep is created, and the worker takes a lease of it.
    fn begin(&mut self) {
        let Self { runtime, coordinator, .. } = &*self;
        let view = runtime.block_on(coordinator.create_sweep("a wish", SWEEP, &[])).expect("the sweep is a good one");
        self.sweep = view.id;
        // The first epoch of a sweep is 1.
        self.lease = format!("{}.1", self.sweep);
        for method in ["Register", "Lease"] {
            let path = format!("/phasegrid.v1.WorkerService/{method}");
            let message = self.example(method);
            let call = self.exchange.call(&path, &self.worker, &message);
            let status = self.runtime.block_on(call);
            assert_eq!(status.code(), Code::Ok, "{status:?}");
        }
    }

    /// Calls one of the methods with a message of which the first `keep` bytes are those of a good one. Whatever comes of
    /// it, it is an answer: no failure of the coordinator's own, which goes on serving.
    ///
    /// # Panics
    /// If that is not so.
    pub fn message(&self, method: u8, keep: usize, garbage: &[u8]) {
        let paths = Exchange::paths();
        let path = paths[usize::from(method) % paths.len()];
        let good = self.example(path.rsplit('/').next().unwrap_or_default());
        let message = [&good[..keep.min(good.len())], garbage].concat();
        if let Some(status) = self.call(path, &message, PATIENCE) {
            let undecoded = status.code() == Code::Internal && status.message().contains("decode Protobuf");
            let own = matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable | Code::DataLoss);
            assert!(undecoded || !own, "{path} {message:?}: {status:?}");
        }
        let list = v1::ListWorkersRequest {}.encode_to_vec();
        let status = self.call("/phasegrid.v1.SweepService/ListWorkers", &list, LONG);
        assert!(status.is_some_and(|status| status.code() == Code::Ok), "{path} {message:?}: nobody answers any more");
    }

    /// What a call comes to; `None` if it waits.
    fn call(&self, path: &str, message: &[u8], patience: Duration) -> Option<Status> {
        let token = if Exchange::role(path) == Role::Worker { &self.worker } else { &self.admin };
        self.runtime
            .block_on(async { tokio::time::timeout(patience, self.exchange.call(path, token, message)).await.ok() })
    }

    /// A good message of a method.
    fn example(&self, method: &str) -> Vec<u8> {
        let (id, token) = (self.sweep.clone(), self.lease.clone());
        let worker_id = "w".to_owned();
        match method {
            "Register" => v1::RegisterRequest {
                worker_id,
                slots: 2,
                device: "cpu".to_owned(),
                numerics_version: NUMERICS_VERSION,
                memory_bytes: 1 << 30,
            }
            .encode_to_vec(),
            "Lease" => v1::LeaseRequest { worker_id, wait: None }.encode_to_vec(),
            "Heartbeat" => {
                let running = vec![v1::RunningPoint { point: 0, work_done: 0.5 }];
                v1::HeartbeatRequest { worker_id, leases: vec![v1::HeldLease { token, running }] }.encode_to_vec()
            }
            "Report" => {
                let records = vec![v1::Record { step: 0, train_loss: Some(0.5), ..Default::default() }];
                v1::ReportRequest { token, points: vec![v1::PointRecords { point: 0, records }] }.encode_to_vec()
            }
            "Finish" => {
                let failed = v1::Failed { error: "it is".to_owned(), ..Default::default() };
                let outcome = v1::Outcome { point: 1, outcome: Some(v1::outcome::Outcome::Failed(failed)) };
                v1::FinishRequest { token, outcomes: vec![outcome] }.encode_to_vec()
            }
            "Release" => v1::ReleaseRequest { token, points: vec![1] }.encode_to_vec(),
            "Reclaim" => {
                let kept = v1::KeptPoint { point: 0, acknowledged: 1, computed: true };
                v1::ReclaimRequest { worker_id, token, points: vec![kept] }.encode_to_vec()
            }
            "FindBaseline" => v1::FindBaselineRequest { digest: "0".repeat(32) }.encode_to_vec(),
            "StoreBaseline" => {
                let estimate = Some(v1::Estimate { llc: Some(1.0), ..Default::default() });
                v1::StoreBaselineRequest { digest: "0".repeat(32), estimate }.encode_to_vec()
            }
            "CreateSweep" => {
                let overrides = vec!["axes.seed.count=3".to_owned()];
                let wish = v1::CreateSweepRequest { source: SWEEP.to_owned(), overrides, ..Default::default() };
                v1::CreateSweepRequest { request_id: "another".to_owned(), user: "me".to_owned(), ..wish }
                    .encode_to_vec()
            }
            "CountKnown" => v1::CountKnownRequest { source: SWEEP.to_owned(), overrides: vec![] }.encode_to_vec(),
            "PrioritiseSweep" => v1::PrioritiseSweepRequest { id, priority: -3 }.encode_to_vec(),
            "WatchSweep" => v1::WatchSweepRequest { id, after_sequence: 1 }.encode_to_vec(),
            "ReadTable" => v1::ReadTableRequest { id, level: v1::TableLevel::Tasks.into() }.encode_to_vec(),
            "ExplainPoint" => v1::ExplainPointRequest { id, point: 3 }.encode_to_vec(),
            "ListSweeps" => v1::ListSweepsRequest { page_size: 3, page_token: "2".to_owned() }.encode_to_vec(),
            "DrainWorker" => v1::DrainWorkerRequest { id: worker_id }.encode_to_vec(),
            "CreateToken" => {
                let lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
                let role = v1::Role::Read.into();
                v1::CreateTokenRequest { role, name: "reader".to_owned(), lifetime, uses: 3 }.encode_to_vec()
            }
            "RevokeToken" => v1::RevokeTokenRequest { id: "0123456789abcdef".to_owned() }.encode_to_vec(),
            // Of those that take no more than a sweep's id, and those that take nothing.
            _ => v1::GetSweepRequest { id }.encode_to_vec(),
        }
    }
}
