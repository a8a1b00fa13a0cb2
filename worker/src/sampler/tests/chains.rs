//! Chains are what their origin says, in whatever form they run.

use super::*;
use phasegrid_proto::task::Method;

const METHODS: [Method; 3] = [Method::Sgld, Method::RmspropSgld, Method::Mala];

fn settings() -> Settings {
    Settings {
        step_size: 0.1,
        localization: 1.0,
        nbeta: 2.0,
        chains: 6,
        burn_in: 20,
        draws: 180,
        ..Settings::default()
    }
}

const START: [f32; 3] = [0.5, -0.25, 0.0];

/// Three origins that can be stacked: w*, ε, γ and nβ are each one's own.
fn three(settings: &Settings) -> Vec<At> {
    let own = |seed: u64| {
        let times = 1.0 + seed as f64 / 4.0;
        let [step_size, localization, nbeta] =
            [settings.step_size, settings.localization, settings.nbeta].map(|value| value * times);
        At::new(
            seed,
            &START.map(|w| w * times as f32),
            &Settings { step_size, localization, nbeta, ..settings.clone() },
        )
    };
    (0..3).map(own).collect()
}

/// The largest difference of losses between outcomes that failed alike.
fn difference(a: &[Outcome], b: &[Outcome]) -> f64 {
    let losses = |outcomes: &[Outcome]| {
        let chains = outcomes.iter().flat_map(|outcome| outcome.clone().unwrap());
        chains.map(|chain| chain.unwrap()).flat_map(|chain| [chain.losses, vec![chain.distance]].concat()).collect()
    };
    let (a, b): (Vec<f64>, Vec<f64>) = (losses(a), losses(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_chain_depends_neither_on_the_rows_beside_it_nor_on_threads() {
    for method in METHODS {
        for batch_size in [None, Some(4)] {
            for moving in [None, Some(1..3)] {
                let settings = Settings { method, batch_size, moving, paired: batch_size.is_some(), ..settings() };
                let mut origins = three(&settings);
                let potential = ellipse(&[1.0, 3.0, 0.5]);
                let stacked = run_on(&potential, &origins, SINGLE, 0, STACKED);
                // So many examples that each chain is a program of its own.
                origins.iter_mut().for_each(|origin| origin.examples = 1 << 30);
                for idle in [0, 3] {
                    assert_eq!(run_on(&potential, &origins, SINGLE, idle, APART), stacked, "{settings:?}");
                }
                let cut = Form { stacking: Stacking::OfAll { numbers: 12 }, ..STACKED };
                assert_eq!(run_on(&potential, &origins, SINGLE, 0, cut), stacked);
                // And of one origin alone.
                assert_eq!(run_on(&potential, &origins[1..2], SINGLE, 0, STACKED), stacked[1..2]);
            }
        }
    }
}

#[test]
fn the_tensor_program_is_the_same_stacked_and_apart_and_that_of_the_host_to_rounding() {
    for method in METHODS {
        let settings = Settings { method, batch_size: Some(4), moving: Some(1..3), ..settings() };
        let mut origins = three(&settings);
        origins.iter_mut().for_each(|origin| origin.examples = 1 << 30);
        let potential = ellipse(&[1.0, 3.0, 0.5]);
        let run = |kind, form| run_on(&potential, &origins, (kind, Device::Cpu), 0, form);
        let exact = run(Kind::Double, STACKED);
        // Rounding of double precision, over 200 steps.
        assert!(difference(&exact, &run(Kind::Double, APART)) < 1e-12, "{method:?}");
        // Rounding of single precision, over 200 steps of numbers of order 1.
        assert!(difference(&exact, &run(Kind::Float, APART)) < 1e-4, "{method:?}");
    }
}

#[test]
fn an_accelerators_chain_does_not_depend_on_the_rows_beside_it_either() {
    for method in METHODS {
        let settings = Settings { method, batch_size: Some(4), ..settings() };
        let origins = three(&settings);
        let run =
            |origins: &[At]| run_on(&ellipse(&[1.0, 3.0, 0.5]), origins, (Kind::Double, Device::Cpu), 0, ON_DEVICE);
        let together = run(&origins);
        for (origin, own) in origins.chunks(1).zip(together.chunks(1)) {
            // Vector and scalar logarithms of a CPU differ in the last bit of single precision.
            assert!(difference(&run(origin), own) < 1e-4, "{method:?}");
        }
    }
}

#[test]
fn a_step_is_drift_localisation_and_noise() {
    let settings = Settings { chains: 1, burn_in: 0, draws: 3, ..settings() };
    let chain = run_on(&ellipse(&[1.0; 3]), &[At::new(5, &START, &settings)], SINGLE, 0, APART);
    let chain = chain[0].clone().unwrap().remove(0).unwrap();
    let mut noise = Chance::derive(5, &[0], 10).noise;
    let mut weights = START.map(f64::from);
    let mut losses = Vec::new();
    for step in 0..3 {
        losses.push(0.5 * weights.iter().map(|w| w * w).sum::<f64>());
        let mut normals = [0f64; 3];
        noise.fill_f64(&mut normals);
        if step < 2 {
            for ((w, start), n) in weights.iter_mut().zip(START).zip(normals) {
                *w += -0.1 / 2.0 * (2.0 * *w + (*w - f64::from(start))) + 0.1f64.sqrt() * n;
            }
        }
    }
    let distance = weights.iter().zip(START).map(|(w, start)| (w - f64::from(start)).powi(2)).sum::<f64>().sqrt();
    // Rounding of f32.
    assert!(chain.losses.iter().zip(losses).all(|(found, expected)| (found - expected).abs() < 1e-6));
    assert!((chain.distance - distance).abs() < 1e-6);
    assert_eq!(chain.acceptance, None);
}

#[test]
fn weights_that_do_not_move_stay() {
    for method in METHODS {
        for form in [STACKED, ON_DEVICE] {
            let settings = Settings { method, moving: Some(1..2), ..settings() };
            // Of the weights that stay there is no loss, were they to stay at w*.
            let stays = |weights: &Tensor, _: Option<&Tensor>| {
                let still = (weights.select(1, 0) - 0.5).square() + weights.select(1, 2).square();
                let loss = weights.select(1, 1).square() * 0.5;
                (loss.masked_fill(&still.gt(0.0), f64::NAN), weights.copy())
            };
            let chains = run_on(&stays, &[At::new(5, &START, &settings)], SINGLE, 0, form).remove(0).unwrap();
            assert!(chains.iter().all(|chain| chain.as_ref().is_ok_and(|chain| chain.distance > 0.0)), "{method:?}");
        }
    }
}

#[test]
fn what_a_draw_is_compared_with_changes_no_chain() {
    for form in [STACKED, ON_DEVICE] {
        let run = |paired| {
            let settings = Settings { batch_size: Some(4), paired, ..settings() };
            let chains = run_on(&ellipse(&[1.0; 3]), &[At::new(5, &[0.0; 3], &settings)], SINGLE, 0, form);
            chains[0].clone().unwrap().into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        for (whole, paired) in run(false).into_iter().zip(run(true)) {
            assert_eq!(whole.distance, paired.distance);
            // What the minibatch has by itself is 0 to 9, in whole numbers, and w* = 0 has no more than that.
            let own = whole.losses.iter().zip(&paired.losses).map(|(whole, paired)| whole - paired);
            assert!(own.clone().all(|own| (own - own.round()).abs() < 1e-5 && (-0.1..9.1).contains(&own)));
            assert!(own.map(|own| own.round()).sum::<f64>() > 0.0);
        }
    }
}

/// No loss beyond a cliff in w₁.
fn cliff(at: f64) -> impl Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor) + Clone + Sync {
    move |weights, _| {
        let loss = weights.square().sum_dim_intlist(1, false, None) * 0.5;
        (loss.masked_fill(&weights.select(1, 0).gt(at), f64::NAN), weights.copy())
    }
}

#[test]
fn a_chain_that_fails_says_where_and_the_others_go_on() {
    let settings = settings();
    for form in [APART, ON_DEVICE] {
        let run = |at| run_on(&cliff(at), &[At::new(5, &START, &settings)], SINGLE, 0, form)[0].clone().unwrap();
        let (chains, free) = (run(1.7), run(f64::INFINITY));
        let failures: Vec<_> = chains.iter().filter_map(|chain| chain.as_ref().err()).collect();
        assert!(!failures.is_empty() && failures.len() < settings.chains, "{failures:?}");
        for (index, (chain, free)) in chains.iter().zip(&free).enumerate() {
            match chain {
                Ok(_) => assert_eq!(chain, free),
                Err(failure) => assert_eq!((failure.chain, failure.burn_in), (index, settings.burn_in)),
            }
        }
    }
}

#[test]
fn a_proposal_without_a_loss_is_rejected() {
    let settings = Settings { method: Method::Mala, ..settings() };
    for options in [SINGLE, (Kind::Double, Device::Cpu)] {
        let chains = run_on(&cliff(0.6), &[At::new(5, &START, &settings)], options, 0, STACKED)[0].clone().unwrap();
        for chain in chains.into_iter().map(Result::unwrap) {
            assert!((0.1..0.95).contains(&chain.acceptance.unwrap()), "{:?}", chain.acceptance);
        }
    }
}

#[test]
fn chains_that_all_failed_end_early() {
    let settings = Settings { draws: 1_000_000, ..settings() };
    let origin = [At::new(5, &START, &settings)];
    let chains = run_on(&cliff(0.0), &origin, SINGLE, 0, STACKED)[0].clone().unwrap();
    let first = |chain: usize| Err(Failure { chain, step: 0, burn_in: 20 });
    assert_eq!(chains, (0..6).map(first).collect::<Vec<_>>());
    assert_eq!(origin[0].looks.load(Ordering::Relaxed), 1, "the one before the program");
}

#[test]
fn a_stop_is_heeded_by_all_threads_and_stops_no_one_else() {
    for examples in [10, 1 << 30] {
        let mut origins = three(&Settings { draws: 1_000_000, ..settings() });
        origins[2].settings.draws = 10;
        origins.iter_mut().for_each(|origin| origin.examples = examples);
        origins[..2].iter().for_each(|origin| origin.stop.store(true, Ordering::Relaxed));
        for form in [APART, STACKED] {
            let outcomes = run_on(&ellipse(&[1.0; 3]), &origins, SINGLE, 2, form);
            assert_eq!(outcomes[..2], [None, None]);
            assert_eq!(outcomes[2].as_ref().map(Vec::len), Some(6));
        }
    }
}
