//! The estimator against exact values: the sampler that production uses, on potentials and networks whose answer is known.
//!
//! Every case prints a row of a table (`cargo test -p phasegrid-worker --test known_answers -- --nocapture`): exact value,
//! estimate, its own standard error, and z, the difference in standard errors. Seeds are fixed, so that a case that
//! holds once holds always. What separates an estimate from its learning coefficient besides chance:
//!
//! - temperature: at finite nβ/γ the exact value is another, and potentials and linear networks have it by quadrature;
//! - discretisation: a direction of curvature h contributes ½·1/(1 − ε·(nβ·h+γ)/4) and not ½, known exactly for quadratics.
//!
//! Each case says how large these are.

use phasegrid_proto::task::{TaskConfig, resolve};
use phasegrid_proto::v1;
use phasegrid_worker::data::Examples;
use phasegrid_worker::engine::{Permits, Surroundings};
use phasegrid_worker::objective::Objective;
use phasegrid_worker::random::{Normals, Stream, Subsets};
use phasegrid_worker::sampler::{self, Chance, Settings};
use phasegrid_worker::{estimate, llc, models, theory};
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// L(w) of one weight vector, with its gradient; computed on the host.
trait Potential: Clone + Sync {
    fn dimension(&self) -> usize;
    fn loss_and_gradient(&self, weights: &[f32], gradient: &mut [f32]) -> f32;
}

/// E chains on a potential. There are no examples to speak of.
struct Stacked<P> {
    potential: P,
    members: usize,
}

impl<P: Potential> Objective for Stacked<P> {
    fn members(&self) -> i64 {
        self.members as i64
    }

    fn dimension(&self) -> i64 {
        self.potential.dimension() as i64
    }

    fn examples(&self) -> i64 {
        1
    }

    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        assert!(batch.is_none(), "a potential has no minibatches");
        let dimension = self.potential.dimension();
        let mut host = vec![0f32; self.members * dimension];
        weights.copy_data(&mut host, self.members * dimension);
        let mut slope = vec![0f32; host.len()];
        let rows = host.chunks_exact(dimension).zip(slope.chunks_exact_mut(dimension));
        let losses: Vec<f32> = rows.map(|(row, slope)| self.potential.loss_and_gradient(row, slope)).collect();
        gradient.copy_(&Tensor::from_slice(&slope).view_as(gradient));
        Tensor::from_slice(&losses)
    }
}

/// The summary of chains on a potential, from its minimum at 0.
fn summarise(potential: &impl Potential, settings: &Settings, seed: u64) -> estimate::Summary {
    let objective = |members| Stacked { potential: potential.clone(), members };
    let chance = |chain| Chance {
        noise: Normals::derive(seed, "chain", &[chain as u64]),
        batches: Subsets::new(Stream::derive(seed, "batches", &[chain as u64]), 1),
    };
    let start = Tensor::zeros([potential.dimension() as i64], (Kind::Float, Device::Cpu));
    let chains = sampler::run(&objective, &start, settings, &chance, &Permits::new(0), &|| false).unwrap();
    let losses: Vec<_> = chains.into_iter().map(|chain| chain.unwrap().losses).collect();
    estimate::summarise(&losses, 0.0, settings.nbeta).unwrap()
}

/// Prints the row of a case and returns z.
fn row(case: &str, exact: f64, estimate: f64, error: f64) -> f64 {
    let z = (estimate - exact) / error;
    println!("{case:<34} exact {exact:>9.5}  estimate {estimate:>9.5} ± {error:.5}  z {z:>5.2}");
    z
}

/// L = ½·Σ h·w².
#[derive(Clone)]
struct Quadratic(Vec<f64>);

impl Potential for Quadratic {
    fn dimension(&self) -> usize {
        self.0.len()
    }

    fn loss_and_gradient(&self, weights: &[f32], gradient: &mut [f32]) -> f32 {
        let mut loss = 0.0;
        for ((h, w), slope) in self.0.iter().zip(weights).zip(gradient) {
            *slope = *h as f32 * w;
            loss += 0.5 * *slope * w;
        }
        loss
    }
}

