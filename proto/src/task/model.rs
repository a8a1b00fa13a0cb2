//! The network and its initial weights.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{Data, Problem};

/// An architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
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
            Self::Quadratic { init, .. } | Self::Mlp { init, .. } | Self::DeepLinear { init, .. } => init,
        }
    }

    /// The number of layers.
    #[must_use]
    pub fn layers(&self) -> u32 {
        match self {
            Self::Quadratic { .. } | Self::Mlp { .. } => 2,
            Self::DeepLinear { widths, .. } => widths.len().saturating_sub(1) as u32,
        }
    }

    /// The same architecture, initialised otherwise.
    #[must_use]
    pub fn with_init(&self, init: Init) -> Self {
        match self.clone() {
            Self::Quadratic { width, .. } => Self::Quadratic { width, init },
            Self::Mlp { width, activation, .. } => Self::Mlp { width, activation, init },
            Self::DeepLinear { widths, rank, .. } => Self::DeepLinear { widths, rank, init },
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
        }
    }

    /// What the model asks of the data.
    pub(super) fn check_with(&self, data: &Data, problems: &mut Vec<Problem>) {
        let fits = matches!(
            (self, data),
            (Self::Quadratic { .. } | Self::Mlp { .. }, Data::Modular { .. })
                | (Self::DeepLinear { .. }, Data::Gaussian { .. })
        );
        Problem::unless(problems, fits, "task.model.kind", || match self {
            Self::Quadratic { .. } => {
                "a quadratic network takes pairs; accepted with it: data.kind = \"modular\"".to_owned()
            }
            Self::Mlp { .. } => "an MLP takes pairs; accepted with it: data.kind = \"modular\"".to_owned(),
            Self::DeepLinear { .. } => {
                "a deep linear network takes vectors; accepted with it: data.kind = \"gaussian\"".to_owned()
            }
        });
        // Label noise would be drowned silently: a teacher's targets are its own outputs.
        if let (Init::Teacher, Data::Modular { label_noise, .. }) = (self.init(), data) {
            Problem::unless(problems, *label_noise == 0.0, "task.data.label_noise", || {
                "the targets of model.init = \"teacher\" are the network's own outputs; accepted with it: 0".to_owned()
            });
        }
    }
}
