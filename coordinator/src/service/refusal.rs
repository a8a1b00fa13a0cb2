//! Why a call was refused. The variants are those that a caller acts on differently; `rpc/` maps each to its code.

use std::path::PathBuf;

use crate::access::Denied;
use crate::scheduler::Refused;
use crate::store::{OpenError as StoreOpenError, StoreError};

/// Why a call was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked makes no sense; the message tells a person what would.
    #[error("{0}")]
    InvalidArgument(String),
    /// There is no such sweep or worker.
    #[error("{0}")]
    NotFound(String),
    /// It makes sense, but not now, or not with this coordinator.
    #[error("{0}")]
    FailedPrecondition(String),
    /// Nobody knows who asks.
    #[error("{0}")]
    Unauthenticated(String),
    /// Who asks may not.
    #[error("{0}")]
    PermissionDenied(String),
    /// Nothing was changed, or it is not known whether it was: the same may be asked again.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read, and will not be until a person sees to it.
    #[error("{0}")]
    DataLoss(String),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::UnknownWorker(_) | Refused::UnknownSweep(_) | Refused::UnknownPoint { .. } => {
                Self::NotFound(message)
            }
            Refused::Cancelled => Self::FailedPrecondition(message),
            Refused::StepsNotRising(_) | Refused::TooManyRecords(_) => Self::InvalidArgument(message),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        if denied.is_unauthenticated() { Self::Unauthenticated(message) } else { Self::PermissionDenied(message) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Damaged { .. } | StoreError::Segment { .. } => Self::DataLoss(message),
            StoreError::Full { .. } | StoreError::Conflict(_) | StoreError::Failed { .. } => Self::Unavailable(message),
        }
    }
}

impl Refusal {
    pub(super) fn no_sweep(id: &str) -> Self {
        Self::NotFound(format!("there is no sweep {id}; `phasegrid list` shows those there are"))
    }

    pub(super) fn unreadable(id: &str, problem: &str) -> Self {
        Self::FailedPrecondition(format!("this release cannot read the stored sweep {id}: {problem}"))
    }

    /// The actor is gone, or gave up the call.
    pub(crate) fn unreachable() -> Self {
        Self::Unavailable("the coordinator is stopping, or cannot reach its data; ask again later".to_owned())
    }
}

/// Why a coordinator could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreOpenError),
    /// The folder for snapshots cannot be made.
    #[error("the folder for snapshots {} cannot be made: {source}", .path.display())]
    Snapshots {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The archive's place cannot be used.
    #[error("the archive at {place} cannot be used: {source}")]
    Archive {
        /// The place.
        place: String,
        /// What the system, or the object store, says.
        source: phasegrid_proto::objects::Unusable,
    },
    /// The system has no thread to spare.
    #[error("the thread that writes could not be started")]
    Thread(#[source] std::io::Error),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}
