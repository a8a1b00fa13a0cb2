//! The MLP in host memory: look-ups, products and gradients block by block, so that what is needed of a block of examples
//! stays in the cache. Nothing is kept of the way forward. Members are taken one by one, and none depends on another.
//!
//! With rows U′[a], U″[b] of an example and cotangent c (∂L/∂f, p numbers):
//! z = U′[a] + U″[b]; f = V·φ(z); ∂V += c·φ(z)ᵀ; ∂U′[a] += φ′(z)·(Vᵀc) and ∂U″[b] the same.

use tch::{Device, Kind, Tensor};

use super::Mlp;
use super::activation::activate;
use crate::host::{self, Matrix, multiply, widest};
use crate::models::pairs::Pairs;

/// Numbers in one buffer of a block: half a MiB.
const BLOCK: usize = 1 << 17;

/// A block's activations, their slopes and the gradient with respect to them.
const BUFFERS: usize = 3;

impl Mlp {
    /// Room for a block's intermediate values, kept from call to call.
    pub(super) fn scratch<'a>(&self, saved: &'a mut Vec<Tensor>) -> &'a mut [f32] {
        if saved.is_empty() {
            let numbers = BUFFERS * self.block_rows() * self.layout.width as usize;
            saved.push(Tensor::zeros(numbers as i64, (Kind::Float, Device::Cpu)));
        }
        host::slice_mut(&mut saved[0])
    }

    fn block_rows(&self) -> usize {
        (BLOCK / self.layout.width as usize).clamp(8, 256)
    }

    /// Fills one member's `outputs` [n, p] at its `weights` [D].
    pub(super) fn forward_blocks(&self, weights: &[f32], pairs: Pairs, scratch: &mut [f32], outputs: &mut [f32]) {
        let (p, width, rows) = (self.layout.p as usize, self.layout.width as usize, self.block_rows());
        let vt = &weights[2 * p * width..];
        for (pairs, outputs) in pairs.chunks(rows).zip(outputs.chunks_mut(rows * p)) {
            let [h, slope, _] = buffers(scratch, pairs.len() * width);
            look_up(width, weights, pairs, h);
            activate(self.activation, h, slope);
            multiply(outputs, false, Matrix::new(h, width), Matrix::new(vt, p));
        }
    }

    /// Overwrites one member's `gradient` [D] with that of Σ cotangent·outputs.
    pub(super) fn backward_blocks(
        &self,
        weights: &[f32],
        pairs: Pairs,
        scratch: &mut [f32],
        cotangent: &[f32],
        gradient: &mut [f32],
    ) {
        let (p, width, rows) = (self.layout.p as usize, self.layout.width as usize, self.block_rows());
        let vt = Matrix::new(&weights[2 * p * width..], p);
        gradient.fill(0.0);
        let (of_rows, of_vt) = gradient.split_at_mut(2 * p * width);
        for (pairs, cotangent) in pairs.chunks(rows).zip(cotangent.chunks(rows * p)) {
            let [h, slope, dh] = buffers(scratch, pairs.len() * width);
            look_up(width, weights, pairs, h);
            activate(self.activation, h, slope);
            let cotangent = Matrix::new(cotangent, p);
            multiply(of_vt, true, Matrix::new(h, width).transposed(), cotangent);
            multiply(dh, false, cotangent, vt.transposed());
            scatter(width, pairs, slope, dh, of_rows);
        }
    }
}

/// The buffers of a block of so many numbers each.
fn buffers(scratch: &mut [f32], size: usize) -> [&mut [f32]; BUFFERS] {
    let mut all = scratch.chunks_exact_mut(size);
    [(); BUFFERS].map(|()| all.next().unwrap_or_default())
}

widest! {
    /// z = U′[a] + U″[b], example by example.
    fn look_up(width: usize, weights: &[f32], pairs: Pairs, z: &mut [f32]) {
        for ([a, b], z) in pairs.rows().zip(z.chunks_exact_mut(width)) {
            let (u, v) = (&weights[a * width..][..width], &weights[b * width..][..width]);
            for ((z, u), v) in z.iter_mut().zip(u).zip(v) {
                *z = u + v;
            }
        }
    }
}

widest! {
    /// ∂U′[a] and ∂U″[b] += φ′(z)·∂h, example by example.
    fn scatter(width: usize, pairs: Pairs, slope: &[f32], dh: &[f32], gradient: &mut [f32]) {
        let examples = slope.chunks_exact(width).zip(dh.chunks_exact(width));
        for ([a, b], (slope, dh)) in pairs.rows().zip(examples) {
            // All of U′ lies before U″.
            let (before, from_b) = gradient.split_at_mut(b * width);
            let (du, dv) = (&mut before[a * width..][..width], &mut from_b[..width]);
            for (((slope, dh), du), dv) in slope.iter().zip(dh).zip(du).zip(dv) {
                let dz = slope * dh;
                *du += dz;
                *dv += dz;
            }
        }
    }
}
