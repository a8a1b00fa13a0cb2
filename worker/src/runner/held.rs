//! What this worker holds: its leases, and where each of their points is. Pure: no network, no clock, no threads.
//!
//! A point waits, runs, has ended (its records are being acknowledged), is ready to be finished, and is then gone. A lease
//! is gone when all its points are, or when this worker gives it up. When the coordinator says that a lease has ended, what
//! was started of it goes on until it is known what of it may be reclaimed. Points leave the queue in the order of leases and
//! points alone, be it to start an ensemble or to join one.

mod lease;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::{self, outcome::Outcome};

use self::lease::Lease;
use super::shelf::Shelf;
use crate::client::{Kept, Leased, Reclaimed, Running, Token};
use crate::surroundings::{Start, TaskEnd};

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

/// A point that is to be computed now.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) token: Token,
    pub(super) point: u64,
    pub(super) start: Start,
    pub(super) stop: Stop,
}

/// How a point's attempt ended, and what it left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: TaskEnd,
    /// Records that were told.
    pub(super) reported: u64,
    /// Where its snapshots are, if it has any.
    pub(super) shelf: Option<Arc<Shelf>>,
}

/// Outcomes of a lease, to be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Sending {
    pub(super) token: Token,
    /// The coordinator's name for the lease.
    pub(super) known_as: Token,
    pub(super) outcomes: Vec<v1::Outcome>,
}

/// What of a lost lease is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Claim {
    pub(super) token: Token,
    /// The coordinator's name for the lease.
    pub(super) known_as: Token,
    pub(super) kept: Vec<Kept>,
}

/// What becomes of a lease of which the coordinator says that it has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was known to be lost.
    Known,
    /// It is gone: nothing of it was worth keeping.
    Gone,
    /// What was started goes on.
    Kept,
}

/// All leases, oldest first.
#[derive(Debug)]
pub(super) struct Held {
    slots: usize,
    leases: Vec<Lease>,
    /// Leases that are gone since this was last asked.
    gone: Vec<Token>,
    /// Threads that run an ensemble, those of leases that are gone included: they are busy until they stop.
    busy: usize,
    leaving: bool,
    /// Why this worker is of no more use.
    given_up: Option<String>,
}

