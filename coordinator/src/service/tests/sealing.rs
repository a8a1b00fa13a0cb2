//! Records that go to the archive while all else goes on.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Semaphore;

use super::*;
use crate::scheduler::SweepKey;
use crate::store::Write;
use crate::store::sqlite::backup;

/// Seals as soon as there is a segment of twenty records, which is as many points.
fn eager() -> Measure {
    Measure { full_rows: 20, full_bytes: usize::MAX, least_rows: 5, interval: Duration::from_millis(1) }
}

fn eager_at(folder: &Path, alone: bool) -> Keeping {
    Keeping { measure: eager(), ..Keeping::at(&(&Place::folder(folder)).into(), alone).unwrap() }
}

async fn open_eager(folder: &tempfile::TempDir) -> Coordinator {
    open_keeping(folder, eager_at(&folder.path().join(ARCHIVE), true)).await
}

async fn open_keeping(folder: &tempfile::TempDir, keeping: Keeping) -> Coordinator {
    open_with(folder, keeping, |store| store).await
}

/// The same with what `change` makes of its store.
async fn open_with<S: Store>(
    folder: &tempfile::TempDir,
    keeping: Keeping,
    change: impl FnOnce(SqliteStore) -> S + Send + 'static,
) -> Coordinator {
    let data = folder.path().to_owned();
    blocking(move || {
        let store = SqliteStore::open(&data).unwrap();
        let (reader, records) = (store.reader().unwrap(), store.reader().unwrap());
        Coordinator::start(change(store), reader, records, keeping, patient()).unwrap()
    })
    .await
}

async fn with_eager_sweep(folder: &tempfile::TempDir, points: u64) -> (Coordinator, String) {
    let coordinator = open_eager(folder).await;
    let sweep = coordinator.create_sweep("a wish", &map(points), &[]).await.unwrap();
    coordinator.register(worker("w", 2)).await.unwrap();
    (coordinator, sweep.id)
}

/// The segments' sizes in rows, once their rows are as many as that.
async fn sealed(coordinator: &Coordinator, rows: u64) -> Vec<u64> {
    loop {
        let segments = |reader: &mut dyn Reader| reader.segments(SweepKey(1), 0..=u64::MAX);
        let sizes: Vec<u64> = coordinator.read(segments).await.unwrap().iter().map(|segment| segment.rows).collect();
        if sizes.iter().sum::<u64>() >= rows {
            return sizes;
        }
        tokio::task::yield_now().await;
    }
}

fn files(folder: &tempfile::TempDir, id: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.path().join(ARCHIVE).join(id)).into_iter().flatten();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Results as a person reads them: all, page by page.
async fn read_all(coordinator: &Coordinator, id: &str) -> Vec<crate::results::TaskResult> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let page = coordinator.results(id, from, 7).await.unwrap();
        let Some(last) = page.last() else { return all };
        from = last.point + 1;
        all.extend(page);
    }
}

#[tokio::test]
async fn a_sweep_is_sealed_while_it_runs_and_when_it_has_ended_and_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_eager_sweep(&folder, 50).await;
    work_off(&coordinator).await;
    let sizes = sealed(&coordinator, 50).await;
    assert_eq!(sizes, [20, 20, 10]);
    let all = read_all(&coordinator, &id).await;
    assert_eq!(all.iter().map(|result| result.point).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    assert!(all.iter().all(|result| result.records == [record(0)]));
    assert_eq!(files(&folder, &id).len(), 3);

    coordinator.shutdown().await;
    let plain = open(&folder).await;
    let refused = plain.results(&id, 0, 7).await.unwrap_err();
    let Refusal::DataLoss(refused) = refused else { panic!("asking again is no use: {refused:?}") };
    assert!(refused.contains("let the setting `archive` name the place"), "{refused}");
    plain.shutdown().await;
    assert_eq!(read_all(&open_eager(&folder).await, &id).await, all);
}

#[tokio::test]
async fn an_earlier_result_that_cannot_be_read_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open_eager(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    coordinator.create_sweep("first", &recall::long(0, 20), &[]).await.unwrap();
    assert_eq!(work_off(&coordinator).await, 20);
    sealed(&coordinator, 20).await;
    coordinator.shutdown().await;

    // The archive is away: a lease does not wait for it.
    let plain = open(&folder).await;
    plain.register(worker("w", 2)).await.unwrap();
    plain.create_sweep("second", &recall::long(0, 20), &[]).await.unwrap();
    assert_eq!(work_off(&plain).await, 20);
}

