//! The greatest curvature of a loss, which decides which step sizes are stable.

use tch::{Kind, Tensor};

use crate::objective::Objective;
use crate::random::Normals;

/// Distance of the two gradients whose difference is a Hessian-vector product. In double precision rounding costs about
/// 1e-16/1e-4 of the gradient, curvature's own change about 1e-8.
const DISTANCE: f64 = 1e-4;

/// Below this the loss is flat, as far as finite differences can tell.
const FLAT: f64 = 1e-10;

/// The largest eigenvalue, in absolute value, of the Hessian of the full loss at `weights` `[D]`: power iteration, with
/// Hessian-vector products H·v ≈ (∇L(w + δv) − ∇L(w − δv))/(2δ) in double precision. `objective` has one member.
///
/// Ends when an iteration changes the value by less than a thousandth, or after `iterations` of them, each two
/// gradients; the value found is then a lower bound. `None` where the loss is flat, or if `stopped` said so on the way. The
/// same `normals` give the same value.
#[must_use]
pub fn greatest_curvature(
    objective: &dyn Objective,
    weights: &Tensor,
    normals: &mut Normals,
    iterations: usize,
    stopped: &dyn Fn() -> bool,
) -> Option<f64> {
    tch::no_grad(|| {
        let weights = weights.to_kind(Kind::Double).unsqueeze(0); // [1, D]
        let mut direction = vec![0.0; objective.dimension() as usize];
        normals.fill_f64(&mut direction);
        let mut direction = Tensor::from_slice(&direction).to_device(weights.device()).unsqueeze(0);
        direction /= direction.norm();
        let (mut ahead, mut behind) = (weights.zeros_like(), weights.zeros_like());
        let mut curvature = 0.0;
        for _ in 0..iterations {
            if stopped() {
                return None;
            }
            let step = &direction * DISTANCE;
            let _ = objective.loss_and_gradient(&(&weights + &step), None, &mut ahead);
            let _ = objective.loss_and_gradient(&(&weights - &step), None, &mut behind);
            let product = (&ahead - &behind) / (2.0 * DISTANCE); // H·v
            let norm = product.norm().double_value(&[]);
            if !norm.is_finite() || norm < FLAT {
                return None;
            }
            let settled = (norm / curvature - 1.0).abs() < 1e-3;
            curvature = norm;
            if settled {
                break;
            }
            direction = product / norm;
        }
        (curvature > 0.0).then_some(curvature)
    })
}
