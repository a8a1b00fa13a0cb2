//! One line when the coordinator has gone, one when it is back, however many calls notice it.

use std::sync::atomic::{AtomicBool, Ordering};

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
    pub(crate) fn noticed(&self, reason: &str, failures: u32) {
        if failures >= TELL_AFTER && !self.told.swap(true, Ordering::Relaxed) {
            let coordinator = &self.url;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_after_some_tries_only() {
        let outage = Outage::new("http://there:1");
        outage.noticed("gone", 0);
        assert!(!outage.told.load(Ordering::Relaxed));
        outage.noticed("gone", TELL_AFTER);
        assert!(outage.told.load(Ordering::Relaxed));
        outage.ended();
        assert!(!outage.told.load(Ordering::Relaxed));
    }
}
