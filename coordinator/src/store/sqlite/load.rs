//! Gives back all sweeps with the state from which a scheduler goes on.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::Fault;
use crate::scheduler::snapshot::{LeaseSnapshot, Reported, SweepSnapshot};
use crate::scheduler::{Points, SweepKey, WorkerId};
use crate::store::chunks::{Blobs, Settled};
use crate::store::encoding::{decode, from_micros, sound, state};
use crate::store::{StoredSweep, SweepEntry};

pub(super) fn sweeps(connection: &Connection) -> Result<Vec<StoredSweep>, Fault> {
    let mut sweeps = Vec::new();
    let mut statement = connection.prepare_cached(include_str!("sql/load_sweeps.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        let (finished, failed) = settled(connection, entry.key)?;
        let mut leases = leases(connection, entry.key)?;
        for (epoch, lease) in &mut leases {
            lease.reported = reported(connection, entry.key, *epoch, &lease.remain)?;
        }
        let state = SweepSnapshot {
            key: entry.key,
            size: entry.size,
            state: state(row.get(7)?)?,
            pause_reason: row.get::<_, Option<String>>(10)?.map(Into::into),
            tripped: row.get(11)?,
            priority: row.get(12)?,
            epoch: row.get(8)?,
            next: row.get(9)?,
            finished,
            failed,
            attempts: attempts(connection, entry.key)?,
            leases,
        };
        sweeps.push(StoredSweep { entry, state: sound(state)? });
    }
    Ok(sweeps)
}

fn entry(row: &Row<'_>) -> Result<SweepEntry, Fault> {
    Ok(SweepEntry {
        key: SweepKey(row.get(0)?),
        id: row.get(1)?,
        request_id: row.get(2)?,
        name: row.get(3)?,
        source: row.get(4)?,
        size: row.get(5)?,
        created: from_micros(row.get(6)?),
        user: row.get(13)?,
    })
}

/// The finished and the failed points of a sweep.
fn settled(connection: &Connection, sweep: SweepKey) -> Result<(Points, Points), Fault> {
    let mut settled = Settled::default();
    let mut statement = connection.prepare_cached(include_str!("sql/load_chunks.sql"))?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        settled.add(row.get(0)?, &Blobs { finished: row.get(1)?, failed: row.get(2)? })?;
    }
    Ok(settled.points())
}

fn attempts(connection: &Connection, sweep: SweepKey) -> Result<BTreeMap<u64, u32>, Fault> {
    let mut statement = connection.prepare_cached(include_str!("sql/load_attempts.sql"))?;
    let rows = statement.query_map([sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The leases of a sweep that are alive, without what was reported of them.
pub(super) fn leases(connection: &Connection, sweep: SweepKey) -> Result<BTreeMap<u64, LeaseSnapshot>, Fault> {
    let mut leases = BTreeMap::new();
    let mut statement = connection.prepare_cached(include_str!("sql/load_leases.sql"))?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let lease = LeaseSnapshot {
            worker: WorkerId(row.get::<_, String>(1)?.into()),
            slots: row.get(2)?,
            granted: decode(&row.get::<_, Vec<u8>>(3)?)?,
            remain: decode(&row.get::<_, Vec<u8>>(4)?)?,
            reported: BTreeMap::new(),
        };
        leases.insert(row.get(0)?, lease);
    }
    Ok(leases)
}

/// What is stored of a lease's records of these points.
pub(super) fn reported(
    connection: &Connection,
    sweep: SweepKey,
    epoch: u64,
    remain: &Points,
) -> Result<BTreeMap<u64, Reported>, Fault> {
    let mut statement = connection.prepare_cached(include_str!("sql/load_reported.sql"))?;
    let bounds = params![sweep.0, epoch, remain.min(), remain.max()];
    let rows = statement
        .query_map(bounds, |row| Ok((row.get(0)?, Reported { records: row.get(1)?, last_step: row.get(2)? })))?;
    let mut reported: BTreeMap<u64, Reported> = rows.collect::<Result<_, _>>()?;
    reported.retain(|point, _| remain.contains(*point));
    Ok(reported)
}
