//! Ties a worker's life to that of the `phasegrid run` that started it: killed, out of memory or closed with its terminal,
//! it leaves no worker behind that computes for nobody.

use std::ffi::OsString;
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
    /// The program, behind two dashes
    program: PathBuf,
    /// Its arguments
    arguments: Vec<OsString>,
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
    // What follows the dashes is the program's alone, even where it is spelled like an option of ours.
    command.arg("tether").arg(std::process::id().to_string()).arg("--").arg(program);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    #[test]
    fn options_of_the_program_are_its_own_even_where_we_have_the_same() {
        let command = command(Path::new("worker")).unwrap();
        let mut words: Vec<_> = command.as_std().get_args().map(ToOwned::to_owned).collect();
        words.extend(["--coordinator", "http://127.0.0.1:1"].map(OsString::from));
        let matches = Tether::augment_args(clap::Command::new("tether").arg(clap::arg!(--coordinator <URL>)));
        let tether = Tether::from_arg_matches(&matches.get_matches_from(words)).unwrap();
        assert_eq!(tether.program, Path::new("worker"));
        assert_eq!(tether.arguments, ["--coordinator", "http://127.0.0.1:1"]);
    }
}
