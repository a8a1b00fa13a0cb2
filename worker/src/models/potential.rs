//! A loss of the weights alone, as a model whose half squared outputs are that loss: one example without inputs, target 0.
//!
//! - curvatures h: f_k = √h_k·w_k, L = ½·Σ_k h_k·w_k²
//! - powers k: f = w_1^k_1·w_2^k_2, L = ½·(w_1^k_1·w_2^k_2)², a normal crossing
//!
//! Letters: E members, D weights, p outputs: p = D for curvatures, p = 1 and D = 2 for powers.

use phasegrid_proto::task::Potential as Shape;
use tch::{Device, Kind, Tensor};

use super::{Layer, Model};
use crate::data::Set;
use crate::host;

#[derive(Debug)]
pub(super) enum Potential {
    /// √h
    Curvatures(Vec<f64>),
    Powers([i32; 2]),
}

impl Potential {
    pub(super) fn new(shape: &Shape) -> Self {
        match shape {
            Shape::Curvatures(all) => Self::Curvatures(all.iter().map(|h| h.sqrt()).collect()),
            Shape::Powers(powers) => Self::Powers(powers.map(|power| power as i32)),
        }
    }
}

impl Model for Potential {
    fn dimension(&self) -> i64 {
        match self {
            Self::Curvatures(roots) => roots.len() as i64,
            Self::Powers(powers) => powers.len() as i64,
        }
    }

    fn outputs(&self) -> i64 {
        match self {
            Self::Curvatures(roots) => roots.len() as i64,
            Self::Powers(_) => 1,
        }
    }

    fn layers(&self) -> Vec<Layer> {
        vec![Layer { weights: self.dimension() as usize, inputs: 1 }]
    }

    /// w* = 0, whose outputs are the targets.
    fn teacher(&self, _seed: u64) -> Vec<f32> {
        vec![0.0; self.dimension() as usize]
    }

    /// None: there is one example, and nothing to see of it.
    fn inputs(&self, _sets: &[&Set], _kind: Kind, _device: Device) -> Vec<Tensor> {
        Vec::new()
    }

    fn forward(&self, weights: &Tensor, _inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor {
        match self {
            Self::Curvatures(roots) => {
                if saved.is_empty() {
                    saved.push(Tensor::from_slice(roots).to_device(weights.device()).to_kind(weights.kind()));
                }
                (weights * &saved[0]).unsqueeze(1) // [E, 1, D]
            }
            Self::Powers([k1, k2]) => {
                if host::applies(weights) {
                    let of = |w: &[f32; 2]| w[0].powi(*k1) * w[1].powi(*k2);
                    let outputs: Vec<f32> = host::slice(weights).as_chunks().0.iter().map(of).collect();
                    return Tensor::from_slice(&outputs).view([-1, 1, 1]);
                }
                let power = |index: i64, power: i32| weights.select(1, index).pow_tensor_scalar(i64::from(power));
                (power(0, *k1) * power(1, *k2)).view([-1, 1, 1]) // [E, 1, 1]
            }
        }
    }

    fn backward(
        &self,
        weights: &Tensor,
        _inputs: &[Tensor],
        saved: &mut Vec<Tensor>,
        cotangent: &Tensor,
        gradient: &mut Tensor,
    ) {
        match self {
            // ∂w_k = √h_k·∂f_k
            Self::Curvatures(_) => {
                let _ = cotangent.squeeze_dim(1).mul_out(gradient, &saved[0]);
            }
            // ∂w_1 = k_1·w_1^(k_1−1)·w_2^k_2·∂f, and the same of w_2
            Self::Powers([k1, k2]) => {
                if host::applies(weights) {
                    let rows = host::slice(weights).as_chunks::<2>().0.iter().zip(host::slice::<f32>(cotangent));
                    for (([w1, w2], df), slot) in rows.zip(host::slice_mut(gradient).as_chunks_mut::<2>().0) {
                        *slot = [df * slope(*w1, *k1) * w2.powi(*k2), df * w1.powi(*k1) * slope(*w2, *k2)];
                    }
                    return;
                }
                let power = |index: i64, power: i32| weights.select(1, index).pow_tensor_scalar(i64::from(power));
                let slope = |index: i64, k: i32| power(index, (k - 1).max(0)) * f64::from(k);
                let df = cotangent.flatten(0, 2);
                gradient.select(1, 0).copy_(&(slope(0, *k1) * power(1, *k2) * &df));
                gradient.select(1, 1).copy_(&(power(0, *k1) * slope(1, *k2) * &df));
            }
        }
    }
}

/// The derivative of w^k, k ≥ 0.
fn slope(w: f32, k: i32) -> f32 {
    k as f32 * w.powi((k - 1).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;
    use crate::models::{initial_weights, tests::potential_task};
    use crate::objective::{Objective, SquaredError};

    fn loss_and_gradient(shape: Shape, weights: &[f64], kind: Kind) -> (f64, Vec<f64>) {
        let task = potential_task(shape);
        let objective = SquaredError::of(&task, &Examples::of(&task), 1, kind, Device::Cpu);
        let weights = Tensor::from_slice(weights).to_kind(kind).unsqueeze(0);
        let mut gradient = weights.full_like(f64::NAN);
        let loss = objective.loss_and_gradient(&weights, None, &mut gradient).double_value(&[0]);
        (loss, Vec::try_from(gradient.to_kind(Kind::Double).squeeze_dim(0)).unwrap())
    }

    #[test]
    fn half_the_squared_outputs_are_the_loss_that_was_asked_for() {
        for kind in [Kind::Double, Kind::Float] {
            // ½·(2·9 + 0.5·16), and h·w; √h is not exact.
            let (loss, gradient) = loss_and_gradient(Shape::Curvatures(vec![2.0, 0.5]), &[3.0, -4.0], kind);
            assert!((loss - 13.0).abs() < 1e-5 && (gradient[0] - 6.0).abs() < 1e-5 && (gradient[1] + 2.0).abs() < 1e-5);
            // ½·(9·−2)² = 162; f·∂f = −18·(2·3·−2), −18·9.
            let crossing = Shape::Powers([2, 1]);
            assert_eq!(loss_and_gradient(crossing, &[3.0, -2.0], kind), (162.0, vec![216.0, -162.0]));
            // One weight without a say, wherever it is.
            assert_eq!(loss_and_gradient(Shape::Powers([0, 2]), &[0.0, 2.0], kind), (8.0, vec![0.0, 16.0]));
        }
    }

    #[test]
    fn chains_start_at_the_minimum() {
        for shape in [Shape::Curvatures(vec![1.0; 3]), Shape::Powers([1, 2])] {
            assert!(initial_weights(&potential_task(shape)).iter().all(|w| *w == 0.0));
        }
    }
}
