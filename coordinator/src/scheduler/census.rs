//! How many there are of everything, for those who watch a coordinator from outside.

use super::{LeaseKey, Scheduler, SweepState, WorkerId};

/// Counts of sweeps, points, leases and workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Sweeps by state.
    pub sweeps: Vec<(SweepState, u64)>,
    /// Points of all sweeps, or the shards that stand for them, that finished.
    pub finished: u64,
    /// That were set aside.
    pub failed: u64,
    /// That workers hold.
    pub leased: u64,
    /// That wait for a worker, of sweeps that have not ended.
    pub pending: u64,
    /// Leases that are alive.
    pub leases: u64,
    /// Workers that have been heard of lately.
    pub workers: u64,
}

impl Scheduler {
    /// Counts everything.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for sweep in self.sweeps.values() {
            match census.sweeps.iter_mut().find(|(state, _)| *state == sweep.state) {
                Some((_, count)) => *count += 1,
                None => census.sweeps.push((sweep.state, 1)),
            }
            census.finished += sweep.finished.len();
            census.failed += sweep.failed.len();
            if !sweep.state.has_ended() {
                census.pending += sweep.waiting();
            }
        }
        for lease in self.leases.all() {
            census.leases += 1;
            census.leased += lease.points.len();
        }
        census.workers = self.workers().count() as u64;
        census
    }

    /// The worker that holds a lease, while that is alive.
    #[must_use]
    pub fn holder(&self, lease: LeaseKey) -> Option<&WorkerId> {
        self.leases.get(lease).map(|lease| &lease.worker)
    }
}
