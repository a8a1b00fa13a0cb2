//! The workers that have been heard of lately. None of it is durable: after a restart they register again.

use std::collections::BTreeMap;

use super::{Decision, Moment, Refused, Requirement, Scheduler, WorkerId};

/// A worker that joins, or joins again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub worker: WorkerId,
    /// Points that it advances at once; 0 counts as 1.
    pub slots: u32,
    /// What it computes on: "cpu", or GPUs as in "cuda:0,cuda:1".
    pub device: String,
    /// Bytes of memory of its device, the smallest where it has several; 0 if it cannot tell.
    pub memory: u64,
}

/// A worker as the scheduler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSummary {
    /// Its name.
    pub worker: WorkerId,
    /// What it computes on.
    pub device: String,
    /// Bytes of memory of its device; 0 if it could not tell.
    pub memory: u64,
    /// Points that it advances at once.
    pub slots: u32,
    /// It gets no further leases.
    pub draining: bool,
    /// Points that it holds.
    pub leased: u64,
    /// Points that it finished since it joined.
    pub finished: u64,
    /// When it was last heard of.
    pub heard: Moment,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) slots: u32,
    pub(super) device: String,
    pub(super) memory: u64,
    pub(super) draining: bool,
    /// It asked for work when there was none.
    pub(super) hungry: bool,
    pub(super) finished: u64,
    pub(super) heard: Moment,
}

#[derive(Debug, Default)]
pub(super) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    /// A sign of life of a worker.
    pub(super) fn hear(&mut self, id: &WorkerId, now: Moment) -> Result<&mut Worker, Refused> {
        let worker = self.0.get_mut(id).ok_or_else(|| Refused::UnknownWorker(id.clone()))?;
        worker.heard = now;
        Ok(worker)
    }

    pub(super) fn get(&self, id: &WorkerId) -> Option<&Worker> {
        self.0.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.0.iter()
    }

    /// Whether a worker's last wish for work was in vain.
    pub(super) fn set_hungry(&mut self, id: &WorkerId, hungry: bool) {
        if let Some(worker) = self.0.get_mut(id) {
            worker.hungry = hungry;
        }
    }

    /// The worker gets no further leases.
    pub(super) fn drain(&mut self, id: &WorkerId) {
        if let Some(worker) = self.0.get_mut(id) {
            worker.draining = true;
        }
    }

    pub(super) fn credit(&mut self, id: &WorkerId, finished: u64) {
        if let Some(worker) = self.0.get_mut(id) {
            worker.finished += finished;
        }
    }

    /// The slots of all workers that may ask for leases and suit a sweep.
    pub(super) fn slots(&self, needed: Requirement) -> u64 {
        let suits = |worker: &&Worker| !worker.draining && needed.fits(worker);
        self.0.values().filter(suits).map(|worker| u64::from(worker.slots)).sum()
    }

    /// Forgets those last heard of before `then`.
    pub(super) fn forget_silent(&mut self, then: Moment) {
        self.0.retain(|_, worker| worker.heard > then);
    }

    pub(super) fn longest_silent(&self) -> Option<Moment> {
        self.0.values().map(|worker| worker.heard).min()
    }
}

impl Scheduler {
    /// A worker joined, or joined again, in which case it keeps its leases. It takes new ones even if it was to have no more:
    /// who registers has just been started, or was forgotten.
    pub fn on_register(&mut self, registration: Registration, now: Moment) -> Decision<()> {
        let Registration { worker, slots, device, memory } = registration;
        let finished = self.workers.0.get(&worker).map_or(0, |known| known.finished);
        let (slots, draining, hungry) = (slots.max(1), false, false);
        let worker_now = Worker { slots, device, memory, draining, hungry, finished, heard: now };
        self.workers.0.insert(worker, worker_now);
        Decision::quiet(())
    }

    /// A person asked that the worker get no further leases.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub fn on_drain(&mut self, worker: &WorkerId) -> Result<Decision<()>, Refused> {
        let known = self.workers.0.get_mut(worker).ok_or_else(|| Refused::UnknownWorker(worker.clone()))?;
        known.draining = true;
        Ok(Decision::quiet(()))
    }

    /// All workers, by name.
    pub fn workers(&self) -> impl Iterator<Item = WorkerSummary> {
        self.workers.0.iter().map(|(id, worker)| WorkerSummary {
            worker: id.clone(),
            device: worker.device.clone(),
            memory: worker.memory,
            slots: worker.slots,
            draining: worker.draining,
            leased: self.leases.of_worker(id).map(|(_, lease)| lease.points.len()).sum(),
            finished: worker.finished,
            heard: worker.heard,
        })
    }

    /// Takes over the workers of a scheduler whose other state was given up.
    pub fn adopt_workers(&mut self, other: &mut Self) {
        self.workers = std::mem::take(&mut other.workers);
    }
}
