//! The exit codes: the one list of them, for scripts and for the help.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// A defect of phasegrid.
    Internal = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The sweep file, an override or the configuration is not acceptable.
    Configuration = 3,
    /// No coordinator answers, or the one that does cannot do its work for now.
    Unreachable = 4,
    /// There is no such sweep or worker, or its state does not allow what was asked.
    Refused = 5,
    /// A file, a data folder or a database cannot be read or written: missing, damaged, of another version, or the disk is full.
    File = 6,
    /// The address to listen on is in use or not allowed.
    Address = 7,
    /// The sweep has ended, and some of its points failed.
    FailedPoints = 8,
    /// The worker binary is missing, or workers keep dying.
    Worker = 9,
    /// A calibration found no plateau.
    NoPlateau = 10,
    /// The coordinator wants another token, or its certificate is not accepted.
    Denied = 11,
    /// The sweep was paused before its end, mostly because too many of its points failed.
    Paused = 12,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// Every code, ascending.
    pub const ALL: [Self; 14] = [
        Self::Success,
        Self::Internal,
        Self::Usage,
        Self::Configuration,
        Self::Unreachable,
        Self::Refused,
        Self::File,
        Self::Address,
        Self::FailedPoints,
        Self::Worker,
        Self::NoPlateau,
        Self::Denied,
        Self::Paused,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the help.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "all went well",
            Self::Internal => "a defect of phasegrid",
            Self::Usage => "the command line makes no sense",
            Self::Configuration => "the sweep file, an override or the configuration is not acceptable",
            Self::Unreachable => "no coordinator answers, or it cannot do its work for now",
            Self::Refused => "no such sweep or worker, or its state does not allow it",
            Self::File => "a file, a data folder or a database cannot be read or written",
            Self::Address => "the address to listen on is in use or not allowed",
            Self::FailedPoints => "the sweep has ended, and some of its points failed",
            Self::Worker => "the worker binary is missing, or workers keep dying",
            Self::NoPlateau => "a calibration found no plateau, and wrote no sweep file",
            Self::Denied => "the coordinator wants another token, or its certificate is not accepted",
            Self::Paused => "the sweep was paused before its end",
            Self::Interrupted => "interrupted; where a command keeps state, it is kept",
        }
    }

    /// The list that every `--help` of the program ends with.
    #[must_use]
    pub fn help() -> String {
        let lines = Self::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ascending() {
        assert!(Exit::ALL.map(Exit::code).windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_help_names_every_code() {
        let help = Exit::help();
        assert!(help.contains("\n    8  the sweep has ended, and some of its points failed\n"), "{help}");
        assert_eq!(help.lines().count(), 1 + Exit::ALL.len());
    }
}
