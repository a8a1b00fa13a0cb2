//! The database, as the real store keeps it in memory, and beside it the [`Ledger`], which says what may be written: the
//! oracle of all that is durable. The coordinator may crash; a disk stays. It may be full for a while, and a commit may
//! fail before or after it is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use phasegrid_proto::v1;
use prost::Message as _;

use super::bugs::Bug;
use super::chance::Chance;
use super::worker::Origin;
use crate::access::Token;
use crate::results::TaskResult;
use crate::scheduler::snapshot::{Reported, SweepSnapshot};
use crate::scheduler::tests::ledger::Ledger;
use crate::scheduler::{Change, LeaseKey, Measurement, Points, Setback, SweepKey, SweepState};
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::{History, Reader, Segment, Store, StoreError, StoredSweep, Unsealed, Write};

static DISKS: AtomicU64 = AtomicU64::new(0);

/// Of every thousand commits fail so many: not written at all, and written although it is said that they were not.
pub(super) struct Faults {
    pub(super) full: bool,
    pub(super) unwritten: u64,
    pub(super) unsaid: u64,
}

pub(super) struct Disk {
    store: SqliteStore,
    reader: SqliteReader,
    chance: Chance,
    pub(super) faults: Faults,
    pub(super) bug: Option<Bug>,
    /// What a store that is not honest has said to be written and has not.
    pub(super) owed: Vec<Write>,
    pub(super) truth: Truth,
}

/// All that was ever written.
#[derive(Default)]
pub(super) struct Truth {
    ledger: Ledger,
    ids: BTreeMap<String, SweepKey>,
    /// Each with its worker's slots, and its points.
    granted: BTreeMap<LeaseKey, (u64, Points)>,
    /// The epochs of the leases under which what reclaimed ones cover was begun.
    begun: BTreeMap<LeaseKey, u64>,
    records: BTreeSet<(LeaseKey, u64, u64)>,
    finished: BTreeMap<(SweepKey, u64), u64>,
    set_back: BTreeSet<(LeaseKey, u64)>,
    /// What workers did, whoever knows of it.
    pub(super) started: BTreeSet<(LeaseKey, u64)>,
    /// Where the result of each digest is, or will be.
    contents: BTreeMap<String, (SweepKey, u64)>,
    pub(super) reached: Reached,
}

/// How often things came to pass that take much to come to pass. Where one never does, nothing is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    /// Records that were taken over from another sweep.
    pub(super) recalled: u64,
    /// Records that went on under another lease.
    pub(super) inherited: u64,
    /// Leases that workers got back, and points that they ceded.
    pub(super) reclaimed: u64,
    pub(super) ceded: u64,
}

impl AddAssign for Reached {
    fn add_assign(&mut self, other: Self) {
        self.recalled += other.recalled;
        self.inherited += other.inherited;
        self.reclaimed += other.reclaimed;
        self.ceded += other.ceded;
    }
}

/// The disk as the coordinator has it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let (store, reader) = SqliteStore::in_memory(&format!("simulation-{}", DISKS.fetch_add(1, Ordering::Relaxed)));
        let faults = Faults { full: false, unwritten: 0, unsaid: 0 };
        let (chance, truth) = (Chance::new(!seed), Truth::default());
        Self(Arc::new(Mutex::new(Disk { store, reader, chance, faults, bug, owed: Vec::new(), truth })))
    }

    pub(super) fn get(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        let failed = |reason: &str| Err(StoreError::Failed { place: "disk".into(), reason: reason.to_owned() });
        if self.faults.full {
            return Err(StoreError::Full { place: "disk".into() });
        }
        if self.chance.permille(self.faults.unwritten) {
            return failed("fsync");
        }
        self.write(writes, now)?;
        if self.chance.permille(self.faults.unsaid) { failed("fsync, and yet it is there") } else { Ok(()) }
    }

    /// Really writes. One coordinator at a time, which went back to what is stored after each failure, decides nothing
    /// that the store must refuse.
    pub(super) fn write(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        let outcome = self.store.commit(writes, now);
        assert_eq!(outcome, Ok(()), "what was decided does not rest on what is stored: {writes:?}");
        writes.iter().for_each(|write| self.truth.take_in(write));
        Ok(())
    }

    /// What the database holds is what was written.
    pub(super) fn check(&mut self) {
        let stored: Vec<_> = self.reader.sweeps().unwrap().into_iter().map(|sweep| sweep.state).collect();
        assert_eq!(
            stored,
            self.truth.ledger.snapshot(),
            "the database holds what was not written, or not all that was"
        );
    }

    pub(super) fn results(&mut self, sweep: SweepKey) -> Vec<TaskResult> {
        self.reader.results(sweep, 0, 10_000).unwrap()
    }
}

