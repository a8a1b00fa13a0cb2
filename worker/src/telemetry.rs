//! Where the log goes: stderr, for a person by default, as JSON on request.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Starts logging for the process. A second call changes nothing.
pub fn init(settings: &Settings) {
    // The filter was parsed when the settings were checked.
    let filter = EnvFilter::new(&settings.log);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // That nobody reads the log any more is no reason to fail.
    let log = log.log_internal_errors(false);
    let started = match settings.log_format {
        LogFormat::Human => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
}
