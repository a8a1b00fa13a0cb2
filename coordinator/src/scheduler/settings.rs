//! What a person may choose about how work is handed out and taken back.

use std::time::Duration;

use super::{Breaker, HardDeadline};

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
    /// How long a lease lasts whose worker lives and makes no progress; for ever without one.
    pub hard_deadline: Option<HardDeadline>,
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
            hard_deadline: Some(HardDeadline { factor: 10.0, least: Duration::from_secs(600) }),
            breaker: Some(Breaker { points: 20, share: 0.5 }),
            lease_target: Duration::from_secs(5),
        }
    }
}
