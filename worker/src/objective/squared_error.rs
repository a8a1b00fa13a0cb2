//! Half the squared error, plain or centred, of any model.
//!
//! With residuals e = f − y, [n, p]: L = ½·Σ e²/n, where the centred loss subtracts from e its mean over the n examples
//! first. Centring is a projection and the centred residual lies in its image, so that e/n is the gradient with respect to
//! the outputs either way; the model takes it to the weights.

use std::cell::RefCell;
use std::ops::Range;

use phasegrid_proto::task::{Loss, TaskConfig};
use tch::{Device, Kind, Tensor};

use super::Objective;
use super::stacked::{Padding, Stacked, Stacks};
use crate::data::{Examples, Set};
use crate::host::{self, widest};
use crate::models::{self, Model, WholeLoss};

/// Half the squared error, summed over outputs, mean over examples: of one model with E sets of examples.
pub struct SquaredError {
    model: Box<dyn Model>,
    loss: Loss,
    examples: Stacks,
    /// For each stack of examples.
    buffers: RefCell<Vec<Buffers>>,
}

/// What is kept from call to call, so that nothing is made anew.
#[derive(Default)]
struct Buffers {
    /// The model's own form of the full loss, where it has one.
    whole: Option<Box<dyn WholeLoss>>,
    /// The model's own.
    saved: Vec<Tensor>,
    /// The examples of a batch.
    selected: Vec<Tensor>,
}

impl SquaredError {
    /// The loss of E members, each with its own set.
    #[must_use]
    pub fn new(model: Box<dyn Model>, loss: Loss, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let examples = Stacks::new(model.as_ref(), sets, kind, device);
        let on_host = kind == Kind::Float && device == Device::Cpu;
        let buffers = |(members, _): &(Range<i64>, Stacked)| {
            let sets = &sets[members.start as usize..members.end as usize];
            let whole = on_host.then(|| model.whole_loss(loss, sets)).flatten();
            Buffers { whole, ..Buffers::default() }
        };
        let buffers = examples.parts().iter().map(buffers).collect();
        Self { model, loss, examples, buffers: RefCell::new(buffers) }
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
    pub fn stacks(&self) -> &Stacks {
        &self.examples
    }

    /// L [E], and where it is wanted ∇L into `gradient`.
    fn evaluate(&self, weights: &Tensor, batch: Option<&Tensor>, mut gradient: Option<&mut Tensor>) -> Tensor {
        let mut buffers = self.buffers.borrow_mut();
        if let [(_, stack)] = self.examples.parts() {
            return self.of_stack(stack, &mut buffers[0], weights, batch, gradient);
        }
        let of_part = |((members, stack), buffers): (&(Range<i64>, Stacked), &mut Buffers)| {
            let rows = |tensor: &Tensor| tensor.narrow(0, members.start, members.end - members.start);
            let mut part = gradient.as_deref_mut().map(|gradient| rows(gradient));
            self.of_stack(stack, buffers, &rows(weights), batch.map(rows).as_ref(), part.as_mut())
        };
        let losses: Vec<_> = self.examples.parts().iter().zip(buffers.iter_mut()).map(of_part).collect();
        Tensor::cat(&losses, 0)
    }

    /// [`SquaredError::evaluate`] of the members of one stack.
    fn of_stack(
        &self,
        stack: &Stacked,
        Buffers { whole, saved, selected }: &mut Buffers,
        weights: &Tensor,
        batch: Option<&Tensor>,
        gradient: Option<&mut Tensor>,
    ) -> Tensor {
        if let (None, Some(whole)) = (batch, whole) {
            return whole.evaluate(weights, gradient);
        }
        let selected = batch.map(|batch| stack.select(batch, selected));
        let all = (&stack.inputs, &stack.targets);
        let (inputs, targets) = selected.as_ref().map_or(all, |(inputs, targets)| (inputs, targets));
        // A batch is drawn from a member's own examples and has no padding.
        let padding = stack.padding.as_ref().filter(|_| batch.is_none());
        let mut outputs = self.model.forward(weights, inputs, saved);
        let loss = self.settle(&mut outputs, targets, padding);
        if let Some(gradient) = gradient {
            self.model.backward(weights, inputs, saved, &outputs, gradient);
        }
        loss
    }

    /// L [E], and ∂L/∂f in place of the `outputs` f [E, n, p].
    fn settle(&self, outputs: &mut Tensor, targets: &Tensor, padding: Option<&Padding>) -> Tensor {
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
        *outputs -= targets;
        let squares = |outputs: &Tensor| outputs.square().sum_dim_intlist([1, 2].as_slice(), false, None) * 0.5; // [E]
        let Some(Padding { mask, shares }) = padding else {
            let n = size[1] as f64;
            if centred {
                *outputs -= outputs.mean_dim(1, true, None);
            }
            let loss = squares(outputs) / n;
            *outputs /= n;
            return loss;
        };
        *outputs *= mask;
        if centred {
            *outputs -= outputs.sum_dim_intlist(1, true, None) * shares;
            *outputs *= mask;
        }
        let loss = squares(outputs) * shares.flatten(0, 2);
        *outputs *= shares;
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
        self.examples.members()
    }

    fn dimension(&self) -> i64 {
        self.model.dimension()
    }

    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        self.evaluate(weights, batch, Some(gradient))
    }

