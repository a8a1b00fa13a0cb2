//! The chains of a case: those of its settings and, where sensitivity is asked for, of settings nearby.

use super::case::Case;
use super::{Laboratory, Site};
use crate::sampler::{Chance, Origin, Settings};

/// How far nearby settings lie, as a share of the setting: far enough for the difference to be seen through what of the
/// chains' chance the common noise leaves, near enough for the cubic term of the logarithm to be a percent.
pub(super) const SHARE: f64 = 0.1;

/// Chains of a case, all with the same settings.
pub(super) struct Walk<'a> {
    pub(super) case: &'a Case<'a>,
    laboratory: &'a Laboratory<'a>,
    settings: Settings,
}

impl<'a> Walk<'a> {
    /// With the settings of `case`; then, where sensitivity is asked for, with more and with less of ε, and of γ if there is
    /// any. None where chains have no step size or no loss to start from.
    ///
    /// Nearby walks have the very noise and minibatches of the first: what they differ by is the settings' doing.
    pub(super) fn all(case: &'a Case<'a>, laboratory: &'a Laboratory<'a>) -> impl Iterator<Item = Self> {
        let own = case.settings().filter(|_| case.reference.initial_loss.is_finite());
        let nearby = own.iter().filter(|_| case.sampler.sensitivity).flat_map(|own| {
            let step_sizes = [1.0 + SHARE, 1.0 - SHARE].map(|times| (own.step_size * times, own.localization));
            let pulls = [1.0 + SHARE, 1.0 - SHARE].map(|times| (own.step_size, own.localization * times));
            let pulls = pulls.into_iter().filter(|_| own.localization > 0.0);
            let with = |(step_size, localization)| Settings { step_size, localization, ..own.clone() };
            step_sizes.into_iter().chain(pulls).map(with)
        });
        let all: Vec<_> = own.iter().cloned().chain(nearby).collect();
        all.into_iter().map(move |settings| Self { case, laboratory, settings })
    }

    fn site(&self) -> &Site<'a> {
        self.case.site
    }
}

impl Origin for Walk<'_> {
    fn start(&self) -> &[f32] {
        &self.site().weights
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A chain's streams depend on the task's seed, the checkpoint, the sampler's settings and the chain's number.
    fn chance(&self, chain: usize) -> Chance {
        let indices = [self.case.content, self.site().step, chain as u64];
        Chance::derive(self.site().task.seed, &indices, self.examples())
    }

    fn examples(&self) -> usize {
        self.site().examples.train.len()
    }

    fn numbers(&self) -> usize {
        self.site().numbers(self.settings.batch_size.unwrap_or_else(|| self.examples()))
    }

    fn stopped(&self) -> bool {
        self.laboratory.stopped(self.site())
    }
}
