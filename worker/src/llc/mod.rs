//! The estimates of a checkpoint: resolves each sampler's settings, runs its chains, diagnoses them, and puts the null
//! baselines beside them.
//!
//! ε `step_size`, γ `localization`, nβ `nbeta`, h_max the loss's curvature at w* that is greatest in absolute value, N training examples.

mod baselines;

use phasegrid_proto::task::{Baseline, BatchSize, Sampler, StepSize, TaskConfig};
use phasegrid_proto::v1;
use tch::{Device, Kind, Tensor};

use crate::data::Examples;
use crate::estimate::{self, Evidence, Failure};
use crate::objective::{Objective, SquaredError};
use crate::permits::Permits;
use crate::random::{Normals, Stream, Subsets};
use crate::sampler::{self, Chance, Settings};
use crate::surroundings::Surroundings;

/// Power iterations for a step size that is a share of what curvature allows.
const ITERATIONS_TO_SETTLE: usize = 200;

/// Power iterations that merely look whether a given step size is stable.
const ITERATIONS_TO_LOOK: usize = 10;

/// Share of an estimate's arithmetic that looking may cost. Where it would cost more an unstable step size shows as
/// divergence only.
const SHARE_FOR_LOOKING: f64 = 0.02;

/// A network whose LLC is to be estimated.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The member of the ensemble whose network it is.
    pub number: usize,
    /// Its task, with the samplers.
    pub task: &'a TaskConfig,
    /// The task's examples.
    pub examples: &'a Examples,
    /// w*, `[D]`.
    pub weights: &'a Tensor,
    /// Optimiser steps that led to it.
    pub step: u64,
}

/// The estimates of each subject, one a sampler of its task and in the task's order. The subjects are of one ensemble.
///
/// The caller's thread holds a permit; idle ones are used for further chains. Of a subject that `surroundings` says is
/// stopped, estimates are missing and the rest is of no use to anyone.
pub fn estimates(
    subjects: &[Subject],
    device: Device,
    permits: &Permits,
    surroundings: &dyn Surroundings,
) -> Vec<Vec<v1::Estimate>> {
    subjects.iter().map(|subject| estimates_of(subject, device, permits, surroundings)).collect()
}

fn estimates_of(
    subject: &Subject,
    device: Device,
    permits: &Permits,
    surroundings: &dyn Surroundings,
) -> Vec<v1::Estimate> {
    let Subject { number, task, examples, weights, step } = *subject;
    let stopped: &(dyn Fn() -> bool + Sync) = &|| surroundings.stopped(number);
    let Some(llc) = &task.llc else { return Vec::new() };
    let weights = weights.to_device(device);
    let checkpoint = Checkpoint { task, examples, step, device, permits, stopped };
    let complete = |(index, sampler): (usize, &Sampler)| {
        let mut estimate = checkpoint.estimate(&weights, sampler)?;
        estimate.sampler = index as u32;
        for baseline in &llc.baselines {
            let config = task.baseline(*baseline, index)?;
            let found = baselines::find(&config, &checkpoint, surroundings)?;
            match baseline {
                Baseline::Zero => estimate.llc_baseline_zero = found.llc,
                Baseline::Init => estimate.llc_baseline_init = found.llc,
            }
        }
        Some(estimate)
    };
    llc.samplers.iter().enumerate().map_while(complete).collect()
}

