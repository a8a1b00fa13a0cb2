//! f = V·(U′[a] + U″[b])² in host memory, a few examples at a time: their squares stay in the nearest cache.

use pulp::{Simd, WithSimd};

use super::tile::{self, MOST_ROWS, OfSize};
use crate::models::pairs::Pairs;

/// One member's way forward.
pub(super) struct Forward<'a> {
    pub(super) p: usize,
    /// K
    pub(super) width: usize,
    /// U′, U″ and Vᵀ.
    pub(super) weights: &'a [f32],
    pub(super) pairs: Pairs<'a>,
    /// [`scratch`] numbers.
    pub(super) scratch: &'a mut [f32],
    /// Filled: f, [n, p].
    pub(super) outputs: &'a mut [f32],
}

/// The room that [`Forward`] needs: Vᵀ with rows of whole vectors, and a few squares.
pub(super) fn scratch(p: usize, width: usize) -> usize {
    width * (p.next_multiple_of(LONGEST_VECTOR) + MOST_ROWS)
}

/// Numbers in a vector at most.
pub(super) const LONGEST_VECTOR: usize = 16;

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { p, width, weights, pairs, scratch, outputs } = self;
        let vectors = p.div_ceil(S::F32_LANES); // of one example's outputs
        let (vt, h) = scratch.split_at_mut(width * vectors * S::F32_LANES);
        for (padded, row) in vt.chunks_exact_mut(vectors * S::F32_LANES).zip(weights[2 * p * width..].chunks_exact(p)) {
            padded[..p].copy_from_slice(row);
            padded[p..].fill(0.0);
        }
        let vt = S::as_simd_f32s(vt).0; // [K, vectors]
        for (pairs, outputs) in pairs.chunks(MOST_ROWS).zip(outputs.chunks_mut(MOST_ROWS * p)) {
            for ([a, b], h) in pairs.rows().zip(h.chunks_exact_mut(width)) {
                squares(&weights[a * width..][..width], &weights[b * width..][..width], h);
            }
            for (at, count) in tile::pieces(vectors, tile::most_vectors::<S>()) {
                let outputs = Outputs::<S> { p, h, vt, vectors, at, outputs };
                tile::sized(simd, pairs.len(), count, outputs);
            }
        }
    }
}

/// h = (u + v)²
#[inline(always)]
fn squares(u: &[f32], v: &[f32], h: &mut [f32]) {
    for ((h, u), v) in h.iter_mut().zip(u).zip(v) {
        *h = (u + v) * (u + v);
    }
}

/// f of a few examples, some vectors of each from `at` on.
struct Outputs<'a, S: Simd> {
    p: usize,
    /// Rows of squares, K long.
    h: &'a [f32],
    /// [K, vectors]
    vt: &'a [S::f32s],
    vectors: usize,
    at: usize,
    outputs: &'a mut [f32],
}

impl<S: Simd> OfSize<S> for Outputs<'_, S> {
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "an iterator would take the sums out of their registers")]
    fn run<const R: usize, const V: usize>(self, simd: S) {
        let Self { p, h, vt, vectors, at, outputs } = self;
        let width = vt.len() / vectors;
        let rows: [&[f32]; R] = std::array::from_fn(|r| &h[r * width..][..width]);
        let step = |(k, row)| (std::array::from_fn(|r| rows[r][k]), tile::array(row, at));
        let sums = tile::tile::<S, R, V>(simd, vt.chunks_exact(vectors).enumerate().map(step));
        for r in 0..R {
            let row = &mut outputs[r * p..][..p];
            for v in 0..V {
                // What the last vector has beyond the last output is dropped.
                let start = (at + v) * S::F32_LANES;
                simd.partial_store_f32s(&mut row[start..p.min(start + S::F32_LANES)], sums[r][v]);
            }
        }
    }
}
