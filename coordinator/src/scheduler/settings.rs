//! What a person may choose about how work is handed out and taken back.

use std::time::Duration;

use super::Breaker;

/// What a person may choose about leases.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a lease lives without a heartbeat.
    pub lease_time: Duration,
    /// How often workers are to send one.
    pub heartbeat_interval: Duration,
    /// Attempts after which a point is set aside as failed, at least 1.
    pub max_attempts: u32,
    /// How long a point waits after its first attempt that ended badly; twice as long after each further one. Zero is not at
    /// all.
    pub retry_backoff: Duration,
    /// When a sweep is paused by itself; never without one.
    pub breaker: Option<Breaker>,
    /// The time for which a lease should keep a worker busy, unless a single point takes longer.
    pub lease_target: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_time: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(10),
            max_attempts: 3,
            retry_backoff: Duration::from_secs(1),
            breaker: Some(Breaker { points: 20, share: 0.5 }),
            lease_target: Duration::from_secs(5),
        }
    }
}
