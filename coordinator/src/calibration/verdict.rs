//! What is wrong with one estimate, and whether two that differ in one setting agree.
//!
//! Between settings of x and x′ (ε or γ), with estimates L and L′ and their standard errors σ and σ′,
//!
//!   slope s = (L′ − L) / (L̄·ln(x′/x)),   its standard error σ_s = √(σ² + σ′²) / (L̄·|ln(x′/x)|),   L̄ = (|L| + |L′|)/2
//!
//! which is ∂ log LLC / ∂ log x to second order, and has a value for estimates below zero too. With a tolerance τ the two
//! *agree* if |s| ≤ τ + 2·σ_s, so that noise is not taken for slope, and σ_s ≤ τ, so that it does not hide one.

use phasegrid_proto::v1::Health;

use super::Estimate;

/// Standard errors by which a number may pass a limit before it counts as beyond it.
const NOISE: f64 = 2.0;

/// What is to be said of one setting; what comes later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Healthy, and the LLC is that of a neighbour with another step size.
    Plateau,
    /// Healthy, but no neighbour with another step size is.
    Alone,
    /// Healthy, but noise hides whether the LLC depends on the step size.
    Noisy,
    /// Healthy, but the LLC depends on the step size.
    Steep,
    /// Below zero by more than noise: the chains found less loss than L(w*), and w* is no minimum.
    Negative,
    /// The draws have not settled: the mean loss of their second half is another than that of the first.
    Drifting,
    /// The chains have not met.
    NotMixed,
    /// The chains left w* behind.
    NotLocal,
    /// The step size is beyond the limit of stability.
    Unstable,
    /// A loss became non-finite, or there is no estimate.
    Diverged,
}

/// A derivative ∂ log LLC / ∂ log x by a difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The slope.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// Whether two healthy neighbours agree; what comes later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bond {
    Flat,
    Noisy,
    Steep,
}

impl Verdict {
    /// All verdicts, the best first.
    pub const ALL: [Self; 10] = [
        Self::Plateau,
        Self::Alone,
        Self::Noisy,
        Self::Steep,
        Self::Negative,
        Self::Drifting,
        Self::NotMixed,
        Self::NotLocal,
        Self::Unstable,
        Self::Diverged,
    ];

    /// The name in tables and legends.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plateau => "plateau",
            Self::Alone => "alone",
            Self::Noisy => "noisy",
            Self::Steep => "steep",
            Self::Negative => "negative",
            Self::Drifting => "drifting",
            Self::NotMixed => "not_mixed",
            Self::NotLocal => "not_local",
            Self::Unstable => "unstable",
            Self::Diverged => "diverged",
        }
    }

    /// Whether the estimates themselves are healthy.
    #[must_use]
    pub fn is_healthy(self) -> bool {
        self <= Self::Steep
    }

    /// What is wrong with an estimate by itself; `None` if nothing is.
    #[must_use]
    pub fn of(estimate: &Estimate, tolerance: f64) -> Option<Self> {
        match estimate.health {
            Health::Ok if drifts(estimate, tolerance) => Some(Self::Drifting),
            Health::Ok if is_negative(estimate) => Some(Self::Negative),
            Health::Ok => None,
            Health::NotMixed => Some(Self::NotMixed),
            Health::NotLocal => Some(Self::NotLocal),
            Health::Unstable => Some(Self::Unstable),
            Health::Diverged | Health::Unspecified => Some(Self::Diverged),
        }
    }
}

/// Whether the halves of the draws differ by more than the tolerance of their mean, and by more than noise: the difference
/// of two halves has twice the standard error of the whole. Chains that all start at w* and creep away together have a good
/// R̂ each time that they are slow enough.
fn drifts(estimate: &Estimate, tolerance: f64) -> bool {
    let Estimate { llc, llc_se, drift, .. } = *estimate;
    let (Some(llc), Some(se), Some(drift)) = (llc, llc_se, drift) else { return false };
    drift.abs() > tolerance * llc.abs() + NOISE * 2.0 * se
}

/// Whether an estimate lies below zero by more than noise.
fn is_negative(estimate: &Estimate) -> bool {
    estimate.llc.zip(estimate.llc_se).is_some_and(|(llc, se)| llc + NOISE * se < 0.0)
}

