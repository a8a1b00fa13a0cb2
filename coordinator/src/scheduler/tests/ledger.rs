//! The plainest store there can be. It panics on a change that rests on the past, or that breaks what holds for every
//! sweep: leases never overlap, nothing finishes twice, what is set aside or finished is leased to nobody.

use std::collections::BTreeMap;

use crate::scheduler::snapshot::{LeaseSnapshot, Reported, SweepSnapshot};
use crate::scheduler::{Change, LeaseKey, Points, SweepKey, SweepState};

#[derive(Default)]
pub(crate) struct Ledger {
    sweeps: BTreeMap<SweepKey, SweepSnapshot>,
    changes: Vec<Change>,
    /// Records that are stored, of leases alive or not.
    stored: BTreeMap<LeaseKey, BTreeMap<u64, Reported>>,
}

impl Ledger {
    pub(crate) fn create(&mut self, key: SweepKey, size: u64) {
        let sweep = SweepSnapshot {
            key,
            size,
            state: SweepState::Running,
            pause_reason: None,
            tripped: false,
            priority: 0,
            epoch: 0,
            next: 0,
            finished: Points::new(),
            failed: Points::new(),
            attempts: BTreeMap::new(),
            leases: BTreeMap::new(),
        };
        self.sweeps.insert(key, sweep);
    }

    pub(crate) fn snapshot(&self) -> Vec<SweepSnapshot> {
        self.sweeps.values().cloned().collect()
    }

    /// The changes since this was last asked.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What is stored of a lease's records.
    pub(crate) fn reported(&self, lease: LeaseKey) -> BTreeMap<u64, Reported> {
        self.stored.get(&lease).cloned().unwrap_or_default()
    }

    /// Once an attempt has ended, records of others are forgotten.
    fn forget_other_attempts(&mut self, lease: LeaseKey, point: u64) {
        for (other, records) in &mut self.stored {
            if other.sweep == lease.sweep && *other != lease {
                records.remove(&point);
            }
        }
    }

    fn lease(&mut self, key: LeaseKey) -> &mut LeaseSnapshot {
        let sweep = self.sweeps.get_mut(&key.sweep).unwrap();
        sweep.leases.get_mut(&key.epoch).unwrap_or_else(|| panic!("{key:?} has ended"))
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        self.changes.push(change.clone());
        match change {
            Change::Granted { lease, worker, slots, points, next } => {
                let sweep = self.sweeps.get_mut(&lease.sweep).unwrap();
                assert_eq!(sweep.state, SweepState::Running);
                assert_eq!(sweep.epoch + 1, lease.epoch, "epochs rise by one");
                assert!(!points.is_empty() && points.max() < Some(sweep.size));
                assert!(points.max() < Some(*next) && sweep.next <= *next);
                assert!(points.is_disjoint(&sweep.finished) && points.is_disjoint(&sweep.failed));
                assert!(sweep.leases.values().all(|other| other.remain.is_disjoint(points)), "leases overlap");
                (sweep.epoch, sweep.next) = (lease.epoch, *next);
                let (granted, remain) = (points.clone(), points.clone());
                let reported = BTreeMap::new();
                let lease_state = LeaseSnapshot { worker: worker.clone(), slots: *slots, granted, remain, reported };
                sweep.leases.insert(lease.epoch, lease_state);
            }
            Change::Inherited { lease: key, from, reported } => {
                assert!(*from < key.epoch && !self.sweeps[&key.sweep].leases.contains_key(from), "a lease that lives");
                let lease = self.lease(*key);
                assert!(reported.keys().all(|point| lease.remain.contains(*point)));
                assert!(lease.reported.is_empty());
                lease.reported.clone_from(reported);
                let old = self.stored.entry(LeaseKey { epoch: *from, ..*key }).or_default();
                assert!(reported.iter().all(|(point, of)| old.remove(point) == Some(*of)), "other records are stored");
                self.stored.insert(*key, reported.clone());
            }
            Change::Recorded { lease: key, records } => {
                let lease = self.lease(*key);
                for record in records {
                    assert!(lease.remain.contains(record.point), "a record of a point that is not leased");
                    let before = lease.reported.get(&record.point);
                    assert!(before.is_none_or(|before| before.last_step < record.step), "a record arrives twice");
                    let records = before.map_or(0, |before| before.records) + 1;
                    lease.reported.insert(record.point, Reported { records, last_step: record.step });
                }
                let reported = lease.reported.clone();
                self.stored.entry(*key).or_default().extend(reported);
            }
            Change::Ended { lease: key, finished, setbacks, remain } => {
                let lease = self.lease(*key);
                assert!(remain.is_subset(&lease.remain) && *remain != lease.remain);
                let ended = finished.iter().map(|finish| finish.point).chain(setbacks.iter().map(|back| back.point));
                assert!(ended.clone().all(|point| lease.remain.contains(point) && !remain.contains(point)));
                lease.remain.clone_from(remain);
                ended.for_each(|point| self.forget_other_attempts(*key, point));
                let lease = self.lease(*key);
                lease.reported.retain(|point, _| remain.contains(*point));
                let sweep = self.sweeps.get_mut(&key.sweep).unwrap();
                if remain.is_empty() {
                    sweep.leases.remove(&key.epoch);
                }
                for finish in finished {
                    assert!(sweep.finished.insert(finish.point), "a point finished twice");
                    let before = sweep.attempts.remove(&finish.point).unwrap_or(0);
                    assert_eq!(finish.attempts, before + 1);
                }
                for setback in setbacks {
                    let before = sweep.attempts.remove(&setback.point).unwrap_or(0);
                    assert_eq!(setback.attempts, before + 1);
                    if setback.set_aside {
                        assert!(sweep.failed.insert(setback.point));
                    } else {
                        sweep.attempts.insert(setback.point, setback.attempts);
                    }
                }
            }
            Change::Moved { sweep, from, to, reason } => {
                let sweep = self.sweeps.get_mut(sweep).unwrap();
                assert_eq!(sweep.state, *from);
                assert!(!to.has_ended() || sweep.leases.is_empty());
                assert!(reason.is_none() || *to == SweepState::Paused);
                sweep.state = *to;
                sweep.pause_reason.clone_from(reason);
                sweep.tripped |= reason.is_some();
            }
            Change::Prioritised { sweep, priority } => self.sweeps.get_mut(sweep).unwrap().priority = *priority,
            Change::Retried { sweep } => {
                let sweep = self.sweeps.get_mut(sweep).unwrap();
                sweep.failed.clear();
                sweep.tripped = false;
            }
        }
    }
}
