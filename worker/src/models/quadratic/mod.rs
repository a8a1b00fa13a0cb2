//! The quadratic network f(x) = V·(Wᵀx)² on pairs of residues, elementwise square; [`Layout`] says where its weights lie.
//!
//! Letters: E members, n examples, K width, p modulus.

mod fused;

use tch::{Device, Kind, Tensor};

use super::pairs::{Layout, Pairs};
use super::{Layer, Model};
use crate::data::Set;
use crate::host;

#[derive(Debug)]
pub(super) struct Quadratic {
    layout: Layout,
}

impl Quadratic {
    pub(super) fn new(modulus: u32, width: u32) -> Self {
        Self { layout: Layout::new(modulus, width) }
    }

    /// Room for a block's intermediate values, kept from call to call.
    fn buffer<'a>(&self, saved: &'a mut Vec<Tensor>) -> &'a mut [f32] {
        if saved.is_empty() {
            saved.push(Tensor::zeros(self.scratch() as i64, (Kind::Float, Device::Cpu)));
        }
        host::slice_mut(&mut saved[0])
    }
}

impl Model for Quadratic {
    fn dimension(&self) -> i64 {
        self.layout.dimension()
    }

    fn outputs(&self) -> i64 {
        self.layout.p
    }

    fn layers(&self) -> Vec<Layer> {
        self.layout.layers()
    }

    fn inputs(&self, sets: &[&Set], _kind: Kind, device: Device) -> Vec<Tensor> {
        self.layout.inputs(sets, device)
    }

    fn forward(&self, weights: &Tensor, inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor {
        if host::applies(weights) {
            let size = inputs[0].size();
            let mut outputs = Tensor::zeros([size[0], size[1], self.layout.p], (Kind::Float, Device::Cpu));
            self.fused_forward(
                host::slice(weights),
                Pairs::of(inputs),
                self.buffer(saved),
                host::slice_mut(&mut outputs),
            );
            return outputs;
        }
        let z = self.layout.hidden(weights, inputs);
        let h = z.square();
        let outputs = self.layout.outputs(weights, &h);
        saved.clear();
        saved.extend([z, h]);
        outputs
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
            let (weights, gradient) = (host::slice(weights), host::slice_mut(gradient));
            self.fused_backward(weights, Pairs::of(inputs), self.buffer(saved), host::slice(cotangent), gradient);
            return;
        }
        let [z, h] = saved.as_slice() else { unreachable!("forward leaves two tensors") };
        // ∂z = 2z·∂h
        self.layout.backward(weights, inputs, h, cotangent, gradient, |mut dh| {
            dh *= z;
            dh *= 2.0;
            dh
        });
    }

    fn inverse_participation_ratio(&self, weights: &Tensor) -> Option<Tensor> {
        Some(self.layout.inverse_participation_ratio(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;
    use crate::models::tests::modular_task;
    use crate::random::Normals;

    fn random(shape: [i64; 2], index: u64) -> Tensor {
        let mut values = vec![0f64; (shape[0] * shape[1]) as usize];
        Normals::derive(1, "test", &[index]).fill_f64(&mut values);
        Tensor::from_slice(&values).view(shape)
    }

    #[test]
    fn the_fused_loops_compute_what_the_tensor_program_computes() {
        // More examples than a block has, one block not full, and rows that are no whole number of vectors.
        let (model, members) = (Quadratic::new(29, 67), 2);
        let all: Vec<_> = (0..members).map(|seed| Examples::of(&modular_task(29, 67, seed))).collect();
        let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
        let inputs = model.inputs(&sets, Kind::Double, Device::Cpu);
        let n = sets[0].len() as i64;
        let weights = random([members as i64, model.dimension()], 0);
        let cotangent = random([members as i64, n * 29], 1).view([members as i64, n, 29]);
        let run = |kind| {
            let (weights, cotangent, mut saved) = (weights.to_kind(kind), cotangent.to_kind(kind), Vec::new());
            let outputs = model.forward(&weights, &inputs, &mut saved);
            let mut gradient = weights.full_like(f64::NAN);
            model.backward(&weights, &inputs, &mut saved, &cotangent, &mut gradient);
            [outputs.to_kind(Kind::Double), gradient.to_kind(Kind::Double)]
        };
        for (fused, exact) in run(Kind::Float).iter().zip(run(Kind::Double)) {
            let error = f64::try_from((fused - &exact).norm() / exact.norm()).unwrap();
            // The rounding of single precision.
            assert!(error < 1e-6, "{error}");
        }
    }
}
