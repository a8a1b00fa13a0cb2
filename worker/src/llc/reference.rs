//! What is measured at w* before any chain starts there: once a site, whatever the number of its samplers.

use phasegrid_proto::task::{Sampler, StepSize};
use tch::{Device, Kind, Tensor};

use super::{Laboratory, Site};
use crate::objective::Objective;
use crate::random::Normals;
use crate::sampler::{Course, Curvature, Stacking, power_iterations, spread};

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
    /// The power iterations for the weights of a layer, or all.
    courses: Vec<(Option<u32>, Course)>,
}

impl Reference {
    /// h_max for `sampler`, where it is needed or comes cheap. What other samplers have to know makes no difference.
    pub(super) fn curvature(&self, site: &Site, sampler: &Sampler) -> Option<Curvature> {
        let iterations = iterations(site, sampler)?;
        let (_, course) = self.courses.iter().find(|(layer, _)| *layer == sampler.layer)?;
        Some(course.after(iterations))
    }
}

/// The power iterations that `sampler` asks for, if any.
fn iterations(site: &Site, sampler: &Sampler) -> Option<usize> {
    match sampler.step_size {
        StepSize::Stable { .. } => Some(ITERATIONS_TO_SETTLE),
        StepSize::Fixed(_) => {
            let examples = site.examples.train.len() as u64;
            // Two gradients an iteration, each on all examples and in double precision, which costs twice.
            let looking = (4 * ITERATIONS_TO_LOOK) as f64 * examples as f64;
            let sampling = sampler.steps() as f64 * sampler.batch_size.resolve(examples) as f64;
            (looking <= SHARE_FOR_LOOKING * sampling).then_some(ITERATIONS_TO_LOOK)
        }
    }
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
        .map(|e| Reference { initial_loss: losses.double_value(&[e]), courses: Vec::new() })
        .collect();
    for (layer, iterations) in all_asked(sites) {
        let moving = objective.model().range_of(layer);
        // From a start that the task and the checkpoint decide.
        let normals = |site: &Site| Normals::derive(site.task.seed, "curvature", &[site.step]);
        let mut normals: Vec<Normals> = sites.iter().map(normals).collect();
        let found = power_iterations(&objective, &weights, &mut normals, &moving, iterations, &stopped);
        let Some(found) = found else { break };
        for (reference, course) in references.iter_mut().zip(found) {
            reference.courses.push((layer, course));
        }
    }
    references
}

/// The layers of which samplers of these sites have to know something, each once, with the most iterations that one of them
/// asks for.
fn all_asked(sites: &[Site]) -> Vec<(Option<u32>, usize)> {
    let mut all: Vec<(Option<u32>, usize)> = Vec::new();
    let samplers = sites.iter().flat_map(|site| site.samplers().iter().map(move |sampler| (site, sampler)));
    for (site, sampler) in samplers {
        let Some(iterations) = iterations(site, sampler) else { continue };
        match all.iter_mut().find(|(layer, _)| *layer == sampler.layer) {
            Some((_, most)) => *most = iterations.max(*most),
            None => all.push((sampler.layer, iterations)),
        }
    }
    all
}
