//! Networks: shapes, initial weights, outputs and analytic gradients. A new model is one file and one line of [`of`].
//!
//! Letters: E members of a stacked program, D parameters, n examples, p outputs.

mod deep_linear;
mod mlp;
mod pairs;
mod potential;
mod quadratic;

use std::ops::Range;

use phasegrid_proto::task::{Data, Init, Loss, Model as Config, TaskConfig};
use tch::{Device, Kind, Tensor};

use crate::data::Set;
use crate::random::{Normals, Stream};

/// A network without weights: all that depends on its shapes alone.
///
/// Weights are flat, [E, D]. Tensors of a call share kind and device, except for indices.
pub trait Model: Send + Sync {
    /// D, the number of parameters.
    fn dimension(&self) -> i64;

    /// p, the number of outputs.
    fn outputs(&self) -> i64;

    /// The layers in the order of the flat weights.
    fn layers(&self) -> Vec<Layer>;

    /// Where the weights of a layer, counted from 1, lie among the D; `None` is all.
    ///
    /// # Panics
    /// If there is no such layer.
    fn range_of(&self, layer: Option<u32>) -> Range<usize> {
        let Some(layer) = layer else { return 0..self.dimension() as usize };
        let (layers, layer) = (self.layers(), layer as usize);
        let start = layers[..layer - 1].iter().map(|layer| layer.weights).sum();
        start..start + layers[layer - 1].weights
    }

    /// Weights of the network whose outputs are the targets where a task asks for a teacher.
    fn teacher(&self, seed: u64) -> Vec<f32> {
        let mut weights = vec![0.0; self.dimension() as usize];
        Normals::derive(seed, "teacher", &[]).fill(&mut weights);
        weights
    }

    /// The inputs of E sets of n examples in the form that [`Model::forward`] takes: tensors [E, n, …].
    fn inputs(&self, sets: &[&Set], kind: Kind, device: Device) -> Vec<Tensor>;

    /// The outputs [E, n, p] at `weights` [E, D], and in `saved` what [`Model::backward`] needs of the way there. What an
    /// earlier call left in `saved` is overwritten.
    fn forward(&self, weights: &Tensor, inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor;

    /// The outputs alone, [E, n, p].
    fn outputs_at(&self, weights: &Tensor, inputs: &[Tensor]) -> Tensor {
        self.forward(weights, inputs, &mut Vec::new())
    }

    /// Writes into `gradient` [E, D] the gradient of Σ cotangent·outputs, `cotangent` [E, n, p]; the rest is as it was at
    /// the last [`Model::forward`], whose `saved` may be overwritten.
    fn backward(
        &self,
        weights: &Tensor,
        inputs: &[Tensor],
        saved: &mut Vec<Tensor>,
        cotangent: &Tensor,
        gradient: &mut Tensor,
    );

    /// The squared error over all of these sets by a form of the model's own, for weights in single precision on a CPU: if it
    /// has one that is cheaper there than by its outputs, and no less exact.
    fn whole_loss(&self, _loss: Loss, _sets: &[&Set]) -> Option<Box<dyn WholeLoss>> {
        None
    }

    /// Inverse participation ratio of the weights' Fourier power, mean over neurons `[E]`; `None` where weights have no
    /// cyclic order.
    fn inverse_participation_ratio(&self, _weights: &Tensor) -> Option<Tensor> {
        None
    }
}

/// A loss over the whole set, made by [`Model::whole_loss`].
pub trait WholeLoss: Send {
    /// L `[E]` at `weights` [E, D], and where it is wanted ∇L into `gradient` [E, D].
    fn evaluate(&self, weights: &Tensor, gradient: Option<&mut Tensor>) -> Tensor;
}

/// One layer of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Number of weights.
    pub weights: usize,
    /// Numbers that each of the layer's neurons takes in.
    pub inputs: usize,
}

/// The model of `task`.
#[must_use]
pub fn of(task: &TaskConfig) -> Box<dyn Model> {
    match (&task.model, &task.data) {
        (Config::Quadratic { width, .. }, Data::Modular { modulus, .. }) => {
            Box::new(quadratic::Quadratic::new(*modulus, *width))
        }
        (Config::Mlp { width, activation, .. }, Data::Modular { modulus, .. }) => {
            Box::new(mlp::Mlp::new(*modulus, *width, *activation))
        }
        (Config::Potential { shape, .. }, _) => Box::new(potential::Potential::new(shape)),
        (Config::DeepLinear { widths, rank, .. }, _) => Box::new(deep_linear::DeepLinear::new(widths, *rank)),
        (model, data) => unreachable!("a checked task has data that its model takes, not {data:?} for {model:?}"),
    }
}

