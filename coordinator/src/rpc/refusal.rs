//! The one map from what the coordinator refuses to the codes of gRPC.

use tonic::Status;

use crate::service::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidArgument(message) => Self::invalid_argument(message),
            Refusal::NotFound(message) => Self::not_found(message),
            Refusal::FailedPrecondition(message) => Self::failed_precondition(message),
            Refusal::Unauthenticated(message) => Self::unauthenticated(message),
            Refusal::PermissionDenied(message) => Self::permission_denied(message),
            Refusal::Unavailable(message) => Self::unavailable(message),
            Refusal::DataLoss(message) => Self::data_loss(message),
        }
    }
}
