//! A worker asks for work. The first sweep of the queue serves it.

use super::leases::{Knowledge, Lease};
use super::sizing::Quota;
use super::{Change, Decision, LeaseKey, Moment, Refused, Scheduler, WorkerId};

/// The answer to a worker that asked for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseReply {
    /// Here is some.
    Granted(Grant),
    /// No point is pending; more may turn up.
    Nothing,
    /// The worker is to take no more.
    Drain,
}

/// A new lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub lease: LeaseKey,
    /// Its points in ascending order, which is that in which they are to be started, with the attempt that each begins.
    pub tasks: Vec<(u64, u32)>,
}

impl Scheduler {
    /// A worker asked for work.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub fn on_lease_request(&mut self, id: &WorkerId, now: Moment) -> Result<Decision<LeaseReply>, Refused> {
        let worker = self.workers.hear(id, now)?;
        if worker.draining {
            return Ok(Decision::quiet(LeaseReply::Drain));
        }
        let slots = worker.slots;
        self.end_backoffs(now);
        let found = self
            .workers
            .get(id)
            .and_then(|worker| self.queue.next(worker))
            .and_then(|key| Some((key, self.sweeps.get_mut(&key)?)));
        let Some((key, sweep)) = found else {
            self.workers.asked(id, true);
            return Ok(Decision::quiet(LeaseReply::Nothing));
        };

        self.workers.asked(id, false);
        let all_slots = self.workers.slots(sweep.requirement);
        let quota = Quota::new(sweep.pace, self.settings.lease_target, slots, all_slots, sweep.pending());
        let points = sweep.take(&quota, self.settings.max_attempts);
        sweep.epoch += 1;
        let lease = LeaseKey { sweep: key, epoch: sweep.epoch };
        let tasks = points.iter().map(|point| (point, sweep.attempt(point))).collect();
        let next = sweep.next;
        let deadline = now + self.settings.lease_time;
        self.begin(lease, Lease::new(id.clone(), slots, points.clone(), now, deadline));
        self.requeue(key);
        self.measure(key, now);

        let change = Change::Granted { lease, worker: id.clone(), slots, points, next };
        Ok(Decision::new(vec![change], LeaseReply::Granted(Grant { lease, tasks })))
    }

    /// The answer that grants a lease is about to be sent, perhaps long after it was granted. Its time begins now. As long as
    /// nobody can have started anything of it, no attempt is counted, whatever becomes of it.
    pub fn on_told(&mut self, key: LeaseKey, now: Moment) -> Decision<()> {
        if let Some(lease) = self.leases.get_mut(key).filter(|lease| lease.knowledge == Knowledge::Untold) {
            (lease.knowledge, lease.heard, lease.progressed) = (Knowledge::Told(now), now, now);
            self.leases.extend(key, now + self.settings.lease_time);
        }
        Decision::quiet(())
    }
}
