//! Work stealing: near the end of a sweep nothing is pending, and a slow worker may hold points that it has not started while
//! others have nothing to do. With its next heartbeat it is asked for some of them. It gives them back itself, so that none
//! is ever computed twice for it; one that is not heard of loses them when its lease expires.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// What a worker is to give back, so that those with nothing to do have their share of what is left: of its leases those
    /// that were granted last, which it would come to last.
    pub(super) fn cessions(&self, holder: &WorkerId) -> Vec<Cession> {
        let Some(slots) = self.workers.get(holder).map(|worker| u64::from(worker.slots)) else { return Vec::new() };
        if !self.workers.is_anyone_hungry() {
            return Vec::new();
        }
        let mut by_need = BTreeMap::<Requirement, Vec<Cession>>::new();
        for (lease, held) in self.leases.of_worker(holder) {
            let Some(sweep) = self.sweeps.get(&lease.sweep).filter(|sweep| sweep.is_leased_out()) else { continue };
            let waiting = &held.points - &self.leases.started(lease);
            let time = sweep.pace.time_of(sweep.workload.of_all(&waiting), slots);
            if !waiting.is_empty() && time.is_none_or(|time| time >= LEAST) {
                by_need.entry(sweep.requirement).or_default().push(Cession { lease, points: waiting.len() });
            }
        }
        let share = |(needed, waiting)| self.share(holder, slots, needed, waiting);
        by_need.into_iter().flat_map(share).collect()
    }

    /// What of the points that wait goes to those with idle slots, in proportion to slots.
    fn share(&self, holder: &WorkerId, slots: u64, needed: Requirement, waiting: Vec<Cession>) -> Vec<Cession> {
        let idle = self.idle_slots(holder, needed);
        let all: u64 = waiting.iter().map(|cession| cession.points).sum();
        let mut left = (all * idle).div_ceil(idle + slots);
        let take = |Cession { lease, points }| {
            let taken = points.min(left);
            left -= taken;
            (taken > 0).then_some(Cession { lease, points: taken })
        };
        waiting.into_iter().rev().filter_map(take).collect()
    }

    /// Slots without a point, of workers that asked for work in vain, suit a sweep, and are not this one.
    fn idle_slots(&self, holder: &WorkerId, needed: Requirement) -> u64 {
        let idle = |(id, worker): (&WorkerId, &Worker)| {
            let held: u64 = self.leases.of_worker(id).map(|(_, lease)| lease.points.len()).sum();
            u64::from(worker.slots).saturating_sub(held)
        };
        self.workers.hungry().filter(|(id, worker)| *id != holder && needed.fits(worker)).map(idle).sum()
    }
}
