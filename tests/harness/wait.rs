//! Waiting for what a test expects, with a deadline in place of a fixed sleep.

use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. Generous, because the machine may be busy; a test that passes never
/// waits for it.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// How often a condition is looked at. Short against everything that a test waits for.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until the condition has a value, and returns it.
///
/// # Panics
/// If it has none within [`DEADLINE`]; the message says what was waited for.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, condition).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain until {what}"))
}

/// The condition's first value, or `None` if it has none in that time.
pub(crate) fn within<T>(time: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if start.elapsed() > time {
            return None;
        }
        std::thread::sleep(INTERVAL);
    }
}
