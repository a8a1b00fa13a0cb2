//! `cancel`, `pause`, `resume`, `priority`, `retry` and `drain`: changes to what a coordinator does.

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
        let answer = client.ask(async |way| way.sweeps.cancel_sweep(request.clone()).await).await?;
        tell(&answer.sweep.unwrap_or_default());
        Ok(())
    }
}

/// Lease nothing more of a sweep until it is resumed
///
/// What workers hold may end; the last of it may complete the sweep. Pausing twice is no error.
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The sweep
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Pause {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::PauseSweepRequest { id: self.id };
        let answer = client.ask(async |way| way.sweeps.pause_sweep(request.clone()).await).await?;
        tell(&answer.sweep.unwrap_or_default());
        Ok(())
    }
}

/// Let a paused sweep go on
///
/// Be it that a person paused it, or that the coordinator did, because too many of its points failed.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The sweep
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Resume {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        tell(&client.resume(&self.id).await?);
        Ok(())
    }
}

/// Serve a sweep before others, or after them
///
/// Sweeps of a higher priority get every worker that asks. Among equals, the users of the cluster share its slots, and a
/// user's sweeps are served in the order of creation. What is leased stays so.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid priority $ID 10\n  phasegrid priority $ID -1")]
pub(super) struct Priority {
    /// The sweep
    id: String,
    /// 0 is what a sweep has at first; below zero is allowed
    #[arg(allow_negative_numbers = true)]
    priority: i32,
    #[command(flatten)]
    remote: Remote,
}

impl Priority {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::PrioritiseSweepRequest { id: self.id, priority: self.priority };
        let answer = client.ask(async |way| way.sweeps.prioritise_sweep(request.clone()).await).await?;
        let sweep = answer.sweep.unwrap_or_default();
        talk(&format!("{} has priority {}", sweep.name, sweep.priority));
        Ok(())
    }
}

/// Says where a sweep is. One that had ended before stays as it is, and the person sees so.
fn tell(sweep: &v1::Sweep) {
    talk(&format!("{} is {}: {}", sweep.name, state(sweep), summary(&sweep.progress.unwrap_or_default())));
}

/// Give a sweep's failed points another go
///
/// Retrying twice is no error: what was pending again stays so.
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
        let what = count.map_or_else(|| format!("every {failed}"), |count| counted(count, &failed));
        talk(&format!("{what} will be tried again"));
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
        client.ask(async |way| way.sweeps.drain_worker(request.clone()).await).await?;
        talk(&format!("{} gets no further work and leaves when it has finished what it holds", self.worker));
        Ok(())
    }
}