#[tokio::test]
async fn what_has_not_ended_waits_for_a_whole_segment_and_a_small_rest_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_eager_sweep(&folder, 44).await;
    let mut finished = 0;
    while finished < 42 {
        let lease = lease(&coordinator).await;
        finished += lease.tasks.len();
        complete(&coordinator, &lease).await;
    }
    assert_eq!(sealed(&coordinator, 40).await, [20, 20], "two are under way");
    coordinator.shutdown().await;

    let coordinator = open_eager(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    work_off(&coordinator).await;
    // The next sweep is looked at after this one.
    let next = coordinator.create_sweep("another wish", &map(5), &[]).await.unwrap().id;
    work_off(&coordinator).await;
    while files(&folder, &next).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(sealed(&coordinator, 40).await, [20, 20], "four are too few for a file");
    assert_eq!(read_all(&coordinator, &id).await.len(), 44);
    assert_eq!(read_all(&coordinator, &next).await.len(), 5);
}

#[tokio::test]
async fn what_the_database_does_not_name_is_set_aside_and_sealed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_eager_sweep(&folder, 20).await;
    coordinator.shutdown().await;
    let left = folder.path().join(ARCHIVE).join(&id).join("00000001-deadbeef.parquet");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, "half a segment").unwrap();

    let coordinator = open_eager(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    work_off(&coordinator).await;
    assert_eq!(sealed(&coordinator, 20).await, [20]);
    assert_eq!((files(&folder, &id).len(), left.exists()), (1, false));
    assert_eq!(read_all(&coordinator, &id).await.len(), 20);
    let aside = folder.path().join(ARCHIVE).join("unnamed").join(&id).join("00000001-deadbeef.parquet");
    assert_eq!(std::fs::read(aside).unwrap(), b"half a segment", "the database may be older than it");
}

#[tokio::test]
async fn a_sweep_whose_segments_cannot_be_written_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, barred) = with_sweep(&folder, 20).await;
    let fine = coordinator.create_sweep("another wish", &map(20), &[]).await.unwrap().id;
    work_off(&coordinator).await;
    coordinator.shutdown().await;
    // Where its folder should be there is a file, which can neither be looked through nor written into.
    let place = folder.path().join(ARCHIVE).join(&barred);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, "").unwrap();

    let coordinator = open_eager(&folder).await;
    while files(&folder, &fine).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read_all(&coordinator, &barred).await.len(), 20);
    assert_eq!(read_all(&coordinator, &fine).await.len(), 20);
}

/// A store that takes no segment, and counts those it refused.
struct Unsealing(SqliteStore, Arc<AtomicUsize>);

impl Store for Unsealing {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> std::result::Result<(), StoreError> {
        if writes.iter().any(|write| matches!(write, Write::Sealed(_))) {
            self.1.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Conflict("a test says so"));
        }
        self.0.commit(writes, now)
    }
}

#[tokio::test]
async fn the_file_of_a_segment_that_was_refused_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, id) = with_sweep(&folder, 20).await;
    work_off(&coordinator).await;
    coordinator.shutdown().await;
    let refused = Arc::new(AtomicUsize::new(0));
    let (keeping, count) = (eager_at(&folder.path().join(ARCHIVE), true), Arc::clone(&refused));
    let coordinator = open_with(&folder, keeping, |store| Unsealing(store, count)).await;
    while refused.load(Ordering::SeqCst) == 0 || !files(&folder, &id).is_empty() {
        tokio::task::yield_now().await;
    }
    while coordinator.sweep(&id).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read_all(&coordinator, &id).await.len(), 20);
}

#[test]
fn readers_that_wait_for_their_turn_keep_no_thread_from_the_one_who_has_it() {
    // One thread for whoever reads, and one for the file.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (coordinator, id) = with_eager_sweep(&folder, 40).await;
        work_off(&coordinator).await;
        sealed(&coordinator, 40).await;
        let read = |from: u64| {
            let (coordinator, id) = (coordinator.clone(), id.clone());
            tokio::spawn(async move { coordinator.results(&id, from, 1).await })
        };
        // Each in another file than the one before.
        let readers: Vec<_> = (0..20).flat_map(|point| [point, point + 20]).map(read).collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap().unwrap()[0].records, [record(0)]);
        }
        coordinator.shutdown().await;
    });
}

#[tokio::test]
async fn an_archive_that_never_answers_is_asked_once_and_points_are_computed() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = open_eager(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    coordinator.create_sweep("first", &recall::long(0, 40), &[]).await.unwrap();
    assert_eq!(work_off(&coordinator).await, 40);
    sealed(&coordinator, 40).await;
    coordinator.shutdown().await;

    let keeping = eager_at(&folder.path().join(ARCHIVE), true);
    let (asked, gate) = (Arc::default(), Arc::new(Semaphore::new(0)));
    let hang = |store| -> Arc<dyn ObjectStore> {
        Arc::new(Hanging { store, asked: Arc::clone(&asked), gate: Arc::clone(&gate) })
    };
    let archive = keeping.archive.clone().map(|archive| archive.over(hang));
    let patience = Patience { look: Duration::from_millis(1), away: Duration::from_secs(3600) };
    let coordinator = open_keeping(&folder, Keeping { archive, patience, ..keeping }).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    coordinator.create_sweep("second", &recall::long(0, 40), &[]).await.unwrap();
    assert_eq!(work_off(&coordinator).await, 40);
    // The thread that was to ask may have had no turn yet.
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    gate.add_permits(1 << 20);
    coordinator.shutdown().await;
}

