//! A calibration: the LLC against the step size, and the map of verdicts, as a figure and as text for a terminal.

mod figure;
#[cfg(test)]
mod tests;
mod text;

use super::scale;
use crate::calibration::{Choice, Estimates, Grid, Level, Map, Node, Verdict};

pub use figure::calibration_figure;
pub use text::calibration_text;

/// What a calibration is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    /// The sweep's name.
    pub name: &'a str,
    /// The settings that were tried.
    pub grid: &'a Grid,
    /// What they found.
    pub estimates: &'a Estimates,
    /// What is said of them.
    pub map: &'a Map<'a>,
    /// Which one is chosen.
    pub choice: Option<&'a Choice>,
    /// The sites' names, one a site of the estimates.
    pub sites: &'a [String],
    /// The slope up to which estimates agree.
    pub tolerance: f64,
}

impl Calibration<'_> {
    /// Whether this is the setting that is chosen.
    fn is_chosen(&self, node: Node) -> bool {
        self.choice.is_some_and(|choice| choice.node == node)
    }

    /// What is wrong with a setting's estimate at one site.
    fn fault(&self, site: usize, node: Node) -> Option<Verdict> {
        Verdict::of(&self.estimates.rows[site][self.grid.index(node)], self.tolerance)
    }
}

/// The values of an axis as people write them.
fn labels(levels: &[Level]) -> Vec<String> {
    scale::labels(&levels.iter().map(|level| level.number).collect::<Vec<_>>())
}

/// What the step sizes are.
fn step_size_name(grid: &Grid) -> &'static str {
    if grid.own[0].written.is_object() { "step_size.stable" } else { "step_size" }
}
