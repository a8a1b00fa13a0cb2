//! The store's contract on SQLite, and what is particular to files.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use rusqlite::Connection;

use super::open::{APPLICATION, MIGRATIONS, VERSION, migrate};
use super::{SqliteReader, SqliteStore};
use crate::scheduler::Points;
use crate::store::contract::{
    Backend, SWEEP, assert_is_the_older_sweep, entry, finish, grant, record, store_contract_suite,
};
use crate::store::{OpenError, Reader, Store, StoreError, Write};

struct Sqlite;

impl Backend for Sqlite {
    type Store = SqliteStore;
    type Reader = SqliteReader;

    fn open(folder: &Path) -> (SqliteStore, SqliteReader) {
        let store = SqliteStore::open(folder).unwrap();
        let reader = store.reader().unwrap();
        (store, reader)
    }
}

store_contract_suite!(Sqlite);

fn commit(store: &mut SqliteStore, writes: &[Write]) {
    store.commit(writes, UNIX_EPOCH).unwrap();
}

/// A data folder with one sweep of 10⁵ points, the first hundred finished, and its store closed.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    commit(&mut store, &[Write::Create(entry(SWEEP, 100_000)), grant(1, 0..100)]);
    (0..100).for_each(|point| commit(&mut store, &[record(1, point, 0)]));
    commit(&mut store, &[finish(1, 0..100, [])]);
    folder
}

fn refusal(folder: &Path) -> OpenError {
    SqliteStore::open(folder).expect_err("a folder that cannot be used")
}

#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut reader) = Sqlite::open(folder.path());
    commit(&mut store, &[Write::Create(entry(SWEEP, 10)), grant(1, 0..3), record(1, 0, 0), finish(1, [0], [1, 2])]);
    // What a kill leaves behind: the files as they are, journal and all, and nobody to tidy up.
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let (_, mut survivor) = Sqlite::open(copy.path());
    assert_eq!(survivor.sweeps().unwrap(), reader.sweeps().unwrap());
    assert_eq!(survivor.results(SWEEP, 0, 10).unwrap(), reader.results(SWEEP, 0, 10).unwrap());
}

#[test]
fn a_full_disk_refuses_the_group_and_damages_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut reader) = Sqlite::open(folder.path());
    commit(&mut store, &[Write::Create(entry(SWEEP, 1000)), grant(1, 0..1000)]);
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let before = reader.sweeps().unwrap();
    let many: Vec<_> = (0..1000).map(|point| record(1, point, 0)).collect();
    let outcome = store.commit(&many, UNIX_EPOCH);
    assert!(matches!(outcome, Err(StoreError::Full { .. })), "{outcome:?}");
    assert_eq!(reader.sweeps().unwrap(), before);
    store.connection.pragma_update(None, "max_page_count", pages + 1000).unwrap();
    commit(&mut store, &many);
    assert_eq!(reader.results(SWEEP, 0, 1000).unwrap().len(), 1000);
}

#[test]
fn one_data_folder_has_one_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Locked { .. }));
    drop(store);
    SqliteStore::open(folder.path()).unwrap();
}

#[test]
fn a_file_that_was_cut_short_is_called_damaged() {
    let folder = filled();
    let path = folder.path().join("phasegrid.db");
    let whole = fs::metadata(&path).unwrap().len();
    for length in [whole - 4096, whole / 2, 4096, 100, 0] {
        fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let error = refusal(folder.path());
        assert!(matches!(error, OpenError::Store(StoreError::Damaged { .. })), "{length}: {error:?}");
        assert!(error.to_string().contains("restore it from a backup or start with an empty one"), "{error}");
    }
}

#[test]
fn a_file_that_is_short_because_somebody_reads_is_not_called_damaged() {
    let folder = filled();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    // As a backup does: what is written from here on cannot go home to the file.
    let backup = Connection::open(folder.path().join("phasegrid.db")).unwrap();
    backup.execute_batch("BEGIN; SELECT COUNT(*) FROM sweep").unwrap();
    commit(&mut store, &[grant(2, 100..1100)]);
    commit(&mut store, &(100..1100).map(|point| record(2, point, 0)).collect::<Vec<_>>());
    let before = store.reader().unwrap().sweeps().unwrap();
    drop(store);
    let (_store, mut reader) = Sqlite::open(folder.path());
    assert_eq!(reader.sweeps().unwrap(), before);
    assert_eq!(reader.results(SWEEP, 0, 2000).unwrap().len(), 1100);
}

#[test]
fn overwritten_pages_are_called_damaged_when_they_are_read() {
    let folder = filled();
    let path = folder.path().join("phasegrid.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let sweeps = SqliteStore::open(folder.path()).and_then(|store| Ok(store.reader()?.sweeps()?));
    assert!(matches!(sweeps, Err(OpenError::Store(StoreError::Damaged { .. }))), "{sweeps:?}");
}

#[test]
fn a_database_that_vanished_from_beside_its_journal_is_not_replaced() {
    let folder = filled();
    fs::remove_file(folder.path().join("phasegrid.db")).unwrap();
    fs::write(folder.path().join("phasegrid.db-wal"), "the journal").unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Store(StoreError::Damaged { .. })));
}

