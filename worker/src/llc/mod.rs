//! The estimates of a checkpoint, for all networks of an ensemble that are at one.
//!
//! `reference` measures L(w*) and curvature at each w* (a `Site`). A `Case` is a site with one of its samplers, every
//! setting derived from them; its chains go on a `Walk`, on several where sensitivity is asked for. The walks of all cases
//! run in one go ([`crate::sampler`]), `conclude` diagnoses what they recorded, and the null `baselines` are put beside it.
//!
//! ε `step_size`, γ `localization`, nβ `nbeta`, h_max the loss's curvature at w* that is greatest in absolute value, N
//! training examples.

mod baselines;
mod case;
mod conclude;
mod reference;
mod walk;

use phasegrid_proto::task::{Baseline, Sampler, TaskConfig};
use phasegrid_proto::v1;
use tch::{Device, Kind, Tensor};

use crate::data::{Examples, Set};
use crate::host;
use crate::models;
use crate::objective::SquaredError;
use crate::permits::Permits;
use crate::sampler::{self, Form};
use crate::surroundings::Surroundings;
use case::Case;
use walk::Walk;

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
/// The caller's thread holds a permit; idle ones are used for further chains. A subject that `surroundings` says is
/// stopped has none.
pub fn estimates(
    subjects: &[Subject],
    device: Device,
    permits: &Permits,
    surroundings: &dyn Surroundings,
) -> Vec<Vec<v1::Estimate>> {
    let laboratory = Laboratory { device, form: Form::of(device), permits, surroundings };
    let sites: Vec<Site> = subjects.iter().map(Site::of).collect();
    let found = laboratory.estimate(&sites);
    let complete = |(site, estimates): (&Site, Option<_>)| laboratory.complete(site, estimates?);
    sites.iter().zip(found).map(|pair| complete(pair).unwrap_or_default()).collect()
}

/// A w* and what decides everything about the estimates there.
struct Site<'a> {
    /// On whose behalf.
    number: usize,
    task: &'a TaskConfig,
    examples: &'a Examples,
    step: u64,
    /// w*, D numbers
    weights: Vec<f32>,
}

impl<'a> Site<'a> {
    fn of(subject: &Subject<'a>) -> Self {
        let Subject { number, task, examples, weights, step } = *subject;
        Self { number, task, examples, step, weights: host::values(weights) }
    }

    fn samplers(&self) -> &'a [Sampler] {
        self.task.llc.as_ref().map_or(&[], |llc| &llc.samplers)
    }

    /// The training loss of networks at these sites, of one ensemble.
    fn objective(sites: &[&Self], kind: Kind, device: Device) -> SquaredError {
        let sets: Vec<&Set> = sites.iter().map(|site| &site.examples.train).collect();
        let task = sites[0].task;
        SquaredError::new(models::of(task), task.train.loss, &sets, kind, device)
    }

    /// About how many numbers one network takes in memory, with `n` examples behind a loss: some copies of its weights, and
    /// the examples' inputs, activations and outputs.
    fn numbers(&self, n: usize) -> usize {
        const COPIES: usize = 16;
        let model = models::of(self.task);
        let widest = model.layers().iter().map(|layer| layer.inputs).max().unwrap_or(1);
        let example = widest + model.outputs().unsigned_abs() as usize;
        COPIES * self.weights.len() + (self.examples.train.len() + 4 * n) * example
    }
}

/// What estimates are made with.
#[derive(Clone, Copy)]
struct Laboratory<'a> {
    device: Device,
    form: Form,
    permits: &'a Permits,
    surroundings: &'a dyn Surroundings,
}

impl Laboratory<'_> {
    fn stopped(&self, site: &Site) -> bool {
        self.surroundings.stopped(site.number)
    }

    /// The estimates of each site without baselines; `None` where it was stopped.
    fn estimate(&self, sites: &[Site]) -> Vec<Option<Vec<v1::Estimate>>> {
        let references = reference::measure(sites, self);
        let cases: Vec<Case> = sites.iter().zip(&references).flat_map(|(site, found)| Case::all(site, found)).collect();
        let walks: Vec<Vec<Walk>> = cases.iter().map(|case| Walk::all(case, self).collect()).collect();
        let objective = |walks: &[&Walk]| {
            let sites: Vec<&Site> = walks.iter().map(|walk| walk.case.site).collect();
            Site::objective(&sites, Kind::Float, self.device)
        };
        let all: Vec<&Walk> = walks.iter().flatten().collect();
        let options = (Kind::Float, self.device);
        let mut outcomes = sampler::run(&all, &objective, options, self.form, self.permits).into_iter();

        let concluded = cases.iter().zip(&walks).map(|(case, walks)| {
            let own: Vec<_> = outcomes.by_ref().take(walks.len()).collect();
            Some(conclude::estimate(case, own.into_iter().collect::<Option<_>>()?))
        });
        let mut concluded = concluded.collect::<Vec<_>>().into_iter();
        let of_site = |site: &Site| {
            let own: Vec<_> = concluded.by_ref().take(site.samplers().len()).collect();
            own.into_iter().collect::<Option<_>>().filter(|_| !self.stopped(site))
        };
        sites.iter().map(of_site).collect()
    }

    /// Puts the baselines beside the estimates of a site; `None` if it was stopped.
    fn complete(&self, site: &Site, mut estimates: Vec<v1::Estimate>) -> Option<Vec<v1::Estimate>> {
        for (index, estimate) in estimates.iter_mut().enumerate() {
            for baseline in site.task.llc.iter().flat_map(|llc| &llc.baselines) {
                let config = site.task.baseline(*baseline, index)?;
                let found = baselines::find(&config, site, self)?;
                match baseline {
                    Baseline::Zero => estimate.llc_baseline_zero = found.llc,
                    Baseline::Init => estimate.llc_baseline_init = found.llc,
                }
            }
        }
        Some(estimates)
    }
}

#[cfg(test)]
mod tests;
