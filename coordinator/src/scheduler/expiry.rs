//! Signs of life, and what happens without them. Expiry is about speed, not safety: a lease that was lost wrongly costs
//! work only if its worker is not back before somebody else has done it (`reclaim`), and what it reports meanwhile is stale.

use std::collections::BTreeSet;

use super::leases::Knowledge;
use super::{Cession, Change, Decision, LeaseKey, Moment, Points, Refused, Scheduler, WorkerId};

/// A lease of which a heartbeat says that it is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its name.
    pub lease: LeaseKey,
    /// Running points, each with the share of its work that is done.
    pub running: Vec<(u64, f64)>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// Leases that the worker no longer holds.
    pub dropped: Vec<LeaseKey>,
    /// The worker is to take no more.
    pub drain: bool,
    /// Points that it is to give back, as others could start them at once.
    pub cede: Vec<Cession>,
}

impl Scheduler {
    /// A worker is alive and holds these leases. One that it holds but does not name lives no longer for it: its answer
    /// never reached the worker, and no attempt is counted unless the worker spoke of its points. Leases of which nothing has
    /// moved for too long end.
    ///
    /// # Errors
    /// If the worker is unknown. Its leases live on until their deadline, so that it may register again.
    pub fn on_heartbeat(
        &mut self,
        worker: &WorkerId,
        held: Vec<Held>,
        now: Moment,
    ) -> Result<Decision<HeartbeatReply>, Refused> {
        self.workers.hear(worker, now)?;
        if let Some(before) = now.checked_sub(self.settings.heartbeat_interval) {
            let named: BTreeSet<_> = held.iter().map(|held| held.lease).collect();
            self.leases.leave_out(worker, &named, before);
        }
        let mut dropped = Vec::new();
        for Held { lease: key, running } in held {
            match self.leases.get_mut(key).filter(|lease| lease.worker == *worker) {
                Some(lease) => {
                    let share = |(point, share): (u64, f64)| (point, if share.is_finite() { share } else { 0.0 });
                    let covered = |(point, _): &(u64, f64)| lease.points.contains(*point);
                    let running = running.into_iter().map(share).filter(covered).collect();
                    lease.run(running, now);
                    (lease.busy_before, lease.knowledge) = (0, Knowledge::Spoken);
                    self.leases.extend(key, now + self.settings.lease_time);
                    self.measure(key.sweep, now);
                }
                None => dropped.push(key),
            }
        }
        let (stalled, changes) = self.end_stalled(worker, now);
        dropped.extend(stalled);
        let drain = self.workers.get(worker).is_some_and(|worker| worker.draining);
        let cede = self.cessions(worker, now);
        Ok(Decision::new(changes, HeartbeatReply { dropped, drain, cede }))
    }

    /// Time passed: ends all leases and forgets all workers whose time is over, and lets points be leased again that have
    /// waited long enough. The reply is when to look again, unless [`Scheduler::next_return`] comes before.
    pub fn on_tick(&mut self, now: Moment) -> Decision<Option<Moment>> {
        self.end_backoffs(now);
        let mut changes = Vec::new();
        while let Some(key) = self.leases.due(now) {
            let Some(silent) = self.leases.get(key).map(|lease| lease.worker.clone()) else { break };
            changes.extend(self.lose(key, &format!("the worker {silent} fell silent"), now));
        }
        if let Some(then) = now.checked_sub(self.settings.lease_time) {
            self.workers.forget_silent(then);
        }
        let silence = self.workers.longest_silent().map(|heard| heard + self.settings.lease_time);
        let wake = self.leases.next_deadline().into_iter().chain(silence).min();
        Decision::new(changes, wake)
    }

    /// Ends a lease whose worker is lost, for this reason. An attempt is counted against the points that had been started.
    pub(super) fn lose(&mut self, key: LeaseKey, error: &str, now: Moment) -> Vec<Change> {
        let started = self.leases.started(key);
        let Some(lease) = self.end(key) else { return Vec::new() };
        self.lost.remember(key, &lease);
        self.leases.keep_busy(&lease, started.len());
        let Some(sweep) = self.sweeps.get_mut(&key.sweep) else { return Vec::new() };
        let max_attempts = self.settings.max_attempts;
        let setbacks: Vec<_> =
            started.iter().map(|point| sweep.set_back(point, error.to_owned(), false, max_attempts)).collect();
        sweep.give_back(&(&lease.points - &started));
        setbacks.iter().for_each(|setback| self.back_off(key.sweep, setback.point, setback.attempts, now));
        self.requeue(key.sweep);
        let settled = self.settle(key.sweep, &setbacks);
        let ended = Change::Ended { lease: key, finished: Vec::new(), setbacks, remain: Points::new() };
        std::iter::once(ended).chain(settled).collect()
    }
}
