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
//! leads (`election`), and calls are refused while it stands by (`standing`).

mod actor;
mod catalogue;
mod desk;
mod election;
mod joined;
mod parking;
mod people;
mod publisher;
mod refusal;
mod standing;
#[cfg(test)]
mod tests;
mod token;
mod view;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use phasegrid_proto::place::Place;
use tokio::sync::{oneshot, watch};

pub use crate::scheduler::Settings;
pub use refusal::{OpenError, Refusal};
pub use view::{
    Directives, FailedPoint, HeldLease, LeaseAnswer, LeasedRange, LeasedTask, Outcome, Progress, Registration,
    SweepState, SweepView, Terms, Verdict, WatchEvent, WorkerView,
};

use actor::Message;
use desk::{Answer, Desk};
use election::Office;
use publisher::Publisher;
use standing::{Running, Standing};

use crate::scheduler::Moment;
use crate::store::postgres::{Address, Database};
use crate::store::sqlite::SqliteStore;
use crate::store::{Reader, Store, StoreError};

/// A handle to a running coordinator, cheap to clone. The coordinator stops when it is told to, or with its last handle.
#[derive(Clone)]
pub struct Coordinator {
    settings: Settings,
    /// Where workers are told to keep snapshots, as a URL; empty if nowhere.
    snapshots: String,
    standing: watch::Receiver<Standing>,
    /// Where it may have to stand by.
    office: Option<Arc<Office>>,
}

impl Coordinator {
    /// Goes on with what the data folder holds, or begins with an empty one.
    ///
    /// # Errors
    /// If the folder cannot be used, in one sentence for a person.
    pub async fn open(data: &Path, settings: Settings) -> Result<Self, OpenError> {
        let data = data.to_owned();
        blocking(move || {
            let store = SqliteStore::open(&data)?;
            let reader = store.reader()?;
            Self::start(store, reader, settings)
        })
        .await
    }

    /// Joins the coordinators on a database, and leads or stands by. `url` is where this one answers.
    ///
    /// # Errors
    /// If the database cannot be used, in one sentence for a person.
    pub async fn join(address: &Address, url: &str, settings: Settings) -> Result<Self, OpenError> {
        Self::join_with_terms_of(election::TERM, address, url, settings).await
    }

    async fn join_with_terms_of(
        lasting: Duration,
        address: &Address,
        url: &str,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let (address, url, own) = (address.clone(), url.to_owned(), settings.clone());
        let take_part = move || election::take_part(Database::open(&address)?, address, url, own, lasting);
        let (office, mut standing) = blocking(take_part).await?;
        // It is known whether it leads when this returns. It ends without a word only by a panic, which was told.
        let _ = standing.changed().await;
        Ok(Self { office: Some(office), ..Self::with_standing(settings, standing) })
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
        let (running, unweighed) = Running::start(store, reader, settings.clone())?;
        let coordinator = Self::with_standing(settings, watch::channel(Standing::Serving(running)).1);
        unweighed.into_iter().for_each(|key| coordinator.weigh_soon(key));
        Ok(coordinator)
    }

    fn with_standing(settings: Settings, standing: watch::Receiver<Standing>) -> Self {
        Self { settings, snapshots: String::new(), standing, office: None }
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
        match &*self.standing.borrow() {
            Standing::Serving(running) => Ok(running.clone()),
            Standing::Absent(reason) => Err(Refusal::Unavailable(reason.clone())),
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
        tokio::task::spawn_blocking(read).await.map_err(|_| Refusal::unreachable())?
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
