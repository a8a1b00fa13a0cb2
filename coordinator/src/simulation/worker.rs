//! A worker that keeps to the contract of `workers.proto` as the real one does: points are started in order, records go out
//! over one stream at a time and are kept until they are acknowledged, a point is finished once its records are, every call
//! is repeated until it is answered. It computes nothing, and may fail, freeze or die at any moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use phasegrid_proto::v1;

use super::calls::{Answer, Request};
use super::chance::Chance;
use super::disk::Shared;
use crate::scheduler::SweepKey;
use crate::service::{Cession, HeldLease, LeasedRange, Outcome, Refusal, Verdict};

/// Reports that may be under way on one stream.
const WINDOW: usize = 3;

/// What a worker may have under way; one call of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Register,
    Lease,
    Heartbeat,
    Finish,
    Release,
    Reclaim,
}

pub(super) struct Worker {
    pub(super) id: String,
    slots: usize,
    registered: bool,
    pub(super) leases: Vec<Held>,
    /// What is to be given back.
    pub(super) released: VecDeque<Request>,
    /// Calls that are to be repeated until they are answered.
    pub(super) calls: BTreeMap<Kind, Request>,
    beat_due: bool,
    pub(super) outbox: VecDeque<v1::ReportRequest>,
    /// Of the reports in the outbox, from its front, so many are on the stream.
    pub(super) under_way: usize,
    /// And so many of them had been on an earlier one.
    sent_before: usize,
}

pub(super) struct Held {
    pub(super) token: String,
    /// The epoch under which its points were begun.
    begun: u64,
    pub(super) points: BTreeMap<u64, Work>,
    /// It was lost, and is to be reclaimed; meanwhile its reports wait here.
    pub(super) lost: Option<Vec<v1::ReportRequest>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Waits,
    /// So many records are told, and so many acknowledged.
    Runs(u64, u64),
    /// All is told, and so much is acknowledged; or it failed.
    Told(u64),
    Failed(bool),
    /// That it was computed is on the way; that it failed.
    Sent,
    SentFailure,
}

/// Where a record comes from, which it tells in place of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) sweep: SweepKey,
    /// Under which the attempt began.
    pub(super) epoch: u64,
}

impl Origin {
    fn record(self, step: u64) -> v1::Record {
        let [train_loss, val_loss] = [self.epoch, self.sweep.0].map(|number| Some(number as f64));
        v1::Record { step, train_loss, val_loss, ..Default::default() }
    }

    pub(super) fn of(record: &v1::Record) -> Self {
        let [epoch, sweep] = [record.train_loss, record.val_loss].map(|number| number.expect("it was written") as u64);
        Self { sweep: SweepKey(sweep), epoch }
    }
}

/// Records of a point.
pub(super) fn records(point: u64) -> u64 {
    1 + point % 3
}

impl Worker {
    pub(super) fn new(id: String, slots: usize) -> Self {
        Self {
            id,
            slots,
            registered: false,
            leases: Vec::new(),
            released: VecDeque::new(),
            calls: BTreeMap::new(),
            beat_due: false,
            outbox: VecDeque::new(),
            under_way: 0,
            sent_before: 0,
        }
    }

    pub(super) fn beat(&mut self) {
        self.beat_due = true;
    }

    /// Some time of computing passes.
    pub(super) fn compute(&mut self, chance: &mut Chance, disk: &Shared, failures: u64) {
        for held in &mut self.leases {
            for (&point, work) in &mut held.points {
                let Work::Runs(told, acknowledged) = *work else { continue };
                if chance.permille(failures) {
                    *work = Work::Failed(chance.permille(100));
                } else if told < records(point) {
                    let sweep = disk.get().truth.lease(&held.token).sweep;
                    let record = Origin { sweep, epoch: held.begun }.record(told);
                    let points = vec![v1::PointRecords { point, records: vec![record] }];
                    let report = v1::ReportRequest { token: held.token.clone(), points };
                    match &mut held.lost {
                        Some(waiting) => waiting.push(report),
                        None => self.outbox.push_back(report),
                    }
                    *work = Work::Runs(told + 1, acknowledged);
                } else {
                    *work = Work::Told(acknowledged);
                }
            }
        }
        if chance.permille(5) && !self.leases.is_empty() && !self.calls.contains_key(&Kind::Finish) {
            let given_back = chance.below(self.leases.len() as u64) as usize;
            let token = self.leases[given_back].token.clone();
            self.drop_lease(&token);
            self.released.push_back(Request::Release { token });
        }
        self.start(disk);
    }

