//! What axes mean: values, order, scales, points.

use phasegrid_proto::task::{BatchSize, Nbeta, NbetaRule, Optimizer, StepSize};
use serde_json::{Value, json};

use super::super::{PhaseRule, Scale};
use super::{spec, spec_with};

fn values(path: &str, axis: &str) -> Vec<Value> {
    spec(&format!("[task.llc]\npreset = \"authors_code\"\nbatch_size = 4\n[axes]\n{path} = {axis}"))
        .axis_values(path)
        .unwrap()
        .to_vec()
}

#[test]
fn ranges_give_the_decimal_numbers_that_people_mean() {
    let fractions = values("data.train_fraction", "{ from = 0.2, to = 0.9, points = 8 }");
    assert_eq!(json!(fractions).to_string(), "[0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9]");
    let decays = values("train.weight_decay", "{ from = 1e-6, to = 1e-2, points = 5, scale = \"log\" }");
    assert_eq!(decays, [json!(1e-6), json!(1e-5), json!(1e-4), json!(1e-3), json!(1e-2)]);
    assert_eq!(
        values("train.weight_decay", "{ from = 0, to = 0.3, step = 0.1 }"),
        [json!(0.0), json!(0.1), json!(0.2), json!(0.3)]
    );
    assert_eq!(values("train.weight_decay", "{ from = 0, to = 0.35, step = 0.1 }").len(), 4);
    assert_eq!(values("data.train_fraction", "{ from = 0.5, to = 0.9, points = 1 }"), [json!(0.5)]);
}

#[test]
fn keys_of_whole_numbers_get_whole_numbers() {
    assert_eq!(values("seed", "{ from = 7, count = 3 }"), [json!(7), json!(8), json!(9)]);
    assert_eq!(
        values("model.width", "{ from = 64, to = 1024, points = 5, scale = \"log\" }"),
        [64, 128, 256, 512, 1024].map(Value::from)
    );
    assert_eq!(values("train.steps", "{ from = 1e2, to = 3e2, step = 1e2 }"), [100, 200, 300].map(Value::from));
    assert_eq!(values("llc.chains", "{ from = 2, to = 8, points = 3 }"), [2, 5, 8].map(Value::from));
}

