//! The seam between the runtime and the numerics: runs an ensemble of tasks, blocking, on the caller's thread.
//!
//! Above: leases, network, threads ([`crate::runner`]). Below: training and sampling, which know none of it and tell
//! what happens through [`Surroundings`].

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use phasegrid_proto::v1;

/// Compute permits shared by all tasks of the process: the right to one computing thread each.
///
/// A task's own thread holds one for as long as it computes; estimates take idle ones for further chains.
#[derive(Debug)]
pub struct Permits {
    idle: Mutex<usize>,
    returned: Condvar,
}

/// The right to one computing thread, given back when dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    permits: &'a Permits,
}

impl Permits {
    /// This many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { idle: Mutex::new(count), returned: Condvar::new() }
    }

    /// Waits for a permit.
    pub fn acquire(&self) -> Permit<'_> {
        let mut idle = self.idle();
        while *idle == 0 {
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        *idle -= 1;
        Permit { permits: self }
    }

    /// A permit, if one is idle.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let mut idle = self.idle();
        *idle = idle.checked_sub(1)?;
        Some(Permit { permits: self })
    }

    /// A number stays valid even if a thread panicked while it held the lock.
    fn idle(&self) -> MutexGuard<'_, usize> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.permits.idle() += 1;
        self.permits.returned.notify_one();
    }
}

/// What a running ensemble tells and asks. Members are numbered as in the call of [`run`].
pub trait Surroundings: Sync {
    /// A checkpoint's measurements, complete; in rising steps within a member.
    fn record(&self, member: usize, record: v1::Record);

    /// The share of the member's work that is done, in 0..=1.
    fn progress(&self, member: usize, work_done: f64);

    /// Whether nobody wants the member's results any more: cancelled, lease lost, worker leaving. It is dropped at the next
    /// step.
    fn stopped(&self, member: usize) -> bool;

    /// The estimate that is a baseline of this digest, if any worker has made it.
    fn baseline(&self, digest: &str) -> Option<v1::Estimate>;

    /// Shares a baseline that was just made.
    fn store_baseline(&self, digest: &str, estimate: &v1::Estimate);
}
