//! Sealed records: which files hold them, and which records may still be sealed.

use std::ops::RangeInclusive;

use tokio_postgres::Row;

use super::session::{Connection, Step};
use super::values::value;
use super::write::bounds;
use super::{Fault, number};
use crate::scheduler::{Measurement, SweepKey};
use crate::store::encoding::{decode, encode};
use crate::store::{NOT_SEALED, Segment, Unsealed};

/// Names the file, and deletes the rows that are in it.
pub(super) fn seal(segment: &Segment) -> [Step; 2] {
    let Segment { sweep, number, name, points, rows, bytes, footer, digest } = segment;
    let [first, last] = [points.min(), points.max()].map(|point| value(point.unwrap_or_default()));
    let (name, points_blob, digest) = (value(name.as_str()), value(encode(points)), value(digest.as_str()));
    let [rows_value, bytes, footer] = [rows, bytes, footer].map(|count| value(*count));
    let row = [value(*sweep), value(*number), name, first, last, points_blob, rows_value, bytes, footer, digest];
    let [first, last] = bounds(points.iter());
    let delete = Step::new(include_str!("sql/seal_records.sql"), [value(*sweep), first, last]);
    let count = usize::try_from(*rows).unwrap_or(usize::MAX);
    [Step::new(include_str!("sql/insert_segment.sql"), row), delete.expecting(count, NOT_SEALED)]
}

pub(super) fn of(sweep: SweepKey, points: &RangeInclusive<u64>) -> Step {
    let values = [value(sweep), value(*points.start()), value(*points.end())];
    Step::new(include_str!("sql/read_segments.sql"), values)
}

pub(super) fn segment(sweep: SweepKey, row: &Row) -> Result<Segment, Fault> {
    Ok(Segment {
        sweep,
        number: number(row.try_get(0)?)?,
        name: row.try_get(1)?,
        points: decode(row.try_get(2)?)?,
        rows: number(row.try_get(3)?)?,
        bytes: number(row.try_get(4)?)?,
        footer: number(row.try_get(5)?)?,
        digest: row.try_get(6)?,
    })
}

/// Within a transaction.
pub(super) async fn unsealed(
    connection: &mut Connection,
    sweep: SweepKey,
    from: u64,
    records: usize,
) -> Result<Unsealed, Fault> {
    let nth = [value(sweep), value(from), value(records as u64)];
    let answers = connection.pipeline(&[Step::new(include_str!("sql/find_nth_record.sql"), nth)]).await?;
    let last = answers.concat().first().map(|row| Ok::<_, Fault>(number(row.try_get(0)?)?)).transpose()?;
    let between = [value(sweep), value(from), value(last.unwrap_or(u64::MAX))];
    let answers = connection.pipeline(&[Step::new(include_str!("sql/read_unsealed.sql"), between)]).await?;
    let record = |row: &Row| {
        let (point, step) = (number(row.try_get(0)?)?, number(row.try_get(1)?)?);
        Ok(Measurement { point, step, payload: row.try_get(2)? })
    };
    let records = answers.concat().iter().map(record).collect::<Result<_, Fault>>()?;
    Ok(Unsealed { records, next: last.map(|last| last + 1) })
}
