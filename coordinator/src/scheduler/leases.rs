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
    /// Points that have, under this lease.
    pub(super) ended: Points,
    /// Points that were given back.
    pub(super) ceded: Points,
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
    pub(super) knowledge: Knowledge,
    /// It took the place of a lost one, and all of its points were started before: how long they took nobody knows.
    pub(super) resumed: bool,
    /// Points that were computed to their end before it began.
    pub(super) computed: Points,
    /// Points that could run at once when it began.
    width: u64,
    /// When it was granted, or the first of those in whose place it is: its worker starts points in this order.
    granted: Moment,
    deadline: Moment,
}

/// What a lease's worker knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Nothing yet: the answer that grants it is not sent.
    Untold,
    /// The answer was sent then, and the worker has not spoken of it yet.
    Told(Moment),
    /// It has spoken of it.
    Spoken,
    /// Nothing, although it lives: the answer never arrived.
    Missed,
    /// Nothing, until it asks for the lease in whose place this one is.
    Unasked,
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
        Self {
            worker,
            slots,
            points,
            ended: Points::new(),
            ceded: Points::new(),
            heard: now,
            progressed: now,
            reported: BTreeMap::new(),
            running: Vec::new(),
            busy_before: 0,
            knowledge: Knowledge::Untold,
            resumed: false,
            computed: Points::new(),
            width,
            granted: now,
            deadline,
        }
    }

    /// The lease goes on where one was that was lost and had been granted then. All its points were started, of some the
    /// records are there, and some are computed.
    pub(super) fn resume(mut self, granted: Moment, reported: BTreeMap<u64, Reported>, computed: Points) -> Self {
        self.running = self.points.iter().map(|point| (point, 0.0)).collect();
        Self { granted, reported, computed, resumed: true, knowledge: Knowledge::Spoken, ..self }
    }

    /// A lease in this one's place, on points of it. Its worker goes on with it where it was, once it has asked.
    pub(super) fn heir(self, points: Points, deadline: Moment) -> Self {
        let (width, knowledge) = (points.len().min(self.slots.into()), Knowledge::Unasked);
        let mut heir = Self { points, ended: Points::new(), ceded: Points::new(), width, deadline, knowledge, ..self };
        heir.forget_others();
        heir
    }

    /// The lease as it is stored, with what was known of it besides.
    pub(super) fn remembered(self, before: Self) -> Self {
        let Self { worker, slots, points, ended, reported, width, deadline, .. } = self;
        let ceded = before.ceded.clone() - &points;
        let mut lease = Self { worker, slots, points, ended, ceded, reported, width, deadline, ..before };
        lease.ended -= &lease.ceded;
        lease.forget_others();
        lease
    }

    /// Forgets what is known of points that it does not cover any more.
    pub(super) fn forget_others(&mut self) {
        self.reported.retain(|point, _| self.points.contains(*point));
        self.running.retain(|(point, _)| self.points.contains(*point));
        self.computed &= &self.points;
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

    /// The worker spoke of it. What is said before it was told comes from results that were there already.
    pub(super) fn speak(&mut self) {
        if self.knowledge != Knowledge::Untold {
            self.knowledge = Knowledge::Spoken;
        }
    }

    /// The worker may know of it, by this name or that of the one in whose place it is.
    fn may_be_known(&self) -> bool {
        !matches!(self.knowledge, Knowledge::Untold | Knowledge::Missed)
    }

    /// The unfinished points of which the worker said that it has begun them.
    pub(super) fn begun(&self) -> Points {
        if !self.may_be_known() {
            return Points::new();
        }
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
    /// were granted, and advances `slots` of all its points at a time. What it spoke of was started in any case, and nothing
    /// of a lease that it does not know.
    pub(super) fn started(&self, key: LeaseKey) -> Points {
        let Some(lease) = self.leases.get(&key) else { return Points::new() };
        let busy = self.held_before(key, lease) + lease.busy_before;
        let free = if lease.may_be_known() { u64::from(lease.slots).saturating_sub(busy) } else { 0 };
        let first: Points = lease.points.iter().zip(0..free).map(|(point, _)| point).collect();
        first | lease.begun()
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
        let before = before.filter(|(other, of)| of.may_be_known() && (of.granted, **other) < (lease.granted, key));
        before.map(|(_, of)| of.points.len()).sum()
    }

    /// Marks the leases that a worker left out of a heartbeat although it must have known of them by then.
    pub(super) fn leave_out(&mut self, worker: &WorkerId, named: &BTreeSet<LeaseKey>, told_before: Moment) {
        for key in self.holders.get(worker).into_iter().flatten().filter(|key| !named.contains(key)) {
            if let Some(lease) = self.leases.get_mut(key)
                && matches!(lease.knowledge, Knowledge::Told(told) if told < told_before)
            {
                lease.knowledge = Knowledge::Missed;
            }
        }
    }

    /// Takes over what was known of these leases and is not stored.
    pub(super) fn remember(&mut self, before: &mut Self) {
        let Self { leases, .. } = std::mem::take(self);
        for (key, lease) in leases {
            let lease = match before.leases.remove(&key) {
                Some(before) => lease.remembered(before),
                None => lease,
            };
            self.insert(key, lease);
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
