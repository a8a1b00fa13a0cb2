//! What the coordinator does for people and workers, in domain types; `rpc/` opens it to the network.
//!
//! ```text
//! calls ──▶ actor: the desk (scheduler, catalogue) decides ──▶ writer: group commit ──▶ answers
//!                                                 results, baselines ◀── reader
//! ```
//!
//! A [`Coordinator`] is a handle. Each of its functions states what happened to the one `actor` that owns all state; the
//! answer travels behind the writes that it rests on, so nothing is said that a crash could take back. Results are read
//! beside the actor, from what is durable. Where several coordinators share a database there is an actor while this one
//! leads (`election`), and calls are refused while it stands by (`duty`).

mod access;
mod actor;
mod aside;
#[cfg(test)]
pub(crate) mod by_hand;
mod catalogue;
mod control;
mod desk;
mod duty;
mod election;
mod explain;
mod heap;
mod joined;
mod parking;
mod people;
mod publisher;
mod recall;
mod reclaim;
mod records;
mod refusal;
mod sealing;
#[cfg(test)]
mod tests;
mod token;
mod view;
mod workers;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use phasegrid_proto::place::Place;
use tokio::sync::{oneshot, watch};

pub use crate::scheduler::Settings;
pub use access::TokenWish;
pub use explain::{Explanation, ShardAccount};
pub use people::{LONGEST_REQUEST_ID, LONGEST_USER};
pub use recall::Known;
pub use refusal::{OpenError, Refusal};
pub use view::{
    Cession, Directives, FailedPoint, HeldLease, Kept, LeaseAnswer, LeasedRange, LeasedTask, Obstacle, Outcome,
    PastAttempt, Progress, ReclaimedLease, Registration, Standing, Start, SweepState, SweepView, Terms, Verdict,
    WatchEvent, Wish, WorkerView,
};

use crate::access::{Book, Caller};
use crate::archive::Archive;
use crate::metrics::Metrics;
use crate::scheduler::Moment;
use crate::store::postgres::{Address, Database};
use crate::store::sqlite::SqliteStore;
use crate::store::{Reader, Store, StoreError};
use actor::Message;
use desk::{Answer, Desk};
use duty::{Duty, Running};
use election::Office;
use heap::Measure;
use publisher::Publisher;
use records::Patience;

/// A handle to a running coordinator, cheap to clone. The coordinator stops when it is told to, or with its last handle.
#[derive(Clone)]
pub struct Coordinator {
    settings: Settings,
    /// Where workers are told to keep snapshots, as a URL; empty if nowhere.
    snapshots: String,
    duty: watch::Receiver<Duty>,
    /// Where it may have to stand by.
    office: Option<Arc<Office>>,
    /// All tokens, as they were when this coordinator began to serve. Whoever changes it makes the change durable.
    access: Arc<Mutex<Book>>,
    /// Where records of finished points go; they stay in the database if nowhere.
    keeping: Keeping,
    /// On whose behalf this handle acts.
    caller: Caller,
    metrics: Arc<Metrics>,
}

impl Coordinator {
    /// Goes on with what the data folder holds, or begins with an empty one. Records of finished points go to the archive; in
    /// the folder [`ARCHIVE`] of the data folder it is this coordinator's alone.
    ///
    /// # Errors
    /// If the folder or the archive cannot be used, in one sentence for a person.
    pub async fn open(data: &Path, archive: impl Into<Archiving>, settings: Settings) -> Result<Self, OpenError> {
        let (data, archive) = (data.to_owned(), archive.into());
        blocking(move || {
            let store = SqliteStore::open(&data)?;
            let keeping = Keeping::at(&archive, archive.place == Place::folder(&data.join(ARCHIVE)))?;
            let (reader, records) = (store.reader()?, store.reader()?);
            Self::start(store, reader, records, keeping, settings)
        })
        .await
    }

    /// Joins the coordinators on a database, and leads or stands by. `url` is where this one answers. All of them name the
    /// same archive.
    ///
    /// # Errors
    /// If the database or the archive cannot be used, in one sentence for a person.
    pub async fn join(
        address: &Address,
        url: &str,
        archive: impl Into<Archiving>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let keeping = Keeping::at(&archive.into(), false)?;
        Self::join_with_terms_of(election::TERM, address, url, keeping, settings).await
    }

