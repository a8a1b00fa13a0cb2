//! How long to wait before the next try: doubling, bounded, spread by chance.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Failures in a row, and the wait that they call for.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure. Answers how long to wait: between half and all of 50 ms, 100 ms, … 5 s, by `chance` in 0..1, so
    /// that workers that lost the same coordinator do not return in step.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let longest = LONGEST.min(FIRST * 2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + 0.5 * chance)
    }

    /// Things went well again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row so far.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_start_anew_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..10).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_millis(25));
    }

    #[test]
    fn a_long_absence_does_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(1.0), LONGEST);
        assert_eq!(backoff.failures(), u32::MAX);
    }
}
