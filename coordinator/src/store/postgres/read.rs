//! Answers questions. Every answer is of one moment: it is read in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::slice;

use phasegrid_proto::v1;
use tokio_postgres::Row;

use super::load::{self, leased, leases_of, reported_of};
use super::session::{Connection, Step};
use super::values::{numbers, texts, value};
use super::{Fault, PostgresReader, number, segments, small, tokens};
use crate::access::Token;
use crate::results::TaskResult;
use crate::scheduler::snapshot::Reported;
use crate::scheduler::{LeaseKey, Points, Setback, SweepKey};
use crate::store::encoding::from_micros;
use crate::store::page::{self, Known, LastSetback, Newest, Wanted};
use crate::store::{History, PastAttempt, Reader, Segment, StoreError, StoredSweep, Unsealed, runs};

impl PostgresReader {
    /// Asks within a transaction.
    fn ask<T>(&mut self, question: impl AsyncFn(&mut Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let answer = self.session.run(async |connection| {
            connection.pipeline(&[Step::plain("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")]).await?;
            let answer = question(connection).await?;
            connection.pipeline(&[Step::plain("COMMIT")]).await?;
            Ok(answer)
        });
        answer.map_err(|fault| fault.at(self.session.address()))
    }

    /// Asks something that one statement answers.
    fn ask_once<T>(&mut self, step: Step, read: impl FnOnce(Vec<Row>) -> Result<T, Fault>) -> Result<T, StoreError> {
        let step = slice::from_ref(&step);
        let rows = self.session.run(async |connection| Ok(connection.pipeline(step).await?.concat()));
        rows.and_then(read).map_err(|fault| fault.at(self.session.address()))
    }
}

impl Reader for PostgresReader {
    fn sweeps(&mut self) -> Result<Vec<StoredSweep>, StoreError> {
        self.ask_once(Step::plain(include_str!("sql/settle.sql")), |_| Ok(()))?;
        self.ask(load::sweeps)
    }

    fn tokens(&mut self) -> Result<Vec<Token>, StoreError> {
        self.ask_once(tokens::all(), |rows| rows.iter().map(tokens::token).collect())
    }

    fn results(&mut self, sweep: SweepKey, from: u64, limit: usize) -> Result<Vec<TaskResult>, StoreError> {
        let wanted = Wanted { from, limit };
        let Found { mut known, points, records, setbacks } =
            self.ask(async |connection| page(connection, sweep, wanted).await)?;
        // Decoding many records takes a while, and the transaction has ended before.
        let page = newest(&records, wanted).map(|records| {
            known.records = records;
            known.page(points, setbacks)
        });
        page.map_err(|fault| fault.at(self.session.address()))
    }

    fn reported(&mut self, lease: LeaseKey, points: &Points) -> Result<BTreeMap<u64, Reported>, StoreError> {
        // Points of a claim may lie far apart.
        let step = reported_of(runs(points.iter()).into_iter().map(|run| (lease, run)));
        self.ask_once(step, |rows| {
            let reported = rows.iter().map(|row| load::reported(row).map(|(_, point, reported)| (point, reported)));
            reported.collect()
        })
    }

    fn failures(&mut self, sweep: SweepKey, limit: usize) -> Result<Vec<Setback>, StoreError> {
        let step = Step::new(include_str!("sql/read_failures.sql"), [value(sweep.0), value(limit as u64)]);
        self.ask_once(step, |rows| {
            let failure = |row: &Row| {
                let (point, attempts) = (number(row.try_get(0)?)?, small(row.try_get(1)?)?);
                Ok(Setback { point, attempts, error: row.try_get(2)?, set_aside: true })
            };
            rows.iter().map(failure).collect()
        })
    }

    fn history(&mut self, sweep: SweepKey, point: u64, lease: Option<LeaseKey>) -> Result<History, StoreError> {
        self.ask(async |connection| history(connection, sweep, point, lease).await)
    }

    fn ended_under(&mut self, lease: LeaseKey, finished: &[u64], failed: &[u64]) -> Result<bool, StoreError> {
        let column = |points: &[u64]| numbers(points.iter().copied());
        let values = [value(lease.sweep.0), value(lease.epoch), column(finished), column(failed)];
        let step = Step::new(include_str!("sql/ended_under.sql"), values);
        self.ask_once(step, |rows| rows.first().map_or(Ok(false), |row| Ok(row.try_get(0)?)))
    }

    fn baseline(&mut self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let step = Step::new(include_str!("sql/read_baseline.sql"), [value(digest)]);
        self.ask_once(step, |rows| rows.first().map(|row| Ok(row.try_get(0)?)).transpose())
    }

    fn contents(&mut self, digests: &[&str]) -> Result<Vec<Option<(SweepKey, u64)>>, StoreError> {
        let step = Step::new(include_str!("sql/find_contents.sql"), [texts(digests.iter().copied())]);
        self.ask_once(step, |rows| {
            let place = |row: &Row| {
                let place = (SweepKey(number(row.try_get(1)?)?), number(row.try_get(2)?)?);
                Ok((row.try_get::<_, String>(0)?, place))
            };
            let places = rows.iter().map(place).collect::<Result<HashMap<_, _>, Fault>>()?;
            Ok(digests.iter().map(|digest| places.get(*digest).copied()).collect())
        })
    }