    /// Starts waiting points, in order, while there are free slots.
    fn start(&mut self, disk: &Shared) {
        let works = || self.leases.iter().flat_map(|held| held.points.values());
        let busy = works().filter(|work| matches!(work, Work::Runs(..))).count();
        let waiting = self.leases.iter_mut().flat_map(|Held { token, points, .. }| {
            points.iter_mut().filter(|(_, work)| **work == Work::Waits).map(|(point, work)| (&*token, *point, work))
        });
        for (token, point, work) in waiting.take(self.slots.saturating_sub(busy)) {
            *work = Work::Runs(0, 0);
            let mut disk = disk.get();
            let lease = disk.truth.lease(token);
            disk.truth.started.insert((lease, point));
        }
    }

    /// Calls that are to be sent now.
    pub(super) fn wishes(&mut self, chance: &mut Chance) -> Vec<(Kind, Request)> {
        let mut wishes = Vec::new();
        let worker = || self.id.clone();
        let mut wish = |kind: Kind, request: Option<Request>| {
            if let (false, Some(request)) = (self.calls.contains_key(&kind), request) {
                wishes.push((kind, request));
            }
        };
        let slots = u32::try_from(self.slots).expect("few");
        wish(Kind::Register, (!self.registered).then(|| Request::Register { worker: worker(), slots }));
        let waiting = self.leases.iter().flat_map(|held| held.points.values()).filter(|work| **work == Work::Waits);
        let reclaims = self.leases.iter().any(|held| held.lost.is_some());
        let wants = self.registered && !reclaims && waiting.count() < self.slots;
        let wait = Duration::from_secs(chance.below(3) * 10);
        wish(Kind::Lease, wants.then(|| Request::Lease { worker: worker(), wait }));
        let held = |held: &Held| {
            let running = held.points.iter().filter(|(_, work)| matches!(work, Work::Runs(..)));
            HeldLease { token: held.token.clone(), running: running.map(|(point, _)| (*point, 0.5)).collect() }
        };
        let held = self.leases.iter().filter(|lease| lease.lost.is_none()).map(held).collect();
        wish(
            Kind::Heartbeat,
            (self.beat_due && self.registered).then(|| Request::Heartbeat { worker: worker(), held }),
        );
        wish(Kind::Release, self.released.front().cloned());
        wish(Kind::Reclaim, self.leases.iter().find_map(|held| self.claim(held)).filter(|_| self.registered));
        if !self.calls.contains_key(&Kind::Finish)
            && let Some(request) = self.leases.iter_mut().find_map(Held::outcomes)
        {
            wishes.push((Kind::Finish, request));
        }
        for (kind, request) in &wishes {
            self.beat_due &= *kind != Kind::Heartbeat;
            self.calls.insert(*kind, request.clone());
        }
        wishes
    }

    /// Reports that are to go out on the stream now, each with whether it had been on another one.
    pub(super) fn reports(&mut self) -> Vec<(v1::ReportRequest, bool)> {
        let mut reports = Vec::new();
        while self.under_way < WINDOW.min(self.outbox.len()) {
            reports.push((self.outbox[self.under_way].clone(), self.under_way < self.sent_before));
            self.under_way += 1;
        }
        reports
    }

    /// The stream is gone: what was on it goes out again on another.
    pub(super) fn stream_broke(&mut self) {
        self.sent_before = self.sent_before.max(self.under_way);
        self.under_way = 0;
        let lost = self.leases.iter().filter(|held| held.lost.is_some()).map(|held| held.token.clone());
        for token in lost.collect::<Vec<_>>() {
            let unanswered = self.take_reports(&token);
            if let Some(waiting) = self.held(&token).and_then(|held| held.lost.as_mut()) {
                waiting.extend(unanswered);
            }
        }
    }

    pub(super) fn reported(&mut self, verdict: v1::Verdict) {
        let Some(request) = self.outbox.pop_front() else { return };
        (self.under_way, self.sent_before) = (self.under_way - 1, self.sent_before.saturating_sub(1));
        if verdict != v1::Verdict::Accepted {
            self.lose(&request.token);
            if let Some(waiting) = self.held(&request.token).and_then(|held| held.lost.as_mut()) {
                waiting.push(request);
            }
            return;
        }
        if let Some(Work::Runs(_, acknowledged) | Work::Told(acknowledged)) =
            self.held(&request.token).and_then(|held| held.points.get_mut(&request.points[0].point))
        {
            *acknowledged += 1;
        }
    }

