//! The dynamics against exact expectations. Seeds are fixed: what holds once holds always on that kind of machine.

use super::*;
use phasegrid_proto::task::Method;

/// Under exp(−U) itself: (nβ/2)·Σ h/(nβ·h + γ).
fn exact(curvatures: &[f64], nbeta: f64, localization: f64) -> f64 {
    nbeta / 2.0 * curvatures.iter().map(|h| h / (nbeta * h + localization)).sum::<f64>()
}

#[test]
fn mala_is_exact_at_a_step_size_where_sgld_is_far_off() {
    // ε·a = 1.01 in each of ten directions: SGLD is off by 1/(1 − ε·a/4), a third. The second has two scales.
    for (curvatures, localization, step_size) in [(vec![1.0; 10], 1.0, 1e-2), (vec![1.0, 1.0, 0.1, 0.1], 5.0, 2e-2)] {
        let settings = Settings {
            step_size,
            localization,
            nbeta: 100.0,
            chains: 32,
            burn_in: 200,
            draws: 2000,
            ..Settings::default()
        };
        let potential = ellipse(&curvatures);
        let value = exact(&curvatures, 100.0, localization);
        let (sgld, _) = summarise(&potential, curvatures.len(), &settings);
        assert!(sgld.llc > 1.15 * value && sgld.llc - value > 20.0 * sgld.llc_se.unwrap(), "{sgld:?} {value}");
        let settings = Settings { method: Method::Mala, ..settings };
        let (mala, chains) = summarise(&potential, curvatures.len(), &settings);
        let error = mala.llc_se.unwrap();
        // The standard error is below a percent of the value.
        assert!((mala.llc - value).abs() < 3.0 * error && error < 0.01 * value, "{mala:?} {value}");
        assert!(chains.iter().all(|chain| chain.acceptance.is_some_and(|share| (0.4..0.95).contains(&share))));
    }
}

/// L = ½·(w1^k1·w2^k2)²
pub(super) fn crossing(k1: i32, k2: i32) -> impl Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor) + Clone + Sync {
    move |weights, _| {
        let (w1, w2) = (weights.select(1, 0), weights.select(1, 1));
        let power = |w: &Tensor, k: i32| w.pow_tensor_scalar(f64::from(k));
        let slope = |w: &Tensor, k: i32| power(w, (k - 1).max(0)) * f64::from(k);
        let value = power(&w1, k1) * power(&w2, k2);
        let gradient = [slope(&w1, k1) * power(&w2, k2), slope(&w2, k2) * power(&w1, k1)].map(|slope| slope * &value);
        (value.square() * 0.5, Tensor::stack(&gradient, 1))
    }
}

#[test]
fn mala_finds_the_finite_temperature_value_of_normal_crossings() {
    // At nβ = 100 and γ = 1, by quadrature (`known_answers` has it). SGLD takes steps of 4e-4 for it. A chain crosses the
    // prior in about 1/ε steps.
    for ((k1, k2), value) in [((1, 0), 0.49505), ((1, 1), 0.33877), ((1, 2), 0.19763), ((2, 2), 0.14048)] {
        let settings = Settings {
            method: Method::Mala,
            step_size: 1e-2,
            localization: 1.0,
            nbeta: 100.0,
            chains: 64,
            burn_in: 1000,
            draws: 4000,
            ..Settings::default()
        };
        let (found, _) = summarise(&crossing(k1, k2), 2, &settings);
        let error = found.llc_se.unwrap();
        assert!((found.llc - value).abs() < 3.0 * error && error < 0.05 * value, "({k1}, {k2}) {found:?}");
    }
}

#[test]
fn where_gradients_are_small_a_preconditioned_chain_is_plain_sgld_with_steps_of_ten_times_the_length() {
    // Gradients are √(h/nβ) = 0.001 in size and G = 1/(0.001 + 0.1), within a percent of 10. At ε·G·a = 0.2 the
    // discretisation adds 1/(1 − 0.05).
    let curvatures = [1.0; 10];
    let settings = Settings {
        method: Method::RmspropSgld,
        step_size: 2e-8,
        localization: 1e4,
        nbeta: 1e6,
        chains: 32,
        burn_in: 500,
        draws: 2000,
        ..Settings::default()
    };
    let (found, _) = summarise(&ellipse(&curvatures), 10, &settings);
    let value = exact(&curvatures, 1e6, 1e4) / (1.0 - 0.2 / 4.0);
    let error = found.llc_se.unwrap();
    assert!((found.llc - value).abs() < 3.0 * error && error < 0.01 * value, "{found:?} {value}");
}

#[test]
fn an_accelerators_random_numbers_give_the_same_expectation() {
    let settings = Settings {
        step_size: 1e-3,
        localization: 1.0,
        nbeta: 100.0,
        chains: 32,
        burn_in: 1000,
        draws: 2000,
        ..Settings::default()
    };
    let origin = At::new(1, &[0.0; 10], &settings);
    let chains = run_on(&ellipse(&[1.0; 10]), &[origin], SINGLE, 0, ON_DEVICE).remove(0).unwrap();
    let losses: Vec<_> = chains.into_iter().map(|chain| chain.unwrap().losses).collect();
    let found = estimate::summarise(&losses, 0.0, 100.0).unwrap();
    // Discretisation adds ε·a/4.
    let value = exact(&[1.0; 10], 100.0, 1.0) / (1.0 - 1e-3 * 101.0 / 4.0);
    assert!((found.llc - value).abs() < 3.0 * found.llc_se.unwrap(), "{found:?} {value}");
}

#[test]
fn pairing_keeps_the_expectation_and_takes_the_noise_of_the_minibatch() {
    let settings = Settings {
        step_size: 1e-3,
        localization: 1.0,
        nbeta: 100.0,
        chains: 16,
        burn_in: 1000,
        draws: 2000,
        batch_size: Some(4),
        ..Settings::default()
    };
    let potential = ellipse(&[1.0; 4]);
    let (whole, _) = summarise(&potential, 4, &settings);
    let (paired, _) = summarise(&potential, 4, &Settings { paired: true, ..settings });
    // The loss of w* on a minibatch is 4.5 in the mean, and 0 to 9.
    let (errors, apart) = ([whole.llc_se.unwrap(), paired.llc_se.unwrap()], whole.llc - 450.0 - paired.llc);
    assert!(errors[1] < 0.1 * errors[0], "{whole:?} {paired:?}");
    assert!(apart.abs() < 3.0 * errors[0], "{whole:?} {paired:?}");
}
