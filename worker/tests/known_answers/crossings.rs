//! Normal crossings L = ½·(w_1^k_1·w_2^k_2)², at their temperature.
//!
//! Along a valley w_1 ≈ 0 of length |w_2| ≈ 1 the curvature is about nβ, so that ε·nβ/4 is the relative bias of
//! discretisation: 1 % hot and 2 % cold. Chains take about 1/ε steps to go along the valley once; burn-in is four times
//! and twice that. The standard errors are larger than these biases. At nβ = 1e6 that takes 100 times the steps of 1e4: there
//! the crossings proper have their quadrature alone (`theory::crossing_at_temperature`).

use serde_json::json;

use crate::case::Case;

fn check(powers: [u32; 2], nbeta: f64, step_size: f64, burn_in: u32, draws: u32) {
    let [k1, k2] = powers;
    let table = json!({
        "data": { "kind": "origin" },
        "model": { "kind": "potential", "powers": powers },
        "train": { "steps": 0 },
        "llc": { "nbeta": nbeta, "localization": 1, "step_size": step_size, "chains": 64, "burn_in": burn_in,
            "draws": draws, "batch_size": "full" },
        "seed": 10 * k1 + k2,
    });
    Case::of(format!("crossing ({k1},{k2}) nbeta {nbeta:e}"), &table).agrees();
}

#[test]
fn crossings_have_their_hot_value() {
    for powers in [[1, 0], [2, 0], [1, 1], [1, 2], [2, 2]] {
        check(powers, 1e2, 4e-4, 10_000, 10_000);
    }
}

#[test]
fn crossings_that_mix_fast_have_their_cold_values() {
    // One direction alone has a loss, and 1/√nβ or nβ^(−1/4) is how far it reaches: colder is but smaller.
    check([1, 0], 1e4, 4e-6, 2000, 10_000);
    check([1, 0], 1e6, 4e-8, 2000, 10_000);
    check([2, 0], 1e4, 4e-5, 5000, 20_000);
    check([2, 0], 1e6, 4e-6, 5000, 20_000);
}

#[test]
fn a_crossing_of_two_lines_has_its_cold_value() {
    check([1, 1], 1e4, 8e-6, 250_000, 60_000);
}

#[test]
fn a_crossing_of_a_line_and_a_double_line_has_its_cold_value() {
    check([1, 2], 1e4, 8e-6, 250_000, 60_000);
}

#[test]
fn a_crossing_of_two_double_lines_has_its_cold_value() {
    check([2, 2], 1e4, 8e-6, 250_000, 60_000);
}
