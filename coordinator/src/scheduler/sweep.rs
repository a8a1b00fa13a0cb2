//! One sweep's points. What is not leased, finished or failed is pending: never leased at all (from `next` on), or given
//! back. Nothing here grows with the number of points that wait, and finished ranges are stored as such.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::progress::Meter;
use super::queue::Group;
use super::sizing::{Pace, Quota};
use super::{Moment, Points, Requirement, Setback, Submission, User, Workload};

/// Where a sweep is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepState {
    /// Points are pending or leased.
    Running,
    /// Nothing more is leased until it is resumed; what is leased may end.
    Paused,
    /// Every point is finished, or set aside as failed.
    Completed,
    /// The points that were not finished have been given up.
    Cancelled,
}

impl SweepState {
    /// Nothing more happens to the sweep by itself.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

/// Finished ranges are packed anew whenever so many more points finished: packing looks at every block of 2^16 points.
const PACK_EVERY: u64 = 1 << 16;

#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) size: u64,
    pub(super) state: SweepState,
    /// Why it is paused, if it was not a person who paused it.
    pub(super) pause_reason: Option<Arc<str>>,
    /// The circuit breaker has paused it once, and will not again.
    pub(super) tripped: bool,
    /// The epoch of the latest lease; 0 before the first.
    pub(super) epoch: u64,
    /// The first point that was never leased.
    pub(super) next: u64,
    /// Points below `next` that can be leased again.
    pub(super) returned: Points,
    /// Points below `next` that were set back, until when they wait to be leased again.
    pub(super) backing_off: BTreeMap<u64, Moment>,
    pub(super) finished: Points,
    pub(super) failed: Points,
    /// Attempts that ended badly, of the points that are still to be finished and had any.
    pub(super) attempts: BTreeMap<u64, u32>,
    pub(super) workload: Workload,
    pub(super) user: User,
    /// What it needs of a worker.
    pub(super) requirement: Requirement,
    /// Higher is served first.
    pub(super) priority: i32,
    /// What its points are cannot be told: none is leased.
    pub(super) on_hold: bool,
    /// Work of the finished and the failed points.
    pub(super) settled: f64,
    pub(super) pace: Pace,
    pub(super) meter: Meter,
}

impl Sweep {
    pub(super) fn new(size: u64, Submission { workload, user, requirement }: Submission) -> Self {
        Self {
            size,
            state: SweepState::Running,
            pause_reason: None,
            tripped: false,
            epoch: 0,
            next: 0,
            returned: Points::new(),
            backing_off: BTreeMap::new(),
            finished: Points::new(),
            failed: Points::new(),
            attempts: BTreeMap::new(),
            workload,
            user,
            requirement,
            priority: 0,
            on_hold: false,
            settled: 0.0,
            pace: Pace::default(),
            meter: Meter::default(),
        }
    }

    /// Its place among those that have points to lease.
    pub(super) fn group(&self) -> Group {
        Group { priority: Reverse(self.priority), user: self.user.clone(), requirement: self.requirement }
    }

    /// Takes over what the points cost. Rates in the old unit are forgotten.
    pub(super) fn weigh(&mut self, workload: Workload) {
        self.settled = workload.of_all(&self.finished) + workload.of_all(&self.failed);
        (self.workload, self.pace, self.meter) = (workload, Pace::default(), Meter::default());
    }

    /// Points that can be leased now.
    pub(super) fn pending(&self) -> u64 {
        let leases = self.state == SweepState::Running && !self.on_hold;
        if leases { self.size - self.next + self.returned.len() } else { 0 }
    }

    /// It gives leases, and has no point for another one.
    pub(super) fn is_leased_out(&self) -> bool {
        self.state == SweepState::Running && !self.on_hold && self.pending() == 0
    }

    /// Points that are neither leased, finished nor failed, in whatever state the sweep is.
    pub(super) fn waiting(&self) -> u64 {
        self.size - self.next + self.returned.len() + self.backing_off.len() as u64
    }

    /// The pending points that are leased before this one.
    pub(super) fn before(&self, point: u64) -> u64 {
        match point.checked_sub(self.next) {
            Some(never_leased) => self.returned.len() + never_leased,
            None => self.returned.range_cardinality(..point),
        }
    }

    /// The number of the attempt that would start now.
    pub(super) fn attempt(&self, point: u64) -> u32 {
        self.attempts.get(&point).map_or(1, |ended| ended + 1)
    }

