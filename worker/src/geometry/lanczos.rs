//! Sums Σ_k f(h_k) over the spectrum of a symmetric matrix A of which only products are known: stochastic Lanczos
//! quadrature (Ubaru, Chen, Saad 2017).
//!
//! For a vector u of random signs the expectation of uᵀf(A)u is tr f(A) = Σ_k f(h_k). Some steps of Lanczos' recursion from
//! u give a tridiagonal T, with eigenvalues θ_j and eigenvectors' first entries τ_j, and
//! uᵀf(A)u ≈ ‖u‖²·Σ_j τ_j²·f(θ_j), exact for polynomials of a degree below twice the steps.

use tch::{Kind, Tensor};

use crate::host;

/// The most steps: the length of the recursion, each one product with the matrix.
const STEPS: usize = 128;

/// Steps between looks at whether the sums have settled.
const LOOK_EVERY: usize = 16;

/// A sum has settled if it changes by less than this share between two looks.
const SETTLED: f64 = 1e-3;

/// What is left of a product after all earlier directions are taken out, relative to the matrix, below which it is nothing.
const NOTHING: f64 = 1e-12;

/// Weights and points θ: Σ weight·f(θ) stands for a sum of f over a spectrum.
pub(super) type Quadrature = Vec<(f64, f64)>;

/// The quadrature of one probe u `[S]`, as fine as it takes for all of `sums` to settle. `times` multiplies with A, whose
/// eigenvalues are not negative; `None` if it gave none.
pub(super) fn quadrature(
    probe: &Tensor,
    mut times: impl FnMut(&Tensor) -> Option<Tensor>,
    sums: impl Fn(&Quadrature) -> Vec<f64>,
) -> Option<Quadrature> {
    let squared = probe.square().sum(None).double_value(&[]); // ‖u‖²
    let longest = STEPS.min(probe.numel());
    let basis = Tensor::zeros([longest as i64, probe.numel() as i64], (Kind::Double, probe.device()));
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut direction = probe / squared.sqrt();
    let mut last: Vec<f64> = Vec::new();
    loop {
        basis.get(diagonal.len() as i64).copy_(&direction);
        let mut rest = times(&direction)?;
        diagonal.push(rest.dot(&direction).double_value(&[]));
        let known = basis.narrow(0, 0, diagonal.len() as i64);
        for _ in 0..2 {
            // Once is not enough: rounding lets directions found before come back.
            rest -= known.tr().mv(&known.mv(&rest));
        }
        let length = rest.norm().double_value(&[]);
        let largest = diagonal.iter().copied().fold(0.0, f64::max);
        let ends = diagonal.len() == longest || length <= NOTHING * largest;
        if ends || diagonal.len().is_multiple_of(LOOK_EVERY) {
            let found = nodes(squared, &diagonal, &beside);
            let now = sums(&found);
            let settled =
                now.len() == last.len() && now.iter().zip(&last).all(|(a, b)| (a - b).abs() <= SETTLED * a.abs());
            if ends || settled {
                return Some(found);
            }
            last = now;
        }
        beside.push(length);
        direction = rest / length;
    }
}

/// ‖u‖²·τ_j² and θ_j of the symmetric tridiagonal matrix with these entries.
fn nodes(squared: f64, diagonal: &[f64], beside: &[f64]) -> Quadrature {
    let mut matrix = Tensor::from_slice(diagonal).diag_embed(0, 0, 1);
    if !beside.is_empty() {
        matrix += Tensor::from_slice(beside).diag_embed(-1, 0, 1); // the lower half is what is read
    }
    let (values, vectors) = matrix.linalg_eigh("L");
    let weights: Vec<f64> = host::values(&(vectors.get(0).square() * squared));
    // No eigenvalue of A is negative; one of T may be, by rounding.
    weights.into_iter().zip(host::values(&values).into_iter().map(|value: f64| value.max(0.0))).collect()
}
