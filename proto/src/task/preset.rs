//! Known collections of sampler settings, as they were published.

use super::llc::NbetaRule::{BatchOverLogBatch, NOverLogN};
use super::{BatchSize, Nbeta, Preset, StepSize};

/// What a preset fixes; the rest is the user's choice.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) step_size: Option<StepSize>,
    pub(super) localization: Option<f64>,
    pub(super) nbeta: Option<Nbeta>,
    pub(super) chains: Option<u32>,
    pub(super) burn_in: Option<u32>,
    pub(super) draws: Option<u32>,
    pub(super) batch_size: Option<BatchSize>,
}

impl Preset {
    /// The settings under this name.
    pub(super) fn settings(self) -> Settings {
        match self {
            Self::AuthorsCode => Settings {
                step_size: Some(StepSize::Fixed(5e-4)),
                localization: Some(5.0),
                nbeta: Some(Nbeta::Rule(BatchOverLogBatch)),
                chains: Some(3),
                burn_in: Some(100),
                draws: Some(500),
                batch_size: Some(BatchSize::Size(128)),
            },
            Self::PaperText => Settings {
                step_size: Some(StepSize::Fixed(1e-4)),
                localization: Some(5.0),
                nbeta: Some(Nbeta::Fixed(30.0)),
                chains: Some(3),
                burn_in: Some(100),
                draws: Some(600),
                batch_size: Some(BatchSize::Size(128)),
            },
            Self::Lau2023 => Settings { nbeta: Some(Nbeta::Rule(NOverLogN)), chains: Some(4), ..Settings::default() },
            Self::Population => Settings {
                step_size: Some(StepSize::Stable { stable: 0.15 }),
                localization: Some(1.0),
                nbeta: Some(Nbeta::Fixed(1e4)),
                chains: Some(4),
                burn_in: Some(5000),
                draws: Some(10_000),
                batch_size: Some(BatchSize::Full),
            },
        }
    }
}
