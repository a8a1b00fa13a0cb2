//! Stochastic gradient Langevin dynamics (SGLD; Welling and Teh 2011):
//!
//! w ← w − (ε/2)·nβ·∇L(w) − (ε/2)·γ·(w−w*) + √ε·N(0,I)

use tch::Tensor;

use super::{Dynamics, Factors, Place};
use crate::host::{self, widest};

pub(super) struct Langevin {
    factors: Factors,
}

impl Langevin {
    pub(super) fn new(factors: Factors) -> Self {
        Self { factors }
    }
}

impl Dynamics for Langevin {
    fn step(&mut self, place: &mut Place, noise: &Tensor) {
        if host::applies(&place.weights) {
            let noise = host::slice(noise).chunks_exact(place.moves());
            for (((weights, start, gradient), noise), factors) in place.rows().zip(noise).zip(&self.factors.rows) {
                langevin(weights, start, gradient, noise, *factors);
            }
            return;
        }
        let [pull, slope, spread] = &self.factors.tensors;
        let [mut weights, start, gradient] = place.views();
        let mut step = (&start - &weights) * pull;
        let _ = step.addcmul_(&gradient, &-slope);
        let _ = step.addcmul_(noise, spread);
        weights += step;
    }
}

widest! {
    /// One row's step in one pass. Its parts are added up before the weight takes them: added to the weight one by one, what is
    /// less than half of the weight's last digit would be lost at every step, however many there are.
    fn langevin(weights: &mut [f32], start: &[f32], gradient: &[f32], noise: &[f32], factors: [f32; 3]) {
        let [pull, slope, spread] = factors;
        for (((w, start), gradient), noise) in weights.iter_mut().zip(start).zip(gradient).zip(noise) {
            let localisation = pull * (*w - start);
            let drift = slope * gradient;
            let noise = spread * noise;
            *w += noise - drift - localisation;
        }
    }
}
