//! What is durable: sweeps, leases, results, baselines and access tokens.
//!
//! The [`Store`] takes [`Write`]s, whole groups of them in one transaction; they state what was decided, and each names
//! what it rests on (a lease that is alive, the sweep's last epoch, its state). A write that rests on the past is a
//! [`StoreError::Conflict`] and takes its group with it. A [`Reader`] sees all that is committed.
//!
//! Records of finished points may lie in files ([`Segment`]); the store knows which, and [`crate::archive`] reads them.
//!
//! [`writer`] is the thread that gathers groups; [`sqlite`] is the embedded backend, [`postgres`] the one that several
//! coordinators share. What they have in common is beside them: `encoding`, `chunks` and `page`. Every backend passes the
//! suite in `contract`.

mod chunks;
#[cfg(test)]
pub(crate) mod contract;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod garbage;
mod page;
pub mod postgres;
pub mod sqlite;
pub mod writer;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::access::{self, Token};
use crate::results::TaskResult;
use crate::scheduler::snapshot::{Reported, SweepSnapshot};
use crate::scheduler::{Change, LeaseKey, Measurement, Points, Setback, SweepKey};

/// Writes.
pub trait Store: Send + 'static {
    /// Applies all writes in their order, in one transaction that is durable on return; or none of them.
    ///
    /// # Errors
    /// If nothing was written. A conflict, or a full disk, leaves the store usable.
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError>;
}

/// Reads what is committed, beside the store's own transactions.
pub trait Reader: Send + 'static {
    /// All sweeps in the order of their creation, with everything that a scheduler needs to go on.
    ///
    /// # Errors
    /// If the store fails.
    fn sweeps(&mut self) -> Result<Vec<StoredSweep>, StoreError>;

    /// All access tokens in the order of their creation.
    ///
    /// # Errors
    /// If the store fails.
    fn tokens(&mut self) -> Result<Vec<Token>, StoreError>;

    /// Up to `limit` points from `from` on, in order: those that are leased, finished, set aside, or have records. A
    /// point's records are those of the newest attempt that has any.
    ///
    /// # Errors
    /// If the store fails.
    fn results(&mut self, sweep: SweepKey, from: u64, limit: usize) -> Result<Vec<TaskResult>, StoreError>;

    /// What is stored of these points' records under a lease, be it alive or not; of points without records nothing.
    ///
    /// # Errors
    /// If the store fails.
    fn reported(&mut self, lease: LeaseKey, points: &Points) -> Result<BTreeMap<u64, Reported>, StoreError>;

    /// Up to `limit` points that are set aside, in order.
    ///
    /// # Errors
    /// If the store fails.
    fn failures(&mut self, sweep: SweepKey, limit: usize) -> Result<Vec<Setback>, StoreError>;

    /// What became of a point so far; `lease` is that which covers it now, if one does.
    ///
    /// # Errors
    /// If the store fails.
    fn history(&mut self, sweep: SweepKey, point: u64, lease: Option<LeaseKey>) -> Result<History, StoreError>;

    /// All of these points finished under this lease, and of all of those the last bad end was under it.
    ///
    /// # Errors
    /// If the store fails.
    fn ended_under(&mut self, lease: LeaseKey, finished: &[u64], failed: &[u64]) -> Result<bool, StoreError>;

    /// The estimate that is stored under a digest, encoded.
    ///
    /// # Errors
    /// If the store fails.
    fn baseline(&mut self, digest: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// For each digest, the finished point that has its result, if one is known.
    ///
    /// # Errors
    /// If the store fails.
    fn contents(&mut self, digests: &[&str]) -> Result<Vec<Option<(SweepKey, u64)>>, StoreError>;

    /// The segments whose points range over some of these, in the order of their numbers.
    ///
    /// # Errors
    /// If the store fails.
    fn segments(&mut self, sweep: SweepKey, points: RangeInclusive<u64>) -> Result<Vec<Segment>, StoreError>;

    /// The records of finished points, from a point on, that are in no segment: of so many records, whosesoever, that lie
    /// there next, and of the last one's whole point.
    ///
    /// # Errors
    /// If the store fails.
    fn unsealed(&mut self, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, StoreError>;
}

/// A file of the archive: all records of some finished points.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Of which sweep.
    pub sweep: SweepKey,
    /// Its number there, from 1.
    pub number: u64,
    /// What the archive knows it by. No other file has this name, ever.
    pub name: String,
    /// Whose records it holds.
    pub points: Points,
    /// How many they are.
    pub rows: u64,
    /// The file's bytes.
    pub bytes: u64,
    /// Those of them at its end that tell where everything is.
    pub footer: u64,
    /// Their digest.
    pub digest: String,
}

