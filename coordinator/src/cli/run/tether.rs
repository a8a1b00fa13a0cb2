//! Ties a worker's life to that of the `phasegrid run` that started it: killed, out of memory or closed with its terminal,
//! it leaves no worker behind that computes for nobody.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::process::Command;

use super::super::failure::Failure;

/// Become another program, which is killed when the parent ends
///
/// The kernel keeps the promise that the first lines make across exec; made between fork and exec, it would be unsafe code.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tether {
    /// The parent's process id
    parent: i32,
    /// The program
    program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Tether {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Failure::Worker(format!("cannot tie the worker to its parent: {error}")))?;
        if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != self.parent) {
            return Err(Failure::Worker("the parent ended before its worker began".to_owned()));
        }
        let error = std::process::Command::new(&self.program).args(self.arguments).exec();
        Err(Failure::Worker(format!("cannot start {}: {error}", self.program.display())))
    }
}

/// The command that starts `program` tied to this process.
pub(super) fn command(program: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("tether").arg(std::process::id().to_string()).arg(program);
    Ok(command)
}
