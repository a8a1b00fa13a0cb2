//! Logs. They go to stderr, for people or as one JSON object a line; stdout is for data alone.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// The form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        clap::ValueEnum::from_str(text, false)
    }
}

/// Whether `filter` is one that [`start`] understands.
#[must_use]
pub fn is_filter(filter: &str) -> bool {
    EnvFilter::builder().parse(filter).is_ok()
}

/// Starts logging what passes `filter`. The first call in a process decides.
pub fn start(filter: &str, format: LogFormat) {
    // The filter was checked where it was read; one that is not understood here keeps what matters.
    let filter = EnvFilter::builder().parse(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // That nobody reads the log any more is no reason to fail.
    let logs = logs.log_internal_errors(false);
    // A second start, as from a test beside another, changes nothing.
    let _ = match format {
        LogFormat::Human => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
