//! Work stealing: near the end of a sweep nothing is pending, and a slow worker may hold points that it has not started while
//! others have nothing to do. With its next heartbeat it is asked for some of them. It gives them back itself, so that none
//! is ever computed twice for it; one that is not heard of loses them when its lease expires.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leases::{Knowledge, Lease};
use super::workers::Worker;
use super::{LeaseKey, Moment, Requirement, Scheduler, WorkerId};

/// Points that take their holder no longer than this are not worth the way.
const LEAST: Duration = Duration::from_secs(1);
/// How long a count of idle slots is good for: it looks at all workers that wait, and each heartbeat wants one.
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// How many points of a lease a worker is asked to give back, of those that it has not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cession {
    /// The lease.
    pub lease: LeaseKey,
    /// At most so many points.
    pub points: u64,
}

/// Slots without a point, of workers that asked for work in vain, as of a moment.
#[derive(Debug, Default)]
pub(super) struct Idle {
    counted: Moment,
    /// Those that suit a need.
    slots: BTreeMap<Requirement, u64>,
}

impl Scheduler {
    /// What a worker is to give back, so that those with nothing to do have their share of what is left: of the leases that it
    /// knows those that were granted last, which it would come to last.
    pub(super) fn cessions(&mut self, holder: &WorkerId, now: Moment) -> Vec<Cession> {
        let Some(slots) = self.workers.get(holder).map(|worker| u64::from(worker.slots)) else { return Vec::new() };
        if !self.workers.is_anyone_hungry() {
            return Vec::new();
        }
        let mut by_need = BTreeMap::<Requirement, Vec<Cession>>::new();
        let known = |(_, held): &(LeaseKey, &Lease)| held.knowledge == Knowledge::Spoken;
        for (lease, held) in self.leases.of_worker(holder).filter(known) {
            let Some(sweep) = self.sweeps.get(&lease.sweep).filter(|sweep| sweep.is_leased_out()) else { continue };
            let waiting = &held.points - &self.leases.started(lease);
            let time = sweep.pace.time_of(sweep.workload.of_all(&waiting), slots);
            if !waiting.is_empty() && time.is_none_or(|time| time >= LEAST) {
                by_need.entry(sweep.requirement).or_default().push(Cession { lease, points: waiting.len() });
            }
        }
        by_need.into_iter().flat_map(|(needed, waiting)| share(self.idle_slots(needed, now), slots, waiting)).collect()
    }

    /// Slots without a point, of workers that asked for work in vain and suit a sweep, counted not long ago. Whoever has points
    /// that wait has no such slot.
    fn idle_slots(&mut self, needed: Requirement, now: Moment) -> u64 {
        if now.saturating_sub(self.idle.counted) >= COUNTED_FOR {
            self.idle = Idle { counted: now, slots: BTreeMap::new() };
        }
        if let Some(slots) = self.idle.slots.get(&needed) {
            return *slots;
        }
        let idle = |(id, worker): (&WorkerId, &Worker)| {
            let held: u64 = self.leases.of_worker(id).map(|(_, lease)| lease.points.len()).sum();
            u64::from(worker.slots).saturating_sub(held)
        };
        let slots = self.workers.hungry().filter(|(_, worker)| needed.fits(worker)).map(idle).sum();
        self.idle.slots.insert(needed, slots);
        slots
    }
}

/// What of the points that wait with a worker goes to those with idle slots, in proportion to slots.
fn share(idle: u64, slots: u64, waiting: Vec<Cession>) -> Vec<Cession> {
    let all: u64 = waiting.iter().map(|cession| cession.points).sum();
    let mut left = (all * idle).div_ceil(idle + slots);
    let take = |Cession { lease, points }| {
        let taken = points.min(left);
        left -= taken;
        (taken > 0).then_some(Cession { lease, points: taken })
    };
    waiting.into_iter().rev().filter_map(take).collect()
}
