//! Finds out whether a database can be used, brings its schema up to date, or says in one sentence why not.

use std::time::Duration;

use tokio_postgres::Client;

use super::leadership::{Claim, Term};
use super::session::{Connection, Purpose, Session};
use super::{Address, Fault, PostgresReader, PostgresStore};
use crate::store::{OpenError, StoreError};

/// What made the schema what it is, step by step. A database of version n has taken the first n steps. A step that was
/// released is never changed: what comes later is a step of its own.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("sql/migrations/0001_sweeps.sql"),
    include_str!("sql/migrations/0002_tokens.sql"),
    include_str!("sql/migrations/0003_operations.sql"),
    include_str!("sql/migrations/0004_contents.sql"),
    include_str!("sql/migrations/0005_segments.sql"),
];

/// Held while the schema is looked at and changed, so that coordinators that start together do it one after the other:
/// "phgr".
pub(super) const MIGRATION_LOCK: i64 = 0x7068_6772;

/// How long the database may take for a piece of work.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a look at the schema: a coordinator that stands by looks at it again and again, and one that is told to stop waits for
/// the answer.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);
/// For a change of the schema, which may have to wait for that of another coordinator.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(3600);
/// And for a word on who leads: longer than the server waits for a lock.
const CLAIM_PATIENCE: Duration = Duration::from_secs(2);

/// A database whose schema is up to date.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) address: Address,
}

impl Database {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// If the database cannot be used; nothing was changed then.
    pub fn open(address: &Address) -> Result<Self, OpenError> {
        Self::open_within(LOOK_PATIENCE, address)
    }

    /// The same, where it takes no longer than that to see that nothing is to be done.
    pub(super) fn open_within(patience: Duration, address: &Address) -> Result<Self, OpenError> {
        let at = |fault: Fault| OpenError::Store(fault.at(address));
        let mut session = Session::open(address, Purpose::Writing, patience).map_err(at)?;
        if session.run(async |connection| is_up_to_date(connection.client()).await).map_err(at)? {
            return Ok(Self { address: address.clone() });
        }
        let mut session = session.with_patience(MIGRATION_PATIENCE);
        match session.run(async |connection| migrate(connection, MIGRATIONS).await).map_err(at)? {
            Found::Ours => Ok(Self { address: address.clone() }),
            Found::Foreign => Err(OpenError::Foreign { place: format!("the schema phasegrid in {address}") }),
            Found::Newer(found) => {
                Err(OpenError::Newer { place: address.to_string(), found, known: version(MIGRATIONS) })
            }
        }
    }

    /// A claim to lead, on a connection of its own.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub fn claim(&self) -> Result<Claim, StoreError> {
        Claim::open(&self.address, CLAIM_PATIENCE).map_err(|fault| fault.at(&self.address))
    }

    /// A store for whoever leads under this term.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub fn store(&self, term: Term) -> Result<PostgresStore, StoreError> {
        Ok(PostgresStore { session: self.session(Purpose::Writing)?, term })
    }

    /// A reader.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub fn reader(&self) -> Result<PostgresReader, StoreError> {
        Ok(PostgresReader { session: self.session(Purpose::Reading)? })
    }

    fn session(&self, purpose: Purpose) -> Result<Session, StoreError> {
        Session::open(&self.address, purpose, PATIENCE).map_err(|fault| fault.at(&self.address))
    }
}

/// What was found under our name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A database of ours, up to date by now.
    Ours,
    /// Something else.
    Foreign,
    /// A database of ours, of a later release.
    Newer(i64),
}

fn version(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// Whether there is nothing to change, at a look that waits for nobody.
async fn is_up_to_date(client: &Client) -> Result<bool, Fault> {
    let there = client.query_one("SELECT to_regclass('phasegrid.version') IS NOT NULL", &[]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let found = client.query_opt("SELECT version FROM version", &[]).await?;
    Ok(found.map(|row| row.try_get::<_, i64>(0)).transpose()? == Some(version(MIGRATIONS)))
}

/// Takes the steps that a database of an earlier version lacks: all of them, or none.
pub(super) async fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<Found, Fault> {
    let client = connection.client();
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = 0").await?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let Some(found) = identify(client).await? else {
        client.batch_execute("ROLLBACK").await?;
        return Ok(Found::Foreign);
    };
    let Some(lacking) = usize::try_from(found).ok().and_then(|found| steps.get(found..)) else {
        client.batch_execute("ROLLBACK").await?;
        return Ok(Found::Newer(found));
    };
    for step in lacking {
        client.batch_execute(step).await?;
    }
    client.execute("UPDATE version SET version = $1 WHERE version <> $1", &[&version(steps)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(Found::Ours)
}

/// The version of the schema, which is made if it is not there; `None` if it is someone else's.
async fn identify(client: &Client) -> Result<Option<i64>, Fault> {
    let there = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'phasegrid'), \
        EXISTS (SELECT FROM pg_tables WHERE schemaname = 'phasegrid' AND tablename = 'version')";
    let row = client.query_one(there, &[]).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (false, _) => {
            let create = "CREATE SCHEMA phasegrid; CREATE TABLE version (version BIGINT NOT NULL); \
                INSERT INTO version VALUES (0)";
            client.batch_execute(create).await?;
            Ok(Some(0))
        }
        (true, false) => Ok(None),
        (true, true) => Ok(Some(client.query_one("SELECT version FROM version", &[]).await?.try_get(0)?)),
    }
}