impl Truth {
    fn take_in(&mut self, write: &Write) {
        match write {
            Write::Create(entry) => {
                self.ids.insert(entry.id.clone(), entry.key);
                self.ledger.create(entry.key, entry.size);
            }
            Write::Schedule(change) => self.apply(change),
            Write::Content { digest, sweep, point } => {
                self.contents.entry(digest.clone()).or_insert((*sweep, *point));
            }
            Write::Baseline { .. } | Write::Access(_) | Write::Sealed(_) => {}
        }
    }

    fn apply(&mut self, change: &Change) {
        self.ledger.apply(change);
        match change {
            Change::Granted { lease, slots, points, .. } => {
                let granted = self.granted.insert(*lease, (u64::from(*slots), points.clone()));
                assert_eq!(granted, None, "an epoch is granted twice");
            }
            Change::Inherited { lease, from, reported } => self.inherit(*lease, *from, reported),
            Change::Recorded { lease, records } => {
                records.iter().for_each(|record| self.assert_true(*lease, record));
                self.records.extend(records.iter().map(|record| (*lease, record.point, record.step)));
            }
            Change::Ended { lease, finished, setbacks, .. } => {
                self.finished.extend(finished.iter().map(|finish| ((lease.sweep, finish.point), lease.epoch)));
                self.set_back.extend(setbacks.iter().map(|setback| (*lease, setback.point)));
                // Which points a worker that is gone had started is known but for its slots: see the README's limits.
                let unmade = setbacks.iter().filter(|setback| !self.started.contains(&(*lease, setback.point))).count();
                assert!(unmade as u64 <= self.granted[lease].0, "attempts count that {lease:?} never made");
            }
            Change::Moved { sweep, to: SweepState::Completed, .. } => {
                let state = self.sweep(*sweep);
                assert_eq!(state.finished.len() + state.failed.len(), state.size, "a sweep ends before its points");
            }
            _ => {}
        }
    }

    /// A worker goes on under another lease: all of its points were started, and these records are there.
    fn inherit(&mut self, lease: LeaseKey, from: u64, reported: &BTreeMap<u64, Reported>) {
        let lost = LeaseKey { epoch: from, ..lease };
        self.begun.insert(lease, self.begun_by(lost));
        self.started.extend(self.granted[&lease].1.iter().map(|point| (lease, point)));
        for (&point, reported) in reported {
            let of = self.records.range((lost, point, 0)..=(lost, point, u64::MAX)).map(|(.., step)| *step);
            let steps: Vec<_> = of.collect();
            assert_eq!((steps.len() as u64, steps.last().copied()), (reported.records, Some(reported.last_step)));
            self.reached.inherited += steps.len() as u64;
            self.records.extend(steps.into_iter().map(|step| (lease, point, step)));
        }
    }

    /// A record is of the attempt under whose lease it is, or it was taken over from another sweep's point that had finished.
    fn assert_true(&mut self, lease: LeaseKey, record: &Measurement) {
        let origin = Origin::of(&v1::Record::decode(&*record.payload).expect("a record"));
        let expected = if origin.sweep == lease.sweep {
            self.begun_by(lease)
        } else {
            self.reached.recalled += 1;
            assert!(self.finished.contains_key(&(origin.sweep, record.point)), "{origin:?} is no result: {record:?}");
            self.finished_by(origin.sweep, record.point)
        };
        assert_eq!(origin.epoch, expected, "{record:?} under {lease:?}");
    }

    fn begun_by(&self, lease: LeaseKey) -> u64 {
        self.begun.get(&lease).copied().unwrap_or(lease.epoch)
    }

    pub(super) fn sweeps(&self) -> Vec<SweepSnapshot> {
        self.ledger.snapshot()
    }

