//! Opens a data folder, or says in one sentence why not.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Fault, SqliteReader, SqliteStore};
use crate::store::{OpenError, StoreError};

/// The name of the database in the data folder.
pub(super) const DATABASE: &str = "phasegrid.db";
/// Marks a database as ours, in its header: "phgr".
pub(super) const APPLICATION: i64 = 0x7068_6772;
/// What made the schema what it is, step by step. A database of version n has taken the first n steps. A step that was
/// released is never changed: what comes later is a step of its own.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("sql/migrations/0001_sweeps.sql"),
    include_str!("sql/migrations/0002_tokens.sql"),
    include_str!("sql/migrations/0003_operations.sql"),
    include_str!("sql/migrations/0004_contents.sql"),
    include_str!("sql/migrations/0005_segments.sql"),
];
#[expect(clippy::cast_possible_wrap, reason = "steps are few")]
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;
/// There are more statements than a connection keeps prepared by default.
const STATEMENTS: usize = 64;

/// How long SQLite waits for a lock of its own.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// A lock is tried so often before it is taken for another coordinator's.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

impl SqliteStore {
    /// Opens the data folder, and creates what is missing of it.
    ///
    /// # Errors
    /// If the folder or the database in it cannot be used; nothing was changed then.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(unusable)?;
        let lock = lock(folder)?;
        let path = folder.join(DATABASE);
        let exists = path.try_exists().map_err(unusable)?;
        if !exists {
            create(folder, &path)?;
        }
        let mut connection = connect(&path)?;
        let found = identify(&connection, &path)?;
        configure(&connection, &path)?;
        check_length(&connection, &path)?;
        migrate(&mut connection, found, MIGRATIONS).map_err(|error| Fault::from(error).at(&path))?;
        Ok(Self { connection, path, lock })
    }

    /// A reader of the same database.
    ///
    /// # Errors
    /// If it cannot be opened a second time.
    pub fn reader(&self) -> Result<SqliteReader, StoreError> {
        let connection = connect(&self.path)?;
        configure(&connection, &self.path)?;
        let read_only = connection.pragma_update(None, "query_only", true);
        read_only.map_err(|error| Fault::from(error).at(&self.path))?;
        Ok(SqliteReader { connection, path: self.path.clone() })
    }
}

/// Keeps other coordinators out until the file is closed, be it by a crash. A process that forks holds on to the locks of its
/// parent until it has become another program: a lock that was just given up may be held for a moment more.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Unusable { path: folder.to_owned(), source };
    let file = File::options().create(true).append(true).open(folder.join("lock")).map_err(unusable)?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_INTERVAL),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
    }
    Err(OpenError::Locked { path: folder.to_owned() })
}

/// Creates the database under another name and renames it when it is complete, so that an empty or half-written file under
/// its real name is always damage, and is never taken for a new database.
fn create(folder: &Path, path: &Path) -> Result<(), OpenError> {
    if beside(path, "-wal").exists() {
        return Err(damaged(path, "the file is missing, and its journal is there".to_owned()).into());
    }
    let draft = beside(path, ".new");
    let unusable = |source: io::Error| OpenError::Unusable { path: folder.to_owned(), source };
    if draft.exists() {
        fs::remove_file(&draft).map_err(unusable)?;
    }
    let fill = || -> Result<(), rusqlite::Error> {
        let mut connection = Connection::open(&draft)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        migrate(&mut connection, 0, MIGRATIONS)
    };
    fill().map_err(|error| Fault::from(error).at(path))?;
    fs::rename(&draft, path).map_err(unusable)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)
}

/// Takes the steps that a database of an earlier version lacks: all of them, or none.
pub(super) fn migrate(connection: &mut Connection, version: usize, steps: &[&str]) -> Result<(), rusqlite::Error> {
    let Some(lacking) = steps.get(version..).filter(|lacking| !lacking.is_empty()) else { return Ok(()) };
    let transaction = connection.transaction()?;
    lacking.iter().try_for_each(|step| transaction.execute_batch(step))?;
    transaction.pragma_update(None, "user_version", steps.len())?;
    transaction.commit()
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| Fault::from(error).at(path))
}

/// Whose file it is, and of which version: asked before anything in it is touched.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    if file_length(path)? == 0 {
        return Err(damaged(path, "the file is empty".to_owned()).into());
    }
    if number(connection, path, "application_id")? != APPLICATION {
        return Err(OpenError::Foreign { place: place(path) });
    }
    let found = number(connection, path, "user_version")?;
    if found > VERSION {
        return Err(OpenError::Newer { place: place(path), found, known: VERSION });
    }
    usize::try_from(found).map_err(|_| damaged(path, format!("it has version {found}")).into())
}

pub(super) fn configure(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let configure = || -> Result<(), rusqlite::Error> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "wal")?;
        // Every commit reaches the disk before it is acknowledged.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)
    };
    configure().map_err(|error| Fault::from(error).at(path))
}

/// A file that was cut short is found at once; other damage shows when its page is read.
fn check_length(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    // Brings the journal home: after this the file holds everything, and its length means something. Unless somebody else
    // reads, a backup for instance: then the rest stays in the journal until they are done, and is not waited for.
    let checkpoint = || -> Result<bool, rusqlite::Error> {
        connection.busy_timeout(Duration::ZERO)?;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        Ok(busy)
    };
    if checkpoint().map_err(|error| Fault::from(error).at(path))? {
        return Ok(());
    }
    let whole = number(connection, path, "page_count")? * number(connection, path, "page_size")?;
    let length = file_length(path)?;
    if i64::try_from(length).is_ok_and(|length| length < whole) {
        return Err(damaged(path, format!("it has {length} bytes of {whole}")));
    }
    Ok(())
}

fn number(connection: &Connection, path: &Path, pragma: &str) -> Result<i64, StoreError> {
    connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(|error| Fault::from(error).at(path))
}

fn file_length(path: &Path) -> Result<u64, StoreError> {
    std::fs::metadata(path).map(|about| about.len()).map_err(|error| damaged(path, error.to_string()))
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged { place: place(path), reason }
}

/// How errors name a file.
fn place(path: &Path) -> String {
    path.display().to_string()
}

/// A file beside another.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
