//! `ping`: whether a coordinator lives, for what restarts containers and balances load.

use clap::Args;

use super::client::Remote;
use super::failure::Failure;
use super::output::talk;

/// Ask whether a coordinator lives
///
/// It takes no token. A coordinator that stands by for another lives too; of several, one that does is enough.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid ping --coordinator https://gpu-head:7700 --ca ca.pem\n\n\
    Ends with 0 when it answers, and with 4 when it does not.")]
pub(super) struct Ping {
    #[command(flatten)]
    remote: Remote,
}

impl Ping {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let url = self.remote.connect().await?.ping().await?;
        talk(&format!("the coordinator at {url} answers"));
        Ok(())
    }
}
