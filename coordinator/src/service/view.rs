//! What the service is asked and what it answers: plain data, one type a message of the wire, with nothing in it that
//! cannot be valid. `rpc/` converts; nobody else needs to.

use std::time::{Duration, SystemTime};

pub use crate::scheduler::{Kept, Obstacle, Outcome, Progress, Standing, Start, SweepState, Verdict};
pub use crate::store::PastAttempt;

/// A sweep as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepView {
    /// Unique, short, made of the name and a digest.
    pub id: String,
    /// The name in the sweep file.
    pub name: String,
    /// Where the sweep is in its life.
    pub state: SweepState,
    /// When it was created, by the machine's clock.
    pub created: SystemTime,
    /// The sweep file with everything filled in.
    pub resolved_source: String,
    /// Its points by state; its shards, where points are split.
    pub progress: Progress,
    /// Shards of each point; 1 where none is split.
    pub shards: u32,
    /// Whose it is; empty is nobody in particular.
    pub user: String,
    /// Higher is served first.
    pub priority: i32,
    /// Why it is paused, if it was not a person who paused it.
    pub pause_reason: Option<String>,
    /// What it needs of a worker, if it needs anything, as in "cuda with 16 GiB".
    pub needs: Option<String>,
    /// There are workers, but none that has what it needs.
    pub needs_unmet: bool,
    /// Why this release cannot read it, and leases nothing of it.
    pub problem: Option<String>,
}

/// Somebody's wish for a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Names it: 1 to 64 characters, unique to the wish.
    pub request_id: String,
    /// The sweep file's text.
    pub source: String,
    /// "PATH=VALUE", applied to the file in this order.
    pub overrides: Vec<String>,
    /// Whose it is; empty is nobody in particular.
    pub user: String,
    /// Higher is served first.
    pub priority: i32,
}

/// A point that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPoint {
    /// Index in the sweep's space.
    pub point: u64,
    /// Which of its shards, from 0.
    pub shard: u32,
    /// Attempts made.
    pub attempts: u32,
    /// What ended the last one.
    pub error: String,
}

/// What a watcher sees: the latest state, numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// Rises with every event of the sweep, also over a restart of the coordinator.
    pub sequence: u64,
    /// Where the sweep is in its life; the last event is the first of a sweep that has ended.
    pub state: SweepState,
    /// Why it is paused, if it was not a person who paused it.
    pub pause_reason: Option<String>,
    /// What it needs and no worker has, although there are some.
    pub unmet: Option<String>,
    /// Its points by state; its shards, where points are split.
    pub progress: Progress,
    /// Shards of each point; 1 where none is split.
    pub shards: u32,
}

/// A worker as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker's own choice.
    pub id: String,
    /// "cpu" or "cuda:N".
    pub device: String,
    /// Bytes of memory of its device; 0 if it cannot tell.
    pub memory: u64,
    /// Points that it advances at once.
    pub slots: u32,
    /// It gets no further leases.
    pub draining: bool,
    /// Points that it holds.
    pub leased: u64,
    /// Points that it finished since it joined this run of the coordinator.
    pub finished: u64,
    /// When it was last heard of, by the machine's clock.
    pub last_heartbeat: SystemTime,
}

/// A worker that joins, or joins again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Unique to the process: 1..=100 characters of `[A-Za-z0-9._-]`.
    pub id: String,
    /// Points that it advances at once, at least 1.
    pub slots: u32,
    /// "cpu" or "cuda:N".
    pub device: String,
    /// Bytes of memory of its device, the smallest where it has several; 0 if it cannot tell.
    pub memory: u64,
    /// Must be the coordinator's own.
    pub numerics_version: u32,
}

/// What a worker has to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How often to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// How long a lease lives without one.
    pub lease_time: Duration,
    /// Where to keep snapshots, as a URL; empty if nowhere.
    pub snapshots: String,
}

/// The answer to a worker that asked for work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// Absent if there is no work for now.
    pub lease: Option<LeasedRange>,
    /// No further work will come for this worker.
    pub drain: bool,
}

/// A lease as its worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedRange {
    /// Opaque to the worker.
    pub token: String,
    /// For logs.
    pub sweep_id: String,
    /// In the order in which they are to be started; at least one.
    pub tasks: Vec<LeasedTask>,
}

/// One point of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedTask {
    /// Its number in the sweep; that of a shard, where points are split.
    pub point: u64,
    /// 1 at first.
    pub attempt: u32,
    /// Canonical JSON of the task's configuration.
    pub config: String,
}

/// A lease of which a heartbeat says that it is held.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldLease {
    /// As it was given.
    pub token: String,
    /// Running points, each with the share of its work that is done, in 0..=1.
    pub running: Vec<(u64, f64)>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Leases that the worker no longer holds.
    pub dropped_tokens: Vec<String>,
    /// Finish what is held and leave.
    pub drain: bool,
    /// Points that others could start at once.
    pub cede: Vec<Cession>,
}

/// How much of a lease a worker is asked to give back, of what it has not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cession {
    /// As it was given.
    pub token: String,
    /// At most so many points.
    pub points: u64,
}

/// The lease that takes the place of one that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReclaimedLease {
    /// Opaque to the worker.
    pub token: String,
    /// What it covers, in ascending order.
    pub points: Vec<u64>,
}
