//! What each sampler would find if the loss were its Gauss-Newton quadratic ½·(w−w*)ᵀG(w−w*): the sum over the eigenvalues
//! of G of [`llc_of_curvature`]. A sampler of one layer sees that layer's block of G.
//!
//! Where the Jacobian is written out the sum is exact. Elsewhere it is probed ([`lanczos`]) until its standard error is
//! below 1 % or there are 32 of them, whose mean is then taken as it is: probes of 32 to 128 products with G, each of which
//! costs a gradient for Jᵀ and two passes forward for J, in double precision.

use phasegrid_proto::theory::llc_of_curvature;
use phasegrid_proto::v1;
use tch::Tensor;

use super::Point;
use super::jacobian::Jacobian;
use super::lanczos::{self, Quadrature};
use crate::estimate::{finite, mean_and_error};
use crate::objective::DISTANCE;

/// The standard error, relative to the value, at which there are probes enough.
const ACCURACY: f64 = 0.01;

const FEWEST_PROBES: usize = 4;
const MOST_PROBES: usize = 32;

/// Puts beside each estimate what its sampler would find. Without `jacobian` the spectrum is probed. If stopped, some are
/// left without.
pub(super) fn predict(point: &Point, jacobian: Option<&Jacobian>, estimates: &mut [v1::Estimate]) {
    // The layer, of samplers that have a prediction at all.
    let layer_of = |estimate: &v1::Estimate| {
        let settings = estimate.settings.as_ref()?;
        let layer = Some(settings.layer).filter(|layer| *layer > 0); // 0 is all, in a record
        llc_of_curvature(0.0, settings).map(|_| layer)
    };
    let mut layers: Vec<Option<u32>> = estimates.iter().filter_map(layer_of).collect();
    layers.sort_unstable();
    layers.dedup();
    for layer in layers {
        let mut of_layer: Vec<_> = estimates.iter_mut().filter(|estimate| layer_of(estimate) == Some(layer)).collect();
        let settings: Vec<_> = of_layer.iter().filter_map(|estimate| estimate.settings.clone()).collect();
        let spectrum = match jacobian {
            Some(jacobian) => Some(vec![jacobian.curvatures(layer).into_iter().map(|h| (1.0, h)).collect()]),
            None => probed(point, layer, &settings),
        };
        let Some(spectrum) = spectrum else { return };
        for (estimate, settings) in of_layer.iter_mut().zip(&settings) {
            let values = sums(&spectrum, settings);
            estimate.llc_gauss_newton = values.and_then(|values| finite(mean_and_error(&values).0));
        }
    }
}

/// Of each quadrature what it says that a sampler of these settings finds; `None` if the settings have no prediction.
fn sums(spectrum: &[Quadrature], settings: &v1::SamplerSettings) -> Option<Vec<f64>> {
    spectrum.iter().map(|quadrature| sum(quadrature, settings)).collect()
}

fn sum(quadrature: &Quadrature, settings: &v1::SamplerSettings) -> Option<f64> {
    quadrature.iter().map(|(weight, h)| Some(weight * llc_of_curvature(*h, settings)?)).sum()
}

/// Quadratures enough for all of these settings; `None` if stopped.
fn probed(point: &Point, layer: Option<u32>, settings: &[v1::SamplerSettings]) -> Option<Vec<Quadrature>> {
    let matrix = GaussNewton::new(point, layer);
    let mut spectrum: Vec<Quadrature> = Vec::new();
    // Settings without a prediction are settled: no probe will give them one.
    let settled = |spectrum: &[Quadrature], settings| match sums(spectrum, settings).map(|sums| mean_and_error(&sums)) {
        Some((mean, Some(error))) => error <= ACCURACY * mean,
        _ => true,
    };
    while spectrum.len() < FEWEST_PROBES
        || spectrum.len() < MOST_PROBES && !settings.iter().all(|settings| settled(&spectrum, settings))
    {
        let probe = point.signs("gauss newton", spectrum.len() as u64, matrix.size());
        let times = |v: &Tensor| (!(point.stopped)()).then(|| matrix.times(v));
        let all = |quadrature: &Quadrature| settings.iter().filter_map(|settings| sum(quadrature, settings)).collect();
        spectrum.push(lanczos::quadrature(&probe, times, all)?);
    }
    Some(spectrum)
}

/// A matrix with the eigenvalues of G that are not zero, on the smaller side: G = JᵀJ/N itself, or JJᵀ/N.
struct GaussNewton<'a> {
    point: &'a Point<'a>,
    /// Start and length of the weights that move.
    moving: (i64, i64),
    /// [1, N, p]
    outputs: [i64; 3],
}

impl<'a> GaussNewton<'a> {
    fn new(point: &'a Point<'a>, layer: Option<u32>) -> Self {
        let (examples, model) = (point.subject.examples.train.len() as i64, point.objective.model());
        let moving = model.range_of(layer);
        Self { point, moving: (moving.start as i64, moving.len() as i64), outputs: [1, examples, model.outputs()] }
    }

    fn of_weights(&self) -> bool {
        self.moving.1 <= self.outputs[1] * self.outputs[2]
    }

    /// The smaller side S.
    fn size(&self) -> i64 {
        if self.of_weights() { self.moving.1 } else { self.outputs[1] * self.outputs[2] }
    }

    /// The product with `v` `[S]`.
    fn times(&self, v: &Tensor) -> Tensor {
        let product = if self.of_weights() {
            self.backward(&self.forward(v))
        } else {
            self.forward(&self.backward(&v.view(self.outputs))).flatten(0, -1)
        };
        product / self.point.examples()
    }

    /// J·v ≈ (f(w + δv) − f(w − δv))/(2δ), [1, N, p], of `v` [length of what moves].
    fn forward(&self, v: &Tensor) -> Tensor {
        let (model, inputs) = (self.point.objective.model(), self.point.inputs());
        let norm = v.norm().double_value(&[]);
        if norm == 0.0 {
            return Tensor::zeros(self.outputs, (v.kind(), v.device()));
        }
        let moved = |distance: f64| {
            let weights = self.point.weights.copy();
            let _ = weights.narrow(1, self.moving.0, self.moving.1).g_add_(&(v * (distance / norm)));
            model.outputs_at(&weights, inputs)
        };
        let product = (moved(DISTANCE) - moved(-DISTANCE)) * (norm / (2.0 * DISTANCE));
        self.centred(&product)
    }

    /// Jᵀ·u, [length of what moves], of `u` [1, N, p].
    fn backward(&self, u: &Tensor) -> Tensor {
        let (model, inputs) = (self.point.objective.model(), self.point.inputs());
        let (mut saved, mut product) = (Vec::new(), self.point.weights.zeros_like());
        let _ = model.forward(&self.point.weights, inputs, &mut saved);
        model.backward(&self.point.weights, inputs, &mut saved, &self.centred(u), &mut product);
        product.squeeze_dim(0).narrow(0, self.moving.0, self.moving.1).copy()
    }

    /// Outputs [1, N, p], less their mean over examples if the loss subtracts it.
    fn centred(&self, outputs: &Tensor) -> Tensor {
        let mut outputs = outputs.squeeze_dim(0).copy();
        self.point.centre(&mut outputs);
        outputs.unsqueeze(0)
    }
}
