//! What the coordinator does for people and workers, in domain types; `rpc/` opens it to the network.
//!
//! ```text
//! calls ──▶ actor: the desk (scheduler, catalogue) decides ──▶ writer: group commit ──▶ answers
//!                                                 results, baselines ◀── reader
//! ```
//!
//! A [`Coordinator`] is a handle. Each of its functions states what happened to the one `actor` that owns all state; the
//! answer travels behind the writes that it rests on, so nothing is said that a crash could take back. Results are read
//! beside the actor, from what is durable.

mod access;
mod actor;
mod aside;
#[cfg(test)]
pub(crate) mod by_hand;
mod catalogue;
mod control;
mod desk;
mod explain;
mod joined;
mod parking;
mod people;
mod publisher;
mod recall;
mod refusal;
#[cfg(test)]
mod tests;
mod token;
mod view;
mod workers;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::UNIX_EPOCH;

use phasegrid_proto::place::Place;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub use crate::scheduler::Settings;
pub use access::TokenWish;
pub use explain::{Explanation, ShardAccount};
pub use people::{LONGEST_REQUEST_ID, LONGEST_USER};
pub use recall::Known;
pub use refusal::{OpenError, Refusal};
pub use view::{
    Directives, FailedPoint, HeldLease, LeaseAnswer, LeasedRange, LeasedTask, Obstacle, Outcome, PastAttempt, Progress,
    Registration, Standing, Start, SweepState, SweepView, Terms, Verdict, WatchEvent, Wish, WorkerView,
};

use actor::{Actor, Message, SharedReader};
use desk::{Answer, Desk};
use parking::Parking;
use publisher::Publisher;

use crate::access::{Book, Caller};
use crate::clock;
use crate::metrics::{Metered, Metrics};
use crate::scheduler::{Moment, SweepKey};
use crate::store::sqlite::SqliteStore;
use crate::store::writer::{self, Batch};
use crate::store::{Reader, Store, StoreError};

/// Calls that wait for the actor; more wait at their senders.
const INBOX: usize = 1024;

/// A handle to a running coordinator, cheap to clone. The coordinator stops when it is told to, or with its last handle.
#[derive(Clone)]
pub struct Coordinator {
    settings: Settings,
    /// Where workers are told to keep snapshots, as a URL; empty if nowhere.
    snapshots: String,
    inbox: mpsc::Sender<Message>,
    reader: SharedReader,
    /// All tokens. Whoever changes it makes the change durable.
    access: Arc<Mutex<Book>>,
    /// On whose behalf this handle acts.
    caller: Caller,
    metrics: Arc<Metrics>,
}

