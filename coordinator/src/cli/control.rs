//! `cancel`, `retry` and `drain`: changes to what a coordinator does.

use clap::Args;
use phasegrid_proto::v1;

use super::client::Remote;
use super::failure::Failure;
use super::list::state;
use super::output::talk;
use super::progress::{summary, unit};
use super::text::counted;

/// Give up what is left of a sweep
///
/// Finished points keep their results. Cancelling twice is no error.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The sweep
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Cancel {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::CancelSweepRequest { id: self.id };
        let answer = client.sweeps.cancel_sweep(request).await.map_err(|status| client.failure(status))?;
        let sweep = answer.into_inner().sweep.unwrap_or_default();
        // One that had ended before stays as it is, and the person sees so.
        talk(&format!("{} is {}: {}", sweep.name, state(&sweep), summary(&sweep.progress.unwrap_or_default())));
        Ok(())
    }
}

/// Give a sweep's failed points another go
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The sweep
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Retry {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let count = client.retry(&self.id).await?;
        let (sweep, _) = client.sweep(&self.id).await?;
        let failed = format!("failed {}", unit(&sweep.progress.unwrap_or_default()));
        talk(&format!("{} will be tried again", counted(count, &failed)));
        Ok(())
    }
}

/// Let a worker finish what it holds and leave
///
/// It gets no further leases. Draining twice is no error.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The worker, as `phasegrid workers` names it
    worker: String,
    #[command(flatten)]
    remote: Remote,
}

impl Drain {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::DrainWorkerRequest { id: self.worker.clone() };
        client.sweeps.drain_worker(request).await.map_err(|status| client.failure(status))?;
        talk(&format!("{} gets no further work and leaves when it has finished what it holds", self.worker));
        Ok(())
    }
}
