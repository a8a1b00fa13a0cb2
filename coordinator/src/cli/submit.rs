//! `submit`: hands a sweep file to a coordinator.

use std::hash::{BuildHasher, RandomState};

use clap::Args;
use phasegrid_proto::v1;

use super::client::Remote;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::{print_line, talk};
use super::progress::unit;
use super::text::counted;
use crate::service::{LONGEST_REQUEST_ID, LONGEST_USER};
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
    /// Sweeps of a higher priority are served first; below zero is allowed [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// In whose name: the users of a cluster share it, whatever each has submitted [default: $USER]
    #[arg(long, value_name = "NAME", value_parser = user)]
    user: Option<String>,
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
        let user = self.user.or_else(own_name).unwrap_or_default();
        let priority = self.priority.unwrap_or_default();
        let wish = v1::CreateSweepRequest {
            request_id: request_id.clone(),
            source: source.clone(),
            user,
            priority,
            ..Default::default()
        };
        let sweep = client.create(&self.file, wish).await?;
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

/// What the environment calls whoever runs this, if it can be a user's name.
fn own_name() -> Option<String> {
    std::env::var("USER").ok().filter(|name| user(name).is_ok())
}

fn user(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= LONGEST_USER && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("at most {LONGEST_USER} characters are accepted, none of control"))
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
        assert!(super::request_id(&first).is_ok());
        assert!(super::request_id("").is_err());
        assert!(super::request_id(&"é".repeat(64)).is_ok());
        assert!(super::request_id(&"x".repeat(65)).is_err());
    }
}
