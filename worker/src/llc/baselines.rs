//! Null baselines: computed once, by whoever needs one first, and shared by the digest of their configuration.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;

use super::{Laboratory, Site};
use crate::data::Examples;
use crate::models;

/// What this process knows, by digest. Whoever holds an entry's lock is finding it out; others wait instead of doing the
/// same.
static KNOWN: LazyLock<Mutex<HashMap<String, Entry>>> = LazyLock::new(Mutex::default);

type Entry = Arc<Mutex<Option<v1::Estimate>>>;

/// The estimate of the baseline `config`: remembered, found by the surroundings, or made and shared. `None` if stopped.
///
/// Everything about it follows from its own configuration and not from the site that asks, so that all make the same.
pub(super) fn find(config: &TaskConfig, asking: &Site, laboratory: &Laboratory) -> Option<v1::Estimate> {
    let digest = config.digest();
    // A lock is poisoned where finding out panicked: then the entry is still empty and the next one tries.
    let entry = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default().clone();
    let mut known = entry.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none() {
        *known = laboratory.surroundings.baseline(&digest);
    }
    if known.is_none() {
        let examples = Examples::of(config);
        let weights = models::initial_weights(config);
        let site = Site { number: asking.number, task: config, examples: &examples, step: 0, weights };
        let made = laboratory.estimate(&[site]).remove(0)?.into_iter().next()?;
        laboratory.surroundings.store_baseline(&digest, &made);
        *known = Some(made);
    }
    known.clone()
}
