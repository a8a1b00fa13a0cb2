//! What is measured of the loss's geometry at checkpoints, on request: it costs more than a look at the losses.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{Checkpoints, Problem};

/// The geometry of the training loss at the weights of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// The numerical rank of the Jacobian of the outputs on the training set; half of it is the linearised LLC.
    pub jacobian_rank: bool,
    /// What each sampler would find if the loss were its Gauss-Newton quadratic at the checkpoint.
    pub gauss_newton: bool,
    /// Probes of Hutchinson's estimate of the Hessian's trace; 0 leaves it out.
    pub trace_probes: u32,
    /// Where to measure; `None` is at every checkpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoints: Option<Checkpoints>,
}

impl Geometry {
    pub(super) fn check(&self, steps: u64, problems: &mut Vec<Problem>) {
        expect(problems, self.trace_probes <= 100_000, "task.geometry.trace_probes", self.trace_probes);
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.check("task.geometry.checkpoints", steps, problems);
        }
    }
}
