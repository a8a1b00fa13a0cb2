//! Baselines that another worker may have made: asked for and shared at the coordinator. What this process knows itself is
//! remembered where estimates are made.

use std::sync::Arc;

use phasegrid_proto::v1;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::client::Client;

/// What compute threads ask for baselines; they block, the answer comes from the runtime.
#[derive(Debug)]
pub(super) struct Baselines {
    client: Arc<Client>,
    runtime: Handle,
}

impl Baselines {
    pub(super) fn new(client: Arc<Client>, runtime: Handle) -> Self {
        Self { client, runtime }
    }

    /// The estimate of that name, if anyone has computed it.
    pub(super) fn find(&self, digest: &str) -> Option<v1::Estimate> {
        let (send, receive) = oneshot::channel();
        let (client, wanted) = (Arc::clone(&self.client), digest.to_owned());
        self.runtime.spawn(async move { send.send(client.find_baseline(wanted).await) });
        // The runtime drops the call when the process leaves.
        let found = receive.blocking_recv().ok()?;
        found.inspect_err(|error| tracing::error!(%error, "a baseline cannot be looked up")).ok()?
    }

    /// Shares an estimate, without waiting.
    pub(super) fn store(&self, digest: &str, estimate: &v1::Estimate) {
        let (client, digest, estimate) = (Arc::clone(&self.client), digest.to_owned(), estimate.clone());
        self.runtime.spawn(async move {
            // The estimate is in the task's own records; what is lost is only that others compute it again.
            if let Err(error) = client.store_baseline(digest, estimate).await {
                tracing::error!(%error, "a baseline cannot be shared");
            }
        });
    }
}
