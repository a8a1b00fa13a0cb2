//! Matrix products in tiles that stay in registers, written once for all vector instructions.
//!
//! A tile is Σ_t a_t·b_tᵀ, with R numbers a_t and V vectors b_t a step. Its sums are taken in the order of the steps, whatever
//! surrounds it: what a tile gives depends on its numbers alone.

use pulp::Simd;

/// Rows of a tile at most.
pub(super) const MOST_ROWS: usize = 6;

/// Vectors of a tile at most: its sums, the vectors of a step and one of its numbers fill the registers.
pub(super) const fn most_vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Σ_t a_t·b_tᵀ
///
/// Here and wherever sums are used, loops count: an iterator would take the sums out of their registers.
#[inline(always)]
pub(super) fn tile<'b, S: Simd, const R: usize, const V: usize>(
    simd: S,
    steps: impl Iterator<Item = ([f32; R], &'b [S::f32s; V])>,
) -> [[S::f32s; V]; R]
where
    S::f32s: 'b,
{
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (a, b) in steps {
        for r in 0..R {
            let a = simd.splat_f32s(a[r]);
            for v in 0..V {
                sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
            }
        }
    }
    sums
}

/// What is done with a tile, for any size of it.
pub(super) trait OfSize<S: Simd> {
    /// Does it for `R` rows and `V` vectors.
    fn run<const R: usize, const V: usize>(self, simd: S);
}

/// [`OfSize::run`] for a size that is known at run time.
#[inline(always)]
pub(super) fn sized<S: Simd>(simd: S, rows: usize, vectors: usize, work: impl OfSize<S>) {
    match vectors {
        1 => of_width::<S, 1>(simd, rows, work),
        2 => of_width::<S, 2>(simd, rows, work),
        3 if most_vectors::<S>() > 2 => of_width::<S, 3>(simd, rows, work),
        4 if most_vectors::<S>() > 2 => of_width::<S, 4>(simd, rows, work),
        _ => unreachable!("{vectors} vectors are more than a tile has"),
    }
}

#[inline(always)]
fn of_width<S: Simd, const V: usize>(simd: S, rows: usize, work: impl OfSize<S>) {
    match rows {
        1 => work.run::<1, V>(simd),
        2 => work.run::<2, V>(simd),
        3 => work.run::<3, V>(simd),
        4 => work.run::<4, V>(simd),
        5 => work.run::<5, V>(simd),
        6 => work.run::<6, V>(simd),
        _ => unreachable!("{rows} rows are more than a tile has"),
    }
}

/// 0..`total` in pieces of `most`: where each begins and how long it is.
#[inline(always)]
pub(super) fn pieces(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..total).step_by(most).map(move |start| (start, most.min(total - start)))
}

/// `N` elements from `at` on, which are there.
#[inline(always)]
pub(super) fn array<T, const N: usize>(slice: &[T], at: usize) -> &[T; N] {
    slice[at..].first_chunk().unwrap_or_else(|| unreachable!("{N} elements from {at} on"))
}
