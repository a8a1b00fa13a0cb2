//! The runner against a scripted coordinator over a real connection, with real tiny tasks.

use phasegrid_proto::NUMERICS_VERSION;
use phasegrid_proto::task::Baseline;
use phasegrid_proto::v1::outcome::Outcome as Kind;
use phasegrid_proto::v1::*;
use phasegrid_worker::client::ClientError;
use phasegrid_worker::runner::RunError;
use tonic::Status;

use crate::harness::*;

/// Point and reported records of each outcome, which must all be completions.
fn completions(request: &FinishRequest) -> Vec<(u64, u64)> {
    let completed = |outcome: &Outcome| match &outcome.outcome {
        Some(Kind::Completed(completed)) => (outcome.point, completed.records),
        other => panic!("{other:?}"),
    };
    request.outcomes.iter().map(completed).collect()
}

/// Whether a point of some lease runs.
fn runs(heartbeat: &HeartbeatRequest, point: u64) -> bool {
    heartbeat.leases.iter().flat_map(|lease| &lease.running).any(|running| running.point == point)
}

#[tokio::test]
async fn a_worker_introduces_itself() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.worker(3);
    let expected = RegisterRequest {
        worker_id: NAME.into(),
        slots: 3,
        device: "cpu".into(),
        numerics_version: NUMERICS_VERSION,
        memory_bytes: 0,
    };
    assert_eq!(coordinator.register().await.request, expected);
}

#[tokio::test]
async fn a_point_is_finished_only_when_all_its_records_are_acknowledged() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("a", 7, [quick(0)]));
    let mut reports = coordinator.reports().await;
    let mut steps = Vec::new();
    while steps.len() < 3 {
        let (token, points) = reports.next().await;
        assert_eq!(token, "a");
        steps.extend(points.into_iter().flat_map(|(point, steps)| {
            assert_eq!(point, 7);
            steps
        }));
        if steps.len() < 3 {
            reports.answer(Verdict::Accepted);
        }
    }
    assert_eq!(steps, [0, 10, 20]);
    // The lease is still held, though nothing of it runs. Had the worker tried to finish it, waiting would fail.
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.len() == 1 && !runs(heartbeat, 7)).await;
    coordinator.heartbeat_with(|_| true).await;
    reports.answer(Verdict::Accepted);
    let finish = coordinator.finish().await;
    assert_eq!((finish.request.token.as_str(), completions(&finish.request)), ("a", vec![(7, 3)]));
    finish.answer(accepted());
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.is_empty()).await;
    coordinator.heard_all();
}

#[tokio::test]
async fn unacknowledged_records_are_sent_again_when_the_stream_breaks() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.answer(lease("a", 0, [quick(0)]));
    let mut broken = coordinator.reports().await;
    let first = broken.next().await;
    drop(broken);
    let mut reports = coordinator.reports().await;
    assert_eq!(reports.next().await, first);
    reports.answer(Verdict::Accepted);
    let rest = vec![0; 3 - first.1[0].1.len()];
    reports.acknowledge(&rest).await;
    let finish = coordinator.finish().await;
    assert_eq!(completions(&finish.request), [(0, 3)]);
    finish.answer(accepted());
    coordinator.heard_all();
}

#[tokio::test]
async fn a_stale_lease_is_dropped_and_the_worker_goes_on() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("stale", 0, [endless(0), quick(1)]));
    let mut reports = coordinator.reports().await;
    assert_eq!(reports.next().await, ("stale".into(), vec![(0, vec![0])]));
    coordinator.heartbeat_with(|heartbeat| runs(heartbeat, 0)).await;
    reports.answer(Verdict::Stale);
    coordinator.reclaim().await.answer(ReclaimResponse::default());
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.is_empty()).await;
    // The slot becomes free, which takes the end of the endless task.
    coordinator.lease().await.answer(lease("b", 5, [quick(2)]));
    reports.acknowledge(&[5, 5, 5]).await;
    let finish = coordinator.finish().await;
    assert_eq!((finish.request.token.as_str(), completions(&finish.request)), ("b", vec![(5, 3)]));
    finish.answer(accepted());
    coordinator.heard_all();
}

#[tokio::test]
async fn a_lease_of_which_nothing_is_to_be_had_any_more_is_stopped() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("cancelled", 0, [endless(0)]));
    let mut reports = coordinator.reports().await;
    reports.acknowledge(&[0]).await;
    let heartbeat = coordinator.heartbeat().await;
    heartbeat.answer(HeartbeatResponse { dropped_tokens: vec!["cancelled".into()], ..Default::default() });
    coordinator.reclaim().await.answer(ReclaimResponse::default());
    coordinator.lease().await.answer(lease("b", 5, [quick(0)]));
    reports.acknowledge(&[5, 5, 5]).await;
    assert_eq!(completions(&coordinator.finish().await.request), [(5, 3)]);
}

#[tokio::test]
async fn a_forgotten_worker_registers_again_under_its_id_and_repeats_the_call() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.refuse(Status::not_found("unknown worker"));
    let register = coordinator.register().await;
    assert_eq!(register.request.worker_id, NAME);
    register.answer(terms(NEVER));
    coordinator.lease().await.answer(lease("a", 0, [quick(0)]));
    coordinator.reports().await.acknowledge(&[0, 0, 0]).await;
    let finish = coordinator.finish().await;
    let again = finish.request.clone();
    finish.refuse(Status::not_found("unknown worker"));
    coordinator.register().await.answer(terms(NEVER));
    let finish = coordinator.finish().await;
    assert_eq!(finish.request, again);
    finish.answer(accepted());
    coordinator.heard_all();
}

