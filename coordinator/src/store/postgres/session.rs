//! A connection that comes back: one that broke is made anew, and what was asked of it is asked again where that can do no
//! harm. It blocks, on threads that may.
//!
//! Requests travel together: a [`Step`] is a statement with what it must come to, and a pipeline sends all its steps before
//! it waits for the first answer. What a statement costs is then the server's work, and not a round trip.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::maybe_done;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::{Address, Fault};

/// How long it may take to connect. A server that takes a connection and says nothing, or a link that swallows everything, is
/// no reason to wait as long as for a piece of work.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Set for each connection.
const SETTINGS: &str = "\
-- Tables grow from nothing while the plans of prepared statements stay: a plan made for an empty table must not scan a
-- full one.
SET enable_seqscan = off;
SET jit = off;
-- The server gives up before we do: what we believe to have failed must not succeed later.
SET lock_timeout = '1500ms';
SET search_path = phasegrid;
SET synchronous_commit = on";

/// Whom a session keeps waiting if its coordinator dies or stalls in the middle of a transaction, which decides when the server
/// ends that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It holds a term: its successor waits.
    Writing,
    /// Nobody, but the server cannot tidy up behind it. What is read may take a while to digest.
    Reading,
}

impl Purpose {
    fn settings(self) -> &'static str {
        match self {
            Self::Writing => "SET idle_in_transaction_session_timeout = '3s'",
            Self::Reading => "SET idle_in_transaction_session_timeout = '1min'",
        }
    }
}

/// A value for a statement.
pub(super) type Value = Box<dyn ToSql + Send + Sync>;

/// A statement, with its values.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
    pub(super) expected: Option<Expected>,
}

/// What a guarded statement must come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Rows that it changes or answers.
    pub(super) rows: usize,
    /// What is the case if it does not.
    pub(super) otherwise: &'static str,
}

impl Step {
    pub(super) fn new<const N: usize>(sql: &'static str, values: [Value; N]) -> Self {
        Self { sql, values: values.into(), expected: None }
    }

    /// A statement without values.
    pub(super) fn plain(sql: &'static str) -> Self {
        Self::new(sql, [])
    }

    /// A guarded statement.
    pub(super) fn expecting(self, rows: usize, otherwise: &'static str) -> Self {
        Self { expected: Some(Expected { rows, otherwise }), ..self }
    }
}

/// A connection, and how long an answer may take.
#[derive(Debug)]
pub(super) struct Session {
    address: Address,
    purpose: Purpose,
    patience: Duration,
    connection: Option<Connection>,
    // Last: what is connected ends before its runtime.
    runtime: Runtime,
}

/// What is connected.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// The server may have been told to commit.
    deciding: bool,
}

impl Session {
    /// Connects.
    pub(super) fn open(address: &Address, purpose: Purpose, patience: Duration) -> Result<Self, Fault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| unreachable!("a runtime without threads can be made: {error}"));
        let mut session = Self { address: address.clone(), purpose, patience, connection: None, runtime };
        session.run(async |_| Ok(()))?;
        Ok(session)
    }

    /// The same connection for work that may take as long as that.
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Does a piece of work on the connection. Whatever fails leaves no transaction behind.
    ///
    /// That the server is gone shows when something is asked of it: a connection that was used before may have broken long
    /// ago. So the work is begun once more on a new one, unless a commit may have arrived.
    pub(super) fn run<T>(&mut self, work: impl AsyncFn(&mut Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let Self { address, purpose, patience, connection, runtime } = self;
        let attempts = async {
            if let Some(known) = connection {
                match known.attempt(&work).await {
                    Err(fault) if fault.is_of_connection() && !known.deciding => *connection = None,
                    outcome => return outcome,
                }
            }
            let new = tokio::time::timeout(CONNECT_PATIENCE, Connection::new(address, *purpose)).await;
            connection.insert(new.unwrap_or(Err(Fault::Silent))?).attempt(&work).await
        };
        let outcome = runtime.block_on(async { tokio::time::timeout(*patience, attempts).await });
        let outcome = outcome.unwrap_or(Err(Fault::Silent));
        if outcome.as_ref().is_err_and(Fault::is_of_connection) {
            *connection = None;
        }
        outcome
    }
}

