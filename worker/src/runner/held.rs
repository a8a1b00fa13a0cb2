//! What this worker holds: its leases, and where each of their points is. Pure: no network, no clock, no threads.
//!
//! A point waits, runs, has ended (its records are being acknowledged), is ready to be finished, and is then gone. A lease
//! is gone when all its points are, or when the coordinator or this worker gives it up.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::{self, outcome::Outcome};

use super::Capacity;
use crate::client::{Leased, Running, Token};
use crate::surroundings::TaskEnd;

/// Points that may have ended without being acknowledged before no more are asked for, besides four a slot.
const UNACKNOWLEDGED: usize = 1024;

/// Tells running tasks that their work is no longer wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An ensemble to be run: points of one lease, advanced together.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) token: Token,
    pub(super) points: Vec<u64>,
    pub(super) tasks: Vec<TaskConfig>,
    pub(super) stop: Stop,
}

/// How a point's attempt ended, and how many records it reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) point: u64,
    pub(super) end: TaskEnd,
    pub(super) reported: u64,
}

/// All leases, oldest first.
#[derive(Debug)]
pub(super) struct Held {
    capacity: Capacity,
    leases: Vec<Lease>,
    /// Running ensembles and points, those of leases that are gone included: their threads are busy until they stop.
    busy_threads: usize,
    busy_points: usize,
}

#[derive(Debug)]
struct Lease {
    token: Token,
    stop: Stop,
    /// Ensembles that are not started, in the lease's order.
    waiting: VecDeque<Vec<(u64, TaskConfig)>>,
    /// Points from their start until their records are acknowledged.
    started: BTreeMap<u64, Started>,
    /// Points whose outcome may be sent.
    ready: Vec<v1::Outcome>,
    /// Points whose outcome is on the way.
    sent: usize,
    /// Points that were stopped, to be given back.
    stopped: usize,
}

#[derive(Debug, Default)]
struct Started {
    acknowledged: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Running { work_done: f64 },
    Ended { outcome: Outcome, reported: u64 },
}

impl Default for State {
    fn default() -> Self {
        Self::Running { work_done: 0.0 }
    }
}

