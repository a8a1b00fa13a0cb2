//! Answers questions about results. Every answer is of one moment: it is read in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use phasegrid_proto::v1;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Fault, SqliteReader, load, segments, tokens};
use crate::access::Token;
use crate::results::TaskResult;
use crate::scheduler::snapshot::Reported;
use crate::scheduler::{LeaseKey, Points, Setback, SweepKey};
use crate::store::encoding::from_micros;
use crate::store::page::{self, Known, LastSetback, Newest, Wanted};
use crate::store::{History, PastAttempt, Reader, Segment, StoreError, StoredSweep, Unsealed, runs};

impl SqliteReader {
    fn ask<T>(&mut self, question: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let answer = self.connection.transaction().map_err(Fault::from).and_then(|moment| question(&moment));
        answer.map_err(|fault| fault.at(&self.path))
    }
}

impl Reader for SqliteReader {
    fn sweeps(&mut self) -> Result<Vec<StoredSweep>, StoreError> {
        self.ask(load::sweeps)
    }

    fn tokens(&mut self) -> Result<Vec<Token>, StoreError> {
        self.ask(tokens::load)
    }

    fn results(&mut self, sweep: SweepKey, from: u64, limit: usize) -> Result<Vec<TaskResult>, StoreError> {
        self.ask(|connection| Question { connection, sweep, wanted: Wanted { from, limit } }.page())
    }

    fn reported(&mut self, lease: LeaseKey, points: &Points) -> Result<BTreeMap<u64, Reported>, StoreError> {
        // Points of a claim may lie far apart.
        self.ask(|connection| {
            let mut reported = BTreeMap::new();
            for run in runs(points.iter()) {
                reported.append(&mut load::reported(connection, lease.sweep, lease.epoch, &run.collect())?);
            }
            Ok(reported)
        })
    }

    fn failures(&mut self, sweep: SweepKey, limit: usize) -> Result<Vec<Setback>, StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/read_failures.sql"))?;
            let rows = statement.query_map(params![sweep.0, limit], |row| {
                Ok(Setback { point: row.get(0)?, attempts: row.get(1)?, error: row.get(2)?, set_aside: true })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn history(&mut self, sweep: SweepKey, point: u64, lease: Option<LeaseKey>) -> Result<History, StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/read_attempts.sql"))?;
            let attempts = statement.query_map(params![sweep.0, point], |row| {
                let (attempt, worker, error) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(PastAttempt { attempt, worker, error, set_aside: row.get(3)?, ended: from_micros(row.get(4)?) })
            })?;
            let attempts = attempts.collect::<Result<_, _>>()?;
            let mut statement = connection.prepare_cached(include_str!("sql/read_finish.sql"))?;
            let finish = statement.query_row(params![sweep.0, point], |row| {
                let (attempt, worker, error) = (row.get(0)?, row.get(1)?, String::new());
                Ok(PastAttempt { attempt, worker, error, set_aside: false, ended: from_micros(row.get(2)?) })
            });
            let mut statement = connection.prepare_cached(include_str!("sql/read_grant_time.sql"))?;
            let granted = lease.map(|lease| {
                statement.query_row([lease.sweep.0, lease.epoch], |row| Ok(from_micros(row.get(0)?))).optional()
            });
            Ok(History { attempts, finish: finish.optional()?, granted: granted.transpose()?.flatten() })
        })
    }

    fn ended_under(&mut self, lease: LeaseKey, finished: &[u64], failed: &[u64]) -> Result<bool, StoreError> {
        self.ask(|connection| {
            // A lost lease set its points back as well: only a finished task shows that the records counted.
            let questions =
                [(include_str!("sql/finished_under.sql"), finished), (include_str!("sql/failed_under.sql"), failed)];
            for (sql, points) in questions {
                let mut statement = connection.prepare_cached(sql)?;
                for point in points {
                    if !statement.exists(params![lease.sweep.0, lease.epoch, point])? {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })
    }

    fn baseline(&mut self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/read_baseline.sql"))?;
            Ok(statement.query_row([digest], |row| row.get(0)).optional()?)
        })
    }

    fn contents(&mut self, digests: &[&str]) -> Result<Vec<Option<(SweepKey, u64)>>, StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/find_content.sql"))?;
            let mut place = |digest: &&str| {
                statement.query_row([digest], |row| Ok((SweepKey(row.get(0)?), row.get(1)?))).optional()
            };
            Ok(digests.iter().map(&mut place).collect::<Result<_, _>>()?)
        })
    }

    fn segments(&mut self, sweep: SweepKey, points: RangeInclusive<u64>) -> Result<Vec<Segment>, StoreError> {
        self.ask(|connection| segments::of(connection, sweep, &points))
    }

    fn unsealed(&mut self, sweep: SweepKey, from: u64, records: usize) -> Result<Unsealed, StoreError> {
        self.ask(|connection| segments::unsealed(connection, sweep, from, records))
    }
}

/// A question for results.
struct Question<'a> {
    connection: &'a Connection,
    sweep: SweepKey,
    wanted: Wanted,
}

impl Question<'_> {
    fn page(&self) -> Result<Vec<TaskResult>, Fault> {
        let leases = load::leases(self.connection, self.sweep)?;
        let finished = self.finished()?;
        let known = Known {
            wanted: self.wanted,
            leased: page::leased(leases.values(), self.wanted),
            failed: self.failed()?,
            records: self.records(self.end(&finished))?,
            finished,
        };
        let points = known.points();
        let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return Ok(Vec::new()) };
        Ok(known.page(points, self.setbacks(first, last)?))
    }

    fn finished(&self) -> Result<BTreeMap<u64, (u32, String)>, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_tasks.sql"))?;
        let bounds = params![self.sweep.0, self.wanted.from, self.wanted.limit];
        let rows = statement.query_map(bounds, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The page does not go beyond as many finished points: what lies further on is not wanted.
    fn end(&self, finished: &BTreeMap<u64, (u32, String)>) -> i64 {
        let full = finished.len() == self.wanted.limit;
        let last = finished.keys().next_back().filter(|_| full);
        last.and_then(|last| i64::try_from(*last).ok()).unwrap_or(i64::MAX)
    }

    fn failed(&self) -> Result<BTreeSet<u64>, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_failed.sql"))?;
        let bounds = params![self.sweep.0, self.wanted.from, self.wanted.limit];
        let rows = statement.query_map(bounds, |row| row.get::<_, u64>(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn records(&self, end: i64) -> Result<BTreeMap<u64, Vec<v1::Record>>, Fault> {
        let mut newest = Newest::new(self.wanted);
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_records.sql"))?;
        let mut rows = statement.query(params![self.sweep.0, self.wanted.from, end])?;
        while let Some(row) = rows.next()? {
            let payload = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            if !newest.push(row.get(0)?, row.get(1)?, payload)? {
                break;
            }
        }
        Ok(newest.records())
    }

    fn setbacks(&self, first: u64, last: u64) -> Result<BTreeMap<u64, LastSetback>, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_setbacks.sql"))?;
        let rows = statement.query_map(params![self.sweep.0, first, last], |row| {
            let (attempts, worker, error, set_aside) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((row.get(0)?, LastSetback { attempts, worker, error, set_aside }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
