//! The durable state as the store gives it back, and a scheduler made of it. What is pending follows from the rest; rates,
//! backoffs and workers begin anew.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::leases::Reported;
use super::leases::{Knowledge, Lease};
use super::sweep::Sweep;
use super::{LeaseKey, Moment, Points, Scheduler, Settings, Submission, SweepKey, SweepState, WorkerId};

/// The durable state of one sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSnapshot {
    /// Its number.
    pub key: SweepKey,
    /// Its points are `0..size`.
    pub size: u64,
    /// Where it is in its life.
    pub state: SweepState,
    /// Why it is paused, if it was not a person who paused it.
    pub pause_reason: Option<Arc<str>>,
    /// The circuit breaker has paused it once, and will not again.
    pub tripped: bool,
    /// Higher is served first.
    pub priority: i32,
    /// The epoch of its latest lease; 0 before the first.
    pub epoch: u64,
    /// The first point that was never leased.
    pub next: u64,
    /// Points whose records are complete.
    pub finished: Points,
    /// Points set aside.
    pub failed: Points,
    /// Attempts that ended badly, of the points that are neither finished nor set aside and had any.
    pub attempts: BTreeMap<u64, u32>,
    /// The leases that are alive, by epoch.
    pub leases: BTreeMap<u64, LeaseSnapshot>,
}

/// The durable state of one lease.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseSnapshot {
    /// Who holds it.
    pub worker: WorkerId,
    /// Points that the worker advances at once.
    pub slots: u32,
    /// The points that it was granted.
    pub granted: Points,
    /// Those of them that have not ended.
    pub remain: Points,
    /// What was reported of these.
    pub reported: BTreeMap<u64, Reported>,
}

impl SweepSnapshot {
    /// What no sweep can be in, however it came to be stored: its points are there, and were leased before anything became
    /// of them.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.next > self.size {
            return Some("more points were leased than there are");
        }
        let leased = self.leases.values().flat_map(|lease| [&lease.granted, &lease.remain]);
        let last = [&self.finished, &self.failed].into_iter().chain(leased).filter_map(Points::max).max();
        last.is_some_and(|last| last >= self.next).then_some("something became of a point that was never leased")
    }
}

impl Scheduler {
    /// Goes on from what the store holds. Every lease has a new lease time from now, within which its worker may return.
    #[must_use]
    pub fn restore(settings: Settings, sweeps: Vec<(SweepSnapshot, Submission)>, now: Moment) -> Self {
        let mut scheduler = Self::new(settings);
        for (snapshot, submission) in sweeps {
            scheduler.restore_sweep(snapshot, submission, now);
        }
        scheduler
    }

    fn restore_sweep(&mut self, snapshot: SweepSnapshot, submission: Submission, now: Moment) {
        let SweepSnapshot {
            key,
            size,
            state,
            pause_reason,
            tripped,
            priority,
            epoch,
            next,
            finished,
            failed,
            attempts,
            leases,
        } = snapshot;
        let mut returned = Points::new();
        returned.insert_range(0..next);
        returned -= &finished;
        returned -= &failed;
        for lease in leases.values() {
            returned -= &lease.remain;
        }
        let sweep = Sweep::new(size, submission);
        let settled = sweep.workload.of_all(&finished) + sweep.workload.of_all(&failed);
        let set_back = attempts.clone();
        let sweep = Sweep { state, pause_reason, tripped, priority, epoch, next, returned, settled, ..sweep };
        self.sweeps.insert(key, Sweep { finished, failed, attempts, ..sweep });
        let deadline = now + self.settings.lease_time;
        for (epoch, LeaseSnapshot { worker, slots, granted, remain, reported }) in leases {
            let ended = granted - &remain;
            let mut lease = Lease::new(worker, slots, remain, now, deadline);
            (lease.ended, lease.reported) = (ended, reported);
            // Whether it was is not known; if not, its worker will leave it out of its heartbeats.
            lease.knowledge = Knowledge::Told(now);
            self.begin(LeaseKey { sweep: key, epoch }, lease);
        }
        set_back.into_iter().for_each(|(point, attempts)| self.back_off(key, point, attempts, now));
        self.requeue(key);
    }

    /// The durable part of the state: what a store must hold after the changes of all decisions so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SweepSnapshot> {
        let lease = |(key, lease): (LeaseKey, &Lease)| {
            let snapshot = LeaseSnapshot {
                worker: lease.worker.clone(),
                slots: lease.slots,
                granted: &(&lease.points | &lease.ended) | &lease.ceded,
                remain: lease.points.clone(),
                reported: lease.reported.clone(),
            };
            (key.epoch, snapshot)
        };
        let sweep = |(key, sweep): (&SweepKey, &Sweep)| SweepSnapshot {
            key: *key,
            size: sweep.size,
            state: sweep.state,
            pause_reason: sweep.pause_reason.clone(),
            tripped: sweep.tripped,
            priority: sweep.priority,
            epoch: sweep.epoch,
            next: sweep.next,
            finished: sweep.finished.clone(),
            failed: sweep.failed.clone(),
            attempts: sweep.attempts.clone(),
            leases: self.leases.of_sweep(*key).map(lease).collect(),
        };
        self.sweeps.iter().map(sweep).collect()
    }
}