    /// Takes the next pending points, in ascending order. A point that was set back before and has one attempt left makes
    /// it alone, so that what killed its worker twice takes no others with it the third time.
    pub(super) fn take(&mut self, quota: &Quota, max_attempts: u32) -> Points {
        let mut taken = Points::new();
        let (mut count, mut work) = (0, 0.0);
        let mut given_back = 0;
        for point in self.returned.iter().chain(self.next..self.size) {
            let last_chance = self.attempts.get(&point).is_some_and(|ended| ended + 1 >= max_attempts);
            if count > 0 && (last_chance || quota.is_filled(count, work)) {
                break;
            }
            taken.insert(point);
            count += 1;
            work += self.workload.of(point);
            given_back += u64::from(point < self.next);
            if last_chance {
                break;
            }
        }
        self.returned -= &taken;
        self.next += count - given_back;
        taken
    }

    pub(super) fn give_back(&mut self, points: &Points) {
        self.returned |= points;
    }

    /// Returns the number of the attempt that finished the point.
    pub(super) fn finish(&mut self, point: u64) -> u32 {
        let attempt = self.attempt(point);
        self.attempts.remove(&point);
        self.finished.insert(point);
        self.settled += self.workload.of(point);
        attempt
    }

    /// Packs the finished ranges, if as many points finished since `before` as make it worth while.
    pub(super) fn pack(&mut self, before: u64) {
        if before / PACK_EVERY != self.finished.len() / PACK_EVERY {
            self.finished.optimize();
        }
    }

    /// Counts an attempt against the point, and makes it pending again or sets it aside.
    pub(super) fn set_back(&mut self, point: u64, error: String, permanent: bool, max_attempts: u32) -> Setback {
        let attempts = self.attempt(point);
        let set_aside = permanent || attempts >= max_attempts;
        if set_aside {
            self.attempts.remove(&point);
            self.failed.insert(point);
            self.settled += self.workload.of(point);
        } else {
            self.attempts.insert(point, attempts);
            self.returned.insert(point);
        }
        Setback { point, attempts, error, set_aside }
    }

    /// Makes all failed points pending again and returns their number. The circuit breaker is armed again.
    pub(super) fn retry(&mut self) -> u64 {
        let failed = std::mem::take(&mut self.failed);
        self.tripped = false;
        self.settled -= self.workload.of_all(&failed);
        self.give_back(&failed);
        failed.len()
    }

    /// Every point is finished or set aside.
    pub(super) fn is_done(&self) -> bool {
        self.finished.len() + self.failed.len() == self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_finished_sweep_of_a_hundred_million_points_is_held_in_kilobytes() {
        let mut sweep = Sweep::new(100_000_000, Submission::default());
        sweep.next = 50_000_000;
        sweep.finished.insert_range(1 << 20..sweep.next);
        // Two workers finish alternating leases, one of them in the wrong order.
        for lease in (0..1 << 10).step_by(2).chain((0..1 << 10).rev().step_by(2)) {
            let before = sweep.finished.len();
            for point in lease << 10..(lease + 1) << 10 {
                assert_eq!(sweep.finish(point), 1);
            }
            sweep.pack(before);
        }
        assert_eq!(sweep.finished.len(), 50_000_000);
        assert!(sweep.finished.serialized_size() < 32_000, "{} bytes", sweep.finished.serialized_size());
        assert_eq!(sweep.pending(), 50_000_000);
    }

    #[test]
    fn points_given_back_go_first_and_in_order() {
        let mut sweep = Sweep::new(10, Submission::default());
        let _ = sweep.take(&Quota::points(6), 3);
        sweep.give_back(&[1, 4].into_iter().collect());
        let taken = sweep.take(&Quota::points(3), 3);
        assert_eq!(taken.iter().collect::<Vec<_>>(), [1, 4, 6]);
        assert_eq!(sweep.waiting(), 3);
    }

    #[test]
    fn the_last_attempt_is_made_alone() {
        let mut sweep = Sweep::new(10, Submission::default());
        let _ = sweep.take(&Quota::points(5), 3);
        for _ in 0..2 {
            sweep.returned.remove(2);
            let _ = sweep.set_back(2, "lost".into(), false, 3);
        }
        sweep.give_back(&[1].into_iter().collect());
        let quota = Quota::points(4);
        assert_eq!(sweep.take(&quota, 3).iter().collect::<Vec<_>>(), [1]);
        assert_eq!(sweep.take(&quota, 3).iter().collect::<Vec<_>>(), [2]);
        assert_eq!(sweep.take(&quota, 3).iter().collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
