//! The seam between models on one side, training and sampling on the other: a mean loss with its gradient.
//!
//! Everything is stacked: E weight vectors are advanced by one tensor program, be they the tasks of an ensemble or the
//! chains of an estimate. Letters: E members, D parameters, n examples of a batch, p outputs.

mod hessian;
mod squared_error;
mod stacked;

use tch::Tensor;

pub(crate) use hessian::DISTANCE;
pub use hessian::Hessian;
pub use squared_error::SquaredError;
pub use stacked::{Padding, Stacked, Stacks};

/// A loss L(w) = mean over examples of a per-example loss in nats, for E weight vectors at once.
///
/// Implementations compute in the kind (precision) of the weights they are given and on their device, allocate no graph
/// (no autograd) and have no randomness of their own.
pub trait Objective {
    /// E, the number of members.
    fn members(&self) -> i64;

    /// D, the number of parameters of one member.
    fn dimension(&self) -> i64;

    /// Writes ∇L into `gradient` `[E, D]`, overwriting it, and returns L `[E]`, both at `weights` `[E, D]`.
    ///
    /// `batch` [E, n] holds each member's own indices into its own examples; `None` is the full set.
    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor;

    /// L `[E]` alone, as [`Objective::loss_and_gradient`] gives it. One that can leaves the backward pass out.
    fn loss(&self, weights: &Tensor, batch: Option<&Tensor>) -> Tensor {
        self.loss_and_gradient(weights, batch, &mut weights.zeros_like())
    }
}
