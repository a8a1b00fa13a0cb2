//! What is known of a token.

use std::time::{Duration, SystemTime};

use super::{Denied, Digest, Role, TokenId};

/// The longest lifetime that can be asked for: ten years.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// What never changes of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Names it.
    pub id: TokenId,
    /// What it is for.
    pub role: Role,
    /// For people; may be empty.
    pub name: String,
    /// What is kept of its secret.
    pub digest: Digest,
    /// When it was made: a whole number of microseconds.
    pub created: SystemTime,
    /// From when on it opens nothing: a whole number of microseconds.
    pub expires: Option<SystemTime>,
    /// How often it may be used.
    pub uses: Option<u64>,
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What never changes.
    pub entry: TokenEntry,
    /// How often it was used. Calls with a token that may be used any number of times are not counted.
    pub used: u64,
    /// When it was revoked: a whole number of microseconds.
    pub revoked: Option<SystemTime>,
    /// The workers that it registered and speaks for, in the order of their names.
    pub workers: Vec<String>,
}

/// Something about tokens to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A token was made. Rests on its id being new.
    Created(TokenEntry),
    /// It was used. Rests on a use being left and on it not being revoked.
    Used(TokenId),
    /// It was used to register a worker, for which it speaks from now on. Rests on the same.
    Registered {
        /// The token.
        token: TokenId,
        /// The worker.
        worker: String,
    },
    /// It opens nothing any more, and speaks for nobody. Once it is revoked, the time stays.
    Revoked {
        /// The token.
        token: TokenId,
        /// When: a whole number of microseconds.
        at: SystemTime,
    },
}

impl Token {
    /// A token that was just made.
    #[must_use]
    pub fn new(entry: TokenEntry) -> Self {
        Self { entry, used: 0, revoked: None, workers: Vec::new() }
    }

    /// Whether it still opens what its role may.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now: SystemTime) -> Result<(), Denied> {
        let id = || self.entry.id.clone();
        if self.revoked.is_some() {
            return Err(Denied::Revoked(id()));
        }
        if self.entry.expires.is_some_and(|end| end <= now) {
            return Err(Denied::Expired(id()));
        }
        Ok(())
    }

    /// Whether it may be used once more.
    ///
    /// # Errors
    /// If it was used as often as it may.
    pub fn check_uses(&self) -> Result<(), Denied> {
        let left = self.entry.uses.is_none_or(|uses| self.used < uses);
        if left { Ok(()) } else { Err(Denied::UsedUp(self.entry.id.clone())) }
    }
}
