//! Applies a group of writes in one transaction of two round trips: the first begins it, holds the term, reads the chunks
//! that are touched and does everything else; the second writes the chunks back and commits.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio_postgres::Row;

use super::session::{Connection, Step, Value};
use super::values::{nullable_text, numbers, texts, value};
use super::{Fault, PostgresStore, Term, number, segments, tokens};
use crate::scheduler::snapshot::Reported;
use crate::scheduler::{Change, Finish, LeaseKey, Measurement, Points, Setback, SweepKey, WorkerId};
use crate::store::chunks::{self, Blobs, Chunks};
use crate::store::encoding::{encode, state_number, to_micros};
use crate::store::{Store, StoreError, SweepEntry, Write, runs};

const LEASE_ENDED: &str = "the lease has ended";

impl Store for PostgresStore {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        let Self { session, term } = self;
        let outcome = session.run(async |connection| commit(connection, *term, writes, to_micros(now)).await);
        outcome.map_err(|fault| fault.at(self.session.address()))
    }
}

async fn commit(connection: &mut Connection, term: Term, writes: &[Write], now: i64) -> Result<(), Fault> {
    let mut steps = vec![Step::plain("BEGIN"), term.hold(), read_chunks(writes)];
    writes.iter().for_each(|write| apply(write, now, &mut steps));
    let mut answers = connection.pipeline(&steps).await?;
    let chunks = changed_chunks(&answers.swap_remove(2), writes)?;
    connection.decide(&[write_chunks(&chunks), Step::plain("COMMIT")]).await?;
    Ok(())
}

fn read_chunks(writes: &[Write]) -> Step {
    let touched = chunks::touched(writes);
    let (sweeps, chunks) = (touched.iter().map(|(sweep, _)| sweep.0), touched.iter().map(|(_, number)| *number));
    Step::new(include_str!("sql/read_chunks.sql"), [numbers(sweeps), numbers(chunks)])
}

/// What the writes make of the chunks, as they were before.
fn changed_chunks(rows: &[Row], writes: &[Write]) -> Result<Chunks, Fault> {
    let mut chunks = Chunks::default();
    for row in rows {
        let key = (SweepKey(number(row.try_get(0)?)?), number(row.try_get(1)?)?);
        chunks.insert(key, &Blobs { finished: row.try_get(2)?, failed: row.try_get(3)? })?;
    }
    chunks.apply(writes);
    Ok(chunks)
}

