//! A page of results, put together from what is known of points: who finished them, who holds them, what went wrong, what
//! was measured. Backends look these up; what they mean together is the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use phasegrid_proto::v1;

use super::encoding::{Unreadable, decode_record};
use crate::results::{TaskResult, TaskState};
use crate::scheduler::Points;
use crate::scheduler::snapshot::LeaseSnapshot;

/// What is asked for: up to `limit` points, from `from` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) from: u64,
    pub(super) limit: usize,
}

/// Of each kind the first points that are wanted, as many as the page has at most: so the first of all are among them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) wanted: Wanted,
    /// Finished points, with the number of the attempt and who made it.
    pub(super) finished: BTreeMap<u64, (u32, String)>,
    /// Leased points, and who holds them.
    pub(super) leased: BTreeMap<u64, String>,
    /// Points that are set aside.
    pub(super) failed: BTreeSet<u64>,
    /// What was measured.
    pub(super) records: BTreeMap<u64, Vec<v1::Record>>,
}

/// The last bad end of a point.
#[derive(Debug)]
pub(super) struct LastSetback {
    pub(super) attempts: u32,
    pub(super) worker: String,
    pub(super) error: String,
    pub(super) set_aside: bool,
}

impl Known {
    /// The points of the page, in order.
    pub(super) fn points(&self) -> Vec<u64> {
        let kinds = self.finished.keys().chain(self.leased.keys()).chain(self.records.keys()).chain(&self.failed);
        kinds.copied().collect::<BTreeSet<_>>().into_iter().take(self.wanted.limit).collect()
    }

    /// The page of these points, given the setbacks that any of them has.
    pub(super) fn page(mut self, points: Vec<u64>, mut setbacks: BTreeMap<u64, LastSetback>) -> Vec<TaskResult> {
        let result = |point| {
            let setback = setbacks.remove(&point);
            let base = TaskResult {
                point,
                state: TaskState::Unfinished,
                attempts: 1,
                worker: String::new(),
                error: None,
                records: self.records.remove(&point).unwrap_or_default(),
            };
            if let Some((attempts, worker)) = self.finished.remove(&point) {
                return TaskResult { state: TaskState::Finished, attempts, worker, ..base };
            }
            let state = TaskState::Leased;
            match (self.leased.remove(&point), setback) {
                (Some(worker), None) => TaskResult { state, worker, ..base },
                (Some(worker), Some(last)) => {
                    TaskResult { state, worker, attempts: last.attempts + 1, error: Some(last.error), ..base }
                }
                (None, Some(last)) => TaskResult {
                    state: if last.set_aside { TaskState::Failed } else { TaskState::Unfinished },
                    attempts: last.attempts,
                    worker: last.worker,
                    error: Some(last.error),
                    ..base
                },
                (None, None) => base,
            }
        };
        points.into_iter().map(result).collect()
    }
}

/// The leased points that are wanted, and who holds them.
pub(super) fn leased<'a>(leases: impl IntoIterator<Item = &'a LeaseSnapshot>, wanted: Wanted) -> BTreeMap<u64, String> {
    let mut leased = BTreeMap::new();
    for lease in leases {
        let mut points: Points = lease.remain.clone();
        points.remove_range(..wanted.from);
        leased.extend(points.iter().take(wanted.limit).map(|point| (point, lease.worker.to_string())));
    }
    leased
}

/// Gathers records that come in the order of points, attempts and steps: of each point those of the newest attempt that has
/// any.
#[derive(Debug)]
pub(super) struct Newest {
    limit: usize,
    attempts: BTreeMap<u64, (u64, Vec<v1::Record>)>,
}

impl Newest {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { limit: wanted.limit, attempts: BTreeMap::new() }
    }

    /// Takes the next record; says whether more are wanted.
    pub(super) fn push(&mut self, point: u64, epoch: u64, payload: &[u8]) -> Result<bool, Unreadable> {
        if self.attempts.len() == self.limit && !self.attempts.contains_key(&point) {
            return Ok(false);
        }
        let record = decode_record(point, payload)?;
        let (newest, attempt) = self.attempts.entry(point).or_default();
        if *newest != epoch {
            (*newest, *attempt) = (epoch, Vec::new());
        }
        attempt.push(record);
        Ok(true)
    }

    pub(super) fn records(self) -> BTreeMap<u64, Vec<v1::Record>> {
        self.attempts.into_iter().map(|(point, (_, records))| (point, records)).collect()
    }
}
