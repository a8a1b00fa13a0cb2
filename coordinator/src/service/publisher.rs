//! Lets watchers see the sweeps' progress: a few times a second at most, and only what is durable.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::desk::Desk;
use super::view::{SweepState, WatchEvent};
use crate::scheduler::{Moment, SweepKey};
use crate::store::writer::Done;

/// The least time between two events of progress; a change of state is told at once.
const INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Publisher {
    channels: BTreeMap<SweepKey, Channel>,
    /// When to look at the sweeps.
    due: Option<Moment>,
    last: Moment,
    /// The next event's number. It starts from the time of day, so that it rises over restarts.
    sequence: u64,
}

#[derive(Debug)]
struct Channel {
    sender: watch::Sender<WatchEvent>,
    /// What was last sent, or is on its way behind the writes that it tells of.
    latest: WatchEvent,
}

impl Publisher {
    pub(super) fn new(sequence: u64) -> Self {
        Self { channels: BTreeMap::new(), due: None, last: Moment::ZERO, sequence }
    }

    /// A channel that has the sweep's present state as its first value. `None` if there is no such sweep.
    pub(super) fn subscribe(&mut self, desk: &Desk, key: SweepKey, now: Moment) -> Option<watch::Receiver<WatchEvent>> {
        if let Some(channel) = self.channels.get(&key) {
            return Some(channel.sender.subscribe());
        }
        let latest = self.event(desk, key, now)?;
        let (sender, receiver) = watch::channel(latest.clone());
        self.channels.insert(key, Channel { sender, latest });
        Some(receiver)
    }

    /// Something happened that watchers may want to know.
    pub(super) fn nudge(&mut self, now: Moment, at_once: bool) {
        if !self.channels.is_empty() {
            let due = if at_once { now } else { now.max(self.last + INTERVAL) };
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// What there is to tell now, to be told once everything decided so far is durable.
    pub(super) fn publish(&mut self, desk: &Desk, now: Moment) -> Option<Done> {
        self.due.take_if(|due| *due <= now)?;
        self.last = now;
        self.channels.retain(|_, channel| channel.sender.receiver_count() > 0);
        let keys: Vec<_> = self.channels.keys().copied().collect();
        let mut events = Vec::new();
        for key in keys {
            let Some(event) = self.event(desk, key, now) else { continue };
            let Some(channel) = self.channels.get_mut(&key) else { continue };
            if event != (WatchEvent { sequence: event.sequence, ..channel.latest.clone() }) {
                channel.latest = event.clone();
                events.push((channel.sender.clone(), event));
            }
        }
        let tell = move |outcome: Result<(), _>| {
            if outcome.is_ok() {
                for (sender, event) in events {
                    sender.send_replace(event);
                }
            }
        };
        Some(Box::new(tell))
    }

    /// Whatever was on its way will not come: it was decided on top of a write that failed. What is true instead is told
    /// as news.
    pub(super) fn forget_untold(&mut self, now: Moment) {
        self.channels.retain(|_, channel| channel.sender.receiver_count() > 0);
        for channel in self.channels.values_mut() {
            channel.latest = channel.sender.borrow().clone();
        }
        self.due = Some(now);
    }

    fn event(&mut self, desk: &Desk, key: SweepKey, now: Moment) -> Option<WatchEvent> {
        let progress = desk.scheduler.progress(key, now)?;
        let state = desk.scheduler.state(key).unwrap_or(SweepState::Running);
        let pause_reason = desk.scheduler.pause_reason(key).map(|reason| reason.to_string());
        let unmet = desk.scheduler.unmet(key).map(|needs| needs.to_string());
        self.sequence += 1;
        let (sequence, shards) = (self.sequence, desk.shards(key).of_each());
        Some(WatchEvent { sequence, state, pause_reason, unmet, progress, shards })
    }
}
