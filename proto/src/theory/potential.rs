//! A sampler on a quadratic potential: what it finds is known exactly, discretisation and transient included.
//!
//! L = ½·Σ_k h_k·w_k² with chains that start at w* = 0; ε step size, γ localisation. Each direction is a Gaussian
//! process of its own: with a = nβ·h + γ and ρ = 1 − ε·a/2, a chain's variance is s²·(1 − ρ^{2i}) at its draw number i,
//! counted from its first step, and s² = 1/(a·(1 − ε·a/4)). The sampler is stable where ε·a < 4.

use crate::v1::SamplerSettings;

/// What one direction of curvature h adds to the LLC that a sampler of these settings finds, in expectation:
///
/// - SGLD: (nβ/2)·h·s²·mean over draws of (1 − ρ^{2i}), i from `burn_in` to `burn_in + draws − 1`;
/// - MALA: (nβ/2)·h/(nβ·h + γ), as its draws have no discretisation; its transient is left out.
///
/// Noise of minibatches is left out. `None` of other methods, beyond the limit of stability, and without a step size.
#[must_use]
pub fn llc_of_curvature(h: f64, settings: &SamplerSettings) -> Option<f64> {
    let SamplerSettings { nbeta, localization, burn_in, draws, .. } = *settings;
    let a = nbeta * h + localization;
    // A flat direction has no loss, wherever its chains go.
    let asymptotic = if h == 0.0 { 0.0 } else { nbeta / 2.0 * h / a };
    match settings.method.as_str() {
        "mala" => Some(asymptotic),
        "sgld" => {
            let stiffness = settings.step_size? * a;
            let stable = (0.0..4.0).contains(&stiffness);
            stable.then(|| {
                let reached = if h == 0.0 { 0.0 } else { risen(stiffness, burn_in.into(), draws.into()) };
                asymptotic / (1.0 - stiffness / 4.0) * reached
            })
        }
        _ => None,
    }
}

/// The mean of 1 − ρ^{2i} over i = burn_in … burn_in + draws − 1, ρ = 1 − stiffness/2: with x = ln ρ², it is
/// 1 − e^{burn_in·x}·(e^{draws·x} − 1)/(draws·(e^x − 1)).
fn risen(stiffness: f64, burn_in: f64, draws: f64) -> f64 {
    let rho = 1.0 - stiffness / 2.0;
    if rho == 0.0 {
        // Every draw is independent of the last; only the very first, at w* itself, has not risen.
        return if burn_in == 0.0 { 1.0 - 1.0 / draws } else { 1.0 };
    }
    // Of a small stiffness 1 − stiffness/2 keeps few digits.
    let x = if rho > 0.0 { 2.0 * (-stiffness / 2.0).ln_1p() } else { 2.0 * (-rho).ln() };
    1.0 - (burn_in * x).exp() * (draws * x).exp_m1() / (draws * x.exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(method: &str, nbeta: f64, localization: f64, step_size: f64, lengths: [u32; 2]) -> SamplerSettings {
        let [burn_in, draws] = lengths;
        SamplerSettings {
            method: method.to_owned(),
            step_size: Some(step_size),
            nbeta,
            localization,
            burn_in,
            draws,
            ..SamplerSettings::default()
        }
    }

    #[test]
    fn the_known_potentials_have_their_values() {
        let spread: Vec<f64> = (0..12).map(|i| 10f64.powf(-4.0 + 5.0 * f64::from(i) / 11.0)).collect();
        let cases = [
            (vec![1.0; 10], settings("sgld", 100.0, 0.0, 1e-3, [2000, 3000]), 5.12821),
            (vec![1.0; 10], settings("sgld", 100.0, 1.0, 1e-3, [2000, 3000]), 5.07873),
            (spread, settings("sgld", 26.381, 5.0, 5e-4, [100, 500]), 2.00539),
            (vec![2.0; 4], settings("sgld", 1000.0, 100.0, 1e-3, [200, 500]), 4.01003),
            // Ten of ½·100/101: exact draws know no ε.
            (vec![1.0; 10], settings("mala", 100.0, 1.0, 0.5, [0, 1]), 4.95050),
        ];
        for (curvatures, settings, value) in cases {
            let found: f64 = curvatures.iter().map(|h| llc_of_curvature(*h, &settings).unwrap()).sum();
            assert!((found - value).abs() < 1e-5, "{found} {value}"); // the digits that are known
        }
    }

    #[test]
    fn the_closed_form_of_the_transient_is_its_sum() {
        for stiffness in [1e-9_f64, 0.3, 2.0, 2.5, 3.9] {
            for (burn_in, draws) in [(0, 1), (0, 7), (3, 20)] {
                let rho = 1.0 - stiffness / 2.0;
                // ρ^{2i} = exp(2i·ln ρ), in the form that keeps digits of small stiffness.
                let one = |i: i32| {
                    if rho.abs() > 0.5 {
                        -(2.0 * f64::from(i) * rho.abs().ln()).exp_m1()
                    } else {
                        1.0 - rho.powi(2 * i)
                    }
                };
                let sum = (burn_in..burn_in + draws).map(one).sum::<f64>() / f64::from(draws);
                let found = risen(stiffness, f64::from(burn_in), f64::from(draws));
                // Differences from 1 are rounded to 2e-16 of it.
                assert!((found - sum).abs() < 1e-14, "{stiffness} {burn_in} {draws}: {found} {sum}");
            }
        }
    }

    #[test]
    fn what_is_not_known_has_no_value() {
        let at = |method: &str, step_size| llc_of_curvature(1.0, &settings(method, 100.0, 1.0, step_size, [10, 10]));
        assert_eq!(at("rmsprop_sgld", 1e-3), None);
        assert_eq!(at("sgld", 4.0 / 101.0), None, "at the limit of stability");
        assert!(at("mala", 1.0).is_some());
        let flat = SamplerSettings { step_size: None, ..settings("sgld", 100.0, 1.0, 1.0, [10, 10]) };
        assert_eq!(llc_of_curvature(1.0, &flat), None);
        assert_eq!(llc_of_curvature(0.0, &settings("sgld", 100.0, 0.0, 1e-3, [10, 10])), Some(0.0));
    }
}
