//! The service for workers.

use futures_util::{Stream, StreamExt, TryStreamExt};
use phasegrid_proto::v1;
use phasegrid_proto::v1::worker_service_server::WorkerService;
use tonic::{Request, Response, Status, Streaming};

use super::authorisation::{caller, still_may};
use super::streams::Streams;
use super::{Answers, convert};
use crate::service::{Conversation, Coordinator, Pending, Verdict};
use crate::stopping::Stopping;

/// Reports of one stream that wait for their commit at the same time, so that one commit can take them all.
const REPORTS_IN_FLIGHT: usize = 64;

/// The handlers of `WorkerService`.
pub(super) struct Workers {
    coordinator: Coordinator,
    stopping: Stopping,
    streams: Streams,
}

impl Workers {
    pub(super) fn new(coordinator: Coordinator, stopping: Stopping, streams: Streams) -> Self {
        Self { coordinator, stopping, streams }
    }

    /// The coordinator as the caller may use it.
    fn coordinator<T>(&self, request: &Request<T>) -> Result<Coordinator, Status> {
        Ok(self.coordinator.on_behalf_of(caller(request)?))
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        let terms = self.coordinator(&request)?.register(request.into_inner().into()).await?;
        Ok(Response::new(v1::RegisterResponse {
            heartbeat_interval: convert::to_span(terms.heartbeat_interval),
            lease_time: convert::to_span(terms.lease_time),
            snapshots: terms.snapshots,
        }))
    }

    async fn lease(&self, request: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseResponse>, Status> {
        let coordinator = self.coordinator(&request)?;
        let v1::LeaseRequest { worker_id, wait } = request.into_inner();
        let answer = coordinator.lease(&worker_id, convert::span(wait, "wait")?).await?;
        Ok(Response::new(answer.into()))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let coordinator = self.coordinator(&request)?;
        let v1::HeartbeatRequest { worker_id, leases } = request.into_inner();
        let held = leases.into_iter().map(Into::into).collect();
        let directives = coordinator.heartbeat(&worker_id, held).await?;
        Ok(Response::new(directives.into()))
    }

    type ReportStream = Answers<v1::ReportResponse>;

    async fn report(
        &self,
        requests: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (coordinator, open) = (self.coordinator(&requests)?, self.streams.open(requests.remote_addr())?);
        let answers = converse(coordinator, requests.into_inner());
        Ok(Response::new(open.answers(answers.take_until(self.stopping.clone().wait()))))
    }

    async fn finish(&self, request: Request<v1::FinishRequest>) -> Result<Response<v1::FinishResponse>, Status> {
        let coordinator = self.coordinator(&request)?;
        let v1::FinishRequest { token, outcomes } = request.into_inner();
        let outcomes = outcomes.into_iter().map(convert::outcome).collect::<Result<_, _>>()?;
        let verdict = v1::Verdict::from(coordinator.finish(&token, outcomes).await?);
        Ok(Response::new(v1::FinishResponse { verdict: verdict.into() }))
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        let coordinator = self.coordinator(&request)?;
        let v1::ReleaseRequest { token, points } = request.into_inner();
        if points.is_empty() {
            coordinator.release(&token).await?;
        } else {
            coordinator.cede(&token, &points).await?;
        }
        Ok(Response::new(v1::ReleaseResponse {}))
    }

    async fn reclaim(&self, request: Request<v1::ReclaimRequest>) -> Result<Response<v1::ReclaimResponse>, Status> {
        let coordinator = self.coordinator(&request)?;
        let v1::ReclaimRequest { worker_id, token, points } = request.into_inner();
        let kept = points.into_iter().map(Into::into).collect();
        let reclaimed = coordinator.reclaim(&worker_id, &token, kept).await?;
        Ok(Response::new(reclaimed.map(Into::into).unwrap_or_default()))
    }

    async fn find_baseline(
        &self,
        request: Request<v1::FindBaselineRequest>,
    ) -> Result<Response<v1::FindBaselineResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let estimate = self.coordinator.find_baseline(&request.into_inner().digest).await?;
        Ok(Response::new(v1::FindBaselineResponse { estimate }))
    }

    async fn store_baseline(
        &self,
        request: Request<v1::StoreBaselineRequest>,
    ) -> Result<Response<v1::StoreBaselineResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let v1::StoreBaselineRequest { digest, estimate } = request.into_inner();
        self.coordinator.store_baseline(&digest, convert::required(estimate, "estimate")?).await?;
        Ok(Response::new(v1::StoreBaselineResponse {}))
    }
}

/// Answers a stream of reports, until one is refused.
pub(crate) fn converse(
    coordinator: Coordinator,
    requests: impl Stream<Item = Result<v1::ReportRequest, Status>> + Send,
) -> impl Stream<Item = Result<v1::ReportResponse, Status>> + Send {
    // Handed in one after the other, so that the steps of a point arrive in their order; only the answers wait together.
    let conversation = Conversation::default();
    let handed_in = requests.and_then(move |request| hand_in(coordinator.clone(), conversation.clone(), request));
    handed_in.map_ok(answer).try_buffered(REPORTS_IN_FLIGHT)
}

/// One report of a stream takes its place in the order of calls.
async fn hand_in(
    coordinator: Coordinator,
    conversation: Conversation,
    request: v1::ReportRequest,
) -> Result<Pending<Verdict>, Status> {
    let v1::ReportRequest { token, points } = request;
    let points = points.into_iter().map(|point| (point.point, point.records)).collect();
    Ok(coordinator.hand_in_report(&conversation, &token, points).await?)
}

/// The records of a report are durable when this returns, or its lease is stale.
async fn answer(pending: Pending<Verdict>) -> Result<v1::ReportResponse, Status> {
    let verdict = v1::Verdict::from(pending.answer().await?);
    Ok(v1::ReportResponse { verdict: verdict.into() })
}
