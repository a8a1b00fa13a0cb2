//! All tokens, and the workers that they speak for.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::{Change, Role, Secret, Token, TokenEntry, TokenId};

/// Who makes a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// Nobody asked: this coordinator is on loopback and has no tokens, or the call is open to all.
    #[default]
    Anyone,
    /// The holder of a token.
    Holder(TokenId, Role),
}

/// Why someone is not let in, or not that far.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token was sent.
    #[error(
        "this coordinator takes calls with a token alone: name its file with --token-file or PHASEGRID_TOKEN_FILE, or put \
         it into PHASEGRID_TOKEN; an admin makes one with `phasegrid token create`"
    )]
    Missing,
    /// What was sent cannot be a token.
    #[error("what was sent as a token is none: it is one line as `phasegrid token create` printed it")]
    Malformed,
    /// No such token, or another secret.
    #[error("the token is not known to this coordinator: perhaps it is another coordinator's")]
    Unknown,
    /// Its time is over.
    #[error("the token {0} has expired: an admin makes another with `phasegrid token create`")]
    Expired(TokenId),
    /// It was revoked.
    #[error("the token {0} was revoked: an admin makes another with `phasegrid token create`")]
    Revoked(TokenId),
    /// It was used as often as it may.
    #[error("the token {0} is used up: an admin makes another with `phasegrid token create`, perhaps with more --uses")]
    UsedUp(TokenId),
    /// Its role does not reach so far.
    #[error("a token of role {has} does not allow {call}: it takes one of role {takes}")]
    Role {
        /// The call.
        call: String,
        /// The token's role.
        has: Role,
        /// The roles that would do.
        takes: String,
    },
    /// The call stands in no table.
    #[error("no role allows {0}")]
    NoRole(String),
    /// The worker is another token's.
    #[error("the worker {0} was registered with another token, and only that one speaks for it: choose another --name")]
    NotYours(String),
}

impl Denied {
    /// Whether another token of any role would have to be shown, rather than one that reaches further.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        !matches!(self, Self::Role { .. } | Self::NoRole(_) | Self::NotYours(_))
    }
}

/// All tokens.
#[derive(Debug, Default)]
pub struct Book {
    tokens: BTreeMap<TokenId, Token>,
    /// The token that speaks for a worker.
    owners: HashMap<String, TokenId>,
    /// Tokens are asked for even if there are none.
    required: bool,
}

impl Book {
    /// The book of what is stored.
    #[must_use]
    pub fn restore(stored: Vec<Token>) -> Self {
        let own = |token: &Token| {
            let id = token.entry.id.clone();
            token.workers.clone().into_iter().map(move |worker| (worker, id.clone()))
        };
        let owners = stored.iter().flat_map(own).collect();
        let tokens = stored.into_iter().map(|token| (token.entry.id.clone(), token)).collect();
        Self { tokens, owners, required: false }
    }

    /// Forgets what it knew for what is stored.
    pub fn reload(&mut self, stored: Vec<Token>) {
        *self = Self { required: self.required, ..Self::restore(stored) };
    }

    /// From now on asks for tokens, whether there are any or not.
    pub fn require(&mut self) {
        self.required = true;
    }