    fn segments(&mut self, sweep: SweepKey, points: RangeInclusive<u64>) -> Result<Vec<Segment>, StoreError> {
        self.ask_once(segments::of(sweep, &points), |rows| {
            rows.iter().map(|row| segments::segment(sweep, row)).collect()
        })
    }

    fn unsealed(&mut self, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, StoreError> {
        self.ask(async |connection| segments::unsealed(connection, sweep, from, records).await)
    }
}

async fn history(
    connection: &mut Connection,
    sweep: SweepKey,
    point: u64,
    lease: Option<LeaseKey>,
) -> Result<History, Fault> {
    let of_point = |sql| Step::new(sql, [value(sweep), value(point)]);
    // No lease has the epoch 0.
    let epoch = lease.map_or(0, |lease| lease.epoch);
    let steps = vec![
        of_point(include_str!("sql/read_attempts.sql")),
        of_point(include_str!("sql/read_finish.sql")),
        Step::new(include_str!("sql/read_grant_time.sql"), [value(sweep), value(epoch)]),
    ];
    let answers = connection.pipeline(&steps).await?;
    let [attempts, finish, granted] = &answers[..] else { unreachable!("each step is answered") };
    let attempt = |row: &Row| {
        let (attempt, worker, error) = (small(row.try_get(0)?)?, row.try_get(1)?, row.try_get(2)?);
        let (set_aside, ended) = (row.try_get(3)?, from_micros(row.try_get(4)?));
        Ok(PastAttempt { attempt, worker, error, set_aside, ended })
    };
    let finish = finish.first().map(|row| {
        let (attempt, worker, error) = (small(row.try_get(0)?)?, row.try_get(1)?, String::new());
        Ok::<_, Fault>(PastAttempt { attempt, worker, error, set_aside: false, ended: from_micros(row.try_get(2)?) })
    });
    Ok(History {
        attempts: attempts.iter().map(attempt).collect::<Result<_, Fault>>()?,
        finish: finish.transpose()?,
        granted: granted.first().map(|row| row.try_get(0)).transpose()?.map(from_micros),
    })
}

/// What a page is made of.
#[derive(Debug)]
struct Found {
    /// Without the records themselves.
    known: Known,
    points: Vec<u64>,
    records: Vec<Row>,
    setbacks: BTreeMap<u64, LastSetback>,
}

/// Within a transaction.
async fn page(connection: &mut Connection, sweep: SweepKey, wanted: Wanted) -> Result<Found, Fault> {
    let first = |sql| Step::new(sql, [value(sweep.0), value(wanted.from), value(wanted.limit as u64)]);
    let steps = vec![
        first(include_str!("sql/read_tasks.sql")),
        first(include_str!("sql/read_failed.sql")),
        first(include_str!("sql/read_records.sql")),
        leases_of(Some(sweep)),
    ];
    let answers = <[_; 4]>::try_from(connection.pipeline(&steps).await?);
    let Ok([tasks, failed, records, leases]) = answers else { unreachable!("each step is answered") };
    let recorded = |row: &Row| Ok((number(row.try_get(0)?)?, Vec::new()));
    let known = Known {
        wanted,
        finished: finished(&tasks)?,
        leased: page::leased(leased(&leases)?.values(), wanted),
        failed: failed.iter().map(|row| Ok(number(row.try_get(0)?)?)).collect::<Result<BTreeSet<_>, Fault>>()?,
        records: records.iter().map(recorded).collect::<Result<_, Fault>>()?,
    };
    let points = known.points();
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return Ok(Found { known, points, records, setbacks: BTreeMap::new() });
    };
    let between = [value(sweep.0), value(first), value(last)];
    let rows = connection.pipeline(&[Step::new(include_str!("sql/read_setbacks.sql"), between)]).await?;
    Ok(Found { known, points, records, setbacks: setbacks(&rows.concat())? })
}

fn finished(rows: &[Row]) -> Result<BTreeMap<u64, (u32, String)>, Fault> {
    let task = |row: &Row| Ok((number(row.try_get(0)?)?, (small(row.try_get(1)?)?, row.try_get(2)?)));
    rows.iter().map(task).collect()
}

fn newest(rows: &[Row], wanted: Wanted) -> Result<BTreeMap<u64, Vec<v1::Record>>, Fault> {
    let mut newest = Newest::new(wanted);
    for row in rows {
        newest.push(number(row.try_get(0)?)?, number(row.try_get(1)?)?, row.try_get(2)?)?;
    }
    Ok(newest.records())
}

fn setbacks(rows: &[Row]) -> Result<BTreeMap<u64, LastSetback>, Fault> {
    let setback = |row: &Row| {
        let (attempts, worker) = (small(row.try_get(1)?)?, row.try_get(2)?);
        let last = LastSetback { attempts, worker, error: row.try_get(3)?, set_aside: row.try_get(4)? };
        Ok((number(row.try_get(0)?)?, last))
    };
    rows.iter().map(setback).collect()
}
