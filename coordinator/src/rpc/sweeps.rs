//! The service for people.

use futures_util::{Stream, StreamExt, stream};
use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_server::SweepService;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::authorisation::{caller, still_may};
use super::streams::Streams;
use super::{Answers, tables};
use crate::service::{Coordinator, Known, Refusal, SweepView, WatchEvent};
use crate::stopping::Stopping;

/// The handlers of `SweepService`.
pub(super) struct Sweeps {
    coordinator: Coordinator,
    stopping: Stopping,
    streams: Streams,
}

impl Sweeps {
    pub(super) fn new(coordinator: Coordinator, stopping: Stopping, streams: Streams) -> Self {
        Self { coordinator, stopping, streams }
    }
}

#[tonic::async_trait]
impl SweepService for Sweeps {
    async fn create_sweep(
        &self,
        request: Request<v1::CreateSweepRequest>,
    ) -> Result<Response<v1::CreateSweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let sweep = self.coordinator.submit(request.into_inner().into()).await?;
        Ok(Response::new(v1::CreateSweepResponse { sweep: Some(sweep.into()) }))
    }

    async fn count_known(
        &self,
        request: Request<v1::CountKnownRequest>,
    ) -> Result<Response<v1::CountKnownResponse>, Status> {
        let v1::CountKnownRequest { source, overrides } = request.into_inner();
        let Known { size, known } = self.coordinator.known(&source, &overrides).await?;
        Ok(Response::new(v1::CountKnownResponse { size, known }))
    }

    async fn get_sweep(&self, request: Request<v1::GetSweepRequest>) -> Result<Response<v1::GetSweepResponse>, Status> {
        let (sweep, failed) = self.coordinator.sweep(&request.into_inner().id).await?;
        let failed_points = failed.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::GetSweepResponse { sweep: Some(sweep.into()), failed_points }))
    }

    async fn list_sweeps(
        &self,
        request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        let v1::ListSweepsRequest { page_size, page_token } = request.into_inner();
        let (sweeps, next_page_token) = self.coordinator.sweeps(page_size, &page_token).await?;
        Ok(Response::new(v1::ListSweepsResponse { sweeps: sweeps.into_iter().map(listed).collect(), next_page_token }))
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let sweep = self.coordinator.cancel(&request.into_inner().id).await?;
        Ok(Response::new(v1::CancelSweepResponse { sweep: Some(sweep.into()) }))
    }

    async fn pause_sweep(
        &self,
        request: Request<v1::PauseSweepRequest>,
    ) -> Result<Response<v1::PauseSweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let sweep = self.coordinator.pause(&request.into_inner().id).await?;
        Ok(Response::new(v1::PauseSweepResponse { sweep: Some(sweep.into()) }))
    }

    async fn resume_sweep(
        &self,
        request: Request<v1::ResumeSweepRequest>,
    ) -> Result<Response<v1::ResumeSweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let sweep = self.coordinator.resume(&request.into_inner().id).await?;
        Ok(Response::new(v1::ResumeSweepResponse { sweep: Some(sweep.into()) }))
    }

    async fn prioritise_sweep(
        &self,
        request: Request<v1::PrioritiseSweepRequest>,
    ) -> Result<Response<v1::PrioritiseSweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let v1::PrioritiseSweepRequest { id, priority } = request.into_inner();
        let sweep = self.coordinator.prioritise(&id, priority).await?;
        Ok(Response::new(v1::PrioritiseSweepResponse { sweep: Some(sweep.into()) }))
    }

    async fn retry_sweep(
        &self,
        request: Request<v1::RetrySweepRequest>,
    ) -> Result<Response<v1::RetrySweepResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        let points = self.coordinator.retry(&request.into_inner().id).await?;
        Ok(Response::new(v1::RetrySweepResponse { points }))
    }

    type WatchSweepStream = Answers<v1::WatchSweepResponse>;

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let (caller, open) = (caller(&request)?, self.streams.open(request.remote_addr())?);
        let v1::WatchSweepRequest { id, after_sequence } = request.into_inner();
        let events = events(self.coordinator.watch(&id).await?, after_sequence);
        let coordinator = self.coordinator.clone();
        // A watch may last longer than the right to watch.
        let still = move || coordinator.check_again(&caller).map_err(Refusal::from);
        let answers =
            events.map(move |event| Ok(still().map(|()| event.into())?)).take_until(self.stopping.clone().wait());
        Ok(Response::new(open.answers(answers)))
    }

    type ReadTableStream = Answers<v1::ReadTableResponse>;

    async fn read_table(
        &self,
        request: Request<v1::ReadTableRequest>,
    ) -> Result<Response<Self::ReadTableStream>, Status> {
        let open = self.streams.open(request.remote_addr())?;
        let request = request.into_inner();
        let level = tables::level(request.level())?;
        let parts = tables::read(self.coordinator.clone(), request.id, level).await?;
        Ok(Response::new(open.answers(parts)))
    }

    async fn explain_point(
        &self,
        request: Request<v1::ExplainPointRequest>,
    ) -> Result<Response<v1::ExplainPointResponse>, Status> {
        let v1::ExplainPointRequest { id, point } = request.into_inner();
        Ok(Response::new(self.coordinator.explain(&id, point).await?.into()))
    }

    async fn list_workers(
        &self,
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let workers = self.coordinator.workers().await?;
        Ok(Response::new(v1::ListWorkersResponse { workers: workers.into_iter().map(Into::into).collect() }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        still_may(&self.coordinator, &request)?;
        self.coordinator.drain(&request.into_inner().id).await?;
        Ok(Response::new(v1::DrainWorkerResponse {}))
    }
}

/// A sweep as lists have it: a page of sources could be larger than a message may be.
fn listed(sweep: SweepView) -> v1::Sweep {
    v1::Sweep { resolved_source: String::new(), ..sweep.into() }
}

/// The events after `after_sequence`, the present one first. The one that ends the sweep is always sent, and is the last.
fn events(receiver: watch::Receiver<WatchEvent>, after_sequence: u64) -> impl Stream<Item = WatchEvent> + Send {
    let mut receiver = receiver;
    receiver.mark_changed();
    stream::unfold(Some(receiver), move |receiver| async move {
        let mut receiver = receiver?;
        loop {
            receiver.changed().await.ok()?;
            let event = receiver.borrow_and_update().clone();
            let lives = !event.state.has_ended();
            if !lives || event.sequence > after_sequence {
                return Some((event, lives.then_some(receiver)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::service::{Progress, SweepState};

    fn event(sequence: u64, state: SweepState) -> WatchEvent {
        let progress = Progress {
            size: 1,
            finished: 0,
            failed: 0,
            leased: 0,
            pending: 1,
            work_done: 0.0,
            remaining: None,
            workers: 0,
        };
        WatchEvent { sequence, state, pause_reason: None, unmet: None, progress, shards: 1 }
    }

    #[tokio::test]
    async fn a_watcher_sees_nothing_twice_and_the_end_always() {
        let (sender, receiver) = watch::channel(event(3, SweepState::Running));
        let mut events = Box::pin(events(receiver, 3));
        assert!(events.next().now_or_never().is_none(), "event 3 was seen before");
        sender.send_replace(event(4, SweepState::Running));
        assert_eq!(events.next().await.map(|event| event.sequence), Some(4));
        sender.send_replace(event(5, SweepState::Paused));
        assert_eq!(events.next().await.map(|event| event.sequence), Some(5), "a paused sweep may go on");
        sender.send_replace(event(5, SweepState::Completed));
        assert_eq!(events.next().await.map(|event| event.state), Some(SweepState::Completed));
        assert_eq!(events.next().await, None);
    }
}
