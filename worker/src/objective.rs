//! The seam between models on one side, training and sampling on the other: a mean loss with its gradient.
//!
//! Everything is stacked: E weight vectors are advanced by one tensor program, be they the tasks of an ensemble or the
//! chains of an estimate. Letters: E members, D parameters, N training examples, n examples of a batch.

use std::cell::RefCell;

use phasegrid_proto::task::{Loss, TaskConfig};
use tch::{Device, Kind, Tensor};

use crate::data::{Examples, Set};
use crate::models::{self, Model};

/// A loss L(w) = mean over examples of a per-example loss in nats, for E weight vectors at once.
///
/// Implementations compute in the kind (precision) of the weights they are given and on their device, allocate no graph
/// (no autograd) and have no randomness of their own.
pub trait Objective {
    /// E, the number of members.
    fn members(&self) -> i64;

    /// D, the number of parameters of one member.
    fn dimension(&self) -> i64;

    /// N, the number of examples behind the full loss. Minibatch indices are drawn below it.
    fn examples(&self) -> i64;

    /// Writes ∇L into `gradient` [E, D], overwriting it, and returns L [E], both at `weights` [E, D].
    ///
    /// `batch` [E, n] holds each member's own indices into its examples; `None` is the full set.
    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor;
}

/// Half the squared error, summed over outputs, mean over examples: of one model with E sets of examples, or of E copies.
///
/// Centred, the mean of the residuals over the batch is subtracted first.
pub struct SquaredError {
    model: Box<dyn Model>,
    loss: Loss,
    examples: Stacked,
    saved: RefCell<Vec<Tensor>>,
}

/// Examples of E members on a device.
#[derive(Debug)]
pub struct Stacked {
    /// As [`Model::inputs`] gives them: tensors [E, N, …].
    pub inputs: Vec<Tensor>,
    /// [E, N, p]
    pub targets: Tensor,
    /// [E, N]; `None` for regression.
    pub classes: Option<Tensor>,
}

impl Stacked {
    /// Stacks sets of the same size, one a member.
    #[must_use]
    pub fn new(model: &dyn Model, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let stack = |parts: Vec<Tensor>| Tensor::stack(&parts, 0);
        let classes: Option<Vec<Tensor>> = sets.iter().map(|set| set.classes(device)).collect();
        Self {
            inputs: model.inputs(sets, kind, device),
            targets: stack(sets.iter().map(|set| set.targets(kind, device)).collect()),
            classes: classes.map(stack),
        }
    }

    /// E, N.
    #[must_use]
    pub fn size(&self) -> (i64, i64) {
        let size = self.targets.size();
        (size[0], size[1])
    }

    /// Inputs and targets at each member's own `batch` [E, n].
    fn select(&self, batch: &Tensor) -> (Vec<Tensor>, Tensor) {
        let (members, examples) = self.size();
        let index = if members == 1 {
            batch.flatten(0, 1)
        } else {
            // Each member's examples begin where those of the one before end.
            let starts = Tensor::arange_start_step(0, members * examples, examples, (Kind::Int64, batch.device()));
            (batch + starts.unsqueeze(1)).flatten(0, 1)
        };
        let select = |tensor: &Tensor| {
            let mut size = tensor.size();
            size[1] = -1;
            tensor.flatten(0, 1).index_select(0, &index).view(size.as_slice())
        };
        (self.inputs.iter().map(select).collect(), select(&self.targets))
    }
}

impl SquaredError {
    /// The loss of E members, each with its own set.
    #[must_use]
    pub fn new(model: Box<dyn Model>, loss: Loss, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let examples = Stacked::new(model.as_ref(), sets, kind, device);
        Self { model, loss, examples, saved: RefCell::default() }
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

    /// f − y, centred if the loss is, [E, n, p]
    fn residual(&self, weights: &Tensor, inputs: &[Tensor], targets: &Tensor) -> Tensor {
        let mut residual = self.model.forward(weights, inputs, &mut self.saved.borrow_mut());
        residual -= targets;
        if self.loss == Loss::CentredMse {
            residual -= residual.mean_dim(1, true, None);
        }
        residual
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
        let selected = batch.map(|batch| self.examples.select(batch));
        let (inputs, targets) = selected
            .as_ref()
            .map_or((&self.examples.inputs, &self.examples.targets), |(inputs, targets)| (inputs, targets));
        let mut residual = self.residual(weights, inputs, targets);
        let n = residual.size()[1] as f64;
        let loss = residual.square().sum_dim_intlist([1, 2].as_slice(), false, None) * (0.5 / n); // [E]
        // Centring is a projection and the residual lies in its image: it is the gradient of the outputs as it stands.
        residual *= 1.0 / n;
        self.model.backward(weights, inputs, &mut self.saved.borrow_mut(), &residual, gradient);
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
                let v = weights.narrow(0, 2 * p * k, p * k).view([p, k]);
                x.mm(&w).square().mm(&v.tr())
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
