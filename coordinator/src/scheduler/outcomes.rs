//! What workers report of their leases: records, outcomes, and that they give one back.

use std::collections::BTreeMap;

use super::leases::{Lease, Reported};
use super::{
    Change, Decision, LeaseKey, MOST_RECORDS, Measurement, Moment, Points, Refused, Scheduler, SweepKey, SweepState,
};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was computed.
    Completed {
        /// Records that were reported of it.
        records: u64,
    },
    /// Something went wrong.
    Failed {
        /// What, in one sentence.
        error: String,
        /// Another attempt would fail the same.
        permanent: bool,
    },
}

/// Whether a report counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is durable.
    Accepted,
    /// The lease has ended or does not cover the point: nothing was changed.
    Stale,
}

/// A point of which there would be more records than any task has.
fn beyond_limit(lease: &Lease, records: &[Measurement]) -> Option<u64> {
    let before = |point| lease.reported.get(&point).copied().unwrap_or(Reported { records: 0, last_step: 0 });
    let all_new = |record: &&Measurement| before(record.point).records + records.len() as u64 > MOST_RECORDS;
    // Most reports are far from the limit, even if all of their records were of one point: only others are counted.
    records.iter().find(all_new)?;
    let mut counts = BTreeMap::new();
    for &Measurement { point, step, .. } in records {
        let Reported { records, last_step } = before(point);
        let count = counts.entry(point).or_insert(records);
        *count += u64::from(records == 0 || step > last_step);
        if *count > MOST_RECORDS {
            return Some(point);
        }
    }
    None
}

impl Scheduler {
    /// Records arrived. Those that an earlier report brought already are left out of the change.
    ///
    /// # Errors
    /// If the steps of a point do not rise within the report, or no task has so many records.
    pub fn on_report(
        &mut self,
        lease: LeaseKey,
        mut records: Vec<Measurement>,
        now: Moment,
    ) -> Result<Decision<Verdict>, Refused> {
        let mut latest = BTreeMap::new();
        for &Measurement { point, step, .. } in &records {
            if latest.insert(point, step).is_some_and(|before| before >= step) {
                return Err(Refused::StepsNotRising(point));
            }
        }
        let Some(held) = self.leases.get_mut(lease) else { return Ok(Decision::quiet(Verdict::Stale)) };
        if !records.iter().all(|record| held.points.contains(record.point)) {
            return Ok(Decision::quiet(Verdict::Stale));
        }
        if let Some(point) = beyond_limit(held, &records) {
            return Err(Refused::TooManyRecords(point));
        }
        records.retain(|&Measurement { point, step, .. }| {
            let reported = held.reported.get(&point);
            let new = reported.is_none_or(|reported| step > reported.last_step);
            if new {
                let records = reported.map_or(1, |reported| reported.records + 1);
                held.reported.insert(point, Reported { records, last_step: step });
            }
            new
        });
        if !records.is_empty() {
            held.progressed = now;
        }
        held.speak();
        let holder = held.worker.clone();
        // A worker that was forgotten meanwhile finds out with its next heartbeat; its lease is what counts here.
        let _ = self.workers.hear(&holder, now);
        let changes = if records.is_empty() { Vec::new() } else { vec![Change::Recorded { lease, records }] };
        Ok(Decision::new(changes, Verdict::Accepted))
    }

    /// Points of a lease ended. Those that the same lease ended before are acknowledged again; what it gave back is not its own.
    ///
    /// A completed point of which fewer records arrived than its attempt made counts as failed.
    pub fn on_finish(&mut self, key: LeaseKey, outcomes: Vec<(u64, Outcome)>, now: Moment) -> Decision<Verdict> {
        self.end_points(key, outcomes, true, now)
    }

    /// Points of a lease ended without having been computed, since their results are known: as [`Scheduler::on_finish`], but
    /// what it took says nothing of the pace, and nobody is credited. The lease lives on from now.
    pub fn on_recalled(&mut self, key: LeaseKey, outcomes: Vec<(u64, Outcome)>, now: Moment) -> Decision<Verdict> {
        let decision = self.end_points(key, outcomes, false, now);
        self.leases.extend(key, now + self.settings.lease_time);
        decision
    }

