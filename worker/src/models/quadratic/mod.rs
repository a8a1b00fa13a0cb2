//! The quadratic network f(x) = V·(Wᵀx)² on pairs: x = [e_a; e_b] in R^{2p}, elementwise square, no biases.
//!
//! Flat weights are U′ and U″ (the halves of W, p×K each) and Vᵀ (K×p). For one-hot vectors Wᵀx is the sum of two rows,
//! z = U′[a] + U″[b], and the gradient adds to two rows. Letters: E members, n examples, K width, p modulus.

//!
//! In single precision on a CPU, [`forward`] and [`backward`] do it in loops that leave no intermediate results; the tensor
//! program is the reference and serves everything else.

mod backward;
mod forward;
mod moments;
mod pairs;
mod tile;

use phasegrid_proto::task::Loss;
use pulp::Arch;
use tch::{Device, Kind, Tensor};

use self::backward::Backward;
use self::forward::Forward;
use self::moments::Moments;
use self::pairs::Pairs;
use super::{Layer, Model, WholeLoss};
use crate::data::{Inputs, Set};
use crate::host;

#[derive(Debug)]
pub(super) struct Quadratic {
    p: i64,
    width: i64,
}

impl Quadratic {
    pub(super) fn new(modulus: u32, width: u32) -> Self {
        Self { p: i64::from(modulus), width: i64::from(width) }
    }

    /// The rows of all members' matrices, [E·3p, K].
    fn rows(&self, flat: &Tensor) -> Tensor {
        flat.view([-1, self.width])
    }

    /// Vᵀ of all members, [E, K, p].
    fn vt(&self, flat: &Tensor) -> Tensor {
        let size = self.p * self.width;
        flat.narrow(1, 2 * size, size).view([-1, self.width, self.p])
    }

    /// Room for intermediate values, kept from call to call.
    fn scratch<'a>(&self, saved: &'a mut Vec<Tensor>) -> &'a mut [f32] {
        if saved.is_empty() {
            let (p, width) = (self.p as usize, self.width as usize);
            let size = forward::scratch(p, width).max(backward::scratch(p));
            saved.push(Tensor::zeros(size as i64, (Kind::Float, Device::Cpu)));
        }
        host::slice_mut(&mut saved[0])
    }

    /// The examples of each member.
    fn pairs<'a>(&self, inputs: &'a [Tensor]) -> impl Iterator<Item = Pairs<'a>> {
        let [first, second] = inputs else { unreachable!("two tensors of row numbers") };
        let examples = first.size()[1] as usize;
        Pairs::of_members(host::slice(first), host::slice(second), examples, 3 * self.p as usize)
    }
}

impl Model for Quadratic {
    fn dimension(&self) -> i64 {
        3 * self.p * self.width
    }

    fn outputs(&self) -> i64 {
        self.p
    }

    fn layers(&self) -> Vec<Layer> {
        let (p, width) = (self.p as usize, self.width as usize);
        vec![Layer { weights: 2 * p * width, inputs: 2 * p }, Layer { weights: p * width, inputs: width }]
    }

    /// For each example the numbers of its two rows among those of all members: two index tensors [E, n].
    fn inputs(&self, sets: &[&Set], _kind: Kind, device: Device) -> Vec<Tensor> {
        let index = |half: usize| {
            let mut rows = Vec::new();
            for (member, set) in sets.iter().enumerate() {
                let Inputs::Pairs(pairs) = &set.inputs else { unreachable!("a quadratic network is given pairs") };
                let start = (3 * member as i64 + half as i64) * self.p;
                rows.extend(pairs.iter().map(|pair| start + i64::from(pair[half])));
            }
            Tensor::from_slice(&rows).view([sets.len() as i64, -1]).to_device(device)
        };
        vec![index(0), index(1)]
    }

