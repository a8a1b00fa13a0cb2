//! Copies the database of a data folder while a coordinator works on it.
//!
//! SQLite writes out what one moment's reader sees (`VACUUM INTO`): the copy holds every commit until it began and none of
//! those after. The coordinator goes on meanwhile, and never waits. Then the segments that the copy names are copied: they
//! never change, and none that was named is ever deleted.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::Fault;
use super::open::{DATABASE, beside, connect, identify};
use crate::service::ARCHIVE;
use crate::store::OpenError;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("there is no database in {}; name the folder that `phasegrid serve --data` was given", .path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It is never written over anything.
    #[error("the folder {} is not empty; name one that is, or that is not there yet", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("the copy in {} cannot be written: {source}", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A segment cannot be copied.
    #[error(
        "the segment {} cannot be copied: {source}; `--archive` names the folder with the segments, or none where they need \
         no copy", .path.display()
    )]
    Segment {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A segment is not what the database names.
    #[error("the segment {} is damaged: {reason}; put it back from an earlier backup, and begin this one anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
}

/// Copies the database in the folder `data` into the folder `to`, which is then a data folder too, and with it the segments
/// that lie in the folder `archive`; without one it is for somebody else to keep them. The copy is complete and on the disk on
/// return. Answers how many segments were copied.
///
/// # Errors
/// If there is nothing to copy, or something to copy over, or the disk does not want it.
pub fn backup(data: &Path, archive: Option<&Path>, to: &Path) -> Result<usize, BackupError> {
    let source = data.join(DATABASE);
    if !source.is_file() {
        return Err(BackupError::Missing { path: data.to_owned() });
    }
    let unusable = |source| BackupError::Unusable { path: to.to_owned(), source };
    fs::create_dir_all(to).map_err(unusable)?;
    if fs::read_dir(to).map_err(unusable)?.next().is_some() {
        return Err(BackupError::NotEmpty { path: to.to_owned() });
    }
    let copy = to.join(DATABASE);
    // It has its name when it is complete: nobody takes half a copy for a database.
    let draft = beside(&copy, ".copy");
    let segments = to.join(ARCHIVE);
    let copied = copy_to(&source, &draft).and_then(|()| {
        let count = archive.map_or(Ok(0), |archive| copy_segments(&draft, archive, &segments))?;
        finish(to, &draft, &copy).map_err(unusable)?;
        Ok(count)
    });
    if copied.is_err() {
        // What is left of it is of no use; that it cannot be removed is less than what went wrong.
        let _ = fs::remove_file(&draft);
        let _ = fs::remove_dir_all(&segments);
    }
    copied
}

/// Copies the segments that a database names.
fn copy_segments(database: &Path, from: &Path, to: &Path) -> Result<usize, BackupError> {
    let named = named(database).map_err(|error| OpenError::Store(Fault::from(error).at(database)))?;
    for segment in &named {
        let path = from.join(&segment.name);
        let copied = copy_segment(segment, &path, &to.join(&segment.name));
        match copied {
            Ok(None) => {}
            Ok(Some(reason)) => return Err(BackupError::Damaged { path, reason }),
            Err(source) => return Err(BackupError::Segment { path, source }),
        }
    }
    Ok(named.len())
}

/// A segment as the database names it.
struct Named {
    name: String,
    bytes: u64,
    /// Those of them at its end that tell what all others must be, and their digest.
    footer: u64,
    digest: String,
}

fn named(database: &Path) -> Result<Vec<Named>, rusqlite::Error> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A database of an earlier release has no segments, and no table of them.
    if !connection.table_exists(None, "segment")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT name, byte_count, footer, digest FROM segment ORDER BY sweep, number";
    let mut statement = connection.prepare(sql)?;
    let named = statement.query_map([], |row| {
        Ok(Named { name: row.get(0)?, bytes: row.get(1)?, footer: row.get(2)?, digest: row.get(3)? })
    })?;
    named.collect()
}

