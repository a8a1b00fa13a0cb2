//! Have the chains met, and how many independent draws are they worth?
//!
//! Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021, arXiv 1903.08008), equations 1 to 4 and 10 to 13, with m chains
//! of n draws after each chain was split in halves. The draws are not rank-normalised: the estimate is a mean of losses,
//! and these are the diagnostics of that mean. Values agree with ArviZ's `rhat(method="split")` and `ess(method="mean")`.

use super::autocovariance::mean_autocovariances;
use super::{mean_of, variance_of};

/// Half-chains shorter than this tell nothing.
const FEWEST_DRAWS: usize = 2;

/// Split R̂ = √(var⁺/W): about 1 if all halves of all chains have the same mean. `None` if a chain has fewer than four
/// draws, or none varies.
#[must_use]
pub fn split_r_hat(chains: &[Vec<f64>]) -> Option<f64> {
    let halves = split(chains)?;
    let Spread { within, total } = spread(&halves)?;
    Some((total / within).sqrt())
}

/// Effective sample size of the mean over all chains, by Geyer's initial monotone sequence. `None` as for [`split_r_hat`].
///
/// ESS = m·n/τ, τ = 1 + 2·Σ_t ρ_t, ρ_t = 1 − (W − mean over chains of the autocovariance at lag t)/var⁺: between-chain
/// spread counts as correlation, so that chains that have not met are worth little.
#[must_use]
pub fn effective_sample_size(chains: &[Vec<f64>]) -> Option<f64> {
    let halves = split(chains)?;
    let Spread { within, total } = spread(&halves)?;
    let draws = halves[0].len();
    let covariances = mean_autocovariances(&halves);
    let correlation = |lag: usize| match lag {
        0 => 1.0,
        lag => 1.0 - (within - covariances[lag]) / total,
    };
    // For a reversible chain the sums of neighbouring pairs are positive and fall monotonically: where the estimated
    // ones stop doing so they are noise.
    let mut tau = -1.0;
    let mut least = f64::INFINITY;
    for lag in (0..draws - 1).step_by(2) {
        let (even, odd) = (correlation(lag), correlation(lag + 1));
        if even + odd < 0.0 {
            tau += even.max(0.0);
            break;
        }
        least = least.min(even + odd);
        tau += 2.0 * least;
    }
    // Anticorrelated draws may be worth more than independent ones, within reason.
    let all = (halves.len() * draws) as f64;
    Some(all / tau.max(1.0 / all.log10()))
}

/// Both halves of every chain; of an odd number of draws the middle one is left out.
fn split(chains: &[Vec<f64>]) -> Option<Vec<&[f64]>> {
    let draws = chains.iter().map(Vec::len).min()?;
    let half = draws / 2;
    let halves = |chain: &'_ Vec<f64>| [(0, half), (chain.len() - half, chain.len())];
    (half >= FEWEST_DRAWS)
        .then(|| chains.iter().flat_map(|chain| halves(chain).map(|(from, to)| &chain[from..to])).collect())
}

struct Spread {
    /// W, the mean of the variances within the halves.
    within: f64,
    /// var⁺ = W·(n−1)/n + the variance of the halves' means.
    total: f64,
}

/// `None` if nothing varies.
fn spread(halves: &[&[f64]]) -> Option<Spread> {
    let draws = halves[0].len() as f64;
    let means: Vec<f64> = halves.iter().map(|half| mean_of(half.iter().copied())).collect();
    let within = mean_of(halves.iter().map(|half| variance_of(half)));
    let total = within * (draws - 1.0) / draws + variance_of(&means);
    (within > 0.0).then_some(Spread { within, total })
}

/// AR(1) chains x ← φx + u with uniform u, from a small generator that other languages have too: what a published
/// implementation says of the very same numbers can be written down.
#[cfg(test)]
pub(super) fn test_chains(seed: u64, chains: usize, draws: usize, phi: f64) -> Vec<Vec<f64>> {
    let mut state = seed;
    let mut chain = || {
        let mut x = 0.0;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            x = phi * x + (state >> 11) as f64 / 2f64.powi(53) - 0.5;
            x
        };
        (0..draws + 100).map(|_| next()).skip(100).collect()
    };
    (0..chains).map(|_| chain()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seed, chains, draws and φ; and what ArviZ 0.23 says: ESS, R̂ and standard error of the mean.
    const ARVIZ: [(u64, usize, usize, f64, [f64; 3]); 4] = [
        (1, 4, 500, 0.9, [131.043_780_496_458_82, 1.028_124_987_654_840_6, 0.053_303_052_479_123_17]),
        (2, 3, 101, 0.5, [98.098_063_264_997_26, 1.018_527_177_731_721_5, 0.032_130_702_628_699_4]),
        (4, 2, 301, 0.9, [20.635_720_825_845_592, 1.047_735_244_391_441_8, 0.152_534_165_073_042_5]),
        (5, 4, 400, -0.3, [2_910.209_566_793_669, 0.998_437_346_608_944_9, 0.005_712_741_861_910_847]),
    ];

    #[test]
    fn a_published_implementation_says_the_same_of_the_same_draws() {
        for (seed, chains, draws, phi, [ess, r_hat, error]) in ARVIZ {
            let chains = test_chains(seed, chains, draws, phi);
            let close = |value: f64, known: f64| (value / known - 1.0).abs() < 1e-9;
            let found = super::super::summarise(&chains, 0.0, 1.0).unwrap();
            assert!(close(found.ess.unwrap(), ess), "seed {seed}: {found:?}");
            assert!(close(found.r_hat.unwrap(), r_hat), "seed {seed}: {found:?}");
            assert!(close(found.llc_se.unwrap(), error), "seed {seed}: {found:?}");
        }
    }

    #[test]
    fn the_effective_sample_size_of_an_ar1_process_has_its_closed_form() {
        // ESS/n = (1 − φ)/(1 + φ). 4 × 20,000 draws estimate it to a few per cent.
        for phi in [0.0, 0.5, 0.9, 0.97] {
            let chains = test_chains(11, 4, 20_000, phi);
            let ratio = effective_sample_size(&chains).unwrap() / 80_000.0;
            let exact = (1.0 - phi) / (1.0 + phi);
            assert!((ratio / exact - 1.0).abs() < 0.1, "φ {phi}: {ratio} {exact}");
        }
    }

    #[test]
    fn a_chain_apart_from_the_others_is_noticed() {
        let mut chains = test_chains(3, 4, 1000, 0.5);
        assert!(split_r_hat(&chains).unwrap() < 1.02);
        chains[2].iter_mut().for_each(|x| *x += 2.0);
        assert!(split_r_hat(&chains).unwrap() > 1.5);
        assert!(effective_sample_size(&chains).unwrap() < 20.0);
    }

    #[test]
    fn a_trend_within_one_chain_is_noticed() {
        let mut chains = test_chains(3, 1, 1000, 0.5);
        assert!(split_r_hat(&chains).unwrap() < 1.02);
        chains[0].iter_mut().enumerate().for_each(|(i, x)| *x += i as f64 / 500.0);
        assert!(split_r_hat(&chains).unwrap() > 1.5);
    }
}