    async fn join_with_terms_of(
        lasting: Duration,
        address: &Address,
        url: &str,
        keeping: Keeping,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let (address, url) = (address.clone(), url.to_owned());
        let take_part =
            move || election::take_part(Database::open(&address)?, address, url, keeping, settings, lasting);
        let coordinator = blocking(take_part).await?;
        // It is known whether it leads when this returns. It ends without a word only by a panic, which was told.
        let _ = coordinator.duty.clone().changed().await;
        Ok(coordinator)
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

    /// Starts on an open store, with a reader for all and one for records. Must be called within a runtime.
    fn start(
        store: impl Store,
        reader: impl Reader,
        records: impl Reader,
        keeping: Keeping,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let (duty, coordinator) = Self::new(keeping, settings);
        let (running, unweighed) = Running::start(store, reader, records, &coordinator)?;
        duty.send_replace(Duty::Serving(running));
        unweighed.into_iter().for_each(|key| coordinator.weigh_soon(key));
        Ok(coordinator)
    }

    /// A handle to a coordinator that does not serve yet, and what says when it does.
    fn new(keeping: Keeping, settings: Settings) -> (watch::Sender<Duty>, Self) {
        let (sender, duty) = watch::channel(Duty::Absent("the coordinator is starting; ask again".to_owned()));
        let (access, metrics) = (Arc::new(Mutex::new(Book::default())), Arc::new(Metrics::new()));
        let (snapshots, caller) = (String::new(), Caller::Anyone);
        (sender, Self { settings, snapshots, duty, office: None, access, keeping, caller, metrics })
    }

    /// Takes no more calls, commits what has gathered, and closes the store.
    pub async fn shutdown(&self) {
        if let Some(office) = self.office.clone() {
            blocking(move || office.leave()).await;
        } else if let Ok(running) = self.running() {
            running.shutdown().await;
        }
    }

    /// Who answers calls, if anybody does here.
    fn running(&self) -> Result<Running, Refusal> {
        match &*self.duty.borrow() {
            Duty::Serving(running) => Ok(running.clone()),
            Duty::Absent(reason) => Err(Refusal::Unavailable(reason.clone())),
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
        self.running()?.inbox.send(Message::Event(event)).await.map_err(|_| Refusal::unreachable())?;
        Ok(Pending(answer))
    }

    /// Reads beside the actor.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let running = self.running()?;
        let read = move || Ok(running.read(question).ok_or_else(Refusal::unreachable)??);
        aside::run(read).await.map_err(|_| Refusal::unreachable())?
    }

    /// The same of what may have to be fetched from the archive: no other question waits for it.
    async fn read_records<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let records = self.running()?.records;
        let answer = records.ask(question).await.ok().flatten().ok_or_else(Refusal::unreachable)?;
        if matches!(answer, Err(StoreError::Failed { .. })) {
            // Leases need not find out for themselves.
            records.away_for(self.keeping.patience.away);
        }
        Ok(answer?)
    }
}

/// The folder for the archive in the data folder.
pub const ARCHIVE: &str = "archive";

/// Records that make a segment, unless told otherwise.
pub const SEAL_RECORDS: u32 = 65_536;

/// Where records of finished points go, and how many at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Archiving {
    /// Where.
    pub place: Place,
    /// So many records make a segment.
    pub seal_records: u32,
}

impl From<&Place> for Archiving {
    fn from(place: &Place) -> Self {
        Self { place: place.clone(), seal_records: SEAL_RECORDS }
    }
}

impl From<&Self> for Archiving {
    fn from(archiving: &Self) -> Self {
        archiving.clone()
    }
}

impl fmt::Display for Archiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// Where records of finished points are kept, and when they go there.
#[derive(Clone, Debug, Default)]
struct Keeping {
    archive: Option<Archive>,
    /// Nobody else seals there.
    alone: bool,
    measure: Measure,
    /// With those that are needed for nothing but to save work.
    patience: Patience,
}

impl Keeping {
    fn at(Archiving { place, seal_records }: &Archiving, alone: bool) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Archive { place: place.to_string(), source };
        let archive = Archive::at(place).map_err(unusable)?;
        Ok(Self { archive, alone, measure: Measure::of(*seal_records), patience: Patience::default() })
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

/// Does what blocks where that is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
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
