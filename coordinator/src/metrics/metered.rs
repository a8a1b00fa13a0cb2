//! A store whose commits are timed.

use std::sync::Arc;
use std::time::SystemTime;

use super::Metrics;
use crate::clock;
use crate::store::{Store, StoreError, Write};

/// A store that tells its metrics of each commit that became durable.
#[derive(Debug)]
pub struct Metered<S> {
    store: S,
    metrics: Arc<Metrics>,
}

impl<S> Metered<S> {
    /// The store, metered.
    pub fn new(store: S, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }
}

impl<S: Store> Store for Metered<S> {
    fn commit(&mut self, writes: &[Write], now: SystemTime) -> Result<(), StoreError> {
        let began = clock::instant();
        self.store.commit(writes, now)?;
        self.metrics.on_commit(writes.len(), began.elapsed());
        Ok(())
    }
}