/// What SGLD gives on a quadratic, discretisation and transient included: a chain from 0 is Gaussian at every step.
fn quadratic_answer(curvatures: &[f64], settings: &Settings) -> f64 {
    let Settings { step_size, localization, nbeta, burn_in, draws, .. } = *settings;
    let one = |h: &f64| {
        let a = nbeta * h + localization;
        let rho = 1.0 - step_size * a / 2.0;
        let variance = 1.0 / (a * (1.0 - step_size * a / 4.0));
        let risen = (burn_in..burn_in + draws).map(|i| 1.0 - rho.powi(2 * i as i32)).sum::<f64>() / draws as f64;
        h * variance * risen
    };
    nbeta / 2.0 * curvatures.iter().map(one).sum::<f64>()
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
        let settings = Settings { step_size, localization, nbeta, chains: 64, burn_in, draws, batch_size: None };
        let exact = quadratic_answer(&curvatures, &settings);
        assert!((exact - value).abs() < 1e-5, "{exact} {value}");
        let summary = summarise(&Quadratic(curvatures), &settings, i as u64);
        let z = row(&format!("quadratic {i}"), exact, summary.llc, summary.llc_se.unwrap());
        assert!(z.abs() < 3.0);
    }
}

/// L = ½·(w1^k1·w2^k2)².
#[derive(Clone, Copy)]
struct Crossing {
    k1: i32,
    k2: i32,
}

impl Potential for Crossing {
    fn dimension(&self) -> usize {
        2
    }

    fn loss_and_gradient(&self, weights: &[f32], gradient: &mut [f32]) -> f32 {
        let (w1, w2) = (weights[0], weights[1]);
        let value = w1.powi(self.k1) * w2.powi(self.k2);
        let slope = |k: i32, w: f32, other: f32| if k == 0 { 0.0 } else { k as f32 * w.powi(k - 1) * other };
        gradient[0] = value * slope(self.k1, w1, w2.powi(self.k2));
        gradient[1] = value * slope(self.k2, w2, w1.powi(self.k1));
        0.5 * value * value
    }
}

/// nβ·E[L] under exp(−nβ·L − ‖w‖²/2): quadrature over logarithms of |w1| and |w2|, where integrands fall off so fast at
/// both ends that equally spaced points converge like a spectral method.
fn crossing_answer(crossing: Crossing, nbeta: f64) -> f64 {
    let (from, step) = (-40.0, 0.05);
    let points: Vec<f64> = (0..860).map(|i| f64::exp(from + step * f64::from(i))).collect();
    let (mut weight, mut weighted) = (0.0, 0.0);
    for w1 in &points {
        for w2 in &points {
            let loss = 0.5 * nbeta * (w1.powi(crossing.k1) * w2.powi(crossing.k2)).powi(2);
            let density = w1 * w2 * (-loss - (w1 * w1 + w2 * w2) / 2.0).exp();
            weight += density;
            weighted += density * loss;
        }
    }
    weighted / weight
}

#[test]
fn the_quadrature_gives_the_known_values_of_crossings() {
    for ((k1, k2), hot, cold, colder) in [
        ((1, 0), 0.49505, 0.49995, 0.50000),
        ((2, 0), 0.23838, 0.24881, 0.24988),
        ((1, 1), 0.33877, 0.40668, 0.43472),
        ((1, 2), 0.19763, 0.23314, 0.24466),
        ((2, 2), 0.14048, 0.17493, 0.19393),
    ] {
        for (nbeta, value) in [(1e2, hot), (1e4, cold), (1e6, colder)] {
            let found = crossing_answer(Crossing { k1, k2 }, nbeta);
            assert!((found - value).abs() < 1e-5, "{k1} {k2} {nbeta}: {found}");
        }
    }
}

#[test]
fn explore_crossings() {
    for (k1, k2) in [(1, 0), (2, 0), (1, 1), (1, 2), (2, 2)] {
        for (nbeta, step_size, burn_in, draws) in [(1e2, 4e-4, 10_000, 10_000)] {
            let settings =
                Settings { step_size, localization: 1.0, nbeta, chains: 256, burn_in, draws, batch_size: None };
            let exact = crossing_answer(Crossing { k1, k2 }, nbeta);
            let now = std::time::Instant::now();
            let summary = summarise(&Crossing { k1, k2 }, &settings, 1);
            row(&format!("crossing {k1} {k2} {nbeta}"), exact, summary.llc, summary.llc_se.unwrap());
            println!("{:?} {:?}", now.elapsed(), summary);
        }
    }
}