fn write_chunks(chunks: &Chunks) -> Step {
    let (mut keys, mut finished, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (key, blobs) in chunks.blobs() {
        keys.push(key);
        finished.push(blobs.finished);
        failed.push(blobs.failed);
    }
    let sweeps = numbers(keys.iter().map(|(sweep, _)| sweep.0));
    let chunks = numbers(keys.iter().map(|(_, number)| *number));
    Step::new(include_str!("sql/write_chunks.sql"), [sweeps, chunks, Box::new(finished), Box::new(failed)])
}

/// The steps of a write.
fn apply(write: &Write, now: i64, steps: &mut Vec<Step>) {
    match write {
        Write::Create(entry) => steps.push(create(entry)),
        Write::Baseline { digest, estimate } => {
            let row = [value(digest.as_str()), value(estimate.clone())];
            steps.push(Step::new(include_str!("sql/store_baseline.sql"), row));
        }
        Write::Content { digest, sweep, point } => {
            let row = [value(digest.as_str()), value(*sweep), value(*point)];
            steps.push(Step::new(include_str!("sql/name_content.sql"), row));
        }
        Write::Access(change) => tokens::apply(change, steps),
        Write::Sealed(segment) => steps.extend(segments::seal(segment)),
        Write::Schedule(Change::Granted { lease, worker, slots, points, next }) => {
            steps.extend(grant(*lease, worker, *slots, points, *next, now));
        }
        Write::Schedule(Change::Inherited { lease, from, reported }) => steps.push(inherit(*lease, *from, reported)),
        Write::Schedule(Change::Recorded { lease, records }) => steps.push(record(*lease, records)),
        Write::Schedule(Change::Ended { lease, finished, setbacks, remain }) => {
            end(*lease, finished, setbacks, remain, now, steps);
        }
        Write::Schedule(Change::Moved { sweep, from, to, reason }) => {
            let [from, to] = [from, to].map(|state| value(u64::from(state_number(*state))));
            let step = Step::new(
                include_str!("sql/move_sweep.sql"),
                [value(*sweep), from, to, nullable_text(reason.as_deref())],
            );
            steps.push(step.expecting(1, "the sweep is in another state"));
        }
        Write::Schedule(Change::Prioritised { sweep, priority }) => {
            let row = [value(*sweep), value(i64::from(*priority))];
            let step = Step::new(include_str!("sql/prioritise_sweep.sql"), row);
            steps.push(step.expecting(1, "there is no such sweep"));
        }
        Write::Schedule(Change::Retried { sweep }) => {
            steps.push(Step::new(include_str!("sql/retry_setbacks.sql"), [value(*sweep)]));
            steps.push(Step::new(include_str!("sql/arm_breaker.sql"), [value(*sweep)]));
            steps.push(Step::new(include_str!("sql/retry_chunks.sql"), [value(*sweep), value(chunks::nothing())]));
        }
    }
}

fn create(entry: &SweepEntry) -> Step {
    let SweepEntry { key, id, request_id, name, source, size, created, user } = entry;
    let [id, request_id, name, source, user] = [id, request_id, name, source, user].map(|text| value(text.as_str()));
    let row = [value(*key), id, request_id, name, source, value(*size), value(to_micros(*created)), user];
    Step::new(include_str!("sql/create_sweep.sql"), row)
}

fn grant(lease: LeaseKey, worker: &WorkerId, slots: u32, points: &Points, next: u64, now: i64) -> [Step; 3] {
    let LeaseKey { sweep, epoch } = lease;
    let guard = Step::new(include_str!("sql/raise_epoch.sql"), [value(sweep), value(epoch), value(next)]);
    let slots = value(u64::from(slots));
    let row = [value(sweep), value(epoch), value(&*worker.0), slots, value(encode(points)), value(now)];
    [
        guard.expecting(1, "the sweep is at another epoch, has ended or is paused"),
        Step::new(include_str!("sql/name_worker.sql"), [value(&*worker.0)]),
        Step::new(include_str!("sql/insert_lease.sql"), row),
    ]
}

fn inherit(lease: LeaseKey, from: u64, reported: &BTreeMap<u64, Reported>) -> Step {
    let points = numbers(reported.keys().copied());
    let records = numbers(reported.values().map(|reported| reported.records));
    let step = Step::new(
        include_str!("sql/inherit_records.sql"),
        [value(lease.sweep), points, value(from), value(lease.epoch), records],
    );
    step.expecting(reported.len(), "records of the lost lease are gone")
}

fn record(lease: LeaseKey, records: &[Measurement]) -> Step {
    let payloads: Vec<Vec<u8>> = records.iter().map(|record| record.payload.clone()).collect();
    let values = [
        value(lease.sweep),
        value(lease.epoch),
        numbers(records.iter().map(|record| record.point)),
        numbers(records.iter().map(|record| record.step)),
        Box::new(payloads),
    ];
    Step::new(include_str!("sql/insert_records.sql"), values).expecting(1, LEASE_ENDED)
}

fn end(lease: LeaseKey, finished: &[Finish], setbacks: &[Setback], remain: &Points, now: i64, steps: &mut Vec<Step>) {
    let LeaseKey { sweep, epoch } = lease;
    let points = finished.iter().map(|finish| finish.point);
    if !finished.is_empty() {
        let attempts = finished.iter().map(|finish| u64::from(finish.attempts));
        let rows = [value(sweep), value(epoch), numbers(points.clone()), numbers(attempts), value(now)];
        steps.push(Step::new(include_str!("sql/insert_tasks.sql"), rows).expecting(finished.len(), LEASE_ENDED));
        let [first, last] = bounds(points.clone());
        steps.push(Step::new(include_str!("sql/forget_setbacks.sql"), [value(sweep), first, last]));
    }
    if !setbacks.is_empty() {
        steps.extend(set_back(lease, setbacks, now));
    }
    let ended = points.chain(setbacks.iter().map(|setback| setback.point));
    let [first, last] = bounds(ended);
    let others = [value(sweep), first, last, value(epoch)];
    steps.push(Step::new(include_str!("sql/forget_other_attempts.sql"), others));
    let rest = if remain.is_empty() {
        Step::new(include_str!("sql/end_lease.sql"), [value(sweep), value(epoch)])
    } else {
        Step::new(include_str!("sql/shrink_lease.sql"), [value(sweep), value(epoch), value(encode(remain))])
    };
    steps.push(rest.expecting(1, LEASE_ENDED));
}

fn set_back(lease: LeaseKey, setbacks: &[Setback], now: i64) -> [Step; 2] {
    let columns = || {
        let set_aside: Vec<bool> = setbacks.iter().map(|setback| setback.set_aside).collect();
        [
            value(lease.sweep),
            value(lease.epoch),
            numbers(setbacks.iter().map(|setback| setback.point)),
            numbers(setbacks.iter().map(|setback| u64::from(setback.attempts))),
            texts(setbacks.iter().map(|setback| setback.error.as_str())),
            Box::new(set_aside),
        ]
    };
    let [sweep, epoch, points, attempts, errors, set_aside] = columns();
    let remembered = [sweep, epoch, points, attempts, errors, set_aside, value(now)];
    [
        Step::new(include_str!("sql/set_back.sql"), columns()),
        Step::new(include_str!("sql/insert_attempts.sql"), remembered),
    ]
    .map(|step| step.expecting(setbacks.len(), LEASE_ENDED))
}

/// The first and the last points of the runs of these.
pub(super) fn bounds(points: impl Iterator<Item = u64>) -> [Value; 2] {
    let runs = runs(points);
    [numbers(runs.iter().map(|run| *run.start())), numbers(runs.iter().map(|run| *run.end()))]
}
