//! One line when the coordinator has gone, one when it is back, however many calls notice it.

use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Status;

/// Failed tries of one call after which a person is told: about a third of a second, which a restart may take.
const TELL_AFTER: u32 = 3;

/// Whether an absence of the coordinator has been spoken of.
#[derive(Debug)]
pub(crate) struct Outage {
    url: String,
    told: AtomicBool,
}

impl Outage {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), told: AtomicBool::new(false) }
    }

    /// A call has failed `failures` times in a row before this one.
    pub(crate) fn noticed(&self, status: &Status, failures: u32) {
        if failures >= TELL_AFTER && !self.told.swap(true, Ordering::Relaxed) {
            let (coordinator, reason) = (&self.url, describe(status));
            tracing::warn!(coordinator, reason, "the coordinator does not answer; trying again until it does");
        }
    }

    /// A call was answered.
    pub(crate) fn ended(&self) {
        if self.told.swap(false, Ordering::Relaxed) {
            tracing::info!(coordinator = self.url, "the coordinator answers");
        }
    }
}

/// The innermost reason: "transport error" alone helps nobody.
fn describe(status: &Status) -> String {
    let mut reason: Option<&dyn std::error::Error> = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(error) = reason {
        text = error.to_string();
        reason = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_after_some_tries_only() {
        let outage = Outage::new("http://there:1");
        let status = Status::unavailable("gone");
        outage.noticed(&status, 0);
        assert!(!outage.told.load(Ordering::Relaxed));
        outage.noticed(&status, TELL_AFTER);
        assert!(outage.told.load(Ordering::Relaxed));
        outage.ended();
        assert!(!outage.told.load(Ordering::Relaxed));
    }

    #[test]
    fn the_innermost_reason_is_told() {
        let inner = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(describe(&Status::from_error(Box::new(inner))), "connection refused");
        assert_eq!(describe(&Status::unavailable("stopping")), "stopping");
    }
}
