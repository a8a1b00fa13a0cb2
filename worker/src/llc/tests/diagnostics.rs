//! What stands beside an estimate.

use super::*;

/// Linear regression from isotropic inputs in three dimensions, at its optimum: twelve directions of curvature about 1.
fn regression(sampler: Sampler) -> TaskConfig {
    let mut task = gaussian_task(&[3, 4], 3, 1000);
    task.model = task.model.with_init(Init::Teacher);
    task.llc = super::task(8, sampler, &[]).llc;
    task
}

#[test]
fn stiffness_acceptance_and_distance_are_stored() {
    let stable = |method, stable| Sampler { method, step_size: StepSize::Stable { stable }, ..sampler() };
    let sgld = estimate_of(&regression(stable(Method::Sgld, 0.2)));
    let settings = sgld.settings.clone().unwrap();
    let pulled = settings.step_size.unwrap() * settings.localization;
    assert!((sgld.stiffness.unwrap() - (0.2 + pulled)).abs() < 1e-9);
    assert_eq!((sgld.acceptance, settings.method.as_str()), (None, "sgld"));
    assert!(sgld.distance.is_some());
    let mala = estimate_of(&regression(stable(Method::Mala, 0.2)));
    assert_eq!(mala.stiffness, sgld.stiffness);
    assert!((0.5..=1.0).contains(&mala.acceptance.unwrap()));
    assert_eq!(mala.settings.unwrap().method, "mala");
}

#[test]
fn a_metropolis_chain_that_never_moves_is_not_healthy_and_one_beyond_stability_may_be() {
    let with = |stable| Sampler {
        method: Method::Mala,
        step_size: StepSize::Stable { stable },
        burn_in: 200,
        draws: 2000,
        ..sampler()
    };
    let stuck = estimate_of(&regression(with(1e4)));
    assert_eq!((stuck.health(), stuck.acceptance), (v1::Health::NotMixed, Some(0.0)), "{}", stuck.health_reason);
    assert_eq!(stuck.health_reason, "0.000 of the proposals were accepted, less than 0.05");
    // In one direction proposals beyond the limit are still good ones: a = nβ·h + γ is 5/4 of nβ·h here.
    let mut narrow = regression(with(3.5));
    (narrow.data, narrow.model) = {
        let one = gaussian_task(&[1, 1], 1, 1000);
        (one.data, one.model.with_init(Init::Teacher))
    };
    let long = estimate_of(&narrow);
    assert!(long.stiffness.unwrap() > 4.0 && long.acceptance.unwrap() > 0.3, "{long:?}");
    assert_eq!(long.health(), v1::Health::Ok, "{}", long.health_reason);
}

#[test]
fn sensitivity_is_that_of_the_closed_form() {
    let sampler = Sampler {
        sensitivity: true,
        step_size: StepSize::Fixed(1e-2),
        localization: 20.0,
        chains: 8,
        burn_in: 300,
        draws: 3000,
        ..sampler()
    };
    let found = estimate_of(&regression(sampler.clone()));
    // All curvatures h are about 1 here, within 10 %: LLC = (nβ/2)·Σ h/a/(1 − ε·a/4) with a = nβ·h + γ = 40.
    let (a, step_size) = (40.0, 1e-2);
    let discretisation = step_size / 4.0 / (1.0 - step_size * a / 4.0);
    let localization = 20.0 * (discretisation - 1.0 / a);
    assert!((found.sensitivity_localization.unwrap() - localization).abs() < 0.05, "{found:?} {localization}");
    assert!((found.sensitivity_step_size.unwrap() - a * discretisation).abs() < 0.05, "{found:?}");
    // Measuring it changes nothing else.
    let without = estimate_of(&regression(Sampler { sensitivity: false, ..sampler.clone() }));
    assert_eq!((without.sensitivity_localization, without.sensitivity_step_size), (None, None));
    let blank = v1::Estimate { sensitivity_localization: None, sensitivity_step_size: None, ..found };
    assert_eq!(without, blank);
}

#[test]
fn sensitivity_is_absent_where_it_has_no_meaning() {
    let with = |localization, step_size| Sampler {
        sensitivity: true,
        localization,
        step_size: StepSize::Fixed(step_size),
        ..sampler()
    };
    let free = estimate_of(&regression(with(0.0, 1e-2)));
    assert!(free.sensitivity_localization.is_none() && free.sensitivity_step_size.is_some());
    let wild = estimate_of(&task(9, with(5.0, 1e3), &[]));
    assert_eq!((wild.sensitivity_localization, wild.sensitivity_step_size), (None, None));
    // A network that knows nothing goes downhill from where it starts.
    let negative = Sampler { nbeta: Nbeta::Fixed(1e4), step_size: StepSize::Fixed(1e-6), ..with(5.0, 1e-6) };
    let negative = estimate_of(&task(9, negative, &[]));
    assert!(negative.llc.unwrap() < 0.0 && negative.sensitivity_step_size.is_none(), "{:?}", negative.llc);
}

#[test]
fn pairing_takes_the_bias_of_centred_minibatches_and_most_of_their_noise() {
    let with = |initial_loss| Sampler {
        initial_loss,
        batch_size: BatchSize::Size(6),
        step_size: StepSize::Fixed(1e-9),
        localization: 100.0,
        chains: 8,
        draws: 2000,
        ..sampler()
    };
    let estimate = |initial_loss, loss| {
        let mut task = task(8, with(initial_loss), &[]);
        task.train.loss = loss;
        // Random weights are far from the targets, on some examples farther than on others; chains hardly move from there.
        task.model = task.model.with_init(Init::Normal);
        estimate_of(&task)
    };
    for loss in [Loss::Mse, Loss::CentredMse] {
        let (whole, paired) = (estimate(InitialLoss::Whole, loss), estimate(InitialLoss::Paired, loss));
        // The chains are the same.
        assert_eq!((whole.distance, whole.initial_loss), (paired.distance, paired.initial_loss));
        assert_eq!(paired.settings.unwrap().initial_loss, "paired");
        let (error, paired_error) = (whole.llc_se.unwrap(), paired.llc_se.unwrap());
        assert!(paired_error < 0.5 * error, "{paired_error} {error}");
        // B = 6 of N = 19: the centred loss of a minibatch is L·(1−1/B)/(1−1/N) in the mean.
        let bias = match loss {
            Loss::Mse => 0.0,
            Loss::CentredMse => 20.0 * whole.initial_loss.unwrap() * ((1.0 - 1.0 / 6.0) / (1.0 - 1.0 / 19.0) - 1.0),
        };
        let difference = whole.llc.unwrap() - paired.llc.unwrap();
        assert!((difference - bias).abs() < 3.0 * error, "{loss:?}: {difference} {bias} {error}");
        assert!(loss == Loss::Mse || bias.abs() > 10.0 * error, "the bias is seen: {bias} {error}");
    }
}

#[test]
fn pairing_on_the_full_batch_is_the_same_as_not_pairing() {
    let paired = Sampler { initial_loss: InitialLoss::Paired, ..sampler() };
    assert_eq!(estimate_of(&task(8, paired, &[])).llc, estimate_of(&task(8, sampler(), &[])).llc);
}
