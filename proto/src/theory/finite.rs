//! What a sampler finds in expectation at a known optimum, at its own temperature.

use super::{crossing_at_temperature, layer_directions, llc_of_curvature, reduced_rank_at_temperature};
use crate::task::{Data, Init, Loss, Model, Potential, TaskConfig};
use crate::v1::SamplerSettings;

/// The LLC that a sampler of these settings finds in expectation; `None` where that is not known.
///
/// Where the loss is quadratic it is exact, discretisation and transient of SGLD included:
/// - potentials of given curvatures;
/// - deep linear networks on whitened inputs of which one layer moves, or that have one layer.
///
/// Elsewhere it is that of exact draws, to which discretisation adds of the order of ε·(nβ·h + γ)/4 and from which a short
/// burn-in takes:
/// - normal crossings;
/// - deep linear networks of two layers on whitened inputs, at the teacher of rank 0.
#[must_use]
pub fn llc_finite(task: &TaskConfig, settings: &SamplerSettings) -> Option<f64> {
    if task.train.steps > 0 {
        return None;
    }
    let SamplerSettings { nbeta, localization, .. } = *settings;
    let exact_draws = matches!(settings.method.as_str(), "sgld" | "mala");
    match (&task.model, &task.data) {
        (Model::Potential { shape: Potential::Curvatures(all), .. }, _) => {
            all.iter().map(|h| llc_of_curvature(*h, settings)).sum()
        }
        (Model::Potential { shape: Potential::Powers(powers), .. }, _) if exact_draws => {
            crossing_at_temperature(*powers, nbeta, localization)
        }
        (Model::DeepLinear { widths, rank, init: Init::Teacher }, Data::Gaussian { samples, whiten: true }) => {
            // A minibatch is not white, and centring takes away a direction that is the inputs' own.
            let population = settings.batch_size == *samples && task.train.loss == Loss::Mse;
            let layer = Some(settings.layer).filter(|layer| *layer > 0);
            match (layer, widths.as_slice()) {
                _ if !population => None,
                // Whatever moves moves with the curvature 1, or in vain.
                (Some(_), _) | (None, [_, _]) => {
                    let directions = layer_directions(widths, *rank, layer.unwrap_or(1))?;
                    Some(directions as f64 * llc_of_curvature(1.0, settings)?)
                }
                (None, [inputs, hidden, outputs]) if *rank == 0 && exact_draws => {
                    reduced_rank_at_temperature([*inputs, *hidden, *outputs], nbeta, localization)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::resolve;
    use serde_json::{Value, json};

    fn settings() -> SamplerSettings {
        SamplerSettings {
            method: "sgld".to_owned(),
            step_size: Some(1e-3),
            nbeta: 100.0,
            localization: 1.0,
            burn_in: 2000,
            draws: 3000,
            batch_size: 8,
            ..SamplerSettings::default()
        }
    }

    fn potential(model: Value) -> TaskConfig {
        resolve(&json!({ "data": { "kind": "origin" }, "model": model, "train": { "steps": 0 } }), &[]).unwrap()
    }

    fn linear(widths: &[u32], rank: u32, whiten: bool) -> TaskConfig {
        let table = json!({
            "data": { "kind": "gaussian", "samples": 8, "whiten": whiten },
            "model": { "kind": "deep_linear", "widths": widths, "rank": rank, "init": "teacher" },
            "train": { "steps": 0 },
        });
        resolve(&table, &[]).unwrap()
    }

    #[test]
    fn a_quadratic_potential_knows_its_step_size_and_a_crossing_its_temperature() {
        let quadratic = potential(json!({ "kind": "potential", "curvatures": vec![1; 10] }));
        assert!((llc_finite(&quadratic, &settings()).unwrap() - 5.07873).abs() < 1e-5);
        let crossing = potential(json!({ "kind": "potential", "powers": [1, 2] }));
        assert!((llc_finite(&crossing, &settings()).unwrap() - 0.19763).abs() < 1e-5);
        let preconditioned = SamplerSettings { method: "rmsprop_sgld".to_owned(), ..settings() };
        assert_eq!([quadratic, crossing].map(|task| llc_finite(&task, &preconditioned)), [None, None]);
    }

    #[test]
    fn white_inputs_make_linear_networks_exact() {
        let whole = |widths, rank, whiten| llc_finite(&linear(widths, rank, whiten), &settings());
        let curvature = llc_of_curvature(1.0, &settings()).unwrap();
        assert_eq!(whole(&[4, 3], 2, true), Some(12.0 * curvature), "linear regression");
        assert_eq!(whole(&[2, 2, 2], 0, true), reduced_rank_at_temperature([2, 2, 2], 100.0, 1.0));
        assert_eq!(whole(&[2, 2, 2], 0, false), None);
        assert_eq!(whole(&[2, 2, 2], 1, true), None);
        let minibatches = SamplerSettings { batch_size: 4, ..settings() };
        assert_eq!(llc_finite(&linear(&[2, 2, 2], 0, true), &minibatches), None);
    }

    #[test]
    fn a_single_layer_that_moves_is_a_regression_on_what_reaches_it() {
        let task = linear(&[4, 3, 5], 2, true);
        let of_layer = |layer| llc_finite(&task, &SamplerSettings { layer, ..settings() });
        let curvature = llc_of_curvature(1.0, &settings()).unwrap();
        // The second layer passes two of three directions on, and takes two of three.
        assert_eq!(of_layer(1), Some(8.0 * curvature));
        assert_eq!(of_layer(2), Some(10.0 * curvature));
    }
}
