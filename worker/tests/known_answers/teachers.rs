//! Networks at random weights of which they are their own teacher, on the full grid of pairs modulo 3, and a linear one.
//!
//! Full batch, nβ = 1e6 and γ = 1: so cold the loss is a quadratic as far as chains go, and what discretisation adds is known.
//! The estimate is compared within three standard errors with the exact value of that, and with the learning coefficient, half
//! the rank of the Jacobian, within 3 %. Chains need some h_max/(0.1·h_min) steps to reach everywhere.

use phasegrid_proto::v1;
use serde_json::{Value, json};

use crate::case::Case;

/// The estimate at the teacher of `table` against that of a quadratic with the loss's curvatures, and against `value`.
fn check(name: &str, table: &Value, value: f64) {
    let mut table = table.clone();
    table["geometry"] = json!({ "jacobian_rank": true, "gauss_newton": true });
    let mut case = Case::of(name, &table);
    if table["llc"].get("layer").is_none() {
        assert_eq!(case.rank, Some((2.0 * value) as u64));
    }
    case.exact = Some(value);
    let discretised = case.estimate.llc_gauss_newton.unwrap();
    let case = case.agrees_with(discretised).near_exact(0.03);
    assert_eq!(case.estimate.health(), v1::Health::Ok, "{}", case.estimate.health_reason);
}

fn on_pairs(model: &Value, loss: &str, seed: u64, length: u32) -> Value {
    json!({
        "data": { "kind": "modular", "modulus": 3, "train_fraction": 1.0 },
        "model": model,
        "train": { "steps": 0, "loss": loss },
        "llc": { "preset": "population", "nbeta": 1e6, "step_size": { "stable": 0.1 }, "chains": 32,
            "burn_in": length, "draws": length },
        "seed": seed,
    })
}

fn quadratic(width: u32) -> Value {
    json!({ "kind": "quadratic", "width": width, "init": "teacher" })
}

fn mlp(width: u32, activation: &str) -> Value {
    json!({ "kind": "mlp", "width": width, "activation": activation, "init": "teacher" })
}

#[test]
fn quadratic_teachers_have_half_the_rank_of_their_jacobian() {
    check("quadratic teacher K 1", &on_pairs(&quadratic(1), "mse", 9, 30_000), 3.5);
    check("quadratic teacher K 2", &on_pairs(&quadratic(2), "mse", 9, 30_000), 7.0);
}

#[test]
fn wide_quadratic_teachers_have_half_the_number_of_outputs() {
    check("quadratic teacher K 5", &on_pairs(&quadratic(5), "mse", 9, 25_000), 13.5);
}

#[test]
fn centring_takes_one_example_from_wide_quadratic_teachers() {
    check("quadratic teacher K 5, centred", &on_pairs(&quadratic(5), "centred_mse", 9, 15_000), 12.0);
}

#[test]
fn smooth_teachers_have_half_the_rank_of_their_jacobian() {
    for activation in ["tanh", "gelu"] {
        check(&format!("{activation} teacher K 1"), &on_pairs(&mlp(1, activation), "mse", 11, 40_000), 4.0);
        check(&format!("{activation} teacher K 2"), &on_pairs(&mlp(2, activation), "mse", 16, 40_000), 8.0);
    }
}

#[test]
fn lazy_quadratic_teachers_have_their_second_layer_alone() {
    // ½·p·min(K, N)
    for (width, value) in [(2, 3.0), (5, 7.5)] {
        let mut table = on_pairs(&quadratic(width), "mse", 9, 10_000);
        table["llc"]["layer"] = json!(2);
        check(&format!("quadratic teacher K {width}, layer 2"), &table, value);
    }
}

#[test]
fn a_deep_linear_teacher_of_full_rank_lies_in_the_one_stratum() {
    let table = json!({
        "data": { "kind": "gaussian", "samples": 2, "whiten": true },
        "model": { "kind": "deep_linear", "widths": [2, 2, 2], "rank": 2, "init": "teacher" },
        "train": { "steps": 0, "loss": "mse" },
        "llc": { "preset": "population", "nbeta": 1e6, "localization": 100.0, "step_size": { "stable": 0.05 },
            "chains": 32, "burn_in": 4000, "draws": 10_000 },
        "seed": 1,
    });
    check("deep linear [2, 2, 2] rank 2", &table, 2.0);
}
