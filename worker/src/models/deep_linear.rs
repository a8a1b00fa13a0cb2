//! The deep linear network f(x) = W_L·…·W_1·x, no biases. Flat weights are the layers one after the other, each H^{s+1}×H^s.
//!
//! Both directions go through the product P of all layers, so that an example costs H¹·H^{L+1} and each layer but the first
//! H¹·H^s·H^{s+1} a batch. That is less than layer by layer where there are more examples than inputs, and more where a
//! bottleneck is far narrower than both ends.
//!
//! With the prefixes P_s = W_s·…·W_1 and cotangents c (∂L/∂f, n×H^{L+1}): f = X·P_Lᵀ; ∂P_L = cᵀ·X, ∂W_s = ∂P_s·P_{s−1}ᵀ and
//! ∂P_{s−1} = W_sᵀ·∂P_s. In host memory this goes member by member, elsewhere and in double precision for all at once.
//!
//! Letters: E members, n examples, H^s layer widths, L layers.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{Layer, Model};
use crate::data::{Inputs, Set};
use crate::host::{self, Matrix, multiply};
use crate::random::Normals;

#[derive(Debug)]
pub(super) struct DeepLinear {
    widths: Vec<i64>,
    rank: i64,
    /// Where each layer lies in the weights of one member, and its own number of inputs.
    places: Vec<(Range<usize>, usize)>,
}

impl DeepLinear {
    pub(super) fn new(widths: &[u32], rank: u32) -> Self {
        let mut start = 0;
        let place = |pair: &[u32]| {
            let (inputs, outputs) = (pair[0] as usize, pair[1] as usize);
            let end = start + inputs * outputs;
            (std::mem::replace(&mut start, end)..end, inputs)
        };
        let places = widths.windows(2).map(place).collect();
        Self { widths: widths.iter().copied().map(i64::from).collect(), rank: i64::from(rank), places }
    }

    /// The layers W_1, …, W_L of all members, each [E, H^{s+1}, H^s], as views.
    fn matrices(&self, flat: &Tensor) -> Vec<Tensor> {
        let matrix = |(place, inputs): &(Range<usize>, usize)| {
            flat.narrow(1, place.start as i64, place.len() as i64).view([flat.size()[0], -1, *inputs as i64])
        };
        self.places.iter().map(matrix).collect()
    }

    /// H¹ and the numbers in the greatest prefix.
    fn prefix_size(&self) -> (usize, usize) {
        let first = self.widths[0] as usize;
        (first, first * self.widths.iter().copied().max().unwrap_or(0) as usize)
    }

    /// One member's outputs [n, H^{L+1}] of inputs `x` [n, H¹], with its prefixes on the way; they lie `size` apart.
    fn forward_member(&self, weights: &[f32], x: &[f32], prefixes: &mut [f32], outputs: &mut [f32]) {
        let (first, size) = self.prefix_size();
        let (mut before, mut rest) = (&weights[..0], prefixes);
        for (place, inputs) in self.places.iter().cloned() {
            let (prefix, later) = std::mem::take(&mut rest).split_at_mut(size);
            let prefix = &mut prefix[..place.len() / inputs * first];
            match before {
                [] => prefix.copy_from_slice(&weights[place]),
                before => multiply(prefix, false, Matrix::new(&weights[place], inputs), Matrix::new(before, first)),
            }
            (before, rest) = (prefix, later);
        }
        multiply(outputs, false, Matrix::new(x, first), Matrix::new(before, first).transposed());
    }

    /// One member's gradient, from the prefixes of its way forward. `slopes` are two buffers of a prefix each.
    fn backward_member(
        &self,
        weights: &[f32],
        x: &[f32],
        prefixes: &[f32],
        slopes: &mut [f32],
        cotangent: &[f32],
        gradient: &mut [f32],
    ) {
        let (first, size) = self.prefix_size();
        let outputs = self.outputs() as usize;
        let (mut slope, mut next) = slopes.split_at_mut(size);
        // ∂P_L
        let transposed = Matrix::new(cotangent, outputs).transposed();
        multiply(&mut slope[..outputs * first], false, transposed, Matrix::new(x, first));
        for (s, (place, inputs)) in self.places.iter().cloned().enumerate().rev() {
            let of_prefix = Matrix::new(&slope[..place.len() / inputs * first], first);
            let Some(before) = s.checked_sub(1) else {
                gradient[place.clone()].copy_from_slice(&slope[..place.len()]);
                break;
            };
            let prefix = Matrix::new(&prefixes[before * size..][..inputs * first], first);
            multiply(&mut gradient[place.clone()], false, of_prefix, prefix.transposed());
            let layer = Matrix::new(&weights[place], inputs);
            multiply(&mut next[..inputs * first], false, layer.transposed(), of_prefix);
            std::mem::swap(&mut slope, &mut next);
        }
    }

