use super::*;
use crate::random::Stream;
use std::sync::atomic::AtomicBool;
use tch::Kind;

/// L = ½·h·Σ w² of E members; members whose w₁ is beyond the cliff have no loss.
#[derive(Clone)]
struct Bowl {
    members: i64,
    dimension: i64,
    /// Examples that are said to be behind a loss.
    examples: i64,
    cliff: f64,
}

impl Objective for Bowl {
    fn members(&self) -> i64 {
        self.members
    }
    fn dimension(&self) -> i64 {
        self.dimension
    }
    fn examples(&self) -> i64 {
        self.examples
    }
    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        // The curvature of a minibatch is that of its first example, 1 or 2.
        let curvature = batch.map(|batch| (batch.narrow(1, 0, 1).remainder(2) + 1).to_kind(weights.kind()));
        let curvature = curvature.unwrap_or_else(|| weights.ones_like().narrow(1, 0, 1)); // [E, 1]
        gradient.copy_(&(weights * &curvature));
        let fallen = weights.narrow(1, 0, 1).gt(self.cliff);
        let loss = (weights.square().sum_dim_intlist(1, true, None) * 0.5 * curvature).masked_fill(&fallen, f64::NAN);
        loss.squeeze_dim(1)
    }
}

fn bowl(examples: i64, cliff: f64) -> impl Fn(usize) -> Bowl + Sync {
    move |members| Bowl { members: members as i64, dimension: 3, examples, cliff }
}

fn chance(chain: usize) -> Chance {
    Chance {
        noise: Normals::derive(5, "chain", &[chain as u64]),
        batches: Subsets::new(Stream::derive(5, "batches", &[chain as u64]), 10),
    }
}

fn settings(batch_size: Option<usize>) -> Settings {
    Settings { step_size: 0.1, localization: 1.0, nbeta: 2.0, chains: 6, burn_in: 20, draws: 180, batch_size }
}

fn start() -> Tensor {
    Tensor::from_slice(&[0.5f32, -0.25, 0.0])
}

type Outcome = Option<Vec<Result<Chain, Failure>>>;

fn run_bowl(examples: i64, cliff: f64, settings: &Settings, permits: usize) -> Outcome {
    run(&bowl(examples, cliff), &start(), settings, &chance, &Permits::new(permits), &|| false)
}

/// So many examples that each chain is a program of its own.
const MANY: i64 = 1 << 30;

#[test]
fn a_chain_does_not_depend_on_the_chains_beside_it() {
    for batch_size in [None, Some(4)] {
        let settings = settings(batch_size);
        let stacked = run_bowl(10, f64::INFINITY, &settings, 0).unwrap();
        for (index, beside_others) in stacked.into_iter().enumerate() {
            let chains = index..index + 1;
            let objective = bowl(10, f64::INFINITY)(1);
            let alone = chain::sample(&objective, &start(), &settings, chains, &mut [chance(index)], &|| false);
            // The same additions in the same order: there is not even rounding between them.
            assert_eq!(alone.unwrap(), [beside_others]);
        }
    }
}

#[test]
fn threads_change_nothing() {
    let alone = run_bowl(MANY, f64::INFINITY, &settings(None), 0).unwrap();
    assert_eq!(alone, run_bowl(MANY, f64::INFINITY, &settings(None), 3).unwrap());
    assert_eq!(alone, run_bowl(10, f64::INFINITY, &settings(None), 0).unwrap());
}

#[test]
fn a_step_is_drift_localisation_and_noise() {
    let settings = Settings { chains: 1, burn_in: 0, draws: 2, ..settings(None) };
    let chain = run_bowl(10, f64::INFINITY, &settings, 0).unwrap().remove(0).unwrap();
    let mut noise = [0f64; 3];
    chance(0).noise.fill_f64(&mut noise);
    let start = [0.5, -0.25, 0.0];
    // At w* the localisation is nil; the first loss is that of w* itself.
    let moved: Vec<f64> = start.iter().zip(noise).map(|(w, n)| w - 0.1 / 2.0 * 2.0 * w + 0.1f64.sqrt() * n).collect();
    let loss = |weights: &[f64]| 0.5 * weights.iter().map(|w| w * w).sum::<f64>();
    let distance = start.iter().zip(&moved).map(|(w, m)| (w - m).powi(2)).sum::<f64>().sqrt();
    // Rounding of f32.
    assert!((chain.losses[0] - loss(&start)).abs() < 1e-6);
    assert!((chain.losses[1] - loss(&moved)).abs() < 1e-6);
    assert!((chain.distance - distance).abs() < 1e-6);
}