    /// Tokens are asked for. Where one was ever made they are for ever: what is revoked or expired opens no doors.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required || !self.tokens.is_empty()
    }

    /// Someone could make tokens.
    #[must_use]
    pub fn has_admin(&self, now: SystemTime) -> bool {
        let valid = |token: &Token| token.check(now).and_then(|()| token.check_uses()).is_ok();
        self.tokens.values().any(|token| token.entry.role == Role::Admin && valid(token))
    }

    /// All tokens in the order of their creation.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens: Vec<_> = self.tokens.values().cloned().collect();
        tokens.sort_by_key(|token| token.entry.created);
        tokens
    }

    /// The token with this id.
    #[must_use]
    pub fn get(&self, id: &TokenId) -> Option<&Token> {
        self.tokens.get(id)
    }

    /// Who sent this. Whether the token has a use left is asked where it is used.
    ///
    /// # Errors
    /// If that is no token of this coordinator, or no longer.
    pub fn identify(&self, sent: Option<&str>, now: SystemTime) -> Result<Caller, Denied> {
        let secret = Secret::parse(sent.ok_or(Denied::Missing)?).ok_or(Denied::Malformed)?;
        let token = self.tokens.get(secret.id()).filter(|token| token.entry.digest == secret.digest());
        let token = token.ok_or(Denied::Unknown)?;
        token.check(now)?;
        Ok(Caller::Holder(token.entry.id.clone(), token.entry.role))
    }

    /// A token was made. One that is known already, because it was read back meanwhile, stays as it is.
    pub fn insert(&mut self, entry: TokenEntry) {
        self.tokens.entry(entry.id.clone()).or_insert_with(|| Token::new(entry));
    }

    /// Whether the calls that are made with the token are counted.
    #[must_use]
    pub fn counts_uses(&self, id: &TokenId) -> bool {
        self.tokens.get(id).is_none_or(|token| token.entry.uses.is_some())
    }

    /// A token is used for a call. Answers what is to be made durable, which is nothing where uses are not counted.
    ///
    /// # Errors
    /// If it is used up, or opens nothing any more.
    pub fn take_use(&mut self, id: &TokenId, now: SystemTime) -> Result<Option<Change>, Denied> {
        let token = self.tokens.get_mut(id).ok_or(Denied::Unknown)?;
        token.check(now)?;
        if token.entry.uses.is_none() {
            return Ok(None);
        }
        token.check_uses()?;
        token.used += 1;
        Ok(Some(Change::Used(id.clone())))
    }

    /// A worker registers. One that its own token registers again is no further use, and nothing new; one whose token opens
    /// nothing any more may be taken over by another.
    ///
    /// # Errors
    /// If another token speaks for the worker, or this one is used up.
    pub fn register(&mut self, id: &TokenId, worker: &str, now: SystemTime) -> Result<Option<Change>, Denied> {
        let owner = self.owners.get(worker).and_then(|owner| self.tokens.get(owner));
        match owner.filter(|owner| owner.check(now).is_ok()) {
            Some(owner) if owner.entry.id == *id => return Ok(None),
            Some(_) => return Err(Denied::NotYours(worker.to_owned())),
            None => {}
        }
        let token = self.tokens.get_mut(id).ok_or(Denied::Unknown)?;
        token.check(now)?;
        token.check_uses()?;
        token.used += 1;
        self.owners.insert(worker.to_owned(), id.clone());
        Ok(Some(Change::Registered { token: id.clone(), worker: worker.to_owned() }))
    }

    /// Whether a caller's token still opens anything: what was let in once may last longer than that.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, caller: &Caller, now: SystemTime) -> Result<(), Denied> {
        match caller {
            Caller::Anyone => Ok(()),
            Caller::Holder(id, _) => self.tokens.get(id).ok_or(Denied::Unknown)?.check(now),
        }
    }

    /// Whether a caller speaks for a worker. Not, if no token does: then the worker has to register first.
    ///
    /// # Errors
    /// If another token speaks for it, or the caller's opens nothing any more.
    pub fn speaks_for(&self, caller: &Caller, worker: &str, now: SystemTime) -> Result<bool, Denied> {
        let Caller::Holder(id, _) = caller else { return Ok(true) };
        self.check(caller, now)?;
        match self.owners.get(worker) {
            Some(owner) if owner == id => Ok(true),
            Some(_) => Err(Denied::NotYours(worker.to_owned())),
            None => Ok(false),
        }
    }

    /// A token was revoked: it opens nothing and speaks for nobody.
    pub fn revoke(&mut self, id: &TokenId, at: SystemTime) {
        if let Some(token) = self.tokens.get_mut(id) {
            token.revoked.get_or_insert(at);
        }
        self.owners.retain(|_, owner| owner != id);
    }
}

#[cfg(test)]
mod tests;
