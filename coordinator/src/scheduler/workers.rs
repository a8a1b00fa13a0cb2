//! The workers that have been heard of lately. None of it is durable: after a restart they register again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Decision, LeaseKey, Moment, Refused, Requirement, Scheduler, WorkerId};

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
    pub(super) finished: u64,
    pub(super) heard: Moment,
}

#[derive(Debug, Default)]
pub(super) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// Those whose last wish for work was in vain, and who may get some.
    hungry: BTreeSet<WorkerId>,
}

impl Workers {
    /// A sign of life of a worker.
    pub(super) fn hear(&mut self, id: &WorkerId, now: Moment) -> Result<&mut Worker, Refused> {
        let worker = self.known.get_mut(id).ok_or_else(|| Refused::UnknownWorker(id.clone()))?;
        worker.heard = now;
        Ok(worker)
    }

    pub(super) fn get(&self, id: &WorkerId) -> Option<&Worker> {
        self.known.get(id)
    }

    pub(super) fn is_anyone_hungry(&self) -> bool {
        !self.hungry.is_empty()
    }

    /// Those whose last wish for work was in vain.
    pub(super) fn hungry(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.hungry.iter().filter_map(|id| self.known.get_key_value(id))
    }

    /// A worker asked for work, in vain or not.
    pub(super) fn asked(&mut self, id: &WorkerId, in_vain: bool) {
        if in_vain {
            self.hungry.insert(id.clone());
        } else {
            self.hungry.remove(id);
        }
    }

    /// The worker gets no further leases.
    pub(super) fn drain(&mut self, id: &WorkerId) {
        if let Some(worker) = self.known.get_mut(id) {
            worker.draining = true;
            self.hungry.remove(id);
        }
    }

    pub(super) fn credit(&mut self, id: &WorkerId, finished: u64) {
        if let Some(worker) = self.known.get_mut(id) {
            worker.finished += finished;
        }
    }

    /// The slots of all workers that may ask for leases and suit a sweep.
    pub(super) fn slots(&self, needed: Requirement) -> u64 {
        let suits = |worker: &&Worker| !worker.draining && needed.fits(worker);
        self.known.values().filter(suits).map(|worker| u64::from(worker.slots)).sum()
    }

    /// Forgets those last heard of before `then`.
    pub(super) fn forget_silent(&mut self, then: Moment) {
        self.known.retain(|_, worker| worker.heard > then);
        let Self { known, hungry } = self;
        hungry.retain(|id| known.contains_key(id));
    }

    pub(super) fn longest_silent(&self) -> Option<Moment> {
        self.known.values().map(|worker| worker.heard).min()
    }
}

impl Scheduler {
    /// A worker joined, or joined again, in which case it keeps its leases. It takes new ones even if it was to have no more:
    /// who registers has just been started, or was forgotten.
    pub fn on_register(&mut self, registration: Registration, now: Moment) -> Decision<()> {
        let Registration { worker, slots, device, memory } = registration;
        let finished = self.workers.known.get(&worker).map_or(0, |known| known.finished);
        let (slots, draining) = (slots.max(1), false);
        let worker_now = Worker { slots, device, memory, draining, finished, heard: now };
        self.workers.known.insert(worker, worker_now);
        Decision::quiet(())
    }

    /// A person asked that the worker get no further leases.
    ///
    /// # Errors
    /// If the worker is unknown.
    pub fn on_drain(&mut self, worker: &WorkerId) -> Result<Decision<()>, Refused> {
        self.workers.get(worker).ok_or_else(|| Refused::UnknownWorker(worker.clone()))?;
        self.workers.drain(worker);
        Ok(Decision::quiet(()))
    }

    /// All workers, by name.
    pub fn workers(&self) -> impl Iterator<Item = WorkerSummary> {
        self.workers.known.iter().map(|(id, worker)| WorkerSummary {
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

    /// Takes over the workers of a scheduler whose other state was given up, and what is known of them and not stored: how far
    /// they are, and what they lost and may ask for.
    pub fn adopt_workers(&mut self, other: &mut Self) {
        self.workers = std::mem::take(&mut other.workers);
        self.leases.remember(&mut other.leases);
        self.lost = std::mem::take(&mut other.lost);
        let (sweeps, leases) = (&self.sweeps, &self.leases);
        let was_granted = |key: LeaseKey| sweeps.get(&key.sweep).is_some_and(|sweep| key.epoch <= sweep.epoch);
        self.lost.retain(|key| was_granted(key) && leases.get(key).is_none(), was_granted);
    }
}