#[test]
fn a_database_of_a_later_release_is_refused_by_its_version() {
    let folder = filled();
    let connection = Connection::open(folder.path().join("phasegrid.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(refusal(folder.path()), OpenError::Newer { found: 99, known: VERSION, .. }));
}

/// A data folder whose database has taken the first `count` steps, and holds what the first release wrote.
fn older(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(folder.path().join("phasegrid.db")).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION).unwrap();
    migrate(&mut connection, 0, &MIGRATIONS[..count]).unwrap();
    connection.execute_batch(include_str!("sql/older.sql")).unwrap();
    folder
}

#[test]
fn a_database_of_any_earlier_version_opens_with_everything_in_it() {
    for count in 1..=MIGRATIONS.len() {
        assert_is_the_older_sweep(&mut Sqlite::open(older(count).path()).1);
    }
}

#[test]
fn steps_are_taken_all_or_none() {
    let folder = older(MIGRATIONS.len());
    let mut connection = Connection::open(folder.path().join("phasegrid.db")).unwrap();
    let next = [MIGRATIONS, &["ALTER TABLE sweep ADD COLUMN later INTEGER NOT NULL DEFAULT 7"]].concat();
    let broken = [&next[..], &["ALTER TABLE nowhere ADD COLUMN later INTEGER"]].concat();
    assert!(migrate(&mut connection, MIGRATIONS.len(), &broken).is_err());
    assert_is_the_older_sweep(&mut Sqlite::open(folder.path()).1);
    migrate(&mut connection, MIGRATIONS.len(), &next).unwrap();
    assert_eq!(connection.query_row("SELECT later FROM sweep", [], |row| row.get(0)), Ok(7));
    assert!(matches!(refusal(folder.path()), OpenError::Newer { .. }));
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phasegrid.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Foreign { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("data"));
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("a file/data cannot be written"), "{error}");
}

#[test]
fn an_interrupted_creation_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("phasegrid.db.new"), "half a database").unwrap();
    SqliteStore::open(folder.path()).unwrap();
    assert!(!folder.path().join("phasegrid.db.new").exists());
}

#[test]
fn finished_ranges_take_bytes_not_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut reader) = Sqlite::open(folder.path());
    commit(&mut store, &[Write::Create(entry(SWEEP, 100_000_000))]);
    for epoch in 1..=200 {
        let points = (epoch - 1) * 1000..epoch * 1000;
        commit(&mut store, &[grant(epoch, points.clone()), finish(epoch, points, [])]);
    }
    let mut finished = Points::new();
    finished.insert_range(0..200_000);
    assert_eq!(reader.sweeps().unwrap()[0].state.finished, finished);
    let size = "SELECT SUM(LENGTH(finished) + LENGTH(failed)), COUNT(*) FROM chunk";
    let (bytes, rows): (u64, u64) = store.connection.query_row(size, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(rows, 4);
    assert!(bytes < 200, "{bytes} bytes for 200,000 points");
}

#[test]
fn a_state_in_which_no_sweep_can_be_is_called_damage() {
    let contradictions = ["UPDATE sweep SET next = size + 1", "UPDATE sweep SET next = 2"];
    for sql in contradictions {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut reader) = Sqlite::open(folder.path());
        commit(&mut store, &[Write::Create(entry(SWEEP, 100)), grant(1, 0..9)]);
        commit(&mut store, &[record(1, 0, 0), finish(1, [0], 1..9)]);
        assert!(reader.sweeps().is_ok());
        store.connection.execute(sql, []).unwrap();
        let outcome = reader.sweeps();
        assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "{sql}: {outcome:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_in_a_blob_is_called_damage_or_read_as_something(
        column in prop::sample::select(&["lease.granted", "lease.remain", "chunk.finished", "chunk.failed", "record.payload"][..]),
        garbage in prop::collection::vec(any::<u8>(), 0..64),
        place in 0..16_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path()).unwrap();
        commit(&mut store, &[Write::Create(entry(SWEEP, 100)), grant(1, 0..9), grant(2, 9..20)]);
        commit(&mut store, &[record(1, 3, 0), record(1, 0, 0), finish(1, [0, 2], [3])]);
        let (table, column) = column.split_once('.').unwrap();
        let connection = &store.connection;
        let blob: Vec<u8> = connection.query_row(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0)).unwrap();
        // What was there, from some place on overwritten.
        let broken = [&blob[..place.min(blob.len())], &garbage].concat();
        connection.execute(&format!("UPDATE {table} SET {column} = ?1"), [broken]).unwrap();
        let mut reader = store.reader().unwrap();
        for outcome in [reader.sweeps().map(drop), reader.results(SWEEP, 0, 100).map(drop)] {
            prop_assert!(matches!(outcome, Ok(()) | Err(StoreError::Damaged { .. })), "{outcome:?}");
        }
    }
}
