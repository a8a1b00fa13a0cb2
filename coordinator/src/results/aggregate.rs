//! What the tasks of a cell have in common: the mean of a quantity with its standard error, and a constant on which they
//! agree.

use super::table::Cell;

/// Count, mean and sum of squared deviations, by Welford's recurrence: no cancellation at means far from zero.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let deviation = value - self.mean;
        self.mean += deviation / self.count;
        self.squares += deviation * (value - self.mean);
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then_some(self.mean)
    }

    /// The standard error of the mean; it takes two tasks to have one.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        (self.count > 1.0).then(|| (self.squares / (self.count - 1.0) / self.count).sqrt())
    }
}

/// What tasks say of a constant.
#[derive(Clone, Copy, Default)]
pub(super) enum Agreement {
    /// None was asked.
    #[default]
    Nothing,
    /// All the same.
    Same(Option<f64>),
    /// Not all the same.
    Differ,
}

impl Agreement {
    pub(super) fn add(&mut self, value: Option<f64>) {
        *self = match *self {
            Self::Nothing => Self::Same(value),
            Self::Same(known) if known == value => Self::Same(value),
            Self::Same(_) | Self::Differ => Self::Differ,
        };
    }

    pub(super) fn cell(self) -> Cell {
        match self {
            Self::Same(value) => Cell::real(value),
            Self::Nothing | Self::Differ => Cell::Missing,
        }
    }
}
