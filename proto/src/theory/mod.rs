//! What is known exactly: learning coefficients at the weights of a teacher, and the formulas that the literature states.
//!
//! Learning coefficients are those of L = ½·Σ over outputs of the squared residual, mean over examples. They are limits
//! for nβ → ∞: an estimate at finite temperature has a bias of its own, of order 1/log nβ where the multiplicity m
//! exceeds 1.

mod deep_linear;
mod potential;
mod predictions;
mod quadratic;

use crate::task::{Data, Init, Loss, Model, TaskConfig};
use crate::v1;

pub use deep_linear::{LearningCoefficient, deep_linear, reduced_rank_stratum};
pub use potential::llc_of_curvature;
pub use predictions::{PREDICTIONS, Prediction};
pub use quadratic::{one_hot_lazy, one_hot_teacher, paper_generic, paper_late_stage, paper_lazy};

/// The exact LLC of a task that estimates at a known optimum: `init = "teacher"` and `steps = 0`.
///
/// `None` where no closed form holds: with training, at other weights, and on a training set too small for the formula.
/// - A deep linear network is at its population value once the inputs span the input space: N ≥ H¹, or N > H¹ if the
///   loss is centred, which takes one direction away.
/// - A quadratic network needs the full grid of pairs. On part of it a residue may be missing, and its weights with it.
#[must_use]
pub fn llc_exact(task: &TaskConfig) -> Option<f64> {
    if task.train.steps > 0 || task.model.init() != Init::Teacher {
        return None;
    }
    let examples = task.data.train_examples();
    let centred = task.train.loss == Loss::CentredMse;
    match (&task.model, &task.data) {
        (Model::DeepLinear { widths, rank, .. }, Data::Gaussian { .. }) => {
            let widths: Vec<u64> = widths.iter().copied().map(u64::from).collect();
            let enough = examples >= widths.first()? + u64::from(centred);
            deep_linear(&widths, u64::from(*rank)).filter(|_| enough).map(|exact| exact.value)
        }
        (Model::Quadratic { width, .. }, Data::Modular { modulus, .. }) => {
            let modulus = u64::from(*modulus);
            (examples == modulus * modulus).then(|| one_hot_teacher(modulus, u64::from(*width), examples, centred))
        }
        _ => None,
    }
}

/// What an estimate of these settings should find at a known optimum, at its own temperature and step size; `None` where
/// that is not known.
#[must_use]
pub fn llc_finite(_task: &TaskConfig, _settings: &v1::SamplerSettings) -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::resolve;

    fn exact(json: serde_json::Value) -> Option<f64> {
        llc_exact(&resolve(&json, &[]).unwrap())
    }

    #[test]
    fn teachers_have_exact_values_and_trained_networks_do_not() {
        let task = |steps: u64, init: &str, fraction: f64, loss: &str| {
            serde_json::json!({
                "data": { "kind": "modular", "modulus": 3, "train_fraction": fraction },
                "model": { "kind": "quadratic", "width": 5, "init": init },
                "train": { "steps": steps, "learning_rate": 0.1, "loss": loss },
            })
        };
        assert_eq!(exact(task(0, "teacher", 1.0, "mse")), Some(13.5));
        assert_eq!(exact(task(0, "teacher", 1.0, "centred_mse")), Some(12.0));
        assert_eq!(exact(task(1, "teacher", 1.0, "mse")), None);
        assert_eq!(exact(task(0, "normal", 1.0, "mse")), None);
        assert_eq!(exact(task(0, "teacher", 0.5, "mse")), None);
    }

    #[test]
    fn a_deep_linear_teacher_has_its_value_once_the_inputs_span_their_space() {
        let task = |samples: u64, loss: &str| {
            serde_json::json!({
                "data": { "kind": "gaussian", "samples": samples },
                "model": { "kind": "deep_linear", "widths": [5, 3, 5], "rank": 1, "init": "teacher" },
                "train": { "steps": 0, "loss": loss },
            })
        };
        assert_eq!(exact(task(5, "mse")), Some(8.0));
        assert_eq!(exact(task(4, "mse")), None);
        assert_eq!(exact(task(6, "centred_mse")), Some(8.0));
        assert_eq!(exact(task(5, "centred_mse")), None);
    }
}
