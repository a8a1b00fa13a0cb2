//! Ranks, traces and predictions against known values.

use phasegrid_proto::task::{Activation, Data, Geometry, Init, Model as Config, TaskConfig, Train, resolve};
use phasegrid_proto::theory;
use serde_json::json;

use super::*;
use crate::data::{Examples, Inputs, Set, Targets};
use crate::llc;
use crate::models::tests::{gaussian_task, modular_task};
use crate::models::{self, Layer, Model};
use crate::objective::Hessian;
use crate::permits::Permits;
use crate::random::Normals;
use crate::surroundings::Alone;

fn normals(size: i64, index: u64) -> Tensor {
    let mut values = vec![0f64; size as usize];
    Normals::derive(1, "test", &[index]).fill_f64(&mut values);
    Tensor::from_slice(&values)
}

/// What `look` sees of a task at its initial weights.
fn at<R>(task: &TaskConfig, look: impl FnOnce(&Point) -> R) -> R {
    let weights = Tensor::from_slice(&models::initial_weights(task));
    let examples = Examples::of(task);
    let subject = Subject { number: 0, task, examples: &examples, weights: &weights, step: 0 };
    tch::no_grad(|| look(&Point::new(&subject, Device::Cpu, &|| false)))
}

fn rank_of(task: &TaskConfig, layer: Option<u32>) -> u64 {
    at(task, |point| jacobian::rank(&jacobian::dense(point).unwrap().curvatures(layer)))
}

fn teacher(p: u32, width: u32, train_fraction: f64, loss: Loss) -> TaskConfig {
    let mut task = modular_task(p, width, 1);
    task.model = task.model.with_init(Init::Teacher);
    let Data::Modular { train_fraction: fraction, .. } = &mut task.data else { panic!("modular") };
    *fraction = train_fraction;
    TaskConfig { train: Train { loss, ..task.train.clone() }, ..task }
}

#[test]
fn ranks_on_one_hot_pairs_are_those_of_the_closed_forms() {
    for loss in [Loss::Mse, Loss::CentredMse] {
        for (p, width, fraction) in
            [(3, 1, 1.0), (3, 2, 1.0), (3, 5, 1.0), (5, 3, 1.0), (5, 12, 1.0), (5, 12, 0.6), (7, 4, 1.0), (7, 12, 0.5)]
        {
            let task = teacher(p, width, fraction, loss);
            let (modulus, k, n) = (u64::from(p), u64::from(width), task.data.train_examples());
            let centred = loss == Loss::CentredMse;
            let case = format!("p {p}, K {width}, N {n}, {loss:?}");
            let expected = 2.0 * theory::one_hot_teacher(modulus, k, n, centred);
            assert_eq!(rank_of(&task, None) as f64, expected, "{case}");
            assert_eq!(rank_of(&task, Some(2)) as f64, 2.0 * theory::one_hot_lazy(modulus, k, n, centred), "{case}");
        }
    }
}

#[test]
fn smooth_activations_have_one_symmetry_a_neuron_on_one_hot_pairs() {
    // Shifting weights from one residue to the other; scales are no symmetry of tanh and gelu. The outputs cap the rank.
    for activation in [Activation::Tanh, Activation::Gelu] {
        for (p, width) in [(3, 1), (3, 2), (5, 4), (3, 5)] {
            let mut task = teacher(p, width, 1.0, Loss::Mse);
            task.model = Config::Mlp { width, activation, init: Init::Teacher };
            let (p, width) = (u64::from(p), u64::from(width));
            assert_eq!(rank_of(&task, None), (width * (3 * p - 1)).min(p.pow(3)), "{activation:?}, p {p}, K {width}");
        }
    }
}

#[test]
fn weights_in_single_precision_do_not_raise_the_rank() {
    // At layers of rank r the image of J has the dimension r(H¹ + H³) − r², that of matrices of rank r.
    let mut task = gaussian_task(&[5, 3, 5], 1, 30);
    task.model = task.model.with_init(Init::Teacher);
    assert_eq!(rank_of(&task, None), 9);
}

