//! What is said of bad sweep files, word for word: an error is read by its author.

use proptest::prelude::*;

use super::super::Spec;
use super::BASE;
use crate::fuzzing;

/// What is said of [`BASE`] with `from` replaced by `to`.
fn refusal(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    told(&BASE.replacen(from, to, 1), &[])
}

/// What is said of [`BASE`] with these lines after it, the first of which is line 17.
fn refusal_of(lines: &str) -> String {
    told(&format!("{BASE}\n{lines}"), &[])
}

fn told(source: &str, overrides: &[&str]) -> String {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Spec::parse(source, &overrides).map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
}

#[test]
fn bad_keys_and_values_of_the_task() {
    let cases = [
        (
            "width = 16",
            "width = 16\nwdth = 3",
            "line 11: task.model.wdth: unknown key, did you mean width?; accepted: kind, width, widths, activation, rank, curvatures, powers, init",
        ),
        (
            "width = 16",
            "width = \"wide\"",
            "line 10: task.model.width: \"wide\" is not accepted; accepted: a whole number from 1 to 1048576",
        ),
        (
            "width = 16",
            "width = 16\nwidths = [5, 3]",
            "line 11: task.model.widths: does not belong to model.kind = \"quadratic\"; leave it out",
        ),
        ("modulus = 23\n", "", "line 3: task.data.modulus: is missing; data.kind = \"modular\" needs it"),
        (
            "modulus = 23",
            "modulus = 18446744073709551615",
            "line 5: task.data.modulus: \"18446744073709551615\" is not accepted; accepted: a finite number; a whole one of up to 63 bits",
        ),
        (
            "modulus = 23",
            "modulus = 1",
            "line 5: task.data.modulus: 1 is not accepted; accepted: a whole number from 2 to 4096",
        ),
        (
            "kind = \"quadratic\"\nwidth = 16",
            "kind = \"deep_linear\"\nwidths = [5, 3, 5]\nrank = 1",
            "line 9: task.model.kind: a deep linear network takes vectors; accepted with it: data.kind = \"gaussian\"",
        ),
        (
            "learning_rate = 1e-2\n",
            "",
            "line 12: task.train.learning_rate: is missing; a training of more than 0 steps needs it",
        ),
        (
            "learning_rate = 1e-2",
            "learning_rate = nan",
            "line 13: task.train.learning_rate: \"nan\" is not accepted; accepted: a finite number; a whole one of up to 63 bits",
        ),
        ("name = \"base\"\n", "", "name: is missing; accepted: 1 to 100 characters in one line"),
        (
            "name = \"base\"",
            "name = \"base\"\nnmae = 3",
            "line 2: nmae: unknown key, did you mean name?; accepted: name, task, axes, zip, diagram, resources",
        ),
        ("width = 16", "width = wide", "line 10: string values must be quoted, expected literal string"),
    ];
    for (from, to, expected) in cases {
        assert_eq!(refusal(from, to), expected, "{to}");
    }
    assert_eq!(told("name = \"empty\"", &[]), "task: is missing; every sweep needs it");
}

