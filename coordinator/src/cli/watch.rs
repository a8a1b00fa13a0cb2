//! `watch`: follows a sweep to its end, across restarts of the coordinator.

use std::error::Error as _;
use std::pin::Pin;
use std::time::{Duration, Instant};

use clap::Args;
use phasegrid_proto::connection::within;
use phasegrid_proto::v1;
use tonic::{Code, Response, Status, Streaming};

use super::client::{ANSWER_TIME, Client, Remote, Way};
use super::failure::Failure;
use super::output::talk;
use super::progress::{View, summary, ticks, unit};
use super::text;
use crate::clock;

/// The first and the longest wait before a coordinator that went away is tried again, and how long it is missed before we
/// give up.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(600);

/// Follow a sweep's progress until it has ended
///
/// A paused sweep is waited for. So is a coordinator that goes away, for ten minutes. Progress goes to stderr.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid watch $ID && phasegrid table $ID --level cells\n\n\
    Ends with 0 when every point is finished, 8 when some failed, and 5 when the sweep was cancelled.")]
pub(super) struct Watch {
    /// The sweep
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Watch {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.remote.connect().await?;
        let mut events = Events::of(client, &self.id).await?;
        let mut view = View::new();
        let mut ticks = ticks();
        let (mut was_paused, mut was_unmet) = (None, false);
        let end = loop {
            let event = tokio::select! {
                event = events.next(&view) => event?,
                _ = ticks.tick() => {
                    view.on_tick();
                    continue;
                }
            };
            view.show(&event.progress.unwrap_or_default());
            let paused = Paused::of(&event, &self.id);
            if let Some(paused) = paused.as_ref().filter(|_| was_paused.is_none()) {
                view.say(&paused.sentence());
            }
            was_paused = paused;
            if !event.unmet.is_empty() && !was_unmet {
                view.say(&format!("no worker has what the sweep needs, {}; it waits for one", event.unmet));
            }
            was_unmet = !event.unmet.is_empty();
            if let Some(end) = End::of(&event) {
                break end;
            }
        };
        drop(view);
        talk(&end.sentence());
        end.into_result(&format!("`phasegrid show {0}` says why, `phasegrid retry {0}` gives them another go", self.id))
    }
}

/// The last event of a sweep.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) cancelled: bool,
    pub(super) progress: v1::Progress,
}

impl End {
    /// The end, if the event is one.
    pub(super) fn of(event: &v1::WatchSweepResponse) -> Option<Self> {
        let cancelled = match event.state() {
            v1::SweepState::Completed => false,
            v1::SweepState::Cancelled => true,
            v1::SweepState::Running | v1::SweepState::Paused | v1::SweepState::Unspecified => return None,
        };
        Some(Self { cancelled, progress: event.progress.unwrap_or_default() })
    }

    /// Every point is finished.
    pub(super) fn is_complete(&self) -> bool {
        !self.cancelled && self.progress.failed == 0
    }

    fn sentence(&self) -> String {
        let how = if self.cancelled { "cancelled" } else { "completed" };
        format!("{how}: {}", summary(&self.progress))
    }

    /// Success if every point is finished; `next` says what to do about failed ones.
    pub(super) fn into_result(self, next: &str) -> Result<(), Failure> {
        let v1::Progress { failed, size, .. } = self.progress;
        match (self.cancelled, failed) {
            (true, _) => Err(Failure::Refused("the sweep was cancelled before its end".to_owned())),
            (false, 0) => Ok(()),
            (false, failed) => {
                Err(Failure::FailedPoints { failed, size, unit: unit(&self.progress), next: next.to_owned() })
            }
        }
    }
}

/// A sweep that waits to be resumed.
pub(super) struct Paused {
    id: String,
    reason: String,
}

impl Paused {
    /// The pause, if the event tells of one.
    pub(super) fn of(event: &v1::WatchSweepResponse, id: &str) -> Option<Self> {
        let paused = event.state() == v1::SweepState::Paused;
        paused.then(|| Self { id: id.to_owned(), reason: event.pause_reason.clone() })
    }

    fn sentence(&self) -> String {
        format!("paused{}; `phasegrid resume {}` lets it go on", self.because(), self.id)
    }

