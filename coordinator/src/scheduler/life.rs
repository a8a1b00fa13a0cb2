//! A sweep's life: created, completed or cancelled, retried; and how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ceding::Idle;
use super::leases::LeaseBook;
use super::queue::{Queue, User};
use super::reclaim::LostLeases;
use super::sweep::Sweep;
use super::workers::Workers;
use super::{
    Change, Decision, Moment, Points, Progress, Refused, Requirement, Scheduler, Settings, SweepKey, SweepState,
};

/// What a sweep is to the scheduler, besides its points.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// What its points cost.
    pub workload: Workload,
    /// Whose it is.
    pub user: User,
    /// What it needs of a worker.
    pub requirement: Requirement,
}

/// What the points of a sweep cost, in any unit.
#[derive(Clone, Debug, Default)]
pub enum Workload {
    /// All the same: for spaces too large to look at each point.
    #[default]
    Equal,
    /// Point by point.
    Each {
        /// Positive and finite.
        costs: Arc<[f64]>,
        /// Of all points, kept because every look at the progress asks for it.
        total: f64,
    },
}

impl Workload {
    /// Takes the points' costs. One that says nothing (not positive, not finite) is replaced by the least of the others.
    #[must_use]
    pub fn each(mut costs: Vec<f64>) -> Self {
        let says_something = |cost: &f64| *cost > 0.0 && cost.is_finite();
        let Some(least) = costs.iter().copied().filter(says_something).reduce(f64::min) else { return Self::Equal };
        costs.iter_mut().filter(|cost| !says_something(cost)).for_each(|cost| *cost = least);
        let total = costs.iter().sum();
        Self::Each { costs: costs.into(), total }
    }