/// Copies a file, and makes it and its name last; or says what is wrong with it.
fn copy_segment(segment: &Named, from: &Path, to: &Path) -> io::Result<Option<String>> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)?;
    let length = fs::copy(from, to)?;
    if length != segment.bytes {
        return Ok(Some(format!("it has {length} bytes of {}", segment.bytes)));
    }
    let mut copy = File::open(to)?;
    copy.seek(SeekFrom::Start(segment.bytes.saturating_sub(segment.footer)))?;
    let mut footer = Vec::new();
    copy.read_to_end(&mut footer)?;
    if blake3::hash(&footer).to_hex().as_str() != segment.digest {
        return Ok(Some("its footer is not the one that was written".to_owned()));
    }
    copy.sync_all()?;
    let folders = folder.ancestors().take(2);
    folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())?;
    Ok(None)
}

fn copy_to(source: &Path, draft: &Path) -> Result<(), BackupError> {
    let connection = connect(source).map_err(OpenError::Store)?;
    identify(&connection, source)?;
    let name = draft.to_string_lossy();
    let copied = connection.execute("VACUUM INTO ?1", [name]);
    copied.map(drop).map_err(|error| OpenError::Store(Fault::from(error).at(draft)).into())
}

/// Makes the copy last, and gives it its name.
fn finish(to: &Path, draft: &Path, copy: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    fs::rename(draft, copy)?;
    File::open(to)?.sync_all()?;
    // The folder may be new as well.
    let parent = to.canonicalize()?;
    parent.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::results::TaskState;
    use crate::store::contract::{SWEEP, entry, finish as end, grant, record};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Reader, Store, Write};

    const POINTS: u64 = 20_000;

    #[test]
    fn a_copy_made_at_work_holds_all_that_was_acknowledged_and_of_every_commit_all_or_nothing() {
        let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut store = SqliteStore::open(folder.path()).unwrap();
        store.commit(&[Write::Create(entry(SWEEP, POINTS)), grant(1, 0..POINTS)], UNIX_EPOCH).unwrap();
        let (acknowledge, acknowledged) = mpsc::channel();
        let copied = AtomicBool::new(false);
        let (known, after) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut points = 0..POINTS;
                while let (Some(point), false) = (points.next(), copied.load(Ordering::SeqCst)) {
                    let group = [record(1, point, 0), end(1, [point], point + 1..POINTS)];
                    store.commit(&group, UNIX_EPOCH).unwrap();
                    acknowledge.send(point).unwrap();
                }
                points.start
            });
            // At work by now.
            let known = acknowledged.iter().nth(50).unwrap();
            backup(folder.path(), None, &to.path().join("copy")).unwrap();
            copied.store(true, Ordering::SeqCst);
            (known, worker.join().unwrap())
        });
        let copy = SqliteStore::open(&to.path().join("copy")).unwrap();
        let mut reader = copy.reader().unwrap();
        let finished = reader.sweeps().unwrap().swap_remove(0).state.finished;
        assert!(finished.len() > known && finished.len() <= after, "{known} < {} <= {after}", finished.len());
        let results = reader.results(SWEEP, 0, POINTS as usize).unwrap();
        let ended = results.iter().filter(|result| result.state == TaskState::Finished);
        assert!(ended.clone().all(|result| result.records.len() == 1));
        assert_eq!(ended.count() as u64, finished.len());
        assert!(results[finished.len() as usize..].iter().all(|result| result.records.is_empty()));
    }

    #[test]
    fn nothing_is_written_over() {
        let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(SqliteStore::open(folder.path()).unwrap());
        let kept = to.path().join("notes");
        fs::write(&kept, "kept").unwrap();
        assert!(matches!(backup(folder.path(), None, to.path()), Err(BackupError::NotEmpty { .. })));
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
        assert!(matches!(backup(folder.path(), None, folder.path()), Err(BackupError::NotEmpty { .. })));
    }

    #[test]
    fn a_folder_without_a_database_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("copy");
        assert!(matches!(backup(folder.path(), None, &to), Err(BackupError::Missing { .. })));
        assert!(!to.exists());
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing_behind() {
        let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join(DATABASE), "no database").unwrap();
        assert!(matches!(backup(folder.path(), None, to.path()), Err(BackupError::Source(_))));
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }
}
