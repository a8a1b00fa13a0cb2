//! What workers ask and tell: they register, lease, report, finish and release, and share baselines.

use std::time::{Duration, Instant};

use phasegrid_proto::{NUMERICS_VERSION, v1};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use super::actor::{Event, Message, release};
use super::aside;
use super::desk::{Desk, say, write};
use super::parking::{Asking, Work};
use super::recall;
use super::token::Token;
use super::{
    Cession, Conversation, Coordinator, Directives, HeldLease, LeaseAnswer, LeasedRange, LeasedTask, Outcome, Pending,
    Refusal, Registration, Terms, Verdict,
};
use crate::clock;
use crate::scheduler::{self, Grant, Held, LeaseKey, Measurement, Moment, WorkerId};
use crate::spec::Spec;
use crate::store::Write;

const LONGEST_WORKER_ID: usize = 100;
/// Enough for the names of 512 GPUs.
const LONGEST_DEVICE: usize = 4096;
/// The digits of a task's digest.
const DIGEST: usize = 32;
/// An estimate is some dozens of numbers and words.
const LARGEST_BASELINE: usize = 16 << 10;
/// No call waits longer for work: a worker asks again, and is heard of.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// And none looks longer for results that are there already: a worker does not wait for ever.
const LONGEST_LOOK: Duration = Duration::from_secs(20);

impl Coordinator {
    /// A worker joins, or joins again: then it keeps its leases.
    ///
    /// # Errors
    /// If it is not one that this coordinator can use.
    pub async fn register(&self, worker: Registration) -> Result<Terms, Refusal> {
        let Registration { id, slots, device, memory, numerics_version } = worker;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !(1..=LONGEST_WORKER_ID).contains(&id.len()) || !id.chars().all(fits) {
            let message = format!("worker_id: 1 to {LONGEST_WORKER_ID} characters of [A-Za-z0-9._-] are accepted");
            return Err(Refusal::InvalidArgument(message));
        }
        if slots == 0 {
            return Err(Refusal::InvalidArgument("slots: a number from 1 is accepted".to_owned()));
        }
        if numerics_version != NUMERICS_VERSION {
            return Err(Refusal::FailedPrecondition(format!(
                "the worker computes by numerics version {numerics_version} and the sweeps here by {NUMERICS_VERSION}, and \
                 results of both are never mixed: start a worker of the coordinator's release"
            )));
        }
        if device.len() > LONGEST_DEVICE {
            return Err(Refusal::InvalidArgument(format!("device: at most {LONGEST_DEVICE} bytes are accepted")));
        }
        self.admit(&id).await?;
        let registration = scheduler::Registration { worker: id.as_str().into(), slots, device, memory };
        self.decide(move |desk, now| write(desk.scheduler.on_register(registration, now))).await?;
        let scheduler::Settings { heartbeat_interval, lease_time, .. } = self.settings;
        Ok(Terms { heartbeat_interval, lease_time, snapshots: self.snapshots.clone() })
    }

