//! Estimates at checkpoints: what stands in them, and that they depend on nothing that they should not.

mod diagnostics;
mod layers;
mod together;

use super::*;
use crate::models::tests::{gaussian_task, modular_task, potential_task};
use phasegrid_proto::task::{
    BatchSize, Init, InitialLoss, Llc, Loss, Method, Nbeta, NbetaRule, Potential, Preset, StepSize,
};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps baselines, and counts how often it was asked for one and given one.
#[derive(Default)]
struct Library {
    kept: Mutex<HashMap<String, v1::Estimate>>,
    asked: AtomicUsize,
    given: AtomicUsize,
    stopped: bool,
}

impl Surroundings for Library {
    fn stopped(&self, _: usize) -> bool {
        self.stopped
    }
    fn baseline(&self, digest: &str) -> Option<v1::Estimate> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.kept.lock().unwrap().get(digest).cloned()
    }
    fn store_baseline(&self, digest: &str, estimate: &v1::Estimate) {
        self.given.fetch_add(1, Ordering::Relaxed);
        self.kept.lock().unwrap().insert(digest.to_owned(), estimate.clone());
    }
}

fn sampler() -> Sampler {
    Sampler {
        preset: None,
        method: Method::Sgld,
        step_size: StepSize::Fixed(1e-3),
        localization: 5.0,
        nbeta: Nbeta::Fixed(20.0),
        chains: 3,
        burn_in: 30,
        draws: 40,
        batch_size: BatchSize::Full,
        layer: None,
        initial_loss: InitialLoss::Whole,
        sensitivity: false,
    }
}

/// Each test has a width of its own: what a process knows of baselines lives as long as the process.
fn task(width: u32, sampler: Sampler, baselines: &[Baseline]) -> TaskConfig {
    let llc = Llc { samplers: vec![sampler], baselines: baselines.to_vec(), checkpoints: None, shard: None };
    TaskConfig { llc: Some(llc), ..modular_task(7, width, 3) }
}

fn estimates_of(task: &TaskConfig, library: &Library, permits: usize) -> Vec<v1::Estimate> {
    let weights = Tensor::from_slice(&models::initial_weights(task));
    let permits = Permits::new(permits);
    let subject = Subject { number: 0, task, examples: &Examples::of(task), weights: &weights, step: 5 };
    estimates(&[subject], Device::Cpu, &permits, library).remove(0)
}

fn estimate_of(task: &TaskConfig) -> v1::Estimate {
    estimates_of(task, &Library::default(), 0).remove(0)
}

#[test]
fn every_derived_value_stands_beside_the_estimate() {
    let preset = Sampler {
        preset: Some(Preset::AuthorsCode),
        nbeta: Nbeta::Rule(phasegrid_proto::task::NbetaRule::BatchOverLogBatch),
        batch_size: BatchSize::Size(12),
        ..sampler()
    };
    let estimate = estimate_of(&task(8, preset, &[]));
    let settings = estimate.settings.unwrap();
    assert_eq!(settings.preset, "authors_code");
    assert_eq!((settings.step_size.unwrap(), settings.localization, settings.batch_size), (1e-3, 5.0, 12));
    assert_eq!(settings.nbeta, 12.0 / 12f64.ln());
    assert_eq!((settings.chains, settings.burn_in, settings.draws), (3, 30, 40));
    assert!(estimate.llc.is_some() && estimate.llc_se.is_some() && estimate.initial_loss.is_some());
    assert_eq!((estimate.llc_baseline_zero, estimate.llc_baseline_init), (None, None));
}

