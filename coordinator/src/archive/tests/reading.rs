//! Claims about reading through the store: sealed or not, records are the same; and of a file only what is wanted is read.

use std::fmt;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::s3::{BUCKET, S3, SECRET, USER};
use super::*;
use crate::results::TaskResult;
use crate::scheduler::{Change, Points};
use crate::store::contract::{SWEEP, entry, finish, grant, lease};
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::{Reader, Store, Write};

#[path = "../../../../worker/tests/worker/harness/s3.rs"]
mod s3;

/// Points of the sweep, each with ten records.
const POINTS: u64 = 4000;

/// A store that counts the bytes that are asked of it.
#[derive(Debug)]
struct Counting {
    store: Arc<dyn ObjectStore>,
    bytes: Arc<Mutex<u64>>,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(GetRange::Bounded(range)) = &options.range else { panic!("a whole file is asked for") };
        *self.bytes.lock().unwrap() += range.end - range.start;
        self.store.get_opts(location, options).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(at, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// A store with a sweep whose points have finished, and an archive that counts.
struct Ground {
    store: SqliteStore,
    plain: SqliteReader,
    archive: Archive,
    bytes: Arc<Mutex<u64>>,
    runtime: Runtime,
    _folders: [TempDir; 2],
}

impl Ground {
    fn folder(points: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().join("archive"));
        let store = objects::at(&place, Keeping::Durably).unwrap().unwrap();
        Self::new(points, place, store, folder, Runtime::new().unwrap())
    }

    fn s3(points: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let S3 { url, folder } = runtime.block_on(S3::start());
        let account = AmazonS3Builder::new().with_endpoint(url).with_access_key_id(USER);
        let store = objects::s3(account.with_secret_access_key(SECRET), BUCKET, "a/prefix").unwrap();
        let place = Place::S3 { bucket: BUCKET.into(), prefix: "a/prefix".into() };
        Self::new(points, place, store, folder, runtime)
    }

    fn new(points: u64, place: Place, store: Arc<dyn ObjectStore>, folder: TempDir, runtime: Runtime) -> Self {
        let data = tempfile::tempdir().unwrap();
        let bytes = Arc::default();
        let archive =
            Archive { store: Arc::new(Counting { store, bytes: Arc::clone(&bytes) }), place, patience: PATIENCE };
        let mut store = SqliteStore::open(data.path()).unwrap();
        let records = plain_records(0..points);
        let recorded = Write::Schedule(Change::Recorded { lease: lease(1), records });
        let writes = [Write::Create(entry(SWEEP, points)), grant(1, 0..points), recorded, finish(1, 0..points, [])];
        store.commit(&writes, UNIX_EPOCH).unwrap();
        let plain = store.reader().unwrap();
        Self { store, plain, archive, bytes, runtime, _folders: [folder, data] }
    }

    fn results(&self, from: u64, limit: usize) -> std::result::Result<Vec<TaskResult>, StoreError> {
        let _within = self.runtime.enter();
        self.reader().results(SWEEP, from, limit)
    }

    fn reader(&self) -> SealedReader<SqliteReader> {
        SealedReader::new(self.store.reader().unwrap(), Some(self.archive.clone()))
    }

    /// Seals these of the points.
    fn seal(&mut self, number: u64, points: impl IntoIterator<Item = u64>) -> Segment {
        let points: Points = points.into_iter().collect();
        let mut records = self.plain.unsealed(SWEEP, 0, usize::MAX >> 1).unwrap().records;
        records.retain(|record| points.contains(record.point));
        let draft = Draft::new(&records).unwrap();
        let segment = self.runtime.block_on(self.archive.put(draft, (SWEEP, "map-1"), number)).unwrap();
        self.store.commit(&[Write::Sealed(segment.clone())], UNIX_EPOCH).unwrap();
        segment
    }

    fn asked(&self) -> u64 {
        std::mem::take(&mut *self.bytes.lock().unwrap())
    }
}

fn whether_sealed_or_not_records_are_the_same(mut ground: Ground) {
    let all = ground.results(0, 100).unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|result| result.records.len() == 10));
    ground.seal(1, (0..20).filter(|point| point % 3 > 0));
    assert_eq!(ground.results(0, 100).unwrap(), all);
    ground.seal(2, (0..20).filter(|point| point % 3 == 0).chain(25..30));
    assert_eq!(ground.plain.results(SWEEP, 0, 100).unwrap()[19].records, [], "it is no row any more");
    for limit in [1, 7, 30] {
        let pages = (0..30).step_by(limit).map(|from| ground.results(from as u64, limit).unwrap());
        assert_eq!(pages.collect::<Vec<_>>().concat(), all, "in pages of {limit}");
    }
}

#[test]
fn whether_sealed_in_a_folder_or_not_records_are_the_same() {
    whether_sealed_or_not_records_are_the_same(Ground::folder(30));
}

#[test]
fn whether_sealed_in_s3_or_not_records_are_the_same() {
    whether_sealed_or_not_records_are_the_same(Ground::s3(30));
}

