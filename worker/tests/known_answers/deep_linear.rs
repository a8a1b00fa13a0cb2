//! Deep linear networks at a teacher whose every layer has the rank of the product, on white inputs: the population, at the
//! cost of H¹ examples.
//!
//! At rank 0 the exact value is known at every temperature, and the estimate is held against it within three standard errors;
//! elsewhere the learning coefficient, of multiplicity 1, within 3 %: temperature is worth more than the standard error. Around a teacher of rank 0 chains go through all of
//! the prior, which takes some 2/ε steps.

use serde_json::{Value, json};

use crate::case::Case;

fn at_teacher(widths: &[u32], rank: u32, llc: Value) -> Case {
    let table = json!({
        "data": { "kind": "gaussian", "samples": widths[0], "whiten": true },
        "model": { "kind": "deep_linear", "widths": widths, "rank": rank, "init": "teacher" },
        "train": { "steps": 0, "loss": "mse" },
        "llc": llc,
        "seed": 1,
    });
    let sampler = &table["llc"];
    let method = sampler["method"].as_str().unwrap_or_default();
    let layer = sampler["layer"].as_u64().map_or(String::new(), |layer| format!(", layer {layer}"));
    Case::of(format!("deep linear {widths:?} rank {rank}, {method}{layer}"), &table)
}

/// Langevin dynamics, with a Metropolis correction if `method` is "mala".
fn sampler(method: &str, nbeta: f64, step_size: f64, chains: u32, burn_in: u32, draws: u32) -> Value {
    json!({ "preset": "population", "method": method, "nbeta": nbeta, "step_size": step_size, "chains": chains,
        "burn_in": burn_in, "draws": draws })
}

#[test]
fn a_linear_regression_has_half_its_parameters() {
    // What an ε·a of 0.2 adds is known here, 5 %.
    at_teacher(&[4, 3], 2, sampler("sgld", 1e4, 2e-5, 16, 2000, 10_000)).agrees();
    at_teacher(&[4, 3], 2, sampler("mala", 1e4, 2e-5, 16, 2000, 10_000)).agrees().near_exact(0.03);
}

#[test]
fn a_layer_that_moves_alone_is_a_regression() {
    for layer in [1, 2, 3] {
        let mut llc = sampler("sgld", 1e4, 2e-5, 16, 2000, 10_000);
        llc["layer"] = json!(layer);
        at_teacher(&[4, 3, 5, 6], 2, llc).agrees();
    }
}

#[test]
fn rank_0_of_multiplicity_two_has_its_value_at_its_temperature() {
    // Far from the learning coefficient; the first is a normal crossing.
    at_teacher(&[1, 1, 1], 0, sampler("mala", 1e3, 1e-3, 64, 4000, 10_000)).agrees();
    at_teacher(&[2, 1, 2], 0, sampler("mala", 1e3, 4e-4, 64, 10_000, 10_000)).agrees();
}

#[test]
fn deep_linear_2_2_2_rank_0() {
    // Discretisation adds 1 %: curvature is nβ times the eigenvalues of A·Aᵀ, about 2.
    at_teacher(&[2, 2, 2], 0, sampler("sgld", 3e3, 9e-6, 32, 200_000, 40_000)).agrees().near_exact(0.03);
    at_teacher(&[2, 2, 2], 0, sampler("mala", 3e3, 1e-4, 32, 40_000, 40_000)).agrees().near_exact(0.03);
}

#[test]
fn deep_linear_5_4_5_rank_0() {
    at_teacher(&[5, 4, 5], 0, sampler("mala", 1e3, 1e-4, 16, 40_000, 60_000)).agrees().near_exact(0.03);
}

#[test]
fn deep_linear_5_3_5_rank_1() {
    // Temperature takes more than 0.1: at rank 0 and widths 4, 2, 4, which is what the teacher leaves free, the exact
    // value is 3.4007 in place of 3.5.
    at_teacher(&[5, 3, 5], 1, sampler("mala", 1e3, 1e-4, 16, 40_000, 40_000)).near_exact(0.03);
}

#[test]
fn deep_linear_3_8_4_rank_2() {
    at_teacher(&[3, 8, 4], 2, sampler("mala", 200.0, 3e-4, 16, 15_000, 10_000)).near_exact(0.03);
}

#[test]
fn deep_linear_10_5_10_5_10_rank_2() {
    at_teacher(&[10, 5, 10, 5, 10], 2, sampler("mala", 1e3, 1e-5, 8, 15_000, 25_000)).near_exact(0.03);
}