/// What estimates around one w* depend on, but for w* itself, and what they may use.
struct Checkpoint<'a> {
    task: &'a TaskConfig,
    examples: &'a Examples,
    step: u64,
    device: Device,
    permits: &'a Permits,
    stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Checkpoint<'_> {
    /// The estimate of one sampler at `weights` [D], without baselines; `None` if stopped.
    fn estimate(&self, weights: &Tensor, sampler: &Sampler) -> Option<v1::Estimate> {
        let (settings, curvature) = self.settle(weights, sampler)?;
        let mut estimate = v1::Estimate {
            settings: Some(v1::SamplerSettings {
                preset: sampler.preset.map(name).unwrap_or_default(),
                step_size: Some(settings.step_size).filter(|step_size| *step_size > 0.0),
                localization: settings.localization,
                nbeta: settings.nbeta,
                chains: sampler.chains,
                burn_in: sampler.burn_in,
                draws: sampler.draws,
                batch_size: settings.batch_size.unwrap_or(self.examples.train.len()) as u64,
                method: name(sampler.method),
                layer: sampler.layer.unwrap_or(0),
                initial_loss: name(sampler.initial_loss),
            }),
            ..v1::Estimate::default()
        };
        let (health, reason) = if settings.step_size > 0.0 {
            self.sample(weights, sampler, &settings, curvature, &mut estimate)?
        } else {
            let reason = "the loss is flat to second order at w*: no step size follows from step_size.stable";
            (v1::Health::Unstable, reason.to_owned())
        };
        estimate.set_health(health);
        estimate.health_reason = reason;
        Some(estimate)
    }

    /// Runs the chains, fills in what they say, and returns the verdict.
    fn sample(
        &self,
        weights: &Tensor,
        sampler: &Sampler,
        settings: &Settings,
        curvature: Option<f64>,
        estimate: &mut v1::Estimate,
    ) -> Option<(v1::Health, String)> {
        // In double precision: at low temperature the draws' excess over it is small.
        let exact = weights.to_kind(Kind::Double).unsqueeze(0); // [1, D]
        let whole = self.objective(1, Kind::Double);
        let initial_loss = whole.loss_and_gradient(&exact, None, &mut exact.zeros_like()).double_value(&[0]);
        drop(whole);
        if !initial_loss.is_finite() {
            return Some((v1::Health::Diverged, "the loss at w* is not finite".to_owned()));
        }
        estimate.initial_loss = Some(initial_loss);

        let start = weights.to_kind(Kind::Float);
        let objective = |members| self.objective(members, Kind::Float);
        let chance = |chain| self.chance(sampler, chain);
        let chains = sampler::run(&objective, &start, settings, &chance, self.permits, self.stopped)?;
        let chains = match chains.into_iter().collect::<Result<Vec<_>, Failure>>() {
            Ok(chains) => chains,
            Err(failure) => {
                return Some(estimate::verdict(&Evidence { failure: Some(failure), ..Evidence::default() }));
            }
        };

        let norm = exact.norm().double_value(&[]);
        let distance = chains.iter().map(|chain| chain.distance).sum::<f64>() / chains.len() as f64;
        estimate.distance = finite(distance / norm);
        let losses: Vec<_> = chains.into_iter().map(|chain| chain.losses).collect();
        let summary = estimate::summarise(&losses, initial_loss, settings.nbeta)?;
        let Some(llc) = finite(summary.llc) else {
            return Some((v1::Health::Diverged, "the draws are finite, but their mean times nbeta is not".to_owned()));
        };
        estimate.llc = Some(llc);
        estimate.llc_se = summary.llc_se.and_then(finite);
        estimate.r_hat = summary.r_hat;
        estimate.ess = summary.ess;
        estimate.drift = finite(summary.drift);
        estimate.below_initial = Some(summary.below_initial);
        Some(estimate::verdict(&Evidence {
            failure: None,
            stiffness: curvature.map(|h_max| settings.step_size * (settings.nbeta * h_max + settings.localization)),
            distance: estimate.distance,
            r_hat: summary.r_hat,
        }))
    }

    /// Derives every setting of `sampler`, and h_max where it is needed or comes cheap. A step size of 0 stands for none:
    /// it was to follow from the curvature, and there is none. `None` if stopped.
    fn settle(&self, weights: &Tensor, sampler: &Sampler) -> Option<(Settings, Option<f64>)> {
        let examples = self.examples.train.len() as u64;
        let batch = sampler.batch_size.resolve(examples);
        let nbeta = sampler.nbeta.resolve(examples, batch);
        let (step_size, curvature) = match sampler.step_size {
            StepSize::Fixed(step_size) => {
                // Two gradients an iteration, each on all examples and in double precision, which costs twice.
                let looking = (4 * ITERATIONS_TO_LOOK) as f64 * examples as f64;
                let cheap = looking <= SHARE_FOR_LOOKING * sampler.steps() as f64 * batch as f64;
                (step_size, cheap.then(|| self.curvature(weights, ITERATIONS_TO_LOOK)).flatten())
            }
            StepSize::Stable { stable } => {
                let curvature = self.curvature(weights, ITERATIONS_TO_SETTLE);
                (curvature.map_or(0.0, |h_max| stable / (nbeta * h_max)), curvature)
            }
        };
        // A curvature that was not waited for is not the same as none.
        if (self.stopped)() {
            return None;
        }
        let settings = Settings {
            step_size,
            localization: sampler.localization,
            nbeta,
            chains: sampler.chains as usize,
            burn_in: sampler.burn_in as usize,
            draws: sampler.draws as usize,
            batch_size: match sampler.batch_size {
                BatchSize::Full => None,
                BatchSize::Size(size) => Some(size as usize),
            },
        };
        Some((settings, curvature))
    }

    /// h_max, from a start that the task and the checkpoint decide.
    fn curvature(&self, weights: &Tensor, iterations: usize) -> Option<f64> {
        let mut normals = Normals::derive(self.task.seed, "curvature", &[self.step]);
        sampler::greatest_curvature(&self.objective(1, Kind::Double), weights, &mut normals, iterations, self.stopped)
    }

    fn objective(&self, members: usize, kind: Kind) -> SquaredError {
        SquaredError::of(self.task, self.examples, members, kind, self.device)
    }

    /// A chain's streams depend on the task's seed, the checkpoint, the sampler's settings and the chain's number.
    fn chance(&self, sampler: &Sampler, chain: usize) -> Chance {
        // The preset is a name, not a setting.
        let settings = serde_json::to_string(&Sampler { preset: None, ..sampler.clone() })
            .unwrap_or_else(|error| unreachable!("plain data always serialises: {error}"));
        let content = Stream::derive(0, &settings, &[]).uniform_u64_below(u64::MAX);
        let indices = [content, self.step, chain as u64];
        let batches = Stream::derive(self.task.seed, "chain batches", &indices);
        Chance {
            noise: Normals::derive(self.task.seed, "chain", &indices),
            batches: Subsets::new(batches, self.examples.train.len()),
        }
    }
}

/// What a record may hold of `value`.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// The word that stands for a value in a sweep file.
fn name(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
