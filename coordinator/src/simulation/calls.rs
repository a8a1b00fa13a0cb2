//! What workers and people ask of the coordinator, as values that can be lost, doubled and delayed; and the one place where
//! they become calls of the real one.

use std::pin::Pin;
use std::time::Duration;

use phasegrid_proto::NUMERICS_VERSION;

use crate::service::{
    Coordinator, Directives, HeldLease, Kept, LeaseAnswer, Outcome, ReclaimedLease, Refusal, Registration, SweepView,
    Verdict,
};

#[derive(Clone, Debug)]
pub(super) enum Request {
    Register { worker: String, slots: u32 },
    Lease { worker: String, wait: Duration },
    Heartbeat { worker: String, held: Vec<HeldLease> },
    Finish { token: String, outcomes: Vec<(u64, Outcome)> },
    Release { token: String },
    Cede { token: String, points: Vec<u64> },
    Reclaim { worker: String, token: String, kept: Vec<Kept> },
    Create { request_id: String, source: String },
    Cancel { sweep: String },
    Retry { sweep: String },
}

#[derive(Debug)]
pub(super) enum Answer {
    Registered,
    Leased(LeaseAnswer),
    Beaten(Directives),
    Finished(Verdict),
    Released,
    Reclaimed(Option<ReclaimedLease>),
    Created(SweepView),
    Cancelled,
    Retried,
}

/// A call under way.
pub(super) type Call = Pin<Box<dyn Future<Output = Result<Answer, Refusal>>>>;

pub(super) fn call(coordinator: Coordinator, request: Request) -> Call {
    Box::pin(async move {
        Ok(match request {
            Request::Register { worker, slots } => {
                let (id, device) = (worker, "cpu".to_owned());
                let registration = Registration { id, slots, device, numerics_version: NUMERICS_VERSION, memory: 0 };
                coordinator.register(registration).await?;
                Answer::Registered
            }
            Request::Lease { worker, wait } => Answer::Leased(coordinator.lease(&worker, wait).await?),
            Request::Heartbeat { worker, held } => Answer::Beaten(coordinator.heartbeat(&worker, held).await?),
            Request::Finish { token, outcomes } => Answer::Finished(coordinator.finish(&token, outcomes).await?),
            Request::Release { token } => {
                coordinator.release(&token).await?;
                Answer::Released
            }
            Request::Cede { token, points } => {
                coordinator.cede(&token, &points).await?;
                Answer::Released
            }
            Request::Reclaim { worker, token, kept } => {
                Answer::Reclaimed(coordinator.reclaim(&worker, &token, kept).await?)
            }
            Request::Create { request_id, source } => {
                Answer::Created(coordinator.create_sweep(&request_id, &source, &[]).await?)
            }
            Request::Cancel { sweep } => {
                coordinator.cancel(&sweep).await?;
                Answer::Cancelled
            }
            Request::Retry { sweep } => {
                coordinator.retry(&sweep).await?;
                Answer::Retried
            }
        })
    })
}
