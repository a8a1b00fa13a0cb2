//! Workers that asked for work when there was none: they wait, in the order of asking, until some turns up, they are told
//! to drain, or their time is over.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::Refusal;
use crate::scheduler::{Grant, Moment, WorkerId};
use crate::spec::Spec;

/// A worker that asked.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) worker: WorkerId,
    pub(super) until: Moment,
    pub(super) reply: oneshot::Sender<Result<Work, Refusal>>,
}

/// What it gets.
#[derive(Debug)]
pub(super) enum Work {
    /// A lease, under this token, of points of this sweep.
    Granted { token: String, grant: Grant, spec: Spec, sweep_id: String },
    /// Nothing for now.
    Nothing,
    /// Nothing ever.
    Drain,
}

#[derive(Debug, Default)]
pub(super) struct Parking(VecDeque<Asking>);

impl Parking {
    pub(super) fn park(&mut self, asking: Asking) {
        self.0.push_back(asking);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them has waited long enough.
    pub(super) fn due(&self) -> Option<Moment> {
        self.0.iter().map(|asking| asking.until).min()
    }

    /// Answers those who have waited long enough, and forgets those who have gone.
    pub(super) fn expire(&mut self, now: Moment) {
        for _ in 0..self.0.len() {
            let Some(asking) = self.0.pop_front() else { return };
            if asking.until <= now {
                // Whoever has gone needs no answer.
                let _ = asking.reply.send(Ok(Work::Nothing));
            } else if !asking.reply.is_closed() {
                self.0.push_back(asking);
            }
        }
    }

    /// Lets all who wait ask once more; those who get nothing go on waiting.
    pub(super) fn ask_again(&mut self, mut ask: impl FnMut(Asking) -> Option<Asking>) {
        for _ in 0..self.0.len() {
            let Some(asking) = self.0.pop_front() else { return };
            self.0.extend(ask(asking));
        }
    }
}
