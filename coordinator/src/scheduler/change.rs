//! What a decision writes. The store applies the changes of one decision in their order and in one transaction; each
//! names the lease or the sweep's state that it rests on, so that the store can refuse one that rests on the past.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::snapshot::Reported;
use super::{LeaseKey, Points, SweepKey, SweepState, WorkerId};

/// The answer to an event: what must become durable, and what may be said once it is.
#[derive(Debug, PartialEq)]
#[must_use = "changes that are dropped part the scheduler from the store"]
pub struct Decision<T> {
    /// In the order in which they are to be applied.
    pub changes: Vec<Change>,
    /// For whoever brought the event.
    pub reply: T,
}

impl<T> Decision<T> {
    pub(super) fn new(changes: Vec<Change>, reply: T) -> Self {
        Self { changes, reply }
    }

    /// A decision that changes nothing durable.
    pub(super) fn quiet(reply: T) -> Self {
        Self { changes: Vec::new(), reply }
    }
}

/// One step of the durable state.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A lease begins. Rests on the sweep running, and on its last epoch being the one before.
    Granted {
        /// The new lease.
        lease: LeaseKey,
        /// Who holds it.
        worker: WorkerId,
        /// Points that the worker advances at once.
        slots: u32,
        /// What it covers.
        points: Points,
        /// The first point of the sweep that was never leased, from now on.
        next: u64,
    },
    /// The records that were stored under a lease that has ended count for this one, which was granted just before. Rests on
    /// all those records being there.
    Inherited {
        /// The lease that goes on.
        lease: LeaseKey,
        /// The epoch of the lost one.
        from: u64,
        /// The records, by point.
        reported: BTreeMap<u64, Reported>,
    },
    /// Records arrived. Rests on the lease being alive.
    Recorded {
        /// Under which lease.
        lease: LeaseKey,
        /// In rising steps within a point; none was stored before.
        records: Vec<Measurement>,
    },
    /// Points of a lease ended, or all of it did. Rests on the lease being alive. The lease lives on with the points that
    /// `remain`; it ends with the last of them. Points that neither remain nor are listed are pending again.
    Ended {
        /// Which lease.
        lease: LeaseKey,
        /// Points whose records are complete.
        finished: Vec<Finish>,
        /// Points of which an attempt ended badly.
        setbacks: Vec<Setback>,
        /// What the lease still covers; nothing ends it.
        remain: Points,
    },
    /// The sweep's state changed. Rests on the state before.
    Moved {
        /// Which sweep.
        sweep: SweepKey,
        /// The state before.
        from: SweepState,
        /// The state from now on.
        to: SweepState,
        /// Why the circuit breaker paused it, which it will not do again; none if it was not the circuit breaker.
        reason: Option<Arc<str>>,
    },
    /// A sweep has another priority.
    Prioritised {
        /// Which sweep.
        sweep: SweepKey,
        /// Higher is served first.
        priority: i32,
    },
    /// All failed points of a sweep are pending again, with no attempt counted, and the circuit breaker is armed again.
    Retried {
        /// Which sweep.
        sweep: SweepKey,
    },
}

/// The record of one checkpoint on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Of which point.
    pub point: u64,
    /// At which step of its training.
    pub step: u64,
    /// What was measured, in the store's encoding; nobody here looks inside.
    pub payload: Vec<u8>,
}

/// A point that finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The point.
    pub point: u64,
    /// The number of the attempt that finished it.
    pub attempts: u32,
}

/// An attempt that failed or was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The point.
    pub point: u64,
    /// Attempts that ended badly so far, this one included.
    pub attempts: u32,
    /// What ended this one.
    pub error: String,
    /// The point is set aside as failed; else it is pending again.
    pub set_aside: bool,
}
