//! Known answers: what the closed form for a quadratic potential says of plateaus and sensitivities, the map must find.

mod quadratic;
mod scans;

use serde_json::json;

use super::*;

/// A grid of plain numbers; the file's own sampler is at `own`.
fn grid(step_sizes: &[f64], localizations: &[f64], nbetas: &[f64], own: [f64; 3]) -> Grid {
    let level = |number: &f64| Level { number: *number, written: json!(number) };
    let levels = |numbers: &[f64]| numbers.iter().map(level).collect();
    Grid {
        step_sizes: levels(step_sizes),
        localizations: levels(localizations),
        nbetas: levels(nbetas),
        own: own.each_ref().map(level),
    }
}
