//! A worker that was not heard of for too long lost its leases, and may have worked on. When it is back it asks for them: what
//! nobody else has finished meanwhile is leased to it anew, with the records that it reported before, and its work is kept.
//!
//! A point that it has computed to its end is had even if somebody else holds it now, who has it still to compute: that lease
//! ends, and its holder may reclaim the rest of it in the same way. A point that it is still computing is not taken from others.

use std::collections::{BTreeMap, VecDeque};

use super::leases::Lease;
use super::snapshot::Reported;
use super::{Change, Decision, LeaseKey, Moment, Points, Refused, Scheduler, SweepKey, SweepState, WorkerId};

/// Lost leases that are remembered, the latest.
const MOST_REMEMBERED: usize = 4096;

/// A point of a lost lease on which its worker has worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The point.
    pub point: u64,
    /// Records of it that were acknowledged under the lost lease.
    pub acknowledged: u64,
    /// It was computed to its end.
    pub computed: bool,
}

/// A lease in the place of one that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// Its name.
    pub lease: LeaseKey,
    /// The points that are the worker's again.
    pub points: Points,
}

/// Leases that ended because their workers were not heard of. None of it is durable.
#[derive(Debug, Default)]
pub(super) struct LostLeases {
    leases: BTreeMap<LeaseKey, (WorkerId, Points)>,
    /// In the order in which they were lost.
    order: VecDeque<LeaseKey>,
}

impl LostLeases {
    pub(super) fn remember(&mut self, key: LeaseKey, worker: WorkerId, points: Points) {
        self.leases.insert(key, (worker, points));
        self.order.push_back(key);
        while self.order.len() > MOST_REMEMBERED {
            self.order.pop_front().map(|oldest| self.leases.remove(&oldest));
        }
    }

    /// What a worker lost with a lease.
    fn of(&self, worker: &WorkerId, key: LeaseKey) -> Option<&Points> {
        self.leases.get(&key).filter(|(holder, _)| holder == worker).map(|(_, points)| points)
    }
}

/// What a worker asks for.
struct Claim<'a> {
    worker: &'a WorkerId,
    points: Points,
    computed: Points,
}

impl Scheduler {
    /// A worker lost a lease and has worked on. `reported` is what is stored of the lease's records. The reply is the lease
    /// that takes its place; none, if nothing of it is to be had any more. Asked again, as when the answer was lost, it is
    /// answered the same.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub fn on_reclaim(
        &mut self,
        worker: &WorkerId,
        lost: LeaseKey,
        kept: &[Kept],
        reported: &BTreeMap<u64, Reported>,
        now: Moment,
    ) -> Result<Decision<Option<Reclaimed>>, Refused> {
        let heard = self.workers.hear(worker, now)?;
        let (draining, slots) = (heard.draining, heard.slots);
        if let Some((lease, held)) = self.leases.of_worker(worker).find(|(_, held)| held.heir_of == Some(lost)) {
            return Ok(Decision::quiet(Some(Reclaimed { lease, points: held.points.clone() })));
        }
        let Some(was_held) = self.lost.of(worker, lost) else { return Ok(Decision::quiet(None)) };
        // Records of an attempt are forgotten when another one has ended badly.
        let is_stored = |kept: &&Kept| {
            reported.get(&kept.point).map_or(0, |reported| reported.records) >= kept.acknowledged
                && was_held.contains(kept.point)
                && (kept.computed || !draining)
        };
        let points = kept.iter().filter(is_stored).map(|kept| kept.point).collect();
        let computed = kept.iter().filter(|kept| kept.computed).map(|kept| kept.point).collect();
        let claim = self.within_reach(lost.sweep, Claim { worker, points, computed });
        if claim.points.is_empty() {
            return Ok(Decision::quiet(None));
        }
        let mut changes = self.take_from_holders(lost.sweep, &claim);
        let Some((lease, granted)) = self.lease_again(lost, slots, &claim, reported, now) else {
            return Ok(Decision::new(changes, None));
        };
        changes.extend(granted);
        Ok(Decision::new(changes, Some(Reclaimed { lease, points: claim.points })))
    }

    /// The points of a claim that are pending, or held by somebody who gives way.
    fn within_reach<'a>(&self, key: SweepKey, mut claim: Claim<'a>) -> Claim<'a> {
        let running = |sweep: &&super::sweep::Sweep| sweep.state == SweepState::Running && !sweep.on_hold;
        let Some(sweep) = self.sweeps.get(&key).filter(running) else {
            return Claim { points: Points::new(), ..claim };
        };
        claim.points.remove_range(sweep.next..);
        claim.points -= &sweep.finished;
        claim.points -= &sweep.failed;
        for (_, lease) in self.leases.of_sweep(key) {
            if !claim.points.is_disjoint(&lease.points) {
                let held = &claim.points & &lease.points;
                claim.points -= &held - &claim.taken_from(lease);
            }
        }
        claim
    }

    /// Ends the leases that hold points of the claim.
    fn take_from_holders(&mut self, key: SweepKey, claim: &Claim<'_>) -> Vec<Change> {
        let holders = self.leases.of_sweep(key).filter(|(_, lease)| !claim.points.is_disjoint(&lease.points));
        let holders: Vec<_> = holders.map(|(key, lease)| (key, lease.worker.clone(), lease.points.clone())).collect();
        let take = |(key, worker, points)| {
            self.lost.remember(key, worker, points);
            self.release(key)
        };
        holders.into_iter().filter_map(take).collect()
    }

    fn lease_again(
        &mut self,
        lost: LeaseKey,
        slots: u32,
        claim: &Claim<'_>,
        reported: &BTreeMap<u64, Reported>,
        now: Moment,
    ) -> Option<(LeaseKey, [Change; 2])> {
        let sweep = self.sweeps.get_mut(&lost.sweep)?;
        sweep.returned -= &claim.points;
        for point in &claim.points {
            if let Some(until) = sweep.backing_off.remove(&point) {
                self.returns.remove(&(until, lost.sweep, point));
            }
        }
        sweep.epoch += 1;
        let (lease, next) = (LeaseKey { sweep: lost.sweep, epoch: sweep.epoch }, sweep.next);
        let reported: BTreeMap<_, _> = reported
            .iter()
            .filter(|(point, _)| claim.points.contains(**point))
            .map(|(&point, &of)| (point, of))
            .collect();
        let deadline = now + self.settings.lease_time;
        let mut begun = Lease::new(claim.worker.clone(), slots, claim.points.clone(), now, deadline);
        // All of them were started.
        begun.running = claim.points.iter().map(|point| (point, 0.0)).collect();
        begun.reported.clone_from(&reported);
        (begun.heir_of, begun.computed) = (Some(lost), &claim.computed & &claim.points);
        self.begin(lease, begun);
        self.requeue(lost.sweep);
        self.measure(lost.sweep, now);
        let (worker, points) = (claim.worker.clone(), claim.points.clone());
        let granted = Change::Granted { lease, worker, slots, points, next };
        Some((lease, [granted, Change::Inherited { lease, from: lost.epoch, reported }]))
    }
}

impl Claim<'_> {
    /// What of a lease is the claim's. A worker may move points between leases of its own. From another it gets what it has
    /// computed, unless that one has reclaimed it as computed before.
    fn taken_from(&self, lease: &Lease) -> Points {
        let asked = &self.points & &lease.points;
        if lease.worker == *self.worker { asked } else { (asked & &self.computed) - &lease.computed }
    }
}