    /// Room for the prefixes of all members and for two slopes, kept from call to call.
    fn buffer<'a>(&self, members: usize, saved: &'a mut Vec<Tensor>) -> (&'a mut [f32], &'a mut [f32]) {
        let (layers, (_, size)) = (self.widths.len() - 1, self.prefix_size());
        if saved.is_empty() {
            saved.push(Tensor::zeros(((members * layers + 2) * size) as i64, (Kind::Float, Device::Cpu)));
        }
        host::slice_mut(&mut saved[0]).split_at_mut(members * layers * size)
    }
}

impl Model for DeepLinear {
    fn dimension(&self) -> i64 {
        self.places.last().map_or(0, |(place, _)| place.end as i64)
    }

    fn outputs(&self) -> i64 {
        self.widths[self.widths.len() - 1]
    }

    fn layers(&self) -> Vec<Layer> {
        self.places.iter().map(|(place, inputs)| Layer { weights: place.len(), inputs: *inputs }).collect()
    }

    /// Every layer is W_s = Q_{s+1}·Q_sᵀ with random orthonormal columns Q_s, H^s×r. Layers and their products then have
    /// rank r and singular values 1: a point of the lowest stratum with the curvature as even as it can be.
    fn teacher(&self, seed: u64) -> Vec<f32> {
        let frame = |(index, width): (usize, &i64)| {
            let mut normals = vec![0f64; (width * self.rank) as usize];
            Normals::derive(seed, "teacher", &[index as u64]).fill_f64(&mut normals);
            let columns = Tensor::from_slice(&normals).view([*width, self.rank]);
            let (q, _) = Tensor::linalg_qr(&columns, "reduced");
            q
        };
        let frames: Vec<Tensor> = self.widths.iter().enumerate().map(frame).collect();
        let layers: Vec<Tensor> = frames.windows(2).map(|pair| pair[1].mm(&pair[0].mt()).flatten(0, -1)).collect();
        host::values(&Tensor::cat(&layers, 0))
    }

    /// The vectors, [E, n, H¹].
    fn inputs(&self, sets: &[&Set], kind: Kind, device: Device) -> Vec<Tensor> {
        let mut all = Vec::new();
        for set in sets {
            let Inputs::Vectors { values, .. } = &set.inputs else { unreachable!("a linear network is given vectors") };
            all.extend_from_slice(values);
        }
        let shape = [sets.len() as i64, sets.first().map_or(0, |set| set.len()) as i64, self.widths[0]];
        vec![Tensor::from_slice(&all).view(shape).to_device(device).to_kind(kind)]
    }

