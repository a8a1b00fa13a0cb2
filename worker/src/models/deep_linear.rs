//! The deep linear network f(x) = W_L·…·W_1·x, no biases. Flat weights are the layers one after the other, each H^{s+1}×H^s.
//!
//! Both directions go through the product P of all layers, so that the cost an example is that of one layer.
//! Letters: E members, n examples, H^s layer widths, L layers.

use tch::{Device, Kind, Tensor};

use super::{Layer, Model};
use crate::data::{Inputs, Set};
use crate::random::Normals;

#[derive(Debug)]
pub(super) struct DeepLinear {
    widths: Vec<i64>,
    rank: i64,
}

impl DeepLinear {
    pub(super) fn new(widths: &[u32], rank: u32) -> Self {
        Self { widths: widths.iter().copied().map(i64::from).collect(), rank: i64::from(rank) }
    }

    /// The layers W_1, …, W_L of all members, each [E, H^{s+1}, H^s], as views.
    fn matrices(&self, flat: &Tensor) -> Vec<Tensor> {
        let mut start = 0;
        let pairs = self.widths.windows(2);
        pairs
            .map(|pair| {
                let size = pair[0] * pair[1];
                start += size;
                flat.narrow(1, start - size, size).view([-1, pair[1], pair[0]])
            })
            .collect()
    }
}

impl Model for DeepLinear {
    fn dimension(&self) -> i64 {
        self.widths.windows(2).map(|pair| pair[0] * pair[1]).sum()
    }

    fn outputs(&self) -> i64 {
        self.widths[self.widths.len() - 1]
    }

    fn layers(&self) -> Vec<Layer> {
        let layer = |pair: &[i64]| Layer { weights: (pair[0] * pair[1]) as usize, inputs: pair[0] as usize };
        self.widths.windows(2).map(layer).collect()
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
        let flat = Tensor::cat(&layers, 0).to_kind(Kind::Float);
        Vec::try_from(flat).unwrap_or_else(|error| unreachable!("a flat tensor of floats: {error}"))
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
        // prefixes[s] = W_s·…·W_1
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
        // `later` is ∂ with respect to W_s·…·W_1, from the last layer to the first.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
