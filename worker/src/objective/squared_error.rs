//! Half the squared error, plain or centred, of any model.
//!
//! With residuals e = f − y, [n, p]: L = ½·Σ e²/n, where the centred loss subtracts from e its mean over the n examples
//! first. Centring is a projection and the centred residual lies in its image, so that e/n is the gradient with respect to
//! the outputs either way; the model takes it to the weights.

use std::cell::RefCell;

use phasegrid_proto::task::{Loss, TaskConfig};
use tch::{Device, Kind, Tensor};

use super::{Objective, Stacked};
use crate::data::{Examples, Set};
use crate::host::{self, widest};
use crate::models::{self, Model, WholeLoss};

/// Half the squared error, summed over outputs, mean over examples: of one model with E sets of examples.
pub struct SquaredError {
    model: Box<dyn Model>,
    loss: Loss,
    examples: Stacked,
    /// The model's own form of the full loss, where it has one.
    whole: Option<Box<dyn WholeLoss>>,
    saved: RefCell<Vec<Tensor>>,
}

impl SquaredError {
    /// The loss of E members, each with its own set.
    #[must_use]
    pub fn new(model: Box<dyn Model>, loss: Loss, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let examples = Stacked::new(model.as_ref(), sets, kind, device);
        let whole = model.whole_loss(loss, sets);
        Self { model, loss, examples, whole, saved: RefCell::default() }
    }

    /// The training loss of `task`, for `members` weight vectors that share its examples.
    #[must_use]
    pub fn of(task: &TaskConfig, examples: &Examples, members: usize, kind: Kind, device: Device) -> Self {
        Self::new(models::of(task), task.train.loss, &vec![&examples.train; members], kind, device)
    }

    /// The network.
    #[must_use]
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    /// The examples behind the full loss.
    #[must_use]
    pub fn stacked(&self) -> &Stacked {
        &self.examples
    }

    /// L [E], and ∂L/∂f in place of the `outputs` f [E, n, p].
    fn settle(&self, outputs: &mut Tensor, targets: &Tensor) -> Tensor {
        let centred = self.loss == Loss::CentredMse;
        let size = outputs.size();
        if host::applies(outputs) {
            let (n, p) = (size[1] as usize, size[2] as usize);
            let members = host::slice_mut(outputs).chunks_exact_mut(n * p);
            let of_member = |(residual, targets): (&mut [f32], &[f32])| {
                let mut loss = 0.0;
                settle(centred, p, residual, targets, &mut loss);
                loss as f32
            };
            let losses: Vec<f32> = members.zip(host::slice(targets).chunks_exact(n * p)).map(of_member).collect();
            return Tensor::from_slice(&losses);
        }
        let n = size[1] as f64;
        *outputs -= targets;
        if centred {
            *outputs -= outputs.mean_dim(1, true, None);
        }
        let loss = outputs.square().sum_dim_intlist([1, 2].as_slice(), false, None) * (0.5 / n);
        *outputs *= 1.0 / n;
        loss
    }
}

/// Squares that are summed side by side, so that they become vectors.
const LANES: usize = 16;

widest! {
    /// One member's share of [`SquaredError::settle`]: `residual` holds its outputs at first.
    fn settle(centred: bool, p: usize, residual: &mut [f32], targets: &[f32], loss: &mut f64) {
        let share = 1.0 / (residual.len() / p) as f32; // 1/n
        for (e, y) in residual.iter_mut().zip(targets) {
            *e -= y;
        }
        if centred {
            let mut mean = vec![0f32; p];
            for row in residual.chunks_exact(p) {
                mean.iter_mut().zip(row).for_each(|(sum, e)| *sum += e);
            }
            mean.iter_mut().for_each(|sum| *sum *= share);
            for row in residual.chunks_exact_mut(p) {
                row.iter_mut().zip(&mean).for_each(|(e, mean)| *e -= mean);
            }
        }
        // Sums of a few squares in single precision, of all in double.
        for part in residual.chunks_mut(64 * LANES) {
            let mut squares = [0f32; LANES];
            let (lanes, rest) = part.as_chunks_mut::<LANES>();
            for lane in lanes {
                for (e, square) in lane.iter_mut().zip(&mut squares) {
                    *square += *e * *e;
                    *e *= share;
                }
            }
            for (e, square) in rest.iter_mut().zip(&mut squares) {
                *square += *e * *e;
                *e *= share;
            }
            *loss += f64::from(squares.iter().sum::<f32>());
        }
        *loss *= 0.5 * f64::from(share);
    }
}

impl Objective for SquaredError {
    fn members(&self) -> i64 {
        self.examples.size().0
    }

    fn dimension(&self) -> i64 {
        self.model.dimension()
    }

    fn examples(&self) -> i64 {
        self.examples.size().1
    }

    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        if let (None, Some(whole), true) = (batch, &self.whole, host::applies(weights)) {
            return whole.loss_and_gradient(weights, gradient);
        }
        let selected = batch.map(|batch| self.examples.select(batch));
        let all = (&self.examples.inputs, &self.examples.targets);
        let (inputs, targets) = selected.as_ref().map_or(all, |(inputs, targets)| (inputs, targets));
        let saved = &mut self.saved.borrow_mut();
        let mut outputs = self.model.forward(weights, inputs, saved);
        let loss = self.settle(&mut outputs, targets);
        self.model.backward(weights, inputs, saved, &outputs, gradient);
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::{gaussian_task, modular_task};
    use crate::random::{Normals, Stream, Subsets};
    use phasegrid_proto::task::Train;

