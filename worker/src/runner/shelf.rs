//! The snapshots of one running point: when the next is due, never two on the way at once, and that they are deleted when
//! the point is finished. Time is an argument.
//!
//! Deleting is an attempt, made once. Snapshots outlive their point if the store rests or fails just then, if the worker is
//! killed between the two, or leaves and the store is too slow for its grace; if a worker that has lost its lease keeps one more; and
//! if the sweep is cancelled. None of that does harm: whoever computes such a task again goes on from there.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use phasegrid_proto::v1;
use tokio::runtime::Handle;

use crate::snapshots::Snapshots;

/// Where the points of this worker have their shelves.
#[derive(Clone, Debug)]
pub(super) struct Library {
    pub(super) snapshots: Arc<Snapshots>,
    /// How much time passes between two snapshots of a point, at least.
    pub(super) interval: Duration,
    pub(super) runtime: Handle,
}

/// One point's snapshots.
#[derive(Debug)]
pub(super) struct Shelf {
    library: Library,
    /// When the point was started, or its last snapshot taken.
    last: Mutex<Instant>,
    /// The digest under which there are snapshots, once there are any.
    digest: OnceLock<String>,
    /// Locked while a snapshot is on the way.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Library {
    /// A place for the snapshots of a point that starts now, perhaps from a snapshot.
    pub(super) fn shelf(&self, now: Instant, brought: Option<&v1::Snapshot>) -> Shelf {
        Shelf {
            library: self.clone(),
            last: Mutex::new(now),
            digest: brought.map(|snapshot| snapshot.digest.clone().into()).unwrap_or_default(),
            writing: Arc::default(),
        }
    }
}

impl Shelf {
    /// Whether a snapshot is due, and none is on the way.
    pub(super) fn wants(&self, now: Instant) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(last) >= self.library.interval && self.writing.try_lock().is_ok()
    }

    /// Sends a snapshot on its way, without waiting.
    pub(super) fn keep(&self, now: Instant, snapshot: v1::Snapshot) {
        let Ok(writing) = Arc::clone(&self.writing).try_lock_owned() else { return };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.digest.set(snapshot.digest.clone()).ok();
        let snapshots = Arc::clone(&self.library.snapshots);
        self.library.runtime.spawn(async move {
            snapshots.keep(snapshot).await;
            drop(writing);
        });
    }

    /// There are snapshots, or one is on the way.
    pub(super) fn is_used(&self) -> bool {
        self.digest().is_some()
    }

    /// The digest under which there are snapshots.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.get().map(String::as_str)
    }

    /// Deletes the snapshots, that on the way included.
    pub(super) async fn clear(&self) {
        let _writing = self.writing.lock().await;
        if let Some(digest) = self.digest() {
            self.library.snapshots.forget(digest).await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use phasegrid_proto::place::Place;
    use tempfile::TempDir;

    use super::*;

    impl Shelf {
        /// An empty one in a folder of its own.
        pub(in crate::runner) fn lone() -> (TempDir, Self) {
            let (folder, library) = library(Duration::ZERO);
            let shelf = library.shelf(Instant::now(), None);
            (folder, shelf)
        }
    }

    pub(in crate::runner) fn library(interval: Duration) -> (TempDir, Library) {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(Place::Folder(folder.path().into()), "w").unwrap();
        (folder, Library { snapshots: Arc::new(snapshots), interval, runtime: Handle::current() })
    }

    fn snapshot(step: u64) -> v1::Snapshot {
        v1::Snapshot { digest: "d".into(), step, ..Default::default() }
    }

    #[tokio::test]
    async fn a_snapshot_is_wanted_once_the_interval_has_passed_since_the_start_or_the_last() {
        let interval = Duration::from_secs(10);
        let (_folder, library) = library(interval);
        let mut now = Instant::now();
        let shelf = library.shelf(now, None);
        for step in [3, 7] {
            assert!(!shelf.wants(now + interval - Duration::from_millis(1)));
            now += interval;
            assert!(shelf.wants(now));
            shelf.keep(now, snapshot(step));
            drop(shelf.writing.lock().await);
        }
        assert_eq!(library.snapshots.newest("d").await, Some(snapshot(7)));
    }

    #[tokio::test]
    async fn none_is_wanted_or_taken_while_one_is_on_the_way() {
        let ((_folder, library), now) = (library(Duration::ZERO), Instant::now());
        let shelf = library.shelf(now, None);
        assert!(shelf.wants(now) && !shelf.is_used());
        shelf.keep(now, snapshot(1));
        // The runtime has had no chance to write it.
        assert!(!shelf.wants(now) && shelf.is_used());
        shelf.keep(now, snapshot(2));
        drop(shelf.writing.lock().await);
        assert!(shelf.wants(now));
        assert_eq!(library.snapshots.newest("d").await, Some(snapshot(1)));
    }

    #[tokio::test]
    async fn clearing_waits_for_what_is_on_the_way_and_takes_what_was_brought() {
        let ((_folder, library), now) = (library(Duration::ZERO), Instant::now());
        library.snapshots.keep(snapshot(1)).await;
        let shelf = library.shelf(now, Some(&snapshot(1)));
        shelf.keep(now, snapshot(2));
        shelf.clear().await;
        assert_eq!(library.snapshots.newest("d").await, None);
        library.shelf(now, None).clear().await;
    }
}
