//! The optimisation.

use serde::{Deserialize, Serialize};

use super::Problem;
use super::schema::expect;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// The update rule.
    #[serde(flatten)]
    pub optimizer: Optimizer,
    /// Examples behind one gradient, drawn anew for each step.
    pub batch_size: BatchSize,
    /// Optimiser steps; 0 trains nothing.
    pub steps: u64,
    /// The objective, for training and for the LLC.
    pub loss: Loss,
    /// When to stop before `steps`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stop: Option<Stop>,
}

/// An update rule with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
// It is read from what `Train` leaves of its own table, and refuses what neither of the two knows.
#[serde(tag = "optimizer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Adam with coupled L2: weight decay is added to the gradient. ε = 1e-8.
    Adam {
        /// Step length.
        learning_rate: f64,
        /// L2 coefficient.
        weight_decay: f64,
        /// Decay rates of the first and second moment.
        betas: [f64; 2],
    },
    /// Adam with decoupled weight decay. ε = 1e-8.
    #[serde(rename = "adamw")]
    AdamW {
        /// Step length.
        learning_rate: f64,
        /// Share of the weights removed per unit of step length.
        weight_decay: f64,
        /// Decay rates of the first and second moment.
        betas: [f64; 2],
    },
    /// Gradient descent with heavy-ball momentum and coupled L2.
    Sgd {
        /// Step length.
        learning_rate: f64,
        /// L2 coefficient.
        weight_decay: f64,
        /// Share of the previous update that is kept.
        momentum: f64,
    },
}

/// Examples behind one gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// All training examples.
    Full,
    /// A uniformly drawn subset of this size.
    Size(u64),
}

/// The objective: ½·Σ over outputs of the squared residual, mean over examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The residuals' mean over the batch is subtracted first.
    CentredMse,
    /// As it is.
    Mse,
}

/// Early stop: validation accuracy has been at least this at so many checkpoints in a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Accuracy to reach, in 0..=1.
    pub val_accuracy: f64,
    /// Checkpoints in a row.
    pub checkpoints: u32,
}

impl BatchSize {
    /// The number of examples, given that of the training set.
    #[must_use]
    pub fn resolve(self, examples: u64) -> u64 {
        match self {
            Self::Full => examples,
            Self::Size(size) => size,
        }
    }

    pub(super) fn check(self, path: &str, examples: u64, problems: &mut Vec<Problem>) {
        if let Self::Size(size) = self {
            Problem::unless(problems, size >= 1 && size <= examples, path, || {
                format!(
                    "{size} is not accepted; accepted: \"full\", or a number from 1 to the {examples} training examples"
                )
            });
        }
    }

    /// What the centred loss asks for.
    pub(super) fn check_centred(self, path: &str, examples: u64, problems: &mut Vec<Problem>) {
        Problem::unless(problems, self.resolve(examples) != 1, path, || {
            "1 with the loss \"centred_mse\" leaves nothing: a single residual is its own mean; accepted: 2 or more, or \"mse\""
                .to_owned()
        });
    }
}

impl Train {
    /// No training at all: the estimate at the initial weights is what counts.
    #[must_use]
    pub(super) fn none(loss: Loss) -> Self {
        let optimizer = Optimizer::Sgd { learning_rate: 0.0, weight_decay: 0.0, momentum: 0.0 };
        Self { optimizer, batch_size: BatchSize::Full, steps: 0, loss, stop: None }
    }

    pub(super) fn check(&self, examples: u64, problems: &mut Vec<Problem>) {
        let (Optimizer::Adam { learning_rate, weight_decay, .. }
        | Optimizer::AdamW { learning_rate, weight_decay, .. }
        | Optimizer::Sgd { learning_rate, weight_decay, .. }) = self.optimizer;
        let accepted = |value: f64| value.is_finite() && value >= 0.0;
        expect(problems, accepted(learning_rate), "task.train.learning_rate", learning_rate);
        expect(problems, accepted(weight_decay), "task.train.weight_decay", weight_decay);
        match self.optimizer {
            Optimizer::Adam { betas, .. } | Optimizer::AdamW { betas, .. } => {
                expect(problems, betas.iter().all(|beta| (0.0..1.0).contains(beta)), "task.train.betas", betas);
            }
            Optimizer::Sgd { momentum, .. } => {
                expect(problems, (0.0..1.0).contains(&momentum), "task.train.momentum", momentum);
            }
        }
        expect(problems, self.steps <= 1_000_000_000, "task.train.steps", self.steps);
        self.batch_size.check("task.train.batch_size", examples, problems);
        if let Some(Stop { val_accuracy, checkpoints }) = self.stop {
            expect(problems, (0.0..=1.0).contains(&val_accuracy), "task.train.stop.val_accuracy", val_accuracy);
            expect(problems, checkpoints >= 1, "task.train.stop.checkpoints", checkpoints);
        }
    }
}

impl Serialize for BatchSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Full => serializer.serialize_str("full"),
            Self::Size(size) => serializer.serialize_u64(*size),
        }
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = BatchSize;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"full\" or a number of examples")
            }
            fn visit_u64<E: serde::de::Error>(self, size: u64) -> Result<BatchSize, E> {
                Ok(BatchSize::Size(size))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BatchSize, E> {
                if text == "full" {
                    Ok(BatchSize::Full)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
