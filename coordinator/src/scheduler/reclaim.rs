//! A worker that was not heard of for too long lost its leases, and may have worked on. When it is back it asks for them: what
//! nobody else has finished meanwhile is leased to it anew, with the records that it reported before, and its work is kept.
//!
//! A point that it has computed to its end is had even if somebody else holds it now, who has it still to compute: that lease
//! ends, and an heir takes its place with the rest, which its holder finds out when it asks in turn. A point that the worker is
//! still computing is not taken from others.

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
pub struct Reclaimed {
    /// Its name.
    pub lease: LeaseKey,
    /// The points that are the worker's again.
    pub points: Points,
}

/// What is stored of the records of a lost lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// The lease.
    pub lease: LeaseKey,
    /// Its records, by point.
    pub reported: BTreeMap<u64, Reported>,
}

/// Leases that ended because their workers were not heard of. None of it is durable.
#[derive(Debug, Default)]
pub(super) struct LostLeases {
    leases: BTreeMap<LeaseKey, (WorkerId, Points)>,
    /// Lost leases that had been heirs of others, by these.
    heirs: BTreeMap<LeaseKey, LeaseKey>,
    /// In the order in which they were lost.
    order: VecDeque<(LeaseKey, Option<LeaseKey>)>,
}

impl LostLeases {
    pub(super) fn remember(&mut self, key: LeaseKey, lease: &Lease) {
        self.leases.insert(key, (lease.worker.clone(), lease.points.clone()));
        self.heirs.extend(lease.heir_of.map(|old| (old, key)));
        self.order.push_back((key, lease.heir_of));
        while self.order.len() > MOST_REMEMBERED {
            let Some((oldest, heir_of)) = self.order.pop_front() else { return };
            self.leases.remove(&oldest);
            heir_of.map(|old| self.heirs.remove(&old));
        }
    }

    /// What a worker lost with a lease, or with its heir, if it never heard of that one.
    fn of(&self, worker: &WorkerId, mut key: LeaseKey) -> Option<(LeaseKey, &Points)> {
        // Epochs rise from a lease to its heir: there is an end.
        while let Some(heir) = self.heirs.get(&key) {
            key = *heir;
        }
        let (holder, points) = self.leases.get(&key)?;
        (holder == worker).then_some((key, points))
    }
}

/// What a worker asks for.
struct Claim<'a> {
    worker: &'a WorkerId,
    points: Points,
    computed: Points,
}

impl Scheduler {
    /// The lease whose records are to be looked up before a worker reclaims, and for which points: none if nothing of the
    /// lease was this worker's to lose.
    #[must_use]
    pub fn inheritance(&self, worker: &WorkerId, lost: LeaseKey, kept: &[Kept]) -> Option<(LeaseKey, Points)> {
        let (lease, points) = self.lost.of(worker, lost)?;
        let reported: Points = kept.iter().filter(|kept| kept.acknowledged > 0).map(|kept| kept.point).collect();
        Some((lease, &reported & points))
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
    ) -> Result<Decision<Option<Reclaimed>>, Refused> {
        let heard = self.workers.hear(worker, now)?;
        let (draining, slots) = (heard.draining, heard.slots);
        let is_it = |(key, held): &(LeaseKey, &Lease)| *key == lost || held.heir_of == Some(lost);
        let alive = self.leases.of_worker(worker).find(is_it).map(|(key, _)| key);
        if let Some(alive) = alive {
            return Ok(self.confirm(alive, &kept.iter().map(|kept| kept.point).collect()));
        }
        let Some((from, was_held)) = self.lost.of(worker, lost) else { return Ok(Decision::quiet(None)) };
        let reported = stored.filter(|stored| stored.lease == from).map(|stored| &stored.reported);
        let reported = |point| reported.and_then(|reported| reported.get(&point)).copied();
        // Records of an attempt are forgotten when another one has ended badly.
        let is_stored = |kept: &&Kept| {
            reported(kept.point).map_or(0, |reported| reported.records) >= kept.acknowledged
                && was_held.contains(kept.point)
                && (kept.computed || !draining)
        };
        let points = kept.iter().filter(is_stored).map(|kept| kept.point).collect();
        let computed = kept.iter().filter(|kept| kept.computed).map(|kept| kept.point).collect();
        let claim = self.within_reach(lost.sweep, Claim { worker, points, computed });
        if claim.points.is_empty() {
            return Ok(Decision::quiet(None));
        }
        let mut changes = self.take_from_holders(lost.sweep, &claim, now);
        self.take_from_waiting(lost.sweep, &claim.points);
        let mut heir = Lease::new(worker.clone(), slots, claim.points.clone(), now, now + self.settings.lease_time);
        // All of them were started.
        heir.running = claim.points.iter().map(|point| (point, 0.0)).collect();
        heir.reported = claim.points.iter().filter_map(|point| Some((point, reported(point)?))).collect();
        (heir.heir_of, heir.computed) = (Some(lost), &claim.computed & &claim.points);
        let (lease, granted) = self.grant_heir(from, heir);
        changes.extend(granted);
        self.measure(lost.sweep, now);
        Ok(Decision::new(changes, Some(Reclaimed { lease, points: claim.points })))
    }

    /// A lease is the worker's already. What it does not name it does not know of, and has given back.
    fn confirm(&mut self, lease: LeaseKey, named: &Points) -> Decision<Option<Reclaimed>> {
        let Some(held) = self.leases.get(lease) else { return Decision::quiet(None) };
        let (points, rest) = (&held.points & named, &held.points - named);
        let ceded = self.on_cede(lease, &rest);
        Decision::new(ceded.changes, (!points.is_empty()).then_some(Reclaimed { lease, points }))
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
        for (_, lease) in self.leases.of_sweep(key) {
            if !held.is_disjoint(&lease.points) {
                let asked = &claim.points & &lease.points;
                claim.points -= &asked - &claim.taken_from(lease);
            }
        }
        claim
    }

    /// Ends the leases that hold points of the claim. Heirs take their places with the rest.
    fn take_from_holders(&mut self, key: SweepKey, claim: &Claim<'_>, now: Moment) -> Vec<Change> {
        let holders = self.leases.of_sweep(key).filter(|(_, lease)| !claim.points.is_disjoint(&lease.points));
        let holders: Vec<_> = holders.map(|(key, _)| key).collect();
        let mut changes = Vec::new();
        for key in holders {
            let Some(lease) = self.end(key) else { continue };
            let ended = Change::Ended { lease: key, finished: Vec::new(), setbacks: Vec::new(), remain: Points::new() };
            changes.push(ended);
            let rest = &lease.points - &claim.points;
            if rest.is_empty() {
                // Should its worker have computed any of it to the end, the claim's was before.
                self.lost.remember(key, &lease);
            } else {
                let heir = lease.heir(key, rest, now + self.settings.lease_time);
                changes.extend(self.grant_heir(key, heir).1);
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
        self.requeue(old.sweep);
        let granted = Change::Granted { lease, worker, slots, points, next };
        (lease, vec![granted, Change::Inherited { lease, from: old.epoch, reported }])
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