    fn loss(&self, weights: &Tensor, batch: Option<&Tensor>) -> Tensor {
        self.evaluate(weights, batch, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::{gaussian_task, mlp_task, modular_task, potential_task};
    use crate::random::{Normals, Stream, Subsets};
    use phasegrid_proto::task::{Activation, Data, Potential, Train};

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
        use phasegrid_proto::task::Model as Config;
        match (&task.model, &task.data, &set.inputs) {
            (Config::Quadratic { width, .. }, Data::Modular { modulus, .. }, Inputs::Pairs(pairs)) => {
                let (p, k) = (i64::from(*modulus), i64::from(*width));
                let index: Vec<i64> = pairs.iter().flatten().copied().map(i64::from).collect();
                let x = Tensor::from_slice(&index).one_hot(p).to_kind(Kind::Double).view([-1, 2 * p]);
                let w = weights.narrow(0, 0, 2 * p * k).view([2 * p, k]);
                let vt = weights.narrow(0, 2 * p * k, p * k).view([k, p]);
                x.mm(&w).square().mm(&vt)
            }
            (Config::Mlp { width, activation, .. }, Data::Modular { modulus, .. }, Inputs::Pairs(pairs)) => {
                let (p, k) = (i64::from(*modulus), i64::from(*width));
                let index: Vec<i64> = pairs.iter().flatten().copied().map(i64::from).collect();
                let x = Tensor::from_slice(&index).one_hot(p).to_kind(Kind::Double).view([-1, 2 * p]);
                let z = x.mm(&weights.narrow(0, 0, 2 * p * k).view([2 * p, k]));
                let h = match activation {
                    Activation::Relu => z.clamp_min(0.0),
                    Activation::Gelu => &z * ((&z / 2f64.sqrt()).erf() + 1.0) * 0.5,
                    Activation::Tanh => (&z * 2.0).sigmoid() * 2.0 - 1.0,
                };
                h.mm(&weights.narrow(0, 2 * p * k, p * k).view([k, p]))
            }
            (Config::Potential { shape: Potential::Curvatures(all), .. }, ..) => {
                (weights * Tensor::from_slice(all).sqrt()).unsqueeze(0)
            }
            (Config::Potential { shape: Potential::Powers([k1, k2]), .. }, ..) => {
                let power = |i: i64, k: u32| weights.get(i).pow_tensor_scalar(i64::from(k));
                (power(0, *k1) * power(1, *k2)).view([1, 1])
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
    fn loss_and_gradient_are_those_of_autograd_for_sets_of_any_size() {
        let linear = [gaussian_task(&[5, 3, 4], 2, 40), gaussian_task(&[3, 4], 1, 20)];
        let mlps = [Activation::Relu, Activation::Gelu, Activation::Tanh].map(|activation| mlp_task(7, 5, activation));
        for task in [modular_task(7, 5, 0)].into_iter().chain(linear).chain(mlps) {
            for members in [1, 4] {
                for loss in [Loss::Mse, Loss::CentredMse] {
                    for batch_size in [None, Some(6)] {
                        compare(&with_loss(&task, loss), members, batch_size);
                    }
                }
            }
        }
    }

    #[test]
    fn a_potential_has_the_gradient_of_autograd() {
        let crossings = [[1, 0], [2, 0], [0, 1], [1, 1], [1, 2], [3, 2]].map(Potential::Powers);
        for shape in [Potential::Curvatures(vec![2.0, 0.1, 30.0])].into_iter().chain(crossings) {
            for members in [1, 3] {
                compare(&with_loss(&potential_task(shape.clone()), Loss::Mse), members, None);
                compare(&with_loss(&potential_task(shape.clone()), Loss::Mse), members, Some(1));
            }
        }
    }

    fn with_loss(task: &TaskConfig, loss: Loss) -> TaskConfig {
        TaskConfig { train: Train { loss, ..task.train.clone() }, ..task.clone() }
    }

    /// Members have different seeds and, but for the first two, numbers of examples.
    fn compare(task: &TaskConfig, members: u64, batch_size: Option<usize>) {
        let own = |seed: u64| {
            let mut task = TaskConfig { seed, ..task.clone() };
            match &mut task.data {
                Data::Modular { train_fraction, .. } => *train_fraction += 0.1 * (seed / 2) as f64,
                Data::Gaussian { samples, .. } => *samples += seed / 2,
                Data::Origin => {}
            }
            Examples::of(&task)
        };
        let all: Vec<_> = (0..members).map(own).collect();
        let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
        let objective = SquaredError::new(models::of(task), task.train.loss, &sets, Kind::Double, Device::Cpu);
        let mut weights = vec![0.0; objective.dimension() as usize * members as usize];
        Normals::derive(1, "test", &[]).fill_f64(&mut weights);
        let weights = Tensor::from_slice(&weights).view([members as i64, -1]);
        let batch = batch_size.map(|size| {
            let mut batch = vec![0; size * members as usize];
            for (e, row) in batch.chunks_mut(size).enumerate() {
                Subsets::new(Stream::derive(2, "test", &[e as u64]), sets[e].len()).draw(row);
            }
            Tensor::from_slice(&batch).view([members as i64, -1])
        });
        let mut gradient = weights.full_like(f64::NAN); // whatever was there must not matter
        let loss = objective.loss_and_gradient(&weights, batch.as_ref(), &mut gradient);
        assert_eq!(objective.loss(&weights, batch.as_ref()), loss);
        let (expected_loss, expected) = by_autograd(task, &sets, &weights, batch.as_ref());
        // Both round in double precision, in a different order of operations.
        let error = |a: &Tensor, b: &Tensor| f64::try_from((a - b).norm() / b.norm()).unwrap();
        assert!(error(&loss, &expected_loss) < 1e-12, "{task:?}, {members}, {batch_size:?}");
        assert!(error(&gradient, &expected) < 1e-12, "{task:?}, {members}, {batch_size:?}");
    }

    #[test]
    fn in_host_memory_members_with_sets_of_different_sizes_are_to_the_bit_as_if_alone() {
        let sizes = [0.4, 0.4, 0.6, 0.3];
        let task = |(seed, size): (usize, &f64)| {
            let mut task = modular_task(7, 5, seed as u64);
            let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
            *train_fraction = *size;
            task
        };
        let tasks: Vec<_> = sizes.iter().enumerate().map(task).collect();
        let all: Vec<_> = tasks.iter().map(Examples::of).collect();
        let sets: Vec<_> = all.iter().map(|examples| &examples.train).collect();
        let objective =
            |sets: &[&Set]| SquaredError::new(models::of(&tasks[0]), Loss::CentredMse, sets, Kind::Float, Device::Cpu);
        let rows: Vec<_> = tasks.iter().map(|task| Tensor::from_slice(&models::initial_weights(task))).collect();
        let weights = Tensor::stack(&rows, 0);
        let batches = Tensor::from_slice(&[3i64, 1, 0, 2, 5, 4, 6, 8]).view([4, 2]);
        for batch in [None, Some(&batches)] {
            let mut gradient = weights.zeros_like();
            let losses = objective(&sets).loss_and_gradient(&weights, batch, &mut gradient);
            for (e, set) in (0..).zip(&sets) {
                let mut alone = weights.narrow(0, e, 1).zeros_like();
                let batch = batch.map(|batch| batch.narrow(0, e, 1));
                let loss = objective(&[set]).loss_and_gradient(&weights.narrow(0, e, 1), batch.as_ref(), &mut alone);
                assert_eq!((losses.get(e), gradient.get(e)), (loss.get(0), alone.get(0)));
            }
        }
    }

    #[test]
    fn the_loss_alone_is_that_beside_the_gradient_also_where_only_some_have_the_whole_grid() {
        let task = |seed: u64, size: f64| {
            let mut task = modular_task(53, 60, seed); // of a size at which moments are the cheaper form
            let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
            *train_fraction = size;
            task
        };
        let tasks = [task(0, 1.0), task(1, 1.0), task(2, 0.5)];
        let all = tasks.each_ref().map(Examples::of);
        let objective = |which: Range<usize>| {
            let sets: Vec<_> = all[which].iter().map(|examples| &examples.train).collect();
            SquaredError::new(models::of(&tasks[0]), Loss::Mse, &sets, Kind::Float, Device::Cpu)
        };
        let together = objective(0..3);
        assert_eq!(
            together.buffers.borrow().iter().map(|part| part.whole.is_some()).collect::<Vec<_>>(),
            [true, false]
        );
        let rows: Vec<_> = tasks.iter().map(|task| Tensor::from_slice(&models::initial_weights(task))).collect();
        let weights = Tensor::stack(&rows, 0);
        let mut gradient = weights.zeros_like();
        let losses = together.loss_and_gradient(&weights, None, &mut gradient);
        assert_eq!(together.loss(&weights, None), losses);
        for e in 0..3 {
            let (own, mut alone) = (weights.narrow(0, e as i64, 1), weights.narrow(0, e as i64, 1).zeros_like());
            let loss = objective(e..e + 1).loss_and_gradient(&own, None, &mut alone);
            assert_eq!((losses.get(e as i64), gradient.get(e as i64)), (loss.get(0), alone.get(0)), "{e}");
        }
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
