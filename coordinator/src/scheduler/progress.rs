//! How far a sweep is and how long it will take: work done over time, in the unit of the sweep's [`Workload`].
//!
//! [`Workload`]: super::Workload

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// Points of a sweep by state; `finished + failed + leased + pending = size`.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Points of the sweep.
    pub size: u64,
    /// Their records are complete.
    pub finished: u64,
    /// Set aside after the last allowed attempt.
    pub failed: u64,
    /// Held by a worker.
    pub leased: u64,
    /// Waiting for one.
    pub pending: u64,
    /// Share of the whole sweep's work that is done, running points included, in 0..=1.
    pub work_done: f64,
    /// Expected time until the end; absent until there is a rate, and while nobody works.
    pub remaining: Option<Duration>,
    /// Workers that hold a lease of the sweep.
    pub workers: u32,
}

/// The rate is that of the latest quarter of this run, but of at least and at most so long a window. Shorter ones would
/// jump with every point that ends, longer ones miss that shapes change along the space.
const SHORTEST_WINDOW: Duration = Duration::from_secs(30);
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Before so long has passed a rate is noise.
const FIRST_RATE: Duration = Duration::from_secs(2);
/// Samples kept a window: the window's edge is sharp to 1/64.
const SAMPLES: u32 = 64;

/// The work done at moments of the recent past.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// When work first began in this run of the coordinator.
    began: Option<Moment>,
    samples: VecDeque<(Moment, f64)>,
}

impl Meter {
    /// The latest sample is old enough for another. Work out what is done only then.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.samples.back().is_none_or(|&(at, _)| now >= at + self.window(now) / SAMPLES)
    }

    /// Takes note that `done` units of work are done. To be called from the first lease on, whenever there is news.
    pub(super) fn observe(&mut self, now: Moment, done: f64) {
        if !self.is_due(now) {
            return;
        }
        self.began.get_or_insert(now);
        self.samples.push_back((now, done));
        let window = self.window(now);
        // One sample older than the window stays: it is the window's left edge.
        while self.samples.get(1).is_some_and(|&(at, _)| now.saturating_sub(at) >= window) {
            self.samples.pop_front();
        }
    }

    /// The time that `left` units of work will take, if `done` units are done now.
    pub(super) fn remaining(&self, now: Moment, done: f64, left: f64) -> Option<Duration> {
        let &(since, before) = self.samples.front()?;
        let elapsed = now.checked_sub(since).filter(|&elapsed| elapsed >= FIRST_RATE)?;
        let rate = (done - before) / elapsed.as_secs_f64();
        if rate > 0.0 { Duration::try_from_secs_f64(left.max(0.0) / rate).ok() } else { None }
    }

    fn window(&self, now: Moment) -> Duration {
        let elapsed = self.began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        (elapsed / 4).clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn there_is_no_estimate_before_there_is_a_rate() {
        let mut meter = Meter::default();
        assert_eq!(meter.remaining(seconds(0.0), 0.0, 10.0), None);
        meter.observe(seconds(1.0), 0.0);
        assert_eq!(meter.remaining(seconds(1.5), 3.0, 10.0), None, "half a second is too short to tell");
        assert_eq!(meter.remaining(seconds(20.0), 0.0, 10.0), None, "nothing was done yet");
    }

    #[test]
    fn a_constant_rate_gives_the_exact_time_left() {
        let mut meter = Meter::default();
        for second in 0..1000 {
            meter.observe(seconds(f64::from(second)), 5.0 * f64::from(second));
        }
        let remaining = meter.remaining(seconds(1000.0), 5000.0, 250.0).unwrap();
        assert!((remaining.as_secs_f64() - 50.0).abs() < 1e-9, "{remaining:?}");
    }

    #[test]
    fn the_recent_past_decides_when_the_rate_changed() {
        let mut meter = Meter::default();
        let (mut now, mut done) = (0.0, 0.0);
        for _ in 0..100 {
            meter.observe(seconds(now), done);
            (now, done) = (now + 1.0, done + 100.0);
        }
        for _ in 0..100 {
            meter.observe(seconds(now), done);
            (now, done) = (now + 1.0, done + 1.0);
        }
        let remaining = meter.remaining(seconds(now), done, 100.0).unwrap();
        assert!((remaining.as_secs_f64() - 100.0).abs() < 5.0, "{remaining:?}");
    }

    #[test]
    fn what_was_done_before_this_run_does_not_count_as_rate() {
        let mut meter = Meter::default();
        meter.observe(seconds(100.0), 1e6);
        let remaining = meter.remaining(seconds(110.0), 1e6 + 10.0, 100.0).unwrap();
        assert!((remaining.as_secs_f64() - 100.0).abs() < 1e-6, "{remaining:?}");
    }

    #[test]
    fn memory_does_not_grow_with_the_length_of_the_run() {
        let mut meter = Meter::default();
        for second in 0..100_000_u32 {
            meter.observe(Duration::from_secs(u64::from(second)), f64::from(second));
        }
        assert!(meter.samples.len() <= 2 * SAMPLES as usize, "{}", meter.samples.len());
    }
}
