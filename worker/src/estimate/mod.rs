//! From recorded losses to an estimate: plain f64 arithmetic over slices, with no tensor, randomness or clock, so that
//! anyone can compute an estimate again from its draws.
//!
//! Losses come as `[chains][draws]` in nats (mean per example), all finite; w* is where the chains started, L(w*) the
//! `initial_loss`, nβ `nbeta`. The estimator is that of Lau et al. (arXiv 2308.12108):
//!
//! LLC = nβ · (mean over chains and draws of L − L(w*))
//!
//! Where each draw's loss is already less that of w* on the same minibatch, `initial_loss` is 0.

mod autocovariance;
mod mixing;
mod verdict;

pub use mixing::{effective_sample_size, split_r_hat};
pub use verdict::{ACCEPTANCE_LIMIT, Evidence, Failure, R_HAT_LIMIT, STABILITY_LIMIT, verdict};

/// What the draws of an estimate say. Absent is what too few draws, or draws that do not vary, cannot tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// nβ · (mean of L − L(w*)); negative values are reported as they are.
    pub llc: f64,
    /// Standard error of `llc`: nβ · standard deviation of the draws / √ESS.
    pub llc_se: Option<f64>,
    /// Split R̂.
    pub r_hat: Option<f64>,
    /// Effective sample size of all chains together.
    pub ess: Option<f64>,
    /// nβ · (mean loss of the second half of the draws − that of the first): burn-in was too short if this is not small.
    pub drift: f64,
    /// Share of draws with L < L(w*): w* is no minimum, as far as the chains could see, if this is not small.
    pub below_initial: f64,
}

/// Summarises the draws of one estimate; `None` if there are none.
#[must_use]
pub fn summarise(losses: &[Vec<f64>], initial_loss: f64, nbeta: f64) -> Option<Summary> {
    // Subtracted from each draw and not from the mean: near an optimum the difference is all there is.
    let excess: Vec<Vec<f64>> =
        losses.iter().map(|chain| chain.iter().map(|loss| loss - initial_loss).collect()).collect();
    let draws: f64 = excess.iter().map(|chain| chain.len() as f64).sum();
    if draws == 0.0 {
        return None;
    }
    let mean = excess.iter().flatten().sum::<f64>() / draws;
    let squares: f64 = excess.iter().flatten().map(|loss| (loss - mean).powi(2)).sum();
    let ess = effective_sample_size(&excess);
    let halves = |half: fn(&[f64]) -> &[f64]| mean_of(excess.iter().map(|chain| mean_of(half(chain).iter().copied())));
    let first = halves(|chain| &chain[..chain.len() / 2]);
    let second = halves(|chain| &chain[chain.len() - chain.len() / 2..]);
    Some(Summary {
        llc: nbeta * mean,
        llc_se: ess.map(|ess| nbeta * (squares / (draws - 1.0) / ess).sqrt()),
        r_hat: split_r_hat(&excess),
        ess,
        drift: nbeta * (second - first),
        below_initial: excess.iter().flatten().filter(|loss| **loss < 0.0).count() as f64 / draws,
    })
}

/// ∂ log LLC / ∂ log s of a setting s, from the estimates at s·(1+`share`) and s·(1−`share`); `None` where one of them has
/// no logarithm.
#[must_use]
pub fn sensitivity(above: f64, below: f64, share: f64) -> Option<f64> {
    let positive = above > 0.0 && below > 0.0;
    let slope = (above / below).ln() / ((1.0 + share) / (1.0 - share)).ln();
    Some(slope).filter(|slope| positive && slope.is_finite())
}

/// What a record may hold of `value`: a number.
#[must_use]
pub fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// The mean of independent values and its standard error, which takes two of them.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    let error = (values.len() > 1).then(|| (variance_of(values) / values.len() as f64).sqrt());
    (mean_of(values.iter().copied()), error)
}

/// The mean; 0 of nothing.
fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0_f64, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count.max(1.0)
}

/// The unbiased variance of more than one value.
fn variance_of(values: &[f64]) -> f64 {
    let mean = mean_of(values.iter().copied());
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_nbeta_times_the_mean_excess_loss() {
        let losses = [vec![1.5, 2.0, 0.5, 3.0], vec![1.0, 2.0, 1.5, 0.5]];
        let summary = summarise(&losses, 1.0, 10.0).unwrap();
        assert_eq!(summary.llc, 10.0 * (12.0 / 8.0 - 1.0));
        assert_eq!(summary.below_initial, 2.0 / 8.0);
        // The halves' means are (1.75 + 1.5) / 2 and (1.75 + 1.0) / 2.
        assert_eq!(summary.drift, 10.0 * (1.375 - 1.625));
    }

    #[test]
    fn a_negative_estimate_is_not_clamped() {
        let summary = summarise(&[vec![0.25, 0.75]], 1.0, 4.0).unwrap();
        assert_eq!(summary.llc, -2.0);
        assert_eq!(summary.below_initial, 1.0);
    }

    #[test]
    fn what_few_or_constant_draws_cannot_tell_is_absent_and_never_nan() {
        assert_eq!(summarise(&[vec![], vec![]], 1.0, 4.0), None);
        for losses in [vec![vec![2.0]], vec![vec![2.0; 3]; 2], vec![vec![2.0; 100]; 4]] {
            let summary = summarise(&losses, 1.0, 4.0).unwrap();
            assert_eq!(summary.llc, 4.0);
            assert_eq!((summary.llc_se, summary.r_hat, summary.ess), (None, None, None));
            assert_eq!(summary.drift, 0.0);
        }
    }

    #[test]
    fn sensitivity_is_the_exponent_of_a_power_law_and_absent_without_logarithms() {
        let power = |setting: f64| 3.0 * setting.powf(-0.7);
        assert!((sensitivity(power(1.1), power(0.9), 0.1).unwrap() + 0.7).abs() < 1e-12);
        for (above, below) in [(0.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (f64::INFINITY, 1.0), (f64::NAN, 1.0)] {
            assert_eq!(sensitivity(above, below, 0.1), None);
        }
    }

    #[test]
    fn the_standard_error_covers_the_truth_as_often_as_it_should() {
        // AR(1) chains of mean 0: of 400 estimates about 95.4 % lie within two standard errors, ± 2.1 % (two sigma of
        // the binomial), and short chains have somewhat less.
        let covered = (0..400).filter(|seed| {
            let summary = summarise(&mixing::test_chains(*seed, 4, 1000, 0.8), 0.0, 1.0).unwrap();
            summary.llc.abs() < 2.0 * summary.llc_se.unwrap()
        });
        let share = covered.count() as f64 / 400.0;
        assert!((0.92..=0.985).contains(&share), "{share}");
    }
}