#[tokio::test]
async fn an_absent_coordinator_is_waited_for() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.worker(1);
    coordinator.register().await.refuse(Status::unavailable("starting"));
    coordinator.register().await.answer(terms(NEVER));
    coordinator.lease().await.refuse(Status::unavailable("stopping"));
    coordinator.lease().await.answer(lease("a", 0, [quick(0)]));
    coordinator.reports().await.acknowledge(&[0, 0, 0]).await;
    let finish = coordinator.finish().await;
    let again = finish.request.clone();
    finish.refuse(Status::unavailable("stopping"));
    assert_eq!(coordinator.finish().await.request, again);
}

#[tokio::test]
async fn a_worker_that_is_told_to_leave_stops_its_tasks_and_gives_back_the_rest() {
    let mut coordinator = Coordinator::start().await;
    let mut worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.answer(lease("a", 0, [endless(0), endless(1)]));
    coordinator.reports().await.acknowledge(&[0]).await;
    worker.tell_to_leave();
    let release = coordinator.release().await;
    assert_eq!(release.request.token, "a");
    release.answer(ReleaseResponse {});
    worker.left().await.unwrap();
    coordinator.heard_all();
}

#[tokio::test]
async fn a_worker_that_leaves_finishes_what_has_ended_before_it_gives_back_the_rest() {
    let mut coordinator = Coordinator::start().await;
    let mut worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.answer(lease("a", 0, [quick(0), endless(1)]));
    let mut reports = coordinator.reports().await;
    reports.acknowledge(&[0, 0, 0, 1]).await;
    let finish = coordinator.finish().await;
    worker.tell_to_leave();
    finish.answer(accepted());
    coordinator.release().await.answer(ReleaseResponse {});
    worker.left().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_not_registered_yet_leaves_at_once() {
    let mut coordinator = Coordinator::start().await;
    let mut worker = coordinator.worker(1);
    let _unanswered = coordinator.register().await;
    worker.tell_to_leave();
    worker.left().await.unwrap();
}

#[tokio::test]
async fn a_drained_worker_finishes_what_it_holds_and_leaves() {
    let mut coordinator = Coordinator::start().await;
    let worker = coordinator.registered(1, NEVER).await;
    let drained = LeaseResponse { drain: true, ..lease("a", 0, [quick(0)]) };
    coordinator.lease().await.answer(drained);
    // Work that comes with the word to leave is not taken up.
    coordinator.release().await.answer(ReleaseResponse {});
    worker.left().await.unwrap();

    let worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("b", 0, [quick(0), quick(1)]));
    let mut reports = coordinator.reports().await;
    let heartbeat = coordinator.heartbeat().await;
    heartbeat.answer(HeartbeatResponse { drain: true, ..Default::default() });
    reports.acknowledge(&[0, 0, 0, 1, 1, 1]).await;
    let mut finished = Vec::new();
    while finished.len() < 2 {
        let finish = coordinator.finish().await;
        finished.extend(completions(&finish.request));
        finish.answer(accepted());
    }
    assert_eq!(finished, [(0, 3), (1, 3)]);
    worker.left().await.unwrap();
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_fails_for_good_and_the_worker_goes_on() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, NEVER).await;
    let senseless = quick(0).replace("\"width\":4", "\"width\":0");
    coordinator.lease().await.answer(lease("a", 0, [senseless]));
    let finish = coordinator.finish().await;
    let Some(Kind::Failed(failed)) = &finish.request.outcomes[0].outcome else { panic!("{:?}", finish.request) };
    assert!(failed.permanent && failed.error.starts_with("task.model.width: 0 is not accepted"), "{failed:?}");
    finish.answer(accepted());
    coordinator.lease().await.answer(lease("b", 1, [quick(1)]));
    coordinator.reports().await.acknowledge(&[1, 1, 1]).await;
    assert_eq!(completions(&coordinator.finish().await.request), [(1, 3)]);
}

#[tokio::test]
async fn the_next_lease_is_asked_for_while_the_last_points_run() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    coordinator.reports().await.acknowledge(&[0]).await;
    let _prefetch = coordinator.lease().await;
}

#[tokio::test]
async fn a_baseline_is_asked_for_made_and_shared_once() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, NEVER).await;
    let digest = estimated(0).baseline(Baseline::Zero, 0).expect("there is a sampler").digest();
    coordinator.lease().await.answer(lease("a", 0, [estimated(0), estimated(1)].map(|task| task.to_json())));
    let find = coordinator.find_baseline().await;
    assert_eq!(find.request.digest, digest);
    find.answer(FindBaselineResponse { estimate: None });
    // The second task takes it from memory: had the worker asked again, waiting would fail.
    coordinator.reports().await.acknowledge(&[0, 1]).await;
    let store = coordinator.store_baseline().await;
    assert!(store.request.digest == digest && store.request.estimate.is_some(), "{:?}", store.request);
    store.answer(StoreBaselineResponse {});
}

#[tokio::test]
async fn a_worker_of_another_version_ends_with_the_coordinators_reason() {
    let mut coordinator = Coordinator::start().await;
    let worker = coordinator.worker(1);
    coordinator.register().await.refuse(Status::failed_precondition("numerics version 1 is not accepted; accepted: 2"));
    match worker.left().await {
        Err(RunError::Client(ClientError::Unwelcome { message, .. })) => assert!(message.contains("accepted: 2")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_report_ends_the_worker() {
    let mut coordinator = Coordinator::start().await;
    let worker = coordinator.registered(1, NEVER).await;
    coordinator.lease().await.answer(lease("a", 0, [quick(0)]));
    let mut reports = coordinator.reports().await;
    reports.next().await;
    reports.refuse(Status::invalid_argument("steps do not rise"));
    match worker.left().await {
        Err(RunError::Client(ClientError::Refused { message, .. })) => assert_eq!(message, "steps do not rise"),
        other => panic!("{other:?}"),
    }
}
