//! The greatest curvature of a loss, which decides which step sizes are stable.

use tch::Tensor;

use crate::objective::{Hessian, Objective};
use crate::random::Normals;

/// Below this the loss is flat, as far as finite differences can tell.
const FLAT: f64 = 1e-10;

/// The largest eigenvalue, in absolute value, of the Hessian of the full loss at `weights` `[D]`, by power iteration in
/// double precision. `objective` has one member.
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
        let mut hessian = Hessian::new(objective, weights);
        let mut direction = vec![0.0; objective.dimension() as usize];
        normals.fill_f64(&mut direction);
        let mut direction = Tensor::from_slice(&direction).to_device(weights.device()).unsqueeze(0);
        direction /= direction.norm();
        let mut curvature = 0.0;
        for _ in 0..iterations {
            if stopped() {
                return None;
            }
            let product = hessian.times(&direction);
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