impl Held {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, leases: Vec::new(), busy_threads: 0, busy_points: 0 }
    }

    /// Nothing is held and nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.busy_threads == 0
    }

    /// Leases held.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Takes a lease in. `stack` says which neighbours among tasks make an ensemble. A configuration that makes no sense
    /// has failed already: it would fail anywhere.
    pub(super) fn take(&mut self, lease: Leased, stack: impl Fn(&[TaskConfig]) -> Vec<Range<usize>>) {
        let mut taken = Lease::new(lease.token);
        // Each thread may stack its share of the slots; a wider ensemble would leave other threads without work.
        let width = (self.capacity.slots / self.capacity.threads).max(1);
        let mut run = Vec::new();
        for (point, task) in lease.tasks {
            match task {
                Ok(task) => run.push((point, task)),
                Err(error) => {
                    taken.wait(std::mem::take(&mut run), width, &stack);
                    let outcome = Outcome::Failed(v1::Failed { error, permanent: true });
                    taken.ready.push(v1::Outcome { point, outcome: Some(outcome) });
                }
            }
        }
        taken.wait(run, width, &stack);
        self.leases.push(taken);
        self.forget_done();
    }

    /// Fewer points wait than there are slots: the next lease should be on its way. Not so while too many have ended
    /// that the coordinator has not acknowledged: they are kept in memory, and it has enough to do.
    pub(super) fn wants_lease(&self) -> bool {
        let ended: usize = self.leases.iter().map(Lease::unacknowledged).sum();
        if ended > 4 * self.capacity.slots + UNACKNOWLEDGED {
            return false;
        }
        let waiting = self.leases.iter().flat_map(|lease| lease.waiting.iter().flatten());
        waiting.take(self.capacity.slots).count() < self.capacity.slots
    }

    /// The next ensemble to run, if a thread and enough slots are free. Strictly in the order of leases and points.
    pub(super) fn start(&mut self) -> Option<Assignment> {
        let lease = self.leases.iter_mut().find(|lease| !lease.waiting.is_empty())?;
        let points = lease.waiting.front()?.len();
        if self.busy_threads == self.capacity.threads || self.busy_points + points > self.capacity.slots {
            return None;
        }
        let (points, tasks): (Vec<u64>, Vec<TaskConfig>) = lease.waiting.pop_front()?.into_iter().unzip();
        lease.started.extend(points.iter().map(|&point| (point, Started::default())));
        self.busy_threads += 1;
        self.busy_points += points.len();
        Some(Assignment { token: lease.token.clone(), points, tasks, stop: lease.stop.clone() })
    }

    /// A running point got further.
    pub(super) fn progress(&mut self, token: &Token, point: u64, share: f64) {
        let started = self.lease(token).and_then(|lease| lease.started.get_mut(&point));
        if let Some(Started { state: State::Running { work_done }, .. }) = started {
            *work_done = share.clamp(0.0, 1.0);
        }
    }

    /// An ensemble has ended, on whatever lease.
    pub(super) fn end(&mut self, token: &Token, ensemble: Vec<Ended>) {
        self.busy_threads -= 1;
        self.busy_points -= ensemble.len();
        let Some(lease) = self.lease(token) else { return };
        for Ended { point, end, reported } in ensemble {
            let outcome = match end {
                TaskEnd::Completed => Outcome::Completed(v1::Completed { records: reported }),
                TaskEnd::Failed { error, permanent } => Outcome::Failed(v1::Failed { error, permanent }),
                TaskEnd::Stopped => {
                    lease.stopped += usize::from(lease.started.remove(&point).is_some());
                    continue;
                }
            };
            if let Some(started) = lease.started.get_mut(&point) {
                started.state = State::Ended { outcome, reported };
            }
            lease.settle(point);
        }
    }

    /// So many more records of a point are durable.
    pub(super) fn acknowledge(&mut self, token: &Token, point: u64, records: u64) {
        let Some(lease) = self.lease(token) else { return };
        if let Some(started) = lease.started.get_mut(&point) {
            started.acknowledged += records;
        }
        lease.settle(point);
    }

    /// Outcomes to be sent, of one lease. They count as on the way until [`Held::finished`] or [`Held::drop_lease`].
    pub(super) fn outcomes(&mut self) -> Option<(Token, Vec<v1::Outcome>)> {
        let lease = self.leases.iter_mut().find(|lease| !lease.ready.is_empty() && lease.sent == 0)?;
        let outcomes = std::mem::take(&mut lease.ready);
        lease.sent = outcomes.len();
        Some((lease.token.clone(), outcomes))
    }

    /// The outcomes that were on the way are durable.
    pub(super) fn finished(&mut self, token: &Token) {
        if let Some(lease) = self.lease(token) {
            lease.sent = 0;
        }
        self.forget_done();
    }

    /// The lease is gone: its running tasks are to stop, its results count for nothing. False if it was gone before.
    pub(super) fn drop_lease(&mut self, token: &Token) -> bool {
        let Some(position) = self.leases.iter().position(|lease| lease.token == *token) else { return false };
        self.leases.remove(position).stop.raise();
        true
    }

    /// The worker leaves: whatever runs is to stop.
    pub(super) fn stop(&self) {
        self.leases.iter().for_each(|lease| lease.stop.raise());
    }

    /// A lease of which nothing runs or is on the way any more. It is gone from here and to be released.
    pub(super) fn give_back(&mut self) -> Option<Token> {
        let position = self.leases.iter().position(Lease::is_quiet)?;
        Some(self.leases.remove(position).token)
    }

    /// What a heartbeat says.
    pub(super) fn running(&self) -> Vec<Running> {
        let of = |lease: &Lease| {
            let running = lease.started.iter().filter_map(|(&point, started)| match started.state {
                State::Running { work_done } => Some((point, work_done)),
                State::Ended { .. } => None,
            });
            (lease.token.clone(), running.collect())
        };
        self.leases.iter().map(of).collect()
    }

    fn lease(&mut self, token: &Token) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| lease.token == *token)
    }

    fn forget_done(&mut self) {
        self.leases.retain(|lease| !(lease.is_quiet() && lease.waiting.is_empty() && lease.stopped == 0));
    }
}

impl Drop for Held {
    /// Whoever forgets what is held has no use for what still runs.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Lease {
    fn new(token: Token) -> Self {
        Self {
            token,
            stop: Stop::default(),
            waiting: VecDeque::new(),
            started: BTreeMap::new(),
            ready: Vec::new(),
            sent: 0,
            stopped: 0,
        }
    }

    /// Queues neighbours, stacked as `stack` says but at most `width` together.
    fn wait(&mut self, run: Vec<(u64, TaskConfig)>, width: usize, stack: impl Fn(&[TaskConfig]) -> Vec<Range<usize>>) {
        let (points, tasks): (Vec<u64>, Vec<TaskConfig>) = run.into_iter().unzip();
        let ensembles = stack(&tasks);
        let mut members = points.into_iter().zip(tasks);
        for ensemble in ensembles {
            let mut left = ensemble.len();
            while left > 0 {
                let part = left.min(width);
                self.waiting.push_back(members.by_ref().take(part).collect());
                left -= part;
            }
        }
    }

    /// A point that has ended and whose records are all durable may be finished.
    fn settle(&mut self, point: u64) {
        let durable = |started: &Started| matches!(&started.state, State::Ended { reported, .. } if started.acknowledged >= *reported);
        if self.started.get(&point).is_some_and(durable)
            && let Some(Started { state: State::Ended { outcome, .. }, .. }) = self.started.remove(&point)
        {
            self.ready.push(v1::Outcome { point, outcome: Some(outcome) });
        }
    }

    /// Points that have ended and whose end the coordinator is not known to have kept.
    fn unacknowledged(&self) -> usize {
        let ended = self.started.values().filter(|started| matches!(started.state, State::Ended { .. }));
        ended.count() + self.ready.len() + self.sent
    }

    /// Nothing runs and nothing is on the way.
    fn is_quiet(&self) -> bool {
        self.started.is_empty() && self.ready.is_empty() && self.sent == 0
    }
}

#[cfg(test)]
mod tests;
