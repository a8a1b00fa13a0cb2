//! Work stealing: near the end of a sweep nothing is pending, and a slow worker may hold points that it has not started while
//! others have nothing to do. With its next heartbeat it is asked for some of them. It gives them back itself, so that none
//! is ever computed twice for it; one that is not heard of loses them when its lease expires.

use std::time::Duration;

use super::leases::Lease;
use super::workers::Worker;
use super::{LeaseKey, Requirement, Scheduler, WorkerId};

/// Points that take their holder no longer than this are not worth the way.
const LEAST: Duration = Duration::from_secs(1);

/// How many points of a lease a worker is asked to give back, of those that it has not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cession {
    /// The lease.
    pub lease: LeaseKey,
    /// At most so many points.
    pub points: u64,
}

impl Scheduler {
    /// What a worker is to give back, so that those with nothing to do have their share of what is left.
    pub(super) fn cessions(&self, holder: &WorkerId) -> Vec<Cession> {
        let Some(slots) = self.workers.get(holder).map(|worker| u64::from(worker.slots)) else { return Vec::new() };
        if !self.workers.all().any(|(_, worker)| worker.hungry) {
            return Vec::new();
        }
        let cession = |(key, lease): (LeaseKey, &Lease)| {
            let sweep = self.sweeps.get(&key.sweep).filter(|sweep| sweep.pending() == 0)?;
            let idle = self.idle_slots(holder, sweep.requirement);
            let waiting = &lease.points - &self.leases.started(key);
            let is_short = sweep.pace.time_of(sweep.workload.of_all(&waiting), slots).is_some_and(|time| time < LEAST);
            let points = (waiting.len() * idle).div_ceil(idle + slots);
            (points > 0 && !is_short).then_some(Cession { lease: key, points })
        };
        self.leases.of_worker(holder).filter_map(cession).collect()
    }

    /// Slots without a point, of workers that asked for work in vain, suit a sweep, and are not this one.
    fn idle_slots(&self, holder: &WorkerId, needed: Requirement) -> u64 {
        let waits = |(id, worker): &(&WorkerId, &Worker)| worker.hungry && *id != holder && needed.fits(worker);
        let idle = |(id, worker): (&WorkerId, &Worker)| {
            let held: u64 = self.leases.of_worker(id).map(|(_, lease)| lease.points.len()).sum();
            u64::from(worker.slots).saturating_sub(held)
        };
        self.workers.all().filter(waits).map(idle).sum()
    }
}