/// Records that can be sealed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsealed {
    /// In the order of points and steps.
    pub records: Vec<Measurement>,
    /// Where to go on; `None` if there are no more.
    pub next: Option<u64>,
}

/// What became of a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Attempts that ended badly, the oldest first. When a person retries the point their numbers begin anew.
    pub attempts: Vec<PastAttempt>,
    /// The attempt that finished it.
    pub finish: Option<PastAttempt>,
    /// When the lease that covers it was granted.
    pub granted: Option<SystemTime>,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who made it.
    pub worker: String,
    /// What ended it; empty if it finished the point.
    pub error: String,
    /// The point was set aside.
    pub set_aside: bool,
    /// When it ended, by the coordinator's clock.
    pub ended: SystemTime,
}

/// Something to be made durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A sweep was created. Rests on its number, id and request id being new.
    Create(SweepEntry),
    /// The scheduler decided.
    Schedule(Change),
    /// Something about access tokens changed.
    Access(access::Change),
    /// A baseline was computed; the first one stays.
    Baseline {
        /// Names it.
        digest: String,
        /// The estimate, encoded.
        estimate: Vec<u8>,
    },
    /// The result of this digest is that of this point, once it has finished.
    Content {
        /// Names the result.
        digest: String,
        /// Of which sweep.
        sweep: SweepKey,
        /// The point, or the shard where points are split.
        point: u64,
    },
    /// Records were written to a file, which is durable: their rows go. Rests on its number being new, its points being
    /// finished, and on there being as many rows.
    Sealed(Segment),
}

/// What never changes of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepEntry {
    /// Its number.
    pub key: SweepKey,
    /// Its name for people and programs.
    pub id: String,
    /// The wish that created it.
    pub request_id: String,
    /// The sweep file's name.
    pub name: String,
    /// The sweep file, resolved.
    pub source: String,
    /// Its number of points.
    pub size: u64,
    /// When it was created: a whole number of microseconds.
    pub created: SystemTime,
    /// Whose it is; empty is nobody in particular.
    pub user: String,
}

/// A sweep as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSweep {
    /// What never changes.
    pub entry: SweepEntry,
    /// What does.
    pub state: SweepSnapshot,
}

/// Why nothing was written or read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// There is no room.
    #[error("the disk of {place} is full; make room, what was acknowledged is safe")]
    Full {
        /// The database: a path, or a URL without its password.
        place: String,
    },
    /// A write rests on the past.
    #[error("the stored state has moved on: {0}")]
    Conflict(&'static str),
    /// The database cannot be read.
    #[error("{place} is damaged: {reason}; restore it from a backup or start with an empty one")]
    Damaged {
        /// The database.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Sealed records cannot be read.
    #[error("the sealed records in {file} cannot be read: {reason}; put the file back, from a backup if need be")]
    Segment {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Anything else.
    #[error("{place} cannot be used: {reason}")]
    Failed {
        /// The database, or the archive.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another coordinator has it.
    #[error("the data folder {} is in use by another coordinator; stop that one or choose another folder", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be created or written.
    #[error("the data folder {} cannot be written", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It was written by a later release.
    #[error("{place} has version {found} and this program knows versions up to {known}; use a newer program")]
    Newer {
        /// The database.
        place: String,
        /// The version of its schema.
        found: i64,
        /// The version of ours.
        known: i64,
    },
    /// The file, or what goes by our name in a database, is someone else's.
    #[error("{place} is not a phasegrid database; choose another place")]
    Foreign {
        /// The database.
        place: String,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a segment is not taken.
const NOT_SEALED: &str = "the records of a segment are not those of finished points, or are sealed already";

/// Joins consecutive points to ranges: neighbours end together, and a statement for all is cheaper than one for each.
fn runs(points: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    for point in points {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == point => *run = *run.start()..=point,
            _ => runs.push(point..=point),
        }
    }
    runs
}
