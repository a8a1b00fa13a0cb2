//! Where a coordinator stands: it serves, or does not and says why.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::actor::{Actor, Message, SharedReader};
use super::desk::Desk;
use super::parking::Parking;
use super::publisher::Publisher;
use super::{OpenError, Settings};
use crate::clock;
use crate::scheduler::{Moment, SweepKey, SweepState};
use crate::store::{Reader, Store, StoreError, writer};

/// Calls that wait for the actor; more wait at their senders.
const INBOX: usize = 1024;

/// Whether calls are answered.
#[derive(Debug)]
pub(super) enum Standing {
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
        mut reader: impl Reader,
        settings: Settings,
    ) -> Result<(Self, Vec<SweepKey>), OpenError> {
        let stored = reader.sweeps()?;
        let desk = Desk::restore(settings.clone(), stored, Moment::ZERO, None);
        let running = |key: &SweepKey| desk.scheduler.state(*key) == Some(SweepState::Running);
        let unweighed = desk.catalogue.newest_first(None).filter(running).collect();
        let (sender, inbox) = mpsc::channel(INBOX);
        let itself = sender.downgrade();
        let failed = {
            let itself = itself.clone();
            move |generation, error: &StoreError| {
                tracing::error!(%error, "a write failed; going back to what is stored");
                if let Some(itself) = itself.upgrade() {
                    // Without an actor there is nobody to go back.
                    let _ = itself.blocking_send(Message::StoreFailed(generation));
                }
            }
        };
        let (writer, writer_thread) = writer::spawn(store, failed).map_err(OpenError::Thread)?;
        let reader: SharedReader = Arc::new(Mutex::new(Some(Box::new(reader))));
        let time_of_day = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let actor = Actor {
            settings,
            started: Instant::now(),
            inbox,
            itself,
            writer: Some(writer),
            writer_thread: Some(writer_thread),
            reader: Arc::clone(&reader),
            desk,
            generation: 1,
            reload: None,
            parking: Parking::default(),
            publisher: Publisher::new(u64::try_from(time_of_day.as_millis()).unwrap_or_default()),
            tick: Moment::ZERO,
        };
        tokio::spawn(actor.run());
        Ok((Self { inbox: sender, reader }, unweighed))
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
