//! One life of the coordinator's process: the real service, polled by hand. Whatever it answers is held against the disk
//! before it leaves: nothing may be said that a crash could take back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use phasegrid_proto::v1;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::bugs::Bug;
use super::calls::{Answer, Call, Request, call};
use super::disk::Shared;
use crate::rpc::workers::converse;
use crate::scheduler::Moment;
use crate::service::by_hand::ByHand;
use crate::service::{Outcome, Refusal, Settings, Verdict};

/// Who is to be answered: of all that is under way each has a number of its own.
pub(super) type Ticket = u64;

/// What leaves the process.
#[expect(clippy::large_enum_variant, reason = "a simulated message is moved once")]
pub(super) enum Out {
    Answer(Ticket, Result<Answer, Refusal>),
    /// On a stream of reports: the verdict on the next of them, or the end of the stream.
    Verdict(Ticket, Option<v1::Verdict>),
}

pub(super) struct Host {
    by_hand: ByHand<Shared>,
    disk: Shared,
    /// When it was started.
    since: Moment,
    /// How far its clock has jumped ahead.
    ahead: Duration,
    calls: Vec<(Ticket, Request, Call)>,
    streams: BTreeMap<Ticket, Reports>,
    /// Streams that were answered with an error, or closed by who opened them.
    ended: BTreeSet<Ticket>,
    /// Something was decided since the disk last had nothing to do.
    worked: bool,
}

/// A stream of reports as the coordinator has it.
struct Reports {
    requests: UnboundedSender<Result<v1::ReportRequest, Status>>,
    unanswered: VecDeque<v1::ReportRequest>,
    answers: Pin<Box<dyn Stream<Item = Result<v1::ReportResponse, Status>>>>,
}

impl Host {
    pub(super) fn start(disk: Shared, lease_target: Duration, now: Moment) -> Self {
        disk.get().owed.clear();
        let settings = Settings { lease_target, ..Settings::default() };
        let by_hand = ByHand::start(disk.clone(), disk.clone(), settings).expect("what is stored is whole");
        let (calls, streams, ended) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self { by_hand, disk, since: now, ahead: Duration::ZERO, calls, streams, ended, worked: true }
    }

    /// Its clock jumps ahead, as that of a machine that slept.
    pub(super) fn jump(&mut self, ahead: Duration) {
        self.ahead += ahead;
    }

    pub(super) fn take(&mut self, ticket: Ticket, request: Request) {
        let future = call(self.by_hand.coordinator().clone(), self.mangled(request.clone()));
        self.calls.push((ticket, request, future));
    }

    /// Whoever asked has closed the connection.
    pub(super) fn hang_up(&mut self, ticket: Ticket) {
        self.calls.retain(|(other, ..)| *other != ticket);
        if self.streams.remove(&ticket).is_some() {
            self.ended.insert(ticket);
        }
    }

    /// A report arrives on a stream, which the first of them opens; `again` if it was sent before, on another one.
    pub(super) fn report(&mut self, stream: Ticket, request: v1::ReportRequest, again: bool) {
        let bug = self.disk.get().bug;
        if self.ended.contains(&stream) && bug != Some(Bug::StreamGoesOn) {
            return;
        }
        let mut mangled = request.clone();
        if bug == Some(Bug::DuplicateStored) && again {
            mangled.points.iter_mut().flat_map(|point| &mut point.records).for_each(|record| record.step += 1000);
        }
        if bug == Some(Bug::EpochUnchecked) {
            mangled.token = self.newest(&mangled.token, mangled.points[0].point);
        }
        let coordinator = self.by_hand.coordinator().clone();
        let reports = self.streams.entry(stream).or_insert_with(|| {
            let (requests, arriving) = unbounded_channel();
            let answers = Box::pin(converse(coordinator, UnboundedReceiverStream::new(arriving)));
            Reports { requests, unanswered: VecDeque::new(), answers }
        });
        reports.unanswered.push_back(request);
        // A stream that has ended takes nothing.
        let _ = reports.requests.send(Ok(mangled));
    }

    fn mangled(&self, request: Request) -> Request {
        match request {
            Request::Finish { token, outcomes } if self.disk.get().bug == Some(Bug::EpochUnchecked) => {
                Request::Finish { token: self.newest(&token, outcomes[0].0), outcomes }
            }
            request => request,
        }
    }

