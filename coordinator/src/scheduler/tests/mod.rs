//! What the scheduler promises, as sentences. [`Cluster`] drives it as the service would and keeps a [`Ledger`] of all
//! changes, which is at every moment what a store would hold.

mod backoff;
mod breaker;
mod ceding;
mod deadline;
mod expiry;
mod explain;
mod leasing;
pub(crate) mod ledger;
mod life;
mod outcomes;
mod pause;
mod queue;
pub(crate) mod random;
mod reclaim;
mod resources;

use std::time::Duration;

use ledger::Ledger;

use super::*;

/// A scheduler with its clock and its store.
pub(crate) struct Cluster {
    settings: Settings,
    /// What was submitted, in the order of keys.
    submissions: Vec<Submission>,
    pub(crate) scheduler: Scheduler,
    pub(crate) ledger: Ledger,
    pub(crate) now: Moment,
}

pub(crate) fn settings() -> Settings {
    Settings {
        lease_time: Duration::from_secs(60),
        heartbeat_interval: Duration::from_secs(10),
        max_attempts: 3,
        // Most tests are about what follows.
        retry_backoff: Duration::ZERO,
        hard_deadline: None,
        breaker: None,
        lease_target: Duration::from_secs(5),
    }
}

pub(crate) const COMPLETED: Outcome = Outcome::Completed { records: 0 };

pub(crate) fn failed(error: &str, permanent: bool) -> Outcome {
    Outcome::Failed { error: error.to_owned(), permanent }
}

impl Cluster {
    /// A cluster with one sweep.
    pub(crate) fn with_sweep(size: u64) -> Self {
        let mut cluster = Self::empty();
        cluster.create(size);
        cluster
    }

    fn empty() -> Self {
        Self::under(settings())
    }

    pub(crate) fn under(settings: Settings) -> Self {
        Self {
            scheduler: Scheduler::new(settings.clone()),
            settings,
            submissions: Vec::new(),
            ledger: Ledger::default(),
            now: Duration::from_secs(1000),
        }
    }

    pub(crate) fn create(&mut self, size: u64) -> SweepKey {
        self.create_weighed(size, Workload::Equal)
    }

    fn create_weighed(&mut self, size: u64, workload: Workload) -> SweepKey {
        self.submit(size, Submission { workload, ..Submission::default() })
    }

    pub(crate) fn submit(&mut self, size: u64, submission: Submission) -> SweepKey {
        let key = self.scheduler.next_key();
        self.submissions.push(submission.clone());
        self.scheduler.on_create(key, size, submission);
        self.ledger.create(key, size);
        key
    }

    fn with_worker(mut self, id: &str, slots: u32) -> Self {
        self.register(id, slots);
        self
    }

    pub(crate) fn register(&mut self, id: &str, slots: u32) {
        let registration = Registration { worker: id.into(), slots, device: "cpu".into(), memory: 0 };
        let decision = self.scheduler.on_register(registration, self.now);
        self.apply(decision);
    }

    pub(crate) fn apply<T>(&mut self, decision: Decision<T>) -> T {
        decision.changes.iter().for_each(|change| self.ledger.apply(change));
        decision.reply
    }

    /// The answer is sent at once.
    pub(crate) fn ask(&mut self, id: &str) -> LeaseReply {
        let decision = self.scheduler.on_lease_request(&id.into(), self.now).unwrap();
        let reply = self.apply(decision);
        if let LeaseReply::Granted(grant) = &reply {
            self.tell(grant);
        }
        reply
    }

    /// The answer that grants a lease is sent.
    pub(crate) fn tell(&mut self, grant: &Grant) {
        let told = self.scheduler.on_told(grant.lease, self.now);
        self.apply(told);
    }

    fn lease(&mut self, id: &str) -> Grant {
        match self.ask(id) {
            LeaseReply::Granted(grant) => grant,
            other => panic!("no lease for {id}: {other:?}"),
        }
    }

    /// A lease whose answer is not sent yet.
    fn lease_untold(&mut self, id: &str) -> Grant {
        let decision = self.scheduler.on_lease_request(&id.into(), self.now).unwrap();
        match self.apply(decision) {
            LeaseReply::Granted(grant) => grant,
            other => panic!("no lease for {id}: {other:?}"),
        }
    }

