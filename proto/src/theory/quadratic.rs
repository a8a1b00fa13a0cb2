//! Quadratic networks f(x) = V·(Wᵀx)² on pairs of residues: K hidden neurons, modulus p, N training pairs, d inputs.
//!
//! At a zero-loss point where the Jacobian of the outputs has locally constant rank, the LLC is half that rank. Of the 3p
//! weights of a neuron one-hot pairs see 3p − 2 combinations: scaling (u, v) → (c·u, v/c²) and shifting
//! (u′, u″) → (u′ + c, u″ − c) change nothing.

/// The exact LLC of a network at its own random weights as teacher, on N of the p² one-hot pairs that together hold every
/// residue in a way that leaves one shift a neuron, such as the full grid:
/// ½·min(K(3p−2), p·N), or ½·min(K(3p−2), p·(N−1)) if the residuals' mean is subtracted.
///
/// Derived for this project, and checked against numerical ranks for p = 2 … 5 and 7.
#[must_use]
pub fn one_hot_teacher(modulus: u64, width: u64, examples: u64, centred: bool) -> f64 {
    let outputs = modulus * (examples - u64::from(centred));
    half((width * (3 * modulus - 2)).min(outputs))
}

/// The LLC if the first layer W is frozen: ½·p·min(K, N−1) centred, ½·p·min(K, N) not. Derived, and checked for p = 5, 7.
#[must_use]
pub fn one_hot_lazy(modulus: u64, width: u64, examples: u64, centred: bool) -> f64 {
    half(modulus * width.min(examples - u64::from(centred)))
}

/// The paper's late stage (arXiv 2603.01192, corollary 5.4): K(3p−1)/2. It counts parameters less one scale a neuron, as
/// for generic inputs; one-hot pairs have K(3p−2)/2, and the training set caps both.
#[must_use]
pub fn paper_late_stage(modulus: u64, width: u64) -> f64 {
    half(width * (3 * modulus - 1))
}

/// The paper's value for generic inputs (arXiv 2603.01192, corollary 4.2): ½·min(K(p + d − 1), p·d(d+1)/2) with d = 2p.
#[must_use]
pub fn paper_generic(modulus: u64, width: u64) -> f64 {
    let inputs = 2 * modulus;
    half((width * (modulus + inputs - 1)).min(modulus * inputs * (inputs + 1) / 2))
}

/// The paper's bounds for lazy training (arXiv 2603.01192, corollary 5.3): p(2p−1)/2 and pK/2.
#[must_use]
pub fn paper_lazy(modulus: u64, width: u64) -> (f64, f64) {
    (half(modulus * (2 * modulus - 1)), half(modulus * width))
}

fn half(rank: u64) -> f64 {
    rank as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teachers_have_half_the_rank_of_their_jacobian() {
        // Ranks of Jacobians at random weights, computed numerically on the full grid: (p, K) → uncentred, centred.
        let ranks = [
            ((2, 1), (4, 4)),
            ((2, 3), (8, 6)),
            ((3, 1), (7, 7)),
            ((3, 2), (14, 14)),
            ((3, 5), (27, 24)),
            ((4, 5), (50, 50)),
            ((4, 9), (64, 60)),
            ((5, 9), (117, 117)),
        ];
        for ((p, k), (plain, centred)) in ranks {
            assert_eq!(one_hot_teacher(p, k, p * p, false), half(plain));
            assert_eq!(one_hot_teacher(p, k, p * p, true), half(centred));
        }
    }

    #[test]
    fn the_papers_setting_has_the_papers_value_and_a_far_lower_cap() {
        assert_eq!(paper_late_stage(53, 1024), 80_896.0);
        assert_eq!(paper_generic(53, 1024), 80_896.0);
        assert_eq!(one_hot_teacher(53, 1024, 1123, true), 29_733.0);
        assert_eq!(paper_lazy(53, 1024), (2_782.5, 27_136.0));
        assert_eq!(one_hot_lazy(53, 1024, 1123, true), 27_136.0);
        assert_eq!(one_hot_lazy(53, 1600, 1123, true), 29_733.0);
    }
}
