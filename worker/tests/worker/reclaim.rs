//! Work that changes hands: what a worker lost and went on with, and what it gives to others.

use phasegrid_proto::v1::outcome::Outcome as Kind;
use phasegrid_proto::v1::*;
use tonic::Status;

use crate::harness::*;

fn kept(point: u64, acknowledged: u64, computed: bool) -> KeptPoint {
    KeptPoint { point, acknowledged, computed }
}

#[tokio::test]
async fn records_of_a_lost_lease_go_out_under_the_one_that_takes_its_place() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("a", 7, [quick(0)]));
    let mut reports = coordinator.reports().await;
    let reclaim = loop {
        tokio::select! {
            reclaim = coordinator.reclaim() => break reclaim,
            // Perhaps several reports are on the way.
            _ = reports.next() => reports.answer(Verdict::Stale),
        }
    };
    let ReclaimRequest { worker_id, token, points } = &reclaim.request;
    assert_eq!((worker_id.as_str(), token.as_str(), points.len()), (NAME, "a", 1));
    assert_eq!((points[0].point, points[0].acknowledged), (7, 0));
    reclaim.answer(ReclaimResponse { token: "b".into(), points: vec![7] });
    let mut steps = Vec::new();
    while steps.len() < 3 {
        let (token, points) = reports.next().await;
        assert_eq!(token, "b");
        steps.extend(points.into_iter().flat_map(|(_, steps)| steps));
        reports.answer(Verdict::Accepted);
    }
    assert_eq!(steps, [0, 10, 20]);
    let finish = coordinator.finish().await;
    assert_eq!(finish.request.token, "b");
    let Some(Kind::Completed(Completed { records: 3 })) = finish.request.outcomes[0].outcome else {
        panic!("{finish:?}")
    };
    finish.answer(accepted());
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.is_empty()).await;
}

#[tokio::test]
async fn what_still_runs_goes_on_while_it_is_asked_for() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    let mut reports = coordinator.reports().await;
    reports.acknowledge(&[0]).await;
    let heartbeat = coordinator.heartbeat().await;
    heartbeat.answer(HeartbeatResponse { dropped_tokens: vec!["a".into()], ..Default::default() });
    let reclaim = coordinator.reclaim().await;
    assert_eq!(reclaim.request.points, [kept(0, 1, false)]);
    reclaim.answer(ReclaimResponse { token: "b".into(), points: vec![0] });
    let is_held = |lease: &HeldLease| lease.token == "b" && lease.running.iter().any(|running| running.point == 0);
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.iter().any(is_held)).await;
}

#[tokio::test]
async fn points_that_wait_are_given_back_when_others_can_start_them() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("a", 0, [endless(0), quick(1), quick(2)]));
    coordinator.reports().await.acknowledge(&[0]).await;
    let cede = vec![Cession { token: "a".into(), points: 1 }];
    coordinator.heartbeat().await.answer(HeartbeatResponse { cede, ..Default::default() });
    let release = coordinator.release().await;
    assert_eq!((release.request.token.as_str(), &release.request.points[..]), ("a", &[2][..]));
    release.answer(ReleaseResponse {});
    let cede = vec![Cession { token: "a".into(), points: 9 }];
    coordinator.heartbeat().await.answer(HeartbeatResponse { cede, ..Default::default() });
    let release = coordinator.release().await;
    assert_eq!(release.request.points, [1], "what runs is not given back");
    release.answer(ReleaseResponse {});
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.len() == 1).await;
}

#[tokio::test]
async fn a_coordinator_that_does_not_know_the_question_costs_the_work_and_not_the_worker() {
    let mut coordinator = Coordinator::start().await;
    let _worker = coordinator.registered(1, SOON).await;
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    let mut reports = coordinator.reports().await;
    reports.acknowledge(&[0]).await;
    coordinator.heartbeat().await.answer(HeartbeatResponse { dropped_tokens: vec!["a".into()], ..Default::default() });
    coordinator.reclaim().await.refuse(Status::unimplemented("no such method"));
    coordinator.heartbeat_with(|heartbeat| heartbeat.leases.is_empty()).await;
    coordinator.lease().await.answer(lease("b", 1, [quick(1)]));
    assert_eq!(reports.next().await.0, "b", "it works on");
}
