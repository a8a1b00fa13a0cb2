//! The embedded backend: one SQLite database in the data folder, in WAL mode with synchronous=FULL, so that what a commit
//! acknowledged survives a crash of the process and of the machine.
//!
//! `open` finds out whether a data folder can be used, and says why not; `write` applies groups of writes; `load` and
//! `read` answer questions, `tokens` do both for access tokens, `segments` for
//! sealed records; `backup` copies it all while it is in use. All SQL is in `sql/`.

mod backup;
mod load;
#[cfg(test)]
mod memory;
mod open;
mod read;
mod segments;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

pub use backup::{BackupError, backup};

use super::StoreError;
use super::encoding::Unreadable;

/// Writes. Holds the data folder until it is dropped.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    #[expect(dead_code, reason = "held, not used: the lock ends when the file is closed")]
    lock: File,
}

/// Reads, on a connection of its own.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Connection,
    path: PathBuf,
}

/// What goes wrong below; where it did is added at the edge.
#[derive(Debug)]
enum Fault {
    Sql(rusqlite::Error),
    Conflict(&'static str),
    Unreadable(Unreadable),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        let place = path.display().to_string();
        match self {
            Self::Conflict(what) => StoreError::Conflict(what),
            Self::Unreadable(Unreadable(reason)) => StoreError::Damaged { place, reason },
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::Full { place },
                Some(ErrorCode::ConstraintViolation) => StoreError::Conflict("a row is there already"),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Damaged { place, reason: error.to_string() }
                }
                _ => StoreError::Failed { place, reason: error.to_string() },
            },
        }
    }
}
