//! Null baselines: computed once, by whoever needs one first, and shared by the digest of their configuration.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tch::Tensor;

use super::Checkpoint;
use crate::data::Examples;
use crate::models;
use crate::surroundings::Surroundings;

/// What this process knows, by digest. Whoever holds an entry's lock is finding it out; others wait instead of doing the
/// same.
static KNOWN: LazyLock<Mutex<HashMap<String, Entry>>> = LazyLock::new(Mutex::default);

type Entry = Arc<Mutex<Option<v1::Estimate>>>;

/// The estimate of the baseline `config`: remembered, found by the surroundings, or made and shared. `None` if stopped.
///
/// Everything about it follows from its own configuration and not from the task that asks, so that all make the same;
/// `asking` lends what it takes to make one.
pub(super) fn find(
    config: &TaskConfig,
    asking: &Checkpoint<'_>,
    surroundings: &dyn Surroundings,
) -> Option<v1::Estimate> {
    let digest = config.digest();
    // A lock is poisoned where finding out panicked: then the entry is still empty and the next one tries.
    let entry = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default().clone();
    let mut known = entry.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none() {
        *known = surroundings.baseline(&digest);
    }
    if known.is_none() {
        let made = make(config, asking)?;
        surroundings.store_baseline(&digest, &made);
        *known = Some(made);
    }
    known.clone()
}

fn make(config: &TaskConfig, asking: &Checkpoint<'_>) -> Option<v1::Estimate> {
    let sampler = config.llc.as_ref()?.samplers.first()?;
    let weights = Tensor::from_slice(&models::initial_weights(config)).to_device(asking.device);
    let examples = Examples::of(config);
    Checkpoint { task: config, examples: &examples, step: 0, ..*asking }.estimate(&weights, sampler)
}
