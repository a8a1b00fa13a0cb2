//! The quadratic network f(x) = V·(Wᵀx)² on pairs of residues, elementwise square; [`Layout`] says where its weights lie.
//!
//! Letters: E members, n examples, K width, p modulus.
//!
//! In single precision on a CPU, [`forward`] and [`backward`] do it in loops that leave no intermediate results; the tensor
//! program is the reference and serves everything else.

mod backward;
mod forward;
mod moments;
mod tile;

use phasegrid_proto::task::Loss;
use pulp::Arch;
use tch::{Device, Kind, Tensor};

use self::backward::Backward;
use self::forward::Forward;
use self::moments::Moments;
use super::pairs::Layout;
use super::{Layer, Model, WholeLoss};
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

    /// Room for intermediate values, kept from call to call.
    fn scratch<'a>(&self, saved: &'a mut Vec<Tensor>) -> &'a mut [f32] {
        if saved.is_empty() {
            let (p, width) = (self.layout.p as usize, self.layout.width as usize);
            let size = forward::scratch(p, width).max(backward::scratch(p));
            saved.push(Tensor::zeros(size as i64, (Kind::Float, Device::Cpu)));
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
            let (p, width, n) = (self.layout.p as usize, self.layout.width as usize, size[1] as usize);
            let mut outputs = Tensor::zeros([size[0], size[1], self.layout.p], (Kind::Float, Device::Cpu));
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(3 * p * width);
            let of_members = host::slice_mut(&mut outputs).chunks_exact_mut(n * p);
            for ((weights, outputs), pairs) in members.zip(of_members).zip(self.layout.pairs(inputs)) {
                Arch::new().dispatch(Forward { p, width, weights, pairs, scratch, outputs });
            }
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
            let (p, width) = (self.layout.p as usize, self.layout.width as usize);
            let n = inputs[0].size()[1] as usize;
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(3 * p * width).zip(self.layout.pairs(inputs));
            let gradients = host::slice_mut(gradient).chunks_exact_mut(3 * p * width);
            let cotangents = host::slice(cotangent).chunks_exact(n * p);
            for (((weights, pairs), gradient), cotangent) in members.zip(gradients).zip(cotangents) {
                Arch::new().dispatch(Backward { p, width, weights, pairs, cotangent, scratch, gradient });
            }
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

    fn whole_loss(&self, loss: Loss, sets: &[&Set]) -> Option<Box<dyn WholeLoss>> {
        if !moments::pay(self.layout.p, self.layout.width) {
            return None;
        }
        Moments::of(self.layout.p, self.layout.width, loss, sets).map(|moments| Box::new(moments) as _)
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
    use pulp::Simd;

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

    /// Outputs and gradient by these vector instructions.
    fn by<S: Simd>(simd: S) -> [Tensor; 2] {
        let (p, width, n) = (11, 37, 200);
        let numbers = |count: usize, index: u64| {
            let mut values = vec![0f32; count];
            Normals::derive(1, "test", &[index]).fill(&mut values);
            values
        };
        let (weights, cotangent) = (numbers(3 * p * width, 0), numbers(n * p, 1));
        let rows = |row: fn(i64) -> i64| Tensor::from_slice(&(0..n as i64).map(row).collect::<Vec<_>>()).unsqueeze(0);
        let inputs = [rows(|i| i * i % 11), rows(|i| 11 + i * 7 % 11)];
        let pairs = Layout::new(11, 37).pairs(&inputs).next().unwrap();
        let (weights, cotangent) = (weights.as_slice(), cotangent.as_slice());
        let mut scratch = Tensor::zeros((1 << 16) as i64, (Kind::Float, Device::Cpu));
        let scratch = host::slice_mut(&mut scratch);
        let (mut outputs, mut gradient) = (vec![f32::NAN; n * p], vec![f32::NAN; 3 * p * width]);
        simd.vectorize(Forward { p, width, weights, pairs, scratch, outputs: &mut outputs });
        simd.vectorize(Backward { p, width, weights, pairs, cotangent, scratch, gradient: &mut gradient });
        [outputs, gradient].map(|values| Tensor::from_slice(&values))
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        let plain = by(pulp::Scalar::new());
        #[cfg(target_arch = "x86_64")]
        for vectors in [pulp::x86::V3::try_new().map(by), pulp::x86::V4::try_new().map(by)].into_iter().flatten() {
            for (vectors, plain) in vectors.iter().zip(&plain) {
                // Products are rounded before they are added, or not.
                assert!(f64::try_from((vectors - plain).norm() / plain.norm()).unwrap() < 1e-6);
            }
        }
    }
}