impl Slope {
    /// The slope from one estimate to another, whose setting is greater by the factor `ratio`.
    ///
    /// `None` where a number is missing: an estimate, a standard error, or a mean to compare with.
    #[must_use]
    pub fn between(from: &Estimate, to: &Estimate, ratio: f64) -> Option<Self> {
        let (low, high) = (from.llc?, to.llc?);
        let scale = (low.abs() + high.abs()) / 2.0 * ratio.ln();
        let slope = Self { value: (high - low) / scale, error: from.llc_se?.hypot(to.llc_se?) / scale.abs() };
        Some(slope).filter(|slope| slope.value.is_finite() && slope.error.is_finite())
    }

    /// The part of its size that is no noise.
    #[must_use]
    pub fn certain(self) -> f64 {
        (self.value.abs() - NOISE * self.error).max(0.0)
    }
}

impl Bond {
    pub(super) fn of(slope: Option<Slope>, tolerance: f64) -> Self {
        match slope {
            Some(slope) if slope.certain() > tolerance => Self::Steep,
            Some(slope) if slope.error <= tolerance => Self::Flat,
            _ => Self::Noisy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(llc: f64, llc_se: f64, drift: f64) -> Estimate {
        Estimate { health: Health::Ok, llc: Some(llc), llc_se: Some(llc_se), drift: Some(drift) }
    }

    #[test]
    fn a_power_law_has_its_exponent_for_a_slope() {
        // L ∝ x^0.1: the slope is 2·tanh(z/2)/z = 1 − z²/12 + … of the exponent with z = 0.1·ln 3, a thousandth less.
        let slope = Slope::between(&estimate(5.0, 0.0, 0.0), &estimate(5.0 * 3_f64.powf(0.1), 0.0, 0.0), 3.0).unwrap();
        assert!((slope.value - 0.0999).abs() < 1e-6, "{slope:?}");
        let down = Slope::between(&estimate(-5.0, 0.1, 0.0), &estimate(-5.5, 0.1, 0.0), 3.0).unwrap();
        assert!(down.value < 0.0 && down.error > 0.0, "below zero the size grows downwards");
        assert_eq!(Slope::between(&estimate(0.0, 0.0, 0.0), &estimate(0.0, 0.0, 0.0), 3.0), None);
        let unknown = Estimate { llc_se: None, ..estimate(5.0, 0.0, 0.0) };
        assert_eq!(Slope::between(&unknown, &estimate(5.0, 0.1, 0.0), 3.0), None);
    }

    #[test]
    fn noise_is_neither_taken_for_slope_nor_for_flatness() {
        let bond = |value: f64, error: f64| Bond::of(Some(Slope { value, error }), 0.1);
        assert_eq!(bond(0.09, 0.0), Bond::Flat);
        assert_eq!(bond(-0.11, 0.0), Bond::Steep);
        assert_eq!(bond(0.25, 0.08), Bond::Flat, "within two standard errors of the tolerance");
        assert_eq!(bond(0.27, 0.08), Bond::Steep);
        assert_eq!(bond(0.0, 0.11), Bond::Noisy);
        assert_eq!(Bond::of(None, 0.1), Bond::Noisy);
    }

    #[test]
    fn drifts_and_negative_estimates_beyond_noise_are_told() {
        assert_eq!(Verdict::of(&estimate(10.0, 0.1, 1.3), 0.1), None, "a tenth of 10, and four times 0.1");
        assert_eq!(Verdict::of(&estimate(10.0, 0.1, -1.5), 0.1), Some(Verdict::Drifting));
        assert_eq!(Verdict::of(&estimate(-1.0, 0.4, 0.0), 0.1), Some(Verdict::Negative));
        assert_eq!(Verdict::of(&estimate(-1.0, 0.6, 0.0), 0.1), None, "within two standard errors of zero");
        let dead = Estimate { health: Health::Diverged, llc: None, llc_se: None, drift: None };
        assert_eq!(Verdict::of(&dead, 0.1), Some(Verdict::Diverged));
    }

    #[test]
    fn verdicts_stand_in_the_order_of_severity() {
        assert!(Verdict::ALL.is_sorted());
        assert!(Verdict::Steep.is_healthy() && !Verdict::Drifting.is_healthy());
    }
}
