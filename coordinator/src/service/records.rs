//! The reader that sees sealed records, and whose turn it is to ask it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

use super::actor::SharedReader;
use super::aside;
use crate::clock;
use crate::store::Reader;

/// How long results are looked for that might as well be computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For one that is read.
    pub(super) look: Duration,
    /// After the archive did not answer it is taken for away so long, and nobody looks.
    pub(super) away: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { look: Duration::from_secs(5), away: Duration::from_secs(30) }
    }
}

/// The reader, for all who share it.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) reader: SharedReader,
    /// Whoever waits for their turn keeps no thread of the runtime: the one who has it may need another to be answered.
    turn: Arc<Semaphore>,
    away: Arc<Mutex<Option<Instant>>>,
}

/// A right to ask, until it is dropped. There is always one to be had: nobody closes the semaphore.
pub(super) type Turn = Result<OwnedSemaphorePermit, AcquireError>;

impl Records {
    pub(super) fn new(reader: impl Reader) -> Self {
        let reader: SharedReader = Arc::new(Mutex::new(Some(Box::new(reader))));
        Self { reader, turn: Arc::new(Semaphore::new(1)), away: Arc::default() }
    }

    /// Our turn, when it comes. It lasts until what is asked in it is answered, even where nobody waits for that any more.
    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.turn).acquire_owned().await
    }

    /// Asks when it is our turn; `None` if the reader is closed. Fails as [`aside::run`] does.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> T + Send + 'static,
    ) -> Result<Option<T>, JoinError> {
        self.ask_in(self.turn().await, question).await
    }

    /// The same once it is.
    pub(super) async fn ask_in<T: Send + 'static>(
        &self,
        turn: Turn,
        question: impl FnOnce(&mut dyn Reader) -> T + Send + 'static,
    ) -> Result<Option<T>, JoinError> {
        let reader = Arc::clone(&self.reader);
        let ask = move || {
            let answer = reader.lock().unwrap_or_else(PoisonError::into_inner).as_deref_mut().map(question);
            drop(turn);
            answer
        };
        aside::run(ask).await
    }

    /// Whether the archive did not answer a short while ago.
    pub(super) fn is_away(&self) -> bool {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| clock::instant() < until)
    }

    /// It did not answer.
    pub(super) fn away_for(&self, time: Duration) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::instant() + time);
    }
}