impl Coordinator {
    /// Goes on with what the data folder holds, or begins with an empty one.
    ///
    /// # Errors
    /// If the folder cannot be used, in one sentence for a person.
    pub async fn open(data: &Path, settings: Settings) -> Result<Self, OpenError> {
        let data = data.to_owned();
        let open = move || -> Result<_, OpenError> {
            let store = SqliteStore::open(&data)?;
            let reader = store.reader()?;
            Self::start(store, reader, settings)
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// From now on tells workers to keep snapshots there. A folder is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn with_snapshots(self, place: &Place) -> Result<Self, OpenError> {
        if let Place::Folder(path) = place {
            let refused = |source| OpenError::Snapshots { path: path.clone(), source };
            std::fs::create_dir_all(path).map_err(refused)?;
        }
        Ok(Self { snapshots: place.url(), ..self })
    }

    /// Starts on an open store. Must be called within a runtime.
    fn start(store: impl Store, reader: impl Reader, settings: Settings) -> Result<Self, OpenError> {
        let (writer, batches) = std::sync::mpsc::channel();
        let (coordinator, mut actor) = Self::assemble(writer, reader, settings)?;
        let store = Metered::new(store, Arc::clone(&coordinator.metrics));
        let failed = actor.failed();
        actor.writer_thread = Some(writer::spawn(store, batches, failed).map_err(OpenError::Thread)?);
        let lives = |key: &SweepKey| actor.desk.scheduler.state(*key).is_some_and(|state| !state.has_ended());
        let unweighed: Vec<_> = actor.desk.catalogue.newest_first(None).filter(lives).collect();
        tokio::spawn(actor.run());
        for key in unweighed {
            coordinator.weigh_soon(key);
        }
        Ok(coordinator)
    }

    /// A coordinator and the actor behind it, which does not run yet. Somebody is to write the batches.
    fn assemble(
        writer: std::sync::mpsc::Sender<Batch>,
        mut reader: impl Reader,
        settings: Settings,
    ) -> Result<(Self, Actor), OpenError> {
        let desk = Desk::restore(settings.clone(), reader.sweeps()?, Moment::ZERO, None);
        let access = Arc::new(Mutex::new(Book::restore(reader.tokens()?)));
        let (sender, inbox) = mpsc::channel(INBOX);
        let reader: SharedReader = Arc::new(Mutex::new(Some(Box::new(reader))));
        let time_of_day = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let actor = Actor {
            settings: settings.clone(),
            started: Instant::now(),
            inbox,
            itself: sender.downgrade(),
            writer: Some(writer),
            writer_thread: None,
            reader: Arc::clone(&reader),
            desk,
            reload: None,
            parking: Parking::default(),
            publisher: Publisher::new(u64::try_from(time_of_day.as_millis()).unwrap_or_default()),
            tick: Moment::ZERO,
        };
        let (snapshots, caller, metrics) = (String::new(), Caller::Anyone, Arc::new(Metrics::new()));
        Ok((Self { settings, snapshots, inbox: sender, reader, access, caller, metrics }, actor))
    }

    /// Takes no more calls, commits what has gathered, and closes the store.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.inbox.send(Message::Shutdown(reply)).await.is_ok() {
            // Nothing to do if the actor ended for another reason.
            let _ = done.await;
        }
    }

    /// Lets the actor handle an event, and waits until everything that the answer rests on is durable.
    async fn decide<T: Send + 'static>(
        &self,
        event: impl FnOnce(&mut Desk, Moment) -> Answer<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.decide_with_publisher(move |desk, _, now| event(desk, now)).await
    }

    async fn decide_with_publisher<T: Send + 'static>(
        &self,
        event: impl FnOnce(&mut Desk, &mut Publisher, Moment) -> Answer<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.hand_in(event).await?.answer().await
    }

    /// Lets the actor handle an event after all that were handed in before, and does not wait for the answer.
    async fn hand_in<T: Send + 'static>(
        &self,
        event: impl FnOnce(&mut Desk, &mut Publisher, Moment) -> Answer<T> + Send + 'static,
    ) -> Result<Pending<T>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let event: actor::Event = Box::new(move |desk, publisher, now| {
            let (writes, outcome) = match event(desk, publisher, now) {
                Ok((writes, value)) => (writes, Ok(value)),
                Err(refusal) => (Vec::new(), Err(refusal)),
            };
            let done = move |durable: Result<(), StoreError>| {
                // Who asked may have gone meanwhile; what was decided stands.
                let _ = reply.send(durable.map_err(Refusal::from).and(outcome));
            };
            (writes, Box::new(done))
        });
        self.inbox.send(Message::Event(event)).await.map_err(|_| Refusal::unreachable())?;
        Ok(Pending(answer))
    }

    /// Reads beside the actor.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let reader = Arc::clone(&self.reader);
        let read = move || match reader.lock().unwrap_or_else(PoisonError::into_inner).as_deref_mut() {
            Some(reader) => Ok(question(reader)?),
            None => Err(Refusal::unreachable()),
        };
        aside::run(read).await.map_err(|_| Refusal::unreachable())?
    }
}

/// Reports that rest on each other: each is only taken if those before it were, and have not been given up since.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The generation of decisions in which the first was taken.
    generation: Arc<OnceLock<u64>>,
    /// One was not taken.
    broken: Arc<AtomicBool>,
}

impl Conversation {
    fn goes_on(&self, generation: u64) -> bool {
        !self.broken.load(Ordering::Acquire) && *self.generation.get_or_init(|| generation) == generation
    }

    /// A report on its way: unless it is taken, none after it is.
    fn next(&self) -> Utterance {
        Utterance { conversation: self.clone(), taken: false }
    }
}

/// A report of a conversation. Wherever it is dropped, be it on its way, those after it have nothing to rest on.
struct Utterance {
    conversation: Conversation,
    taken: bool,
}

impl Utterance {
    fn goes_on(&self, generation: u64) -> bool {
        self.conversation.goes_on(generation)
    }

    fn is_taken(&mut self) {
        self.taken = true;
    }
}

impl Drop for Utterance {
    fn drop(&mut self) {
        if !self.taken {
            self.conversation.broken.store(true, Ordering::Release);
        }
    }
}

/// The answer to something that was handed in; it comes when all that it rests on is durable.
#[derive(Debug)]
pub struct Pending<T>(oneshot::Receiver<Result<T, Refusal>>);

impl<T> Pending<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// As the call itself would.
    pub async fn answer(self) -> Result<T, Refusal> {
        self.0.await.unwrap_or_else(|_| Err(Refusal::unreachable()))
    }
}
