//! A worker that was not heard of for too long lost its leases, and may have worked on. When it is back it asks for them: what
//! nobody else has finished meanwhile is leased to it anew, with the records that it reported before, and its work is kept.
//!
//! A point that it has computed to its end is had even if somebody else holds it now, who has it still to compute, and one that
//! it is still computing if that one has not said that it has begun it: then it has begun it a heartbeat ago at most. That lease
//! ends. What its holder has begun of the rest goes to an heir, which the holder finds out when it asks in turn; what else there
//! is is pending. What both are computing stays with its holder.

use std::collections::{BTreeMap, VecDeque};

use super::leases::Lease;
use super::snapshot::Reported;
use super::{Change, Decision, LeaseKey, Moment, Points, Refused, Scheduler, SweepKey, SweepState, WorkerId};

/// Lost leases that are remembered, the latest: some of each of as many workers as one coordinator has.
const MOST_REMEMBERED: usize = 1 << 16;

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
pub struct Heir {
    /// Its name.
    pub lease: LeaseKey,
    /// The points that are the worker's again.
    pub points: Points,
}

/// What there is of a lost lease's records, as of a moment: to be filled in by who can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// The lease.
    pub lease: LeaseKey,
    /// The points that are asked about, each with the number of the attempt that would start now. When that has changed,
    /// another attempt has ended badly, and the records are gone.
    pub attempts: BTreeMap<u64, u32>,
    /// What is stored of them.
    pub reported: BTreeMap<u64, Reported>,
}

/// A lease that ended because its worker was not heard of, or that gave way.
#[derive(Debug)]
struct Lost {
    worker: WorkerId,
    points: Points,
    granted: Moment,
    /// The lease that took its place.
    heir: Option<LeaseKey>,
}

/// The latest of them. None of it is durable.
#[derive(Debug, Default)]
pub(super) struct LostLeases {
    leases: BTreeMap<LeaseKey, Lost>,
    /// In the order in which they came to be remembered.
    order: VecDeque<LeaseKey>,
}

impl LostLeases {
    pub(super) fn remember(&mut self, key: LeaseKey, lease: &Lease) {
        let (worker, points, granted) = (lease.worker.clone(), lease.points.clone(), lease.granted());
        if self.leases.insert(key, Lost { worker, points, granted, heir: None }).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.leases.remove(&oldest);
        }
    }

    /// A lease took the place of a lost one.
    fn succeed(&mut self, old: LeaseKey, heir: LeaseKey) {
        if let Some(lost) = self.leases.get_mut(&old) {
            lost.heir = Some(heir);
        }
    }

    /// Forgets leases that are none of these, and heirs that were never granted.
    pub(super) fn retain(&mut self, is_lost: impl Fn(LeaseKey) -> bool, was_granted: impl Fn(LeaseKey) -> bool) {
        self.leases.retain(|key, lost| {
            lost.heir = lost.heir.filter(|heir| was_granted(*heir));
            is_lost(*key)
        });
        let Self { leases, order } = self;
        order.retain(|key| leases.contains_key(key));
    }

    /// The lease that is in the place of one, be it through heirs of which its worker never heard.
    fn latest(&self, mut key: LeaseKey) -> LeaseKey {
        // Epochs rise from a lease to its heir: there is an end.
        while let Some(heir) = self.leases.get(&key).and_then(|lost| lost.heir) {
            key = heir;
        }
        key
    }

    /// What a worker lost with a lease.
    fn of(&self, worker: &WorkerId, key: LeaseKey) -> Option<&Lost> {
        self.leases.get(&key).filter(|lost| lost.worker == *worker)
    }
}

/// What a worker asks for.
struct Claim<'a> {
    worker: &'a WorkerId,
    points: Points,
    computed: Points,
    /// The leases that hold some of the points and give way.
    holders: Vec<LeaseKey>,
}

impl Scheduler {
    /// Which records are to be looked up before a worker reclaims: none if nothing of the lease was this worker's to lose.
    #[must_use]
    pub fn inheritance(&self, worker: &WorkerId, lost: LeaseKey, kept: &[Kept]) -> Option<Inheritance> {
        let lease = self.lost.latest(lost);
        let (was, sweep) = (self.lost.of(worker, lease)?, self.sweeps.get(&lost.sweep)?);
        let asked = kept.iter().filter(|kept| kept.acknowledged > 0 && was.points.contains(kept.point));
        let attempts = asked.map(|kept| (kept.point, sweep.attempt(kept.point))).collect();
        Some(Inheritance { lease, attempts, reported: BTreeMap::new() })
    }

