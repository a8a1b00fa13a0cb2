//! A reader of the store that sees sealed records as if they were rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use phasegrid_proto::v1;
use tokio::runtime::{Builder, Handle};

use super::{Archive, Footer, Row};
use crate::access::Token;
use crate::results::{TaskResult, TaskState};
use crate::scheduler::snapshot::Reported;
use crate::scheduler::{LeaseKey, Points, Setback, SweepKey};
use crate::store::{History, Reader, Segment, StoreError, StoredSweep, Unsealed};

/// Footers that are kept. One takes some hundred kilobytes.
const FOOTERS: usize = 64;

/// A reader, and the archive in which it looks for what is no row any more. It blocks, on threads that may.
#[derive(Debug)]
pub struct SealedReader<R> {
    rows: R,
    archive: Option<Archive>,
    /// Of the segments that were read last, by sweep and number; the one that was read longest ago comes first.
    footers: VecDeque<(SegmentKey, Arc<Footer>)>,
    /// The row group that was read last: the next page, or the next point that is looked up, often begins in it.
    last: Option<Part>,
}

/// A segment's sweep, and its number there.
type SegmentKey = (SweepKey, u64);

/// A row group that was read.
#[derive(Debug)]
struct Part {
    of: SegmentKey,
    number: usize,
    rows: Vec<Row>,
}

/// Records by point.
type Records = BTreeMap<u64, Vec<v1::Record>>;

impl<R: Reader> SealedReader<R> {
    /// Looks there.
    pub fn new(rows: R, archive: Option<Archive>) -> Self {
        Self { rows, archive, footers: VecDeque::new(), last: None }
    }

    /// The sealed records of these points.
    fn sealed(&mut self, sweep: SweepKey, points: &BTreeSet<u64>) -> Result<Records, StoreError> {
        let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return Ok(Records::new()) };
        let mut records = Records::new();
        for segment in self.rows.segments(sweep, first..=last)? {
            let own: BTreeSet<u64> = points.iter().copied().filter(|point| segment.points.contains(*point)).collect();
            if !own.is_empty() {
                records.append(&mut self.of_segment(&segment, &own)?);
            }
        }
        Ok(records)
    }

    fn of_segment(&mut self, segment: &Segment, points: &BTreeSet<u64>) -> Result<Records, StoreError> {
        let archive = self.archive.clone().ok_or_else(|| StoreError::Segment {
            file: segment.name.clone(),
            reason: "there is no archive here; let the setting `archive` name the place that has it".to_owned(),
        })?;
        let footer = self.footer(&archive, segment)?;
        let mut records = Records::new();
        let mut parts = self.parts(&archive, segment, &footer, points)?;
        // The last one is kept for the next page. Of the others nothing is needed any more.
        let last = parts.pop();
        let mut keep = |point: u64, record: v1::Record| records.entry(point).or_default().push(record);
        for Row { point, record } in parts.into_iter().flat_map(|part| part.rows) {
            if points.contains(&point) {
                keep(point, record);
            }
        }
        for Row { point, record } in last.iter().flat_map(|part| &part.rows) {
            if points.contains(point) {
                keep(*point, record.clone());
            }
        }
        self.last = last.or(self.last.take());
        match points.iter().find(|point| !records.contains_key(point)) {
            Some(point) => Err(archive.damaged(segment, &format!("it has no records of point {point}"))),
            None => Ok(records),
        }
    }

    /// The row groups with these points, in order.
    fn parts(
        &mut self,
        archive: &Archive,
        segment: &Segment,
        footer: &Footer,
        points: &BTreeSet<u64>,
    ) -> Result<Vec<Part>, StoreError> {
        let of = (segment.sweep, segment.number);
        let wanted = |number: usize| points.range(footer.groups[number].points.clone()).next().is_some();
        let mut parts: Vec<Part> = self.last.take_if(|last| last.of == of && wanted(last.number)).into_iter().collect();
        let known = parts.first().map(|part| part.number);
        let missing = (0..footer.groups.len()).filter(|number| wanted(*number) && Some(*number) != known);
        let missing: Vec<usize> = missing.collect();
        let read = wait(archive.groups(segment, footer, &missing))?;
        parts.extend(missing.into_iter().zip(read).map(|(number, rows)| Part { of, number, rows }));
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    fn footer(&mut self, archive: &Archive, segment: &Segment) -> Result<Arc<Footer>, StoreError> {
        let key = (segment.sweep, segment.number);
        let known = self.footers.iter().position(|(of, _)| *of == key);
        let footer = match known.and_then(|place| self.footers.remove(place)) {
            Some((_, footer)) => footer,
            None => Arc::new(wait(archive.footer(segment))?),
        };
        if self.footers.len() == FOOTERS {
            self.footers.pop_front();
        }
        self.footers.push_back((key, Arc::clone(&footer)));
        Ok(footer)
    }
}

/// Waits for an answer, on the runtime that there is or one for the purpose.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    match Handle::try_current() {
        Ok(runtime) => runtime.block_on(answer),
        Err(_) => {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime
                .unwrap_or_else(|error| unreachable!("a runtime without threads can be made: {error}"))
                .block_on(answer)
        }
    }
}

impl<R: Reader> Reader for SealedReader<R> {
    fn results(&mut self, sweep: SweepKey, from: u64, limit: usize) -> Result<Vec<TaskResult>, StoreError> {
        let mut page = self.rows.results(sweep, from, limit)?;
        // What has no rows now was sealed before, so that its segment is named already.
        let sealed = page.iter().filter(|result| result.state == TaskState::Finished && result.records.is_empty());
        let mut records = self.sealed(sweep, &sealed.map(|result| result.point).collect())?;
        for result in &mut page {
            if let Some(records) = records.remove(&result.point) {
                result.records = records;
            }
        }
        Ok(page)
    }

    fn sweeps(&mut self) -> Result<Vec<StoredSweep>, StoreError> {
        self.rows.sweeps()
    }

    fn tokens(&mut self) -> Result<Vec<Token>, StoreError> {
        self.rows.tokens()
    }

    fn reported(&mut self, lease: LeaseKey, points: &Points) -> Result<BTreeMap<u64, Reported>, StoreError> {
        self.rows.reported(lease, points)
    }

    fn failures(&mut self, sweep: SweepKey, limit: usize) -> Result<Vec<Setback>, StoreError> {
        self.rows.failures(sweep, limit)
    }

    fn history(&mut self, sweep: SweepKey, point: u64, lease: Option<LeaseKey>) -> Result<History, StoreError> {
        self.rows.history(sweep, point, lease)
    }

    fn ended_under(&mut self, lease: LeaseKey, finished: &[u64], failed: &[u64]) -> Result<bool, StoreError> {
        self.rows.ended_under(lease, finished, failed)
    }

    fn baseline(&mut self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.baseline(digest)
    }

    fn contents(&mut self, digests: &[&str]) -> Result<Vec<Option<(SweepKey, u64)>>, StoreError> {
        self.rows.contents(digests)
    }

    fn segments(&mut self, sweep: SweepKey, points: RangeInclusive<u64>) -> Result<Vec<Segment>, StoreError> {
        self.rows.segments(sweep, points)
    }

    fn unsealed(&mut self, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, StoreError> {
        self.rows.unsealed(sweep, from, records)
    }
}
