//! Tasks that go on where a worker was lost, with real training and real stores.

use std::sync::Mutex;
use std::time::Duration;

use phasegrid_proto::place::Place;
use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::*;
use phasegrid_worker::engine;
use phasegrid_worker::permits::Permits;
use phasegrid_worker::snapshots::Snapshots;
use phasegrid_worker::surroundings::{Start, Surroundings};

use crate::harness::*;
use crate::process::Process;

/// Keeps the records and snapshots of a task.
#[derive(Default)]
struct Notebook {
    records: Mutex<Vec<Record>>,
    snapshots: Mutex<Vec<Snapshot>>,
}

impl Surroundings for Notebook {
    fn record(&self, _member: usize, record: Record) {
        self.records.lock().expect("no panic").push(record);
    }
    fn wants_snapshot(&self, _member: usize) -> bool {
        true
    }
    fn keep_snapshot(&self, _member: usize, snapshot: Snapshot) {
        self.snapshots.lock().expect("no panic").push(snapshot);
    }
}

/// The records of an undisturbed run, and its snapshot after `step`.
fn undisturbed(config: &str, step: u64) -> (Vec<Record>, Snapshot) {
    let (task, notebook) = (TaskConfig::from_json(config).expect("a task that makes sense"), Notebook::default());
    engine::run(vec![Start { task, snapshot: None }], tch::Device::Cpu, &Permits::new(0), &notebook);
    let snapshots = notebook.snapshots.into_inner().expect("no panic");
    let snapshot = snapshots.into_iter().find(|snapshot| snapshot.step == step).expect("one is taken there");
    (notebook.records.into_inner().expect("no panic"), snapshot)
}

/// Something by which a record shows that it was brought along, and not measured anew.
fn marked(mut snapshot: Snapshot) -> Snapshot {
    snapshot.records[0].weight_norm = Some(-1.0);
    snapshot
}

fn kept_in(place: Place) -> Snapshots {
    Snapshots::at(place, "lost-worker").expect("it can be used")
}

/// The newest snapshot of a digest, once there is one.
async fn appears(snapshots: &Snapshots, digest: &str) -> Snapshot {
    let look = async {
        loop {
            if let Some(snapshot) = snapshots.newest(digest).await {
                return snapshot;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("no snapshot was taken")
}

#[tokio::test]
async fn a_lost_task_goes_on_from_its_snapshot_tells_the_same_curve_and_leaves_nothing_behind() {
    let config = quick(3);
    let (records, snapshot) = undisturbed(&config, 10);
    let snapshot = marked(snapshot);
    let mut expected = records;
    expected[0].weight_norm = Some(-1.0);

    let folder = tempfile::tempdir().unwrap();
    let (place, digest) = (Place::folder(folder.path()), snapshot.digest.clone());
    kept_in(place.clone()).keep(snapshot).await;

    let mut coordinator = Coordinator::start().await;
    let worker = coordinator.worker(1);
    coordinator.register().await.answer(RegisterResponse { snapshots: place.url(), ..terms(NEVER) });
    coordinator.lease().await.answer(lease("a", 7, [config]));
    let mut reports = coordinator.reports().await;
    let mut told = Vec::new();
    while told.len() < expected.len() {
        told.extend(reports.records().await.into_iter().map(|(_, record)| record));
        reports.answer(Verdict::Accepted);
    }
    assert_eq!(told, expected);

    let finish = coordinator.finish().await;
    assert!(kept_in(place.clone()).newest(&digest).await.is_some(), "the outcome is not durable yet");
    finish.answer(accepted());
    coordinator.lease().await.answer(LeaseResponse { lease: None, drain: true });
    worker.left().await.unwrap();
    assert_eq!(kept_in(place).newest(&digest).await, None);
}

#[tokio::test]
async fn a_killed_workers_snapshot_in_s3_is_taken_up_by_another() {
    let s3 = s3::S3::start().await;
    let place = format!("s3://{}/sweeps", s3::BUCKET);
    let mut coordinator = Coordinator::start().await;
    let worker = |coordinator: &Coordinator| {
        let arguments = ["--coordinator", coordinator.url(), "--name", NAME, "--slots", "1", "--device", "cpu"];
        let snapshots = ["--snapshots", &place, "--snapshot-interval", "0"];
        let account = [
            ("AWS_ENDPOINT_URL", s3.url.as_str()),
            ("AWS_ACCESS_KEY_ID", s3::USER),
            ("AWS_SECRET_ACCESS_KEY", s3::SECRET),
        ];
        Process::start_with(&[&arguments[..], &snapshots].concat(), &account)
    };
    let digest = TaskConfig::from_json(&endless(0)).unwrap().digest();

    let lost = worker(&coordinator);
    coordinator.register().await.answer(terms(NEVER));
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    let mut reports = coordinator.reports().await;
    let (_, first) = reports.records().await.remove(0);
    reports.answer(Verdict::Accepted);
    // The server keeps objects as files.
    let snapshots = kept_in(Place::folder(&s3.folder.path().join(s3::BUCKET).join("sweeps")));
    let snapshot = appears(&snapshots, &digest).await;
    assert_eq!((snapshot.step, &snapshot.records), (0, &vec![first.clone()]));
    drop(lost);

    snapshots.forget(&digest).await;
    snapshots.keep(marked(snapshot)).await;
    let mut coordinator = Coordinator::start().await;
    let _other = worker(&coordinator);
    coordinator.register().await.answer(terms(NEVER));
    coordinator.lease().await.answer(lease("b", 0, [endless(0)]));
    let told = coordinator.reports().await.records().await;
    assert_eq!(told, [(0, Record { weight_norm: Some(-1.0), ..first })]);
}

#[tokio::test]
async fn a_lease_is_held_and_can_be_given_back_while_its_snapshots_are_looked_for() {
    // A store that takes connections and never answers.
    let store = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", store.local_addr().unwrap());
    let account = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let mut coordinator = Coordinator::start().await;
    let arguments = ["--coordinator", coordinator.url(), "--name", NAME, "--slots", "1", "--device", "cpu"];
    let process = Process::start_with(&[&arguments[..], &["--snapshots", "s3://bucket"]].concat(), &account);
    coordinator.register().await.answer(terms(SOON));
    coordinator.lease().await.answer(lease("a", 0, [quick(0)]));
    let (_looking, _) = tokio::time::timeout(PATIENCE, store.accept()).await.expect("nothing is looked for").unwrap();
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.iter().any(|lease| lease.token == "a")).await;
    process.signal("TERM");
    let release = coordinator.release().await;
    assert_eq!(release.request.token, "a");
    release.answer(ReleaseResponse {});
    let (status, _, err) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{err}");
}

#[tokio::test]
async fn a_store_that_fails_costs_no_task() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("snapshots");
    std::fs::create_dir(&place).unwrap();
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.worker(1);
    coordinator.register().await.answer(RegisterResponse { snapshots: Place::folder(&place).url(), ..terms(NEVER) });
    let asked = coordinator.lease().await;
    std::fs::remove_dir(&place).unwrap();
    std::fs::write(&place, "in the way").unwrap();
    asked.answer(lease("a", 0, [quick(0), quick(1)]));
    coordinator.reports().await.acknowledge(&[0, 0, 0, 1, 1, 1]).await;
    let finish = coordinator.finish().await;
    assert_eq!(finish.request.outcomes[0].point, 0);
    finish.answer(accepted());
}
