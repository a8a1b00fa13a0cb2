//! One lease: its points from the queue to their acknowledged outcomes.
//!
//! It has its first token for a name here. Once it was lost and reclaimed the coordinator knows it by another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::{self, outcome::Outcome};

use super::{Assignment, Ended, Sending, Stop};
use crate::client::{Kept, Reclaimed, Token};
use crate::runner::shelf::Shelf;
use crate::surroundings::{Start, TaskEnd};

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) token: Token,
    /// The coordinator's name for it.
    pub(super) known_as: Token,
    /// For logs, and to tell whether points of two leases are the same.
    pub(super) sweep: String,
    /// It was lost, and is not reclaimed yet.
    lost: Option<Reclaiming>,
    /// Points that are not started, in the lease's order.
    waiting: VecDeque<(u64, Start)>,
    /// The points' snapshots are being looked for.
    looking: bool,
    /// Points from their start until their records are acknowledged.
    started: BTreeMap<u64, Started>,
    /// Points whose outcome may be sent.
    ready: Vec<Ready>,
    /// Points whose outcome is on the way.
    on_the_way: Vec<Ready>,
    /// Points that were stopped, to be given back.
    stopped: usize,
}

/// How far a lost lease is from being reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reclaiming {
    /// Records of it are on the way.
    Unsettled,
    /// Nothing is on the way but perhaps outcomes.
    Settled,
    /// The question is on the way.
    Asked,
}

#[derive(Debug, Default)]
struct Started {
    acknowledged: u64,
    stop: Stop,
    state: State,
}

#[derive(Debug)]
enum State {
    Running { work_done: f64 },
    Ended { outcome: Outcome, reported: u64, shelf: Option<Arc<Shelf>> },
}

impl Default for State {
    fn default() -> Self {
        Self::Running { work_done: 0.0 }
    }
}

#[derive(Clone, Debug)]
struct Ready {
    outcome: v1::Outcome,
    /// Where the snapshots are that it will not need any more.
    shelf: Option<Arc<Shelf>>,
}

impl Ready {
    /// The point, and how many records it has, if it was computed to its end.
    fn computed(&self) -> Option<(u64, u64)> {
        match &self.outcome.outcome {
            Some(Outcome::Completed(v1::Completed { records })) => Some((self.outcome.point, *records)),
            _ => None,
        }
    }
}

impl Lease {
    pub(super) fn new(token: Token, sweep: String, looking: bool) -> Self {
        Self {
            known_as: token.clone(),
            token,
            sweep,
            lost: None,
            waiting: VecDeque::new(),
            looking,
            started: BTreeMap::new(),
            ready: Vec::new(),
            on_the_way: Vec::new(),
            stopped: 0,
        }
    }

    /// Queues a point.
    pub(super) fn wait(&mut self, point: u64, start: Start) {
        self.waiting.push_back((point, start));
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking
    }

    pub(super) fn found(&mut self, snapshots: Vec<(u64, v1::Snapshot)>) {
        self.looking = false;
        let mut snapshots: BTreeMap<_, _> = snapshots.into_iter().collect();
        for (point, start) in &mut self.waiting {
            start.snapshot = snapshots.remove(point);
        }
    }