    pub(super) fn of(&self, point: u64) -> f64 {
        match self {
            Self::Equal => 1.0,
            Self::Each { costs, .. } => {
                usize::try_from(point).ok().and_then(|point| costs.get(point)).copied().unwrap_or(1.0)
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of 10^16 points needs no last digit")]
    pub(super) fn of_all(&self, points: &Points) -> f64 {
        match self {
            Self::Equal => points.len() as f64,
            Self::Each { .. } => points.iter().map(|point| self.of(point)).sum(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of 10^16 points needs no last digit")]
    pub(super) fn total(&self, size: u64) -> f64 {
        match self {
            Self::Equal => size as f64,
            Self::Each { total, .. } => *total,
        }
    }
}

impl Scheduler {
    /// A scheduler without sweeps and workers.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            sweeps: BTreeMap::new(),
            queue: Queue::default(),
            leases: LeaseBook::default(),
            workers: Workers::default(),
            lost: LostLeases::default(),
            idle: Idle::default(),
            returns: BTreeSet::new(),
        }
    }

    /// The number that the next sweep gets.
    #[must_use]
    pub fn next_key(&self) -> SweepKey {
        SweepKey(self.sweeps.last_key_value().map_or(1, |(key, _)| key.0 + 1))
    }

    /// A sweep of `size` points was created under [`Scheduler::next_key`]. What the store has to write of it is more than
    /// is known here, so this makes no change of its own.
    pub fn on_create(&mut self, key: SweepKey, size: u64, submission: Submission) {
        self.sweeps.insert(key, Sweep::new(size, submission));
        self.requeue(key);
    }

    /// A person gave a sweep another priority.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub fn on_prioritise(&mut self, key: SweepKey, priority: i32) -> Result<Decision<()>, Refused> {
        let sweep = self.sweeps.get_mut(&key).ok_or(Refused::UnknownSweep(key))?;
        if sweep.priority == priority {
            return Ok(Decision::quiet(()));
        }
        sweep.priority = priority;
        self.requeue(key);
        Ok(Decision::new(vec![Change::Prioritised { sweep: key, priority }], ()))
    }

    /// A sweep's priority.
    #[must_use]
    pub fn priority(&self, key: SweepKey) -> Option<i32> {
        self.sweeps.get(&key).map(|sweep| sweep.priority)
    }

    /// The costs of a sweep's points became known. What was measured in the old unit is measured anew.
    pub fn on_weighed(&mut self, key: SweepKey, workload: Workload) {
        if let Some(sweep) = self.sweeps.get_mut(&key) {
            sweep.weigh(workload);
        }
    }

    /// What the sweep's points are cannot be told: none is leased as long as this scheduler lives. What is leased may end.
    pub fn on_hold(&mut self, key: SweepKey) {
        if let Some(sweep) = self.sweeps.get_mut(&key) {
            sweep.on_hold = true;
        }
        self.requeue(key);
    }

    /// A person gave up what is not finished. A sweep that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub fn on_cancel(&mut self, key: SweepKey) -> Result<Decision<SweepState>, Refused> {
        let sweep = self.sweeps.get(&key).ok_or(Refused::UnknownSweep(key))?;
        if sweep.state.has_ended() {
            return Ok(Decision::quiet(sweep.state));
        }
        let held: Vec<_> = self.leases.of_sweep(key).map(|(lease, _)| lease).collect();
        let mut changes: Vec<_> = held.into_iter().filter_map(|lease| self.release(lease)).collect();
        changes.extend(self.move_to(key, SweepState::Cancelled));
        Ok(Decision::new(changes, SweepState::Cancelled))
    }

    /// A person wants failed points tried again. The reply is how many. A sweep that is paused stays so.
    ///
    /// # Errors
    /// If there is no such sweep, or it was cancelled.
    pub fn on_retry(&mut self, key: SweepKey) -> Result<Decision<u64>, Refused> {
        let sweep = self.sweeps.get_mut(&key).ok_or(Refused::UnknownSweep(key))?;
        if sweep.state == SweepState::Cancelled {
            return Err(Refused::Cancelled);
        }
        let sweep_completed = sweep.state == SweepState::Completed;
        let points = sweep.retry();
        if points == 0 {
            return Ok(Decision::quiet(0));
        }
        let mut changes = vec![Change::Retried { sweep: key }];
        if sweep_completed {
            changes.extend(self.move_to(key, SweepState::Running));
        }
        self.requeue(key);
        Ok(Decision::new(changes, points))
    }

    /// Changes a sweep's state, unless it is in it.
    pub(super) fn move_to(&mut self, key: SweepKey, to: SweepState) -> Option<Change> {
        self.move_because(key, to, None)
    }

    /// Changes a sweep's state for a reason of our own, unless it is in it.
    pub(super) fn move_because(&mut self, key: SweepKey, to: SweepState, reason: Option<Arc<str>>) -> Option<Change> {
        let sweep = self.sweeps.get_mut(&key).filter(|sweep| sweep.state != to)?;
        let from = std::mem::replace(&mut sweep.state, to);
        sweep.pause_reason.clone_from(&reason);
        self.requeue(key);
        Some(Change::Moved { sweep: key, from, to, reason })
    }

    /// Where a sweep is in its life.
    #[must_use]
    pub fn state(&self, key: SweepKey) -> Option<SweepState> {
        self.sweeps.get(&key).map(|sweep| sweep.state)
    }

    /// How many points of a sweep have finished.
    #[must_use]
    pub fn finished(&self, key: SweepKey) -> Option<u64> {
        self.sweeps.get(&key).map(|sweep| sweep.finished.len())
    }

    /// How far a sweep is.
    #[must_use]
    pub fn progress(&self, key: SweepKey, now: Moment) -> Option<Progress> {
        let sweep = self.sweeps.get(&key)?;
        let workers: BTreeSet<_> = self.leases.of_sweep(key).map(|(_, lease)| &lease.worker).collect();
        let total = sweep.workload.total(sweep.size);
        let done = self.work_done(key, sweep);
        Some(Progress {
            size: sweep.size,
            finished: sweep.finished.len(),
            failed: sweep.failed.len(),
            leased: self.leases.of_sweep(key).map(|(_, lease)| lease.points.len()).sum(),
            pending: sweep.waiting(),
            // Summing in another order than the total's leaves rounding: the end is exact.
            work_done: if sweep.is_done() { 1.0 } else { (done / total).clamp(0.0, 1.0) },
            remaining: if workers.is_empty() { None } else { sweep.meter.remaining(now, done, total - done) },
            workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        })
    }

    /// Lets the sweep's meter see how much work is done, if it wants to know.
    pub(super) fn measure(&mut self, key: SweepKey, now: Moment) {
        let Some(sweep) = self.sweeps.get(&key).filter(|sweep| sweep.meter.is_due(now)) else { return };
        let done = self.work_done(key, sweep);
        if let Some(sweep) = self.sweeps.get_mut(&key) {
            sweep.meter.observe(now, done);
        }
    }

    fn work_done(&self, key: SweepKey, sweep: &Sweep) -> f64 {
        let running = self.leases.of_sweep(key).flat_map(|(_, lease)| {
            let still = |&&(point, _): &&(u64, f64)| lease.points.contains(point);
            lease.running.iter().filter(still).map(|&(point, share)| share.clamp(0.0, 1.0) * sweep.workload.of(point))
        });
        sweep.settled + running.sum::<f64>()
    }
}
