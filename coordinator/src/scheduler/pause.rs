//! Pausing and resuming: a paused sweep leases nothing more, and what is leased may end. Its last points may complete it.

use std::sync::Arc;

use super::{Decision, Refused, Scheduler, SweepKey, SweepState};

impl Scheduler {
    /// A person wants nothing more leased of a sweep for now. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub fn on_pause(&mut self, key: SweepKey) -> Result<Decision<SweepState>, Refused> {
        self.switch(key, SweepState::Running, SweepState::Paused)
    }

    /// A person wants a paused sweep to go on. One that is not paused stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub fn on_resume(&mut self, key: SweepKey) -> Result<Decision<SweepState>, Refused> {
        self.switch(key, SweepState::Paused, SweepState::Running)
    }

    /// Why a sweep is paused, if it was not a person who paused it.
    #[must_use]
    pub fn pause_reason(&self, key: SweepKey) -> Option<Arc<str>> {
        self.sweeps.get(&key)?.pause_reason.clone()
    }

    fn switch(&mut self, key: SweepKey, from: SweepState, to: SweepState) -> Result<Decision<SweepState>, Refused> {
        let state = self.sweeps.get(&key).ok_or(Refused::UnknownSweep(key))?.state;
        if state != from {
            return Ok(Decision::quiet(state));
        }
        Ok(Decision::new(self.move_to(key, to).into_iter().collect(), to))
    }
}
