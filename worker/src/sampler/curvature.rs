//! The greatest curvature of a loss, which decides which step sizes are stable.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::ledger::values;
use crate::objective::{Hessian, Objective};
use crate::random::Normals;

/// Below this the loss is flat, as far as finite differences can tell.
const FLAT: f64 = 1e-10;

/// What is asked for, and how much may be spent on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PowerIteration {
    /// The weights whose block of the Hessian is meant; `None` is all.
    pub(crate) moving: Option<Range<usize>>,
    /// Iterations at most, each two gradients; a value that has not settled by then is a lower bound.
    pub(crate) iterations: usize,
}

/// For each of R networks the eigenvalue of the Hessian of its full loss at `weights` [R, D] that is largest in absolute
/// value, by power iteration in double precision.
///
/// A network's iteration ends when it changes the value by less than a thousandth. `None` where the loss is flat, and
/// everywhere if `stopped` said so on the way. The same `normals` give a network the same value, to rounding, whichever
/// networks are beside it.
pub(crate) fn greatest_curvatures(
    objective: &dyn Objective,
    weights: &Tensor,
    normals: &mut [Normals],
    asked: &PowerIteration,
    stopped: &dyn Fn() -> bool,
) -> Vec<Option<f64>> {
    let dimension = objective.dimension();
    let moving = asked.moving.clone().unwrap_or(0..dimension as usize);
    let (from, moves) = (moving.start as i64, moving.len() as i64);
    let norms = |vectors: &Tensor| vectors.norm_scalaropt_dim(2.0, 1, true); // [R, 1]

    let mut direction = weights.zeros_like(); // v, nil where weights do not move
    direction.narrow(1, from, moves).copy_(&drawn(normals, moves));
    direction /= norms(&direction);
    let mut hessian = Hessian::new(objective, weights);
    let mut networks = vec![Network::Unsettled(0.0); normals.len()];
    for _ in 0..asked.iterations {
        if stopped() {
            return vec![None; networks.len()];
        }
        let product = hessian.times(&direction).narrow(1, from, moves); // H·v, [R, M]
        let norm = norms(&product);
        networks.iter_mut().zip(values(&norm)).for_each(|(network, norm)| network.learn(norm));
        if networks.iter().all(|network| !matches!(network, Network::Unsettled(_))) {
            break;
        }
        // A flat network has no direction; the bound keeps it from becoming NaN.
        direction.narrow(1, from, moves).copy_(&(product / norm.clamp_min(FLAT)));
    }
    networks.into_iter().map(Network::curvature).collect()
}

/// How far the iteration of one network has come.
#[derive(Clone, Copy, Debug)]
enum Network {
    Unsettled(f64),
    Settled(f64),
    Flat,
}

impl Network {
    /// Takes note of ‖H·v‖.
    fn learn(&mut self, norm: f64) {
        let Self::Unsettled(curvature) = *self else { return };
        *self = match norm {
            norm if !norm.is_finite() || norm < FLAT => Self::Flat,
            norm if (norm / curvature - 1.0).abs() < 1e-3 => Self::Settled(norm),
            norm => Self::Unsettled(norm),
        };
    }

    fn curvature(self) -> Option<f64> {
        match self {
            Self::Unsettled(curvature) | Self::Settled(curvature) if curvature > 0.0 => Some(curvature),
            _ => None,
        }
    }
}

/// A random vector for each network, [R, M].
fn drawn(normals: &mut [Normals], moves: i64) -> Tensor {
    let mut drawn = vec![0.0; normals.len() * moves as usize];
    for (row, normals) in drawn.chunks_exact_mut(moves as usize).zip(normals.iter_mut()) {
        normals.fill_f64(row);
    }
    Tensor::from_slice(&drawn).view([-1, moves]).to_kind(Kind::Double)
}