/// A store that answers nothing before a gate opens.
#[derive(Debug)]
struct Hanging {
    store: Arc<dyn ObjectStore>,
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl std::fmt::Display for Hanging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Hanging {
    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.acquire().await;
        self.store.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, options).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<ObjectPath>>) -> BoxStream<'static, Result<ObjectPath>> {
        self.store.delete_stream(at)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn records_that_cannot_be_sealed_stay_and_stop_no_other_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, strange) = with_sweep(&folder, 20).await;
    work_off(&coordinator).await;
    coordinator.shutdown().await;
    let database = rusqlite::Connection::open(folder.path().join("phasegrid.db")).unwrap();
    // No record, in any release.
    assert_eq!(database.execute("UPDATE record SET payload = x'ff' WHERE point = 7", []).unwrap(), 1);
    drop(database);

    let coordinator = open_eager(&folder).await;
    coordinator.register(worker("w", 2)).await.unwrap();
    let fine = coordinator.create_sweep("another wish", &map(20), &[]).await.unwrap().id;
    work_off(&coordinator).await;
    while files(&folder, &fine).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(files(&folder, &strange), [""; 0].map(PathBuf::from));
    assert_eq!(coordinator.results(&strange, 0, 7).await.unwrap().len(), 7, "those before it are read");
}

#[tokio::test]
async fn a_successor_reads_what_the_leader_sealed_and_goes_on() {
    let (database, archive) = (several::database("sealed").await, tempfile::tempdir().unwrap());
    let join = async |url| several::join_keeping(&database, url, eager_at(archive.path(), false)).await;
    let (leader, other) = (join("http://127.0.0.1:1").await, join("http://127.0.0.1:2").await);
    several::until_serving(&leader).await;
    let id = leader.create_sweep("a wish", &map(50), &[]).await.unwrap().id;
    leader.register(worker("w", 2)).await.unwrap();
    while complete(&leader, &lease(&leader).await).await == Verdict::Accepted {
        if leader.sweep(&id).await.unwrap().0.progress.finished >= 30 {
            break;
        }
    }
    sealed(&leader, 20).await;
    leader.shutdown().await;

    several::until_serving(&other).await;
    other.register(worker("w", 2)).await.unwrap();
    work_off(&other).await;
    assert_eq!(sealed(&other, 50).await, [20, 20, 10]);
    assert!(read_all(&other, &id).await.iter().all(|result| result.records == [record(0)]));
}

#[tokio::test]
async fn an_archive_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Coordinator::open(folder.path(), &Place::Folder(file.join("archive")), patient()).await;
    let Err(error) = refused else { panic!("an archive in a file") };
    assert!(error.to_string().contains("file/archive cannot be used"), "{error}");
}

#[tokio::test]
async fn a_backup_has_the_segments_that_it_names_and_reads_the_same() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (coordinator, id) = with_eager_sweep(&folder, 47).await;
    work_off(&coordinator).await;
    sealed(&coordinator, 47).await;
    let all = read_all(&coordinator, &id).await;
    assert_eq!(backup(folder.path(), Some(&folder.path().join(ARCHIVE)), to.path()).unwrap(), 3);
    assert_eq!(read_all(&open_eager(&to).await, &id).await, all);

    let elsewhere = tempfile::tempdir().unwrap();
    let refused = backup(folder.path(), Some(&folder.path().join("elsewhere")), elsewhere.path()).unwrap_err();
    assert!(refused.to_string().contains("`--archive` names the folder"), "{refused}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    let damaged = &files(&folder, &id)[1];
    let whole = std::fs::read(damaged).unwrap();
    let mut spoilt = whole.clone();
    spoilt[whole.len() - 20] ^= 1;
    for (bytes, reason) in [(&whole[1..], "bytes of"), (&spoilt[..], "is not the one that was written")] {
        std::fs::write(damaged, bytes).unwrap();
        let refused = backup(folder.path(), Some(&folder.path().join(ARCHIVE)), elsewhere.path()).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(damaged.to_str().unwrap()) && refused.contains(reason), "{refused}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
    assert_eq!(backup(folder.path(), None, elsewhere.path()).unwrap(), 0);
}
