//! The store's contract on a real PostgreSQL, and what is particular to a database that several share.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use phasegrid_tests::Postgres;

use super::open::{Found, MIGRATIONS, migrate};
use super::session::{Purpose, Session};
use super::{Address, Claim, Database, PostgresReader, PostgresStore, Term};
use crate::certificates::Cluster;
use crate::clock;
use crate::store::contract::{Backend, SWEEP, entry, finish, grant, record, store_contract_suite};
use crate::store::{OpenError, Reader, Store, StoreError, Write};

struct Shared;

impl Backend for Shared {
    type Store = PostgresStore;
    type Reader = PostgresReader;

    fn open(folder: &Path) -> (PostgresStore, PostgresReader) {
        let name = name(folder);
        let server = Postgres::shared();
        if server.sql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")).is_empty() {
            let _ = server.database(&name);
        }
        let database = open(&name);
        let (_, term) = lead(&database);
        (database.store(term).unwrap(), database.reader().unwrap())
    }
}

store_contract_suite!(Shared);

/// A database's name, made of a folder's.
fn name(folder: &Path) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("x{}", folder.to_str().unwrap().chars().map(safe).collect::<String>())
}

fn address(name: &str) -> Address {
    Postgres::shared().url(name).parse().unwrap()
}

fn open(name: &str) -> Database {
    Database::open(&address(name)).unwrap()
}

/// A new database.
fn fresh(name: &str) -> Database {
    let _ = Postgres::shared().database(name);
    open(name)
}

/// Takes a term that runs out at once.
fn lead(database: &Database) -> (Claim, Term) {
    let mut claim = database.claim().unwrap();
    let term = claim.take("http://a:1", Duration::ZERO).unwrap().expect("every term has run out");
    (claim, term)
}

fn commit(store: &mut PostgresStore, writes: &[Write]) -> Result<(), StoreError> {
    store.commit(writes, UNIX_EPOCH)
}

#[test]
fn a_leader_that_was_succeeded_writes_nothing() {
    let database = fresh("succession");
    let (_, old) = lead(&database);
    let (mut store, mut reader) = (database.store(old).unwrap(), database.reader().unwrap());
    commit(&mut store, &[Write::Create(entry(SWEEP, 10)), grant(1, 0..3)]).unwrap();
    let (_, new) = lead(&database);
    assert!(new > old);
    let before = reader.sweeps().unwrap();
    for write in [record(1, 0, 0), finish(1, [0], [1, 2]), grant(2, 3..4)] {
        let refused = commit(&mut store, &[write]);
        assert_eq!(refused, Err(StoreError::Conflict("another coordinator leads by now")));
    }
    assert_eq!(reader.sweeps().unwrap(), before);
    commit(&mut database.store(new).unwrap(), &[record(1, 0, 0)]).unwrap();
}

#[test]
fn a_term_is_taken_when_the_last_has_run_out_or_was_given_up() {
    let database = fresh("terms");
    let (mut a, mut b) = (database.claim().unwrap(), database.claim().unwrap());
    let long = Duration::from_secs(3600);
    let term = a.take("http://a:1", long).unwrap().expect("nobody leads");
    assert_eq!(b.take("http://b:1", long).unwrap(), None);
    assert_eq!(b.leader().unwrap().as_deref(), Some("http://a:1"));
    assert!(a.renew(term, long).unwrap());
    a.resign(term).unwrap();
    assert_eq!(b.leader().unwrap(), None);
    let next = b.take("http://b:1", long).unwrap().expect("it was given up");
    assert!(!a.renew(term, long).unwrap(), "who was succeeded has nothing to renew");
    assert!(b.renew(next, long).unwrap());
}

#[test]
fn a_successor_waits_for_a_commit_under_way() {
    let database = fresh("under_way");
    let (_, term) = lead(&database);
    let mut leader = Session::open(&address("under_way"), Purpose::Writing, Duration::from_secs(30)).unwrap();
    let mut successor = database.claim().unwrap();
    let begun = leader.run(async |connection| {
        // However busy the machine: this transaction is not ended for being idle.
        connection.client().batch_execute("SET idle_in_transaction_session_timeout = 0").await?;
        let step = super::session::Step::plain("BEGIN");
        connection.pipeline(&[step, term.hold()]).await
    });
    assert!(begun.is_ok());
    // It gives up after its own patience, and not because it was told that it leads.
    assert!(matches!(successor.take("http://b:1", Duration::ZERO), Err(StoreError::Failed { .. })));
    leader.run(async |connection| Ok(connection.client().batch_execute("COMMIT").await?)).unwrap();
    assert!(successor.take("http://b:1", Duration::ZERO).unwrap().is_some());
}

