//! Calls of the command line, as a person or a script makes them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::{Folder, binaries};

/// Calls `phasegrid` with these arguments, and waits for it to end.
pub fn phasegrid<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    Call::new(arguments).output()
}

/// A call of `phasegrid` that is being put together.
pub struct Call {
    command: Command,
    name: String,
}

/// What a call that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// The call itself.
    pub command: String,
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Call {
    /// A call with these arguments.
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(binaries::path("phasegrid"));
        command.args(arguments);
        Self { command, name: "phasegrid".to_owned() }
    }

    /// A call of `phasegrid-worker` with these arguments.
    pub fn worker<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(binaries::path("phasegrid-worker"));
        command.args(arguments);
        Self { command, name: "phasegrid-worker".to_owned() }
    }

    /// The same call of a copy of the program in another folder, where no worker binary is beside it.
    ///
    /// # Panics
    /// If the program cannot be copied.
    #[must_use]
    pub fn of_a_copy_in(self, folder: &Folder) -> Self {
        let copy = folder.at("phasegrid");
        std::fs::copy(self.command.get_program(), &copy).expect("the program can be copied");
        let mut command = Command::new(copy);
        command.args(self.command.get_args());
        Self { command, ..self }
    }

    /// The same call out of a shell script, where `"$@"` stands for it.
    #[must_use]
    pub fn through(self, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]).arg(self.command.get_program()).args(self.command.get_args());
        command.envs(self.command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        Self { command, ..self }
    }

    /// The same call in a mount namespace of its own, after a script has mounted something: it ends with the call, and no
    /// one else sees it.
    #[must_use]
    pub fn after_mounting(self, script: &str) -> Self {
        let inside = format!("{script}; exec \"$@\"");
        self.through(&format!("exec unshare --mount sh -euc '{inside}' sh \"$@\""))
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// In this working folder.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Makes the call without waiting; its streams go to files in `folder`.
    #[must_use]
    pub fn start(self, folder: &Path) -> Process {
        Process::start(self.command, &self.name, folder)
    }

    /// Makes the call and waits for it to end.
    #[must_use]
    pub fn output(self) -> Output {
        let folder = Folder::new();
        Output::of(self.start(folder.path()))
    }
}

impl Output {
    /// Waits for the process to end.
    #[must_use]
    pub fn of(mut process: Process) -> Self {
        let code = process.exit_code();
        Self { code, stdout: process.stdout(), stderr: process.stderr(), command: process.command.clone() }
    }

    /// What a call that must succeed wrote to stdout.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{} failed: {}", self.command, self.stderr);
        self.stdout
    }

    /// Asserts that the call failed with this exit code and a message that names everything that a person needs, and that
    /// it wrote nothing to stdout.
    ///
    /// # Panics
    /// If any of that is not so.
    pub fn failure(self, code: i32, needs: &[&str]) {
        assert_eq!(self.code, code, "{} ended otherwise than expected: {}", self.command, self.stderr);
        self.complaint(needs);
    }

    /// Asserts that the call failed, with a message that names everything that a person needs, and wrote nothing to stdout.
    ///
    /// # Panics
    /// If any of that is not so.
    pub fn complaint(self, needs: &[&str]) {
        assert_ne!(self.code, 0, "{} did not fail: {}", self.command, self.stderr);
        for need in needs {
            assert!(self.stderr.contains(need), "{} does not say \"{need}\": {}", self.command, self.stderr);
        }
        assert_eq!(self.stdout, "", "{} failed, but wrote to stdout", self.command);
        assert!(!self.stderr.contains("panicked"), "{} panicked: {}", self.command, self.stderr);
    }
}
