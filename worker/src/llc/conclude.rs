//! From what the chains of a case recorded to its estimate, with every diagnostic that it has.

use phasegrid_proto::v1::{self, Health};

use super::case::Case;
use super::walk::SHARE;
use crate::estimate::{self, Evidence, Failure, Summary, finite};
use crate::sampler::{Chain, Curvature};

/// What the chains of one walk recorded.
type Walked = Vec<Result<Chain, Failure>>;

/// The estimate of `case` from what each of its walks recorded, in order.
pub(super) fn estimate(case: &Case, walks: Vec<Walked>) -> v1::Estimate {
    let mut estimate = case.blank();
    let (health, reason) = fill(case, walks, &mut estimate);
    estimate.set_health(health);
    estimate.health_reason = reason;
    estimate
}

/// Fills in what there is to say, and returns the verdict.
fn fill(case: &Case, walks: Vec<Walked>, estimate: &mut v1::Estimate) -> (Health, String) {
    let initial_loss = case.reference.initial_loss;
    if !initial_loss.is_finite() {
        return (Health::Diverged, "the loss at w* is not finite".to_owned());
    }
    estimate.initial_loss = Some(initial_loss);
    if case.settings().is_none() {
        let (health, finding) = match case.curvature {
            Some(Curvature::NotFinite) => (Health::Diverged, "the curvature at w* is not finite"),
            _ => (Health::Unstable, "the loss is flat to second order at w*"),
        };
        return (health, format!("{finding}: no step size follows from step_size.stable"));
    }

    let mut walks = walks.into_iter().map(|walk| walk.into_iter().collect::<Result<Vec<Chain>, Failure>>());
    let own = walks.next().unwrap_or_else(|| unreachable!("a case that can walk has walked"));
    let chains = match own {
        Ok(chains) => chains,
        Err(failure) => return estimate::verdict(&Evidence { failure: Some(failure), ..Evidence::default() }),
    };
    let mean = |of: &dyn Fn(&Chain) -> Option<f64>| {
        let all: Option<Vec<f64>> = chains.iter().map(of).collect();
        all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
    };
    let norm = case.site.weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
    estimate.distance = mean(&|chain| Some(chain.distance)).and_then(|distance| finite(distance / norm));
    estimate.acceptance = mean(&|chain| chain.acceptance);

    let Some((summary, llc)) = summarise(case, chains) else {
        return (Health::Diverged, "the draws are finite, but their mean times nbeta is not".to_owned());
    };
    estimate.llc = Some(llc);
    estimate.llc_se = summary.llc_se.and_then(finite);
    estimate.r_hat = summary.r_hat;
    estimate.ess = summary.ess;
    estimate.drift = finite(summary.drift);
    estimate.below_initial = Some(summary.below_initial);

    let nearby: Vec<Option<f64>> = walks.map(|chains| Some(summarise(case, chains.ok()?)?.1)).collect();
    let slope = |pair: Option<&[Option<f64>]>| {
        let [above, below] = pair? else { return None };
        estimate::sensitivity((*above)?, (*below)?, SHARE).filter(|_| llc > 0.0)
    };
    estimate.sensitivity_step_size = slope(nearby.get(0..2));
    estimate.sensitivity_localization = slope(nearby.get(2..4));

    estimate::verdict(&Evidence {
        failure: None,
        method: case.sampler.method,
        stiffness: case.stiffness(),
        acceptance: estimate.acceptance,
        distance: estimate.distance,
        r_hat: summary.r_hat,
    })
}

/// What chains say, and the LLC; `None` if it is not finite.
fn summarise(case: &Case, chains: Vec<Chain>) -> Option<(Summary, f64)> {
    let paired = case.settings().is_some_and(|settings| settings.paired);
    let initial_loss = if paired { 0.0 } else { case.reference.initial_loss };
    let losses: Vec<_> = chains.into_iter().map(|chain| chain.losses).collect();
    let summary = estimate::summarise(&losses, initial_loss, case.nbeta)?;
    let llc = finite(summary.llc)?;
    Some((summary, llc))
}
