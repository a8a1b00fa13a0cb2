//! Where a point is, and why it is not further.

use std::sync::Arc;
use std::time::Duration;

use super::{LeaseKey, Moment, Refused, Requirement, Scheduler, SweepKey, SweepState, WorkerId};

/// Where a point is.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is to be leased.
    Waiting(Vec<Obstacle>),
    /// A worker holds it.
    Held {
        /// Under which lease.
        lease: LeaseKey,
        /// Who.
        worker: WorkerId,
        /// When this run of the coordinator granted the lease, or took it over from the run before.
        since: Moment,
        /// How far it is.
        start: Start,
    },
    /// Its records are complete.
    Finished,
    /// Too many of its attempts ended badly, or one for good.
    Failed,
    /// The sweep was cancelled before it was finished.
    GivenUp,
}

/// How far a worker is with a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// The worker has so many points to end before.
    After(u64),
    /// It runs; the share of its work that is done, once the worker has told.
    Running(Option<f64>),
}

/// What stands between a point and its lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// The sweep is paused; why, if it was not a person who paused it.
    Paused(Option<Arc<str>>),
    /// This release cannot read the sweep.
    Unreadable,
    /// No worker that takes leases has been heard of lately.
    NoWorker,
    /// There are workers, but none that has what the sweep needs.
    NoWorkerSuits(Requirement),
    /// An attempt ended badly, and the next is not made before so long.
    BackingOff(Duration),
    /// So many other sweeps are served first: of a higher priority, or of the same user and older.
    SweepsAhead(u64),
    /// So many points of the sweep are leased first.
    PointsAhead(u64),
}

impl Scheduler {
    /// Where a point is. If it waits, the obstacles say why; where there is none, the next worker that asks gets it.
    ///
    /// # Errors
    /// If there is no such sweep, or it has no such point.
    pub fn explain(&self, key: SweepKey, point: u64, now: Moment) -> Result<Standing, Refused> {
        let sweep = self.sweeps.get(&key).ok_or(Refused::UnknownSweep(key))?;
        if point >= sweep.size {
            return Err(Refused::UnknownPoint { point, size: sweep.size });
        }
        if let Some((lease, held)) = self.leases.of_sweep(key).find(|(_, lease)| lease.points.contains(point)) {
            let (worker, since) = (held.worker.clone(), held.granted());
            return Ok(Standing::Held { lease, worker, since, start: self.start(lease, point) });
        }
        Ok(if sweep.finished.contains(point) {
            Standing::Finished
        } else if sweep.failed.contains(point) {
            Standing::Failed
        } else if sweep.state == SweepState::Cancelled {
            Standing::GivenUp
        } else {
            Standing::Waiting(self.obstacles(key, point, now))
        })
    }

    fn start(&self, key: LeaseKey, point: u64) -> Start {
        let told = self.leases.get(key).and_then(|lease| lease.running.iter().find(|(running, _)| *running == point));
        match told {
            Some((_, share)) => Start::Running(Some(share.clamp(0.0, 1.0))),
            None if self.leases.started(key).contains(point) => Start::Running(None),
            None => Start::After(self.leases.before(key, point)),
        }
    }

    fn obstacles(&self, key: SweepKey, point: u64, now: Moment) -> Vec<Obstacle> {
        let Some(sweep) = self.sweeps.get(&key) else { return Vec::new() };
        let mut obstacles = Vec::new();
        if sweep.state == SweepState::Paused {
            obstacles.push(Obstacle::Paused(sweep.pause_reason.clone()));
        } else if sweep.on_hold {
            obstacles.push(Obstacle::Unreadable);
        }
        if self.workers.slots(Requirement::default()) == 0 {
            obstacles.push(Obstacle::NoWorker);
        }
        obstacles.extend(self.unmet(key).map(Obstacle::NoWorkerSuits));
        if let Some(until) = sweep.backing_off.get(&point) {
            obstacles.push(Obstacle::BackingOff(until.saturating_sub(now)));
        }
        let sweeps = self.sweeps_ahead(key);
        let points = sweep.before(point);
        obstacles.extend((sweeps > 0).then_some(Obstacle::SweepsAhead(sweeps)));
        obstacles.extend((points > 0).then_some(Obstacle::PointsAhead(points)));
        obstacles
    }
}
