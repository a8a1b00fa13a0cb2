//! The MLP f(x) = V·φ(Wᵀx) on pairs of residues, φ one of relu, gelu and tanh; [`Layout`] says where its weights lie.
//!
//! On the host it runs block by block (`blocks.rs`), elsewhere and in double precision as one tensor program.

mod activation;
mod blocks;

use phasegrid_proto::task::Activation;
use tch::{Device, Kind, Tensor};

use super::pairs::Layout;
use super::{Layer, Model};
use crate::data::Set;
use crate::host;

#[derive(Debug)]
pub(super) struct Mlp {
    layout: Layout,
    activation: Activation,
}

impl Mlp {
    pub(super) fn new(modulus: u32, width: u32, activation: Activation) -> Self {
        Self { layout: Layout::new(modulus, width), activation }
    }

    /// h = φ(z)
    fn activate(&self, z: &Tensor) -> Tensor {
        match self.activation {
            Activation::Relu => z.relu(),
            Activation::Gelu => z.gelu("none"),
            Activation::Tanh => z.tanh(),
        }
    }

    /// ∂z = φ′(z)·∂h
    fn through(&self, z: &Tensor, h: &Tensor, dh: Tensor) -> Tensor {
        match self.activation {
            Activation::Relu => dh * z.gt(0.0),
            Activation::Gelu => z.gelu_backward(&dh, "none"),
            Activation::Tanh => Tensor::tanh_backward(&dh, h),
        }
    }
}

impl Model for Mlp {
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
            let size = [inputs[0].size()[0], inputs[0].size()[1], self.layout.p];
            let mut outputs = Tensor::zeros(size, (Kind::Float, Device::Cpu));
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(self.dimension() as usize).zip(self.layout.pairs(inputs));
            let of_members = host::slice_mut(&mut outputs).chunks_exact_mut((size[1] * size[2]) as usize);
            for ((weights, pairs), outputs) in members.zip(of_members) {
                self.forward_blocks(weights, pairs, scratch, outputs);
            }
            return outputs;
        }
        let z = self.layout.hidden(weights, inputs);
        let h = self.activate(&z);
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
            let (d, size) = (self.dimension() as usize, cotangent.size());
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(d).zip(self.layout.pairs(inputs));
            let cotangents = host::slice(cotangent).chunks_exact((size[1] * size[2]) as usize);
            let gradients = host::slice_mut(gradient).chunks_exact_mut(d);
            for (((weights, pairs), cotangent), gradient) in members.zip(cotangents).zip(gradients) {
                self.backward_blocks(weights, pairs, scratch, cotangent, gradient);
            }
            return;
        }
        let [z, h] = saved.as_slice() else { unreachable!("forward leaves two tensors") };
        self.layout.backward(weights, inputs, h, cotangent, gradient, |dh| self.through(z, h, dh));
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

    fn random(shape: &[i64], index: u64) -> Tensor {
        let mut values = vec![0f64; shape.iter().product::<i64>() as usize];
        Normals::derive(1, "test", &[index]).fill_f64(&mut values);
        Tensor::from_slice(&values).view(shape)
    }

    /// Outputs and gradient at `weights` [E, D], in their kind.
    fn both(model: &Mlp, weights: &Tensor, inputs: &[Tensor], cotangent: &Tensor) -> [Tensor; 2] {
        let mut saved = Vec::new();
        let outputs = model.forward(weights, inputs, &mut saved);
        let mut gradient = weights.full_like(f64::NAN);
        model.backward(weights, inputs, &mut saved, &cotangent.to_kind(weights.kind()), &mut gradient);
        [outputs, gradient]
    }

    #[test]
    fn blocks_compute_what_the_tensor_program_computes_and_members_do_not_see_each_other() {
        // More examples than a block has, one block not full, and rows that are no whole number of vectors.
        let (p, k, members) = (29, 67, 2);
        let all: Vec<_> = (0..members).map(|seed| Examples::of(&modular_task(p, k, seed))).collect();
        let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
        let n = sets[0].len() as i64;
        for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
            let model = Mlp::new(p, k, activation);
            let inputs = model.inputs(&sets, Kind::Double, Device::Cpu);
            let weights = random(&[members as i64, model.dimension()], 0);
            let cotangent = random(&[members as i64, n, i64::from(p)], 1);
            let blocks = both(&model, &weights.to_kind(Kind::Float), &inputs, &cotangent);
            for (blocks, exact) in blocks.iter().zip(both(&model, &weights, &inputs, &cotangent)) {
                let error = f64::try_from((blocks - &exact).norm() / exact.norm()).unwrap();
                // The rounding of single precision.
                assert!(error < 1e-6, "{activation:?}: {error}");
            }
            let alone = model.inputs(&sets[1..], Kind::Double, Device::Cpu);
            let second = weights.narrow(0, 1, 1).to_kind(Kind::Float);
            let second = both(&model, &second, &alone, &cotangent.narrow(0, 1, 1));
            for (together, alone) in blocks.iter().zip(second) {
                assert!(together.narrow(0, 1, 1).equal(&alone), "{activation:?}: to the bit");
            }
        }
    }
}