/// Nobody watches, nobody stops, and no other worker has baselines.
struct Alone;

impl Surroundings for Alone {
    fn record(&self, _: usize, _: v1::Record) {}
    fn progress(&self, _: usize, _: f64) {}
    fn stopped(&self, _: usize) -> bool {
        false
    }
    fn baseline(&self, _: &str) -> Option<v1::Estimate> {
        None
    }
    fn store_baseline(&self, _: &str, _: &v1::Estimate) {}
}

/// The estimate at a teacher, through all that a worker does.
fn at_teacher(
    data: serde_json::Value,
    model: serde_json::Value,
    loss: &str,
    llc: serde_json::Value,
) -> (TaskConfig, v1::Estimate) {
    let mut table =
        json!({ "data": data, "model": model, "train": { "steps": 0, "loss": loss }, "llc": llc, "seed": 1 });
    table["model"]["init"] = json!("teacher");
    let task = resolve(&table, &[]).unwrap();
    let weights = Tensor::from_slice(&models::initial_weights(&task));
    let estimates =
        llc::estimates(&task, &Examples::of(&task), &weights, 0, Device::Cpu, &Permits::new(0), &Alone, &|| false);
    (task, estimates.into_iter().next().unwrap())
}

#[test]
fn explore_quadratic() {
    for (width, loss) in [(1, "mse"), (2, "mse"), (5, "mse"), (5, "centred_mse")] {
        let now = std::time::Instant::now();
        let (task, found) = at_teacher(
            json!({ "kind": "modular", "modulus": 3, "train_fraction": 1.0 }),
            json!({ "kind": "quadratic", "width": width }),
            loss,
            json!({ "preset": "population", "nbeta": 1e6, "chains": 32, "burn_in": 5000, "draws": 5000 }),
        );
        row(
            &format!("quadratic {width} {loss}"),
            theory::llc_exact(&task).unwrap(),
            found.llc.unwrap_or(-1.0),
            found.llc_se.unwrap_or(-1.0),
        );
        println!("{:?} {:?}", now.elapsed(), found);
    }
}

#[test]
fn explore_deep() {
    for (widths, rank, step_size, burn, draws) in [
        (json!([2, 2, 2]), 2, json!({"stable": 0.15}), 5000, 5000),
        (json!([2, 2, 2]), 0, json!(4e-5), 100_000, 50_000),
        (json!([5, 4, 5]), 0, json!(1e-5), 250_000, 30_000),
        (json!([5, 3, 5]), 1, json!(1e-5), 250_000, 30_000),
        (json!([3, 8, 4]), 2, json!(1e-5), 250_000, 30_000),
    ] {
        let now = std::time::Instant::now();
        let (task, found) = at_teacher(
            json!({ "kind": "gaussian", "samples": 100 }),
            json!({ "kind": "deep_linear", "widths": widths, "rank": rank }),
            "mse",
            json!({ "nbeta": 1e3, "localization": 1.0, "step_size": step_size, "batch_size": "full", "chains": 32, "burn_in": burn, "draws": draws }),
        );
        row(
            &format!("deep linear {widths} {rank}"),
            theory::llc_exact(&task).unwrap(),
            found.llc.unwrap_or(-1.0),
            found.llc_se.unwrap_or(-1.0),
        );
        println!("{:?} {:?}", now.elapsed(), found);
    }
}

#[test]
fn explore_step_cost() {
    for (widths, rank) in [(json!([2, 2, 2]), 0), (json!([5, 4, 5]), 0)] {
        for samples in [10, 100] {
            for chains in [1, 16, 64, 256] {
                let now = std::time::Instant::now();
                at_teacher(
                    json!({ "kind": "gaussian", "samples": samples }),
                    json!({ "kind": "deep_linear", "widths": widths, "rank": rank }),
                    "mse",
                    json!({ "nbeta": 1e3, "localization": 1.0, "step_size": 1e-6, "batch_size": "full", "chains": chains, "burn_in": 0, "draws": 1000 }),
                );
                println!("{widths} n {samples} E {chains}: {:?} a step", now.elapsed() / 1000);
            }
        }
    }
}
