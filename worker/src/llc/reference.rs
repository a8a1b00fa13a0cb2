//! What is measured at w* before any chain starts there: once a site, whatever the number of its samplers.

use std::ops::Range;

use phasegrid_proto::task::{Sampler, StepSize};
use tch::{Device, Kind, Tensor};

use super::{Laboratory, Site};
use crate::models;
use crate::objective::{Objective, SquaredError};
use crate::random::Normals;
use crate::sampler::{self, PowerIteration, Stacking, spread};

/// Power iterations for a step size that is a share of what curvature allows.
const ITERATIONS_TO_SETTLE: usize = 200;

/// Power iterations that merely look whether a given step size is stable.
const ITERATIONS_TO_LOOK: usize = 10;

/// Share of an estimate's arithmetic that looking may cost. Where it would cost more an unstable step size shows as
/// divergence only.
const SHARE_FOR_LOOKING: f64 = 0.02;

/// What is known of a w*. All is in double precision: at low temperature the draws' excess over L(w*) is small.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// L(w*), over the whole training set.
    pub(super) initial_loss: f64,
    /// h_max of the weights that were asked for; `None` where the loss is flat.
    curvatures: Vec<(PowerIteration, Option<f64>)>,
}

impl Reference {
    /// h_max for `sampler`, where it is needed or comes cheap, and there is any.
    pub(super) fn curvature(&self, site: &Site, sampler: &Sampler) -> Option<f64> {
        let asked = asked(site, sampler)?;
        self.curvatures.iter().find(|(answered, _)| *answered == asked).and_then(|(_, curvature)| *curvature)
    }
}

/// The weights that move if those of this layer alone do.
pub(super) fn moving(site: &Site, layer: u32) -> Range<usize> {
    let layers = models::of(site.task).layers();
    let (before, from) = layers.split_at(layer as usize - 1);
    let start = before.iter().map(|layer| layer.weights).sum();
    start..start + from[0].weights
}

/// What `sampler` has to know of curvature, if anything.
fn asked(site: &Site, sampler: &Sampler) -> Option<PowerIteration> {
    let iterations = match sampler.step_size {
        StepSize::Stable { .. } => ITERATIONS_TO_SETTLE,
        StepSize::Fixed(_) => {
            let examples = site.examples.train.len() as u64;
            // Two gradients an iteration, each on all examples and in double precision, which costs twice.
            let looking = (4 * ITERATIONS_TO_LOOK) as f64 * examples as f64;
            let sampling = sampler.steps() as f64 * sampler.batch_size.resolve(examples) as f64;
            (looking <= SHARE_FOR_LOOKING * sampling).then_some(ITERATIONS_TO_LOOK)?
        }
    };
    Some(PowerIteration { moving: sampler.layer.map(|layer| moving(site, layer)), iterations })
}

/// The references of all sites, stacked or one by one as chains are. Those of a site that is stopped meanwhile are of no
/// use.
pub(super) fn measure(sites: &[Site], laboratory: &Laboratory) -> Vec<Reference> {
    let numbers = sites.iter().map(|site| site.numbers(site.examples.train.len())).max().unwrap_or(1);
    let together = match laboratory.form.stacking {
        Stacking::OfOneOrigin => 1,
        // Double precision takes twice the memory.
        Stacking::OfAll { numbers: most } => (most / 2 / numbers).max(1),
    };
    let groups: Vec<&[Site]> = sites.chunks(together).collect();
    let permits = Some(laboratory.permits).filter(|_| laboratory.device == Device::Cpu);
    spread(groups.len(), permits, &|(): &mut (), group| measure_together(groups[group], laboratory)).concat()
}

/// The references of sites that are stacked.
fn measure_together(sites: &[Site], laboratory: &Laboratory) -> Vec<Reference> {
    let stopped = || sites.iter().all(|site| laboratory.stopped(site));
    let all: Vec<&Site> = sites.iter().collect();
    let objective = Site::objective(&all, Kind::Double, laboratory.device);
    let rows: Vec<Tensor> = sites.iter().map(|site| Tensor::from_slice(&site.weights)).collect();
    let weights = Tensor::stack(&rows, 0).to_device(laboratory.device).to_kind(Kind::Double); // [E, D]

    let losses = objective.loss(&weights, None);
    let mut references: Vec<Reference> = (0..sites.len() as i64)
        .map(|e| Reference { initial_loss: losses.double_value(&[e]), curvatures: Vec::new() })
        .collect();
    for asked in all_asked(sites) {
        let found = curvatures(sites, &objective, &weights, &asked, &stopped);
        for (reference, curvature) in references.iter_mut().zip(found) {
            reference.curvatures.push((asked.clone(), curvature));
        }
    }
    references
}

/// What the samplers of these sites have to know of curvature, each once.
fn all_asked(sites: &[Site]) -> Vec<PowerIteration> {
    let mut all = Vec::new();
    for site in sites {
        let of_site = site.samplers().iter().filter_map(|sampler| asked(site, sampler));
        of_site.for_each(|asked| {
            if !all.contains(&asked) {
                all.push(asked)
            }
        });
    }
    all
}

/// h_max of each site, from a start that its task and the checkpoint decide.
fn curvatures(
    sites: &[Site],
    objective: &SquaredError,
    weights: &Tensor,
    asked: &PowerIteration,
    stopped: &dyn Fn() -> bool,
) -> Vec<Option<f64>> {
    let normals = |site: &Site| Normals::derive(site.task.seed, "curvature", &[site.step]);
    let mut normals: Vec<Normals> = sites.iter().map(normals).collect();
    sampler::greatest_curvatures(objective, weights, &mut normals, asked, stopped)
}
