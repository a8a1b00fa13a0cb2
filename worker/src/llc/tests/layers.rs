//! The refined LLC: with all layers but one held fast, networks that are linear in that layer are regular models, whose LLC
//! is half the rank of the features that the layer sees, times its outputs.

use super::*;
use phasegrid_proto::task::{Data, Model};
use phasegrid_proto::theory;

/// At nβ = 1e6 and γ = 1, so cold that the limit differs by γ/(nβ·h) alone; by Metropolis chains, which have no bias.
fn cold(layer: u32) -> Sampler {
    Sampler {
        method: Method::Mala,
        layer: Some(layer),
        nbeta: Nbeta::Fixed(1e6),
        localization: 1.0,
        step_size: StepSize::Stable { stable: 0.8 },
        chains: 16,
        burn_in: 2000,
        draws: 2000,
        ..sampler()
    }
}

fn check(mut task: TaskConfig, layer: u32, exact: f64) {
    task.model = task.model.with_init(Init::Teacher);
    task.llc = super::task(8, cold(layer), &[]).llc;
    let found = estimate_of(&task);
    let (llc, error) = (found.llc.unwrap(), found.llc_se.unwrap());
    assert!((llc - exact).abs() < 3.0 * error && error < 0.03 * exact, "{exact}: {found:?}");
    assert_eq!(found.settings.as_ref().unwrap().layer, layer);
    assert_eq!(found.health(), v1::Health::Ok, "{}", found.health_reason);
}

#[test]
fn one_layer_of_a_linear_network_is_a_regular_model() {
    // W₂·W₁ of rank 2: the second layer sees features of rank 2 and has 5 outputs, the first has 4 inputs and acts through
    // a matrix of rank 2.
    check(gaussian_task(&[4, 3, 5], 2, 40), 2, 5.0);
    check(gaussian_task(&[4, 3, 5], 2, 40), 1, 4.0);
}

#[test]
fn the_second_layer_of_a_quadratic_network_has_its_lazy_value() {
    let mut task = modular_task(3, 2, 9);
    task.model = Model::Quadratic { width: 2, init: Init::Teacher };
    let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
    *train_fraction = 1.0;
    check(task.clone(), 2, theory::one_hot_lazy(3, 2, 9, false));
    task.train.loss = phasegrid_proto::task::Loss::CentredMse;
    check(task, 2, theory::one_hot_lazy(3, 2, 9, true));
}