#[test]
fn bad_axes() {
    let grammar = "accepted: a list, { from, to, points }, { from, to, points, scale = \"log\" }, { from, to, step } or { from, count }";
    let cases = [
        ("seed = []", format!("line 18: axes.seed: an axis without values; {grammar}")),
        ("seed = 3", format!("line 18: axes.seed: 3 is not accepted; {grammar}")),
        ("seed = { from = 0, to = 3 }", format!("line 18: axes.seed: from, to make no axis; {grammar}")),
        ("seed = { from = 0, cuont = 3 }", "line 18: axes.seed.cuont: unknown key, did you mean count?; accepted: from, to, points, step, count, scale".to_owned()),
        ("seed = { from = 0, count = 0 }", "line 18: axes.seed.count: 0 is not accepted; accepted: a whole number, 1 or more".to_owned()),
        ("seed = { count = 3 }", "line 18: axes.seed.from: is missing; accepted: a number".to_owned()),
        ("model.wdth = [1, 2]", "line 18: axes.model.wdth: unknown key, did you mean model.width?; accepted: model.kind, model.width, model.widths, model.activation, model.rank, model.curvatures, model.powers, model.init".to_owned()),
        ("\"llc.checkpoints\" = [[1], [2]]", "line 18: axes.llc.checkpoints: is the same for all samplers of a task; accepted as an axis: other keys of llc".to_owned()),
        ("model.width = [\n  8,\n  8,\n]", "line 20: axes.model.width[1]: 8 is there twice; accepted: each value once".to_owned()),
        ("train.weight_decay = [1, 1.0]", "line 18: axes.train.weight_decay[1]: 1.0 is there twice; accepted: each value once".to_owned()),
        ("model.width = [8, 8.5]", "line 18: axes.model.width[1]: 8.5 is not accepted; accepted: a whole number from 1 to 1048576".to_owned()),
        ("model.width = { from = 10, to = 15, points = 3 }", "line 18: axes.model.width: 12.5 is not accepted; accepted: a whole number from 1 to 1048576".to_owned()),
        ("train.weight_decay = { from = 0, to = 1, points = 3, scale = \"log\" }", "line 18: axes.train.weight_decay.from: 0.0 is not accepted; accepted: with scale = \"log\" a number above 0".to_owned()),
        ("train.weight_decay = { from = 1, to = 0, points = 3 }", "line 18: axes.train.weight_decay.to: 0.0 is not accepted; accepted: a number above from = 1".to_owned()),
        ("model.init = { from = 1, count = 3 }", "line 18: axes.model.init: a range gives numbers; accepted: a list, each of its values \"torch_linear\", \"normal\", \"teacher\" or \"zero\"".to_owned()),
        ("\"model.width\" = [8, 16]\nmodel.width = [32]", "line 19: axes.model.width: is an axis already; accepted: each key once in all of [axes] and [[zip]]".to_owned()),
        ("seed = [1, 2]\n[[zip]]\nseed = [3, 4]", "line 20: zip[0].seed: is an axis already; accepted: each key once in all of [axes] and [[zip]]".to_owned()),
        ("\"checkpoints\" = [[1], [2]]\n\"checkpoints.every\" = [3, 4]", "line 19: axes.checkpoints.every: sets the same as the axis checkpoints; accepted: one of the two".to_owned()),
        ("[[zip]]\nmodel.width = [8, 16]\ndata.modulus = [23, 29, 31]", "line 18: zip[0]: model.width has 2, data.modulus has 3 values; accepted: axes of equal length, which advance together".to_owned()),
        ("seed = { from = 0, count = 10_000_000_000 }\ntrain.weight_decay = { from = 0, to = 1, points = 10_000_000_000 }\ntrain.learning_rate = { from = 0, to = 1, points = 10_000_000_000 }", "line 17: axes: the axes make about 1e30 points; accepted: up to 1000000000000".to_owned()),
    ];
    for (lines, expected) in cases {
        assert_eq!(refusal_of(&format!("[axes]\n{lines}")), expected, "{lines}");
    }
}

#[test]
fn an_axis_that_lists_too_many_values_is_refused_with_its_length() {
    let values = vec!["1"; 1_000_001].join(",");
    let expected = "line 18: axes.seed: a list of 1000001 values; accepted: up to 1000000, or a range of any length";
    assert_eq!(refusal_of(&format!("[axes]\nseed = [{values}]")), expected);
}

