//! How much of a sweep's records is read and sealed at once.

use std::time::Duration;

use super::SEAL_RECORDS;
use crate::scheduler::Measurement;

/// A segment of so many bytes is full, however few its records. It bounds the memory that sealing takes, and how long deleting
/// the rows holds up other commits, and makes files of some megabytes, which object stores and readers of Parquet like.
const FULL_BYTES: usize = 16 << 20;
/// Of a sweep that has ended, less than this share of a segment stays in the database: small sweeps make no files.
const LEAST_SHARE: usize = 16;
/// How often it is asked what has finished.
const INTERVAL: Duration = Duration::from_secs(2);

/// Rows that are read at once at most: other readers wait for no more.
const BITE_ROWS: usize = 8192;
/// And as many as have about so many bytes.
const BITE_BYTES: usize = 2 << 20;
/// Rows that are read while it is not known how long they are.
const FIRST_BITE: usize = 64;

/// How much is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) full_rows: usize,
    pub(super) full_bytes: usize,
    pub(super) least_rows: usize,
    pub(super) interval: Duration,
}

impl Measure {
    /// Segments of so many records.
    pub(super) fn of(records: u32) -> Self {
        let full_rows = records as usize;
        let least_rows = (full_rows / LEAST_SHARE).max(1);
        Self { full_rows, full_bytes: FULL_BYTES, least_rows, interval: INTERVAL }
    }
}

impl Default for Measure {
    fn default() -> Self {
        Self::of(SEAL_RECORDS)
    }
}

/// How many rows of a sweep are read at once, by what those before them took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bite {
    /// The bytes of a row, of the longest bite.
    row: Option<usize>,
}

impl Bite {
    pub(super) fn rows(self) -> usize {
        self.row.map_or(FIRST_BITE, |bytes| (BITE_BYTES / bytes.max(1)).clamp(1, BITE_ROWS))
    }

    pub(super) fn learn(&mut self, records: &[Measurement]) {
        if !records.is_empty() {
            let row = bytes(records).div_ceil(records.len());
            self.row = Some(self.row.unwrap_or_default().max(row));
        }
    }
}

/// Records of whole points that wait until there are enough of them.
#[derive(Default)]
pub(super) struct Heap {
    pub(super) records: Vec<Measurement>,
    points: u64,
    bytes: usize,
}

impl Heap {
    /// Takes all records of a point.
    pub(super) fn push(&mut self, records: &[Measurement]) {
        self.points += 1;
        self.bytes += bytes(records);
        self.records.extend_from_slice(records);
    }

    fn share(&self, measure: Measure) -> f64 {
        let share = |have: usize, full: usize| have as f64 / full as f64;
        share(self.records.len(), measure.full_rows).max(share(self.bytes, measure.full_bytes))
    }

    pub(super) fn is_full(&self, measure: Measure) -> bool {
        self.share(measure) >= 1.0
    }

    /// About how many more points, of the same kind, make it full; 1 at least.
    pub(super) fn missing(&self, measure: Measure) -> u64 {
        let share = self.share(measure);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of points, saturated")]
        let missing = if share > 0.0 { (self.points as f64 * (1.0 / share - 1.0)).ceil() as u64 } else { 1 };
        missing.max(1)
    }
}

fn bytes(records: &[Measurement]) -> usize {
    records.iter().map(|record| record.payload.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(point: u64, bytes: usize) -> Measurement {
        Measurement { point, step: 0, payload: vec![0; bytes] }
    }

    fn heap(points: u64, bytes: usize) -> Heap {
        let mut heap = Heap::default();
        (0..points).for_each(|point| heap.push(&[record(point, bytes), record(point, bytes)]));
        heap
    }

    #[test]
    fn a_heap_is_full_by_its_rows_or_its_bytes_and_else_knows_about_how_many_points_it_lacks() {
        let measure = Measure { full_rows: 60, full_bytes: 1000, ..Measure::default() };
        assert_eq!((heap(0, 1).is_full(measure), heap(0, 1).missing(measure)), (false, 1));
        assert_eq!((heap(10, 1).is_full(measure), heap(10, 1).missing(measure)), (false, 20));
        assert!(heap(30, 1).is_full(measure));
        assert_eq!((heap(10, 25).is_full(measure), heap(10, 25).missing(measure)), (false, 10));
        assert!(heap(10, 50).is_full(measure));
    }

    #[test]
    fn a_sweep_of_long_records_is_read_a_few_at_a_time() {
        let mut bite = Bite::default();
        assert_eq!(bite.rows(), 64, "nothing is known yet");
        bite.learn(&[]);
        assert_eq!(bite.rows(), 64);
        bite.learn(&[record(0, 100), record(0, 300)]);
        assert_eq!(bite.rows(), 8192);
        bite.learn(&[record(0, 1 << 18), record(0, 1 << 20)]);
        assert_eq!(bite.rows(), 3);
        bite.learn(&[record(0, 100)]);
        assert_eq!(bite.rows(), 3, "some of them are short");
        bite.learn(&[record(0, 1 << 30)]);
        assert_eq!(bite.rows(), 1);
    }

    #[test]
    fn what_is_too_little_for_a_file_goes_with_what_is_enough_for_one() {
        let measure = |records| (Measure::of(records).full_rows, Measure::of(records).least_rows);
        assert_eq!([measure(65_536), measure(320), measure(1)], [(65_536, 4096), (320, 20), (1, 1)]);
    }
}
