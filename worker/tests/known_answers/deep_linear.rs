//! Deep linear networks at a teacher whose every layer has the rank of the product, on white inputs: the population, at the
//! cost of H¹ examples.
//!
//! At rank 0 the exact value is known at every temperature, and the estimate is held against it; elsewhere against the
//! learning coefficient, of multiplicity 1, with a word on the temperature. Around a teacher of rank 0 chains go through all of
//! the prior, and curvature is nβ times the eigenvalues of A·Aᵀ, 2 to 5 on average: discretisation adds 1 %. Burn-in is twice
//! the 1/ε steps that the prior takes.

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
    Case::of(format!("deep linear {widths:?} rank {rank}"), &table)
}

fn sampler(nbeta: f64, step_size: f64, chains: u32, burn_in: u32, draws: u32) -> Value {
    json!({ "preset": "population", "nbeta": nbeta, "step_size": step_size, "chains": chains, "burn_in": burn_in,
        "draws": draws })
}

#[test]
fn a_linear_regression_has_half_its_parameters() {
    at_teacher(&[4, 3], 2, sampler(1e4, 2e-5, 16, 2000, 10_000)).agrees().near_exact(0.03);
}

#[test]
fn two_weights_in_a_row_are_a_crossing() {
    // The multiplicity is 2: the learning coefficient is far away.
    at_teacher(&[1, 1, 1], 0, sampler(1e2, 4e-4, 64, 10_000, 10_000)).agrees();
}

#[test]
fn a_bottleneck_of_multiplicity_two_has_its_value_at_its_temperature() {
    at_teacher(&[2, 1, 2], 0, sampler(1e3, 2e-5, 64, 100_000, 30_000)).agrees();
}

#[test]
fn deep_linear_2_2_2_rank_0() {
    at_teacher(&[2, 2, 2], 0, sampler(3e3, 9e-6, 32, 200_000, 40_000)).agrees().near_exact(0.03);
}

#[test]
fn deep_linear_5_4_5_rank_0() {
    at_teacher(&[5, 4, 5], 0, sampler(1e3, 1e-5, 16, 180_000, 30_000)).agrees().near_exact(0.03);
}

#[test]
fn deep_linear_2_2_2_rank_2() {
    // At full rank the loss is quadratic as far as these chains go.
    let llc = json!({ "preset": "population", "nbeta": 1e6, "localization": 100.0, "step_size": { "stable": 0.1 },
        "chains": 16, "burn_in": 1000, "draws": 4000 });
    at_teacher(&[2, 2, 2], 2, llc).agrees();
}

#[test]
fn deep_linear_5_3_5_rank_1() {
    // Temperature takes about 0.1: at rank 0 and widths 4, 2, 4, which is what the teacher leaves free, the exact value
    // is 3.4007 in place of 3.5.
    at_teacher(&[5, 3, 5], 1, sampler(1e3, 1e-5, 16, 180_000, 30_000)).agrees().near_exact(0.03);
}

#[test]
fn deep_linear_3_8_4_rank_2() {
    at_teacher(&[3, 8, 4], 2, sampler(200.0, 4e-5, 32, 40_000, 10_000)).agrees().near_exact(0.03);
}