#[test]
fn a_chain_that_fails_says_where_and_the_others_go_on() {
    let settings = settings(None);
    let chains = run_bowl(10, 1.9, &settings, 0).unwrap();
    let free = run_bowl(10, f64::INFINITY, &settings, 0).unwrap();
    let failures: Vec<_> = chains.iter().filter_map(|chain| chain.as_ref().err()).collect();
    assert!(!failures.is_empty() && failures.len() < settings.chains, "{failures:?}");
    for (index, (chain, free)) in chains.iter().zip(&free).enumerate() {
        match chain {
            Ok(_) => assert_eq!(chain, free),
            Err(failure) => assert_eq!((failure.chain, failure.burn_in), (index, settings.burn_in)),
        }
    }
}

#[test]
fn chains_that_all_failed_end_early() {
    let looks = AtomicUsize::new(0);
    let look = || {
        looks.fetch_add(1, Ordering::Relaxed);
        false
    };
    let settings = Settings { draws: 1_000_000, ..settings(None) };
    let chains = run(&bowl(10, 0.0), &start(), &settings, &chance, &Permits::new(0), &look).unwrap();
    let first = |chain: usize| Err(Failure { chain, step: 0, burn_in: 20 });
    assert_eq!(chains, (0..6).map(first).collect::<Vec<_>>());
    assert_eq!(looks.into_inner(), 1, "the one before the program");
}

#[test]
fn a_stop_is_heeded_by_all_threads() {
    let stop = AtomicBool::new(true);
    let settings = Settings { draws: 1_000_000, ..settings(None) };
    let stopped = || stop.load(Ordering::Relaxed);
    for examples in [10, MANY] {
        let objective = bowl(examples, f64::INFINITY);
        assert_eq!(run(&objective, &start(), &settings, &chance, &Permits::new(2), &stopped), None);
    }
}

#[test]
fn stacking_is_a_divisor_of_the_chains_and_ends_where_arithmetic_outweighs_calls() {
    assert_eq!(chains_a_program(45, 9, 32, Device::Cpu), 32);
    assert_eq!(chains_a_program(3 * 53 * 1024, 128, 3, Device::Cpu), 1);
    assert_eq!(chains_a_program(3 * 53 * 1024, 128, 3, Device::Cuda(0)), 3);
    assert_eq!(chains_a_program(1 << 10, 1 << 8, 6, Device::Cpu), 3);
    assert_eq!(chains_a_program(1 << 10, 1 << 8, 7, Device::Cpu), 1);
}

#[test]
fn the_greatest_curvature_of_a_quadratic_is_found() {
    struct Ellipse(Tensor);
    impl Objective for Ellipse {
        fn members(&self) -> i64 {
            1
        }
        fn dimension(&self) -> i64 {
            self.0.numel() as i64
        }
        fn examples(&self) -> i64 {
            1
        }
        fn loss_and_gradient(&self, weights: &Tensor, _: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
            gradient.copy_(&(weights * &self.0));
            (weights.square() * &self.0).sum_dim_intlist(1, false, Kind::Double) * 0.5
        }
    }
    let find = |curvatures: &[f64], iterations| {
        let weights = Tensor::from_slice(&vec![1f32; curvatures.len()]);
        let mut normals = Normals::derive(0, "curvature", &[]);
        greatest_curvature(&Ellipse(Tensor::from_slice(curvatures)), &weights, &mut normals, iterations, &|| false)
    };
    // The value settles to a thousandth; the largest may be negative, away from a minimum.
    assert!((find(&[0.1, 3.0, 1.0], 100).unwrap() / 3.0 - 1.0).abs() < 2e-3);
    assert!((find(&[0.1, -3.0, 1.0], 100).unwrap() / 3.0 - 1.0).abs() < 2e-3);
    assert!(find(&[2.9, 3.0, 2.8], 2).unwrap() <= 3.0);
    assert_eq!(find(&[0.0, 0.0], 100), None);
    let mut normals = Normals::derive(0, "curvature", &[]);
    assert_eq!(greatest_curvature(&bowl(10, 0.0)(1), &start(), &mut normals, 100, &|| true), None, "it was stopped");
}
