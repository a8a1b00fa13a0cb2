//! Subjects of an ensemble have the estimates that they have alone, whatever form the computation takes.

use super::*;
use crate::models::tests::mlp_task;
use crate::sampler::Stacking;
use phasegrid_proto::task::{Activation, Data};

/// All dynamics, on minibatches and on everything, of all weights and of one layer, with different lengths of steps.
fn samplers() -> Vec<Sampler> {
    let stable = |method| Sampler { method, step_size: StepSize::Stable { stable: 0.05 }, ..sampler() };
    let mut all: Vec<_> = [Method::Sgld, Method::RmspropSgld, Method::Mala].map(stable).to_vec();
    all.push(Sampler { layer: Some(2), nbeta: Nbeta::Rule(NbetaRule::NOverLogN), ..stable(Method::Sgld) });
    all.push(Sampler {
        batch_size: BatchSize::Size(5),
        initial_loss: InitialLoss::Paired,
        sensitivity: true,
        step_size: StepSize::Fixed(1e-5),
        ..sampler()
    });
    all
}

/// Three members that differ in seed and in N, and one in its samplers.
fn members(like: &TaskConfig) -> Vec<TaskConfig> {
    let member = |seed: u64| {
        let mut task = TaskConfig { seed, ..like.clone() };
        match &mut task.data {
            Data::Modular { train_fraction, .. } => *train_fraction = 0.3 + 0.2 * seed as f64,
            Data::Gaussian { samples, .. } => *samples += 7 * seed,
            Data::Origin => {}
        }
        let mut samplers = samplers();
        samplers.truncate(if seed == 1 { 2 } else { samplers.len() });
        task.llc = Some(Llc { samplers, baselines: vec![], checkpoints: None, shard: None });
        task
    };
    (0..3).map(member).collect()
}

/// The estimates of all in one call, in this form.
fn estimate(tasks: &[TaskConfig], form: Form, idle: usize) -> Vec<Vec<v1::Estimate>> {
    let examples: Vec<_> = tasks.iter().map(Examples::of).collect();
    let site = |(number, task): (usize, _)| {
        let weights = models::initial_weights(task);
        Site { number, task, examples: &examples[number], step: 5, weights }
    };
    let sites: Vec<_> = tasks.iter().enumerate().map(site).collect();
    let (permits, surroundings) = (Permits::new(idle), Library::default());
    let laboratory = Laboratory { device: Device::Cpu, form, permits: &permits, surroundings: &surroundings };
    laboratory.estimate(&sites).into_iter().map(Option::unwrap).collect()
}

const STACKED: Form = Form { stacking: Stacking::OfAll { numbers: usize::MAX }, on_device: false };

#[test]
fn an_estimate_depends_neither_on_the_subjects_beside_it_nor_on_threads() {
    for like in [modular_task(7, 8, 0), gaussian_task(&[4, 3, 5], 2, 20), mlp_task(7, 5, Activation::Relu)] {
        let tasks = members(&like);
        let alone: Vec<_> = tasks.chunks(1).map(|task| estimate(task, Form::of(Device::Cpu), 0).remove(0)).collect();
        assert!(alone.iter().flatten().all(|estimate| estimate.llc.is_some()));
        assert_ne!(alone[0][0].llc, alone[1][0].llc);
        for idle in [0, 3] {
            assert_eq!(estimate(&tasks, Form::of(Device::Cpu), idle), alone);
        }
    }
}

#[test]
fn stacking_all_chains_changes_no_estimate() {
    for like in [modular_task(7, 8, 0), gaussian_task(&[4, 3, 5], 2, 20), mlp_task(7, 5, Activation::Tanh)] {
        let tasks = members(&like);
        let (apart, stacked) = (estimate(&tasks, Form::of(Device::Cpu), 0), estimate(&tasks, STACKED, 0));
        for (apart, stacked) in apart.iter().flatten().zip(stacked.iter().flatten()) {
            // A step size that follows curvature differs in the last bits, since that is a difference of gradients which
            // other operations made; everything else is the same to the bit.
            let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() / b.unwrap() - 1.0).abs() < 1e-4;
            let exact = apart.settings.as_ref().unwrap().step_size == stacked.settings.as_ref().unwrap().step_size;
            assert!(near(apart.llc, stacked.llc) && near(apart.initial_loss, stacked.initial_loss), "{apart:?}");
            assert!(!exact || apart.llc == stacked.llc, "{apart:?} {stacked:?}");
            assert!(apart.sampler != 4 || exact, "a step size that is given");
        }
    }
}

#[test]
fn the_form_of_an_accelerator_finds_the_same_to_the_standard_error() {
    let mut task = gaussian_task(&[3, 4], 3, 200);
    task.model = task.model.with_init(Init::Teacher);
    let long = |sampler| Sampler { burn_in: 200, draws: 3000, chains: 8, ..sampler };
    let methods = [Method::Sgld, Method::RmspropSgld, Method::Mala];
    let mut samplers = methods.map(|method| Sampler { method, step_size: StepSize::Fixed(5e-3), ..sampler() }).to_vec();
    samplers.push(Sampler { batch_size: BatchSize::Size(20), ..samplers[0].clone() });
    let samplers = samplers.into_iter().map(long).collect();
    task.llc = Some(Llc { samplers, baselines: vec![], checkpoints: None, shard: None });
    let form = Form { on_device: true, ..STACKED };
    let [host, device] = [Form::of(Device::Cpu), form].map(|form| estimate(&[task.clone()], form, 0).remove(0));
    for (host, device) in host.iter().zip(&device) {
        let error = host.llc_se.unwrap().hypot(device.llc_se.unwrap());
        assert!((host.llc.unwrap() - device.llc.unwrap()).abs() < 3.0 * error, "{host:?} {device:?}");
        assert!(error < 0.05 * host.llc.unwrap() && host.llc != device.llc);
    }
}
