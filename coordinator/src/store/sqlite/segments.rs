//! Sealed records: which files hold them, and which records may still be sealed.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, params};

use super::Fault;
use crate::scheduler::{Measurement, SweepKey};
use crate::store::encoding::{decode, encode};
use crate::store::{NOT_SEALED, Segment, Unsealed, runs};

/// Names the file, and deletes the rows that are in it.
pub(super) fn seal(connection: &Connection, segment: &Segment) -> Result<(), Fault> {
    let Segment { sweep, number, name, points, rows, bytes, footer, digest } = segment;
    let (first, last) = (points.min().unwrap_or_default(), points.max().unwrap_or_default());
    let row = params![sweep.0, number, name, first, last, encode(points), rows, bytes, footer, digest];
    connection.prepare_cached(include_str!("sql/insert_segment.sql"))?.execute(row)?;
    let mut delete = connection.prepare_cached(include_str!("sql/seal_records.sql"))?;
    let mut deleted = 0;
    for run in runs(points.iter()) {
        deleted += delete.execute(params![sweep.0, run.start(), run.end()])?;
    }
    if deleted as u64 == *rows { Ok(()) } else { Err(Fault::Conflict(NOT_SEALED)) }
}

pub(super) fn of(
    connection: &Connection,
    sweep: SweepKey,
    points: &RangeInclusive<u64>,
) -> Result<Vec<Segment>, Fault> {
    let mut statement = connection.prepare_cached(include_str!("sql/read_segments.sql"))?;
    let mut rows = statement.query(params![sweep.0, signed(*points.start()), signed(*points.end())])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        segments.push(Segment {
            sweep,
            number: row.get(0)?,
            name: row.get(1)?,
            points: decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?,
            rows: row.get(3)?,
            bytes: row.get(4)?,
            footer: row.get(5)?,
            digest: row.get(6)?,
        });
    }
    Ok(segments)
}

pub(super) fn unsealed(connection: &Connection, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, Fault> {
    let mut statement = connection.prepare_cached(include_str!("sql/find_nth_record.sql"))?;
    let last = statement.query_row(params![sweep.0, from, records], |row| row.get::<_, i64>(0)).optional()?;
    let mut statement = connection.prepare_cached(include_str!("sql/read_unsealed.sql"))?;
    let rows = statement.query_map(params![sweep.0, from, last.unwrap_or(i64::MAX)], |row| {
        Ok(Measurement { point: row.get(0)?, step: row.get(1)?, payload: row.get(2)? })
    })?;
    Ok(Unsealed { records: rows.collect::<Result<_, _>>()?, next: last.map(|last| last.cast_unsigned() + 1) })
}

/// A point as the database has it; there are none beyond.
fn signed(point: u64) -> i64 {
    i64::try_from(point).unwrap_or(i64::MAX)
}
