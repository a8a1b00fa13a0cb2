//! The hard deadline: a worker that is heard of, while nothing that it started gets any further, hangs.
//!
//! Progress is whatever tells that something moves: records, points that end, a share of work that rises. Without any of it
//! a lease lasts so many times as long as its work should take by the sweep's own pace, and never less than some minutes: a
//! slow worker moves, and is left alone. Before the first points of a sweep have ended, since the coordinator started, there
//! is no pace: then a lease lasts the factor times those minutes.

use std::time::Duration;

use super::{Change, LeaseKey, Moment, Scheduler, WorkerId};
use crate::scheduler::leases::Lease;

/// How long a lease lasts without progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardDeadline {
    /// So many times as long as its work should take, above 0.
    pub factor: f64,
    /// But no less.
    pub least: Duration,
}

impl Scheduler {
    /// Ends the leases of a worker that hangs, and says which. Points that it had started are charged with an attempt; what
    /// waits behind them is given back as it is. The worker gets no further leases: a thread that never returns is of no
    /// use any more, and whoever starts workers can start another.
    pub(super) fn end_stalled(&mut self, worker: &WorkerId, now: Moment) -> (Vec<LeaseKey>, Vec<Change>) {
        let (mut stalled, mut idle) = (Vec::new(), Vec::new());
        for (key, lease) in self.leases.of_worker(worker) {
            if self.leases.started(key).is_empty() {
                idle.push(key);
            } else if self.patience(key, lease).is_some_and(|patience| now.saturating_sub(lease.progressed) > patience)
            {
                stalled.push(key);
            }
        }
        // What waits for others to end makes no progress and needs not.
        for key in &idle {
            if let Some(lease) = self.leases.get_mut(*key) {
                lease.progressed = now;
            }
        }
        if stalled.is_empty() {
            return (stalled, Vec::new());
        }
        self.workers.drain(worker);
        let mut changes: Vec<_> = idle.iter().filter_map(|key| self.release(*key)).collect();
        for key in &stalled {
            changes.extend(self.lose(*key, &format!("the worker {worker} lived and made no progress with it"), now));
        }
        stalled.extend(idle);
        (stalled, changes)
    }

    /// How long a lease may go without progress; for ever, if no deadline is set.
    fn patience(&self, key: LeaseKey, lease: &Lease) -> Option<Duration> {
        let HardDeadline { factor, least } = self.settings.hard_deadline?;
        let sweep = self.sweeps.get(&key.sweep)?;
        let expected = sweep.pace.time_of(sweep.workload.of_all(&lease.points), lease.width()).unwrap_or(least);
        Some(expected.mul_f64(factor.min(MOST_TIMES)).max(least))
    }
}

/// Beyond this a deadline is none.
const MOST_TIMES: f64 = 1e6;