#[test]
fn only_those_who_hold_a_term_are_hurried() {
    let database = fresh("hurried");
    let (claim, term) = lead(&database);
    let (store, reader) = (database.store(term).unwrap(), database.reader().unwrap());
    let limit = |mut session: Session| {
        let limit = session.run(async |connection| {
            let sql = "SHOW idle_in_transaction_session_timeout";
            Ok(connection.client().query_one(sql, &[]).await?.try_get::<_, String>(0)?)
        });
        limit.unwrap()
    };
    let limits = [limit(claim.session), limit(store.session), limit(reader.session)];
    assert_eq!(limits, ["3s", "3s", "1min"], "a page of results takes longer to decode than a successor waits");
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_not_waited_for_as_for_a_change_of_the_schema() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://phasegrid@{}/sweeps", silent.local_addr().unwrap());
    let refused = Database::open_within(Duration::from_millis(50), &url.parse().unwrap()).unwrap_err();
    assert!(refused.to_string().ends_with("it does not answer"), "{refused}");
}

#[test]
fn a_schema_that_is_up_to_date_is_looked_at_while_another_coordinator_changes_it() {
    let database = fresh("looked_at");
    let mut session = Session::open(&address("looked_at"), Purpose::Reading, Duration::from_secs(30)).unwrap();
    let locked = session.run(async |connection| {
        let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({})", super::open::MIGRATION_LOCK);
        Ok(connection.client().batch_execute(&lock).await?)
    });
    assert!(locked.is_ok());
    Database::open(&database.address).unwrap();
}

#[test]
fn a_crash_of_the_server_loses_nothing_and_the_same_store_goes_on_once_it_is_back() {
    let server = Postgres::new();
    let database = Database::open(&server.database("crash").parse().unwrap()).unwrap();
    let (_, term) = lead(&database);
    let (mut store, mut reader) = (database.store(term).unwrap(), database.reader().unwrap());
    commit(&mut store, &[Write::Create(entry(SWEEP, 10)), grant(1, 0..3), record(1, 0, 0)]).unwrap();
    let before = reader.sweeps().unwrap();
    server.crash();
    let refused = commit(&mut store, &[finish(1, [0], [1, 2])]);
    assert!(matches!(refused, Err(StoreError::Failed { .. })), "{refused:?}");
    server.start();
    // Its connection was to the server that crashed, and nobody needs to know.
    assert_eq!(reader.sweeps().unwrap(), before);
    commit(&mut store, &[finish(1, [0], [1, 2])]).unwrap();
    assert!(reader.sweeps().unwrap()[0].state.finished.contains(0));
}

