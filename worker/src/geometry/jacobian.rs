//! The Jacobian of the outputs on the training set, written out: exact, by the models' own gradients.

use tch::{Kind, Tensor};

use super::Point;
use crate::data::{Inputs, Set, Targets};
use crate::host;

/// Singular values below this share of the largest count as zero. Weights are numbers in single precision, 6e-8 of their
/// size apart: what is zero for the weights that are meant shows as about that. Rounding of the Gram matrix, of which the
/// squares are eigenvalues, adds less than 1e-7.
const TOLERANCE: f64 = 1e-6;

/// The most numbers of a block of rows while it is made.
const BLOCK: i64 = 1 << 23;

/// J.
pub(super) struct Jacobian<'a> {
    point: &'a Point<'a>,
    /// [N·p, D]
    matrix: Tensor,
}

/// J at a point; `None` if stopped.
pub(super) fn dense<'a>(point: &'a Point<'a>) -> Option<Jacobian<'a>> {
    let model = point.objective.model();
    let examples = singles(&point.subject.examples.train);
    let (p, d, device) = (model.outputs(), model.dimension(), point.weights.device());
    let mut matrix = Tensor::empty([examples.len() as i64, p, d], (Kind::Double, device));
    let together = (BLOCK / (p * d)).max(1);
    for (block, examples) in examples.chunks(together as usize).enumerate() {
        if (point.stopped)() {
            return None;
        }
        // Every output of every example is a member of its own, and its gradient a row.
        let sets: Vec<&Set> = examples.iter().flat_map(|example| std::iter::repeat_n(example, p as usize)).collect();
        let weights = point.weights.repeat([sets.len() as i64, 1]);
        let one_hot = Tensor::eye(p, (Kind::Double, device)).repeat([examples.len() as i64, 1]).unsqueeze(1);
        let mut rows = weights.zeros_like(); // [n·p, D]
        let mut saved = Vec::new();
        let inputs = model.inputs(&sets, Kind::Double, device);
        let _ = model.forward(&weights, &inputs, &mut saved);
        model.backward(&weights, &inputs, &mut saved, &one_hot, &mut rows);
        matrix.narrow(0, block as i64 * together, examples.len() as i64).copy_(&rows.view([-1, p, d]));
    }
    point.centre(&mut matrix);
    Some(Jacobian { point, matrix: matrix.view([-1, d]) })
}

impl Jacobian<'_> {
    /// The eigenvalues of G = JᵀJ/N that need not be zero, ascending, for the weights of a layer or all.
    pub(super) fn curvatures(&self, layer: Option<u32>) -> Vec<f64> {
        let moving = self.point.objective.model().range_of(layer);
        let columns = self.matrix.narrow(1, moving.start as i64, moving.len() as i64);
        let size = columns.size();
        let gram = if size[0] <= size[1] { columns.mm(&columns.tr()) } else { columns.tr().mm(&columns) };
        let eigenvalues = (gram / self.point.examples()).to_device(tch::Device::Cpu).linalg_eigvalsh("L");
        // A Gram matrix has none below zero, but for rounding.
        host::values(&eigenvalues).into_iter().map(|h: f64| h.max(0.0)).collect()
    }
}

/// The numerical rank of J, from the eigenvalues h = σ²/N of G.
pub(super) fn rank(curvatures: &[f64]) -> u64 {
    let largest = curvatures.iter().copied().fold(0.0, f64::max);
    curvatures.iter().filter(|h| **h > TOLERANCE * TOLERANCE * largest).count() as u64
}

/// Each example as a set of its own. Targets play no part in the outputs.
fn singles(set: &Set) -> Vec<Set> {
    let single = |inputs| Set { inputs, targets: Targets::Values { of: 0, values: Vec::new() } };
    match &set.inputs {
        Inputs::Pairs(pairs) => pairs.iter().map(|pair| single(Inputs::Pairs(vec![*pair]))).collect(),
        Inputs::Vectors { dimension, values } => {
            let vector = |values: &[f32]| Inputs::Vectors { dimension: *dimension, values: values.to_vec() };
            values.chunks_exact(*dimension).map(|values| single(vector(values))).collect()
        }
        Inputs::Nothing(examples) => (0..*examples).map(|_| single(Inputs::Nothing(1))).collect(),
    }
}
