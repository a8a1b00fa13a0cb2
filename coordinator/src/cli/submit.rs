//! `submit`: hands a sweep file to a coordinator.

use std::hash::{BuildHasher, RandomState};

use clap::Args;

use super::Global;
use super::client::Client;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::print_line;

/// Hand a sweep to a coordinator; prints its id
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ID=$(phasegrid submit sweeps/demo.toml)\n  \
    phasegrid submit sweeps/demo.toml --set task.train.steps=500 --set axes.seed.count=1")]
pub(super) struct Submit {
    #[command(flatten)]
    file: SweepFile,
    /// Names this wish: the same id gives the same sweep, however often it is sent [default: a random one]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl Submit {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let source = self.file.read()?;
        let mut client = Client::connect(&global.coordinator).await?;
        let request_id = self.request_id.unwrap_or_else(random_id);
        let sweep = client.create(&self.file, request_id, source).await?;
        let size = sweep.progress.unwrap_or_default().size;
        eprintln!("submitted {} with {size} points; `phasegrid watch {}` follows it", sweep.name, sweep.id);
        print_line(&sweep.id)
    }
}

/// 128 bits from the operating system, by way of the keys of the standard library's hash maps.
fn random_id() -> String {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    #[test]
    fn request_ids_differ_and_fit() {
        let [first, second] = [super::random_id(), super::random_id()];
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
    }
}