#[test]
fn a_connection_is_encrypted_to_a_server_that_the_ca_vouches_for_and_made_to_no_other() {
    let server = Postgres::new();
    let url = server.database("encrypted");
    let cluster = || Cluster::new(&["127.0.0.1".to_owned()], clock::now()).unwrap();
    let (ours, others) = (cluster(), cluster());
    server.encrypt(&ours.certificate, &ours.key);
    let folder = tempfile::tempdir().unwrap();
    let guarded = |url: &str, ca: &str| {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, ca).unwrap();
        url.parse::<Address>().unwrap().guarded(Some(&file)).unwrap()
    };
    let address = guarded(&url, &ours.ca);
    Database::open(&address).unwrap();
    let mut session = Session::open(&address, Purpose::Reading, Duration::from_secs(30)).unwrap();
    let encrypted = session.run(async |connection| {
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(connection.client().query_one(sql, &[]).await?.try_get::<_, bool>(0)?)
    });
    assert!(encrypted.unwrap());
    let elsewhere = url.replace("127.0.0.1", "localhost");
    for (refused, reason) in [
        (guarded(&url, &others.ca), "certificate"),
        (guarded(&elsewhere, &ours.ca), "not valid for name"),
        (url.parse().unwrap(), "no encryption"),
    ] {
        let error = Database::open(&refused).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_text_that_postgresql_cannot_have_is_stored_all_the_same() {
    let database = fresh("texts");
    let (_, term) = lead(&database);
    let (mut store, mut reader) = (database.store(term).unwrap(), database.reader().unwrap());
    let failed = crate::store::contract::set_back_saying(1, 0, "a\0b");
    commit(&mut store, &[Write::Create(entry(SWEEP, 10)), grant(1, 0..1), failed]).unwrap();
    assert_eq!(reader.failures(SWEEP, 10).unwrap()[0].error, "a\u{fffd}b");
}

/// What a database of the first `count` steps holds after some work: written as the first release wrote it.
fn older(name: &str, count: usize) {
    let server = Postgres::shared();
    let _ = server.database(name);
    let mut session = Session::open(&address(name), Purpose::Writing, Duration::from_secs(30)).unwrap();
    let steps = &MIGRATIONS[..count];
    assert_eq!(session.run(async |connection| migrate(connection, steps).await).unwrap(), Found::Ours);
    server.sql(name, include_str!("sql/older.sql"));
}

#[test]
fn a_database_of_any_earlier_version_opens_with_everything_in_it() {
    for count in 1..=MIGRATIONS.len() {
        let name = format!("older_{count}");
        older(&name, count);
        let mut reader = open(&name).reader().unwrap();
        crate::store::contract::assert_is_the_older_sweep(&mut reader);
    }
}

#[test]
fn steps_are_taken_all_or_none_and_a_later_version_is_refused() {
    older("steps", MIGRATIONS.len());
    let mut session = Session::open(&address("steps"), Purpose::Writing, Duration::from_secs(30)).unwrap();
    let next = [MIGRATIONS, &["ALTER TABLE sweep ADD COLUMN later BIGINT NOT NULL DEFAULT 7"]].concat();
    let broken = [&next[..], &["ALTER TABLE nowhere ADD COLUMN later BIGINT"]].concat();
    assert!(session.run(async |connection| migrate(connection, &broken).await).is_err());
    crate::store::contract::assert_is_the_older_sweep(&mut open("steps").reader().unwrap());
    assert_eq!(session.run(async |connection| migrate(connection, &next).await).unwrap(), Found::Ours);
    assert_eq!(Postgres::shared().sql("steps", "SELECT later FROM phasegrid.sweep"), "7\n");
    let refused = Database::open(&address("steps")).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found, known, .. } if found == known + 1), "{refused:?}");
}

#[test]
fn coordinators_that_start_together_make_one_schema() {
    let url = Postgres::shared().database("together");
    let open = || Database::open(&url.parse().unwrap()).map(drop);
    let outcomes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn a_schema_of_someone_else_is_left_alone() {
    let _ = Postgres::shared().database("foreign_schema");
    let sql = |sql| Postgres::shared().sql("foreign_schema", sql);
    sql("CREATE SCHEMA phasegrid; CREATE TABLE phasegrid.other (x INT)");
    let refused = Database::open(&address("foreign_schema")).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
    assert_eq!(sql("SELECT tablename FROM pg_tables WHERE schemaname = 'phasegrid'"), "other\n");
}

#[test]
fn finished_ranges_take_bytes_not_rows() {
    let database = fresh("ranges");
    let (_, term) = lead(&database);
    let (mut store, mut reader) = (database.store(term).unwrap(), database.reader().unwrap());
    commit(&mut store, &[Write::Create(entry(SWEEP, 100_000_000))]).unwrap();
    for epoch in 1..=20 {
        let points = (epoch - 1) * 10_000..epoch * 10_000;
        commit(&mut store, &[grant(epoch, points.clone()), finish(epoch, points, [])]).unwrap();
    }
    assert_eq!(reader.sweeps().unwrap()[0].state.finished.len(), 200_000);
    let size = "SELECT count(*), sum(length(finished) + length(failed)) < 200 FROM phasegrid.chunk";
    assert_eq!(Postgres::shared().sql("ranges", size), "4|t\n");
}
