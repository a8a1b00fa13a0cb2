//! The gradient of Σ c·f in host memory, for cotangents c (∂L/∂f, p numbers an example): a panel of neurons at a time, whose
//! weights and gradients stay in the cache while all examples pass by.
//!
//! With z = U′[a] + U″[b]: ∂V += c·(z²)ᵀ; ∂U′[a] += 2z·(Vᵀc) and ∂U″[b] the same. Nothing is kept of the way forward: looking up
//! again is cheaper than memory.

use pulp::{Simd, WithSimd};

use super::forward::LONGEST_VECTOR;
use super::tile::{self, MOST_ROWS, OfSize};
use crate::models::pairs::Pairs;

/// Neurons of a panel.
const PANEL: usize = 32;

/// Examples whose squares are kept: whole tiles, and with a panel's other numbers within the cache.
const BLOCK: usize = 21 * MOST_ROWS;

/// One member's way back.
pub(super) struct Backward<'a> {
    pub(super) p: usize,
    /// K
    pub(super) width: usize,
    /// U′, U″ and Vᵀ.
    pub(super) weights: &'a [f32],
    pub(super) pairs: Pairs<'a>,
    /// c, [n, p]
    pub(super) cotangent: &'a [f32],
    /// [`scratch`] numbers.
    pub(super) scratch: &'a mut [f32],
    /// Overwritten, as the weights.
    pub(super) gradient: &'a mut [f32],
}

/// The room that [`Backward`] needs: a panel's weights, their gradient and squares.
pub(super) fn scratch(p: usize) -> usize {
    (6 * p + BLOCK) * PANEL
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { p, width, weights, pairs, cotangent, scratch, gradient } = self;
        for (start, neurons) in tile::pieces(width, PANEL) {
            let vectors = neurons.div_ceil(S::F32_LANES);
            let mut panel = Panel::<S>::load(Place { p, width, start, neurons }, weights, scratch);
            for (pairs, cotangent) in pairs.chunks(BLOCK).zip(cotangent.chunks(BLOCK * p)) {
                panel.squares(simd, pairs);
                for (at, count) in tile::pieces(vectors, tile::most_vectors::<S>()) {
                    for (class, classes) in tile::pieces(p, MOST_ROWS) {
                        tile::sized(simd, classes, count, Outer { panel: &mut panel, cotangent, class, at });
                    }
                    for (pairs, cotangent) in pairs.chunks(MOST_ROWS).zip(cotangent.chunks(MOST_ROWS * p)) {
                        tile::sized(simd, pairs.len(), count, Inner { panel: &mut panel, cotangent, pairs, at });
                    }
                }
            }
            panel.store(gradient);
        }
    }
}

/// Which neurons a panel has.
#[derive(Clone, Copy)]
struct Place {
    p: usize,
    width: usize,
    start: usize,
    neurons: usize,
}

/// Neurons' weights and gradients side by side, in rows of whole vectors.
struct Panel<'a, S: Simd> {
    place: Place,
    /// Vectors of a row.
    vectors: usize,
    /// U′ and U″, [2p, vectors]
    u: &'a [S::f32s],
    /// V, [p, vectors]
    v: &'a [S::f32s],
    /// ∂U′ and ∂U″
    du: &'a mut [S::f32s],
    /// ∂V
    dv: &'a mut [S::f32s],
    /// z² of a block of examples, [n, vectors]
    h: &'a mut [S::f32s],
}

impl<'a, S: Simd> Panel<'a, S> {
    #[inline(always)]
    fn load(place: Place, weights: &[f32], scratch: &'a mut [f32]) -> Self {
        let Place { p, width, start, neurons } = place;
        let vectors = neurons.div_ceil(S::F32_LANES);
        let row = vectors * S::F32_LANES;
        // Every part begins where the longest vectors are aligned.
        let part = |rows: usize| (rows * row).next_multiple_of(LONGEST_VECTOR);
        let (u, rest) = scratch.split_at_mut(part(2 * p));
        let (v, rest) = rest.split_at_mut(part(p));
        let (du, rest) = rest.split_at_mut(part(2 * p));
        let (dv, rest) = rest.split_at_mut(part(p));
        for (to, from) in u.chunks_exact_mut(row).zip(weights.chunks_exact(width)).take(2 * p) {
            to[..neurons].copy_from_slice(&from[start..][..neurons]);
            to[neurons..].fill(0.0);
        }
        if neurons < row {
            v.fill(0.0);
        }
        for (neuron, from) in weights[2 * p * width + start * p..].chunks_exact(p).take(neurons).enumerate() {
            v[neuron..].iter_mut().step_by(row).zip(from).for_each(|(to, from)| *to = *from);
        }
        du.fill(0.0);
        dv.fill(0.0);
        let (u, v) = (S::as_simd_f32s(u).0, S::as_simd_f32s(v).0);
        let [du, dv, h] = [du, dv, rest].map(|part| S::as_mut_simd_f32s(part).0);
        Self { place, vectors, u, v, du, dv, h }
    }