    fn end_points(
        &mut self,
        key: LeaseKey,
        outcomes: Vec<(u64, Outcome)>,
        computed: bool,
        now: Moment,
    ) -> Decision<Verdict> {
        let (Some(lease), Some(sweep)) = (self.leases.get_mut(key), self.sweeps.get_mut(&key.sweep)) else {
            return Decision::quiet(Verdict::Stale);
        };
        if !outcomes.iter().all(|(point, _)| lease.points.contains(*point) || lease.ended.contains(*point)) {
            return Decision::quiet(Verdict::Stale);
        }
        lease.speak();
        let busy_slots = lease.points.len().min(u64::from(lease.slots));
        let finished_before = sweep.finished.len();
        let (mut finished, mut setbacks) = (Vec::new(), Vec::new());
        for (point, outcome) in outcomes {
            if !lease.points.remove(point) {
                continue;
            }
            lease.ended.insert(point);
            let reported = lease.reported.remove(&point).map_or(0, |reported| reported.records);
            let (error, permanent) = match outcome {
                Outcome::Completed { records } if records == reported => {
                    finished.push(super::Finish { point, attempts: sweep.finish(point) });
                    continue;
                }
                Outcome::Completed { records } => {
                    (format!("completed with {records} records, of which {reported} arrived"), false)
                }
                Outcome::Failed { error, permanent } => (error, permanent),
            };
            setbacks.push(sweep.set_back(point, error, permanent, self.settings.max_attempts));
        }
        if finished.is_empty() && setbacks.is_empty() {
            return Decision::quiet(Verdict::Accepted);
        }
        if computed && !lease.resumed && !finished.is_empty() {
            let work = finished.iter().map(|finish| sweep.workload.of(finish.point)).sum();
            let elapsed = now.saturating_sub(lease.heard).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "slots are few")]
            sweep.pace.observe(finished.len() as u64, work, elapsed * busy_slots as f64);
        }
        (lease.heard, lease.progressed) = (now, now);
        sweep.pack(finished_before);
        let remain = lease.points.clone();
        let worker = lease.worker.clone();
        if computed {
            self.workers.credit(&worker, finished.len() as u64);
        }
        let _ = self.workers.hear(&worker, now);
        if remain.is_empty() {
            self.end(key);
        }
        setbacks.iter().for_each(|setback| self.back_off(key.sweep, setback.point, setback.attempts, now));
        self.requeue(key.sweep);
        let settled = self.settle(key.sweep, &setbacks);
        let mut changes = vec![Change::Ended { lease: key, finished, setbacks, remain }];
        changes.extend(settled);
        self.measure(key.sweep, now);
        Decision::new(changes, Verdict::Accepted)
    }

    /// A worker gave back what is left of a lease: no attempt is counted.
    pub fn on_release(&mut self, key: LeaseKey) -> Decision<()> {
        Decision::new(self.release(key).into_iter().collect(), ())
    }

    /// A worker gave back points of a lease that it has not started. What the lease does not hold any more is left alone.
    pub fn on_cede(&mut self, key: LeaseKey, points: &Points) -> Decision<()> {
        let Some(lease) = self.leases.get_mut(key) else { return Decision::quiet(()) };
        let ceded = &lease.points & points;
        if ceded.is_empty() {
            return Decision::quiet(());
        }
        lease.points -= &ceded;
        lease.ceded |= &ceded;
        lease.forget_others();
        let remain = lease.points.clone();
        if remain.is_empty() {
            self.end(key);
        }
        if let Some(sweep) = self.sweeps.get_mut(&key.sweep) {
            sweep.give_back(&ceded);
        }
        self.requeue(key.sweep);
        let ended = Change::Ended { lease: key, finished: Vec::new(), setbacks: Vec::new(), remain };
        Decision::new(vec![ended], ())
    }

    /// Ends a lease without counting an attempt.
    pub(super) fn release(&mut self, key: LeaseKey) -> Option<Change> {
        let lease = self.end(key)?;
        self.sweeps.get_mut(&key.sweep)?.give_back(&lease.points);
        self.requeue(key.sweep);
        Some(Change::Ended { lease: key, finished: Vec::new(), setbacks: Vec::new(), remain: Points::new() })
    }

    /// Moves a sweep whose last point ended to completed, be it paused.
    pub(super) fn complete(&mut self, key: SweepKey) -> Option<Change> {
        let sweep = self.sweeps.get(&key)?;
        let done = !sweep.state.has_ended() && sweep.is_done();
        done.then(|| self.move_to(key, SweepState::Completed)).flatten()
    }
}
