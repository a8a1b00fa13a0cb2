//! The MLP in host memory: look-ups, products and gradients block by block, so that what is needed of a block of examples
//! stays in the cache. Nothing is kept of the way forward. A member's numbers do not depend on those beside it.
//!
//! With rows U′[a], U″[b] of an example and cotangent c (∂L/∂f, p numbers):
//! z = U′[a] + U″[b]; f = V·φ(z); ∂V += c·φ(z)ᵀ; ∂U′[a] += φ′(z)·(Vᵀc) and ∂U″[b] the same.

use std::ops::Range;

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

    /// Fills `outputs` [E, n, p] at `weights` [E, D].
    pub(super) fn forward_blocks(&self, weights: &[f32], pairs: Pairs, scratch: &mut [f32], outputs: &mut [f32]) {
        let p = self.layout.p as usize;
        let (h, slope, _) = thirds(scratch);
        for block in self.blocks(pairs) {
            let (h, slope) = (&mut h[..block.size()], &mut slope[..block.size()]);
            look_up(block.width, weights, block.first, block.second, h);
            activate(self.activation, h, slope);
            let vt = Matrix::new(&weights[block.vt], p);
            multiply(&mut outputs[block.outputs], false, Matrix::new(h, block.width), vt);
        }
    }

    /// Overwrites `gradient` [E, D] with that of Σ cotangent·outputs.
    pub(super) fn backward_blocks(
        &self,
        weights: &[f32],
        pairs: Pairs,
        scratch: &mut [f32],
        cotangent: &[f32],
        gradient: &mut [f32],
    ) {
        let p = self.layout.p as usize;
        let (h, slope, dh) = thirds(scratch);
        gradient.fill(0.0);
        for block in self.blocks(pairs) {
            let (h, slope, dh) = (&mut h[..block.size()], &mut slope[..block.size()], &mut dh[..block.size()]);
            look_up(block.width, weights, block.first, block.second, h);
            activate(self.activation, h, slope);
            let cotangent = Matrix::new(&cotangent[block.outputs], p);
            multiply(&mut gradient[block.vt.clone()], true, Matrix::new(h, block.width).transposed(), cotangent);
            multiply(dh, false, cotangent, Matrix::new(&weights[block.vt], p).transposed());
            scatter(block.width, block.first, block.second, slope, dh, gradient);
        }
    }

    /// The blocks of all members, one after the other.
    fn blocks<'a>(&self, pairs: Pairs<'a>) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let (p, width, rows) = (self.layout.p as usize, self.layout.width as usize, self.block_rows());
        let members = pairs.first.chunks(pairs.examples).zip(pairs.second.chunks(pairs.examples)).enumerate();
        members.flat_map(move |(e, (first, second))| {
            let vt = (3 * e + 2) * p * width..(3 * e + 3) * p * width;
            first.chunks(rows).zip(second.chunks(rows)).enumerate().map(move |(i, (first, second))| {
                let start = (e * pairs.examples + i * rows) * p;
                Block { width, first, second, vt: vt.clone(), outputs: start..start + first.len() * p }
            })
        })
    }
}

/// Some examples of one member.
struct Block<'a> {
    /// K.
    width: usize,
    /// The numbers of their rows.
    first: &'a [i64],
    second: &'a [i64],
    /// Where the member's Vᵀ lies in the weights of all.
    vt: Range<usize>,
    /// Where their outputs lie in those of all.
    outputs: Range<usize>,
}

impl Block<'_> {
    /// Numbers in one buffer.
    fn size(&self) -> usize {
        self.first.len() * self.width
    }
}

fn thirds(scratch: &mut [f32]) -> (&mut [f32], &mut [f32], &mut [f32]) {
    let third = scratch.len() / BUFFERS;
    let (first, rest) = scratch.split_at_mut(third);
    let (second, third) = rest.split_at_mut(third);
    (first, second, third)
}

widest! {
    /// z = U′[a] + U″[b], example by example.
    fn look_up(width: usize, weights: &[f32], first: &[i64], second: &[i64], z: &mut [f32]) {
        for ((a, b), z) in first.iter().zip(second).zip(z.chunks_exact_mut(width)) {
            let a = &weights[*a as usize * width..][..width];
            let b = &weights[*b as usize * width..][..width];
            for ((z, a), b) in z.iter_mut().zip(a).zip(b) {
                *z = a + b;
            }
        }
    }
}

widest! {
    /// ∂U′[a] and ∂U″[b] += φ′(z)·∂h, example by example.
    fn scatter(width: usize, first: &[i64], second: &[i64], slope: &[f32], dh: &[f32], gradient: &mut [f32]) {
        let examples = slope.chunks_exact(width).zip(dh.chunks_exact(width));
        for ((a, b), (slope, dh)) in first.iter().zip(second).zip(examples) {
            // All of U′ lies before U″.
            let (before, from_b) = gradient.split_at_mut(*b as usize * width);
            let (du, dv) = (&mut before[*a as usize * width..][..width], &mut from_b[..width]);
            for (((slope, dh), du), dv) in slope.iter().zip(dh).zip(du).zip(dv) {
                let dz = slope * dh;
                *du += dz;
                *dv += dz;
            }
        }
    }
}