/// f(x) = V·(Wᵀx)² for vectors x: the paper's network on generic inputs. Flat weights are W (d×K) and Vᵀ (K×p).
struct Generic {
    d: i64,
    p: i64,
    width: i64,
}

impl Generic {
    fn matrices(&self, flat: &Tensor) -> [Tensor; 2] {
        let (first, second) = (self.d * self.width, self.width * self.p);
        let w = flat.narrow(1, 0, first).view([-1, self.d, self.width]);
        [w, flat.narrow(1, first, second).view([-1, self.width, self.p])]
    }
}

impl Model for Generic {
    fn dimension(&self) -> i64 {
        self.width * (self.d + self.p)
    }
    fn outputs(&self) -> i64 {
        self.p
    }
    fn layers(&self) -> Vec<Layer> {
        Vec::new()
    }
    fn inputs(&self, sets: &[&Set], kind: Kind, device: Device) -> Vec<Tensor> {
        let vectors = |set: &&Set| match &set.inputs {
            Inputs::Vectors { values, .. } => Tensor::from_slice(values).view([-1, self.d]),
            other => panic!("vectors, not {other:?}"),
        };
        let stacked: Vec<_> = sets.iter().map(vectors).collect();
        vec![Tensor::stack(&stacked, 0).to_device(device).to_kind(kind)]
    }
    fn forward(&self, weights: &Tensor, inputs: &[Tensor], saved: &mut Vec<Tensor>) -> Tensor {
        let [w, vt] = self.matrices(weights);
        *saved = vec![inputs[0].bmm(&w)];
        saved[0].square().bmm(&vt)
    }
    fn backward(
        &self,
        weights: &Tensor,
        inputs: &[Tensor],
        saved: &mut Vec<Tensor>,
        u: &Tensor,
        gradient: &mut Tensor,
    ) {
        let [_, vt] = self.matrices(weights);
        let [mut dw, mut dvt] = self.matrices(gradient);
        let z = &saved[0];
        dvt.copy_(&z.square().mt().bmm(u));
        dw.copy_(&inputs[0].mt().bmm(&(u.bmm(&vt.mt()) * z * 2.0)));
    }
}

#[test]
fn ranks_on_generic_inputs_are_the_known_ones_defective_cases_included() {
    let known = [
        ((4, 3, 4), 24),
        ((4, 3, 6), 30),
        ((2, 4, 2), 10),
        ((6, 5, 10), 100),
        ((3, 1, 2), 5),
        ((4, 3, 5), 29),
        ((6, 3, 8), 62),
    ];
    for ((d, p, width), rank) in known {
        let model = Generic { d, p, width };
        // Products of pairs of inputs are what the outputs are linear in: d(d+1)/2 of them, and more examples.
        let values: Vec<f32> = Vec::try_from(normals(3 * d * d * d, 0).to_kind(Kind::Float)).unwrap();
        let inputs = Inputs::Vectors { dimension: d as usize, values };
        let count = 3 * d * d * p;
        let train = Set { inputs, targets: Targets::Values { of: p as usize, values: vec![0.0; count as usize] } };
        let examples = Examples { validation: train.clone(), train };
        let weights = normals(model.dimension(), 1);
        let task = gaussian_task(&[d as u32, p as u32], 0, 3 * d as u64 * d as u64);
        let subject = Subject { number: 0, task: &task, examples: &examples, weights: &weights, step: 0 };
        let objective = SquaredError::new(Box::new(model), Loss::Mse, &[&examples.train], Kind::Double, Device::Cpu);
        let point = Point { subject: &subject, objective, weights: weights.unsqueeze(0), stopped: &|| false };
        assert_eq!(jacobian::rank(&jacobian::dense(&point).unwrap().curvatures(None)), rank, "d {d}, p {p}, K {width}");
    }
}

