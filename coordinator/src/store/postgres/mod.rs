//! The backend that several coordinators share: a PostgreSQL database, with all of ours in its schema `phasegrid`.
//!
//! One coordinator leads and the others stand by (`leadership`). Every commit of a leader holds its term in the same
//! transaction, so one that was succeeded without noticing can write nothing.
//!
//! `address` says where the database is, `encryption` how it is talked to, `session` is a connection that comes back, `open`
//! brings the schema up to date; `write` turns a group of writes into statements that travel together, `load` and `read`
//! answer questions, `tokens` do both for access tokens, `segments` for sealed records; `values` are what goes into columns.
//! All SQL is in `sql/`.

mod address;
mod encryption;
mod leadership;
mod load;
mod open;
mod read;
mod segments;
mod session;
#[cfg(test)]
mod tests;
mod tokens;
mod values;
mod write;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{WasNull, WrongType};

use super::StoreError;
use super::encoding::Unreadable;
use session::Session;

pub use address::{ADDRESSES, Address, AddressError};
pub use encryption::EncryptionError;
pub use leadership::{Claim, Term};
pub use open::Database;

/// Writes, under a term.
#[derive(Debug)]
pub struct PostgresStore {
    session: Session,
    term: Term,
}

/// Reads, on a connection of its own.
#[derive(Debug)]
pub struct PostgresReader {
    session: Session,
}

/// What goes wrong below; where it did is added at the edge.
#[derive(Debug)]
enum Fault {
    Sql(tokio_postgres::Error),
    Conflict(&'static str),
    Unreadable(Unreadable),
    /// No answer came in time.
    Silent,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Fault {
    /// Whether the connection is of no more use.
    fn is_of_connection(&self) -> bool {
        match self {
            Self::Sql(error) => match error.code() {
                Some(state) => {
                    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(state)
                }
                None => !is_of_value(error),
            },
            Self::Silent => true,
            Self::Conflict(_) | Self::Unreadable(_) => false,
        }
    }

    fn at(self, address: &Address) -> StoreError {
        let place = address.to_string();
        match self {
            Self::Conflict(what) => StoreError::Conflict(what),
            Self::Unreadable(Unreadable(reason)) => StoreError::Damaged { place, reason },
            Self::Silent => StoreError::Failed { place, reason: "it does not answer".to_owned() },
            Self::Sql(error) if is_of_value(&error) => StoreError::Damaged { place, reason: reason(&error) },
            Self::Sql(error) => match error.code() {
                Some(state) if *state == SqlState::DISK_FULL => StoreError::Full { place },
                Some(state) if *state == SqlState::UNIQUE_VIOLATION => StoreError::Conflict("a row is there already"),
                Some(state) if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(state) => {
                    StoreError::Damaged { place, reason: reason(&error) }
                }
                _ => StoreError::Failed { place, reason: reason(&error) },
            },
        }
    }
}

/// Whether a value that was answered is not what its column must have.
fn is_of_value(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<WrongType>() || source.is::<WasNull>())
}

/// What the server says, or the innermost reason: the outer ones say only that there is one.
fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    let errors = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    errors.last().map(ToString::to_string).unwrap_or_default()
}

/// A number as the database has it. None of ours comes near the end of 63 bits: sizes and epochs are checked before.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that we stored.
fn number(stored: i64) -> Result<u64, Unreadable> {
    u64::try_from(stored).map_err(|_| Unreadable(format!("a number is {stored}, which is below zero")))
}

/// A small number that we stored.
fn small(stored: i64) -> Result<u32, Unreadable> {
    u32::try_from(stored).map_err(|_| Unreadable(format!("a number is {stored}, which is out of range")))
}

/// A text as the database can have it: PostgreSQL has no NUL in texts.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