    /// The same loss by autograd, from the definition: one-hot inputs through `forward`, plain tensor operations.
    fn by_autograd(task: &TaskConfig, sets: &[&Set], weights: &Tensor, batch: Option<&Tensor>) -> (Tensor, Tensor) {
        let leaf = weights.detach().copy().set_requires_grad(true);
        let mut losses = Vec::new();
        for (e, set) in sets.iter().enumerate() {
            let all = Tensor::arange(set.len() as i64, (Kind::Int64, Device::Cpu));
            let batch = batch.map_or(all, |batch| batch.get(e as i64));
            let targets = set.targets(Kind::Double, Device::Cpu).index_select(0, &batch);
            let outputs = plain_outputs(task, set, &leaf.get(e as i64)).index_select(0, &batch);
            let mut residual = outputs - targets;
            if task.train.loss == Loss::CentredMse {
                residual = &residual - residual.mean_dim(0, true, None);
            }
            losses.push(residual.square().sum(None) * 0.5 / batch.size()[0] as f64);
        }
        let losses = Tensor::stack(&losses, 0);
        let gradient = Tensor::run_backward(&[losses.sum(None)], &[&leaf], false, false).remove(0);
        (losses.detach(), gradient)
    }

    fn plain_outputs(task: &TaskConfig, set: &Set, weights: &Tensor) -> Tensor {
        use crate::data::Inputs;
        use phasegrid_proto::task::{Data, Model as Config};
        match (&task.model, &task.data, &set.inputs) {
            (Config::Quadratic { width, .. }, Data::Modular { modulus, .. }, Inputs::Pairs(pairs)) => {
                let (p, k) = (i64::from(*modulus), i64::from(*width));
                let index: Vec<i64> = pairs.iter().flatten().copied().map(i64::from).collect();
                let x = Tensor::from_slice(&index).one_hot(p).to_kind(Kind::Double).view([-1, 2 * p]);
                let w = weights.narrow(0, 0, 2 * p * k).view([2 * p, k]);
                let vt = weights.narrow(0, 2 * p * k, p * k).view([k, p]);
                x.mm(&w).square().mm(&vt)
            }
            (Config::DeepLinear { widths, .. }, _, Inputs::Vectors { dimension, values }) => {
                let mut x = Tensor::from_slice(values).to_kind(Kind::Double).view([-1, *dimension as i64]);
                let mut start = 0;
                for pair in widths.windows(2) {
                    let (from, to) = (i64::from(pair[0]), i64::from(pair[1]));
                    x = x.mm(&weights.narrow(0, start, from * to).view([to, from]).tr());
                    start += from * to;
                }
                x
            }
            _ => panic!("data that the model does not take"),
        }
    }

    #[test]
    fn loss_and_gradient_are_those_of_autograd() {
        for task in [modular_task(7, 5, 0), gaussian_task(&[5, 3, 4], 2, 40), gaussian_task(&[3, 4], 1, 20)] {
            for members in [1, 3] {
                for loss in [Loss::Mse, Loss::CentredMse] {
                    for batch_size in [None, Some(6)] {
                        compare(
                            &TaskConfig { train: Train { loss, ..task.train.clone() }, ..task.clone() },
                            members,
                            batch_size,
                        );
                    }
                }
            }
        }
    }

    fn compare(task: &TaskConfig, members: u64, batch_size: Option<usize>) {
        let all: Vec<_> = (0..members).map(|seed| Examples::of(&TaskConfig { seed, ..task.clone() })).collect();
        let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
        let objective = SquaredError::new(models::of(task), task.train.loss, &sets, Kind::Double, Device::Cpu);
        let mut weights = vec![0.0; objective.dimension() as usize * members as usize];
        Normals::derive(1, "test", &[]).fill_f64(&mut weights);
        let weights = Tensor::from_slice(&weights).view([members as i64, -1]);
        let batch = batch_size.map(|size| {
            let mut batch = vec![0; size * members as usize];
            for (e, row) in batch.chunks_mut(size).enumerate() {
                Subsets::new(Stream::derive(2, "test", &[e as u64]), sets[0].len()).draw(row);
            }
            Tensor::from_slice(&batch).view([members as i64, -1])
        });
        let mut gradient = weights.full_like(f64::NAN); // whatever was there must not matter
        let loss = objective.loss_and_gradient(&weights, batch.as_ref(), &mut gradient);
        let (expected_loss, expected) = by_autograd(task, &sets, &weights, batch.as_ref());
        // Both round in double precision, in a different order of operations.
        let error = |a: &Tensor, b: &Tensor| f64::try_from((a - b).norm() / b.norm()).unwrap();
        assert!(error(&loss, &expected_loss) < 1e-12, "{task:?}, {members}, {batch_size:?}");
        assert!(error(&gradient, &expected) < 1e-12, "{task:?}, {members}, {batch_size:?}");
    }

    #[test]
    fn a_teacher_has_no_loss() {
        use phasegrid_proto::task::Init;
        let mut pairs = modular_task(5, 3, 1);
        pairs.model = pairs.model.with_init(Init::Teacher);
        let mut vectors = gaussian_task(&[5, 3, 5], 1, 100);
        vectors.model = vectors.model.with_init(Init::Teacher);
        for task in [pairs, vectors] {
            let weights = Tensor::from_slice(&models::initial_weights(&task)).unsqueeze(0);
            let mut gradient = weights.zeros_like();
            let objective = SquaredError::of(&task, &Examples::of(&task), 1, Kind::Float, Device::Cpu);
            let loss = objective.loss_and_gradient(&weights, None, &mut gradient).double_value(&[0]);
            // Outputs are of order 10 and rounded to 6e-8 of that.
            assert!(loss < 1e-11, "{loss}");
        }
    }
}