impl Held {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, leases: Vec::new(), gone: Vec::new(), busy: 0, leaving: false, given_up: None }
    }

    /// Nothing is held and nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.busy == 0
    }

    /// Nothing is held, and threads run all the same: of leases that are gone.
    pub(super) fn lingers(&self) -> bool {
        self.leases.is_empty() && self.busy > 0
    }

    /// Leases held.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Takes a lease in. A configuration that makes no sense has failed already: it would fail anywhere. Where snapshots
    /// are being looked for, no point starts before [`Held::found`].
    pub(super) fn take(&mut self, lease: Leased, looking: bool) {
        let mut taken = Lease::new(lease.token, lease.sweep, looking);
        for (point, task) in lease.tasks {
            match task {
                Ok(task) => taken.wait(point, Start { task, snapshot: None }),
                Err(error) => taken.end(point, Outcome::Failed(v1::Failed { error, permanent: true }), None),
            }
        }
        self.leases.push(taken);
        self.forget_done();
    }

    /// The snapshots that there are of a lease's points.
    pub(super) fn found(&mut self, token: &Token, snapshots: Vec<(u64, v1::Snapshot)>) {
        if let Some(lease) = self.lease(token) {
            lease.found(snapshots);
        }
    }

    /// Fewer points wait than there are slots: the next lease should be on its way. Not so while too many have ended
    /// that the coordinator has not acknowledged: their records wait here, and it has enough to do.
    pub(super) fn wants_lease(&self) -> bool {
        let ended: usize = self.leases.iter().map(Lease::unacknowledged).sum();
        // What this worker is about to reclaim might be leased to it besides.
        let reclaims = self.leases.iter().any(Lease::is_lost);
        !reclaims
            && ended <= 4 * self.slots + UNACKNOWLEDGED
            && self.leases.iter().map(Lease::waiting).sum::<usize>() < self.slots
    }

    /// The next ensemble for a thread that is free, of at most `width` points; empty if there is none. `stack` says how
    /// many of some tasks, counted from the first, make an ensemble.
    pub(super) fn start(&mut self, width: usize, stack: impl FnOnce(&[TaskConfig]) -> usize) -> Vec<Assignment> {
        let tasks = self.next(width);
        let ensemble = if tasks.is_empty() { Vec::new() } else { self.assign(stack(&tasks)) };
        self.busy += usize::from(!ensemble.is_empty());
        ensemble
    }

    /// The next points, at most `room`, if they stack with `running`, a task of the ensemble that they are to join.
    pub(super) fn join(
        &mut self,
        room: usize,
        running: &TaskConfig,
        stack: impl FnOnce(&[TaskConfig]) -> usize,
    ) -> Vec<Assignment> {
        let mut tasks = self.next(room);
        if tasks.is_empty() {
            return Vec::new();
        }
        tasks.insert(0, running.clone());
        self.assign(stack(&tasks) - 1)
    }

    /// The tasks that are to be started next, at most `most`.
    fn next(&self, most: usize) -> Vec<TaskConfig> {
        if self.leaving {
            return Vec::new();
        }
        let leases = self.leases.iter().take_while(|lease| !lease.is_looking());
        leases.flat_map(Lease::tasks).take(most).cloned().collect()
    }

    /// Takes so many points out of the queue.
    fn assign(&mut self, count: usize) -> Vec<Assignment> {
        let mut assigned = Vec::with_capacity(count);
        for lease in &mut self.leases {
            assigned.extend(std::iter::from_fn(|| lease.start()).take(count - assigned.len()));
        }
        assigned
    }

    /// A running point got further.
    pub(super) fn progress(&mut self, token: &Token, point: u64, share: f64) {
        if let Some(lease) = self.lease(token) {
            lease.progress(point, share.clamp(0.0, 1.0));
        }
    }

    /// A point has left its ensemble, on whatever lease.
    pub(super) fn end(&mut self, token: &Token, point: u64, ended: Ended) {
        if let Some(lease) = self.lease(token) {
            lease.leave(point, ended);
        }
    }

    /// A thread has ended its ensemble.
    pub(super) fn free(&mut self) {
        self.busy -= 1;
    }

    /// So many more records of a point are durable.
    pub(super) fn acknowledge(&mut self, token: &Token, point: u64, records: u64) {
        if let Some(lease) = self.lease(token) {
            lease.acknowledge(point, records);
        }
    }

    /// Outcomes to be sent, of one lease. They count as on the way until [`Held::finished`] or [`Held::drop_lease`].
    pub(super) fn outcomes(&mut self) -> Option<Sending> {
        self.leases.iter_mut().find_map(Lease::send)
    }

    /// The outcomes that were on the way are durable. Returns the snapshots that nobody needs any more.
    pub(super) fn finished(&mut self, token: &Token) -> Vec<Arc<Shelf>> {
        let shelves = self.lease(token).map(Lease::sent).unwrap_or_default();
        self.forget_done();
        shelves
    }

    /// The outcomes that were on the way came too late: the lease had ended.
    pub(super) fn came_late(&mut self, token: &Token) {
        if let Some(lease) = self.lease(token) {
            lease.came_late();
        }
    }

    /// The lease is gone: its running tasks are to stop, its results count for nothing. One that was gone before is gone
    /// again: records of it came from tasks that had still to stop.
    pub(super) fn drop_lease(&mut self, token: &Token) {
        if let Some(position) = self.leases.iter().position(|lease| lease.token == *token) {
            self.leases.remove(position).stop();
        }
        self.gone.push(token.clone());
    }

    /// Leases that are gone, for whatever reason, since this was last asked.
    pub(super) fn gone(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.gone)
    }

    /// The lease that the coordinator knows by this name.
    pub(super) fn called(&self, known_as: &Token) -> Option<Token> {
        let called = self.leases.iter().find(|lease| lease.known_as == *known_as);
        called.map(|lease| lease.token.clone())
    }

    /// The coordinator says that the lease has ended.
    pub(super) fn lose(&mut self, token: &Token) -> Loss {
        let leaving = self.leaving;
        if let Some(lease) = self.lease(token) {
            if lease.is_lost() {
                return Loss::Known;
            }
            if lease.lose() && !leaving {
                return Loss::Kept;
            }
        }
        self.drop_lease(token);
        Loss::Gone
    }

    /// No record of a lost lease is on the way any more.
    pub(super) fn settled(&mut self, token: &Token) {
        if let Some(lease) = self.lease(token) {
            lease.settled();
        }
    }

    /// The next lost lease that is to be asked for. It counts as asked for from here on.
    pub(super) fn claim(&mut self) -> Option<Claim> {
        self.leases.iter_mut().find_map(|lease| {
            let kept = lease.claim()?;
            Some(Claim { token: lease.token.clone(), known_as: lease.known_as.clone(), kept })
        })
    }

    /// A lease took the place of the lost one. False if that is gone, and the new one of no use.
    pub(super) fn regain(&mut self, token: &Token, reclaimed: &Reclaimed) -> bool {
        let Some(lease) = self.lease(token) else { return false };
        lease.regain(reclaimed);
        let sweep = lease.sweep.clone();
        // What was leased to this worker meanwhile it would have twice.
        for other in self.leases.iter_mut().filter(|lease| lease.sweep == sweep && lease.token != *token) {
            other.drop_points(|point| reclaimed.points.contains(&point));
        }
        self.forget_done();
        true
    }

    /// Takes so many points that wait, the last ones, out of a lease.
    pub(super) fn cede(&mut self, token: &Token, most: u64) -> Vec<u64> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let ceded = self.lease(token).map(|lease| lease.cede(most));
        self.forget_done();
        ceded.unwrap_or_default()
    }

    /// The worker leaves: whatever runs is to stop, and nothing more is started.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.leases.iter().for_each(Lease::stop);
        // There is no time to ask for what was lost.
        self.forget(Lease::is_lost);
    }

    /// This worker is of no more use, for the first reason that is given: it is to leave.
    pub(super) fn give_up(&mut self, reason: String) {
        self.given_up.get_or_insert(reason);
        self.leave();
    }

    pub(super) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// A lease of which nothing runs or is on the way any more. It is gone from here and to be released.
    pub(super) fn give_back(&mut self) -> Option<Token> {
        let position = self.leases.iter().position(Lease::is_quiet)?;
        let Lease { token, known_as, .. } = self.leases.remove(position);
        self.gone.push(token);
        Some(known_as)
    }

    /// What a heartbeat says.
    pub(super) fn running(&self) -> Vec<Running> {
        let held = self.leases.iter().filter(|lease| !lease.is_lost());
        held.map(|lease| (lease.known_as.clone(), lease.running().collect())).collect()
    }

    fn lease(&mut self, token: &Token) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| lease.token == *token)
    }

    fn forget_done(&mut self) {
        self.forget(Lease::is_done);
    }

    fn forget(&mut self, is_gone: impl Fn(&Lease) -> bool) {
        self.gone.extend(self.leases.extract_if(.., |lease| is_gone(lease)).map(|lease| lease.token));
    }
}

#[cfg(test)]
pub(super) mod tests;