    /// An answer to the call of this kind. False if the same is to be sent again.
    pub(super) fn answered(&mut self, kind: Kind, answer: Result<Answer, Refusal>, disk: &Shared) -> bool {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Refusal::Unavailable(_)) => return false,
            Err(Refusal::NotFound(_)) => {
                self.registered = false;
                return false;
            }
            Err(refusal) => panic!("an honest worker is refused: {refusal}"),
        };
        let request = self.calls.remove(&kind);
        match (request, answer) {
            (_, Answer::Registered) => self.registered = true,
            (_, Answer::Leased(answer)) => answer.lease.into_iter().for_each(|lease| self.take(lease)),
            (_, Answer::Beaten(directives)) => {
                directives.dropped_tokens.iter().for_each(|token| self.lose(token));
                directives.cede.iter().for_each(|Cession { token, points }| self.cede(token, *points));
            }
            (Some(Request::Finish { token, .. }), Answer::Finished(Verdict::Stale)) => self.lose(&token),
            (Some(Request::Reclaim { token, .. }), Answer::Reclaimed(lease)) => self.regain(&token, lease),
            (Some(Request::Finish { token, outcomes }), Answer::Finished(Verdict::Accepted)) => {
                if let Some(held) = self.held(&token) {
                    held.points.retain(|point, _| outcomes.iter().all(|(ended, _)| ended != point));
                }
                self.forget_done();
            }
            (_, Answer::Released) => drop(self.released.pop_front()),
            (request, answer) => panic!("{request:?} is answered by {answer:?}"),
        }
        self.start(disk);
        true
    }

    fn take(&mut self, lease: LeasedRange) {
        let points = lease.tasks.iter().map(|task| (task.point, Work::Waits)).collect();
        self.leases.push(Held { begun: epoch(&lease.token), token: lease.token, points, lost: None });
    }

    pub(super) fn held(&mut self, token: &str) -> Option<&mut Held> {
        self.leases.iter_mut().find(|held| held.token == token)
    }

    pub(super) fn forget_done(&mut self) {
        self.leases.retain(|held| !held.points.is_empty());
    }

    /// The lease is gone, and nothing of it is wanted any more.
    pub(super) fn drop_lease(&mut self, token: &str) {
        self.leases.retain(|held| held.token != token);
        self.take_reports(token);
    }

    /// Takes the reports of a lease from the outbox, but for those on the stream, which are answered there.
    pub(super) fn take_reports(&mut self, token: &str) -> Vec<v1::ReportRequest> {
        let (mut rest, mut taken) = (VecDeque::new(), Vec::new());
        for (position, report) in self.outbox.drain(..).enumerate() {
            if position >= self.under_way && report.token == token {
                taken.push(report);
            } else {
                rest.push_back(report);
            }
        }
        self.outbox = rest;
        taken
    }

    pub(super) fn has_reports(&self, token: &str) -> bool {
        self.outbox.iter().any(|report| report.token == token)
    }
}

/// The epoch of the lease that a token names.
fn epoch(token: &str) -> u64 {
    token.rsplit_once('.').and_then(|(_, epoch)| epoch.parse().ok()).expect("a token")
}

impl Held {
    /// The outcomes of all points whose records are acknowledged.
    fn outcomes(&mut self) -> Option<Request> {
        if self.lost.is_some() {
            return None;
        }
        let mut outcomes = Vec::new();
        for (&point, work) in &mut self.points {
            let outcome = match *work {
                Work::Told(acknowledged) if acknowledged == records(point) => {
                    Outcome::Completed { records: acknowledged }
                }
                Work::Failed(permanent) => Outcome::Failed { error: "chance has it so".to_owned(), permanent },
                _ => continue,
            };
            *work = if matches!(outcome, Outcome::Failed { .. }) { Work::SentFailure } else { Work::Sent };
            outcomes.push((point, outcome));
        }
        (!outcomes.is_empty()).then(|| Request::Finish { token: self.token.clone(), outcomes })
    }
}
