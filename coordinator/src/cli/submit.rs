//! `submit`: hands a sweep file to a coordinator.

use std::hash::{BuildHasher, RandomState};

use clap::Args;

use super::client::Remote;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::{print_line, talk};
use super::progress::unit;
use super::text::counted;
use crate::service::LONGEST_REQUEST_ID;
use crate::spec::Spec;

/// Hand a sweep to a coordinator; prints its id
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ID=$(phasegrid submit sweeps/demo.toml)\n  \
    phasegrid submit sweeps/demo.toml --set task.train.steps=500 --set axes.seed.count=1")]
pub(super) struct Submit {
    #[command(flatten)]
    file: SweepFile,
    /// Names this wish: the same id gives the same sweep, however often it is sent [default: a random one]
    #[arg(long, value_name = "ID", value_parser = request_id)]
    request_id: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Submit {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let source = self.file.read()?;
        let mut client = self.remote.connect().await?;
        // Only an id that somebody chose may have been sent before.
        let earlier = if self.request_id.is_some() { client.list().await? } else { vec![] };
        let request_id = self.request_id.unwrap_or_else(random_id);
        let sweep = client.create(&self.file, request_id.clone(), source.clone()).await?;
        let is_there = earlier.iter().any(|known| known.id == sweep.id);
        if is_there && Spec::parse(&sweep.resolved_source, &[]).ok() != Some(self.file.parse(&source)?) {
            return Err(Failure::Refused(format!(
                "the request id {request_id} was used for another sweep, {}: choose another, or leave it out",
                sweep.id
            )));
        }
        let progress = sweep.progress.unwrap_or_default();
        let size = counted(progress.size, unit(&progress));
        let how = if is_there { "is there already" } else { "is submitted" };
        talk(&format!("{} with {size} {how}; `phasegrid watch {}` follows it", sweep.name, sweep.id));
        print_line(&sweep.id)
    }
}

fn request_id(text: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_REQUEST_ID).contains(&text.chars().count());
    if fits { Ok(text.to_owned()) } else { Err(format!("1 to {LONGEST_REQUEST_ID} characters are accepted")) }
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
        assert!(super::request_id(&first).is_ok());
        assert!(super::request_id("").is_err());
        assert!(super::request_id(&"é".repeat(64)).is_ok());
        assert!(super::request_id(&"x".repeat(65)).is_err());
    }
}
