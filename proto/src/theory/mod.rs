//! What is known exactly: learning coefficients at the weights of a teacher, and the formulas that the literature states.
//!
//! Learning coefficients are those of L = ½·Σ over outputs of the squared residual, mean over examples. They are limits
//! for nβ → ∞: an estimate at finite temperature has a bias of its own, of order 1/log nβ where the multiplicity m
//! exceeds 1.

mod crossing;
mod deep_linear;
mod finite;
mod potential;
mod predictions;
mod quadratic;
mod reduced_rank;

use crate::task::{Data, Init, Loss, Model, Potential, TaskConfig};

pub use crossing::{crossing, crossing_at_temperature};
pub use deep_linear::{LearningCoefficient, deep_linear, layer_directions};
pub use finite::llc_finite;
pub use potential::llc_of_curvature;
pub use predictions::{PREDICTIONS, Prediction};
pub use quadratic::{one_hot_lazy, one_hot_teacher, paper_generic, paper_late_stage, paper_lazy};
pub use reduced_rank::reduced_rank_at_temperature;

/// The exact LLC of a task that estimates at a known optimum: `init = "teacher"` and `steps = 0`. `layer` is the one whose
/// weights move; `None` is all.
///
/// `None` where no closed form holds: with training, at other weights, and on a training set too small for the formula.
/// - A potential has its value at w* = 0.
/// - A deep linear network is at its population value once the inputs span the input space: N ≥ H¹, or N > H¹ if the
///   loss is centred, which takes one direction away.
/// - A quadratic network needs the full grid of pairs. On part of it a residue may be missing, and its weights with it. It
///   has no closed form with its second layer frozen.
#[must_use]
pub fn llc_exact(task: &TaskConfig, layer: Option<u32>) -> Option<f64> {
    if task.train.steps > 0 {
        return None;
    }
    let examples = task.data.train_examples();
    let centred = task.train.loss == Loss::CentredMse;
    match (&task.model, &task.data) {
        (Model::Potential { shape: Potential::Curvatures(all), .. }, _) => Some(all.len() as f64 / 2.0),
        (Model::Potential { shape: Potential::Powers(powers), .. }, _) => Some(crossing(*powers)),
        (Model::DeepLinear { widths, rank, init: Init::Teacher }, Data::Gaussian { .. }) => {
            let enough = examples >= u64::from(*widths.first()?) + u64::from(centred);
            let exact = match layer {
                Some(layer) => layer_directions(widths, *rank, layer)? as f64 / 2.0,
                None => {
                    let widths: Vec<u64> = widths.iter().copied().map(u64::from).collect();
                    deep_linear(&widths, u64::from(*rank))?.value
                }
            };
            enough.then_some(exact)
        }
        (Model::Quadratic { width, init: Init::Teacher }, Data::Modular { modulus, .. }) => {
            let (modulus, width) = (u64::from(*modulus), u64::from(*width));
            let of = match layer {
                None => one_hot_teacher,
                Some(2) => one_hot_lazy,
                Some(_) => return None,
            };
            (examples == modulus * modulus).then(|| of(modulus, width, examples, centred))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::resolve;

    fn exact(json: serde_json::Value) -> Option<f64> {
        llc_exact(&resolve(&json, &[]).unwrap(), None)
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

    #[test]
    fn potentials_have_their_values() {
        let of = |key: &str, value: serde_json::Value| {
            let model = serde_json::json!({ "kind": "potential", key: value });
            exact(serde_json::json!({ "data": { "kind": "origin" }, "model": model, "train": { "steps": 0 } }))
        };
        assert_eq!(of("curvatures", serde_json::json!([1e-4, 3.0, 7.0])), Some(1.5));
        assert_eq!(of("powers", serde_json::json!([1, 3])), Some(1.0 / 6.0));
    }

    #[test]
    fn a_layer_that_moves_alone_has_a_value_of_its_own() {
        let quadratic = |layer| {
            let table = serde_json::json!({
                "data": { "kind": "modular", "modulus": 3, "train_fraction": 1.0 },
                "model": { "kind": "quadratic", "width": 2, "init": "teacher" },
                "train": { "steps": 0, "loss": "mse" },
            });
            llc_exact(&resolve(&table, &[]).unwrap(), layer)
        };
        assert_eq!([None, Some(1), Some(2)].map(quadratic), [Some(7.0), None, Some(3.0)]);
        let linear = |layer| {
            let table = serde_json::json!({
                "data": { "kind": "gaussian", "samples": 9 },
                "model": { "kind": "deep_linear", "widths": [4, 3, 5, 6], "rank": 2, "init": "teacher" },
                "train": { "steps": 0 },
            });
            llc_exact(&resolve(&table, &[]).unwrap(), layer)
        };
        // Half of 4·2, 2·2, 2·6 directions.
        assert_eq!([1, 2, 3, 4].map(|layer| linear(Some(layer))), [Some(4.0), Some(2.0), Some(6.0), None]);
    }
}