#[test]
fn the_estimated_trace_is_that_of_the_hessian_within_its_error() {
    let mut task = modular_task(5, 4, 2);
    task.model = task.model.with_init(Init::Normal);
    at(&task, |point| {
        let d = point.weights.numel() as i64;
        let units = Tensor::eye(d, (Kind::Double, Device::Cpu));
        let mut hessian = Hessian::new(&point.objective, &point.weights);
        let exact: f64 = (0..d).map(|i| hessian.times(&units.get(i).unsqueeze(0)).double_value(&[0, i])).sum();
        // The same from losses alone: second differences, with an error of order δ² and rounding of 1e-15/δ².
        let mut ignored = point.weights.zeros_like();
        let mut loss = |weights: &Tensor| {
            crate::objective::Objective::loss_and_gradient(&point.objective, weights, None, &mut ignored)
                .double_value(&[0])
        };
        let delta = 1e-4;
        let here = loss(&point.weights);
        let second = |i| {
            let step: Tensor = units.get(i).unsqueeze(0) * delta;
            (loss(&(&point.weights + &step)) + loss(&(&point.weights - &step)) - 2.0 * here) / (delta * delta)
        };
        let by_losses: f64 = (0..d).map(second).sum();
        assert!((exact / by_losses - 1.0).abs() < 1e-4, "{exact} {by_losses}");

        let found = trace::estimate(point, 200).unwrap();
        let (value, error) = (found.value.unwrap(), found.standard_error.unwrap());
        assert!((value - exact).abs() < 3.0 * error, "{value} ± {error}, {exact}");
        assert!(error < 0.2 * exact);
        assert_eq!(trace::estimate(point, 1).unwrap().standard_error, None);
    });
}

fn settings(nbeta: f64, step_size: f64, lengths: [u32; 2], layer: u32) -> v1::SamplerSettings {
    v1::SamplerSettings {
        method: "sgld".to_owned(),
        step_size: Some(step_size),
        localization: 5.0,
        nbeta,
        burn_in: lengths[0],
        draws: lengths[1],
        layer,
        ..v1::SamplerSettings::default()
    }
}

fn estimates(settings: &[v1::SamplerSettings]) -> Vec<v1::Estimate> {
    let estimate =
        |settings: &v1::SamplerSettings| v1::Estimate { settings: Some(settings.clone()), ..Default::default() };
    settings.iter().map(estimate).collect()
}

fn predicted(
    point: &Point,
    jacobian: Option<&jacobian::Jacobian>,
    settings: &[v1::SamplerSettings],
) -> Vec<Option<f64>> {
    let mut estimates = estimates(settings);
    gauss_newton::predict(point, jacobian, &mut estimates);
    estimates.iter().map(|estimate| estimate.llc_gauss_newton).collect()
}

#[test]
fn a_model_that_is_linear_in_its_weights_has_the_prediction_of_its_inputs_covariance() {
    let task = gaussian_task(&[4, 3], 2, 40);
    at(&task, |point| {
        let Inputs::Vectors { values, .. } = &point.subject.examples.train.inputs else { panic!("vectors") };
        let x = Tensor::from_slice(values).to_kind(Kind::Double).view([-1, 4]);
        let covariance: Vec<f64> = Vec::try_from((x.tr().mm(&x) / 40.0).linalg_eigvalsh("L")).unwrap();
        let settings = settings(30.0, 1e-3, [50, 100], 0);
        // Each output has the inputs' covariance as its curvature.
        let exact: f64 = covariance.iter().map(|h| 3.0 * theory::llc_of_curvature(*h, &settings).unwrap()).sum();
        let dense = jacobian::dense(point).unwrap();
        let found = predicted(point, Some(&dense), std::slice::from_ref(&settings))[0].unwrap();
        assert!((found / exact - 1.0).abs() < 1e-12, "{found} {exact}"); // rounding
        let probed = predicted(point, None, &[settings])[0].unwrap();
        // Twice the standard error at which probing ends.
        assert!((probed / exact - 1.0).abs() < 0.02, "{probed} {exact}");
    });
}

