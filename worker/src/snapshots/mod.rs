//! Snapshots of long tasks, so that another worker goes on where one was lost.
//!
//! An object is `DIGEST/STEP-WRITER`. The digest of a task's configuration decides its whole course, so a snapshot of that
//! digest is as good as any other, whoever wrote it: nothing is fenced, nothing is written conditionally, and keys are the
//! writer's own. What is kept here is never needed: a store that fails costs warnings and work done twice.

mod envelope;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use phasegrid_proto::objects::{self, Keeping};
use phasegrid_proto::place::{PLACES, Place};
use phasegrid_proto::v1;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// How long an operation may take before the store counts as away.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same of a look at what there is of a task, for which its lease waits.
const LOOK_PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing is asked of a store that failed.
const REST: Duration = Duration::from_secs(60);
/// Tasks that are looked up at once.
const LOOKED_UP_AT_ONCE: usize = 32;
/// Snapshots that are read at once.
const READ_AT_ONCE: usize = 8;

/// What a person says about snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Where they are kept; `None` is where the coordinator says.
    pub place: Option<Place>,
    /// How much time passes between two snapshots of a task, at least.
    pub interval: Duration,
}

impl SnapshotSettings {
    /// The snapshots at the place that was set, or else at the one that the coordinator suggests.
    #[must_use]
    pub fn open(self, suggestion: &str, writer: &str) -> Option<Snapshots> {
        match self.place {
            Some(place) => Snapshots::at(place, writer),
            None => Snapshots::suggested(suggestion, writer),
        }
    }
}

/// The snapshots of all tasks in one place.
#[derive(Debug)]
pub struct Snapshots {
    store: Arc<dyn ObjectStore>,
    place: Place,
    /// Unique to the process.
    writer: String,
    /// Looking up and reading rest by themselves: what was computed is kept, and what is finished deleted, all the same.
    reading: Rest,
    writing: Rest,
}

/// Until when the store is left alone.
#[derive(Debug, Default)]
struct Rest(Mutex<Option<Instant>>);

/// An object's key, taken apart.
#[derive(Debug)]
struct Key {
    step: u64,
    path: Path,
}

impl Snapshots {
    /// Those at `place`, for a worker named `writer`; `None`, and a warning, if there can be none there.
    #[must_use]
    pub fn at(place: Place, writer: &str) -> Option<Self> {
        match objects::at(&place, Keeping::Loosely) {
            Ok(store) => Some(Self::in_store(store?, place, writer)),
            Err(error) => {
                tracing::warn!(%place, %error, "no snapshots can be kept there; lost tasks begin anew");
                None
            }
        }
    }

    /// Those at the place that the coordinator names, which may lie on another machine. Empty is nowhere.
    #[must_use]
    fn suggested(place: &str, writer: &str) -> Option<Self> {
        if place.is_empty() {
            return None;
        }
        match place.parse() {
            Ok(Place::Folder(folder)) if !folder.is_dir() => {
                tracing::info!(place, "the coordinator's folder for snapshots is not on this machine; none are kept");
                None
            }
            Ok(place) => Self::at(place, writer),
            Err(()) => {
                tracing::warn!(place, accepted = PLACES, "the coordinator's place for snapshots is not understood");
                None
            }
        }
    }

    fn in_store(store: Arc<dyn ObjectStore>, place: Place, writer: &str) -> Self {
        Self { store, place, writer: writer.to_owned(), reading: Rest::default(), writing: Rest::default() }
    }

    /// The newest snapshot of each of these digests that has one, with what the digest came with. Each digest is looked up by
    /// itself: how many others there are, of all sweeps of all times, makes no difference.
    pub async fn newest_of<T>(&self, wanted: Vec<(T, String)>) -> Vec<(T, v1::Snapshot)> {
        let look = |(with, digest): (T, String)| async move {
            let keys = self.attempt(&self.reading, "looked up", LOOK_PATIENCE, self.keys(&digest)).await?;
            (!keys.is_empty()).then_some((with, digest, keys))
        };
        let begun = some_of(stream::iter(wanted).map(look).buffer_unordered(LOOKED_UP_AT_ONCE)).await;
        let read = |(with, digest, keys): (T, String, Vec<Key>)| async move {
            Some((with, self.newest_among(&digest, keys).await?))
        };
        some_of(stream::iter(begun).map(read).buffer_unordered(READ_AT_ONCE)).await
    }

