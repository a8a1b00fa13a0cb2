//! The embedded backend: one SQLite database in the data folder, in WAL mode with synchronous=FULL, so that what a commit
//! acknowledged survives a crash of the process and of the machine.
//!
//! `open` finds out whether a data folder can be used, and says why not; `write` applies groups of writes; `load` and
//! `read` answer questions, `tokens` do both for access tokens; `chunks` and `points` pack sets of points. All SQL is in `sql/`.

mod chunks;
mod load;
#[cfg(test)]
mod memory;
mod open;
mod points;
mod read;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode};

use super::StoreError;

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
    Encoding(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Conflict(what) => StoreError::Conflict(what),
            Self::Encoding(reason) => StoreError::Damaged { path, reason },
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::Full { path },
                Some(ErrorCode::ConstraintViolation) => StoreError::Conflict("a row is there already"),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Damaged { path, reason: error.to_string() }
                }
                _ => StoreError::Failed { path, reason: error.to_string() },
            },
        }
    }
}

fn to_micros(time: SystemTime) -> i64 {
    let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