    /// Points that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The tasks of the points that wait, in order.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &TaskConfig> {
        self.waiting.iter().map(|(_, start)| &start.task)
    }

    /// Starts the next point.
    pub(super) fn start(&mut self) -> Option<Assignment> {
        let (point, start) = self.waiting.pop_front()?;
        let stop = Stop::default();
        self.started.insert(point, Started { stop: stop.clone(), ..Started::default() });
        Some(Assignment { token: self.token.clone(), point, start, stop })
    }

    /// Whatever runs of it is to stop.
    pub(super) fn stop(&self) {
        self.started.values().for_each(|started| started.stop.raise());
    }

    pub(super) fn progress(&mut self, point: u64, share: f64) {
        if let Some(Started { state: State::Running { work_done }, .. }) = self.started.get_mut(&point) {
            *work_done = share;
        }
    }

    /// The running points and the share of each that is done.
    pub(super) fn running(&self) -> impl Iterator<Item = (u64, f64)> {
        self.started.iter().filter_map(|(&point, started)| match started.state {
            State::Running { work_done } => Some((point, work_done)),
            State::Ended { .. } => None,
        })
    }

    /// A running point has left its ensemble.
    pub(super) fn leave(&mut self, point: u64, Ended { end, reported, shelf }: Ended) {
        let outcome = match end {
            TaskEnd::Completed => Outcome::Completed(v1::Completed { records: reported }),
            TaskEnd::Failed { error, permanent } => Outcome::Failed(v1::Failed { error, permanent }),
            TaskEnd::Stopped => {
                self.stopped += usize::from(self.started.remove(&point).is_some());
                return;
            }
        };
        if let Some(started) = self.started.get_mut(&point) {
            started.state = State::Ended { outcome, reported, shelf };
        }
        self.settle(point);
    }

    pub(super) fn acknowledge(&mut self, point: u64, records: u64) {
        if let Some(started) = self.started.get_mut(&point) {
            started.acknowledged += records;
        }
        self.settle(point);
    }

    /// A point that has ended and whose records are all durable may be finished.
    fn settle(&mut self, point: u64) {
        let durable = |started: &Started| matches!(&started.state, State::Ended { reported, .. } if started.acknowledged >= *reported);
        if self.started.get(&point).is_some_and(durable)
            && let Some(Started { state: State::Ended { outcome, shelf, .. }, .. }) = self.started.remove(&point)
        {
            self.end(point, outcome, shelf);
        }
    }

    /// A point's outcome may be sent.
    pub(super) fn end(&mut self, point: u64, outcome: Outcome, shelf: Option<Arc<Shelf>>) {
        // The next attempt goes on from there.
        let needed = matches!(outcome, Outcome::Failed(v1::Failed { permanent: false, .. }));
        let outcome = v1::Outcome { point, outcome: Some(outcome) };
        self.ready.push(Ready { outcome, shelf: shelf.filter(|_| !needed) });
    }

    /// The outcomes that may be sent, unless others are on the way.
    pub(super) fn send(&mut self) -> Option<Sending> {
        if self.is_lost() || self.ready.is_empty() || !self.on_the_way.is_empty() {
            return None;
        }
        self.on_the_way = std::mem::take(&mut self.ready);
        Some(Sending {
            token: self.token.clone(),
            known_as: self.known_as.clone(),
            outcomes: self.on_the_way.iter().map(|ready| ready.outcome.clone()).collect(),
        })
    }

    /// What was on the way has arrived. Returns the snapshots that nobody needs any more.
    pub(super) fn sent(&mut self) -> Vec<Arc<Shelf>> {
        self.on_the_way.drain(..).filter_map(|ready| ready.shelf).collect()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// The coordinator says that the lease has ended. What was started of it goes on, if that may still be of use: false
    /// otherwise.
    pub(super) fn lose(&mut self) -> bool {
        self.lost = Some(Reclaiming::Unsettled);
        (self.looking, self.stopped) = (false, 0);
        self.waiting.clear();
        !self.started.is_empty() || self.ready.iter().chain(&self.on_the_way).any(|ready| ready.computed().is_some())
    }

    /// No record of the lost lease is on the way any more.
    pub(super) fn settled(&mut self) {
        if self.lost == Some(Reclaiming::Unsettled) {
            self.lost = Some(Reclaiming::Settled);
        }
    }

    /// The outcomes that were on the way came too late.
    pub(super) fn came_late(&mut self) {
        self.ready.append(&mut self.on_the_way);
    }

    /// What of a lost lease is to be asked for, once nothing of it is on the way.
    pub(super) fn claim(&mut self) -> Option<Vec<Kept>> {
        if self.lost != Some(Reclaiming::Settled) || !self.on_the_way.is_empty() {
            return None;
        }
        self.lost = Some(Reclaiming::Asked);
        let started = self.started.iter().filter_map(|(&point, Started { acknowledged, state, .. })| match state {
            State::Ended { outcome: Outcome::Failed(_), .. } => None,
            State::Ended { .. } => Some(Kept { point, acknowledged: *acknowledged, computed: true }),
            State::Running { .. } => Some(Kept { point, acknowledged: *acknowledged, computed: false }),
        });
        let ready = self.ready.iter().filter_map(Ready::computed);
        let ready = ready.map(|(point, records)| Kept { point, acknowledged: records, computed: true });
        Some(started.chain(ready).collect())
    }

    /// Another lease took the place of the lost one, and covers these points. The others are dropped.
    pub(super) fn regain(&mut self, Reclaimed { known_as, points }: &Reclaimed) {
        (self.known_as, self.lost) = (known_as.clone(), None);
        self.drop_points(|point| !points.contains(&point));
    }

    /// Drops points in whatever state.
    pub(super) fn drop_points(&mut self, is_dropped: impl Fn(u64) -> bool) {
        self.waiting.retain(|(point, _)| !is_dropped(*point));
        self.started.retain(|point, started| {
            let dropped = is_dropped(*point);
            if dropped {
                started.stop.raise();
            }
            !dropped
        });
        self.ready.retain(|ready| !is_dropped(ready.outcome.point));
    }

    /// Takes so many points that wait from the end of the queue.
    pub(super) fn cede(&mut self, most: usize) -> Vec<u64> {
        let kept = self.waiting.len().saturating_sub(most);
        self.waiting.split_off(kept).into_iter().map(|(point, _)| point).collect()
    }

    /// Points that have ended and whose end the coordinator is not known to have kept.
    pub(super) fn unacknowledged(&self) -> usize {
        let ended = self.started.values().filter(|started| matches!(started.state, State::Ended { .. }));
        ended.count() + self.ready.len() + self.on_the_way.len()
    }

    /// Nothing runs and nothing is on the way.
    pub(super) fn is_quiet(&self) -> bool {
        self.started.is_empty() && self.ready.is_empty() && self.on_the_way.is_empty()
    }

    /// All its points are finished.
    pub(super) fn is_done(&self) -> bool {
        self.is_quiet() && self.waiting.is_empty() && self.stopped == 0
    }
}
