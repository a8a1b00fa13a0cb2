//! The one place that reads the clock. Everywhere else the time is an argument, so that what happens when is decided by
//! tests as easily as by the day.

use std::time::{Instant, SystemTime};

/// The time by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the file in which the clock may be read")]
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// A time that never goes backwards, for the spans between events.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}
