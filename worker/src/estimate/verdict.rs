//! Can an estimate be believed? One verdict with the rule that decided, in the order of severity.

use std::fmt;

use phasegrid_proto::task::Method;
use phasegrid_proto::v1::Health;

/// Chains whose split R̂ exceeds this have not met (Vehtari et al. 2021 recommend between 1.01 and 1.05).
pub const R_HAT_LIMIT: f64 = 1.05;

/// ε·a at which w ← w − (ε/2)·a·w + √ε·noise ceases to be stable.
pub const STABILITY_LIMIT: f64 = 4.0;

/// Chains that accept a smaller share of their proposals hardly move, and may look alike only because none has left w*.
/// About 0.57 is best (Roberts and Rosenthal 1998).
pub const ACCEPTANCE_LIMIT: f64 = 0.05;

/// The first non-finite loss of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The chain, from 0.
    pub chain: usize,
    /// The step at which the loss was taken, from 0 over burn-in and draws.
    pub step: usize,
    /// The steps of burn-in.
    pub burn_in: usize,
}

/// What the verdict rests on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence {
    /// The first chain that failed.
    pub failure: Option<Failure>,
    /// The dynamics. A proposal that is too long is rejected, and a preconditioned step is not ε: stiffness says something
    /// of plain SGLD alone.
    pub method: Method,
    /// ε·a_max = ε·(nβ·h_max + γ), where h_max, the loss's greatest curvature at w*, is known.
    pub stiffness: Option<f64>,
    /// Share of proposals that were accepted, of dynamics that reject.
    pub acceptance: Option<f64>,
    /// Mean over chains of the last draw's distance from w*, over ‖w*‖; absent if w* is zero.
    pub distance: Option<f64>,
    /// Split R̂.
    pub r_hat: Option<f64>,
}

/// The health of an estimate and the reason, empty if all is well.
#[must_use]
pub fn verdict(evidence: &Evidence) -> (Health, String) {
    let Evidence { failure, method, stiffness, acceptance, distance, r_hat } = *evidence;
    if let Some(failure) = failure {
        return (Health::Diverged, failure.to_string());
    }
    if let Some(stiffness) = stiffness.filter(|stiffness| method == Method::Sgld && *stiffness >= STABILITY_LIMIT) {
        let reason = format!(
            "step_size·(nbeta·h_max + localization) = {stiffness:.3} is not below {STABILITY_LIMIT}, the limit of stability"
        );
        return (Health::Unstable, reason);
    }
    if let Some(distance) = distance.filter(|distance| *distance > 1.0) {
        return (Health::NotLocal, format!("the chains ended {distance:.3} times the norm of w* away from w*"));
    }
    if let Some(acceptance) = acceptance.filter(|acceptance| *acceptance < ACCEPTANCE_LIMIT) {
        let reason = format!("{acceptance:.3} of the proposals were accepted, less than {ACCEPTANCE_LIMIT}");
        return (Health::NotMixed, reason);
    }
    match r_hat {
        Some(r_hat) if r_hat <= R_HAT_LIMIT => (Health::Ok, String::new()),
        Some(r_hat) => (Health::NotMixed, format!("split R-hat {r_hat:.3} exceeds {R_HAT_LIMIT}")),
        None => {
            (Health::NotMixed, "split R-hat is unknown: it takes four draws a chain, and losses that vary".to_owned())
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, step, burn_in } = *self;
        match step.checked_sub(burn_in) {
            Some(draw) => write!(f, "the loss of chain {chain} became non-finite at draw {draw} (step {step})"),
            None => {
                write!(f, "the loss of chain {chain} became non-finite during burn-in, before draw 0 (step {step})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_severe_rule_decides() {
        let mut evidence = Evidence {
            failure: Some(Failure { chain: 2, step: 117, burn_in: 100 }),
            method: Method::Sgld,
            stiffness: Some(4.0),
            acceptance: Some(0.01),
            distance: Some(1.5),
            r_hat: Some(1.06),
        };
        let (health, reason) = verdict(&evidence);
        assert_eq!(health, Health::Diverged);
        assert_eq!(reason, "the loss of chain 2 became non-finite at draw 17 (step 117)");
        evidence.failure = None;
        let (health, reason) = verdict(&evidence);
        assert_eq!(health, Health::Unstable);
        assert!(reason.contains("= 4.000 is not below 4"), "{reason}");
        evidence.stiffness = Some(3.9);
        let (health, reason) = verdict(&evidence);
        assert_eq!(health, Health::NotLocal);
        assert!(reason.contains("1.500 times"), "{reason}");
        evidence.distance = None;
        let (health, reason) = verdict(&evidence);
        assert_eq!(health, Health::NotMixed);
        assert_eq!(reason, "0.010 of the proposals were accepted, less than 0.05");
        evidence.acceptance = Some(0.05);
        let (health, reason) = verdict(&evidence);
        assert_eq!(health, Health::NotMixed);
        assert_eq!(reason, "split R-hat 1.060 exceeds 1.05");
        evidence.r_hat = Some(1.05);
        assert_eq!(verdict(&evidence), (Health::Ok, String::new()));
    }

    #[test]
    fn stiffness_is_a_matter_of_plain_sgld() {
        let stiff = |method| Evidence { method, stiffness: Some(9.0), r_hat: Some(1.0), ..Evidence::default() };
        assert_eq!(verdict(&stiff(Method::Sgld)).0, Health::Unstable);
        assert_eq!(verdict(&stiff(Method::Mala)).0, Health::Ok);
        assert_eq!(verdict(&stiff(Method::RmspropSgld)).0, Health::Ok);
    }

    #[test]
    fn an_unknown_r_hat_is_no_clean_bill() {
        assert_eq!(verdict(&Evidence::default()).0, Health::NotMixed);
    }

    #[test]
    fn a_failure_in_burn_in_names_no_draw_of_its_own() {
        let failure = Failure { chain: 0, step: 99, burn_in: 100 };
        assert_eq!(
            failure.to_string(),
            "the loss of chain 0 became non-finite during burn-in, before draw 0 (step 99)"
        );
    }
}
