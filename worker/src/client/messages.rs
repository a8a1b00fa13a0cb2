//! What is said between worker and coordinator, in the worker's own types.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use phasegrid_proto::task::{Problem, TaskConfig};
use phasegrid_proto::v1;
use tonic::Status;

/// A lease's name, opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

impl Token {
    /// The token that the coordinator sent.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A range of points that this worker may compute.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Names the lease.
    pub token: Token,
    /// For logs.
    pub sweep: String,
    /// The points in the order in which they are to be started, each with its task or what is wrong with it.
    pub tasks: Vec<(u64, Result<TaskConfig, String>)>,
}

/// What the coordinator would have this worker do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Leases that are no longer held.
    pub dropped: Vec<Token>,
    /// Take no further leases, finish what is held and leave.
    pub drain: bool,
    /// Leases of which others could start points at once, with how many.
    pub cede: Vec<(Token, u64)>,
}

/// A point of a lost lease that this worker has gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The point.
    pub point: u64,
    /// Records of it that were acknowledged.
    pub acknowledged: u64,
    /// It was computed to its end.
    pub computed: bool,
}

/// The lease in the place of one that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// The coordinator's name for it.
    pub known_as: Token,
    /// The points that it covers. Those of the lost one besides are lost.
    pub points: HashSet<u64>,
}

/// The running points of a lease and how much of each is done, in 0..=1.
pub type Running = (Token, Vec<(u64, f64)>);

/// What became of a message that was sent under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is durable.
    Accepted,
    /// The lease has ended: nothing was changed.
    Stale,
}

/// Reads a verdict off the wire.
pub(crate) fn verdict(verdict: v1::Verdict) -> Result<Verdict, Status> {
    match verdict {
        v1::Verdict::Accepted => Ok(Verdict::Accepted),
        v1::Verdict::Stale => Ok(Verdict::Stale),
        v1::Verdict::Unspecified => Err(Status::invalid_argument("an answer came without a verdict")),
    }
}

pub(super) fn leased(lease: v1::LeasedRange) -> Leased {
    let task = |task: v1::Task| {
        let config = TaskConfig::from_json(&task.config)
            .map_err(|problems| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "));
        (task.point, config)
    };
    Leased {
        token: Token::new(&lease.token),
        sweep: lease.sweep_id,
        tasks: lease.tasks.into_iter().map(task).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_makes_no_sense_arrives_as_what_is_wrong_with_it() {
        let task = v1::Task { point: 7, attempt: 1, config: "{}".into() };
        let lease = leased(v1::LeasedRange { token: "t".into(), sweep_id: "s".into(), tasks: vec![task] });
        let (point, config) = &lease.tasks[0];
        assert_eq!(*point, 7);
        assert!(config.as_ref().unwrap_err().starts_with("task: "), "{config:?}");
    }

    #[test]
    fn a_verdict_must_be_one() {
        assert_eq!(verdict(v1::Verdict::Stale).unwrap(), Verdict::Stale);
        assert!(verdict(v1::Verdict::Unspecified).is_err());
    }
}