    /// Work for a worker, at once or when some turns up; none if that takes longer than it wants to wait.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub async fn lease(&self, worker: &str, wait: Duration) -> Result<LeaseAnswer, Refusal> {
        self.speak_for(worker)?;
        let mut wait = wait.min(LONGEST_WAIT);
        let mut until = None;
        loop {
            let inbox = self.running()?.inbox;
            let work = ask(&inbox, worker.into(), wait).await?;
            let lease = match &work {
                Work::Granted { grant, .. } => Some(grant.lease),
                Work::Nothing | Work::Drain => None,
            };
            let undelivered = Undelivered { lease, inbox: &inbox };
            // The token may have been revoked while work was waited for.
            self.speak_for(worker)?;
            match work {
                Work::Nothing => return Ok(LeaseAnswer::default()),
                Work::Drain => return Ok(LeaseAnswer { lease: None, drain: true }),
                Work::Granted { token, grant, spec, sweep_id } => {
                    let look = LONGEST_LOOK.min(self.settings.lease_time / 2);
                    let until = *until.get_or_insert_with(|| clock::instant() + look);
                    let tasks = self.tasks(&token, grant, spec, until).await?;
                    undelivered.delivered().await;
                    if !tasks.is_empty() {
                        return Ok(LeaseAnswer { lease: Some(LeasedRange { token, sweep_id, tasks }), drain: false });
                    }
                    // All of its results were there. What there is besides it gets; for more it asks again.
                    wait = Duration::ZERO;
                    if clock::instant() >= until {
                        return Ok(LeaseAnswer::default());
                    }
                }
            }
        }
    }

    /// Writes out the configurations of a lease's points. A point that has none, because its values contradict each other
    /// where no check of the sweep could look, fails here, and for good; one whose result is there already, and can be read
    /// until then, finishes here.
    async fn tasks(&self, token: &str, grant: Grant, spec: Spec, until: Instant) -> Result<Vec<LeasedTask>, Refusal> {
        let sweep = grant.lease.sweep;
        let write_out = move || {
            let (mut tasks, mut failed, mut digests) = (Vec::new(), Vec::new(), Vec::new());
            for (point, attempt) in grant.tasks {
                match spec.shard(point) {
                    Ok(config) => {
                        digests.extend(recall::digest(&config).map(|digest| (point, digest)));
                        tasks.push(LeasedTask { point, attempt, config: config.to_json() });
                    }
                    Err(error) => failed.push((point, Outcome::Failed { error: error.to_string(), permanent: true })),
                }
            }
            (tasks, failed, digests)
        };
        let written = aside::run(write_out).await;
        let (mut tasks, failed, digests) = written.map_err(|_| Refusal::unreachable())?;
        if !failed.is_empty() {
            self.finish(token, failed).await?;
        }
        let ended = self.recall(token, sweep, digests, until).await?;
        tasks.retain(|task| !ended.contains(&task.point));
        Ok(tasks)
    }

    /// A worker is alive and holds these leases; the answer says which of them it does not.
    ///
    /// # Errors
    /// If the worker is unknown: it registers again and keeps its leases.
    pub async fn heartbeat(&self, worker: &str, held: Vec<HeldLease>) -> Result<Directives, Refusal> {
        self.speak_for(worker)?;
        let worker = worker.into();
        self.decide(move |desk, now| {
            let mut unknown = Vec::new();
            let mut known = Vec::new();
            for HeldLease { token, running } in held {
                match Token::parse(&token).and_then(|token| desk.lease(&token)) {
                    Some(lease) => known.push(Held { lease, running }),
                    None => unknown.push(token),
                }
            }
            let (writes, reply) = write(desk.scheduler.on_heartbeat(&worker, known, now)?)?;
            let token = |lease| desk.token(lease).map(|token| token.to_string());
            let dropped_tokens = reply.dropped.into_iter().filter_map(token).chain(unknown).collect();
            let cession = |scheduler::Cession { lease, points }| Some(Cession { token: token(lease)?, points });
            let cede = reply.cede.into_iter().filter_map(cession).collect();
            Ok((writes, Directives { dropped_tokens, drain: reply.drain, cede }))
        })
        .await
    }

    /// Records of points of a lease: durable when accepted. Reports of one lease are to be sent in order.
    ///
    /// # Errors
    /// If the token is none, or steps do not rise or are beyond what can be stored.
    pub async fn report(&self, token: &str, points: Vec<(u64, Vec<v1::Record>)>) -> Result<Verdict, Refusal> {
        self.hand_in_report(&Conversation::default(), token, points).await?.answer().await
    }

    /// Like [`Coordinator::report`], but returns once the report has its place in the order of calls. Whoever does not
    /// wait for an answer before the next report shows by the conversation that the next rests on this one: after a failed
    /// write all that follow are refused, or a later step would be taken and the one before it for a repetition.
    ///
    /// # Errors
    /// If the report is refused at sight.
    pub async fn hand_in_report(
        &self,
        conversation: &Conversation,
        token: &str,
        points: Vec<(u64, Vec<v1::Record>)>,
    ) -> Result<Pending<Verdict>, Refusal> {
        let token = parse(token)?;
        let kept = |record: &v1::Record| i64::try_from(record.step).is_ok();
        if let Some((point, _)) = points.iter().find(|(_, records)| !records.iter().all(kept)) {
            let message = format!("step: at most {} is accepted, and a record of point {point} has more", i64::MAX);
            return Err(Refusal::InvalidArgument(message));
        }
        let measurements = |(point, records): (u64, Vec<v1::Record>)| {
            let measurement =
                move |record: v1::Record| Measurement { point, step: record.step, payload: record.encode_to_vec() };
            records.into_iter().map(measurement)
        };
        let records: Vec<_> = points.into_iter().flat_map(measurements).collect();
        let (claim, mut report) = (self.claim(), conversation.next());
        self.hand_in(move |desk, _, now| {
            let answer = match claim.to(desk, &token)? {
                _ if !report.goes_on(desk.generation) => return Err(Refusal::unreachable()),
                Some(lease) => write(desk.scheduler.on_report(lease, records, now)?)?,
                None => say(Verdict::Stale)?,
            };
            report.is_taken();
            Ok(answer)
        })
        .await
    }

    /// Points of a lease ended: durable when accepted. May be repeated.
    ///
    /// # Errors
    /// If the token is none.
    pub async fn finish(&self, token: &str, outcomes: Vec<(u64, Outcome)>) -> Result<Verdict, Refusal> {
        let token = parse(token)?;
        let completed = |(_, outcome): &&(u64, Outcome)| matches!(outcome, Outcome::Completed { .. });
        let (finished, failed): (Vec<_>, Vec<_>) = outcomes.iter().partition(completed);
        let points = |outcomes: Vec<&(u64, _)>| outcomes.into_iter().map(|(point, _)| *point).collect::<Vec<_>>();
        let (finished, failed) = (points(finished), points(failed));
        let claim = self.claim();
        let finish = move |desk: &mut Desk, now| match claim.to(desk, &token)? {
            Some(lease) => {
                let size = desk.shards(lease.sweep).count();
                let there = outcomes.iter().all(|(point, _)| *point < size);
                let (writes, verdict) = write(desk.scheduler.on_finish(lease, outcomes, now))?;
                Ok((writes, (Some(lease).filter(|_| there), verdict)))
            }
            None => say((None, Verdict::Stale)),
        };
        match self.decide(finish).await? {
            // Perhaps a repetition, of an outcome that ended the whole lease. What was decided before is durable by now.
            (Some(lease), Verdict::Stale) => {
                let ended = self.read(move |reader| reader.ended_under(lease, &finished, &failed)).await?;
                Ok(if ended { Verdict::Accepted } else { Verdict::Stale })
            }
            (_, verdict) => Ok(verdict),
        }
    }

    /// A worker gives back what is left of a lease.
    ///
    /// # Errors
    /// If the token is none.
    pub async fn release(&self, token: &str) -> Result<(), Refusal> {
        let token = parse(token)?;
        let claim = self.claim();
        self.decide(move |desk, _| match claim.to(desk, &token)? {
            Some(lease) => write(desk.scheduler.on_release(lease)),
            None => say(()),
        })
        .await
    }

    /// The estimate that is stored under a digest.
    ///
    /// # Errors
    /// If the digest is none, or the store fails.
    pub async fn find_baseline(&self, digest: &str) -> Result<Option<v1::Estimate>, Refusal> {
        check_digest(digest)?;
        let digest = digest.to_owned();
        let stored = self.read(move |reader| reader.baseline(&digest)).await?;
        let decode = |bytes: Vec<u8>| v1::Estimate::decode(&*bytes);
        stored.map(decode).transpose().map_err(|error| Refusal::DataLoss(format!("a stored baseline: {error}")))
    }

    /// Stores an estimate under a digest. The first one stays.
    ///
    /// # Errors
    /// If the digest is none, or the estimate is larger than one can be.
    pub async fn store_baseline(&self, digest: &str, estimate: v1::Estimate) -> Result<(), Refusal> {
        check_digest(digest)?;
        if estimate.encoded_len() > LARGEST_BASELINE {
            return Err(Refusal::InvalidArgument(format!("estimate: at most {LARGEST_BASELINE} bytes are accepted")));
        }
        let baseline = Write::Baseline { digest: digest.to_owned(), estimate: estimate.encode_to_vec() };
        self.decide(move |_, _| Ok((vec![baseline], ()))).await
    }
}