    fn forward(&self, weights: &Tensor, inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor {
        if host::applies(weights) {
            let size = inputs[0].size();
            let (p, width, n) = (self.p as usize, self.width as usize, size[1] as usize);
            let mut outputs = Tensor::empty([size[0], size[1], self.p], (Kind::Float, Device::Cpu));
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(3 * p * width);
            let of_members = host::slice_mut(&mut outputs).chunks_exact_mut(n * p);
            for ((weights, outputs), pairs) in members.zip(of_members).zip(self.pairs(inputs)) {
                Arch::new().dispatch(Forward { p, width, weights, pairs, scratch, outputs });
            }
            return outputs;
        }
        let rows = self.rows(weights);
        let mut z = rows.index_select(0, &inputs[0].flatten(0, 1));
        z += rows.index_select(0, &inputs[1].flatten(0, 1)); // [E·n, K]
        let h = z.square().view([weights.size()[0], -1, self.width]); // [E, n, K]
        let outputs = h.bmm(&self.vt(weights)); // [E, n, p]
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
            let (p, width, n) = (self.p as usize, self.width as usize, inputs[0].size()[1] as usize);
            let scratch = self.scratch(saved);
            let members = host::slice(weights).chunks_exact(3 * p * width).zip(self.pairs(inputs));
            let gradients = host::slice_mut(gradient).chunks_exact_mut(3 * p * width);
            let cotangents = host::slice(cotangent).chunks_exact(n * p);
            for (((weights, pairs), gradient), cotangent) in members.zip(gradients).zip(cotangents) {
                Arch::new().dispatch(Backward { p, width, weights, pairs, cotangent, scratch, gradient });
            }
            return;
        }
        let [z, h] = saved.as_slice() else { unreachable!("forward leaves two tensors") };
        let _ = gradient.zero_();
        self.vt(gradient).copy_(&h.mt().bmm(cotangent)); // ∂Vᵀ = hᵀ·cotangent
        let mut dz = cotangent.bmm(&self.vt(weights).mt()).flatten(0, 1); // ∂h = cotangent·V, [E·n, K]
        dz *= z;
        dz *= 2.0; // ∂z = 2z·∂h
        let mut rows = self.rows(gradient);
        let _ = rows.index_add_(0, &inputs[0].flatten(0, 1), &dz);
        let _ = rows.index_add_(0, &inputs[1].flatten(0, 1), &dz);
    }

    fn whole_loss(&self, loss: Loss, sets: &[&Set]) -> Option<Box<dyn WholeLoss>> {
        if !moments::pay(self.p, self.width) {
            return None;
        }
        Moments::of(self.p, self.width, loss, sets).map(|moments| Box::new(moments) as _)
    }

    /// Of the columns of U′, U″ and V (a neuron's weights over residues): with q_j the share of the column's Fourier power
    /// at frequency j = 0 … ⌊p/2⌋ (j and −j together), Σ_j q_j². It is 1 for a single frequency and 1/(⌊p/2⌋+1) where power
    /// is the same at all of them. Columns without power do not count.
    fn inverse_participation_ratio(&self, weights: &Tensor) -> Option<Tensor> {
        let half = |index: i64| self.rows(weights).view([-1, 3, self.p, self.width]).select(1, index);
        let columns = Tensor::stack(&[half(0), half(1), self.vt(weights).mt()], 1).to_kind(Kind::Double); // [E, 3, p, K]
        let power = columns.fft_rfft(None, 2, "backward").abs().square(); // [E, 3, ⌊p/2⌋+1, K]
        // All frequencies but 0, and p/2 of an even p, stand for their negative too.
        let _ = power.narrow(2, 1, (self.p - 1) / 2).g_mul_scalar_(2.0);
        let total = power.sum_dim_intlist(2, true, None);
        let shares = &power / total.clamp_min(f64::MIN_POSITIVE);
        let ratio = shares.square().sum_dim_intlist(2, false, None); // [E, 3, K]
        let live = total.squeeze_dim(2).gt(0.0).to_kind(Kind::Double);
        let sum = |x: Tensor| x.sum_dim_intlist([1, 2].as_slice(), false, None);
        Some(sum(ratio * &live) / sum(live))
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
        let first: Vec<i64> = (0..n as i64).map(|i| i * i % 11).collect();
        let second: Vec<i64> = (0..n as i64).map(|i| 11 + i * 7 % 11).collect();
        let pairs = Pairs::of_members(&first, &second, n, 3 * p).next().unwrap();
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

    #[test]
    fn the_participation_ratio_tells_waves_from_noise() {
        let (p, width) = (11, 4);
        let model = Quadratic::new(11, 4);
        let residues = Tensor::arange(p, (Kind::Double, Device::Cpu));
        let ratio = |row: Tensor| {
            // Every neuron has these weights over residues, in all three matrices.
            let rows = row.unsqueeze(1).repeat([1, width]);
            let flat = Tensor::cat(&[rows.flatten(0, 1), rows.flatten(0, 1), rows.tr().flatten(0, 1)], 0);
            model.inverse_participation_ratio(&flat.unsqueeze(0)).unwrap().double_value(&[0])
        };
        let wave = |frequency: f64| (&residues * (std::f64::consts::TAU * frequency / p as f64) + 0.3).cos();
        assert!((ratio(wave(3.0)) - 1.0).abs() < 1e-12);
        assert!((ratio(residues.ones_like()) - 1.0).abs() < 1e-12, "a constant is the frequency 0");
        assert!((ratio(wave(1.0) + wave(4.0)) - 0.5).abs() < 1e-12);
        // A single residue has the same power at 0, ±1, …, ±5: shares 1/11, 2/11, ….
        assert!((ratio(residues.eq(2.0).to_kind(Kind::Double)) - 21.0 / 121.0).abs() < 1e-12);
        assert!(ratio(residues.zeros_like()).is_nan(), "there is no power to share");
    }
}
