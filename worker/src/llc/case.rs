//! One sampler at one w*, with every setting that follows from the two.

use phasegrid_proto::task::{BatchSize, InitialLoss, Sampler, StepSize};
use phasegrid_proto::v1;

use super::Site;
use super::reference::Reference;
use crate::estimate::finite;
use crate::models;
use crate::random::Stream;
use crate::sampler::{Curvature, Settings};

/// What one estimate is of.
pub(super) struct Case<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) reference: &'a Reference,
    /// The sampler's place in its task.
    index: usize,
    pub(super) sampler: &'a Sampler,
    /// ε; `None` if it was to follow from the curvature, and there is none.
    step_size: Option<f64>,
    pub(super) nbeta: f64,
    /// h_max of the weights that move, if it was looked for.
    pub(super) curvature: Option<Curvature>,
    /// Names the chains' streams, with task and checkpoint.
    pub(super) content: u64,
}

impl<'a> Case<'a> {
    /// Those of a site, in the order of its samplers.
    pub(super) fn all(site: &'a Site<'a>, reference: &'a Reference) -> impl Iterator<Item = Self> {
        site.samplers().iter().enumerate().map(move |(index, sampler)| Self::new(site, reference, index, sampler))
    }

    fn new(site: &'a Site<'a>, reference: &'a Reference, index: usize, sampler: &'a Sampler) -> Self {
        let examples = site.examples.train.len() as u64;
        let nbeta = sampler.nbeta.resolve(examples, sampler.batch_size.resolve(examples));
        let curvature = reference.curvature(site, sampler);
        let step_size = match sampler.step_size {
            StepSize::Fixed(step_size) => Some(step_size),
            StepSize::Stable { stable } => curvature.and_then(Curvature::value).map(|h_max| stable / (nbeta * h_max)),
        };
        Self { site, reference, index, sampler, step_size, nbeta, curvature, content: content(sampler) }
    }

    /// What its chains run with; `None` if there is no step size.
    pub(super) fn settings(&self) -> Option<Settings> {
        let sampler = self.sampler;
        let batch_size = match sampler.batch_size {
            BatchSize::Full => None,
            BatchSize::Size(size) => Some(size as usize),
        };
        Some(Settings {
            method: sampler.method,
            step_size: self.step_size?,
            localization: sampler.localization,
            nbeta: self.nbeta,
            chains: sampler.chains as usize,
            burn_in: sampler.burn_in as usize,
            draws: sampler.draws as usize,
            batch_size,
            moving: sampler.layer.map(|layer| models::of(self.site.task).range_of(Some(layer))),
            // On the full batch the loss of w* is always the same, and known in double precision.
            paired: sampler.initial_loss == InitialLoss::Paired && batch_size.is_some(),
        })
    }

    /// ε·(nβ·h_max + γ), if it is known.
    pub(super) fn stiffness(&self) -> Option<f64> {
        Some(self.step_size? * (self.nbeta * self.curvature?.value()? + self.sampler.localization))
    }

    /// The estimate before any chain has run: the settings alone.
    pub(super) fn blank(&self) -> v1::Estimate {
        let sampler = self.sampler;
        let settings = v1::SamplerSettings {
            preset: sampler.preset.map(name).unwrap_or_default(),
            step_size: self.step_size,
            localization: sampler.localization,
            nbeta: self.nbeta,
            chains: sampler.chains,
            burn_in: sampler.burn_in,
            draws: sampler.draws,
            batch_size: sampler.batch_size.resolve(self.site.examples.train.len() as u64),
            method: name(sampler.method),
            layer: sampler.layer.unwrap_or(0),
            initial_loss: name(sampler.initial_loss),
        };
        v1::Estimate {
            sampler: self.index as u32,
            settings: Some(settings),
            stiffness: self.stiffness().and_then(finite),
            ..v1::Estimate::default()
        }
    }
}

/// A number for the settings that decide where chains go. What a draw is compared with, what else is measured and the
/// preset's name are none of them: chains are the same with and without.
fn content(sampler: &Sampler) -> u64 {
    let dynamics = Sampler { preset: None, initial_loss: InitialLoss::Whole, sensitivity: false, ..sampler.clone() };
    let text = serde_json::to_string(&dynamics).unwrap_or_else(|error| unreachable!("plain data serialises: {error}"));
    Stream::derive(0, &text, &[]).uniform_u64_below(u64::MAX)
}

/// The word that stands for a value in a sweep file.
fn name(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
