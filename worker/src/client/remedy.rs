//! What a gRPC code means to a worker: the codes of `workers.proto`, and what a broken connection looks like.

use tonic::{Code, Status};

/// What helps after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Waiting: the coordinator is away.
    Wait,
    /// Registering again: the coordinator was restarted.
    Register,
    /// The call is refused.
    Nothing,
}

impl Remedy {
    pub(super) fn of(status: &Status) -> Self {
        match status.code() {
            Code::NotFound => Self::Register,
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::OutOfRange
            // A message beyond a limit stays beyond it.
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::PermissionDenied
            | Code::Unauthenticated => Self::Nothing,
            // A broken connection shows as Unknown, Internal or Cancelled, depending on where it broke.
            _ => Self::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_waited_for_and_refusals_are_not() {
        for code in [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal, Code::DeadlineExceeded] {
            assert_eq!(Remedy::of(&Status::new(code, "")), Remedy::Wait, "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::FailedPrecondition, Code::ResourceExhausted, Code::OutOfRange] {
            assert_eq!(Remedy::of(&Status::new(code, "")), Remedy::Nothing, "{code:?}");
        }
        assert_eq!(Remedy::of(&Status::not_found("")), Remedy::Register);
    }
}