#[test]
fn bad_axes_of_samplers() {
    let cases = [
        (
            "[axes]\nllc.localization = { from = 1, to = 2, points = 5000 }",
            "line 20: axes: the llc. axes make too many samplers of each task; accepted: up to 4096",
        ),
        (
            "[[zip]]\nllc.localization = [1, 5]\nseed = [0, 1]",
            "line 20: zip[0]: a task carries all values of llc. axes; accepted: these zipped with one another only",
        ),
        (
            "[axes]\nllc.preset = [\"paper_text\", \"lau_2023\"]",
            "line 17: task.llc.step_size: is missing; its preset leaves it to you, and the sampler needs it (at llc.preset = \"lau_2023\")
line 17: task.llc.localization: is missing; its preset leaves it to you, and the sampler needs it (at llc.preset = \"lau_2023\")
line 17: task.llc.burn_in: is missing; its preset leaves it to you, and the sampler needs it (at llc.preset = \"lau_2023\")
line 17: task.llc.draws: is missing; its preset leaves it to you, and the sampler needs it (at llc.preset = \"lau_2023\")",
        ),
        (
            "[axes]\nllc.nbeta = [10, \"batch_over_log_batch\"]\nllc.batch_size = [64, 1]",
            "line 21: axes.llc.nbeta[1]: \"batch_over_log_batch\" has no value for a single example; accepted with it: a number above 0 (at llc.batch_size = 1)",
        ),
        (
            "[axes]\nllc.batch_size = [16, 200]\ndata.train_fraction = [0.5, 0.3]",
            "line 21: axes.llc.batch_size[1]: 200 is not accepted; accepted: \"full\", or a number from 1 to the 158 training examples (at data.train_fraction = 0.3)",
        ),
    ];
    for (lines, expected) in cases {
        let llc = "[task.llc]\npreset = \"authors_code\"\nbatch_size = 64";
        assert_eq!(refusal_of(&format!("{llc}\n{lines}")), expected, "{lines}");
    }
}

#[test]
fn contradictory_combinations() {
    let cases = [
        // 0.1 of 23² pairs are 52 examples, 0.2 are 105.
        (
            "data.train_fraction = { from = 0.1, to = 0.9, points = 9 }",
            "line 15: task.train.batch_size: 64 is not accepted; accepted: \"full\", or a number from 1 to the 52 training examples (at data.train_fraction = 0.1)",
        ),
        (
            "data.train_fraction = [0.9, 0.1, 0.05]",
            "line 15: task.train.batch_size: 64 is not accepted; accepted: \"full\", or a number from 1 to the 52 training examples (at data.train_fraction = 0.1; also at 1 other value)",
        ),
        (
            "data.modulus = [0, 23, 1]",
            "line 18: axes.data.modulus[0]: 0 is not accepted; accepted: a whole number from 2 to 4096 (also 1 other value)",
        ),
        (
            "data.modulus = [23, 1]",
            "line 18: axes.data.modulus[1]: 1 is not accepted; accepted: a whole number from 2 to 4096",
        ),
        (
            "data.train_fraction = [0.5, 0.3]\ntrain.batch_size = [64, 200]",
            "line 19: axes.train.batch_size[1]: 200 is not accepted; accepted: \"full\", or a number from 1 to the 158 training examples (at data.train_fraction = 0.3)",
        ),
        (
            "model.kind = [\"quadratic\", \"deep_linear\"]",
            "line 8: task.model.widths: is missing; model.kind = \"deep_linear\" needs it (at model.kind = \"deep_linear\")\nline 8: task.model.rank: is missing; model.kind = \"deep_linear\" needs it (at model.kind = \"deep_linear\")\nline 10: task.model.width: does not belong to model.kind = \"deep_linear\"; leave it out (at model.kind = \"deep_linear\")",
        ),
        (
            "train.optimizer = [\"adam\", \"sgd\"]\ntrain.betas = [[0.9, 0.98]]",
            "line 19: axes.train.betas[0]: does not belong to train.optimizer = \"sgd\"; leave it out (at train.optimizer = \"sgd\")",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(refusal_of(&format!("[axes]\n{lines}")), expected, "{lines}");
    }
}

#[test]
fn axis_of_more_values_than_can_be_listed_spans_no_diagram() {
    let axis = "[axes]\nseed = { from = 0, count = 1_000_001 }\n[diagram]\ny = \"seed\"";
    assert_eq!(refusal_of(axis), "line 20: diagram.y: seed has 1000001 values; accepted: an axis of up to 1000000");
    let lines = "[axes]\ntrain.weight_decay = { from = 0, to = 1, points = 1_000_001 }\nmodel.width = [8, 16]";
    let spec = Spec::parse(&format!("{BASE}\n{lines}"), &[]).unwrap();
    assert_eq!((spec.diagram().x.as_deref(), spec.diagram().y.as_deref()), (Some("model.width"), None));
}

#[test]
fn bad_diagrams() {
    let cases = [
        (
            "x = \"model.width\"",
            "line 20: diagram.x: \"model.width\" is not accepted; accepted: an axis of this sweep: train.weight_decay",
        ),
        (
            "x = \"train.weight_decay\"\ny = \"train.weight_decay\"",
            "line 21: diagram.y: is the axis of x already; accepted: another axis",
        ),
        ("z = 1", "line 20: diagram.z: unknown key; accepted: x, y, phases"),
        (
            "phases = \"liu\"",
            "line 20: diagram.phases: \"liu\" is not accepted; accepted: \"liu_2022\", \"cullen_2026\", or a table with one of them as rule and thresholds of one's own",
        ),
        (
            "phases = { accuracy = 0.9 }",
            "line 20: diagram.phases.rule: is missing; accepted: \"liu_2022\", \"cullen_2026\", or a table with one of them as rule and thresholds of one's own",
        ),
        (
            "phases = { rule = \"liu_2022\", acuracy = 0.9, delay = 0.5 }",
            "line 20: diagram.phases.acuracy: unknown key, did you mean accuracy?; accepted: rule, accuracy, within, delay\nline 20: diagram.phases.delay: 0.5 is not accepted; accepted: a whole number of steps",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(
            refusal_of(&format!("[axes]\ntrain.weight_decay = [0, 1]\n[diagram]\n{lines}")),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn bad_overrides() {
    let cases = [
        (
            "task.model.width=wide",
            "override: task.model.width: \"wide\" is not accepted; accepted: a whole number from 1 to 1048576",
        ),
        (
            "task.modl.width=3",
            "override: task.modl: unknown key, did you mean model?; accepted: data, model, train, checkpoints, llc, geometry, seed",
        ),
        (
            "train.steps=3",
            "override: train.steps: unknown key, did you mean task.train.steps?; accepted: name, task.KEY, axes.KEY, zip, diagram.KEY and resources.KEY",
        ),
        (
            "task.train.steps",
            "override: task.train.steps: is no override; accepted: PATH=VALUE, such as task.train.steps=100",
        ),
        (
            "task.train.steps=[1",
            "override: task.train.steps: \"[1\" is not accepted; accepted: a value as in a sweep file; words with other signs in them need quotes",
        ),
        (
            "name=two words",
            "override: name: \"two words\" is not accepted; accepted: a value as in a sweep file; words with other signs in them need quotes",
        ),
        (
            "axes.seed.count=none",
            "override: axes.seed.count: \"none\" is not accepted; accepted: a whole number, 1 or more",
        ),
        ("task.seed=3", "override: task.seed: an axis sets it; accepted: axes.seed=[VALUE]"),
    ];
    let source = format!("{BASE}\n[axes]\nseed = {{ from = 0, count = 3 }}");
    for (text, expected) in cases {
        assert_eq!(told(&source, &[text]), expected, "{text}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let source = BASE.replace("modulus = 23", "modulus = 1").replace("steps = 100", "stpes = 100");
    let source = format!("{source}\n[axes]\nmodel.width = []\nseed = {{ from = 0, count = 0 }}");
    let lines: Vec<_> = told(&source, &["task.train.loss=hinge"])
        .lines()
        .map(|line| line.split(": ").nth(1).unwrap().to_owned())
        .collect();
    let expected = [
        "task.data.modulus",
        "task.train.steps",
        "task.train.stpes",
        "axes.model.width",
        "axes.seed.count",
        "task.train.loss",
    ];
    assert_eq!(lines, expected);
}

/// A sweep file with one of everything.
const RICH: &str = r#"name = "rich"
task.data = { kind = "modular", modulus = 23, train_fraction = 0.5 }
task.model = { kind = "quadratic", width = 16 }
task.train = { learning_rate = 1e-2, steps = 100, batch_size = "full", stop = { val_accuracy = 0.9, checkpoints = 2 } }
task.checkpoints = [0, 100]
task.llc = { preset = "population", step_size = 1e-6, baselines = ["zero"] }
axes.seed = { from = 0, count = 3 }
axes.train.weight_decay = { from = 1e-6, to = 1, points = 4, scale = "log" }
axes.llc.localization = { from = 1, to = 2, step = 0.5 }
diagram = { x = "seed", phases = { rule = "liu_2022", delay = 500 } }
[[zip]]
model.width = [8, 16]
"model.init" = ["zero", "normal"]
"#;

#[test]
fn one_of_everything_is_accepted() {
    assert_eq!(told(RICH, &[]), "nothing");
}

proptest! {
    #[test]
    fn no_text_brings_the_parser_down(
        (from, length) in (0..RICH.len(), 0_usize..12),
        patch in "[-0-9a-z.=\"{}, \\[\\]\n]{0,6}",
        overrides in proptest::collection::vec("(name|zip|axes|task|diagram)[.a-z=0-9]{0,12}[={\\[0-9a-z]{0,6}", 0..3),
    ) {
        let source = format!("{}{patch}{}", &RICH[..from], &RICH[(from + length).min(RICH.len())..]);
        fuzzing::sweep_file(format!("{source}\n--set\n{}", overrides.join("\n")).as_bytes());
    }
}
