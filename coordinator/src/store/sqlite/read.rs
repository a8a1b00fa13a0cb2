//! Answers questions about results. Every answer is of one moment: it is read in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use phasegrid_proto::v1;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Fault, SqliteReader, from_micros, load, tokens};
use crate::access::Token;
use crate::results::{TaskResult, TaskState};
use crate::scheduler::{LeaseKey, Points, Setback, SweepKey};
use crate::store::{History, PastAttempt, Reader, StoreError, StoredSweep};

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
        self.ask(|connection| Page { connection, sweep, from, limit }.read())
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
}

/// A question for results.
struct Page<'a> {
    connection: &'a Connection,
    sweep: SweepKey,
    from: u64,
    limit: usize,
}

impl Page<'_> {
    fn read(&self) -> Result<Vec<TaskResult>, Fault> {
        let mut finished = self.finished()?;
        let mut leased = self.leased()?;
        let mut records = self.records()?;
        // Each list has the first points of its kind, as many as the page has at most: so the first of all are among them.
        let known: BTreeSet<u64> =
            finished.keys().chain(leased.keys()).chain(records.keys()).copied().chain(self.failed()?).collect();
        let page: Vec<u64> = known.into_iter().take(self.limit).collect();
        let (Some(&first), Some(&last)) = (page.first(), page.last()) else { return Ok(Vec::new()) };
        let mut setbacks = self.setbacks(first, last)?;

        let result = |point| {
            let setback = setbacks.remove(&point);
            let base = TaskResult {
                point,
                state: TaskState::Unfinished,
                attempts: 1,
                worker: String::new(),
                error: None,
                records: records.remove(&point).map(|(_, records)| records).unwrap_or_default(),
            };
            if let Some((attempts, worker)) = finished.remove(&point) {
                return TaskResult { state: TaskState::Finished, attempts, worker, ..base };
            }
            let state = TaskState::Leased;
            match (leased.remove(&point), setback) {
                (Some(worker), None) => TaskResult { state, worker, ..base },
                (Some(worker), Some(last)) => {
                    TaskResult { state, worker, attempts: last.attempts + 1, error: Some(last.error), ..base }
                }
                (None, Some(last)) => TaskResult {
                    state: if last.set_aside { TaskState::Failed } else { TaskState::Unfinished },
                    attempts: last.attempts,
                    worker: last.worker,
                    error: Some(last.error),
                    ..base
                },
                (None, None) => base,
            }
        };
        Ok(page.into_iter().map(result).collect())
    }

    fn finished(&self) -> Result<BTreeMap<u64, (u32, String)>, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_tasks.sql"))?;
        let bounds = params![self.sweep.0, self.from, self.limit];
        let rows = statement.query_map(bounds, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn leased(&self) -> Result<BTreeMap<u64, String>, Fault> {
        let mut leased = BTreeMap::new();
        for (_, lease) in load::leases(self.connection, self.sweep)? {
            let mut points = lease.remain;
            points.remove_range(..self.from);
            leased.extend(points.iter().take(self.limit).map(|point| (point, lease.worker.to_string())));
        }
        Ok(leased)
    }

    fn failed(&self) -> Result<Points, Fault> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_failed.sql"))?;
        let rows = statement.query_map(params![self.sweep.0, self.from, self.limit], |row| row.get::<_, u64>(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// By point, the records of the newest attempt that has any, with its epoch.
    fn records(&self) -> Result<BTreeMap<u64, (u64, Vec<v1::Record>)>, Fault> {
        let mut records: BTreeMap<u64, (u64, Vec<v1::Record>)> = BTreeMap::new();
        let mut statement = self.connection.prepare_cached(include_str!("sql/read_records.sql"))?;
        let mut rows = statement.query(params![self.sweep.0, self.from])?;
        while let Some(row) = rows.next()? {
            let (point, epoch) = (row.get(0)?, row.get(1)?);
            if records.len() == self.limit && !records.contains_key(&point) {
                break;
            }
            let record = v1::Record::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)
                .map_err(|error| Fault::Encoding(format!("a record of point {point}: {error}")))?;
            let (newest, attempt) = records.entry(point).or_default();
            if *newest != epoch {
                (*newest, *attempt) = (epoch, Vec::new());
            }
            attempt.push(record);
        }
        Ok(records)
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

struct LastSetback {
    attempts: u32,
    worker: String,
    error: String,
    set_aside: bool,
}
