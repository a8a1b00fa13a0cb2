//! Who may compute: a count of threads for the whole process.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_lent_and_returned() {
        let permits = Permits::new(2);
        let first = permits.acquire();
        let second = permits.try_acquire();
        assert!(second.is_some() && permits.try_acquire().is_none());
        drop(first);
        assert!(permits.try_acquire().is_some());
    }
}