    /// The newest whole snapshot of a digest.
    pub async fn newest(&self, digest: &str) -> Option<v1::Snapshot> {
        self.newest_of(vec![((), digest.to_owned())]).await.pop().map(|((), snapshot)| snapshot)
    }

    async fn newest_among(&self, digest: &str, mut keys: Vec<Key>) -> Option<v1::Snapshot> {
        keys.sort_by_key(|key| std::cmp::Reverse(key.step));
        let newest = async {
            for Key { step, path } in keys {
                match self.read(&path).await? {
                    Ok(snapshot) if snapshot.digest == digest && snapshot.step == step => return Ok(Some(snapshot)),
                    Ok(_) => self.pass_over(&path, "it is another task's"),
                    Err(reason) => self.pass_over(&path, &reason),
                }
            }
            Ok(None)
        };
        self.attempt(&self.reading, "read", PATIENCE, newest).await.flatten()
    }

    /// Keeps a snapshot, and lets go of the task's older ones once it is whole.
    pub async fn keep(&self, snapshot: v1::Snapshot) {
        let path = Path::from(format!("{}/{:020}-{}", snapshot.digest, snapshot.step, self.writer));
        let keep = async {
            let (digest, step) = (snapshot.digest.clone(), snapshot.step);
            let sealed = blocking(move || envelope::seal(&snapshot)).await;
            self.store.put(&path, sealed.into()).await?;
            self.delete(self.keys(&digest).await?.into_iter().filter(|key| key.step < step)).await
        };
        self.attempt(&self.writing, "kept", PATIENCE, keep).await;
    }

    /// Deletes a task's snapshots, whoever wrote them.
    pub async fn forget(&self, digest: &str) {
        let forget = async { self.delete(self.keys(digest).await?).await };
        self.attempt(&self.writing, "deleted", PATIENCE, forget).await;
    }

    /// A task's snapshots. What is not named like one is none of ours.
    async fn keys(&self, digest: &str) -> object_store::Result<Vec<Key>> {
        let objects = self.store.list(Some(&Path::from(digest)));
        let key = |path: Path| Some(Key { step: step(path.filename()?)?, path });
        objects.try_filter_map(|object| std::future::ready(Ok(key(object.location)))).try_collect().await
    }

    /// A snapshot, or what is wrong with it.
    async fn read(&self, path: &Path) -> object_store::Result<Result<v1::Snapshot, String>> {
        match self.store.get(path).await {
            Ok(object) => {
                let bytes = object.bytes().await?;
                Ok(blocking(move || envelope::open(&bytes)).await.map_err(|damage| damage.to_string()))
            }
            // Its writer has a newer one by now, or has finished.
            Err(error @ object_store::Error::NotFound { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, keys: impl IntoIterator<Item = Key>) -> object_store::Result<()> {
        for Key { path, .. } in keys {
            match self.store.delete(&path).await {
                // Another writer was faster.
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn pass_over(&self, path: &Path, reason: &str) {
        tracing::warn!(place = %self.place, snapshot = %path, reason, "a snapshot cannot be used; the next best is tried");
    }

    /// Does `work` unless the store rests from such. A failure is told here, and lets it rest.
    async fn attempt<T>(
        &self,
        rest: &Rest,
        done: &str,
        patience: Duration,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Option<T> {
        if rest.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let reason = match timeout(patience, work).await {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", patience.as_secs()),
        };
        let until = Instant::now() + REST;
        let before = rest.0.lock().unwrap_or_else(PoisonError::into_inner).replace(until);
        // What failed beside it is not told again.
        if before.is_none_or(|before| before < until - REST) {
            let minutes = REST.as_secs() / 60;
            tracing::warn!(place = %self.place, reason, minutes, "snapshots cannot be {done}; doing without for a while");
        }
        None
    }
}

/// The step that an object's name begins with, if it is the name of a snapshot.
fn step(name: &str) -> Option<u64> {
    let (step, _writer) = name.split_once('-')?;
    let digits = step.len() == 20 && step.bytes().all(|byte| byte.is_ascii_digit());
    step.parse().ok().filter(|_| digits)
}

/// Those of a stream's items that there are.
async fn some_of<T>(items: impl Stream<Item = Option<T>>) -> Vec<T> {
    items.filter_map(std::future::ready).collect().await
}

/// Computes beside the runtime, whose thread has others to talk to.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests;
