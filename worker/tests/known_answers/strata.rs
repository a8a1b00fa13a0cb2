//! Reduced-rank regression y = B·A·x at A = I, B = 0, 2×2×2: a stratum whose local learning coefficient, 2, is not the global
//! 3/2. Weak localisation leaks from one to the other.

use phasegrid_proto::task::resolve;
use serde_json::json;

use crate::case::Case;

/// nβ·E[L] under exp(−nβ·L − (γ/2)·(‖A−I‖² + ‖B‖²)) with L = ½·‖B·A‖².
///
/// Given A, the two rows of B are Gaussian: what is left is a density of A alone,
/// e^{−(γ/2)‖A−I‖²}·Π_i (nβ·σ_i² + γ)^(−1), and an E[L] of Σ_i nβ·σ_i²/(nβ·σ_i² + γ), σ_1,2 = u, v its singular values, v with a sign.
/// A is r_1·(a rotation by θ) + r_2·(a reflection) with u = r_1 + r_2, v = r_1 − r_2, of volume r_1·r_2 dr_1 dr_2 dθ;
/// ‖A−I‖² = 2(r_1² + r_2²) − 4·r_1·cos θ + 2.
fn answer(nbeta: f64, localization: f64) -> f64 {
    const POINTS: u32 = 400;
    let middle = |i: u32| (f64::from(i) + 0.5) / f64::from(POINTS);
    let width = (localization / nbeta).sqrt(); // of the valley v = 0
    let bessel = |x: f64| {
        let angles = (0..200).map(|i| (x * ((std::f64::consts::TAU * f64::from(i) / 200.0).cos() - 1.0)).exp());
        angles.sum::<f64>() / 200.0 // I_0(x)·e^{−x}
    };
    let greatest = 2.0 + 12.0 / localization.sqrt();
    let (mut weight, mut weighted) = (0.0, 0.0);
    for u in (0..POINTS).map(|i| greatest * middle(i)) {
        let reach = (u / width).asinh();
        for v_over_reach in (0..POINTS).map(|j| 2.0 * middle(j) - 1.0) {
            // v from −u to u, densely around 0.
            let v = width * (v_over_reach * reach).sinh();
            let dv = (v_over_reach * reach).cosh() * reach;
            let (r1, r2) = ((u + v) / 2.0, (u - v) / 2.0);
            let stiffness = [u, v].map(|s| nbeta * s * s + localization);
            // The exponent of the prior and of I_0 together is that of the distance from I.
            let prior = (-localization * ((r1 - 1.0).powi(2) + r2 * r2)).exp() * bessel(2.0 * localization * r1);
            let density = r1 * r2 * prior * dv / (stiffness[0] * stiffness[1]);
            weight += density;
            weighted += density * stiffness.iter().map(|a| 1.0 - localization / a).sum::<f64>();
        }
    }
    weighted / weight
}

fn at_identity(nbeta: f64, localization: f64, step_size: f64, burn_in: u32, draws: u32) -> Case {
    let table = json!({
        "data": { "kind": "gaussian", "samples": 2, "whiten": true },
        "model": { "kind": "deep_linear", "widths": [2, 2, 2], "rank": 0, "init": "teacher" },
        "train": { "steps": 0, "loss": "mse" },
        "llc": { "preset": "population", "method": "mala", "nbeta": nbeta, "localization": localization, "step_size": step_size,
            "chains": 32, "burn_in": burn_in, "draws": draws },
        "seed": 1,
    });
    let (identity, nothing) = ([1.0, 0.0, 0.0, 1.0], [0.0; 4]);
    let weights = [identity, nothing].concat();
    let mut case =
        Case::at(format!("A = I, B = 0, localization {localization}"), resolve(&table, &[]).unwrap(), &weights);
    // A is of full rank: all of B's directions count, and B·A = 0 has no others.
    (case.exact, case.finite) = (Some(2.0), None);
    case
}

#[test]
fn strong_localisation_keeps_a_stratum_to_itself_and_weak_one_leaks() {
    let (strong, weak) = (answer(1e4, 100.0), answer(1e3, 1.0));
    assert!((strong - 1.9785).abs() < 1e-3 && (weak - 1.4532).abs() < 1e-3, "{strong} {weak}");
    at_identity(1e4, 100.0, 5e-5, 2000, 10_000).agrees_with(strong).near_exact(0.03);
    // All of the prior has to be explored, which takes some 2/ε steps.
    at_identity(1e3, 1.0, 2e-4, 20_000, 20_000).agrees_with(weak);
}
