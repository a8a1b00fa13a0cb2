//! The quadratic network in host memory: look-ups, products and gradients block by block, so that what is needed of a block
//! of examples stays in the cache. Nothing is kept of the way forward: looking up again is cheaper than memory.
//!
//! With rows U′[a], U″[b] of an example and cotangent c (∂L/∂f, p numbers):
//! z = U′[a] + U″[b]; f = V·z²; ∂V += c·(z²)ᵀ; ∂U′[a] += 2z·(Vᵀc) and ∂U″[b] the same.

use super::Quadratic;
use crate::host::{Matrix, multiply, widest};
use crate::models::pairs::Pairs;

/// Numbers in one buffer of a block: half a MiB.
const BLOCK: usize = 1 << 17;

impl Quadratic {
    fn block_rows(&self) -> usize {
        (BLOCK / self.layout.width as usize).clamp(8, 256)
    }

    /// The number of values that `scratch` must have room for.
    pub(super) fn scratch(&self) -> usize {
        2 * self.block_rows() * self.layout.width as usize
    }

    /// Fills `outputs` [E, n, p] at `weights` [E, D].
    pub(super) fn fused_forward(&self, weights: &[f32], pairs: Pairs, scratch: &mut [f32], outputs: &mut [f32]) {
        let (p, width, rows) = (self.layout.p as usize, self.layout.width as usize, self.block_rows());
        let members = pairs.first.chunks(pairs.examples).zip(pairs.second.chunks(pairs.examples));
        for ((e, (first, second)), outputs) in members.enumerate().zip(outputs.chunks_mut(pairs.examples * p)) {
            let vt = &weights[(3 * e + 2) * p * width..][..p * width];
            for ((first, second), outputs) in
                first.chunks(rows).zip(second.chunks(rows)).zip(outputs.chunks_mut(rows * p))
            {
                let h = &mut scratch[..first.len() * width];
                squares(width, weights, first, second, h);
                multiply(outputs, false, Matrix::new(h, width), Matrix::new(vt, p));
            }
        }
    }

    /// Overwrites `gradient` [E, D] with that of Σ cotangent·outputs.
    pub(super) fn fused_backward(
        &self,
        weights: &[f32],
        pairs: Pairs,
        scratch: &mut [f32],
        cotangent: &[f32],
        gradient: &mut [f32],
    ) {
        let (p, width, rows) = (self.layout.p as usize, self.layout.width as usize, self.block_rows());
        let (h, dh) = scratch.split_at_mut(scratch.len() / 2);
        gradient.fill(0.0);
        let members = pairs.first.chunks(pairs.examples).zip(pairs.second.chunks(pairs.examples));
        for ((e, (first, second)), cotangent) in members.enumerate().zip(cotangent.chunks(pairs.examples * p)) {
            let start = (3 * e + 2) * p * width;
            let vt = start..start + p * width;
            for ((first, second), cotangent) in
                first.chunks(rows).zip(second.chunks(rows)).zip(cotangent.chunks(rows * p))
            {
                let (h, dh) = (&mut h[..first.len() * width], &mut dh[..first.len() * width]);
                let cotangent = Matrix::new(cotangent, p);
                squares(width, weights, first, second, h);
                multiply(&mut gradient[vt.clone()], true, Matrix::new(h, width).transposed(), cotangent);
                multiply(dh, false, cotangent, Matrix::new(&weights[vt.clone()], p).transposed());
                scatter(width, weights, first, second, dh, gradient);
            }
        }
    }
}

widest! {
    /// h = (U′[a] + U″[b])², example by example.
    fn squares(width: usize, weights: &[f32], first: &[i64], second: &[i64], h: &mut [f32]) {
        for ((a, b), h) in first.iter().zip(second).zip(h.chunks_exact_mut(width)) {
            let a = &weights[*a as usize * width..][..width];
            let b = &weights[*b as usize * width..][..width];
            for ((h, a), b) in h.iter_mut().zip(a).zip(b) {
                *h = (a + b) * (a + b);
            }
        }
    }
}

widest! {
    /// ∂U′[a] and ∂U″[b] += 2(U′[a] + U″[b])·∂h, example by example.
    fn scatter(width: usize, weights: &[f32], first: &[i64], second: &[i64], dh: &[f32], gradient: &mut [f32]) {
        for ((a, b), dh) in first.iter().zip(second).zip(dh.chunks_exact(width)) {
            let (a, b) = (*a as usize * width, *b as usize * width);
            let (u, v) = (&weights[a..][..width], &weights[b..][..width]);
            // All of U′ lies before U″.
            let (before, from_b) = gradient.split_at_mut(b);
            let (du, dv) = (&mut before[a..][..width], &mut from_b[..width]);
            for ((((u, v), dh), du), dv) in u.iter().zip(v).zip(dh).zip(du).zip(dv) {
                let dz = 2.0 * (u + v) * dh;
                *du += dz;
                *dv += dz;
            }
        }
    }
}
