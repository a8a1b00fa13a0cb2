//! Work on as many threads as there are idle permits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::permits::Permits;

/// The results of `work` for each of `0..units`, in order.
///
/// The caller's thread holds a permit and takes one unit after the other. Before each it starts a thread for every permit
/// that is idle by then, as long as there are units left; `None` keeps everything on the caller's thread. `work` gets
/// something that its thread keeps from unit to unit.
pub(crate) fn spread<Kept: Default, T: Send>(
    units: usize,
    permits: Option<&Permits>,
    work: &(impl Fn(&mut Kept, usize) -> T + Sync),
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let finished = Mutex::new(Vec::with_capacity(units));
    let take = |recruit: &mut dyn FnMut(usize)| {
        tch::set_num_threads(1); // a permit is the right to one thread
        let _guard = tch::no_grad_guard();
        let mut kept = Kept::default();
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= units {
                return;
            }
            recruit(units - unit - 1);
            let result = work(&mut kept, unit);
            finished.lock().unwrap_or_else(PoisonError::into_inner).push((unit, result));
        }
    };
    std::thread::scope(|scope| {
        let mut helpers = Vec::new();
        take(&mut |left| {
            while helpers.len() < left {
                let Some(permit) = permits.and_then(Permits::try_acquire) else { break };
                let take = &take;
                helpers.push(scope.spawn(move || {
                    take(&mut |_| ());
                    drop(permit);
                }));
            }
        });
        for helper in helpers {
            // The scope would panic with words of its own, and libtorch's reason would be lost.
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let mut finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    finished.sort_unstable_by_key(|(unit, _)| *unit);
    finished.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_whoever_made_them_and_permits_come_back() {
        for idle in [0, 3] {
            let permits = Permits::new(idle);
            let made = spread(20, Some(&permits), &|kept: &mut usize, unit| {
                *kept += 1;
                (unit * unit, *kept)
            });
            assert!(made.iter().enumerate().all(|(unit, (square, _))| *square == unit * unit));
            assert!(idle > 0 || made[19].1 == 20, "one thread keeps one thing");
            let back: Vec<_> = std::iter::from_fn(|| permits.try_acquire()).collect();
            assert_eq!(back.len(), idle);
        }
    }

    #[test]
    fn without_permits_to_take_all_is_done_by_the_caller() {
        let caller = std::thread::current().id();
        assert!(spread(5, None, &|(): &mut (), _| std::thread::current().id()).iter().all(|id| *id == caller));
    }
}