    /// A worker lost a lease and has worked on. `stored` is what there is of what [`Scheduler::inheritance`] named. The reply
    /// is the lease that takes its place; none, if nothing of it is to be had any more. Asked again, as when the answer was
    /// lost, it is answered the same.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub fn on_reclaim(
        &mut self,
        worker: &WorkerId,
        lost: LeaseKey,
        kept: &[Kept],
        stored: Option<&Inheritance>,
        now: Moment,
    ) -> Result<Decision<Option<Heir>>, Refused> {
        let heard = self.workers.hear(worker, now)?;
        let (draining, slots) = (heard.draining, heard.slots);
        let from = self.lost.latest(lost);
        if self.leases.get(from).is_some_and(|lease| lease.worker == *worker) {
            return Ok(self.confirm(from, &kept.iter().map(|kept| kept.point).collect(), now));
        }
        let (Some(was), Some(sweep)) = (self.lost.of(worker, from), self.sweeps.get(&lost.sweep)) else {
            return Ok(Decision::quiet(None));
        };
        let reported = |point| {
            let stored = stored.filter(|stored| stored.lease == from)?;
            let same = stored.attempts.get(&point) == Some(&sweep.attempt(point));
            stored.reported.get(&point).filter(|_| same).copied()
        };
        let granted = was.granted;
        let is_stored = |kept: &&Kept| {
            reported(kept.point).map_or(0, |reported| reported.records) >= kept.acknowledged
                && was.points.contains(kept.point)
                && (kept.computed || !draining)
        };
        let points = kept.iter().filter(is_stored).map(|kept| kept.point).collect();
        let computed = kept.iter().filter(|kept| kept.computed).map(|kept| kept.point).collect();
        let claim = self.within_reach(lost.sweep, Claim { worker, points, computed, holders: Vec::new() });
        if claim.points.is_empty() {
            return Ok(Decision::quiet(None));
        }
        let records = claim.points.iter().filter_map(|point| Some((point, reported(point)?))).collect();
        let mut changes = self.take_from_holders(lost.sweep, &claim, now);
        self.take_from_waiting(lost.sweep, &claim.points);
        let heir = Lease::new(worker.clone(), slots, claim.points.clone(), now, now + self.settings.lease_time);
        let heir = heir.resume(granted, records, &claim.computed & &claim.points);
        let (lease, granted) = self.grant_heir(from, heir);
        changes.extend(granted);
        self.measure(lost.sweep, now);
        Ok(Decision::new(changes, Some(Heir { lease, points: claim.points })))
    }

    /// A lease is the worker's already. What it does not name it does not know of, and has given back.
    fn confirm(&mut self, lease: LeaseKey, named: &Points, now: Moment) -> Decision<Option<Heir>> {
        let Some(held) = self.leases.get_mut(lease) else { return Decision::quiet(None) };
        held.speak();
        let (points, rest) = (&held.points & named, &held.points - named);
        self.leases.extend(lease, now + self.settings.lease_time);
        let ceded = self.on_cede(lease, &rest);
        Decision::new(ceded.changes, (!points.is_empty()).then_some(Heir { lease, points }))
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
        let held = &claim.points - &sweep.returned;
        if held.iter().all(|point| sweep.backing_off.contains_key(&point)) {
            return claim;
        }
        for (holder, lease) in self.leases.of_sweep(key).filter(|(_, lease)| !held.is_disjoint(&lease.points)) {
            claim.points -= claim.kept_by(lease);
            if !claim.points.is_disjoint(&lease.points) {
                claim.holders.push(holder);
            }
        }
        claim
    }

    /// Takes the points of the claim out of the leases that hold them.
    fn take_from_holders(&mut self, key: SweepKey, claim: &Claim<'_>, now: Moment) -> Vec<Change> {
        let mut changes = Vec::new();
        for &holder in &claim.holders {
            // What a worker has twice it gives back itself.
            if self.leases.get(holder).is_some_and(|lease| lease.worker == *claim.worker) {
                changes.extend(self.on_cede(holder, &claim.points).changes);
                continue;
            }
            let Some(lease) = self.end(holder) else { continue };
            // Its worker may ask for it, and finds the heir, or what nobody has begun.
            self.lost.remember(holder, &lease);
            let ended =
                Change::Ended { lease: holder, finished: Vec::new(), setbacks: Vec::new(), remain: Points::new() };
            changes.push(ended);
            let begun = lease.begun() - &claim.points;
            if let Some(sweep) = self.sweeps.get_mut(&key) {
                sweep.give_back(&(&(&lease.points - &claim.points) - &begun));
            }
            if !begun.is_empty() {
                let heir = lease.heir(begun, now + self.settings.lease_time);
                changes.extend(self.grant_heir(holder, heir).1);
            }
        }
        changes
    }

    /// Takes points out of those that are to be leased.
    fn take_from_waiting(&mut self, key: SweepKey, points: &Points) {
        let Some(sweep) = self.sweeps.get_mut(&key) else { return };
        sweep.returned -= points;
        for point in points {
            if let Some(until) = sweep.backing_off.remove(&point) {
                self.returns.remove(&(until, key, point));
            }
        }
    }

    /// Begins a lease in the place of one that has ended, with what was reported under that one.
    fn grant_heir(&mut self, old: LeaseKey, heir: Lease) -> (LeaseKey, Vec<Change>) {
        let Some(sweep) = self.sweeps.get_mut(&old.sweep) else { return (old, Vec::new()) };
        sweep.epoch += 1;
        let (lease, next) = (LeaseKey { sweep: old.sweep, epoch: sweep.epoch }, sweep.next);
        let (worker, slots, points, reported) =
            (heir.worker.clone(), heir.slots, heir.points.clone(), heir.reported.clone());
        self.begin(lease, heir);
        self.lost.succeed(old, lease);
        self.requeue(old.sweep);
        let granted = Change::Granted { lease, worker, slots, points, next };
        (lease, vec![granted, Change::Inherited { lease, from: old.epoch, reported }])
    }
}

impl Claim<'_> {
    /// What of a lease stays with its holder, whatever is asked for: what it has begun and the claim's worker has not computed,
    /// and what it has computed itself. A worker may move points between leases of its own.
    fn kept_by(&self, lease: &Lease) -> Points {
        if lease.worker == *self.worker {
            return Points::new();
        }
        ((lease.begun() - &self.computed) | &lease.computed) & &lease.points
    }
}