/// The initial weights of `task`, D numbers.
#[must_use]
pub fn initial_weights(task: &TaskConfig) -> Vec<f32> {
    let model = of(task);
    let mut weights = vec![0.0; model.dimension() as usize];
    match task.model.init() {
        Init::Zero => {}
        Init::Normal => Normals::derive(task.seed, "init", &[]).fill(&mut weights),
        Init::Teacher => weights = model.teacher(task.seed),
        Init::TorchLinear => {
            let mut stream = Stream::derive(task.seed, "init", &[]);
            let mut rest = weights.as_mut_slice();
            for layer in model.layers() {
                let (own, later) = rest.split_at_mut(layer.weights);
                let bound = (layer.inputs as f32).sqrt().recip();
                stream.fill_uniform(own, -bound, bound);
                rest = later;
            }
        }
    }
    weights
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use phasegrid_proto::task::{
        Activation, BatchSize, Checkpoints, JacobianSize, Operation, Optimizer, Potential, Train,
    };

    pub(crate) fn modular_task(p: u32, width: u32, seed: u64) -> TaskConfig {
        TaskConfig {
            data: Data::Modular { operation: Operation::Add, modulus: p, train_fraction: 0.4, label_noise: 0.0 },
            model: Config::Quadratic { width, init: Init::TorchLinear },
            train: Train {
                optimizer: Optimizer::AdamW { learning_rate: 1e-2, weight_decay: 1.0, betas: [0.9, 0.98] },
                batch_size: BatchSize::Full,
                steps: 0,
                loss: Loss::Mse,
                stop: None,
            },
            checkpoints: Checkpoints::Every(50),
            llc: None,
            geometry: None,
            seed,
        }
    }

    pub(crate) fn mlp_task(p: u32, width: u32, activation: Activation) -> TaskConfig {
        let model = Config::Mlp { width, activation, init: Init::TorchLinear };
        TaskConfig { model, ..modular_task(p, width, 0) }
    }

    pub(crate) fn gaussian_task(widths: &[u32], rank: u32, samples: u64) -> TaskConfig {
        TaskConfig {
            data: Data::Gaussian { samples, whiten: false },
            model: Config::DeepLinear { widths: widths.to_vec(), rank, init: Init::TorchLinear },
            ..modular_task(5, 5, 3)
        }
    }

    pub(crate) fn potential_task(shape: Potential) -> TaskConfig {
        let model = Config::Potential { shape, init: Init::Teacher };
        TaskConfig { data: Data::Origin, model, ..modular_task(5, 5, 3) }
    }

    #[test]
    fn a_network_has_the_size_that_its_configuration_says() {
        let linear = [gaussian_task(&[5, 3, 4, 2], 2, 40), gaussian_task(&[3, 4], 1, 20)];
        let potentials = [Potential::Curvatures(vec![1.0; 3]), Potential::Powers([1, 2])].map(potential_task);
        let pairs = [modular_task(7, 5, 0), mlp_task(7, 5, Activation::Relu)];
        for task in pairs.into_iter().chain(linear).chain(potentials) {
            let model = of(&task);
            let (examples, dimension) = (task.data.train_examples(), model.dimension() as u64);
            let JacobianSize { outputs, weights } = JacobianSize::of(&task.model, &task.data);
            assert_eq!((outputs, weights), (examples * model.outputs() as u64, dimension), "{:?}", task.model);
            assert_eq!(task.model.layers() as usize, model.layers().len(), "{:?}", task.model);
            let mut end = 0;
            for layer in 1..=task.model.layers() {
                let own = model.range_of(Some(layer));
                assert_eq!(own.start, end);
                end = own.end;
            }
            assert_eq!((end, model.range_of(None)), (dimension as usize, 0..dimension as usize));
        }
    }

    #[test]
    fn initial_weights_fill_the_range_of_torch_linear_layer_by_layer() {
        let weights = initial_weights(&modular_task(53, 100, 0));
        let (first, second) = weights.split_at(2 * 53 * 100);
        for (layer, bound) in [(first, 1.0 / 106f32.sqrt()), (second, 0.1)] {
            let largest = layer.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
            // The largest of thousands of uniform numbers lies within a percent of the bound.
            assert!(largest <= bound && largest > 0.99 * bound);
        }
    }
}