    fn sweep(&self, key: SweepKey) -> SweepSnapshot {
        self.sweeps().into_iter().find(|sweep| sweep.key == key).expect("it was created")
    }

    pub(super) fn key(&self, id: &str) -> Option<SweepKey> {
        self.ids.get(id).copied()
    }

    /// The lease that a token names.
    pub(super) fn lease(&self, token: &str) -> LeaseKey {
        let (id, epoch) = token.rsplit_once('.').expect("a token");
        LeaseKey { sweep: self.ids[id], epoch: epoch.parse().expect("an epoch") }
    }

    pub(super) fn assert_granted(&self, lease: LeaseKey) {
        assert!(self.granted.contains_key(&lease), "{lease:?} was given out and is not stored");
    }

    pub(super) fn assert_recorded(&self, lease: LeaseKey, point: u64, step: u64) {
        let stored = self.records.contains(&(lease, point, step));
        assert!(stored, "the record of point {point} at step {step} was acknowledged to {lease:?} and is not stored");
    }

    pub(super) fn assert_finished(&self, lease: LeaseKey, point: u64) {
        let by = self.finished.get(&(lease.sweep, point));
        assert_eq!(by, Some(&lease.epoch), "point {point} was acknowledged as finished to {lease:?}");
    }

    pub(super) fn assert_set_back(&self, lease: LeaseKey, point: u64) {
        assert!(self.set_back.contains(&(lease, point)), "the failure of {point} was acknowledged and is not stored");
    }

    /// The epoch under which the attempt began that finished a point.
    pub(super) fn finished_by(&self, sweep: SweepKey, point: u64) -> u64 {
        self.begun_by(LeaseKey { sweep, epoch: self.finished[&(sweep, point)] })
    }
}

impl Store for Shared {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        let mut disk = self.get();
        match disk.bug {
            Some(bug) => bug.commit(&mut disk, writes, now, |disk, writes| disk.commit(writes, now)),
            None => disk.commit(writes, now),
        }
    }
}

impl Reader for Shared {
    fn sweeps(&mut self) -> Result<Vec<StoredSweep>, StoreError> {
        let mut disk = self.get();
        disk.check();
        let mut sweeps = disk.reader.sweeps()?;
        if let Some(bug) = disk.bug {
            sweeps.iter_mut().for_each(|sweep| bug.load(&mut sweep.state));
        }
        Ok(sweeps)
    }

    fn results(&mut self, sweep: SweepKey, from: u64, limit: usize) -> Result<Vec<TaskResult>, StoreError> {
        self.get().reader.results(sweep, from, limit)
    }

    fn reported(&mut self, lease: LeaseKey, points: &Points) -> Result<BTreeMap<u64, Reported>, StoreError> {
        self.get().reader.reported(lease, points)
    }

    fn failures(&mut self, sweep: SweepKey, limit: usize) -> Result<Vec<Setback>, StoreError> {
        self.get().reader.failures(sweep, limit)
    }

    fn ended_under(&mut self, lease: LeaseKey, finished: &[u64], failed: &[u64]) -> Result<bool, StoreError> {
        self.get().reader.ended_under(lease, finished, failed)
    }

    fn baseline(&mut self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get().reader.baseline(digest)
    }

    fn contents(&mut self, digests: &[&str]) -> Result<Vec<Option<(SweepKey, u64)>>, StoreError> {
        let mut disk = self.get();
        if disk.bug == Some(Bug::RecalledUnfinished) {
            return Ok(digests.iter().map(|digest| disk.truth.contents.get(*digest).copied()).collect());
        }
        disk.reader.contents(digests)
    }

    fn history(&mut self, sweep: SweepKey, point: u64, lease: Option<LeaseKey>) -> Result<History, StoreError> {
        self.get().reader.history(sweep, point, lease)
    }

    fn tokens(&mut self) -> Result<Vec<Token>, StoreError> {
        self.get().reader.tokens()
    }

    fn segments(&mut self, sweep: SweepKey, points: RangeInclusive<u64>) -> Result<Vec<Segment>, StoreError> {
        self.get().reader.segments(sweep, points)
    }

    fn unsealed(&mut self, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, StoreError> {
        self.get().reader.unsealed(sweep, from, records)
    }
}
