//! Why a command did not succeed: one sentence for the person, that says what to do next, and the exit code.

use std::io;
use std::path::{Path, PathBuf};

use phasegrid_proto::connection::ConnectionError;

use crate::config::ConfigError;
use crate::rpc::server::ServerError;
use crate::service::OpenError;
use crate::store::postgres::EncryptionError;
use crate::store::sqlite::BackupError;

use super::exit::Exit;

/// Every way in which a command fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{file} cannot run as it is:\n{}", indented(.problems))]
    Sweep { file: String, problems: String },
    #[error("the configuration is not acceptable:\n{}", indented(&.0.to_string()))]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Usage(String),
    #[error(
        "no coordinator answers at {url}: {reason}; start one with `phasegrid serve` or name it with --coordinator"
    )]
    Unreachable { url: String, reason: String },
    #[error("the coordinator at {url} cannot do that now: {reason}; try again when that is over")]
    Unavailable { url: String, reason: String },
    #[error("{0}")]
    Connection(#[from] ConnectionError),
    #[error("the coordinator at {url} cannot be trusted: {reason}")]
    Untrusted { url: String, reason: String },
    #[error("the coordinator at {url} does not let you: {reason}")]
    Denied { url: String, reason: String },
    #[error("{0}")]
    Refused(String),
    #[error("cannot {what} {}: {source}", .path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Encryption(#[from] EncryptionError),
    #[error("{0}")]
    Server(#[from] ServerError),
    #[error("{failed} of {size} {unit}s failed; {next}")]
    FailedPoints { failed: u64, size: u64, unit: &'static str, next: String },
    #[error("{0}")]
    Worker(String),
    #[error("no plateau; {0}")]
    NoPlateau(String),
    #[error("{0}")]
    Paused(String),
    #[error("interrupted; {0}")]
    Interrupted(String),
    #[error("{0:#}; this is a defect of phasegrid")]
    Internal(#[from] anyhow::Error),
}

impl Failure {
    /// The code with which the program ends.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Sweep { .. } | Self::Config(_) => Exit::Configuration,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::Unavailable { .. } => Exit::Unreachable,
            Self::Connection(ConnectionError::File { .. }) => Exit::File,
            Self::Connection(_) => Exit::Usage,
            Self::Encryption(EncryptionError::Ca { .. }) => Exit::File,
            Self::Encryption(_) => Exit::Configuration,
            Self::Denied { .. } | Self::Untrusted { .. } => Exit::Denied,
            Self::Refused(_) => Exit::Refused,
            Self::File { .. } | Self::Open(_) | Self::Backup(_) => Exit::File,
            Self::Server(ServerError::Transport(_)) | Self::Internal(_) => Exit::Internal,
            Self::Server(ServerError::Tls(_)) => Exit::File,
            Self::Server(ServerError::Certificate { .. }) => Exit::Configuration,
            Self::Server(ServerError::Descriptors(_)) => Exit::Internal,
            Self::Server(_) => Exit::Address,
            Self::FailedPoints { .. } => Exit::FailedPoints,
            Self::Worker(_) => Exit::Worker,
            Self::NoPlateau(_) => Exit::NoPlateau,
            Self::Paused(_) => Exit::Paused,
            Self::Interrupted(_) => Exit::Interrupted,
        }
    }

    /// A file that cannot be read, written, …
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { what, path: path.to_owned(), source }
    }
}

fn indented(lines: &str) -> String {
    let lines: Vec<_> = lines.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