#[test]
fn a_quadratic_potential_is_its_own_prediction() {
    let table = json!({
        "data": { "kind": "origin" },
        "model": { "kind": "potential", "curvatures": [0.01, 0.3, 2.0, 2.0, 5.0] },
        "train": { "steps": 0 },
    });
    let task = resolve(&table, &[]).unwrap();
    at(&task, |point| {
        let dense = jacobian::dense(point).unwrap();
        assert_eq!(jacobian::rank(&dense.curvatures(None)), 5);
        let settings = settings(30.0, 1e-2, [20, 100], 0);
        let exact = theory::llc_finite(&task, &settings).unwrap();
        // Rounding; and that of differences of outputs, where products are probed. A diagonal matrix leaves probes no chance.
        for (jacobian, tolerance) in [(Some(&dense), 1e-12), (None, 1e-8)] {
            let found = predicted(point, jacobian, std::slice::from_ref(&settings))[0].unwrap();
            assert!((found / exact - 1.0).abs() < tolerance, "{found} {exact}");
        }
    });
}

#[test]
fn probed_predictions_are_the_exact_ones_for_every_sampler_and_layer() {
    let mut task = modular_task(11, 24, 3);
    task.train.loss = Loss::CentredMse;
    at(&task, |point| {
        let dense = jacobian::dense(point).unwrap();
        let mut samplers = Vec::new();
        for layer in [0, 1, 2] {
            samplers.push(settings(26.0, 5e-4, [100, 500], layer));
            samplers.push(settings(1e3, 1e-3, [1000, 1000], layer));
            samplers.push(v1::SamplerSettings { method: "mala".to_owned(), ..settings(1e5, 1e-3, [0, 10], layer) });
            samplers
                .push(v1::SamplerSettings { method: "rmsprop_sgld".to_owned(), ..settings(1.0, 0.1, [0, 10], layer) });
        }
        let exact = predicted(point, Some(&dense), &samplers);
        let probed = predicted(point, None, &samplers);
        for ((exact, probed), settings) in exact.iter().zip(&probed).zip(&samplers) {
            match (exact, probed) {
                // Three times the standard error at which probing ends.
                (Some(exact), Some(probed)) => {
                    assert!((probed / exact - 1.0).abs() < 0.03, "{probed} {exact}, {settings:?}")
                }
                found => assert_eq!((found, settings.method.as_str()), ((&None, &None), "rmsprop_sgld")),
            }
        }
    });
}

#[test]
fn at_a_teacher_the_prediction_is_what_the_sampler_finds() {
    let table = json!({
        "data": { "kind": "modular", "modulus": 3, "train_fraction": 1.0 },
        "model": { "kind": "quadratic", "width": 1, "init": "teacher" },
        "train": { "steps": 0, "loss": "mse" },
        "llc": { "preset": "population", "nbeta": 1e6, "step_size": { "stable": 0.4 }, "chains": 16,
            "burn_in": 4000, "draws": 4000 },
        "geometry": { "gauss_newton": true, "jacobian_rank": true, "trace_probes": 10 },
        "seed": 9,
    });
    let task = resolve(&table, &[]).unwrap();
    let weights = Tensor::from_slice(&models::initial_weights(&task));
    let examples = Examples::of(&task);
    let subject = Subject { number: 0, task: &task, examples: &examples, weights: &weights, step: 0 };
    let estimates = llc::estimates(&[subject], Device::Cpu, &Permits::new(0), &Alone).remove(0);
    let mut record = v1::Record { estimates, ..v1::Record::default() };
    measure(&subject, Device::Cpu, &mut record, &|| false);
    let found = &record.estimates[0];
    let (llc, error, predicted) = (found.llc.unwrap(), found.llc_se.unwrap(), found.llc_gauss_newton.unwrap());
    assert!((llc - predicted).abs() < 3.0 * error, "{llc} ± {error}, {predicted}");
    // Discretisation adds to ½·rank, and shows.
    assert!(predicted > 3.5 + 3.0 * error, "{predicted}");
    assert_eq!(record.jacobian_rank, Some(7));
    assert!(record.hessian_trace.unwrap() > 0.0 && record.hessian_trace_se.is_some());
}

