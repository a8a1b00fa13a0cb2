//! The examples that a network is trained on.

use serde::{Deserialize, Serialize};

use super::Problem;
use super::schema::expect;

/// Where examples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Data {
    /// All p² pairs (a, b) with class `operation(a, b) mod p`; one-hot inputs and targets.
    Modular {
        /// How the class follows from the pair.
        operation: Operation,
        /// The modulus p.
        modulus: u32,
        /// Share of the p² pairs in the training set; the rest validates.
        train_fraction: f64,
        /// Share of training labels that are replaced by another class, drawn uniformly.
        label_noise: f64,
    },
    /// Standard normal inputs with the outputs of a linear teacher.
    Gaussian {
        /// Number of training examples N.
        samples: u64,
        /// Whether the inputs are whitened: taken to the nearest whose second moments are exactly those of the population,
        /// Σ x·xᵀ/N = 1, so that the loss of few samples is that of infinitely many.
        whiten: bool,
    },
    /// One example without inputs, whose target is 0: the loss is a function of the weights alone.
    Origin,
}

/// An operation on residues modulo p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a · b
    Multiply,
    /// a² + b²
    SumOfSquares,
}

impl Data {
    /// Size N of the training set.
    #[must_use]
    pub fn train_examples(&self) -> u64 {
        match *self {
            // Truncated, as in the reference implementation: p = 53 and 0.4 give 1123.
            Self::Modular { modulus, train_fraction, .. } => (train_fraction * f64::from(modulus).powi(2)) as u64,
            Self::Gaussian { samples, .. } => samples,
            Self::Origin => 1,
        }
    }

    /// Size of the training and the validation set together.
    #[must_use]
    pub fn examples(&self) -> u64 {
        match *self {
            Self::Modular { modulus, .. } => u64::from(modulus).pow(2),
            Self::Gaussian { .. } | Self::Origin => self.train_examples(),
        }
    }

    /// The word for it in a sweep file.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Modular { .. } => "modular",
            Self::Gaussian { .. } => "gaussian",
            Self::Origin => "origin",
        }
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        match *self {
            Self::Modular { modulus, train_fraction, label_noise, .. } => {
                expect(problems, (2..=4096).contains(&modulus), "task.data.modulus", modulus);
                let share = train_fraction > 0.0 && train_fraction <= 1.0;
                expect(problems, share, "task.data.train_fraction", train_fraction);
                expect(problems, (0.0..=1.0).contains(&label_noise), "task.data.label_noise", label_noise);
                let empty = share && modulus >= 2 && self.train_examples() == 0;
                Problem::unless(problems, !empty, "task.data.train_fraction", || {
                    format!("{train_fraction} of {modulus}² pairs leaves no training example; accepted: a larger share")
                });
            }
            Self::Gaussian { samples, .. } => {
                expect(problems, (1..=10_000_000).contains(&samples), "task.data.samples", samples);
            }
            Self::Origin => {}
        }
    }
}
