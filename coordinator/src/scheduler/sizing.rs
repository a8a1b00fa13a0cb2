//! How much a lease covers: enough points to keep the worker busy for the lease target, judged by what the sweep's points
//! took so far, but no more than the worker's share of what is left, so that at the end no straggler holds work that
//! others could do.

use std::time::Duration;

/// No lease covers more points: it bounds what a lost lease costs, and the size of a message.
const MOST: u64 = 1024;
/// Points after which an observation has as much weight as all before it: what ended lately tells best what comes next,
/// since shapes change along the space.
const MEMORY: f64 = 16.0;

/// Slot-seconds a unit of work takes, as an exponentially weighted mean over the points that ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace(Option<f64>);

impl Pace {
    /// `points` points of `work` units together ended after `busy` seconds of slots.
    pub(super) fn observe(&mut self, points: u64, work: f64, busy: f64) {
        if work <= 0.0 || !busy.is_finite() {
            return;
        }
        let observed = busy / work;
        #[expect(clippy::cast_precision_loss, reason = "a lease has few points")]
        let weight = points as f64 / (points as f64 + MEMORY);
        self.0 = Some(self.0.map_or(observed, |mean| mean + weight * (observed - mean)));
    }

    /// How long so much work takes on so many slots; at most a year, and none before the first observation.
    pub(super) fn time_of(self, work: f64, slots: u64) -> Option<Duration> {
        const YEAR: f64 = 365.0 * 86_400.0;
        #[expect(clippy::cast_precision_loss, reason = "slots are few")]
        self.0.map(|seconds| Duration::from_secs_f64((seconds * work / slots.max(1) as f64).clamp(0.0, YEAR)))
    }

    /// The units of work that `slots` slots do in `time`; none before the first observation.
    fn work_in(self, time: Duration, slots: u32) -> Option<f64> {
        self.0.map(|seconds| f64::from(slots) * time.as_secs_f64() / seconds)
    }
}

/// When a lease is full.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    least: u64,
    most: u64,
    work: f64,
}

impl Quota {
    /// For a worker of `slots` slots, which are a share of the `all_slots` of all workers that may ask.
    pub(super) fn new(pace: Pace, target: Duration, slots: u32, all_slots: u64, pending: u64) -> Self {
        let slots_wide = u64::from(slots);
        let share = (u128::from(pending) * u128::from(slots_wide)).div_ceil(u128::from(all_slots.max(slots_wide)));
        let most = u64::try_from(share).unwrap_or(u64::MAX).clamp(1, MOST);
        match pace.work_in(target, slots) {
            Some(work) => Self { least: slots_wide.min(most), most, work },
            // The first lease is one point a slot, and tells how long they take.
            None => Self { least: slots_wide.min(most), most: slots_wide.min(most), work: 0.0 },
        }
    }

    /// Just so many points.
    #[cfg(test)]
    pub(super) fn points(points: u64) -> Self {
        Self { least: points, most: points, work: 0.0 }
    }

    /// A lease that covers `count` points of `work` units together wants no more.
    pub(super) fn is_filled(&self, count: u64, work: f64) -> bool {
        count >= self.most || (count >= self.least && work >= self.work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(5);

    fn points(quota: &Quota, work: f64) -> u64 {
        let mut total = 0.0;
        (1..).find(|&count| (total += work, quota.is_filled(count, total)).1).unwrap()
    }

    #[test]
    fn the_first_lease_is_one_point_a_slot() {
        assert_eq!(points(&Quota::new(Pace::default(), TARGET, 4, 4, 1_000_000), 1.0), 4);
    }

    #[test]
    fn short_points_fill_the_lease_target() {
        let mut pace = Pace::default();
        pace.observe(4, 4.0, 4.0 * 0.1);
        // 5 seconds of 4 slots at 0.1 seconds a point.
        assert_eq!(points(&Quota::new(pace, TARGET, 4, 4, 1_000_000), 1.0), 200);
    }

    #[test]
    fn work_of_another_size_gives_a_lease_of_another_size() {
        let mut pace = Pace::default();
        pace.observe(4, 4.0, 4.0 * 0.1);
        assert_eq!(points(&Quota::new(pace, TARGET, 4, 4, 1_000_000), 10.0), 20);
    }

    #[test]
    fn long_points_still_fill_the_slots() {
        let mut pace = Pace::default();
        pace.observe(1, 1.0, 3600.0);
        assert_eq!(points(&Quota::new(pace, TARGET, 8, 8, 1_000_000), 1.0), 8);
    }

    #[test]
    fn no_lease_is_larger_than_the_bound_however_short_the_points() {
        let mut pace = Pace::default();
        pace.observe(4, 4.0, 0.0);
        assert_eq!(points(&Quota::new(pace, TARGET, 4, 4, 1_000_000), 1.0), MOST);
    }

    #[test]
    fn the_end_is_shared_in_proportion_to_slots() {
        let mut pace = Pace::default();
        pace.observe(4, 4.0, 0.0);
        assert_eq!(points(&Quota::new(pace, TARGET, 4, 16, 100), 1.0), 25);
        assert_eq!(points(&Quota::new(pace, TARGET, 4, 16, 3), 1.0), 1);
    }
}
