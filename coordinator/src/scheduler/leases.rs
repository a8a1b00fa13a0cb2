//! All leases that are alive, found by name, by worker and by deadline. The three views change together here and nowhere
//! else.

use std::collections::{BTreeMap, BTreeSet};

use super::{LeaseKey, Moment, Points, SweepKey, WorkerId};

/// A worker's right to some points until its deadline.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    /// Points that the worker advances at once, as it said when it got the lease.
    pub(super) slots: u32,
    /// Points that have not ended.
    pub(super) points: Points,
    /// Points that have, under this lease, or were given back.
    pub(super) ended: Points,
    /// When points of it last ended, or it was granted.
    pub(super) heard: Moment,
    /// When anything of it last moved, or could not yet.
    pub(super) progressed: Moment,
    /// What was reported, by point.
    pub(super) reported: BTreeMap<u64, Reported>,
    /// Points that run, with the share of their work that is done, as of the last heartbeat.
    pub(super) running: Vec<(u64, f64)>,
    /// Slots that were busy with points of leases which the worker lost before this one, as far as is known.
    pub(super) busy_before: u64,
    /// Its worker lives and does not know of it: the answer that granted it never arrived.
    pub(super) orphan: bool,
    /// Points that were computed to their end before it began.
    pub(super) computed: Points,
    /// Points that could run at once when it began.
    width: u64,
    granted: Moment,
    deadline: Moment,
}

/// The records that an attempt has reported of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// How many.
    pub records: u64,
    /// The step of the last.
    pub last_step: u64,
}

impl Lease {
    pub(super) fn new(worker: WorkerId, slots: u32, points: Points, now: Moment, deadline: Moment) -> Self {
        let width = points.len().min(slots.into());
        let (ended, reported, running) = (Points::new(), BTreeMap::new(), Vec::new());
        Self {
            worker,
            slots,
            points,
            ended,
            heard: now,
            progressed: now,
            reported,
            running,
            busy_before: 0,
            orphan: false,
            computed: Points::new(),
            width,
            granted: now,
            deadline,
        }
    }

    /// A lease in this one's place, on points of it. Its worker goes on with it where it was.
    pub(super) fn heir(mut self, points: Points, deadline: Moment) -> Self {
        self.reported.retain(|point, _| points.contains(*point));
        self.running.retain(|(point, _)| points.contains(*point));
        self.computed &= &points;
        let width = points.len().min(self.slots.into());
        Self { points, ended: Points::new(), width, deadline, ..self }
    }

    /// Slots that it takes, from its beginning to its end.
    pub(super) fn width(&self) -> u64 {
        self.width
    }

    pub(super) fn granted(&self) -> Moment {
        self.granted
    }

    /// The worker told what runs, and how far it is.
    pub(super) fn run(&mut self, running: Vec<(u64, f64)>, now: Moment) {
        let before = |point| self.running.iter().find(|(known, _)| *known == point).map(|(_, share)| *share);
        if running.iter().any(|&(point, share)| before(point).is_none_or(|before| share > before)) {
            self.progressed = now;
        }
        self.running = running;
    }

    /// The unfinished points of which the worker said anything.
    fn seen(&self) -> Points {
        let running = self.running.iter().map(|(point, _)| *point);
        running.chain(self.reported.keys().copied()).filter(|point| self.points.contains(*point)).collect()
    }
}

#[derive(Debug, Default)]
pub(super) struct LeaseBook {
    leases: BTreeMap<LeaseKey, Lease>,
    deadlines: BTreeSet<(Moment, LeaseKey)>,
    holders: BTreeMap<WorkerId, BTreeSet<LeaseKey>>,
}

impl LeaseBook {
    pub(super) fn insert(&mut self, key: LeaseKey, lease: Lease) {
        self.deadlines.insert((lease.deadline, key));
        self.holders.entry(lease.worker.clone()).or_default().insert(key);
        self.leases.insert(key, lease);
    }

