//! Gives back all sweeps with the state from which a scheduler goes on.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tokio_postgres::Row;

use super::session::{Connection, Step};
use super::values::numbers;
use super::{Fault, int, number, small};
use crate::scheduler::snapshot::{LeaseSnapshot, Reported, SweepSnapshot};
use crate::scheduler::{LeaseKey, Points, SweepKey, WorkerId};
use crate::store::chunks::{Blobs, Settled};
use crate::store::encoding::{Unreadable, decode, from_micros, sound, state};
use crate::store::{StoredSweep, SweepEntry};

/// All sweeps, within a transaction.
pub(super) async fn sweeps(connection: &mut Connection) -> Result<Vec<StoredSweep>, Fault> {
    let steps = vec![
        Step::plain(include_str!("sql/load_sweeps.sql")),
        Step::plain(include_str!("sql/load_chunks.sql")),
        Step::plain(include_str!("sql/load_attempts.sql")),
        leases_of(None),
    ];
    let answers = connection.pipeline(&steps).await?;
    let [rows, chunks, attempts, leases] = &answers[..] else { unreachable!("each step is answered") };
    let (mut settled, mut attempts) = (settled(chunks)?, by_sweep_and_point(attempts)?);
    let mut leases = leased(leases)?;
    for row in &connection
        .pipeline(&[reported_of(leases.iter().map(|(key, lease)| (*key, bounds(&lease.remain))))])
        .await?
        .concat()
    {
        add_reported(row, &mut leases)?;
    }
    let mut sweeps = Vec::with_capacity(rows.len());
    for row in rows {
        let entry = entry(row)?;
        let (finished, failed) = settled.remove(&entry.key).unwrap_or_default().points();
        let later = leases.split_off(&LeaseKey { sweep: SweepKey(entry.key.0 + 1), epoch: 0 });
        let own = std::mem::replace(&mut leases, later);
        let state = SweepSnapshot {
            key: entry.key,
            size: entry.size,
            state: state(row.try_get(7)?)?,
            pause_reason: row.try_get::<_, Option<String>>(10)?.map(Into::into),
            tripped: row.try_get(11)?,
            priority: priority(row.try_get(12)?)?,
            epoch: number(row.try_get(8)?)?,
            next: number(row.try_get(9)?)?,
            finished,
            failed,
            attempts: attempts.remove(&entry.key).unwrap_or_default(),
            leases: own.into_iter().map(|(key, lease)| (key.epoch, lease)).collect(),
        };
        sweeps.push(StoredSweep { entry, state: sound(state)? });
    }
    Ok(sweeps)
}

fn key(row: &Row) -> Result<SweepKey, Fault> {
    Ok(SweepKey(number(row.try_get(0)?)?))
}

fn entry(row: &Row) -> Result<SweepEntry, Fault> {
    Ok(SweepEntry {
        key: key(row)?,
        id: row.try_get(1)?,
        request_id: row.try_get(2)?,
        name: row.try_get(3)?,
        source: row.try_get(4)?,
        size: number(row.try_get(5)?)?,
        created: from_micros(row.try_get(6)?),
        user: row.try_get(13)?,
    })
}

fn priority(stored: i64) -> Result<i32, Unreadable> {
    i32::try_from(stored).map_err(|_| Unreadable(format!("a priority is {stored}, which is out of range")))
}

fn settled(rows: &[Row]) -> Result<BTreeMap<SweepKey, Settled>, Fault> {
    let mut settled: BTreeMap<_, Settled> = BTreeMap::new();
    for row in rows {
        let stored = Blobs { finished: row.try_get(2)?, failed: row.try_get(3)? };
        settled.entry(key(row)?).or_default().add(number(row.try_get(1)?)?, &stored)?;
    }
    Ok(settled)
}

fn by_sweep_and_point(rows: &[Row]) -> Result<BTreeMap<SweepKey, BTreeMap<u64, u32>>, Fault> {
    let mut attempts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows {
        attempts.entry(key(row)?).or_default().insert(number(row.try_get(1)?)?, small(row.try_get(2)?)?);
    }
    Ok(attempts)
}

/// Asks for the leases that are alive, of one sweep or of all.
pub(super) fn leases_of(sweep: Option<SweepKey>) -> Step {
    let sweep = sweep.map(|sweep| int(sweep.0));
    Step::new(include_str!("sql/load_leases.sql"), [Box::new(sweep)])
}

/// The leases that are alive, without what was reported of them.
pub(super) fn leased(rows: &[Row]) -> Result<BTreeMap<LeaseKey, LeaseSnapshot>, Fault> {
    let mut leases = BTreeMap::new();
    for row in rows {
        let lease = LeaseSnapshot {
            worker: WorkerId(row.try_get::<_, String>(2)?.into()),
            slots: small(row.try_get(3)?)?,
            granted: decode(row.try_get(4)?)?,
            remain: decode(row.try_get(5)?)?,
            reported: BTreeMap::new(),
        };
        leases.insert(LeaseKey { sweep: key(row)?, epoch: number(row.try_get(1)?)? }, lease);
    }
    Ok(leases)
}

fn bounds(points: &Points) -> RangeInclusive<u64> {
    points.min().unwrap_or_default()..=points.max().unwrap_or_default()
}

/// Points of a lease, from a first to a last.
type Stretch = (LeaseKey, RangeInclusive<u64>);

/// Asks what is stored of the records of points under leases.
pub(super) fn reported_of(stretches: impl IntoIterator<Item = Stretch>) -> Step {
    let stretches: Vec<_> = stretches.into_iter().collect();
    let column = |number: &dyn Fn(&Stretch) -> u64| numbers(stretches.iter().map(number));
    let columns = [
        column(&|(key, _)| key.sweep.0),
        column(&|(key, _)| key.epoch),
        column(&|(_, points)| *points.start()),
        column(&|(_, points)| *points.end()),
    ];
    Step::new(include_str!("sql/load_reported.sql"), columns)
}

/// What is stored of a point under a lease.
pub(super) fn reported(row: &Row) -> Result<(LeaseKey, u64, Reported), Fault> {
    let lease = LeaseKey { sweep: key(row)?, epoch: number(row.try_get(1)?)? };
    let reported = Reported { records: number(row.try_get(3)?)?, last_step: number(row.try_get(4)?)? };
    Ok((lease, number(row.try_get(2)?)?, reported))
}

fn add_reported(row: &Row, leases: &mut BTreeMap<LeaseKey, LeaseSnapshot>) -> Result<(), Fault> {
    let (key, point, reported) = reported(row)?;
    let lease = leases.get_mut(&key).ok_or_else(|| Unreadable("records of a lease that is not there".to_owned()))?;
    if lease.remain.contains(point) {
        lease.reported.insert(point, reported);
    }
    Ok(())
}
