//! The network and its initial weights.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{Data, Problem, Train};

/// An architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Model {
    /// f(x) = V·(Wᵀx)², elementwise square, no biases: 3pK parameters.
    Quadratic {
        /// Hidden width K.
        width: u32,
        /// Initial weights.
        init: Init,
    },
    /// f(x) = V·φ(Wᵀx), no biases: 3pK parameters. On one-hot pairs a hidden bias would be the shift that all rows of the
    /// first half of W share.
    Mlp {
        /// Hidden width K.
        width: u32,
        /// φ.
        activation: Activation,
        /// Initial weights.
        init: Init,
    },
    /// A product of matrices, no biases.
    DeepLinear {
        /// Layer widths from input to output, H¹ … H^{L+1}.
        widths: Vec<u32>,
        /// Rank r of the teacher's product, and of each of its layers.
        rank: u32,
        /// Initial weights.
        init: Init,
    },
    /// No network, but a loss of known geometry around its minimum w* = 0.
    Potential {
        /// The loss.
        #[serde(flatten)]
        shape: Potential,
        /// Initial weights: w*, which is both `teacher` and `zero`.
        init: Init,
    },
}

/// A loss L(w) whose local learning coefficient at w* = 0 is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Potential {
    /// L = ½·Σ_k h_k·w_k², of these curvatures h_k.
    Curvatures(Vec<f64>),
    /// L = ½·(w_1^k_1·w_2^k_2)², a normal crossing of these powers k_i.
    Powers([u32; 2]),
}

/// A nonlinearity, elementwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// z·Φ(z), with the normal distribution's Φ itself.
    Gelu,
    /// tanh z.
    Tanh,
}

/// How weights are initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The default of torch's Linear: uniform in ±1/√(inputs of the layer).
    TorchLinear,
    /// Standard normal.
    Normal,
    /// The weights of a network whose outputs are the targets: a known zero-loss optimum.
    Teacher,
    /// All zero.
    Zero,
}

impl Model {
    /// The initialisation.
    #[must_use]
    pub fn init(&self) -> Init {
        match *self {
            Self::Quadratic { init, .. }
            | Self::Mlp { init, .. }
            | Self::DeepLinear { init, .. }
            | Self::Potential { init, .. } => init,
        }
    }

    /// The number of layers.
    #[must_use]
    pub fn layers(&self) -> u32 {
        match self {
            Self::Quadratic { .. } | Self::Mlp { .. } => 2,
            Self::DeepLinear { widths, .. } => widths.len().saturating_sub(1) as u32,
            Self::Potential { .. } => 1,
        }
    }

    /// Whether the loss is flat to second order at zero weights, whatever the data, when the weights of `layer` or all of them
    /// move. On some data it is flat there for other networks too.
    #[must_use]
    pub fn is_flat_at_zero(&self, layer: Option<u32>) -> bool {
        match self {
            Self::Quadratic { .. } => true,
            // A layer between others that are zero changes no output.
            Self::Mlp { .. } => layer.is_some(),
            Self::DeepLinear { widths, rank, .. } => match widths.len() {
                0..=2 => false,
                // Without a target there is no residual for the product of two layers to meet.
                3 => layer.is_some() || *rank == 0,
                _ => true,
            },
            Self::Potential { .. } => false,
        }
    }

    /// The same architecture, initialised otherwise.
    #[must_use]
    pub fn with_init(&self, init: Init) -> Self {
        match self.clone() {
            Self::Quadratic { width, .. } => Self::Quadratic { width, init },
            Self::Mlp { width, activation, .. } => Self::Mlp { width, activation, init },
            Self::DeepLinear { widths, rank, .. } => Self::DeepLinear { widths, rank, init },
            Self::Potential { shape, .. } => Self::Potential { shape, init },
        }
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        match self {
            Self::Quadratic { width, .. } | Self::Mlp { width, .. } => {
                expect(problems, (1..=1 << 20).contains(width), "task.model.width", width);
            }
            Self::DeepLinear { widths, rank, .. } => {
                let sizes =
                    widths.len() >= 2 && widths.len() <= 64 && widths.iter().all(|width| (1..=4096).contains(width));
                expect(problems, sizes, "task.model.widths", widths);
                let narrowest = widths.iter().copied().min().unwrap_or(0);
                Problem::unless(problems, !sizes || *rank <= narrowest, "task.model.rank", || {
                    format!("{rank} is more than the narrowest layer allows; accepted: 0 to {narrowest}")
                });
            }
            Self::Potential { shape, init } => {
                shape.check(problems);
                let at_minimum = matches!(init, Init::Teacher | Init::Zero);
                Problem::unless(problems, at_minimum, "task.model.init", || {
                    "a potential starts at its minimum; accepted with it: \"teacher\" or \"zero\", which are the same"
                        .to_owned()
                });
            }
        }
    }

    /// What the model asks of the data.
    pub(super) fn check_with(&self, data: &Data, problems: &mut Vec<Problem>) {
        let (takes, accepted) = match self {
            Self::Quadratic { .. } => ("a quadratic network takes pairs", "modular"),
            Self::Mlp { .. } => ("an MLP takes pairs", "modular"),
            Self::DeepLinear { .. } => ("a deep linear network takes vectors", "gaussian"),
            Self::Potential { .. } => ("a potential takes no inputs", "origin"),
        };
        Problem::unless(problems, data.kind() == accepted, "task.model.kind", || {
            format!("{takes}; accepted with it: data.kind = \"{accepted}\"")
        });
        if let (Self::DeepLinear { widths, .. }, Data::Gaussian { samples, whiten: true }) = (self, data) {
            let inputs = widths.first().copied().unwrap_or(0);
            Problem::unless(problems, *samples >= u64::from(inputs), "task.data.samples", || {
                format!("{samples} vectors of {inputs} numbers cannot be whitened; accepted: {inputs} or more")
            });
        }
        // Label noise would be drowned silently: a teacher's targets are its own outputs.
        if let (Init::Teacher, Data::Modular { label_noise, .. }) = (self.init(), data) {
            Problem::unless(problems, *label_noise == 0.0, "task.data.label_noise", || {
                "the targets of model.init = \"teacher\" are the network's own outputs; accepted with it: 0".to_owned()
            });
        }
    }

    /// What the model asks of the training.
    pub(super) fn check_training(&self, train: &Train, problems: &mut Vec<Problem>) {
        let trained = matches!(self, Self::Potential { .. }) && train.steps > 0;
        Problem::unless(problems, !trained, "task.train.steps", || {
            "a potential starts at its minimum, where nothing is left to train; accepted with it: 0".to_owned()
        });
    }
}

impl Potential {
    fn check(&self, problems: &mut Vec<Problem>) {
        match self {
            Self::Curvatures(all) => {
                let accepted = (1..=4096).contains(&all.len()) && all.iter().all(|h| h.is_finite() && *h > 0.0);
                expect(problems, accepted, "task.model.curvatures", all);
            }
            Self::Powers(powers) => {
                let accepted = powers.iter().all(|power| *power <= 8) && *powers != [0, 0];
                expect(problems, accepted, "task.model.powers", powers);
            }
        }
    }
}