impl Connection {
    async fn new(address: &Address, purpose: Purpose) -> Result<Self, Fault> {
        let client = match &address.encryption {
            Some(encryption) => driven(address.config.connect(encryption.connector()).await?),
            None => driven(address.config.connect(NoTls).await?),
        };
        client.batch_execute(SETTINGS).await?;
        client.batch_execute(purpose.settings()).await?;
        Ok(Self { client, statements: HashMap::new(), deciding: false })
    }

    /// Does a piece of work, and rolls back what it leaves behind where it fails.
    async fn attempt<T>(&mut self, work: impl AsyncFn(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.deciding = false;
        let outcome = work(self).await;
        if outcome.as_ref().is_err_and(|fault| !fault.is_of_connection()) {
            self.client.batch_execute("ROLLBACK").await?;
        }
        outcome
    }

    /// For statements that are not worth preparing.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends all steps, and returns the answers. The first that fails, or does not come to what it must, fails them all.
    pub(super) async fn pipeline(&mut self, steps: &[Step]) -> Result<Vec<Vec<Row>>, Fault> {
        self.prepare(steps).await?;
        let requests = steps.iter().map(|step| {
            let request: Pin<Box<dyn Future<Output = _>>> = Box::pin(self.request(step));
            request
        });
        let mut answers = Vec::with_capacity(steps.len());
        for (answer, step) in together(requests.collect()).await.into_iter().zip(steps) {
            let (rows, affected) = answer?;
            if let Some(expected) = step.expected.filter(|expected| expected.rows as u64 != affected) {
                return Err(Fault::Conflict(expected.otherwise));
            }
            answers.push(rows);
        }
        Ok(answers)
    }

    /// The same of the steps that end a transaction. If the answer is lost nobody knows whether it was committed.
    pub(super) async fn decide(&mut self, steps: &[Step]) -> Result<Vec<Vec<Row>>, Fault> {
        self.prepare(steps).await?;
        self.deciding = true;
        self.pipeline(steps).await
    }

    /// Prepares those of the statements that were not yet.
    async fn prepare(&mut self, steps: &[Step]) -> Result<(), Fault> {
        let mut new: Vec<_> =
            steps.iter().map(|step| step.sql).filter(|sql| !self.statements.contains_key(sql)).collect();
        new.sort_unstable();
        new.dedup();
        let requests = new.iter().map(|sql| {
            let request: Pin<Box<dyn Future<Output = _>>> = Box::pin(self.client.prepare(sql));
            request
        });
        let prepared = together(requests.collect()).await;
        for (sql, statement) in new.into_iter().zip(prepared) {
            self.statements.insert(sql, statement?);
        }
        Ok(())
    }

    /// The rows that a statement answers, and how many it answers or changes.
    async fn request(&self, step: &Step) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
        let statement = &self.statements[step.sql];
        let values = step.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        let mut rows = pin!(self.client.query_raw(statement, values).await?);
        let mut answered = Vec::new();
        while let Some(row) = rows.try_next().await? {
            answered.push(row);
        }
        Ok((answered, rows.rows_affected().unwrap_or_default()))
    }
}

/// The client of a connection that is kept going. How that ends shows in whatever is asked next.
fn driven<S, T>((client, connection): (Client, tokio_postgres::Connection<S, T>)) -> Client
where
    tokio_postgres::Connection<S, T>: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(async { drop(connection.await) });
    client
}

/// Starts all requests in their order, which is what sends them, and then waits for one after the other.
async fn together<T>(requests: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let mut requests: Vec<_> = requests.into_iter().map(|request| Box::pin(maybe_done(request))).collect();
    poll_fn(|context| {
        for request in &mut requests {
            let _ = request.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    let mut answers = Vec::with_capacity(requests.len());
    for request in &mut requests {
        request.as_mut().await;
        answers.extend(request.as_mut().take_output());
    }
    answers
}