async fn ask(inbox: &mpsc::Sender<Message>, worker: WorkerId, wait: Duration) -> Result<Work, Refusal> {
    let (reply, answer) = oneshot::channel();
    let asking = Asking { worker, until: Moment::ZERO, reply };
    inbox.send(Message::Ask(asking, wait)).await.map_err(|_| Refusal::unreachable())?;
    answer.await.unwrap_or_else(|_| Err(Refusal::unreachable()))
}

/// Whether this is how a task is named: anything else would be kept for ever, and never be found.
fn check_digest(digest: &str) -> Result<(), Refusal> {
    let digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let is_one = digest.len() == DIGEST && digest.bytes().all(digit);
    let refused = || Refusal::InvalidArgument(format!("digest: {DIGEST} digits of 0-9a-f are accepted"));
    is_one.then_some(()).ok_or_else(refused)
}

pub(super) fn parse(token: &str) -> Result<Token, Refusal> {
    Token::parse(token).ok_or_else(|| Refusal::InvalidArgument("token: not one that was given out".to_owned()))
}

/// A lease on its way to its worker. If the call is dropped before, the lease is given back.
struct Undelivered<'a> {
    lease: Option<LeaseKey>,
    inbox: &'a mpsc::Sender<Message>,
}

impl Undelivered<'_> {
    /// The answer is about to be sent. The scheduler hears of it before of anything that the worker says then.
    async fn delivered(mut self) {
        if let Some(lease) = self.lease {
            // Without an actor there is nobody to count attempts.
            let _ = self.inbox.send(Message::Event(told(lease))).await;
            self.lease = None;
        }
    }
}

/// A worker is told of its lease.
fn told(lease: LeaseKey) -> Event {
    Box::new(move |desk, _, now| {
        let decision = desk.scheduler.on_told(lease, now);
        (decision.changes.into_iter().map(Write::Schedule).collect(), Box::new(|_| {}))
    })
}

impl Drop for Undelivered<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease {
            // If the inbox is full the lease ends by its time.
            let _ = self.inbox.try_send(Message::Event(release(lease)));
        }
    }
}
