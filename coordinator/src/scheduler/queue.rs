//! Which sweep serves the next worker that asks: of those with points that can be leased now, and whom the worker suits, one
//! of the highest priority; among these, one of the user whose leases take the fewest slots now, or, of several such, who
//! has waited longest for a lease; and of a user's sweeps the oldest.
//!
//! Slots and not points are shared, because a point may take milliseconds or hours. Sweeps of one user, priority and need are
//! a group, and a request looks at one entry a group, however many sweeps there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::leases::Lease;
use super::workers::Worker;
use super::{LeaseKey, Requirement, Scheduler, SweepKey};

/// Whose sweep it is, by name; empty is nobody in particular.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(pub Arc<str>);

impl Default for User {
    fn default() -> Self {
        Self("".into())
    }
}

/// What sweeps have in common that are served in the order of their creation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) priority: Reverse<i32>,
    pub(super) user: User,
    pub(super) requirement: Requirement,
}

/// What a user's leases take.
#[derive(Debug, Default)]
struct Usage {
    slots: u64,
    /// The number of the user's latest grant, of all users' grants.
    latest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    groups: BTreeMap<Group, BTreeSet<SweepKey>>,
    places: BTreeMap<SweepKey, Group>,
    users: BTreeMap<User, Usage>,
    grants: u64,
    /// A sweep has joined since somebody asked.
    news: bool,
}

impl Queue {
    /// The sweep has points that can be leased now.
    fn put(&mut self, key: SweepKey, group: Group) {
        if self.places.get(&key) == Some(&group) {
            return;
        }
        self.remove(key);
        self.groups.entry(group.clone()).or_default().insert(key);
        self.places.insert(key, group);
        self.news = true;
    }

    /// The sweep has no point that can be leased now.
    fn remove(&mut self, key: SweepKey) {
        let Some(group) = self.places.remove(&key) else { return };
        if let Some(sweeps) = self.groups.get_mut(&group) {
            sweeps.remove(&key);
            if sweeps.is_empty() {
                self.groups.remove(&group);
            }
        }
    }

    /// The sweep that is served next by a worker whom it suits.
    pub(super) fn next(&self, worker: &Worker) -> Option<SweepKey> {
        let rank = |(group, sweeps): (&Group, &BTreeSet<SweepKey>)| {
            let usage = self.users.get(&group.user).map_or((0, 0), |usage| (usage.slots, usage.latest));
            Some((group.priority, usage, *sweeps.first()?))
        };
        let suits = |(group, _): &(&Group, _)| group.requirement.fits(worker);
        self.groups.iter().filter(suits).filter_map(rank).min().map(|(.., first)| first)
    }

    /// The sweeps that are served before this one whatever their users do: of a higher priority, or of the same user and
    /// older.
    fn ahead(&self, key: SweepKey, of: &Group) -> u64 {
        let ahead = |(group, sweeps): (&Group, &BTreeSet<SweepKey>)| match group {
            group if group.priority < of.priority => sweeps.len(),
            group if group.priority == of.priority && group.user == of.user => sweeps.range(..key).count(),
            _ => 0,
        };
        self.groups.iter().map(ahead).sum::<usize>() as u64
    }
}

impl Scheduler {
    /// Puts a sweep where it belongs. To be called after whatever may have changed what of it can be leased.
    pub(super) fn requeue(&mut self, key: SweepKey) {
        match self.sweeps.get(&key) {
            Some(sweep) if sweep.pending() > 0 => self.queue.put(key, sweep.group()),
            _ => self.queue.remove(key),
        }
    }

    /// A lease begins, and counts for the sweep's user.
    pub(super) fn begin(&mut self, key: LeaseKey, lease: Lease) {
        if let Some(sweep) = self.sweeps.get(&key.sweep) {
            self.queue.grants += 1;
            let usage = self.queue.users.entry(sweep.user.clone()).or_default();
            usage.slots += lease.width();
            usage.latest = self.queue.grants;
        }
        self.leases.insert(key, lease);
    }

    /// A lease ends.
    pub(super) fn end(&mut self, key: LeaseKey) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        if let Some(sweep) = self.sweeps.get(&key.sweep)
            && let Some(usage) = self.queue.users.get_mut(&sweep.user)
        {
            usage.slots = usage.slots.saturating_sub(lease.width());
        }
        Some(lease)
    }

    /// The sweeps that are served before this one.
    pub(super) fn sweeps_ahead(&self, key: SweepKey) -> u64 {
        self.sweeps.get(&key).map_or(0, |sweep| self.queue.ahead(key, &sweep.group()))
    }

    /// Some worker that was told that there is nothing may get something now.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.queue.news)
    }

    /// The sweeps in the queue are just those of which something can be leased, each at its place.
    #[cfg(test)]
    pub(super) fn check_queue(&self) {
        use super::SweepState;
        let ready = self.sweeps.iter().filter(|(_, sweep)| sweep.state == SweepState::Running && sweep.pending() > 0);
        let places: BTreeMap<_, _> = ready.map(|(key, sweep)| (*key, sweep.group())).collect();
        assert_eq!(self.queue.places, places);
        let mut slots = BTreeMap::<User, u64>::new();
        for (key, sweep) in &self.sweeps {
            let held: u64 = self.leases.of_sweep(*key).map(|(_, lease)| lease.width()).sum();
            *slots.entry(sweep.user.clone()).or_default() += held;
        }
        let used = |user: &User| self.queue.users.get(user).map_or(0, |usage| usage.slots);
        assert!(slots.iter().all(|(user, slots)| used(user) == *slots), "{slots:?} {:?}", self.queue.users);
    }
}