    /// Why, if it was not a person who paused it.
    pub(super) fn because(&self) -> String {
        if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) }
    }
}

/// The events of one sweep. A lost stream is taken up again after the last event seen.
pub(super) struct Events {
    client: Client,
    id: String,
    sequence: u64,
    stream: Option<Streaming<v1::WatchSweepResponse>>,
    /// The call for a new stream, which goes on where [`Events::next`] was given up.
    call: Option<Call>,
    absence: Absence,
}

/// A call on its way.
type Call = Pin<Box<dyn Future<Output = Result<Response<Streaming<v1::WatchSweepResponse>>, Status>>>>;

/// Since when the coordinator is missed, and when it is tried again. Moments, and not waits added up: what waits is given
/// up at every tick.
#[derive(Debug, Default)]
struct Absence {
    lost: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Absence {
    /// Takes note of a failure; says how long the coordinator has been missed.
    fn on_failure(&mut self, now: Instant) -> Duration {
        let missed = now - *self.lost.get_or_insert(now);
        // As long as all waits before it, so that they double.
        self.retry_at = Some(now + (missed + FIRST_WAIT).min(LONGEST_WAIT));
        missed
    }
}

impl Events {
    /// Follows the sweep `id`; the coordinator must be there at first.
    pub(super) async fn of(mut client: Client, id: &str) -> Result<Self, Failure> {
        let stream = client.ask(async |way| watch(way, id, 0).await).await?;
        let (stream, absence) = (Some(stream), Absence::default());
        Ok(Self { client, id: id.to_owned(), sequence: 0, stream, call: None, absence })
    }

    /// The next event. May be given up and asked for again at any time.
    pub(super) async fn next(&mut self, view: &View) -> Result<v1::WatchSweepResponse, Failure> {
        loop {
            if let Some(moment) = self.absence.retry_at {
                tokio::time::sleep_until(moment.into()).await;
            }
            let lost = match self.receive().await {
                Ok(Some(event)) => {
                    self.sequence = event.sequence;
                    self.absence = Absence::default();
                    return Ok(event);
                }
                Ok(None) => Status::unavailable("the coordinator is leaving"),
                Err(status) => status,
            };
            self.stream = None;
            let first = self.absence.lost.is_none();
            let missed = self.absence.on_failure(clock::instant());
            // What breaks may look like a fault of the protocol. Whatever else a coordinator says, such as that the token has
            // expired, it will say again.
            let broken = lost.code() == Code::Internal && lost.source().is_some();
            if !(self.client.is_away(&lost) || broken) || missed >= PATIENCE {
                return Err(self.client.failure(lost));
            }
            // Another may have taken over.
            self.client.turn_to_next();
            if first {
                view.say(&format!("the coordinator went away; waiting for it for up to {}", text::span(PATIENCE)));
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<v1::WatchSweepResponse>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let (way, id, sequence) = (self.client.way(), &self.id, self.sequence);
                let call = self.call.get_or_insert_with(|| {
                    let (mut way, id) = (way.clone(), id.clone());
                    Box::pin(async move { within(ANSWER_TIME, watch(&mut way, &id, sequence)).await })
                });
                let answer = call.await;
                self.call = None;
                none.insert(answer?.into_inner())
            }
        };
        stream.message().await
    }
}

async fn watch(
    way: &mut Way,
    id: &str,
    after_sequence: u64,
) -> Result<Response<Streaming<v1::WatchSweepResponse>>, Status> {
    let request = v1::WatchSweepRequest { id: id.to_owned(), after_sequence };
    way.sweeps.watch_sweep(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_patience_is_time_that_has_passed() {
        let start = clock::instant();
        let (mut absence, mut now, mut waits) = (Absence::default(), start, vec![]);
        while absence.on_failure(now) < PATIENCE {
            let retry_at = absence.retry_at.unwrap();
            waits.push(retry_at - now);
            now = retry_at;
        }
        let millis: Vec<_> = waits.iter().take(7).map(Duration::as_millis).collect();
        assert_eq!(millis, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(now - start >= PATIENCE && now - start < PATIENCE + LONGEST_WAIT);
    }
}