    /// The token of the lease that covers a point now.
    fn newest(&self, token: &str, point: u64) -> String {
        let disk = self.disk.get();
        let (id, _) = token.rsplit_once('.').expect("a token");
        let sweep = disk.truth.lease(token).sweep;
        let state = disk.truth.sweeps().into_iter().find(|state| state.key == sweep).expect("it was created");
        let now = state.leases.iter().find(|(_, lease)| lease.remain.contains(point));
        now.map_or(token.to_owned(), |(epoch, _)| format!("{id}.{epoch}"))
    }

    fn clock(&self, now: Moment) -> Moment {
        now.saturating_sub(self.since) + self.ahead
    }

    /// When it has something to do of itself.
    pub(super) fn wake(&self, now: Moment) -> Moment {
        now + self.by_hand.wake().saturating_sub(self.clock(now))
    }

    /// Does all that can be done now but writing; the tasks that hold the connections may be late.
    pub(super) fn turn(&mut self, now: Moment, late: bool) -> Vec<Out> {
        let clock = self.clock(now);
        self.worked |= self.by_hand.wake() <= clock;
        self.by_hand.mind_the_time(clock);
        let mut out = Vec::new();
        loop {
            let before = out.len();
            if !late {
                self.poll(&mut out);
            }
            let acted = self.by_hand.act(clock);
            self.worked |= acted;
            if !acted && out.len() == before {
                return out;
            }
        }
    }

    /// The disk has its turn.
    pub(super) fn write(&mut self) {
        let silent = self.disk.get().bug == Some(Bug::NeverReloaded);
        self.worked = self.by_hand.write(|| !silent);
    }

    /// There may be something to write.
    pub(super) fn has_worked(&self) -> bool {
        self.worked
    }

    fn poll(&mut self, out: &mut Vec<Out>) {
        let mut context = Context::from_waker(Waker::noop());
        let disk = self.disk.clone();
        self.calls.retain_mut(|(ticket, request, call)| {
            let Poll::Ready(answer) = call.as_mut().poll(&mut context) else { return true };
            if let Ok(answer) = &answer {
                verify(&disk, request, answer);
            }
            out.push(Out::Answer(*ticket, answer));
            false
        });
        self.streams.retain(|ticket, reports| {
            loop {
                match reports.answers.as_mut().poll_next(&mut context) {
                    Poll::Pending => return true,
                    Poll::Ready(Some(Ok(answer))) => {
                        let request = reports.unanswered.pop_front().expect("one answer a report");
                        verify_report(&disk, &request, answer.verdict());
                        out.push(Out::Verdict(*ticket, Some(answer.verdict())));
                    }
                    Poll::Ready(_) => {
                        self.ended.insert(*ticket);
                        out.push(Out::Verdict(*ticket, None));
                        return false;
                    }
                }
            }
        });
    }
}

/// What an answer says is durable.
fn verify(disk: &Shared, request: &Request, answer: &Answer) {
    let mut disk = disk.get();
    match (request, answer) {
        (Request::Lease { .. }, Answer::Leased(answer)) => {
            if let Some(lease) = &answer.lease {
                disk.truth.assert_granted(disk.truth.lease(&lease.token));
            }
        }
        (Request::Finish { token, outcomes }, Answer::Finished(Verdict::Accepted)) => {
            let lease = disk.truth.lease(token);
            for (point, outcome) in outcomes {
                match outcome {
                    Outcome::Completed { .. } => disk.truth.assert_finished(lease, *point),
                    Outcome::Failed { .. } => disk.truth.assert_set_back(lease, *point),
                }
            }
        }
        (Request::Reclaim { .. }, Answer::Reclaimed(Some(lease))) => {
            disk.truth.assert_granted(disk.truth.lease(&lease.token));
            disk.truth.reached.reclaimed += 1;
        }
        (Request::Cede { points, .. }, Answer::Released) => disk.truth.reached.ceded += points.len() as u64,
        (Request::Create { .. }, Answer::Created(view)) => assert!(disk.truth.key(&view.id).is_some(), "not stored"),
        _ => {}
    }
}

fn verify_report(disk: &Shared, request: &v1::ReportRequest, verdict: v1::Verdict) {
    let disk = disk.get();
    if verdict == v1::Verdict::Accepted {
        let lease = disk.truth.lease(&request.token);
        for points in &request.points {
            points.records.iter().for_each(|record| disk.truth.assert_recorded(lease, points.point, record.step));
        }
    }
}
