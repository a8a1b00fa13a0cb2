//! The coordinator without threads and clock: whoever holds it says when the actor and the writer have their turns, and
//! what time it is. All else is as in a running one. For the simulation.

use std::sync::mpsc;

use futures_util::FutureExt as _;

use super::actor::Actor;
use super::duty::{Duty, Running};
use super::{Coordinator, Keeping, OpenError, Settings};
use crate::scheduler::Moment;
use crate::store::writer::{Batch, Writer};
use crate::store::{Reader, Store};

/// A coordinator that does nothing by itself.
pub(crate) struct ByHand<S> {
    coordinator: Coordinator,
    actor: Actor,
    writer: Writer<S>,
    batches: mpsc::Receiver<Batch>,
}

impl<S: Store> ByHand<S> {
    pub(crate) fn start(store: S, reader: impl Reader + Clone, settings: Settings) -> Result<Self, OpenError> {
        let (sender, batches) = mpsc::channel();
        let (duty, coordinator) = Coordinator::new(Keeping::default(), settings);
        let (running, actor) = Running::assemble(sender, reader.clone(), reader, &coordinator)?;
        duty.send_replace(Duty::Serving(running));
        Ok(Self { coordinator, actor, writer: Writer::new(store), batches })
    }

    /// The handle, whose calls are to be polled.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// The actor takes its next message. False if there is none.
    pub(crate) fn act(&mut self, now: Moment) -> bool {
        let Ok(message) = self.actor.inbox.try_recv() else { return false };
        self.actor.on_message(message, now);
        self.mind_the_time(now);
        true
    }

    /// The actor does what is due.
    pub(crate) fn mind_the_time(&mut self, now: Moment) {
        self.actor.on_time(now).now_or_never().expect("without a runtime nothing is waited for");
    }

    /// When the actor wants to mind the time again.
    pub(crate) fn wake(&self) -> Moment {
        self.actor.wake()
    }

    /// The writer writes what has gathered. `failing` is told what the actor is to hear of a failure, and says whether it
    /// does. False if there is nothing to write.
    pub(crate) fn write(&mut self, failing: impl Fn() -> bool) -> bool {
        let Ok(first) = self.batches.try_recv() else { return false };
        let failed = self.actor.failed();
        self.writer.write(first, &self.batches, &|generation, error| {
            if failing() {
                failed(generation, error);
            }
        });
        true
    }
}