    fn forward(&self, weights: &Tensor, inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor {
        if host::applies(weights) {
            let [members, n, _] = inputs[0].size()[..] else { unreachable!("vectors are [E, n, H¹]") };
            let mut outputs = Tensor::zeros([members, n, self.outputs()], (Kind::Float, Device::Cpu));
            let (prefixes, _) = self.buffer(members as usize, saved);
            let rows = members_of(host::slice(weights), members).zip(members_of(host::slice(&inputs[0]), members));
            let size = prefixes.len() / members as usize;
            let own = prefixes.chunks_exact_mut(size);
            let outputs_of = host::slice_mut(&mut outputs).chunks_exact_mut((n * self.outputs()) as usize);
            for (((weights, x), prefixes), outputs) in rows.zip(own).zip(outputs_of) {
                self.forward_member(weights, x, prefixes, outputs);
            }
            return outputs;
        }
        // saved[s] = P_s
        saved.clear();
        for matrix in self.matrices(weights) {
            saved.push(saved.last().map_or_else(|| matrix.shallow_clone(), |before| matrix.bmm(before)));
        }
        inputs[0].bmm(&saved[saved.len() - 1].mt()) // [E, n, H^{L+1}]
    }

    fn backward(
        &self,
        weights: &Tensor,
        inputs: &[Tensor],
        saved: &mut Vec<Tensor>,
        cotangent: &Tensor,
        gradient: &mut Tensor,
    ) {
        if host::applies(weights) {
            let members = weights.size()[0];
            let (prefixes, slopes) = self.buffer(members as usize, saved);
            let rows = members_of(host::slice(weights), members).zip(members_of(host::slice(&inputs[0]), members));
            let own = members_of(prefixes, members).zip(members_of(host::slice(cotangent), members));
            let gradients = host::slice_mut(gradient).chunks_exact_mut(self.dimension() as usize);
            for (((weights, x), (prefixes, cotangent)), gradient) in rows.zip(own).zip(gradients) {
                self.backward_member(weights, x, prefixes, slopes, cotangent, gradient);
            }
            return;
        }
        // `later` is ∂P_s, from the last layer to the first.
        let mut later = cotangent.mt().bmm(&inputs[0]); // ∂P, [E, H^{L+1}, H¹]
        let matrices = self.matrices(weights);
        for (s, mut slot) in self.matrices(gradient).into_iter().enumerate().rev() {
            match s.checked_sub(1) {
                Some(before) => slot.copy_(&later.bmm(&saved[before].mt())),
                None => slot.copy_(&later),
            }
            later = matrices[s].mt().bmm(&later);
        }
    }
}

/// Each member's part of a stack of so many.
fn members_of(stack: &[f32], members: i64) -> impl Iterator<Item = &[f32]> {
    stack.chunks_exact(stack.len() / members as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;
    use crate::models::tests::gaussian_task;

    #[test]
    fn a_teacher_and_each_of_its_layers_have_the_rank_that_was_asked_for() {
        for (widths, rank) in [(&[5, 4, 5][..], 2), (&[3, 8, 4], 2), (&[3, 3, 3, 3], 3), (&[2, 2, 2], 0)] {
            let model = DeepLinear::new(widths, rank);
            let flat = Tensor::from_slice(&model.teacher(1)).to_kind(Kind::Double).unsqueeze(0);
            let mut product: Option<Tensor> = None;
            for layer in model.matrices(&flat) {
                let layer = layer.squeeze_dim(0);
                product = Some(product.map_or_else(|| layer.copy(), |before| layer.mm(&before)));
                for matrix in [&layer, product.as_ref().unwrap()] {
                    let (_, singular, _) = matrix.svd(true, false);
                    let singular = Vec::<f64>::try_from(singular).unwrap();
                    // Weights are rounded to single precision.
                    let expected = |index| if index < rank as usize { 1.0 } else { 0.0 };
                    assert!(singular.iter().enumerate().all(|(i, s)| (s - expected(i)).abs() < 1e-6), "{singular:?}");
                }
            }
        }
    }

    #[test]
    fn member_by_member_is_what_the_tensor_program_computes_and_members_do_not_see_each_other() {
        for widths in [&[5, 3, 4][..], &[3, 4], &[2, 7, 3, 5]] {
            let task = gaussian_task(widths, 1, 33);
            let model = DeepLinear::new(widths, 1);
            let all: Vec<_> =
                (0..3).map(|seed| Examples::of(&phasegrid_proto::task::TaskConfig { seed, ..task.clone() })).collect();
            let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
            let random = |shape: [i64; 3], index: u64| {
                let mut values = vec![0f64; shape.iter().product::<i64>() as usize];
                Normals::derive(1, "test", &[index]).fill_f64(&mut values);
                Tensor::from_slice(&values).view(shape)
            };
            let weights = random([3, 1, model.dimension()], 0).squeeze_dim(1);
            let cotangent = random([3, 33, model.outputs()], 1);
            let both = |members: std::ops::Range<i64>, kind| {
                let part = |tensor: &Tensor| tensor.narrow(0, members.start, members.end - members.start).to_kind(kind);
                let inputs = model.inputs(&sets[members.start as usize..members.end as usize], kind, Device::Cpu);
                let (weights, mut saved) = (part(&weights), Vec::new());
                let outputs = model.forward(&weights, &inputs, &mut saved);
                let mut gradient = weights.full_like(f64::NAN);
                model.backward(&weights, &inputs, &mut saved, &part(&cotangent), &mut gradient);
                [outputs, gradient]
            };
            let together = both(0..3, Kind::Float);
            for (found, exact) in together.iter().zip(both(0..3, Kind::Double)) {
                let error = f64::try_from((found - &exact).norm() / exact.norm()).unwrap();
                assert!(error < 1e-6, "{widths:?}: {error}"); // the rounding of single precision
            }
            for (together, alone) in together.iter().zip(both(1..2, Kind::Float)) {
                assert!(together.narrow(0, 1, 1).equal(&alone), "{widths:?}: to the bit");
            }
        }
    }
}
