//! What a scan says where it found no plateau: the reason in each region, and what to try next.

use super::file::toml_number;
use super::grid::{Grid, Level, Node};
use super::map::Map;
use super::verdict::Verdict;

/// A line for each γ and nβ: which verdicts follow each other as the step size rises.
#[must_use]
pub fn regions(grid: &Grid, map: &Map<'_>) -> Vec<String> {
    let region = |line: Node| {
        let mut parts: Vec<(Verdict, &Level)> = Vec::new();
        for (step_size, level) in grid.step_sizes.iter().enumerate() {
            let verdict = map.verdict(Node { step_size, ..line });
            if parts.last().is_none_or(|(last, _)| *last != verdict) {
                parts.push((verdict, level));
            }
        }
        let part = |(verdict, from): &(Verdict, &Level)| format!("{} from {}", verdict.name(), short(from.number));
        let parts: Vec<String> = parts.iter().map(part).collect();
        let [_, localization, nbeta] = grid.levels(line).map(|level| short(level.number));
        format!("localization {localization}, nbeta {nbeta}: {}", parts.join(", "))
    };
    grid.lines().map(region).collect()
}

/// What to try next, for each reason that keeps a fifth of the settings or more from a plateau; the commonest first.
#[must_use]
pub fn advice(grid: &Grid, map: &Map<'_>) -> Vec<&'static str> {
    let count = |verdict: &Verdict| grid.nodes().filter(|node| map.verdict(*node) == *verdict).count();
    let mut reasons: Vec<(usize, Verdict)> = Verdict::ALL.iter().map(|verdict| (count(verdict), *verdict)).collect();
    reasons.retain(|(count, verdict)| count * 5 >= grid.size() && *verdict != Verdict::Plateau);
    reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut advice = Vec::new();
    for next in reasons.iter().map(|(_, verdict)| next(*verdict)) {
        if !advice.contains(&next) {
            advice.push(next);
        }
    }
    advice
}

fn next(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Plateau | Verdict::Alone => {
            "healthy settings stand alone: scan ε more finely, with more POINTS in --step-sizes"
        }
        Verdict::Noisy => "estimates are too noisy to compare: more draws or chains, or a larger --tolerance",
        Verdict::Steep => {
            "the LLC depends on ε among healthy settings: longer chains with smaller --step-sizes, \
             task.llc.method = \"mala\" (exact at any ε) or \"rmsprop_sgld\", or a larger --tolerance"
        }
        Verdict::Negative => {
            "chains find less loss than w* has, which is no minimum: later --checkpoints, or smaller --nbetas"
        }
        Verdict::Drifting | Verdict::NotMixed => {
            "the chains are too short to mix: more task.llc.burn_in and draws, or stronger --localizations, which mix \
             within about 2/(ε·γ) steps"
        }
        Verdict::NotLocal => "the chains leave w*: stronger --localizations",
        Verdict::Unstable | Verdict::Diverged => {
            "the chains diverge: smaller --step-sizes, or task.llc.step_size = { stable = 0.1 }, a share of what \
             curvature allows at each w*"
        }
    }
}

/// A number as in a sweep file, to three digits.
#[must_use]
pub fn short(number: f64) -> String {
    toml_number(format!("{number:.2e}").parse().unwrap_or(number))
}
