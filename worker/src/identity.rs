//! How one worker process is told from all others: its default name, and chance that is its own.
//!
//! This chance spreads names and retries. No number of a task ever depends on it; see [`crate::random`] for those.

use std::hash::{BuildHasher, RandomState};

/// Characters of a worker's name, which is its id at the coordinator.
pub const NAME_LENGTH: usize = 100;

/// A name that no other process has: host, process id, random suffix.
#[must_use]
pub fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|&c| accepted(c)).take(NAME_LENGTH / 2).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}-{:06x}", std::process::id(), entropy() & 0xff_ffff)
}

/// Whether the coordinator accepts this worker's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=NAME_LENGTH).contains(&name.len()) && name.chars().all(accepted)
}

/// A number between 0 and 1, different in each process and each call.
#[must_use]
pub fn chance() -> f64 {
    (entropy() >> 11) as f64 / (1_u64 << 53) as f64
}

fn accepted(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The standard library seeds its hash tables from the operating system; an empty hash is that seed.
fn entropy() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_are_accepted_and_differ() {
        let names = [default_name(), default_name()];
        assert!(names.iter().all(|name| is_name(name)), "{names:?}");
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn names_that_the_coordinator_would_refuse_are_not_names() {
        for name in ["", "a b", "ä", "a/b", &"x".repeat(NAME_LENGTH + 1)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn chance_stays_between_0_and_1_and_varies() {
        let draws: Vec<f64> = (0..64).map(|_| chance()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 0.5) && draws.iter().any(|draw| *draw >= 0.5));
    }
}
