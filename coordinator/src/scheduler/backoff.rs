//! A point of which an attempt ended badly waits before it is leased again, twice as long each time: what made it fail may
//! need a while to pass, and until then other points are the better use of a worker. Waiting is not durable: after a restart
//! it begins anew.

use std::time::Duration;

use super::{Moment, Scheduler, Settings, SweepKey};

/// No point waits longer.
const LONGEST: Duration = Duration::from_secs(3600);

impl Settings {
    /// How long a point waits of which so many attempts ended badly.
    fn backoff(&self, attempts: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry_backoff.saturating_mul(doubled).min(LONGEST)
    }
}

impl Scheduler {
    /// Lets a pending point of which so many attempts ended badly wait.
    pub(super) fn back_off(&mut self, key: SweepKey, point: u64, attempts: u32, now: Moment) {
        let wait = self.settings.backoff(attempts);
        let Some(sweep) = self.sweeps.get_mut(&key).filter(|_| !wait.is_zero()) else { return };
        if sweep.returned.remove(point) {
            let until = now.saturating_add(wait);
            sweep.backing_off.insert(point, until);
            self.returns.insert((until, key, point));
        }
    }

    /// The points that have waited long enough can be leased again.
    pub(super) fn end_backoffs(&mut self, now: Moment) {
        while let Some(&(until, key, point)) = self.returns.first().filter(|(until, ..)| *until <= now) {
            self.returns.pop_first();
            if let Some(sweep) = self.sweeps.get_mut(&key)
                && sweep.backing_off.remove(&point) == Some(until)
            {
                sweep.returned.insert(point);
                self.requeue(key);
            }
        }
    }

    /// When the next point has waited long enough: [`Scheduler::on_tick`] is due then.
    #[must_use]
    pub fn next_return(&self) -> Option<Moment> {
        self.returns.first().map(|(until, ..)| *until)
    }
}
