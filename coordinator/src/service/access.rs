//! Who may ask: tokens made, shown, used and revoked, and the workers for which they speak.
//!
//! The book of tokens is asked beside the actor, at each call's door, so that a call costs no turn more. What changes in
//! it is made durable before anybody is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::desk::Desk;
use super::duty::Duty;
use super::people::whole_micros;
use super::token::Token as LeaseToken;
use super::{Coordinator, Refusal};
use crate::access::{Book, Caller, Change, Denied, LONGEST_LIFETIME, Role, Secret, Token, TokenEntry, TokenId};
use crate::clock;
use crate::metrics::Metrics;
use crate::scheduler::{Census, LeaseKey, Refused};
use crate::store::Write;

const LONGEST_NAME: usize = 100;

/// A token as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWish {
    /// What it is to be for.
    pub role: Role,
    /// For people.
    pub name: String,
    /// How long it is to be valid.
    pub lifetime: Option<Duration>,
    /// How often it may be used.
    pub uses: Option<u64>,
}

impl Coordinator {
    /// A handle that acts on behalf of a caller: it may do for workers only what the caller may.
    #[must_use]
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }

    /// Whether calls are answered here. Tokens are to be asked after this: one that stands by does not know them.
    ///
    /// # Errors
    /// If another coordinator leads, or none: why.
    pub fn check_serving(&self) -> Result<(), Refusal> {
        self.running().map(drop)
    }

    /// Returns when calls are answered here, or when they are not any more; false if that will never be.
    pub async fn until_serving(&self, serves: bool) -> bool {
        let mut duty = self.duty.clone();
        duty.wait_for(|duty| matches!(duty, Duty::Serving(_)) == serves).await.is_ok()
    }

    /// From now on asks for tokens, whether there are any or not.
    pub fn require_tokens(&self) {
        self.book().require();
    }

    /// Whether tokens are asked for.
    #[must_use]
    pub fn requires_tokens(&self) -> bool {
        self.book().is_required()
    }

    /// Whether anybody could make tokens, if they were asked for.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.book().has_admin(clock::now())
    }

    /// Who sent this as their token.
    ///
    /// # Errors
    /// If that opens nothing here.
    pub fn identify(&self, sent: Option<&str>) -> Result<Caller, Denied> {
        self.book().identify(sent, clock::now())
    }

    /// A call is made with a token: one use of it, if those are counted. Workers' tokens are used by registering.
    ///
    /// # Errors
    /// If it is used up, or the use cannot be made durable.
    pub async fn take_use(&self, caller: &Caller) -> Result<(), Refusal> {
        let Caller::Holder(id, role) = caller else { return Ok(()) };
        if *role == Role::Worker {
            return Ok(());
        }
        if !self.book().counts_uses(id) {
            return Ok(());
        }
        let id = id.clone();
        self.use_book(move |book| book.take_use(&id, clock::now())).await
    }

    /// Whether a caller who was let in would be still.
    ///
    /// # Errors
    /// If the token has expired or was revoked meanwhile.
    pub fn check_again(&self, caller: &Caller) -> Result<(), Denied> {
        self.book().check(caller, clock::now())
    }

    /// Makes a token for a secret that the caller keeps, and answers what is known of it.
    ///
    /// # Errors
    /// If what is asked for is not acceptable, or no admin could make another after it.
    pub async fn create_token(&self, secret: &Secret, wish: TokenWish) -> Result<Token, Refusal> {
        let TokenWish { role, name, lifetime, uses } = wish;
        let refused = |message: String| Err(Refusal::InvalidArgument(message));
        if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
            return refused(format!("name: up to {LONGEST_NAME} characters, none a control character, are accepted"));
        }
        if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime > LONGEST_LIFETIME) {
            return refused("lifetime: above zero and up to 3650 days are accepted".to_owned());
        }
        if uses.is_some_and(|uses| uses == 0 || i64::try_from(uses).is_err()) {
            return refused("uses: a number from 1 is accepted".to_owned());
        }
        let created = whole_micros(clock::now());
        if role != Role::Admin && !self.has_admin() {
            let first = "the first token is to be an admin's, as no call is answered without a token once there is one: make it \
                         with `phasegrid token create --role admin`";
            return Err(Refusal::FailedPrecondition(first.to_owned()));
        }
        let expires = lifetime.map(|lifetime| whole_micros(created + lifetime));
        let (id, digest) = (secret.id().clone(), secret.digest());
        let entry = TokenEntry { id, role, name, digest, created, expires, uses };
        let created = entry.clone();
        self.use_book(move |book| {
            book.insert(created.clone());
            Ok(Some(Change::Created(created)))
        })
        .await?;
        Ok(Token::new(entry))
    }

    /// All tokens, in the order of their creation.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        self.book().tokens()
    }

    /// A token opens nothing from now on, and speaks for no worker.
    ///
    /// # Errors
    /// If there is no such token.
    pub async fn revoke_token(&self, id: &str) -> Result<Token, Refusal> {
        let unknown =
            || Refusal::NotFound(format!("there is no token {id}; `phasegrid token list` shows those there are"));
        let token = TokenId::parse(id).filter(|id| self.book().get(id).is_some()).ok_or_else(unknown)?;
        let at = whole_micros(clock::now());
        let revoked = token.clone();
        self.use_book(move |book| {
            book.revoke(&revoked, at);
            Ok(Some(Change::Revoked { token: revoked, at }))
        })
        .await?;
        self.book().get(&token).cloned().ok_or_else(unknown)
    }

    /// How many there are of everything.
    ///
    /// # Errors
    /// If the coordinator cannot answer for now.
    pub async fn census(&self) -> Result<Census, Refusal> {
        self.decide(|desk, _| super::desk::say(desk.scheduler.census())).await
    }

    /// What this coordinator counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A worker of the caller's registers.
    pub(super) async fn admit(&self, worker: &str) -> Result<(), Refusal> {
        let Caller::Holder(id, _) = &self.caller else { return Ok(()) };
        let (id, worker) = (id.clone(), worker.to_owned());
        self.use_book(move |book| book.register(&id, &worker, clock::now())).await
    }

    /// Whether the caller speaks for this worker.
    pub(super) fn speak_for(&self, worker: &str) -> Result<(), Refusal> {
        self.claim().to_worker(worker)
    }

    /// What the caller may do, to be asked where it is decided.
    pub(super) fn claim(&self) -> Claim {
        Claim { access: Arc::clone(&self.access), caller: self.caller.clone() }
    }

    /// Changes the book, and makes the change durable. The book is changed where everything is decided, one after the other:
    /// what the store is asked to write never rests on what another call takes back before. If the change cannot be made
    /// durable the book keeps it all the same: a use too many is counted, and what was revoked stays so, until a restart.
    async fn use_book(
        &self,
        change: impl FnOnce(&mut Book) -> Result<Option<Change>, Denied> + Send + 'static,
    ) -> Result<(), Refusal> {
        let access = Arc::clone(&self.access);
        self.decide(move |_, _| {
            let change = change(&mut lock(&access))?;
            Ok((change.into_iter().map(Write::Access).collect(), ()))
        })
        .await
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.access)
    }
}

/// What a caller may do for workers.
pub(super) struct Claim {
    access: Arc<Mutex<Book>>,
    caller: Caller,
}

impl Claim {
    /// The lease of a token, as far as there is one and the caller speaks for the worker that holds it.
    pub(super) fn to(&self, desk: &Desk, token: &LeaseToken) -> Result<Option<LeaseKey>, Refusal> {
        let lease = desk.lease(token);
        match lease.and_then(|lease| desk.scheduler.holder(lease)) {
            Some(holder) if self.caller != Caller::Anyone => self.to_worker(&holder.0)?,
            _ => {}
        }
        Ok(lease)
    }

    /// Whether the caller speaks for this worker.
    pub(super) fn to_worker(&self, worker: &str) -> Result<(), Refusal> {
        let speaks = lock(&self.access).speaks_for(&self.caller, worker, clock::now())?;
        // Perhaps it registered when no token was asked for: it registers again.
        if speaks { Ok(()) } else { Err(Refused::UnknownWorker(worker.into()).into()) }
    }
}

fn lock(access: &Mutex<Book>) -> MutexGuard<'_, Book> {
    access.lock().unwrap_or_else(PoisonError::into_inner)
}