    #[inline(always)]
    fn store(&self, gradient: &mut [f32]) {
        let Place { p, width, start, neurons } = self.place;
        let row = self.vectors * S::F32_LANES;
        let (du, dv) = (numbers::<S>(self.du), numbers::<S>(self.dv));
        for (to, from) in gradient.chunks_exact_mut(width).zip(du.chunks_exact(row)).take(2 * p) {
            to[start..][..neurons].copy_from_slice(&from[..neurons]);
        }
        for (neuron, to) in gradient[2 * p * width + start * p..].chunks_exact_mut(p).take(neurons).enumerate() {
            to.iter_mut().zip(dv[neuron..].iter().step_by(row)).for_each(|(to, from)| *to = *from);
        }
    }

    #[inline(always)]
    fn squares(&mut self, simd: S, pairs: Pairs) {
        let row = |number: usize| &self.u[number * self.vectors..][..self.vectors];
        for ([a, b], h) in pairs.rows().zip(self.h.chunks_exact_mut(self.vectors)) {
            for ((h, u), v) in h.iter_mut().zip(row(a)).zip(row(b)) {
                let z = simd.add_f32s(*u, *v);
                *h = simd.mul_f32s(z, z);
            }
        }
    }
}

fn numbers<S: Simd>(vectors: &[S::f32s]) -> &[f32] {
    pulp::bytemuck::cast_slice(vectors)
}

/// ∂V += c·(z²)ᵀ for a few classes and the examples of a block.
struct Outer<'a, 'b, S: Simd> {
    panel: &'a mut Panel<'b, S>,
    cotangent: &'a [f32],
    class: usize,
    at: usize,
}

impl<S: Simd> OfSize<S> for Outer<'_, '_, S> {
    #[inline(always)]
    fn run<const R: usize, const V: usize>(self, simd: S) {
        let Self { panel: Panel { place, vectors, h, dv, .. }, cotangent, class, at } = self;
        let step = |(c, h)| (*tile::array(c, class), tile::array(h, at));
        let steps = cotangent.chunks_exact(place.p).zip(h.chunks_exact(*vectors)).map(step);
        let sums = tile::tile::<S, R, V>(simd, steps);
        for r in 0..R {
            let dv = &mut dv[(class + r) * *vectors + at..][..V];
            for v in 0..V {
                dv[v] = simd.add_f32s(dv[v], sums[r][v]);
            }
        }
    }
}

/// ∂U′[a] and ∂U″[b] += 2z·(Vᵀc) for a few examples.
struct Inner<'a, 'b, S: Simd> {
    panel: &'a mut Panel<'b, S>,
    cotangent: &'a [f32],
    pairs: Pairs<'a>,
    at: usize,
}

impl<S: Simd> OfSize<S> for Inner<'_, '_, S> {
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "an iterator would take the sums out of their registers")]
    fn run<const R: usize, const V: usize>(self, simd: S) {
        let Self { panel: Panel { place, vectors, u, v, du, .. }, cotangent, pairs, at } = self;
        let rows: [&[f32]; R] = std::array::from_fn(|r| &cotangent[r * place.p..][..place.p]);
        let step = |(class, v)| (std::array::from_fn(|r| rows[r][class]), tile::array(v, at));
        let sums = tile::tile::<S, R, V>(simd, v.chunks_exact(*vectors).take(place.p).enumerate().map(step));
        for r in 0..R {
            let [a, b] = pairs.rows_of(r).map(|row| row * *vectors + at);
            for i in 0..V {
                let z = simd.add_f32s(u[a + i], u[b + i]);
                let dz = simd.mul_f32s(simd.add_f32s(z, z), sums[r][i]);
                du[a + i] = simd.add_f32s(du[a + i], dz);
                du[b + i] = simd.add_f32s(du[b + i], dz);
            }
        }
    }
}
