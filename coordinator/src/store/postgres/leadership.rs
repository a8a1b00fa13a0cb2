//! Who leads: one row with a term and an expiry, by the database's clock. A leader renews it; when it has run out, whoever
//! comes first takes the next term.
//!
//! The expiry is about speed, and the term about safety: every commit of a leader holds its term. A leader that was paused,
//! or cut off, for longer than its time finds that it was succeeded when it writes.

use std::time::Duration;
use std::{fmt, slice};

use tokio_postgres::Row;

use super::session::{Purpose, Session, Step};
use super::values::value;
use super::{Address, Fault};
use crate::store::StoreError;

/// The number of a leader's time in office. It rises from leader to leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(pub(super) i64);

impl Term {
    /// Holds the term until the transaction ends, or fails.
    pub(super) fn hold(self) -> Step {
        let step = Step::new(include_str!("sql/hold_term.sql"), [Box::new(self.0)]);
        step.expecting(1, "another coordinator leads by now")
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A coordinator's claim to lead.
#[derive(Debug)]
pub struct Claim {
    pub(super) session: Session,
}

impl Claim {
    pub(super) fn open(address: &Address, patience: Duration) -> Result<Self, Fault> {
        Ok(Self { session: Session::open(address, Purpose::Writing, patience)? })
    }

    /// Takes the next term for that long, if nobody leads; `address` is where the leader can be found.
    ///
    /// # Errors
    /// If the database fails.
    pub fn take(&mut self, address: &str, lasting: Duration) -> Result<Option<Term>, StoreError> {
        let step = Step::new(include_str!("sql/claim_term.sql"), [value(address), Box::new(lasting.as_secs_f64())]);
        self.ask(&step, |row| Ok(Term(row.try_get(0)?)))
    }

    /// Keeps the term for that long from now; false if another coordinator leads by now.
    ///
    /// # Errors
    /// If the database fails: the term may have been renewed or not.
    pub fn renew(&mut self, term: Term, lasting: Duration) -> Result<bool, StoreError> {
        let step = Step::new(include_str!("sql/renew_term.sql"), [Box::new(term.0), Box::new(lasting.as_secs_f64())]);
        self.ask(&step, |_| Ok(())).map(|renewed| renewed.is_some())
    }

    /// Gives the term up, so that nobody needs to wait until it has run out.
    ///
    /// # Errors
    /// If the database fails.
    pub fn resign(&mut self, term: Term) -> Result<(), StoreError> {
        self.renew(term, Duration::ZERO).map(drop)
    }

    /// Where the leader can be found, if there is one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn leader(&mut self) -> Result<Option<String>, StoreError> {
        self.ask(&Step::plain(include_str!("sql/read_leader.sql")), |row| Ok(row.try_get(0)?))
    }

    /// What the statement's first row says, if it has one.
    fn ask<T>(&mut self, step: &Step, read: impl FnOnce(&Row) -> Result<T, Fault>) -> Result<Option<T>, StoreError> {
        let answers = self.session.run(async |connection| connection.pipeline(slice::from_ref(step)).await);
        let first = answers.and_then(|answers| answers.concat().first().map(read).transpose());
        first.map_err(|fault| fault.at(self.session.address()))
    }
}