    pub(super) fn remove(&mut self, key: LeaseKey) -> Option<Lease> {
        let lease = self.leases.remove(&key)?;
        self.deadlines.remove(&(lease.deadline, key));
        if let Some(held) = self.holders.get_mut(&lease.worker) {
            held.remove(&key);
            if held.is_empty() {
                self.holders.remove(&lease.worker);
            }
        }
        Some(lease)
    }

    pub(super) fn get(&self, key: LeaseKey) -> Option<&Lease> {
        self.leases.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: LeaseKey) -> Option<&mut Lease> {
        self.leases.get_mut(&key)
    }

    pub(super) fn extend(&mut self, key: LeaseKey, deadline: Moment) {
        if let Some(lease) = self.leases.get_mut(&key) {
            self.deadlines.remove(&(lease.deadline, key));
            lease.deadline = deadline;
            self.deadlines.insert((deadline, key));
        }
    }

    /// The points of a lease that had been started. A worker starts points in ascending order, lease after lease as they
    /// were granted, and advances `slots` of all its points at a time. What it spoke of was started in any case.
    pub(super) fn started(&self, key: LeaseKey) -> Points {
        let Some(lease) = self.leases.get(&key) else { return Points::new() };
        let busy = self.held_before(key, lease);
        let free = if lease.orphan { 0 } else { u64::from(lease.slots).saturating_sub(busy + lease.busy_before) };
        let first: Points = lease.points.iter().zip(0..free).map(|(point, _)| point).collect();
        first | lease.seen()
    }

    /// The points that its worker is to end before it starts this one.
    pub(super) fn before(&self, key: LeaseKey, point: u64) -> u64 {
        let Some(lease) = self.leases.get(&key) else { return 0 };
        self.held_before(key, lease) + lease.points.range_cardinality(..point)
    }

    /// The unfinished points of the leases that the holder of this one was granted before.
    fn held_before(&self, key: LeaseKey, lease: &Lease) -> u64 {
        let held = self.holders.get(&lease.worker).into_iter().flatten();
        let before = held.filter_map(|other| Some((other, self.leases.get(other)?)));
        let before = before.filter(|(other, of)| !of.orphan && (of.granted, **other) < (lease.granted, key));
        before.map(|(_, of)| of.points.len()).sum()
    }

    /// Marks the leases that a worker left out of a heartbeat although it must have known of them by then.
    pub(super) fn leave_out(&mut self, worker: &WorkerId, named: &BTreeSet<LeaseKey>, granted_before: Moment) {
        for key in self.holders.get(worker).into_iter().flatten().filter(|key| !named.contains(key)) {
            if let Some(lease) = self.leases.get_mut(key) {
                lease.orphan = lease.granted < granted_before && lease.ended.is_empty() && lease.seen().is_empty();
            }
        }
    }

    /// The points of a worker's lost lease keep their slots from those of its later leases, until it is heard of again.
    pub(super) fn keep_busy(&mut self, lost: &Lease, slots: u64) {
        for key in self.holders.get(&lost.worker).into_iter().flatten() {
            if let Some(lease) = self.leases.get_mut(key).filter(|lease| lease.granted >= lost.granted) {
                lease.busy_before += slots;
            }
        }
    }

    /// A lease whose deadline is past.
    pub(super) fn due(&self, now: Moment) -> Option<LeaseKey> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|&(_, key)| key)
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    pub(super) fn of_sweep(&self, sweep: SweepKey) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        let all = LeaseKey { sweep, epoch: 0 }..=LeaseKey { sweep, epoch: u64::MAX };
        self.leases.range(all).map(|(key, lease)| (*key, lease))
    }

    pub(super) fn of_worker(&self, worker: &WorkerId) -> impl Iterator<Item = (LeaseKey, &Lease)> {
        let keys = self.holders.get(worker).into_iter().flatten();
        keys.filter_map(|key| Some((*key, self.leases.get(key)?)))
    }
}
