//! Normal crossings L = ½·(w_1^k_1·w_2^k_2)², at their temperature.
//!
//! Along a valley w_1 ≈ 0 of length |w_2| ≈ 1 the curvature is about nβ. SGLD pays ε·nβ/4 in relative bias, here 1 %, less than
//! its standard errors. Draws with a Metropolis correction are exact at any ε, but where ε·nβ is beyond about 4 chains never
//! enter the far ends of a valley, and say nothing of it. A valley is gone along once in some 2/ε steps, which is the
//! burn-in that each needs: one such span or more.

use serde_json::{Value, json};

use crate::case::Case;

fn check(powers: [u32; 2], nbeta: f64, mut llc: Value) {
    let [k1, k2] = powers;
    let method = llc["method"].as_str().unwrap_or("sgld").to_owned();
    let own = json!({ "nbeta": nbeta, "localization": 1, "batch_size": "full" });
    llc.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let table = json!({
        "data": { "kind": "origin" },
        "model": { "kind": "potential", "powers": powers },
        "train": { "steps": 0 },
        "llc": llc,
        "seed": 10 * k1 + k2,
    });
    Case::of(format!("crossing ({k1},{k2}) nbeta {nbeta:e}, {method}"), &table).agrees();
}

fn sgld(step_size: f64, burn_in: u32, draws: u32) -> Value {
    json!({ "step_size": step_size, "chains": 64, "burn_in": burn_in, "draws": draws })
}

fn mala(step_size: f64, chains: u32, burn_in: u32, draws: u32) -> Value {
    json!({ "method": "mala", "step_size": step_size, "chains": chains, "burn_in": burn_in, "draws": draws })
}

#[test]
fn crossings_have_their_hot_value() {
    for powers in [[1, 0], [2, 0], [1, 1], [1, 2], [2, 2]] {
        check(powers, 1e2, sgld(4e-4, 10_000, 10_000));
    }
}

#[test]
fn crossings_have_their_hot_value_by_exact_draws() {
    for powers in [[1, 0], [2, 0], [1, 1], [1, 2], [2, 2]] {
        check(powers, 1e2, mala(4e-3, 64, 4000, 10_000));
    }
}

#[test]
fn a_single_direction_mixes_fast_however_cold() {
    // 1/√nβ or nβ^(−1/4) is how far it reaches: colder is but smaller.
    for (nbeta, reach) in [(1e4, 1e-2), (1e6, 1e-3)] {
        check([1, 0], nbeta, sgld(0.04 * reach * reach, 2000, 10_000));
        check([2, 0], nbeta, sgld(0.004 * reach, 5000, 20_000));
    }
}

#[test]
fn crossings_have_their_cold_value() {
    check([1, 1], 1e4, mala(1e-4, 64, 40_000, 30_000));
    check([1, 2], 1e4, mala(1e-4, 64, 40_000, 30_000));
    check([2, 2], 1e4, mala(4e-4, 64, 20_000, 30_000));
}

#[test]
fn a_crossing_of_two_lines_has_its_coldest_value() {
    check([1, 1], 1e6, mala(4e-6, 16, 500_000, 300_000));
}

#[test]
fn crossings_with_double_lines_have_their_coldest_value() {
    check([1, 2], 1e6, mala(1e-5, 16, 300_000, 200_000));
    check([2, 2], 1e6, mala(2e-4, 32, 20_000, 60_000));
}
