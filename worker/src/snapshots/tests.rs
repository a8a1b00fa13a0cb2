//! Claims about stored snapshots, made of every kind of place: a folder, and a server that speaks S3 and checks signatures.

use object_store::aws::AmazonS3Builder;
use tempfile::TempDir;

use self::s3::{BUCKET, S3, SECRET, USER};
use super::*;

#[path = "../../tests/worker/harness/s3.rs"]
mod s3;

/// A place of its own.
struct Ground {
    place: Place,
    store: Arc<dyn ObjectStore>,
    _folder: TempDir,
}

impl Ground {
    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().join("snapshots"));
        Self { store: objects::at(&place, Keeping::Loosely).unwrap().unwrap(), place, _folder: folder }
    }

    async fn s3() -> Self {
        let S3 { url, folder } = S3::start().await;
        let account = AmazonS3Builder::new().with_endpoint(url).with_access_key_id(USER);
        let store = objects::s3(account.with_secret_access_key(SECRET), BUCKET, "some/prefix").unwrap();
        let place = Place::S3 { bucket: BUCKET.into(), prefix: "some/prefix".into() };
        Self { place, store, _folder: folder }
    }

    /// The snapshots there as a worker of that name sees them.
    fn of(&self, writer: &str) -> Snapshots {
        Snapshots::in_store(Arc::clone(&self.store), self.place.clone(), writer)
    }

    /// Puts an object there that no worker has written.
    async fn put(&self, path: &str, bytes: Vec<u8>) {
        self.store.put(&Path::from(path), bytes.into()).await.unwrap();
    }

    async fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> =
            self.store.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        paths.sort();
        paths
    }
}

fn snapshot(digest: &str, step: u64) -> v1::Snapshot {
    v1::Snapshot { digest: digest.into(), step, weights: vec![7; 1000], ..Default::default() }
}

fn key(digest: &str, step: u64, writer: &str) -> String {
    format!("{digest}/{step:020}-{writer}")
}

async fn another_workers_newest_snapshot_is_found(ground: Ground) {
    assert_eq!(ground.of("a").newest("d").await, None);
    ground.put(&key("d", 9, "b"), envelope::seal(&snapshot("d", 9))).await;
    ground.of("a").keep(snapshot("d", 10)).await;
    ground.of("a").keep(snapshot("other", 11)).await;
    assert_eq!(ground.of("c").newest("d").await, Some(snapshot("d", 10)));
    let wanted = vec![(3, "other".to_owned()), (4, "none".to_owned())];
    assert_eq!(ground.of("c").newest_of(wanted).await, [(3, snapshot("other", 11))]);
}

async fn what_is_damaged_or_foreign_is_passed_over_for_the_next_best(ground: Ground) {
    ground.put(&key("d", 5, "a"), envelope::seal(&snapshot("d", 5))).await;
    let mut torn = envelope::seal(&snapshot("d", 6));
    torn.pop();
    ground.put(&key("d", 6, "a"), torn).await;
    ground.put(&key("d", 7, "a"), envelope::seal(&snapshot("another", 7))).await;
    ground.put(&key("d", 8, "a"), envelope::seal(&snapshot("d", 80))).await;
    ground.put(&key("d", 9, "a"), b"something else".to_vec()).await;
    ground.put("d/readme", envelope::seal(&snapshot("d", 10))).await;
    assert_eq!(ground.of("b").newest("d").await, Some(snapshot("d", 5)));
}

async fn a_newer_snapshot_replaces_older_ones_of_any_writer_and_nothing_else(ground: Ground) {
    for (step, writer) in [(5, "a"), (6, "b"), (7, "c"), (8, "c")] {
        ground.put(&key("d", step, writer), envelope::seal(&snapshot("d", step))).await;
    }
    ground.put(&key("other", 1, "a"), envelope::seal(&snapshot("other", 1))).await;
    ground.put("d/readme", vec![1]).await;
    ground.of("a").keep(snapshot("d", 7)).await;
    let left = [key("d", 7, "a"), key("d", 7, "c"), key("d", 8, "c"), "d/readme".to_owned(), key("other", 1, "a")];
    assert_eq!(ground.paths().await, left);
}

async fn a_finished_task_leaves_nothing_behind(ground: Ground) {
    ground.put(&key("d", 9, "b"), b"damaged".to_vec()).await;
    ground.of("a").keep(snapshot("d", 7)).await;
    ground.of("a").keep(snapshot("other", 1)).await;
    ground.of("a").forget("d").await;
    ground.of("a").forget("never-there").await;
    assert_eq!(ground.paths().await, [key("other", 1, "a")]);
}

macro_rules! of_every_place {
    ($($claim:ident)*) => {
        mod in_a_folder {
            $(#[tokio::test] async fn $claim() { super::$claim(super::Ground::folder()).await })*
        }
        mod in_s3 {
            $(#[tokio::test] async fn $claim() { super::$claim(super::Ground::s3().await).await })*
        }
    };
}

of_every_place! {
    another_workers_newest_snapshot_is_found
    what_is_damaged_or_foreign_is_passed_over_for_the_next_best
    a_newer_snapshot_replaces_older_ones_of_any_writer_and_nothing_else
    a_finished_task_leaves_nothing_behind
}

#[tokio::test]
async fn a_store_that_fails_is_left_alone_for_a_while_and_then_tried_again() {
    let ground = Ground::folder();
    let Place::Folder(folder) = ground.place.clone() else { panic!("a folder") };
    let snapshots = ground.of("a");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    assert_eq!(snapshots.newest("d").await, None);
    std::fs::remove_file(&folder).unwrap();
    snapshots.keep(snapshot("d", 2)).await;
    assert_eq!(ground.paths().await, [key("d", 2, "a")], "what is computed is kept although reading rests");
    assert_eq!(snapshots.newest("d").await, None, "it rests");
    *snapshots.reading.0.lock().unwrap() = Some(Instant::now());
    assert_eq!(snapshots.newest("d").await, Some(snapshot("d", 2)));

    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    snapshots.keep(snapshot("d", 3)).await;
    std::fs::remove_file(&folder).unwrap();
    snapshots.keep(snapshot("d", 4)).await;
    assert_eq!(ground.paths().await, [""; 0], "it rests");
    *snapshots.writing.0.lock().unwrap() = Some(Instant::now());
    snapshots.keep(snapshot("d", 5)).await;
    assert_eq!(snapshots.newest("d").await, Some(snapshot("d", 5)));
}

#[tokio::test]
async fn the_coordinators_folder_is_used_only_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let url = Place::folder(folder.path()).url();
    let snapshots = Snapshots::suggested(&url, "a").expect("it is there");
    snapshots.keep(snapshot("d", 1)).await;
    assert!(folder.path().join(key("d", 1, "a")).is_file());

    let absent = folder.path().join("absent");
    assert!(Snapshots::suggested(&format!("file://{}", absent.display()), "a").is_none());
    assert!(!absent.exists());
    for nowhere in ["", "none", "gs://bucket"] {
        assert!(Snapshots::suggested(nowhere, "a").is_none(), "{nowhere:?}");
    }
}
