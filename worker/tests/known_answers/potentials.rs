//! Quadratic potentials: the estimate is known exactly, discretisation and transient included.

use serde_json::{Value, json};

use crate::case::Case;

fn potential(curvatures: &[f64], seed: u64, llc: Value) -> Value {
    json!({
        "data": { "kind": "origin" },
        "model": { "kind": "potential", "curvatures": curvatures },
        "train": { "steps": 0 },
        "llc": llc,
        "seed": seed,
    })
}

#[test]
fn quadratics_have_their_discretised_value() {
    let spread: Vec<f64> = (0..12).map(|i| 10f64.powf(-4.0 + 5.0 * f64::from(i) / 11.0)).collect();
    let cases = [
        (vec![1.0; 10], 100.0, 0.0, 1e-3, 2000, 3000, 5.12821),
        (vec![1.0; 10], 100.0, 1.0, 1e-3, 2000, 3000, 5.07873),
        (spread, 26.381, 5.0, 5e-4, 100, 500, 2.00539),
        (vec![2.0; 4], 1000.0, 100.0, 1e-3, 200, 500, 4.01003),
    ];
    for (i, (curvatures, nbeta, localization, step_size, burn_in, draws, value)) in cases.into_iter().enumerate() {
        let llc = json!({ "nbeta": nbeta, "localization": localization, "step_size": step_size, "chains": 64,
            "burn_in": burn_in, "draws": draws, "batch_size": "full" });
        let case = Case::of(format!("quadratic potential {i}"), &potential(&curvatures, i as u64, llc));
        assert!((case.finite.unwrap() - value).abs() < 1e-5, "the digits that are known");
        case.agrees();
    }
}

#[test]
fn exact_draws_know_no_step_size() {
    // ε·a of 1 and 2, at which SGLD would find a third too much and twice the value.
    for step_size in [0.01, 0.02] {
        let llc = json!({ "method": "mala", "nbeta": 99, "localization": 1, "step_size": step_size, "chains": 64,
            "burn_in": 200, "draws": 3000, "batch_size": "full" });
        let case = Case::of(format!("quadratic potential, mala {step_size}"), &potential(&[1.0; 5], 1, llc)).agrees();
        assert!((case.finite.unwrap() - 5.0 * 0.495).abs() < 1e-12);
    }
}

#[test]
fn a_step_size_from_the_curvature_is_known_too() {
    let llc =
        json!({ "preset": "population", "step_size": { "stable": 1 }, "chains": 64, "burn_in": 200, "draws": 1000 });
    // A stiffness of 1 adds a third to the stiffest direction, and less to the others: far more than a standard error.
    let case = Case::of("quadratic potential, stable", &potential(&[0.5, 1.0, 2.0], 1, llc)).agrees();
    assert!(case.finite.unwrap() > 1.1 * case.exact.unwrap());
}
