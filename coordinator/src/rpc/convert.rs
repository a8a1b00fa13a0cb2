//! Domain types to messages and back. What a message leaves out that it must have is refused here.

use std::time::{Duration, SystemTime};

use phasegrid_proto::v1;
use tonic::Status;

use crate::service::{
    Cession, Directives, FailedPoint, HeldLease, Kept, LeaseAnswer, LeasedRange, LeasedTask, Outcome, Progress,
    ReclaimedLease, Registration, SweepState, SweepView, Verdict, WatchEvent, Wish, WorkerView,
};

/// The field, or the refusal of a message without it.
pub(super) fn required<T>(field: Option<T>, name: &str) -> Result<T, Status> {
    field.ok_or_else(|| Status::invalid_argument(format!("{name}: missing")))
}

/// A span of a message; absent is zero.
pub(super) fn span(span: Option<prost_types::Duration>, name: &str) -> Result<Duration, Status> {
    Duration::try_from(span.unwrap_or_default())
        .map_err(|_| Status::invalid_argument(format!("{name}: a span from zero")))
}

/// A span for a message; one of more than 10¹¹ years is left out.
pub(super) fn to_span(span: Duration) -> Option<prost_types::Duration> {
    span.try_into().ok()
}

pub(super) fn to_timestamp(time: SystemTime) -> Option<prost_types::Timestamp> {
    Some(time.into())
}

impl From<SweepState> for v1::SweepState {
    fn from(state: SweepState) -> Self {
        match state {
            SweepState::Running => Self::Running,
            SweepState::Paused => Self::Paused,
            SweepState::Completed => Self::Completed,
            SweepState::Cancelled => Self::Cancelled,
        }
    }
}

/// Progress in points, or in the shards that stand for each.
fn progress(progress: Progress, shards: u32) -> v1::Progress {
    let Progress { size, finished, failed, leased, pending, work_done, remaining, workers } = progress;
    let remaining = remaining.and_then(to_span);
    v1::Progress { size, finished, failed, leased, pending, work_done, remaining, workers, shards }
}

impl From<SweepView> for v1::Sweep {
    fn from(sweep: SweepView) -> Self {
        Self {
            id: sweep.id,
            name: sweep.name,
            state: v1::SweepState::from(sweep.state).into(),
            create_time: to_timestamp(sweep.created),
            resolved_source: sweep.resolved_source,
            progress: Some(progress(sweep.progress, sweep.shards)),
            problem: sweep.problem.unwrap_or_default(),
            pause_reason: sweep.pause_reason.unwrap_or_default(),
            user: sweep.user,
            priority: sweep.priority,
            needs: sweep.needs.unwrap_or_default(),
            needs_unmet: sweep.needs_unmet,
        }
    }
}

impl From<v1::CreateSweepRequest> for Wish {
    fn from(request: v1::CreateSweepRequest) -> Self {
        let v1::CreateSweepRequest { request_id, source, overrides, user, priority } = request;
        Self { request_id, source, overrides, user, priority }
    }
}

impl From<FailedPoint> for v1::FailedPoint {
    fn from(FailedPoint { point, shard, attempts, error }: FailedPoint) -> Self {
        Self { point, attempts, error, shard }
    }
}

impl From<WatchEvent> for v1::WatchSweepResponse {
    fn from(event: WatchEvent) -> Self {
        Self {
            sequence: event.sequence,
            state: v1::SweepState::from(event.state).into(),
            progress: Some(progress(event.progress, event.shards)),
            pause_reason: event.pause_reason.unwrap_or_default(),
            unmet: event.unmet.unwrap_or_default(),
        }
    }
}

impl From<WorkerView> for v1::Worker {
    fn from(worker: WorkerView) -> Self {
        Self {
            id: worker.id,
            device: worker.device,
            memory_bytes: worker.memory,
            slots: worker.slots,
            draining: worker.draining,
            leased: worker.leased,
            finished: worker.finished,
            last_heartbeat_time: to_timestamp(worker.last_heartbeat),
        }
    }
}

impl From<v1::RegisterRequest> for Registration {
    fn from(request: v1::RegisterRequest) -> Self {
        let v1::RegisterRequest { worker_id: id, slots, device, numerics_version, memory_bytes: memory } = request;
        Self { id, slots, device, memory, numerics_version }
    }
}

impl From<LeaseAnswer> for v1::LeaseResponse {
    fn from(LeaseAnswer { lease, drain }: LeaseAnswer) -> Self {
        Self { lease: lease.map(Into::into), drain }
    }
}

impl From<LeasedRange> for v1::LeasedRange {
    fn from(LeasedRange { token, sweep_id, tasks }: LeasedRange) -> Self {
        let task = |LeasedTask { point, attempt, config }| v1::Task { point, attempt, config };
        Self { token, sweep_id, tasks: tasks.into_iter().map(task).collect() }
    }
}

impl From<Directives> for v1::HeartbeatResponse {
    fn from(Directives { dropped_tokens, drain, cede }: Directives) -> Self {
        let cession = |Cession { token, points }| v1::Cession { token, points };
        Self { dropped_tokens, drain, cede: cede.into_iter().map(cession).collect() }
    }
}

impl From<v1::KeptPoint> for Kept {
    fn from(v1::KeptPoint { point, acknowledged, computed }: v1::KeptPoint) -> Self {
        Self { point, acknowledged, computed }
    }
}

impl From<ReclaimedLease> for v1::ReclaimResponse {
    fn from(ReclaimedLease { token, points }: ReclaimedLease) -> Self {
        Self { token, points }
    }
}

impl From<v1::HeldLease> for HeldLease {
    fn from(v1::HeldLease { token, running }: v1::HeldLease) -> Self {
        Self { token, running: running.into_iter().map(|running| (running.point, running.work_done)).collect() }
    }
}

/// The most characters that are kept of what made a task fail: it is shown in lists.
const LONGEST_ERROR: usize = 1000;

/// A point with its outcome.
pub(super) fn outcome(outcome: v1::Outcome) -> Result<(u64, Outcome), Status> {
    let ended = match required(outcome.outcome, "outcomes.outcome")? {
        v1::outcome::Outcome::Completed(v1::Completed { records }) => Outcome::Completed { records },
        v1::outcome::Outcome::Failed(v1::Failed { error, permanent }) => {
            Outcome::Failed { error: error.chars().take(LONGEST_ERROR).collect(), permanent }
        }
    };
    Ok((outcome.point, ended))
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Accepted,
            Verdict::Stale => Self::Stale,
        }
    }
}
