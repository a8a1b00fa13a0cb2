//! One lease: its points from the queue to their acknowledged outcomes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::{self, outcome::Outcome};

use super::{Assignment, Ended, Stop};
use crate::client::Token;
use crate::runner::shelf::Shelf;
use crate::surroundings::{Start, TaskEnd};

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) token: Token,
    pub(super) stop: Stop,
    /// Points that are not started, in the lease's order.
    waiting: VecDeque<(u64, Start)>,
    /// The points' snapshots are being looked for.
    looking: bool,
    /// Points from their start until their records are acknowledged.
    started: BTreeMap<u64, Started>,
    /// Points whose outcome may be sent.
    ready: Vec<Ready>,
    /// Points whose outcome is on the way, and where the snapshots are that they will not need any more.
    on_the_way: usize,
    shelves: Vec<Arc<Shelf>>,
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
    Ended { outcome: Outcome, reported: u64, shelf: Option<Arc<Shelf>> },
}

impl Default for State {
    fn default() -> Self {
        Self::Running { work_done: 0.0 }
    }
}

#[derive(Debug)]
struct Ready {
    outcome: v1::Outcome,
    shelf: Option<Arc<Shelf>>,
}

impl Lease {
    pub(super) fn new(token: Token, looking: bool) -> Self {
        Self {
            token,
            stop: Stop::default(),
            waiting: VecDeque::new(),
            looking,
            started: BTreeMap::new(),
            ready: Vec::new(),
            on_the_way: 0,
            shelves: Vec::new(),
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
        self.started.insert(point, Started::default());
        Some(Assignment { token: self.token.clone(), point, start, stop: self.stop.clone() })
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
    pub(super) fn send(&mut self) -> Option<(Token, Vec<v1::Outcome>)> {
        if self.ready.is_empty() || self.on_the_way > 0 {
            return None;
        }
        self.on_the_way = self.ready.len();
        let mut outcomes = Vec::with_capacity(self.ready.len());
        for Ready { outcome, shelf } in self.ready.drain(..) {
            outcomes.push(outcome);
            self.shelves.extend(shelf);
        }
        Some((self.token.clone(), outcomes))
    }

    /// What was on the way has arrived.
    pub(super) fn sent(&mut self) -> Vec<Arc<Shelf>> {
        self.on_the_way = 0;
        std::mem::take(&mut self.shelves)
    }

    /// Points that have ended and whose end the coordinator is not known to have kept.
    pub(super) fn unacknowledged(&self) -> usize {
        let ended = self.started.values().filter(|started| matches!(started.state, State::Ended { .. }));
        ended.count() + self.ready.len() + self.on_the_way
    }

    /// Nothing runs and nothing is on the way.
    pub(super) fn is_quiet(&self) -> bool {
        self.started.is_empty() && self.ready.is_empty() && self.on_the_way == 0
    }

    /// All its points are finished.
    pub(super) fn is_done(&self) -> bool {
        self.is_quiet() && self.waiting.is_empty() && self.stopped == 0
    }
}
