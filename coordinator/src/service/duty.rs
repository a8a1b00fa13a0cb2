//! Whether a coordinator serves: it does, or it is absent and says why.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::actor::{Actor, Message, SharedReader};
use super::desk::Desk;
use super::parking::Parking;
use super::publisher::Publisher;
use super::records::Records;
use super::sealing::Sealing;
use super::{Coordinator, Keeping, OpenError};
use crate::archive::SealedReader;
use crate::clock;
use crate::metrics::Metered;
use crate::scheduler::{Moment, SweepKey};
use crate::store::writer::{self, Batch};
use crate::store::{Reader, Store, StoreError};

/// Calls that wait for the actor; more wait at their senders.
const INBOX: usize = 1024;

/// Whether calls are answered.
#[derive(Debug)]
pub(super) enum Duty {
    /// They are.
    Serving(Running),
    /// They are not, for this reason.
    Absent(String),
}

/// The actor that answers, and the reader beside it. The actor ends with its last handle.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) reader: SharedReader,
    /// Sees sealed records too, and may take its time.
    pub(super) records: Records,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// Starts on an open store; says which sweeps are to be weighed. Must be called within a runtime.
    pub(super) fn start(
        store: impl Store,
        reader: impl Reader,
        records: impl Reader,
        coordinator: &Coordinator,
    ) -> Result<(Self, Vec<SweepKey>), OpenError> {
        let (writer, batches) = std::sync::mpsc::channel();
        let (running, mut actor) = Self::assemble(writer, reader, records, coordinator)?;
        let store = Metered::new(store, Arc::clone(&coordinator.metrics));
        let failed = actor.failed();
        actor.writer_thread = Some(writer::spawn(store, batches, failed).map_err(OpenError::Thread)?);
        let lives = |key: &SweepKey| actor.desk.scheduler.state(*key).is_some_and(|state| !state.has_ended());
        let unweighed = actor.desk.catalogue.newest_first(None).filter(lives).collect();
        tokio::spawn(actor.run());
        running.seal(coordinator.keeping.clone());
        Ok((running, unweighed))
    }

    /// Seals records from now on, if there is a place for them.
    fn seal(&self, Keeping { archive, alone, measure, .. }: Keeping) {
        let Some(archive) = archive else { return };
        let (inbox, records) = (self.inbox.downgrade(), self.records.clone());
        tokio::spawn(Sealing { archive, alone, measure, inbox, records }.run());
    }

    /// What is stored, and an actor on top of it that does not run yet. The coordinator has the tokens that are stored, and
    /// somebody is to write the batches.
    pub(super) fn assemble(
        writer: std::sync::mpsc::Sender<Batch>,
        mut reader: impl Reader,
        records: impl Reader,
        coordinator: &Coordinator,
    ) -> Result<(Self, Actor), OpenError> {
        let settings = coordinator.settings.clone();
        let desk = Desk::restore(settings.clone(), reader.sweeps()?, Moment::ZERO, None);
        coordinator.book().reload(reader.tokens()?);
        let (sender, inbox) = mpsc::channel(INBOX);
        let records = Records::new(SealedReader::new(records, coordinator.keeping.archive.clone()));
        let reader: SharedReader = Arc::new(Mutex::new(Some(Box::new(reader))));
        let time_of_day = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let actor = Actor {
            settings,
            started: Instant::now(),
            inbox,
            itself: sender.downgrade(),
            writer: Some(writer),
            writer_thread: None,
            reader: Arc::clone(&reader),
            records: Arc::clone(&records.reader),
            desk,
            reload: None,
            parking: Parking::default(),
            publisher: Publisher::new(u64::try_from(time_of_day.as_millis()).unwrap_or_default()),
            tick: Moment::ZERO,
        };
        Ok((Self { inbox: sender, reader, records }, actor))
    }

    /// Lets the actor take no more calls, commit what has gathered and close the store; done when the receiver says so.
    pub(super) async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.inbox.send(Message::Shutdown(reply)).await.is_ok() {
            // Nothing to do if the actor ended for another reason.
            let _ = done.await;
        }
    }

    /// Asks something beside the actor, where blocking is allowed.
    pub(super) fn read<T>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).as_deref_mut().map(question)
    }
}
