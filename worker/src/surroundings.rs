//! The seam through which a running ensemble reaches the world: what it tells, and what it asks. Numerics know no more of
//! leases, network, clock and disk than this.

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;

/// A task to be run, from its beginning or from where a worker left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// What is to be computed.
    pub task: TaskConfig,
    /// A snapshot of this very task.
    pub snapshot: Option<v1::Snapshot>,
}

/// What a running ensemble tells and asks; by itself nobody listens and nobody answers. Members are numbered in the order in
/// which they were given: those of the call that started it first, newcomers after them.
pub trait Surroundings: Sync {
    /// The member starts from its snapshot, after so many steps.
    fn resumed(&self, _member: usize, _step: u64) {}

    /// The member starts anew: its snapshot, after so many steps, does not fit for this reason.
    fn misfit(&self, _member: usize, _step: u64, _reason: &str) {}

    /// A checkpoint's measurements, complete; in rising steps within a member. A member that starts from a snapshot tells
    /// those that it brings along first.
    fn record(&self, _member: usize, _record: v1::Record) {}

    /// The share of the member's work that is done, in 0..=1.
    fn progress(&self, _member: usize, _work_done: f64) {}

    /// The member has left the ensemble; nothing is told of it afterwards.
    fn ended(&self, _member: usize, _end: TaskEnd) {}

    /// Whether nobody wants the member's results any more: cancelled, lease lost, worker leaving. It is dropped at the next
    /// step. Asked at every step: the answer is quick.
    fn stopped(&self, _member: usize) -> bool {
        false
    }

    /// Whether [`Surroundings::wants_snapshot`] may ever say yes: else members need not remember what they have told.
    fn keeps_snapshots(&self) -> bool {
        true
    }

    /// Whether a snapshot of the member should be taken at the checkpoint that it has just told. Not asked where it ends.
    fn wants_snapshot(&self, _member: usize) -> bool {
        false
    }

    /// The snapshot that was wanted.
    fn keep_snapshot(&self, _member: usize, _snapshot: v1::Snapshot) {}

    /// Further tasks that can be stacked with those of the ensemble ([`crate::engine::stackable`]), at most `room` of them.
    /// Asked when members have left and others stay, between steps; not answering at once holds those up.
    fn newcomers(&self, _room: usize) -> Vec<Start> {
        Vec::new()
    }

    /// The estimate that is a baseline of this digest, if any worker has made it.
    fn baseline(&self, _digest: &str) -> Option<v1::Estimate> {
        None
    }

    /// Shares a baseline that was just made.
    fn store_baseline(&self, _digest: &str, _estimate: &v1::Estimate) {}
}

/// Alone in the world: what a computation by itself needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Surroundings for Alone {
    fn keeps_snapshots(&self) -> bool {
        false
    }
}

/// How a member ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEnd {
    /// All records were told.
    Completed,
    /// It cannot be brought to an end.
    Failed {
        /// What happened, in one sentence.
        error: String,
        /// The same configuration would fail again.
        permanent: bool,
    },
    /// [`Surroundings::stopped`] said so.
    Stopped,
}
