//! SGLD with the preconditioner of RMSProp (Li, Chen, Carlson and Carin 2016): long steps where gradients are small.
//!
//! V ← α·V + (1−α)·∇L(w)², G = 1/(√V + e), α = 0.99, e = 0.1, V = 0 at first
//!
//! w ← w − (ε/2)·G·(nβ·∇L(w) + γ(w−w*)) + √(ε·G)·N(0,I)
//!
//! As in the code of the literature, the term Γ(w) = Σ ∂G/∂w of the exact dynamics is left out: the law of the draws is
//! that of U up to how much G varies from place to place, and no more than that at any ε. G is at most 10, so that the
//! limit of stability, 4 for ε·a in plain SGLD, is at least 0.4 and, where gradients are large, more.

use tch::Tensor;

use super::{Dynamics, Factors, Place};
use crate::host::{self, widest};

/// α
const DECAY: f64 = 0.99;

/// e
const FLOOR: f64 = 0.1;

pub(super) struct Rmsprop {
    factors: Factors,
    /// V, [R, M]
    square: Tensor,
}

impl Rmsprop {
    pub(super) fn new(factors: Factors, place: &Place) -> Self {
        Self { factors, square: place.view(&place.weights).zeros_like().contiguous() }
    }
}

impl Dynamics for Rmsprop {
    fn step(&mut self, place: &mut Place, noise: &Tensor) {
        if host::applies(&place.weights) {
            let moves = place.moves();
            let noise = host::slice(noise).chunks_exact(moves);
            let square = host::slice_mut(&mut self.square).chunks_exact_mut(moves);
            let rows = place.rows().zip(noise).zip(square).zip(&self.factors.rows);
            for ((((weights, start, gradient), noise), square), factors) in rows {
                preconditioned(weights, start, gradient, noise, square, *factors);
            }
            return;
        }
        let [pull, slope, spread] = &self.factors.tensors;
        let [mut weights, start, gradient] = place.views();
        let _ = self.square.lerp_(&gradient.square(), 1.0 - DECAY);
        let scale = (self.square.sqrt() + FLOOR).reciprocal(); // G, [R, M]
        let slope = (&weights - start) * pull + gradient * slope;
        let mut step = scale.sqrt() * spread * noise;
        step -= scale * slope;
        weights += step;
    }
}

widest! {
    /// One row's step in one pass, its parts added up before the weight takes them.
    fn preconditioned(
        weights: &mut [f32],
        start: &[f32],
        gradient: &[f32],
        noise: &[f32],
        square: &mut [f32],
        factors: [f32; 3],
    ) {
        let [pull, slope, spread] = factors;
        let (decay, floor) = (DECAY as f32, FLOOR as f32);
        let rows = weights.iter_mut().zip(start).zip(gradient).zip(noise).zip(square);
        for ((((w, start), gradient), noise), square) in rows {
            *square = decay * *square + (1.0 - decay) * gradient * gradient;
            let scale = 1.0 / (square.sqrt() + floor);
            let localisation = pull * (*w - start);
            let drift = slope * gradient;
            let noise = spread * noise;
            *w += scale.sqrt() * noise - scale * (drift + localisation);
        }
    }
}
