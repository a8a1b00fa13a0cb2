//! Baselines that are computed once and shared: first in this process, then at the coordinator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use phasegrid_proto::v1;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::client::Client;

/// What compute threads ask for baselines; they block, the answer comes from the runtime.
#[derive(Debug)]
pub(super) struct Baselines {
    client: Arc<Client>,
    runtime: Handle,
    known: Mutex<HashMap<String, v1::Estimate>>,
}

impl Baselines {
    pub(super) fn new(client: Arc<Client>, runtime: Handle) -> Self {
        Self { client, runtime, known: Mutex::default() }
    }

    /// The estimate of that name, if anyone has computed it.
    pub(super) fn find(&self, digest: &str) -> Option<v1::Estimate> {
        if let Some(known) = self.known().get(digest) {
            return Some(known.clone());
        }
        let (send, receive) = oneshot::channel();
        let (client, wanted) = (Arc::clone(&self.client), digest.to_owned());
        self.runtime.spawn(async move { send.send(client.find_baseline(wanted).await) });
        // The runtime drops the call when the process leaves.
        let found = receive.blocking_recv().ok()?;
        let found = found.inspect_err(|error| tracing::error!(%error, "a baseline cannot be looked up")).ok()??;
        self.known().insert(digest.to_owned(), found.clone());
        Some(found)
    }

    /// Keeps an estimate here and shares it, without waiting.
    pub(super) fn store(&self, digest: &str, estimate: &v1::Estimate) {
        self.known().insert(digest.to_owned(), estimate.clone());
        let (client, digest, estimate) = (Arc::clone(&self.client), digest.to_owned(), estimate.clone());
        self.runtime.spawn(async move {
            // The estimate is in the task's own records; what is lost is only that others compute it again.
            if let Err(error) = client.store_baseline(digest, estimate).await {
                tracing::error!(%error, "a baseline cannot be shared");
            }
        });
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, v1::Estimate>> {
        // A panic elsewhere cannot leave a map of finished estimates half-written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
