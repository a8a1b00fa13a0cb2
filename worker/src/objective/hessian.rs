//! Products of a loss's Hessian with vectors, by differences of its analytic gradient.

use tch::{Kind, Tensor};

use super::Objective;

/// Distance of the two gradients from the weights. In double precision rounding costs about 1e-16/1e-4 of the gradient,
/// curvature's own change about 1e-8.
pub(crate) const DISTANCE: f64 = 1e-4;

/// Rounding of a gradient in double precision, as a share of it: that of sums of many terms.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// The Hessians H of a full loss at E weight vectors, as far as products with them tell.
pub struct Hessian<'a> {
    objective: &'a dyn Objective,
    /// w, [E, D]
    weights: Tensor,
    /// ∇L ahead of w and behind it, [E, D]
    slopes: [Tensor; 2],
}

impl<'a> Hessian<'a> {
    /// The Hessian of each member of `objective` at `weights` `[E, D]`. It is computed in double precision.
    #[must_use]
    pub fn new(objective: &'a dyn Objective, weights: &Tensor) -> Self {
        let weights = weights.to_kind(Kind::Double);
        Self { objective, slopes: [weights.zeros_like(), weights.zeros_like()], weights }
    }

    /// H·v ≈ (∇L(w + δv) − ∇L(w − δv))/(2δ) `[E, D]`, for directions v `[E, D]` of length 1. Two gradients.
    ///
    /// What of the gradient is cubic around w, T(v, v, v), adds δ²·T(v, v, v) = 1e-8·T(v, v, v), also where H is zero.
    pub fn times(&mut self, direction: &Tensor) -> Tensor {
        self.times_at(direction, DISTANCE)
    }

    /// The same at this distance δ, on which no curvature depends.
    pub(crate) fn times_at(&mut self, direction: &Tensor, distance: f64) -> Tensor {
        let step = direction * distance;
        let [ahead, behind] = &mut self.slopes;
        let _ = self.objective.loss_and_gradient(&(&self.weights + &step), None, ahead);
        let _ = self.objective.loss_and_gradient(&(&self.weights - &step), None, behind);
        (&*ahead - &*behind) / (2.0 * distance)
    }

    /// The length that the last product, at this distance, may have by rounding alone, [E, 1].
    pub(crate) fn rounding_at(&self, distance: f64) -> Tensor {
        self.slopes[0].norm_scalaropt_dim(2.0, 1, true) * (ROUNDING / distance)
    }
}