#[test]
fn of_a_file_only_the_row_groups_of_the_wanted_points_are_read() {
    let mut ground = Ground::folder(POINTS);
    let all = ground.plain.results(SWEEP, 0, POINTS as usize).unwrap();
    let segment = ground.seal(1, 0..POINTS);
    assert_eq!(ground.asked(), 0);
    let _within = ground.runtime.enter();
    let mut reader = ground.reader();
    let mut read = |from: u64, limit| {
        let page = reader.results(SWEEP, from, limit).unwrap();
        assert!(page == all[from as usize..][..limit], "the page from {from}");
        ground.asked() as f64 / segment.bytes as f64
    };
    // 40,000 rows are five row groups, the last of 7232.
    let footer = segment.footer as f64 / segment.bytes as f64;
    let first = read(0, 100);
    assert!((0.18 + footer..0.23 + footer).contains(&first), "the footer ({footer}) and one row group: {first}");
    assert_eq!(read(100, 100), 0.0, "the row group is known");
    let across = read(800, 100);
    assert!((0.18..0.23).contains(&across), "row group 2, as 1 is known: {across}");
    let back = read(800, 100);
    assert!((0.18..0.23).contains(&back), "row group 1, as 2 is known: {back}");
    let last = read(POINTS - 100, 100);
    assert!((0.15..0.20).contains(&last), "the last row group: {last}");
}

#[test]
fn a_file_that_is_gone_is_named_with_what_to_do() {
    let mut ground = Ground::folder(3);
    let segment = ground.seal(1, 0..3);
    ground.runtime.block_on(ground.archive.store.delete(&Path::from(segment.name.as_str()))).unwrap();
    let refused = ground.results(0, 3).unwrap_err();
    let StoreError::Segment { file, reason } = &refused else { panic!("{refused}") };
    assert!(file.ends_with(&format!("/archive/{}", segment.name)), "{file}");
    assert_eq!(reason, "it is not there");
    assert!(refused.to_string().ends_with("put the file back, from a backup if need be"), "{refused}");

    let mut nowhere = SealedReader::new(ground.store.reader().unwrap(), None);
    let refused = nowhere.results(SWEEP, 0, 3).unwrap_err().to_string();
    assert!(refused.contains("let the setting `archive` name the place that has it"), "{refused}");
}

#[test]
fn a_file_that_is_not_what_was_written_is_never_read_as_something() {
    let mut ground = Ground::folder(50);
    let all = ground.results(0, 50).unwrap();
    let segment = ground.seal(1, 0..50);
    let Place::Folder(folder) = &ground.archive.place else { panic!("a folder") };
    let path = folder.join(&segment.name);
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(97).chain(whole.len() - 12..whole.len()) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).unwrap();
        match ground.results(0, 50) {
            Err(StoreError::Segment { .. }) => refused += 1,
            // Parquet's first word is not looked at.
            outcome => assert_eq!((outcome.as_ref(), at), (Ok(&all), 0)),
        }
    }
    assert!(refused > 20);
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(ground.results(0, 50).is_err(), "cut short");
    std::fs::write(&path, whole).unwrap();
    assert_eq!(ground.results(0, 50).unwrap(), all);
}

#[test]
fn what_was_never_named_is_set_aside_and_drafts_are_deleted_and_nothing_else() {
    let mut ground = Ground::folder(10);
    let named = ground.seal(1, 0..5);
    let records = ground.plain.unsealed(SWEEP, 0, 100).unwrap().records;
    let orphan = Draft::new(&records).unwrap();
    let orphan = ground.runtime.block_on(ground.archive.put(orphan, (SWEEP, "map-1"), 2)).unwrap();
    let Place::Folder(folder) = ground.archive.place.clone() else { panic!("a folder") };
    let whole = std::fs::read(folder.join(&orphan.name)).unwrap();
    let others = ["notes.txt", "map-1/notes.txt", "map-1/a#b", "map-2/00000001-00000000.parquet"];
    std::fs::create_dir(folder.join("map-2")).unwrap();
    others.iter().for_each(|name| std::fs::write(folder.join(name), "mine").unwrap());
    std::fs::write(folder.join("map-1/00000003-00000000.parquet#1"), "half").unwrap();
    let litter = ground.archive.tidy("map-1", |name| name == named.name).unwrap();
    assert_eq!(litter, Litter { set_aside: 1, drafts: 1 });
    assert!(!folder.join(&orphan.name).exists());
    assert_eq!(std::fs::read(folder.join("unnamed").join(&orphan.name)).unwrap(), whole, "it may be all there is");
    assert!(others.iter().chain([&named.name.as_str()]).all(|name| folder.join(name).exists()));
    assert_eq!(std::fs::read_dir(folder.join("map-1")).unwrap().count(), 3);
    assert_eq!(ground.archive.tidy("map-1", |name| name == named.name).unwrap(), Litter::default());
    assert_eq!(ground.archive.tidy("map-3", |_| false).unwrap(), Litter::default(), "it has no folder yet");
}

#[test]
fn of_many_footers_those_are_kept_that_were_wanted_last() {
    let mut ground = Ground::folder(66);
    (0..66).for_each(|point| drop(ground.seal(point + 1, [point])));
    let _within = ground.runtime.enter();
    let mut reader = ground.reader();
    let mut asked = |point| {
        reader.results(SWEEP, point, 1).unwrap();
        ground.asked()
    };
    let (first, again) = (asked(0), asked(1));
    assert!(first > 0 && again > 0);
    // The first is wanted again and again while all others come by once.
    for point in 2..66 {
        asked(point);
        let known = asked(0);
        assert!(known > 0 && known < first, "a row group and no footer");
    }
    assert_eq!(asked(1), again, "the second had to go");
}
