//! Networks with one hidden layer on pairs of residues: f(x) = V·φ(Wᵀx) with x = [e_a; e_b] in R^{2p}, no biases.
//!
//! Flat weights are U′ and U″ (the halves of W, p×K each) and Vᵀ (K×p). For one-hot vectors Wᵀx is the sum of two rows,
//! z = U′[a] + U″[b], and the gradient adds to two rows. Letters: E members, n examples, K width, p modulus.

use tch::{Device, Kind, Tensor};

use super::Layer;
use crate::data::{Inputs, Set};
use crate::host;

/// Where the weights of such a network lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) p: i64,
    pub(super) width: i64,
}

/// Examples of one member in host memory: each looks up one row of U′ and one of U″.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs<'a> {
    first: &'a [i64],
    second: &'a [i64],
    /// The number of the member's first row among those of all members, which is how rows are numbered here.
    base: i64,
}

impl<'a> Pairs<'a> {
    pub(super) fn len(self) -> usize {
        self.first.len()
    }

    /// The same examples, so many at a time.
    pub(super) fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        self.first.chunks(size).zip(self.second.chunks(size)).map(move |(first, second)| Self { first, second, ..self })
    }

    /// The numbers of this example's rows among the member's own.
    #[inline(always)]
    pub(super) fn rows_of(self, example: usize) -> [usize; 2] {
        [self.first[example], self.second[example]].map(|row| (row - self.base) as usize)
    }

    /// [`Self::rows_of`] each example.
    #[inline(always)]
    pub(super) fn rows(self) -> impl Iterator<Item = [usize; 2]> {
        (0..self.len()).map(move |example| self.rows_of(example))
    }
}

impl Layout {
    pub(super) fn new(modulus: u32, width: u32) -> Self {
        Self { p: i64::from(modulus), width: i64::from(width) }
    }

    /// D = 3pK.
    pub(super) fn dimension(&self) -> i64 {
        3 * self.p * self.width
    }

    pub(super) fn layers(&self) -> Vec<Layer> {
        let (p, width) = (self.p as usize, self.width as usize);
        vec![Layer { weights: 2 * p * width, inputs: 2 * p }, Layer { weights: p * width, inputs: width }]
    }

    /// For each example the numbers of its two rows among those of all members: two index tensors [E, n].
    pub(super) fn inputs(&self, sets: &[&Set], device: Device) -> Vec<Tensor> {
        let index = |half: usize| {
            let mut rows = Vec::new();
            for (member, set) in sets.iter().enumerate() {
                let Inputs::Pairs(pairs) = &set.inputs else { unreachable!("such a network is given pairs") };
                let start = (3 * member as i64 + half as i64) * self.p;
                rows.extend(pairs.iter().map(|pair| start + i64::from(pair[half])));
            }
            Tensor::from_slice(&rows).view([sets.len() as i64, -1]).to_device(device)
        };
        vec![index(0), index(1)]
    }

    /// The examples of each member, of what [`Layout::inputs`] made in host memory.
    pub(super) fn pairs<'a>(&self, inputs: &'a [Tensor]) -> impl Iterator<Item = Pairs<'a>> + use<'a> {
        let [first, second] = inputs else { unreachable!("two tensors of row numbers") };
        let (rows, examples) = (3 * self.p, first.size()[1] as usize);
        let members = host::slice(first).chunks(examples).zip(host::slice(second).chunks(examples)).zip(0..);
        members.map(move |((first, second), e)| Pairs { first, second, base: e * rows })
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

    /// z = Wᵀx, [E, n, K].
    pub(super) fn hidden(&self, weights: &Tensor, inputs: &[Tensor]) -> Tensor {
        let rows = self.rows(weights);
        let mut z = rows.index_select(0, &inputs[0].flatten(0, 1));
        z += rows.index_select(0, &inputs[1].flatten(0, 1)); // [E·n, K]
        z.view([weights.size()[0], -1, self.width])
    }

    /// f = V·h of the activations h [E, n, K], [E, n, p].
    pub(super) fn outputs(&self, weights: &Tensor, h: &Tensor) -> Tensor {
        h.bmm(&self.vt(weights))
    }

    /// Overwrites `gradient` [E, D] with that of Σ cotangent·f. `through` takes ∂h to ∂z = φ′(z)·∂h, both [E, n, K].
    pub(super) fn backward(
        &self,
        weights: &Tensor,
        inputs: &[Tensor],
        h: &Tensor,
        cotangent: &Tensor,
        gradient: &mut Tensor,
        through: impl FnOnce(Tensor) -> Tensor,
    ) {
        let _ = gradient.zero_();
        self.vt(gradient).copy_(&h.mt().bmm(cotangent)); // ∂Vᵀ = hᵀ·cotangent
        let dz = through(cotangent.bmm(&self.vt(weights).mt())).flatten(0, 1); // ∂h = cotangent·V; [E·n, K]
        let mut rows = self.rows(gradient);
        let _ = rows.index_add_(0, &inputs[0].flatten(0, 1), &dz);
        let _ = rows.index_add_(0, &inputs[1].flatten(0, 1), &dz);
    }

    /// Of the columns of U′, U″ and V (a neuron's weights over residues): with q_j the share of the column's Fourier power
    /// at frequency j = 0 … ⌊p/2⌋ (j and −j together), Σ_j q_j². It is 1 for a single frequency and 1/(⌊p/2⌋+1) where power
    /// is the same at all of them. Columns without power do not count.
    pub(super) fn inverse_participation_ratio(&self, weights: &Tensor) -> Tensor {
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
        sum(ratio * &live) / sum(live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_participation_ratio_tells_waves_from_noise() {
        let (p, width) = (11, 4);
        let layout = Layout::new(11, 4);
        let residues = Tensor::arange(p, (Kind::Double, Device::Cpu));
        let ratio = |row: Tensor| {
            // Every neuron has these weights over residues, in all three matrices.
            let rows = row.unsqueeze(1).repeat([1, width]);
            let flat = Tensor::cat(&[rows.flatten(0, 1), rows.flatten(0, 1), rows.tr().flatten(0, 1)], 0);
            layout.inverse_participation_ratio(&flat.unsqueeze(0)).double_value(&[0])
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
