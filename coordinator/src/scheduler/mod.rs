//! Who works on what: the decisions of the coordinator, and nothing else.
//!
//! A [`Scheduler`] is plain synchronous state. Each of its functions is named for what happened, takes the time as an
//! argument, and returns a [`Decision`]: the [`Change`]s that must be durable, and the reply that may be given once they
//! are. It knows neither network nor database, and what a task computes is to it a number of operations. A point is to it
//! a number below the sweep's size: whether a whole task stands behind it or a shard of one, it need not know.
//!
//! ```text
//! pending ──lease──▶ leased ──completed──▶ finished
//!    ▲                 │ └─failed for good, or once too often─▶ failed ──retry──▶ pending
//!    └─backoff─ failed or lost ─┘ (what is released is pending at once)
//! ```
//!
//! - [`change`]: what a decision writes; `sweep`, `leases` and `workers`: the state, one noun a file.
//! - `life` creates, cancels and retries sweeps, `pause` pauses and resumes them, `breaker` pauses those of which too much
//!   fails.
//! - `resources` says which workers suit a sweep, `queue` which sweep is served next; `grant` leases points of it and `sizing`
//!   says how many.
//! - `outcomes` takes what workers report; `expiry` takes leases from those that fell silent, `deadline` from those that
//!   hang; `backoff` lets points wait that were set back. `reclaim` gives back to a worker what it lost and went on with,
//!   `ceding` asks slow ones for points that others could start at once.
//! - `explain` says where a point is, and why; `census` counts everything, for those who watch; [`progress`] measures rate
//!   and remaining time; [`snapshot`] is the state as the store gives it back.

mod backoff;
mod breaker;
mod ceding;
mod census;
pub mod change;
mod deadline;
mod expiry;
mod explain;
mod grant;
mod leases;
mod life;
mod outcomes;
mod pause;
pub mod progress;
mod queue;
mod reclaim;
mod resources;
mod settings;
mod sizing;
pub mod snapshot;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use breaker::Breaker;
pub use ceding::Cession;
pub use census::Census;
pub use change::{Change, Decision, Finish, Measurement, Setback};
pub use deadline::HardDeadline;
pub use expiry::{HeartbeatReply, Held};
pub use explain::{Obstacle, Standing, Start};
pub use grant::{Grant, LeaseReply};
pub use life::{Submission, Workload};
pub use outcomes::{Outcome, Verdict};
pub use progress::Progress;
pub use queue::User;
pub use reclaim::{Heir, Inheritance, Kept};
pub use resources::{Device, Requirement};
pub use settings::Settings;
pub use sweep::SweepState;
pub use workers::{Registration, WorkerSummary};

use ceding::Idle;
use leases::LeaseBook;
use queue::Queue;
use reclaim::LostLeases;
use sweep::Sweep;
use workers::Workers;

/// A set of points of one sweep, compressed.
pub type Points = roaring::RoaringTreemap;

/// A moment of the monotonic clock: the time since the coordinator started.
pub type Moment = Duration;

/// A sweep's number: sweeps are numbered in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepKey(pub u64);

/// A lease's name: the sweep, and the epoch that granting the lease began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The sweep of which points are leased.
    pub sweep: SweepKey,
    /// Rises by one with each lease of the sweep, from 1.
    pub epoch: u64,
}

/// A worker's name, its own choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub Arc<str>);

impl From<&str> for WorkerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The most records that an attempt may report of a point: its checkpoints, and its first and last step.
pub const MOST_RECORDS: u64 = phasegrid_proto::task::MOST_CHECKPOINTS + 2;

/// Why an event was refused. Nothing was changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// The worker never registered, or was forgotten after a long silence or a restart.
    #[error("there is no worker {0}: register first")]
    UnknownWorker(WorkerId),
    /// No such sweep.
    #[error("there is no sweep number {}", .0.0)]
    UnknownSweep(SweepKey),
    /// The sweep has no such point.
    #[error("there is no point {point}: the sweep has {size}, from 0")]
    UnknownPoint {
        /// The point.
        point: u64,
        /// The sweep's points.
        size: u64,
    },
    /// A cancelled sweep stays so.
    #[error("the sweep was cancelled: create it again to compute its points")]
    Cancelled,
    /// A worker reports more of a point than any task has.
    #[error("point {0} has more than {MOST_RECORDS} records: no task has so many")]
    TooManyRecords(u64),
    /// A worker's records of a point go back in time.
    #[error("the records of point {0} are not in rising steps")]
    StepsNotRising(u64),
}

/// All sweeps, leases and workers, and what to do about them.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    sweeps: BTreeMap<SweepKey, Sweep>,
    /// The sweeps of which something can be leased, which alone are looked at when a worker asks.
    queue: Queue,
    leases: LeaseBook,
    workers: Workers,
    /// Leases that were taken from workers which may be back.
    lost: LostLeases,
    /// Slots of workers with nothing to do.
    idle: Idle,
    /// When each point that was set back may be leased again.
    returns: BTreeSet<(Moment, SweepKey, u64)>,
}
