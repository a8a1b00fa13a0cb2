//! The same store in memory, for the simulation: gone with its last connection.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use super::open::{MIGRATIONS, configure, migrate};
use super::{SqliteReader, SqliteStore};

impl SqliteStore {
    /// A new store, and its reader. No other has this name.
    pub(crate) fn in_memory(name: &str) -> (Self, SqliteReader) {
        let path = PathBuf::from(format!("file:/{name}?vfs=memdb"));
        let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI;
        let connect = || {
            let connection = Connection::open_with_flags(&path, flags).unwrap();
            configure(&connection, &path).unwrap();
            connection
        };
        let mut connection = connect();
        migrate(&mut connection, 0, MIGRATIONS).unwrap();
        let reader = SqliteReader { connection: connect(), path: path.clone() };
        (Self { connection, path, lock: tempfile::tempfile().unwrap() }, reader)
    }
}
