//! The circuit breaker: pauses a sweep of which so large a share fails that the sweep itself must be wrong.
//!
//! It counts points, not attempts, and only points that are set aside: those that failed for good, or as often as a point
//! may. A flaky machine makes attempts fail, and lost workers lose them, but what is tried elsewhere then finishes. It counts
//! from the sweep's beginning and over no window: neighbours in the index are alike, so that a map with a region that
//! diverges has long runs of failures and is right nevertheless, while a sweep that is wrong is so from its first points.
//! It trips once: whoever resumes has read the reason, and wants the rest computed. Retrying what failed arms it again.

use std::sync::Arc;

use super::sweep::Sweep;
use super::{Change, Scheduler, Setback, SweepKey, SweepState};

/// When a sweep is paused by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// No sooner than so many points are set aside, at least 1.
    pub points: u64,
    /// And they are more than this share of the points that have ended, in 0..1.
    pub share: f64,
}

impl Breaker {
    #[expect(clippy::cast_precision_loss, reason = "a share of 10^16 points needs no last digit")]
    fn trips(self, sweep: &Sweep) -> bool {
        let (failed, finished) = (sweep.failed.len(), sweep.finished.len());
        failed >= self.points && failed as f64 > self.share * (failed + finished) as f64
    }
}

impl Scheduler {
    /// Points of a sweep ended, these of them badly: completes the sweep with its last point, or pauses it if too many failed.
    pub(super) fn settle(&mut self, key: SweepKey, setbacks: &[Setback]) -> Option<Change> {
        if let Some(completed) = self.complete(key) {
            return Some(completed);
        }
        let last = setbacks.iter().rev().find(|setback| setback.set_aside)?;
        let breaker = self.settings.breaker?;
        let sweep = self.sweeps.get_mut(&key)?;
        if sweep.state != SweepState::Running || sweep.tripped || !breaker.trips(sweep) {
            return None;
        }
        sweep.tripped = true;
        let (failed, ended) = (sweep.failed.len(), sweep.failed.len() + sweep.finished.len());
        let reason = format!("{failed} of the {ended} points that have ended failed, the last of them: {}", last.error);
        self.move_because(key, SweepState::Paused, Some(Arc::from(reason)))
    }
}
