//! Where the loop and the compute threads meet: what is held, behind a lock that nobody keeps for long.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tokio::sync::Notify;

use super::held::{Assignment, Ended, Held, Loss};
use crate::client::{Leased, Reclaimed, Token};

#[derive(Debug)]
pub(super) struct Desk {
    held: Mutex<Held>,
    /// Threads that wait for an ensemble wait here.
    work: Condvar,
    changed: Notify,
}

impl Desk {
    pub(super) fn new(held: Held) -> Self {
        Self { held: Mutex::new(held), work: Condvar::new(), changed: Notify::new() }
    }

    /// What is held. None of its methods leaves it half changed, should a thread panic in one.
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an ensemble as [`Held::start`] gives it; `None` when the worker leaves.
    pub(super) fn next(&self, width: usize, stack: impl Fn(&[TaskConfig]) -> usize) -> Option<Vec<Assignment>> {
        let mut held = self.held();
        loop {
            if held.is_leaving() {
                return None;
            }
            let ensemble = held.start(width, &stack);
            if !ensemble.is_empty() {
                return Some(ensemble);
            }
            held = self.work.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a lease in.
    pub(super) fn take(&self, lease: Leased, looking: bool) {
        self.held().take(lease, looking);
        self.wake();
    }

    /// The snapshots that there are of a lease's points.
    pub(super) fn found(&self, token: &Token, snapshots: Vec<(u64, v1::Snapshot)>) {
        self.held().found(token, snapshots);
        self.wake();
    }

    /// The lease is gone, and those behind it may be next.
    pub(super) fn drop_lease(&self, token: &Token) {
        self.held().drop_lease(token);
        self.wake();
    }

    /// The coordinator says that the lease has ended, and those behind it may be next.
    pub(super) fn lose(&self, token: &Token) -> Loss {
        let loss = self.held().lose(token);
        self.wake();
        loss
    }

    /// A lease took the place of the lost one; see [`Held::regain`].
    pub(super) fn regain(&self, token: &Token, reclaimed: &Reclaimed) -> bool {
        let regained = self.held().regain(token, reclaimed);
        self.wake();
        regained
    }

    /// Wakes the threads: there may be something to start, or the worker leaves.
    fn wake(&self) {
        self.work.notify_all();
    }

    /// A point has left its ensemble.
    pub(super) fn end(&self, token: &Token, point: u64, ended: Ended) {
        self.held().end(token, point, ended);
        self.changed.notify_one();
    }

    /// A thread has ended its ensemble.
    pub(super) fn free(&self) {
        self.held().free();
        self.changed.notify_one();
    }

    /// Ready when threads have changed what is held since this was last asked.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A thread's device cannot be trusted any more: the worker is to leave.
    pub(super) fn give_up(&self, reason: String) {
        self.held().give_up(reason);
        self.wake();
        self.changed.notify_one();
    }

    /// Whatever runs is to stop, and the threads are to end.
    pub(super) fn leave(&self) {
        self.held().leave();
        self.wake();
    }
}
