//! The resolved file gives the same sweep, and the sweep files that are shipped are good ones.

use proptest::prelude::*;

use super::super::Spec;
use super::{spec, spec_with};

fn again(spec: &Spec) -> Spec {
    Spec::parse(spec.resolved_source(), &[]).unwrap_or_else(|error| panic!("{error}\n{}", spec.resolved_source()))
}

/// Lines that make a sweep of [`super::BASE`], several of each kind.
fn lines() -> impl Strategy<Value = String> {
    let pick = |choices: &'static [&'static str]| proptest::sample::select(choices);
    let checkpoints = pick(&["", "[task]\ncheckpoints = [0]\nseed = 4", "[task.checkpoints]\nevery = 10"]);
    let llc = pick(&[
        "",
        "[task.llc]\npreset = \"authors_code\"\nbatch_size = 16\nbaselines = [\"zero\"]",
        "[task.llc]\npreset = \"population\"\ncheckpoints = { log = 3 }\nshards = 1",
        "[task.llc]\nlocalization = 5\nchains = 2\nburn_in = 10\ndraws = 20\nbatch_size = \"full\"\n[axes]\nllc.preset = [\"population\", \"lau_2023\"]\nllc.step_size = [1e-4, { stable = 0.2 }]",
        "[axes]\nllc.preset = [\"population\", \"paper_text\"]\n\"llc.batch_size\" = [16, \"full\"]",
    ]);
    let axes = pick(&[
        "",
        "\"train.weight_decay\" = { from = 1e-7, to = 1e-2, points = 4, scale = \"log\" }\nseed = { from = 0, count = 2 }",
        "train.optimizer = [\"adam\", \"sgd\", \"adamw\"]\nmodel.width = { from = 4, to = 10, step = 3 }",
        "train.steps = [0, 100]\ntrain.stop.val_accuracy = [0.9, 0.99]\ntrain.stop.checkpoints = [2]",
        "checkpoints.every = [10, 20]\ntrain.loss = [\"mse\", \"centred_mse\"]",
    ]);
    let zip = pick(&["", "[[zip]]\ndata.modulus = [23, 29, 31]\ndata.label_noise = [0, 0.1, 0.2]"]);
    let diagram =
        pick(&["", "[diagram]\nphases = { rule = \"cullen_2026\", gap = 0.2 }", "[diagram]\nphases = \"liu_2022\""]);
    (checkpoints, llc, axes, zip, diagram).prop_map(|(checkpoints, llc, axes, zip, diagram)| {
        let header = if llc.contains("[axes]") { "" } else { "[axes]" };
        [checkpoints, llc, header, axes, zip, diagram].join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn resolved_source_gives_an_equal_sweep(lines in lines()) {
        let spec = spec(&lines);
        let again = again(&spec);
        prop_assert_eq!(&again, &spec);
        prop_assert_eq!(again.resolved_source(), spec.resolved_source());
        prop_assert_eq!(again.axes(), spec.axes());
        prop_assert_eq!(again.sampler_coordinates(), spec.sampler_coordinates());
        for point in 0..spec.size() {
            prop_assert_eq!(again.task(point).unwrap().to_json(), spec.task(point).unwrap().to_json());
        }
    }
}

#[test]
fn resolved_source_is_a_file_that_one_may_read() {
    let lines = "[task.llc]\npreset = \"authors_code\"\nstep_size = 1e-7\nbatch_size = 16
[axes]\ndata.train_fraction = { from = 0.5, to = 0.9, points = 5 }\nseed = { from = 0, count = 3 }";
    let spec = spec_with(lines, &["axes.seed.count=1", "task.train.stop={ val_accuracy = 0.99, checkpoints = 3 }"]);
    let expected_tail = r#"
[task.data]
kind = "modular"
modulus = 23
train_fraction = 0.5
operation = "add"
label_noise = 0.0

[task.model]
kind = "quadratic"
width = 16
init = "torch_linear"

[task.train]
learning_rate = 0.01
steps = 100
batch_size = 64
stop = { val_accuracy = 0.99, checkpoints = 3 }
optimizer = "adam"
weight_decay = 0.0
betas = [0.9, 0.999]
loss = "mse"

[task.llc]
preset = "authors_code"
step_size = 1e-7
batch_size = 16
method = "sgld"
localization = 5.0
nbeta = "batch_over_log_batch"
chains = 3
burn_in = 100
draws = 500
initial_loss = "whole"
sensitivity = false
baselines = []
shards = 1

[task.checkpoints]
log = 60

[axes]
"data.train_fraction" = { from = 0.5, to = 0.9, points = 5 }
seed = { from = 0, count = 1 }

[diagram]
x = "data.train_fraction"
phases = { rule = "liu_2022", accuracy = 0.9, within = 100000, delay = 1000 }
"#;
    assert_eq!(spec.resolved_source(), format!("name = \"base\"\n{expected_tail}"));
}

#[test]
fn shipped_sweeps_parse() {
    let sweeps = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps");
    let files = |folder: &str| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files(sweeps).chain(files(&format!("{sweeps}/known-answers"))).collect();
    assert!(files.len() > 6, "{files:?}");
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        let source = std::fs::read_to_string(file).unwrap();
        let spec = Spec::parse(&source, &[]).unwrap_or_else(|error| panic!("{}:\n{error}", file.display()));
        assert_eq!(again(&spec), spec, "{}", file.display());
    }
}
