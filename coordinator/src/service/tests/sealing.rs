//! Records that go to the archive while all else goes on.

use std::path::PathBuf;

use super::*;
use crate::scheduler::SweepKey;
use crate::store::sqlite::backup;

/// Seals as soon as there is a segment of twenty records, which is as many points.
fn eager() -> Measure {
    Measure { full_rows: 20, full_bytes: usize::MAX, least_rows: 5, interval: Duration::from_millis(1) }
}

fn eager_at(folder: &Path, alone: bool) -> Keeping {
    Keeping { measure: eager(), ..Keeping::at(&Place::folder(folder), alone).unwrap() }
}

async fn open_eager(folder: &tempfile::TempDir) -> Coordinator {
    let data = folder.path().to_owned();
    blocking(move || {
        let store = SqliteStore::open(&data).unwrap();
        let (reader, records) = (store.reader().unwrap(), store.reader().unwrap());
        Coordinator::start(store, reader, records, eager_at(&data.join(ARCHIVE), true), patient()).unwrap()
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
    assert!(refused.to_string().contains("let the setting `archive` name the place"), "{refused}");
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
async fn what_a_crash_left_between_file_and_database_is_cleared_and_sealed_again() {
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
    assert_eq!(backup(folder.path(), None, elsewhere.path()).unwrap(), 0);
}
