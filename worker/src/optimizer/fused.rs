//! A member's step in host memory, in one loop and in single precision.

use super::{EPSILON, Member, power};
use crate::host::widest;

/// Adam's constants at one step, in single precision.
pub(super) struct AdamConstants {
    /// δ if coupled, else 0.
    coupled_decay: f32,
    /// 1 − ηδ if decoupled, else 1.
    shrink: f32,
    /// β₁, 1−β₁, β₂, 1−β₂
    betas: [f32; 4],
    /// η/(1−β₁ᵗ)
    rate: f32,
    /// 1/√(1−β₂ᵗ)
    correction: f32,
}

impl AdamConstants {
    pub(super) fn new([beta1, beta2]: [f64; 2], coupled: bool, Member { rate, decay, steps }: Member) -> Self {
        Self {
            coupled_decay: if coupled { decay as f32 } else { 0.0 },
            shrink: if coupled { 1.0 } else { (1.0 - rate * decay) as f32 },
            betas: [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(|beta| beta as f32),
            rate: (rate / (1.0 - power(beta1, steps))) as f32,
            correction: (1.0 - power(beta2, steps)).sqrt().recip() as f32,
        }
    }
}

widest! {
    pub(super) fn adam(constants: &AdamConstants, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let &AdamConstants { coupled_decay, shrink, betas: [keep1, take1, keep2, take2], rate, correction } = constants;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + coupled_decay * *w;
            *m = keep1 * *m + take1 * g;
            *v = keep2 * *v + take2 * (g * g);
            *w = shrink * *w - rate * (*m / (v.sqrt() * correction + EPSILON as f32));
        }
    }
}

widest! {
    pub(super) fn sgd(constants: [f32; 3], w: &mut [f32], g: &[f32], m: &mut [f32]) {
        let [rate, decay, momentum] = constants;
        for ((w, g), m) in w.iter_mut().zip(g).zip(m) {
            *m = momentum * *m + (g + decay * *w);
            *w -= rate * *m;
        }
    }
}