    pub(crate) fn finish(&mut self, lease: LeaseKey, outcomes: Vec<(u64, Outcome)>) -> Verdict {
        let decision = self.scheduler.on_finish(lease, outcomes, self.now);
        self.apply(decision)
    }

    fn complete(&mut self, grant: &Grant) -> Verdict {
        self.finish(grant.lease, points(grant).into_iter().map(|point| (point, COMPLETED)).collect())
    }

    pub(crate) fn report(&mut self, lease: LeaseKey, records: &[(u64, u64)]) -> Result<Verdict, Refused> {
        let measurement = |&(point, step)| Measurement { point, step, payload: Vec::new() };
        let decision = self.scheduler.on_report(lease, records.iter().map(measurement).collect(), self.now)?;
        Ok(self.apply(decision))
    }

    pub(crate) fn heartbeat(&mut self, id: &str, leases: &[LeaseKey]) -> Result<HeartbeatReply, Refused> {
        let held = leases.iter().map(|&lease| Held { lease, running: Vec::new() }).collect();
        let decision = self.scheduler.on_heartbeat(&id.into(), held, self.now)?;
        Ok(self.apply(decision))
    }

    /// A heartbeat that names points as running, with the share that is done.
    pub(crate) fn beat(&mut self, id: &str, held: &[(LeaseKey, &[(u64, f64)])]) -> Result<HeartbeatReply, Refused> {
        let held = held.iter().map(|(lease, running)| Held { lease: *lease, running: running.to_vec() }).collect();
        let decision = self.scheduler.on_heartbeat(&id.into(), held, self.now)?;
        Ok(self.apply(decision))
    }

    /// A worker asks for points of a lost lease, each with the acknowledged records and whether it was computed to its end.
    pub(crate) fn reclaim(&mut self, id: &str, lost: LeaseKey, kept_points: &[(u64, u64, bool)]) -> Option<Heir> {
        let kept = |&(point, acknowledged, computed): &_| Kept { point, acknowledged, computed };
        let kept: Vec<_> = kept_points.iter().map(kept).collect();
        let stored = self.scheduler.inheritance(&id.into(), lost, &kept).map(|asked| {
            let mut reported = self.ledger.reported(asked.lease);
            reported.retain(|point, _| asked.attempts.contains_key(point));
            Inheritance { reported, ..asked }
        });
        let decision = self.scheduler.on_reclaim(&id.into(), lost, &kept, stored.as_ref(), self.now).ok()?;
        self.apply(decision)
    }

    fn drain(&mut self, id: &str) {
        let decision = self.scheduler.on_drain(&id.into()).unwrap();
        self.apply(decision);
    }

    /// Lets time pass and answers when to look again.
    pub(crate) fn pass(&mut self, seconds: u64) -> Option<Moment> {
        self.now += Duration::from_secs(seconds);
        let decision = self.scheduler.on_tick(self.now);
        self.apply(decision)
    }

    fn cede(&mut self, lease: LeaseKey, points: impl IntoIterator<Item = u64>) {
        let ceded = self.scheduler.on_cede(lease, &points.into_iter().collect());
        self.apply(ceded);
    }

    /// A write failed: what is stored is taken up again, beside what is known of workers.
    pub(crate) fn reload(&mut self) {
        let stored = self.ledger.snapshot().into_iter().zip(self.submissions.iter().cloned()).collect();
        let mut before =
            std::mem::replace(&mut self.scheduler, Scheduler::restore(self.settings.clone(), stored, self.now));
        self.scheduler.adopt_workers(&mut before);
    }

    /// A restart: all that is known is what is durable.
    pub(crate) fn restart(&mut self) {
        let stored = self.ledger.snapshot().into_iter().zip(self.submissions.iter().cloned()).collect();
        self.scheduler = Scheduler::restore(self.settings.clone(), stored, self.now);
    }

    fn progress(&self) -> Progress {
        self.scheduler.progress(SweepKey(1), self.now).unwrap()
    }

    fn state(&self) -> SweepState {
        self.scheduler.state(SweepKey(1)).unwrap()
    }
}

pub(crate) fn points(grant: &Grant) -> Vec<u64> {
    grant.tasks.iter().map(|(point, _)| *point).collect()
}