#[test]
fn lists_hold_words_lists_and_tables() {
    let spec = spec(
        "[task.llc]\npreset = \"authors_code\"\n[axes]\ntrain.batch_size = [\"full\", 32]\nllc.batch_size = [\"full\", 16]
llc.step_size = [1e-4, { stable = 0.1 }]\nllc.nbeta = [\"n_over_log_n\"]\ntrain.betas = [[0.9, 0.98], [0.9, 0.999]]",
    );
    assert_eq!(spec.size(), 4);
    let task = spec.task(3).unwrap();
    assert_eq!(task.train.batch_size, BatchSize::Size(32));
    assert!(matches!(task.train.optimizer, Optimizer::Adam { betas: [0.9, 0.999], .. }));
    let samplers = task.llc.unwrap().samplers;
    assert_eq!(samplers.len(), 4);
    assert_eq!((samplers[1].batch_size, samplers[1].step_size), (BatchSize::Full, StepSize::Stable { stable: 0.1 }));
    assert_eq!((samplers[2].batch_size, samplers[2].nbeta), (BatchSize::Size(16), Nbeta::Rule(NbetaRule::NOverLogN)));
    assert_eq!(spec.sampler_axes(), ["llc.batch_size", "llc.step_size", "llc.nbeta"]);
    assert_eq!(spec.sampler_coordinates()[2], [json!(16), json!(1e-4), json!("n_over_log_n")]);
}

#[test]
fn shapes_vary_slowest_and_coordinates_keep_the_order_of_the_file() {
    let spec = spec("[axes]\nseed = [5, 6]\ntrain.weight_decay = [0, 1]\nmodel.width = [8, 16]");
    assert_eq!(spec.axes(), ["train.weight_decay", "model.width", "seed"]);
    let all: Vec<_> = (0..spec.size()).map(|point| json!(spec.coordinates(point)).to_string()).collect();
    let expected =
        ["[0.0,8,5]", "[0.0,8,6]", "[1.0,8,5]", "[1.0,8,6]", "[0.0,16,5]", "[0.0,16,6]", "[1.0,16,5]", "[1.0,16,6]"];
    assert_eq!(all, expected);
    assert_eq!(spec.task(6).unwrap().seed, 5);
    assert_eq!(spec.task(8).unwrap_err().to_string(), "point 8 lies beyond the sweep's 8 points");
}

#[test]
fn a_diagram_is_not_spanned_by_axes_that_advance_together() {
    let zipped = "[[zip]]\ndata.modulus = [23, 29]\nmodel.width = [8, 16]\n";
    let alone = spec(zipped);
    assert_eq!((alone.diagram().x.as_deref(), alone.diagram().y.as_deref()), (Some("data.modulus"), None));
    let beside = spec(&format!("{zipped}[axes]\n\"train.weight_decay\" = [0.1, 1.0]\n"));
    let drawn = [beside.diagram().x.as_deref(), beside.diagram().y.as_deref()];
    assert!(drawn.contains(&Some("train.weight_decay")), "{drawn:?}");
    assert!(drawn.contains(&Some("data.modulus")) || drawn.contains(&Some("model.width")), "{drawn:?}");
}

#[test]
fn zipped_axes_advance_together() {
    let spec = spec("[[zip]]\ndata.modulus = [23, 29]\nmodel.width = [8, 16]\n[axes]\nseed = { from = 0, count = 2 }");
    assert_eq!((spec.size(), spec.axes()), (4, &["data.modulus", "model.width", "seed"].map(str::to_owned)[..]));
    assert_eq!(spec.coordinates(2), [json!(29), json!(16), json!(0)]);
}

#[test]
fn scales_follow_the_values() {
    let spec = spec(
        "[axes]\ntrain.weight_decay = [0, 0.1, 0.5]\ntrain.learning_rate = [1e-3, 1e-2, 1e-1]\nmodel.width = [8, 16, 24]
model.init = [\"normal\", \"zero\"]\ndata.train_fraction = { from = 0.5, to = 0.9, points = 3 }
train.stop = [{ val_accuracy = 0.9, checkpoints = 1 }]\nseed = { from = 0, count = 2 }",
    );
    let scale = |path| spec.axis_scale(path);
    assert_eq!(scale("train.weight_decay"), Scale::Categories);
    assert_eq!(scale("train.learning_rate"), Scale::Log);
    assert_eq!([scale("model.width"), scale("data.train_fraction"), scale("seed")], [Scale::Linear; 3]);
    assert_eq!([scale("model.init"), scale("train.stop"), scale("none")], [Scale::Categories; 3]);
}

#[test]
fn diagram_takes_the_first_two_axes_that_are_not_the_seed() {
    let axes = "[task.llc]\npreset = \"authors_code\"\nbatch_size = 4\n[axes]\nseed = [1, 2]\nmodel.width = [8, 16]\nllc.localization = [1, 5]\n";
    let diagram = |lines: &str| spec(&format!("{axes}{lines}")).diagram().clone();
    let spanned = |lines: &str| (diagram(lines).x.unwrap_or_default(), diagram(lines).y.unwrap_or_default());
    assert_eq!(spanned(""), ("model.width".to_owned(), "llc.localization".to_owned()));
    assert_eq!(spanned("[diagram]\ny = \"model.width\""), ("llc.localization".to_owned(), "model.width".to_owned()));
    assert_eq!(spanned("[diagram]\nx = \"seed\""), ("seed".to_owned(), "model.width".to_owned()));
    let PhaseRule::Liu2022(thresholds) = diagram("[diagram]\nphases = { rule = \"liu_2022\", delay = 500 }").phases
    else {
        panic!("another rule")
    };
    assert_eq!((thresholds.accuracy, thresholds.within, thresholds.delay), (0.9, 100_000, 500));
}

#[test]
fn overrides_reach_every_part_of_the_file() {
    let lines = "[axes]\ndata.train_fraction = { from = 0.5, to = 0.9, points = 5 }\nseed = { from = 0, count = 3 }";
    let spec = spec_with(
        lines,
        &[
            "name=other",
            "task.train.steps=7",
            "axes.seed.count=1",
            "axes.data.train_fraction.points=2",
            "axes.model.width=[4, 8]",
            "diagram.x=model.width",
        ],
    );
    assert_eq!((spec.name(), spec.size()), ("other", 4));
    assert_eq!(spec.task(0).unwrap().train.steps, 7);
    assert_eq!(spec.axes(), ["data.train_fraction", "model.width", "seed"]);
    assert_eq!(spec.diagram().x.as_deref(), Some("model.width"));
}

#[test]
fn sweep_of_a_hundred_million_points_is_arithmetic() {
    let spec =
        spec("[axes]\nseed = { from = 0, count = 10_000_000 }\ntrain.weight_decay = { from = 0, to = 1, points = 10 }");
    assert_eq!(spec.size(), 100_000_000);
    let point = 98_765_432;
    assert_eq!(spec.coordinates(point), [json!(1.0), json!(8_765_432)]);
    assert_eq!(spec.task(point).unwrap().seed, 8_765_432);
    assert_eq!(spec.axis_values("seed"), None);
    // All points cost the same, and one of them is looked at.
    assert_eq!(spec.total_cost().flops, spec.work(0) * 1e8);
}

#[test]
fn total_cost_is_the_sum_over_all_points() {
    let spec = spec("[axes]\nmodel.width = [8, 16, 40]\ntrain.weight_decay = [0, 1]\ntrain.steps = [0, 50]");
    let sum: f64 = (0..spec.size()).map(|point| spec.work(point)).sum();
    assert!((spec.total_cost().flops / sum - 1.0).abs() < 1e-12);
}

#[test]
fn task_without_estimates_has_no_sampler() {
    assert!(spec("").sampler_coordinates().is_empty());
    assert_eq!(
        spec("[task.llc]\npreset = \"authors_code\"\nbatch_size = 4").sampler_coordinates(),
        [Vec::<Value>::new()]
    );
}