#[test]
fn a_stable_step_size_is_a_share_of_the_limit_of_curvature() {
    let stable = |share| Sampler { step_size: StepSize::Stable { stable: share }, localization: 0.0, ..sampler() };
    let step_size = |share| estimate_of(&task(8, stable(share), &[])).settings.unwrap().step_size.unwrap();
    assert!((step_size(0.2) / step_size(0.1) - 2.0).abs() < 1e-12);
    // At the limit itself chains wander off slowly where the loss is quadratic, and the verdict comes from the curvature.
    let mut linear = gaussian_task(&[3, 4], 1, 20);
    linear.llc = task(8, stable(4.01), &[]).llc;
    let limit = estimate_of(&linear);
    assert_eq!(limit.health(), v1::Health::Unstable, "{}", limit.health_reason);
    assert!(limit.llc.is_some());
}

#[test]
fn the_name_of_a_preset_is_no_setting() {
    let named = estimate_of(&task(8, Sampler { preset: Some(Preset::PaperText), ..sampler() }, &[]));
    let plain = estimate_of(&task(8, sampler(), &[]));
    assert_eq!(named.llc, plain.llc);
}

#[test]
fn several_samplers_give_an_estimate_each_in_order_and_as_if_alone() {
    let other = Sampler { localization: 50.0, ..sampler() };
    let mut both = task(8, sampler(), &[]);
    both.llc.as_mut().unwrap().samplers.push(other.clone());
    let found = estimates_of(&both, &Library::default(), 2);
    assert_eq!(found.iter().map(|estimate| estimate.sampler).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(found[1].llc, estimate_of(&task(8, other, &[])).llc);
    assert_ne!(found[0].llc, found[1].llc);
}

#[test]
fn a_failed_chain_leaves_no_estimate_and_no_nan() {
    let wild = Sampler { step_size: StepSize::Fixed(1e3), ..sampler() };
    let estimate = estimate_of(&task(9, wild, &[Baseline::Init]));
    assert_eq!(estimate.health(), v1::Health::Diverged);
    assert!(estimate.health_reason.starts_with("the loss of chain 0 became non-finite"), "{}", estimate.health_reason);
    assert_eq!((estimate.llc, estimate.llc_se, estimate.r_hat, estimate.distance), (None, None, None, None));
    assert_eq!(estimate.llc_baseline_init, None);
    assert!(estimate.initial_loss.unwrap().is_finite());
}

#[test]
fn where_the_loss_is_flat_no_step_size_follows_from_curvature() {
    let mut flat = task(8, Sampler { step_size: StepSize::Stable { stable: 0.1 }, ..sampler() }, &[]);
    flat.model = flat.model.with_init(Init::Zero);
    let estimate = estimate_of(&flat);
    assert_eq!((estimate.health(), estimate.llc), (v1::Health::Unstable, None));
    assert!(estimate.health_reason.starts_with("the loss is flat to second order"), "{}", estimate.health_reason);
    assert!(estimate.initial_loss.is_some());
    assert_eq!(estimate.settings.unwrap().step_size, None);
}

#[test]
fn a_crossing_is_flat_at_its_minimum_and_a_teacher_of_rank_0_too() {
    let stable = Sampler { step_size: StepSize::Stable { stable: 0.15 }, nbeta: Nbeta::Fixed(1e4), ..sampler() };
    let mut linear = gaussian_task(&[3, 2, 3], 0, 20);
    linear.model = linear.model.with_init(Init::Teacher);
    for mut flat in [potential_task(Potential::Powers([1, 1])), potential_task(Potential::Powers([2, 0])), linear] {
        flat.llc = task(8, stable.clone(), &[]).llc;
        let estimate = estimate_of(&flat);
        assert_eq!((estimate.health(), estimate.llc), (v1::Health::Unstable, None), "{:?}", flat.model);
    }
    let mut gentle = potential_task(Potential::Curvatures(vec![1e-11; 2]));
    gentle.llc = task(8, stable, &[]).llc;
    let step_size = estimate_of(&gentle).settings.unwrap().step_size.unwrap();
    assert!((step_size / (0.15 / (1e4 * 1e-11)) - 1.0).abs() < 1e-3, "{step_size}");
}

#[test]
fn a_network_without_a_finite_loss_has_diverged_and_is_not_flat() {
    for scale in [f64::NAN, f64::INFINITY] {
        let diverged = task(8, Sampler { step_size: StepSize::Stable { stable: 0.1 }, ..sampler() }, &[]);
        let weights = Tensor::from_slice(&models::initial_weights(&diverged)) * scale;
        let permits = Permits::new(0);
        let subject =
            Subject { number: 0, task: &diverged, examples: &Examples::of(&diverged), weights: &weights, step: 5 };
        let estimate = estimates(&[subject], Device::Cpu, &permits, &Library::default()).remove(0).remove(0);
        assert_eq!(estimate.health(), v1::Health::Diverged);
        assert_eq!(estimate.health_reason, "the loss at w* is not finite");
        assert_eq!((estimate.llc, estimate.initial_loss), (None, None));
    }
}

#[test]
fn what_a_sampler_knows_of_curvature_does_not_depend_on_the_samplers_beside_it() {
    let looking = Sampler { draws: 10_000, chains: 1, ..sampler() };
    let mut both = task(8, Sampler { step_size: StepSize::Stable { stable: 0.1 }, ..sampler() }, &[]);
    both.llc.as_mut().unwrap().samplers.push(looking.clone());
    let beside = estimates_of(&both, &Library::default(), 0).remove(1);
    let alone = estimate_of(&task(8, looking, &[]));
    assert!(alone.stiffness.is_some());
    assert_eq!(v1::Estimate { sampler: 0, ..beside }, alone);
}

#[test]
fn a_stopped_task_has_no_estimates_and_leaves_no_baseline() {
    let library = Library { stopped: true, ..Library::default() };
    assert_eq!(estimates_of(&task(10, sampler(), &[Baseline::Zero]), &library, 0), []);
    assert_eq!(library.given.into_inner(), 0);
}

#[test]
fn a_baseline_is_that_of_its_own_configuration_whoever_asks() {
    let library = Library::default();
    let asking = task(11, sampler(), &[Baseline::Zero, Baseline::Init]);
    let found = estimates_of(&asking, &library, 0).remove(0);
    for (baseline, value) in [(Baseline::Zero, found.llc_baseline_zero), (Baseline::Init, found.llc_baseline_init)] {
        let config = asking.baseline(baseline, 0).unwrap();
        let weights = Tensor::from_slice(&models::initial_weights(&config));
        let alone = Permits::new(0);
        let examples = Examples::of(&config);
        let subject = Subject { number: 0, task: &config, examples: &examples, weights: &weights, step: 0 };
        let own = estimates(&[subject], Device::Cpu, &alone, &library).remove(0);
        assert_eq!(value, own[0].llc);
        assert_eq!(library.kept.lock().unwrap()[&config.digest()].llc, value);
    }
    assert_ne!(found.llc_baseline_zero, found.llc_baseline_init);
}

#[test]
fn a_baseline_is_made_once_however_many_ask_at_once() {
    let library = Library::default();
    let ask = |seed| {
        let task = TaskConfig { seed, ..task(12, sampler(), &[Baseline::Zero]) };
        estimates_of(&task, &library, 0).remove(0).llc_baseline_zero
    };
    let values: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|seed| scope.spawn(move || ask(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(values[0].is_some() && values.iter().all(|value| *value == values[0]));
    assert_eq!((library.asked.into_inner(), library.given.into_inner()), (1, 1));
}

#[test]
fn a_baseline_that_another_worker_made_is_not_made_again() {
    let library = Library::default();
    let task = task(13, sampler(), &[Baseline::Zero]);
    let made = v1::Estimate { llc: Some(42.0), ..v1::Estimate::default() };
    library.kept.lock().unwrap().insert(task.baseline(Baseline::Zero, 0).unwrap().digest(), made);
    assert_eq!(estimates_of(&task, &library, 0)[0].llc_baseline_zero, Some(42.0));
    assert_eq!(library.given.into_inner(), 0);
}
