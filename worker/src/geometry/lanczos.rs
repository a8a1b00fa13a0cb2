//! Sums Σ_k f(h_k) over the spectrum of a symmetric matrix A of which only products are known: stochastic Lanczos
//! quadrature (Ubaru, Chen, Saad 2017).
//!
//! For a vector u of random signs the expectation of uᵀf(A)u is tr f(A) = Σ_k f(h_k). Some steps of Lanczos' recursion from
//! u give a tridiagonal T, with eigenvalues θ_j and eigenvectors' first entries τ_j, and
//! uᵀf(A)u ≈ ‖u‖²·Σ_j τ_j²·f(θ_j), exact for polynomials of a degree below twice the steps.

use tch::{Device, Kind, Tensor};

/// The most steps: the length of the recursion, each one product with the matrix. Samplers' f are smooth enough for half.
pub(super) const STEPS: usize = 64;

/// What is left of a product after all earlier directions are taken out, relative to the matrix, below which it is nothing.
const NOTHING: f64 = 1e-12;

/// Points θ and weights: Σ weight·f(θ) stands for a sum of f over a spectrum.
pub(super) type Quadrature = Vec<(f64, f64)>;

/// The quadrature of one probe u `[S]`, where `times` multiplies with A; `None` if that did. Eigenvalues are not negative.
pub(super) fn quadrature(probe: &Tensor, mut times: impl FnMut(&Tensor) -> Option<Tensor>) -> Option<Quadrature> {
    let squared = probe.square().sum(None).double_value(&[]); // ‖u‖²
    let basis = Tensor::zeros([STEPS as i64, probe.size()[0]], (Kind::Double, probe.device()));
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut direction = probe / squared.sqrt();
    while diagonal.len() < STEPS {
        let count = diagonal.len() as i64 + 1;
        basis.get(count - 1).copy_(&direction);
        let mut rest = times(&direction)?;
        diagonal.push(rest.dot(&direction).double_value(&[]));
        let known = basis.narrow(0, 0, count);
        for _ in 0..2 {
            // Once is not enough: rounding lets directions found before come back.
            rest -= known.tr().mv(&known.mv(&rest));
        }
        let length = rest.norm().double_value(&[]);
        let scale = diagonal.iter().copied().fold(0.0, f64::max);
        if length <= NOTHING * scale || count == probe.size()[0] {
            break;
        }
        beside.push(length);
        direction = rest / length;
    }
    beside.truncate(diagonal.len() - 1);
    Some(nodes(&diagonal, &beside).into_iter().map(|(weight, node)| (squared * weight, node.max(0.0))).collect())
}

/// τ_j² and θ_j of the symmetric tridiagonal matrix with these entries.
fn nodes(diagonal: &[f64], beside: &[f64]) -> Quadrature {
    let matrix = Tensor::from_slice(diagonal).diag_embed(0, 0, 1);
    let matrix = match beside {
        [] => matrix,
        beside => matrix + Tensor::from_slice(beside).diag_embed(-1, 0, 1), // the lower half is what is read
    };
    let (values, vectors) = matrix.to_device(Device::Cpu).linalg_eigh("L");
    let numbers = |tensor: Tensor| {
        Vec::<f64>::try_from(tensor).unwrap_or_else(|error| unreachable!("a flat tensor of doubles: {error}"))
    };
    numbers(vectors.get(0).square()).into_iter().zip(numbers(values)).collect()
}
