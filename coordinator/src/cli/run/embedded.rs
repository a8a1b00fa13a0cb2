//! The coordinator inside `phasegrid run`, on a port of its own that only this machine can reach.

use std::net::SocketAddr;
use std::path::Path;

use tokio::task::JoinHandle;

use super::super::failure::Failure;
use crate::config::Settings;
use crate::rpc::server::{Server, ServerError};
use crate::service::Coordinator;
use crate::stopping::Stopper;

/// Leases of an earlier run are of workers that ended with it: they need not be waited for as long as those of workers
/// that may come back. Whoever sets one of the two (PHASEGRID_LEASE_TIME, PHASEGRID_HEARTBEAT_INTERVAL) has the usual
/// default of the other.
const LEASE_TIME: (&str, &str) = ("PHASEGRID_LEASE_TIME", "15s");
const HEARTBEAT_INTERVAL: &str = "PHASEGRID_HEARTBEAT_INTERVAL";

/// A coordinator that serves until it is stopped.
pub(super) struct Embedded {
    url: String,
    stopper: Stopper,
    serving: JoinHandle<Result<(), ServerError>>,
}

impl Embedded {
    /// The settings of an embedded coordinator.
    pub(super) fn settings(environment: impl Iterator<Item = (String, String)>) -> Result<Settings, Failure> {
        let mut environment: Vec<(String, String)> = environment.collect();
        if environment.iter().all(|(name, _)| name != LEASE_TIME.0 && name != HEARTBEAT_INTERVAL) {
            environment.push((LEASE_TIME.0.to_owned(), LEASE_TIME.1.to_owned()));
        }
        Ok(Settings::load(None, environment, [])?)
    }

    /// Opens the database in `data` and serves it; snapshots and sealed records go beside it, unless the environment says otherwise.
    pub(super) async fn start(data: &Path, settings: Settings) -> Result<Self, Failure> {
        let (snapshots, archive) = (settings.snapshots_beside(data), settings.archive_beside(data));
        let coordinator = Coordinator::open(data, &archive, settings.leasing).await?.with_snapshots(&snapshots)?;
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).await?;
        let (stopper, stopping) = Stopper::new();
        let url = server.url();
        let serving = tokio::spawn(server.run(coordinator, stopping.wait()));
        Ok(Self { url, stopper, serving })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Commits what was acknowledged and stops.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.stopper.stop();
        self.serving.await.map_err(anyhow::Error::new)??;
        Ok(())
    }
}
