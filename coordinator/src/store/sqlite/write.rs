//! Applies a group of writes in one transaction.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{Fault, SqliteStore, segments};
use crate::scheduler::snapshot::Reported;
use crate::scheduler::{Change, Finish, LeaseKey, Measurement, Points, Setback, SweepKey, WorkerId};
use crate::store::chunks::{self, Blobs, Chunks};
use crate::store::encoding::{encode, state_number, to_micros};
use crate::store::{Store, StoreError, SweepEntry, Write, runs};

impl Store for SqliteStore {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        commit(&mut self.connection, writes, to_micros(now)).map_err(|fault| fault.at(&self.path))
    }
}

fn commit(connection: &mut Connection, writes: &[Write], now: i64) -> Result<(), Fault> {
    // Immediate, so that nobody else writes between the guards and what they guard.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let group = Group { connection: &transaction, now };
    let mut chunks = group.read_chunks(writes)?;
    writes.iter().try_for_each(|write| group.apply(write))?;
    chunks.apply(writes);
    group.write_chunks(&chunks)?;
    Ok(transaction.commit()?)
}

/// A transaction under way.
pub(super) struct Group<'a> {
    connection: &'a Connection,
    now: i64,
}

impl Group<'_> {
    fn read_chunks(&self, writes: &[Write]) -> Result<Chunks, Fault> {
        let mut chunks = Chunks::default();
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_chunk.sql"))?;
        for (sweep, number) in chunks::touched(writes) {
            let blobs = |row: &Row<'_>| Ok(Blobs { finished: row.get(0)?, failed: row.get(1)? });
            if let Some(stored) = statement.query_row(params![sweep.0, number], blobs).optional()? {
                chunks.insert((sweep, number), &stored)?;
            }
        }
        Ok(chunks)
    }

    fn write_chunks(&self, chunks: &Chunks) -> Result<(), Fault> {
        for ((sweep, number), Blobs { finished, failed }) in chunks.blobs() {
            self.execute(include_str!("sql/write_chunk.sql"), params![sweep.0, number, finished, failed])?;
        }
        Ok(())
    }

    fn apply(&self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::Create(entry) => self.create(entry),
            Write::Baseline { digest, estimate } => {
                self.execute(include_str!("sql/store_baseline.sql"), params![digest, estimate]).map(drop)
            }
            Write::Content { digest, sweep, point } => {
                self.execute(include_str!("sql/name_content.sql"), params![digest, sweep.0, point]).map(drop)
            }
            Write::Access(change) => self.change_access(change),
            Write::Sealed(segment) => segments::seal(self.connection, segment),
            Write::Schedule(Change::Granted { lease, worker, slots, points, next }) => {
                self.grant(*lease, worker, *slots, points, *next)
            }
            Write::Schedule(Change::Inherited { lease, from, reported }) => self.inherit(*lease, *from, reported),
            Write::Schedule(Change::Recorded { lease, records }) => self.record(*lease, records),
            Write::Schedule(Change::Ended { lease, finished, setbacks, remain }) => {
                self.end(*lease, finished, setbacks, remain)
            }
            Write::Schedule(Change::Moved { sweep, from, to, reason }) => {
                let states = params![sweep.0, state_number(*from), state_number(*to), reason.as_deref()];
                self.expect_one(include_str!("sql/move_sweep.sql"), states, "the sweep is in another state")
            }
            Write::Schedule(Change::Prioritised { sweep, priority }) => {
                let sql = include_str!("sql/prioritise_sweep.sql");
                self.expect_one(sql, params![sweep.0, priority], "there is no such sweep")
            }
            Write::Schedule(Change::Retried { sweep }) => {
                self.execute(include_str!("sql/retry_setbacks.sql"), [sweep.0])?;
                self.execute(include_str!("sql/arm_breaker.sql"), [sweep.0])?;
                self.execute(include_str!("sql/retry_chunks.sql"), params![sweep.0, chunks::nothing()]).map(drop)
            }
        }
    }

    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, Fault> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// Executes a guarded statement, which must change a row.
    pub(super) fn expect_one(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        otherwise: &'static str,
    ) -> Result<(), Fault> {
        if self.execute(sql, params)? == 1 { Ok(()) } else { Err(Fault::Conflict(otherwise)) }
    }

    fn create(&self, entry: &SweepEntry) -> Result<(), Fault> {
        let SweepEntry { key, id, request_id, name, source, size, created, user } = entry;
        let row = params![key.0, id, request_id, name, source, size, to_micros(*created), user];
        self.execute(include_str!("sql/create_sweep.sql"), row).map(drop)
    }

    fn grant(&self, lease: LeaseKey, worker: &WorkerId, slots: u32, points: &Points, next: u64) -> Result<(), Fault> {
        let (sweep, epoch) = (lease.sweep.0, lease.epoch);
        let guard = include_str!("sql/raise_epoch.sql");
        self.expect_one(guard, params![sweep, epoch, next], "the sweep is at another epoch, has ended or is paused")?;
        self.execute(include_str!("sql/name_worker.sql"), [&*worker.0])?;
        let row = params![sweep, epoch, &*worker.0, slots, encode(points), self.now];
        self.execute(include_str!("sql/insert_lease.sql"), row).map(drop)
    }

    /// The holder of a lease that is alive.
    fn holder(&self, lease: LeaseKey) -> Result<i64, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/live_lease.sql"))?;
        let holder = statement.query_row([lease.sweep.0, lease.epoch], |row| row.get(0)).optional()?;
        holder.ok_or(Fault::Conflict("the lease has ended"))
    }

    fn inherit(&self, lease: LeaseKey, from: u64, reported: &BTreeMap<u64, Reported>) -> Result<(), Fault> {
        self.holder(lease)?;
        let mut statement = self.connection.prepare_cached(include_str!("sql/inherit_records.sql"))?;
        for (point, reported) in reported {
            let records = statement.execute(params![lease.sweep.0, point, from, lease.epoch])?;
            if records as u64 != reported.records {
                return Err(Fault::Conflict("records of the lost lease are gone"));
            }
        }
        Ok(())
    }

    fn record(&self, lease: LeaseKey, records: &[Measurement]) -> Result<(), Fault> {
        self.holder(lease)?;
        let mut insert = self.connection.prepare_cached(include_str!("sql/insert_record.sql"))?;
        for Measurement { point, step, payload } in records {
            insert.execute(params![lease.sweep.0, point, lease.epoch, step, payload])?;
        }
        Ok(())
    }

    fn end(&self, lease: LeaseKey, finished: &[Finish], setbacks: &[Setback], remain: &Points) -> Result<(), Fault> {
        let holder = self.holder(lease)?;
        let LeaseKey { sweep, epoch } = lease;
        let mut insert = self.connection.prepare_cached(include_str!("sql/insert_task.sql"))?;
        for Finish { point, attempts } in finished {
            insert.execute(params![sweep.0, point, epoch, attempts, holder, self.now])?;
        }
        for range in runs(finished.iter().map(|finish| finish.point)) {
            self.execute(include_str!("sql/forget_setbacks.sql"), params![sweep.0, range.start(), range.end()])?;
            self.forget_other_attempts(lease, &range)?;
        }
        for setback in setbacks {
            self.set_back(sweep, epoch, holder, setback)?;
            self.forget_other_attempts(lease, &(setback.point..=setback.point))?;
        }
        if remain.is_empty() {
            self.execute(include_str!("sql/end_lease.sql"), [sweep.0, epoch]).map(drop)
        } else {
            self.execute(include_str!("sql/shrink_lease.sql"), params![sweep.0, epoch, encode(remain)]).map(drop)
        }
    }

    fn set_back(&self, sweep: SweepKey, epoch: u64, holder: i64, setback: &Setback) -> Result<(), Fault> {
        let Setback { point, attempts, error, set_aside } = setback;
        let row = params![sweep.0, point, epoch, attempts, holder, error, set_aside];
        self.execute(include_str!("sql/set_back.sql"), row)?;
        let row = params![sweep.0, point, epoch, attempts, holder, error, set_aside, self.now];
        self.execute(include_str!("sql/insert_attempt.sql"), row).map(drop)
    }

    fn forget_other_attempts(&self, lease: LeaseKey, range: &RangeInclusive<u64>) -> Result<(), Fault> {
        let bounds = params![lease.sweep.0, range.start(), range.end(), lease.epoch];
        self.execute(include_str!("sql/forget_other_attempts.sql"), bounds).map(drop)
    }
}