#[test]
fn nothing_is_measured_that_was_not_asked_for() {
    let mut task = modular_task(5, 3, 0);
    let weights = Tensor::from_slice(&models::initial_weights(&task));
    let measured = |task: &TaskConfig, stopped: bool| {
        let examples = Examples::of(task);
        let subject = Subject { number: 0, task, examples: &examples, weights: &weights, step: 4 };
        let mut record =
            v1::Record { estimates: estimates(&[settings(26.0, 5e-4, [10, 10], 0)]), ..Default::default() };
        measure(&subject, Device::Cpu, &mut record, &|| stopped);
        let llc = record.estimates[0].llc_gauss_newton;
        (record.jacobian_rank, llc.is_some(), record.hessian_trace)
    };
    assert_eq!(measured(&task, false), (None, false, None));
    let nothing = Geometry { jacobian_rank: false, gauss_newton: false, trace_probes: 0, checkpoints: None };
    task.geometry = Some(nothing.clone());
    assert_eq!(measured(&task, false), (None, false, None));
    task.geometry = Some(Geometry { gauss_newton: true, ..nothing.clone() });
    assert_eq!(measured(&task, false), (None, true, None));
    task.geometry = Some(Geometry { trace_probes: 3, jacobian_rank: true, ..nothing });
    let all = measured(&task, false);
    assert!(all.0.is_some() && !all.1 && all.2.is_some());
    assert_eq!(all, measured(&task, false), "the task's seed and the step decide the probes");
    assert_eq!(measured(&task, true), (None, false, None));
}

/// `cargo test --release -p phasegrid-worker geometry -- --ignored --nocapture` prints what a checkpoint of the paper's
/// cell costs.
#[test]
#[ignore = "takes a minute"]
fn the_papers_cell_can_be_measured() {
    let mut task = modular_task(53, 1024, 0);
    task.train.loss = Loss::CentredMse;
    task.geometry = Some(Geometry { jacobian_rank: false, gauss_newton: true, trace_probes: 100, checkpoints: None });
    assert!(matches!(task.model, Config::Quadratic { .. }));
    tch::set_num_threads(1);
    let weights = Tensor::from_slice(&models::initial_weights(&task));
    let examples = Examples::of(&task);
    let subject = Subject { number: 0, task: &task, examples: &examples, weights: &weights, step: 0 };
    let mut record =
        v1::Record { estimates: estimates(&[settings(26.381, 5e-4, [100, 500], 0)]), ..Default::default() };
    let start = std::time::Instant::now();
    measure(&subject, Device::Cpu, &mut record, &|| false);
    println!("trace {:?} ± {:?}", record.hessian_trace, record.hessian_trace_se);
    println!("predicted LLC {:?} in {:?} altogether", record.estimates[0].llc_gauss_newton, start.elapsed());
    assert!(record.estimates[0].llc_gauss_newton.is_some());
}

/// The same for the largest Jacobian that is written out.
#[test]
#[ignore = "takes a minute"]
fn the_largest_jacobian_can_be_measured() {
    let mut task = modular_task(31, 176, 0);
    let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
    *train_fraction = 132.5 / 961.0;
    let size = JacobianSize::of(&task.model, &task.data);
    assert!(size.is_dense() && (size.outputs, size.weights) == (4092, 16_368));
    tch::set_num_threads(1);
    let start = std::time::Instant::now();
    let rank = rank_of(&task, None);
    println!("rank {rank} in {:?}", start.elapsed());
    assert_eq!(rank as f64, 2.0 * theory::one_hot_teacher(31, 176, 132, false));
}
