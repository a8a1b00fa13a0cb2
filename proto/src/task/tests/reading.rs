//! How a `[task]` table is read, and what is said of a bad one.

use serde_json::{Value, json};

use super::super::{
    Baseline, BatchSize, Init, KEYS, Nbeta, NbetaRule, Override, Preset, SELECTORS, StepSize, TaskConfig, key, resolve,
};
use super::table;

/// What `resolve` says of [`table`] with one value put in.
fn refusals(path: &str, value: Value) -> Vec<String> {
    let mut table = table();
    Override { path: path.to_owned(), value }.apply(&mut table);
    resolve(&table, &[]).map_or_else(|problems| problems.iter().map(ToString::to_string).collect(), |_| vec![])
}

#[test]
fn preset_fills_what_the_table_leaves_out() {
    let config = resolve(&table(), &[]).unwrap();
    let sampler = &config.llc.unwrap().samplers[0];
    assert_eq!(sampler.preset, Some(Preset::AuthorsCode));
    assert_eq!(sampler.step_size, StepSize::Fixed(5e-4));
    assert_eq!(sampler.nbeta, Nbeta::Rule(NbetaRule::BatchOverLogBatch));
    assert_eq!(sampler.batch_size, BatchSize::Size(16));
}

#[test]
fn sampler_overrides_share_one_training() {
    let row = |gamma: f64| vec![Override { path: "llc.localization".to_owned(), value: json!(gamma) }];
    let config = resolve(&table(), &[row(1.0), row(100.0)]).unwrap();
    let localizations: Vec<_> = config.llc.unwrap().samplers.iter().map(|sampler| sampler.localization).collect();
    assert_eq!(localizations, [1.0, 100.0]);
}

#[test]
fn all_problems_are_told_at_once() {
    let mut table = table();
    table["data"]["modulus"] = json!("many");
    table["model"]["wdth"] = json!(5);
    table["train"]["steps"] = json!(-1);
    table["llc"]["chains"] = json!(0);
    let problems = resolve(&table, &[]).unwrap_err();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "task.data.modulus: \"many\" is not accepted; accepted: a whole number from 2 to 4096",
            "task.model.wdth: unknown key, did you mean width?; accepted: kind, width, widths, activation, \
             rank, curvatures, powers, init",
            "task.train.steps: -1 is not accepted; accepted: a whole number from 0 to 1000000000",
            "task.llc.chains: 0 is not accepted; accepted: a whole number from 1 to 4096",
        ]
    );
}

#[test]
fn refusal_names_what_is_accepted() {
    let cases = [
        (
            "data.kind",
            json!("modulr"),
            "task.data.kind: \"modulr\" is not accepted; accepted: \"modular\", \"gaussian\" or \"origin\"",
        ),
        ("data.samples", json!(5), "task.data.samples: does not belong to data.kind = \"modular\"; leave it out"),
        (
            "data.train_fraction",
            json!(0.01),
            "task.data.train_fraction: 0.01 of 7² pairs leaves no training example; accepted: a larger share",
        ),
        ("model.rank", json!(1), "task.model.rank: does not belong to model.kind = \"quadratic\"; leave it out"),
        (
            "train.momentum",
            json!(0.5),
            "task.train.momentum: does not belong to train.optimizer = \"adam\"; leave it out",
        ),
        (
            "train.batch_size",
            json!(25),
            "task.train.batch_size: 25 is not accepted; accepted: \"full\", or a number from 1 to the 24 training examples",
        ),
        (
            "train.batch_size",
            json!("all"),
            "task.train.batch_size: \"all\" is not accepted; accepted: \"full\" or a number of examples",
        ),
        (
            "train.stop",
            json!({ "val_accuracy": 0.99 }),
            "task.train.stop.checkpoints: is missing; an early stop needs it",
        ),
        (
            "train.stop",
            json!(3),
            "task.train.stop: 3 is not accepted; accepted: a table with val_accuracy and checkpoints",
        ),
        (
            "checkpoints",
            json!({ "often": 3 }),
            "task.checkpoints: {\"often\":3} is not accepted; accepted: { every = STEPS }, { log = POINTS } or a list of steps",
        ),
        (
            "checkpoints",
            json!([0, 101]),
            "task.checkpoints: step 101 lies beyond the end; accepted: 0 to train.steps = 100",
        ),
        (
            "llc.nbeta",
            json!(-1),
            "task.llc.nbeta: -1.0 is not accepted; accepted: a number above 0, \"n_over_log_n\" or \"batch_over_log_batch\"",
        ),
        (
            "llc.method",
            json!("mala"),
            "task.llc.batch_size: method = \"mala\" accepts or rejects by the loss itself; accepted with it: \"full\"",
        ),
        (
            "llc.method",
            json!("hmc"),
            "task.llc.method: \"hmc\" is not accepted; accepted: \"sgld\", \"rmsprop_sgld\" or \"mala\"",
        ),
        ("llc.layer", json!(3), "task.llc.layer: 3 is not a layer of this model; accepted: \"all\" or 1 to 2"),
        ("llc.shards", json!(0), "task.llc.shards: 0 is not accepted; accepted: a whole number from 1 to 1000"),
        (
            "llc.shards",
            json!(100),
            "task.llc.shards: a task estimates at 40 checkpoints, each by one shard; accepted: up to 40",
        ),
        (
            "model.activation",
            json!("tanh"),
            "task.model.activation: does not belong to model.kind = \"quadratic\"; leave it out",
        ),
        (
            "geometry",
            json!({ "trace_probes": -1 }),
            "task.geometry.trace_probes: -1 is not accepted; accepted: a whole number from 0 to 100000",
        ),
        (
            "llc.batch_size",
            json!(1),
            "task.llc.nbeta: \"batch_over_log_batch\" has no value for a single example; accepted with it: a number above 0",
        ),
        (
            "model.init",
            json!("teacher"),
            "task.llc.baselines: the weights of model.init = \"teacher\" are no baseline, they know all; accepted with it: none",
        ),
        (
            "llc.step_size",
            json!({ "stable": 0.1 }),
            "task.llc.baselines: at zero weights the loss of this model is flat to second order, and no step size follows \
             from llc.step_size.stable; accepted with it: baselines at other weights, or a number for llc.step_size",
        ),
        (
            "llc",
            json!({ "preset": "lau_2023", "burn_in": 1, "draws": 1, "batch_size": 2, "step_size": 1e-3 }),
            "task.llc.localization: is missing; its preset leaves it to you, and the sampler needs it",
        ),
    ];
    for (path, value, told) in cases {
        assert_eq!(refusals(path, value), [told]);
    }
}

#[test]
fn a_potential_takes_what_has_a_meaning_at_its_minimum_and_nothing_else() {
    let table = |path: &str, value: Value| {
        let mut table = json!({
            "data": { "kind": "origin" },
            "model": { "kind": "potential", "curvatures": [1, 0.5] },
            "train": { "steps": 0 },
            "llc": { "preset": "population", "nbeta": 100 },
        });
        Override { path: path.to_owned(), value }.apply(&mut table);
        resolve(&table, &[])
    };
    let config = table("seed", json!(1)).unwrap();
    assert_eq!(config.model.init(), Init::Teacher, "what else should it be");
    assert_eq!(config.data.train_examples(), 1);
    assert_eq!(TaskConfig::from_json(&config.to_json()), Ok(config));
    assert!(table("model", json!({ "kind": "potential", "powers": [2, 0] })).is_ok());
    let cases = [
        ("data.samples", json!(5), "task.data.samples: does not belong to data.kind = \"origin\"; leave it out"),
        (
            "data",
            json!({ "kind": "gaussian", "samples": 5 }),
            "task.model.kind: a potential takes no inputs; accepted with it: data.kind = \"origin\"",
        ),
        (
            "model.powers",
            json!([1, 1]),
            "task.model.curvatures: does not belong to a potential with `powers`; leave it out",
        ),
        ("model.width", json!(5), "task.model.width: does not belong to model.kind = \"potential\"; leave it out"),
        (
            "model",
            json!({ "kind": "potential" }),
            "task.model.curvatures: is missing; a potential without `powers` needs it",
        ),
        (
            "model.curvatures",
            json!([1, 0]),
            "task.model.curvatures: [1.0,0.0] is not accepted; accepted: a list of 1 to 4096 numbers above 0",
        ),
        (
            "model",
            json!({ "kind": "potential", "powers": [0, 0] }),
            "task.model.powers: [0,0] is not accepted; accepted: a list of two whole numbers from 0 to 8, not both 0",
        ),
        (
            "model",
            json!({ "kind": "potential", "powers": [1, 1, 1] }),
            "task.model.powers: [1,1,1] is not accepted; accepted: a list of two whole numbers from 0 to 8, not both 0",
        ),
        (
            "model.init",
            json!("normal"),
            "task.model.init: a potential starts at its minimum; accepted with it: \"teacher\" or \"zero\", which are the same",
        ),
        (
            "train",
            json!({ "steps": 10, "learning_rate": 0.1 }),
            "task.train.steps: a potential starts at its minimum, where nothing is left to train; accepted with it: 0",
        ),
        (
            "llc.nbeta",
            json!("n_over_log_n"),
            "task.llc.nbeta: \"n_over_log_n\" has no value for a single example; accepted with it: a number above 0",
        ),
        (
            "llc.baselines",
            json!(["zero"]),
            "task.llc.baselines: a potential has no weights that know nothing; accepted with it: none",
        ),
        (
            "model",
            json!({ "kind": "quadratic", "width": 3 }),
            "task.model.kind: a quadratic network takes pairs; accepted with it: data.kind = \"modular\"",
        ),
    ];
    for (path, value, told) in cases {
        let problems = table(path, value).unwrap_err();
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
    }
    let problems = table("train.loss", json!("centred_mse")).unwrap_err();
    assert!(problems.iter().all(|problem| problem.message.contains("a single residual is its own mean")));
}

#[test]
fn too_few_vectors_cannot_be_whitened() {
    let table = |samples: u64, whiten: bool| {
        json!({
            "data": { "kind": "gaussian", "samples": samples, "whiten": whiten },
            "model": { "kind": "deep_linear", "widths": [5, 3, 2], "rank": 1 },
            "train": { "steps": 0 },
        })
    };
    assert!(resolve(&table(4, false), &[]).is_ok() && resolve(&table(5, true), &[]).is_ok());
    let problems = resolve(&table(4, true), &[]).unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["task.data.samples: 4 vectors of 5 numbers cannot be whitened; accepted: 5 or more"]
    );
}

#[test]
fn shards_divide_the_work_of_a_task_among_them() {
    let mut table = table();
    table["checkpoints"] = json!({ "every": 7 });
    table["llc"]["checkpoints"] = json!({ "every": 10 });
    table["geometry"] = json!({ "trace_probes": 10, "checkpoints": [3, 10] });
    let whole = resolve(&table, &[]).unwrap();
    table["llc"]["shards"] = json!(4);
    let split = resolve(&table, &[]).unwrap();
    assert_eq!((whole.shards(), split.shards()), (1, 4));
    let shards: Vec<_> = (0..4).map(|index| split.clone().with_shard(index)).collect();
    let gathered = |steps: fn(&TaskConfig) -> Vec<u64>| {
        let mut all: Vec<_> = shards.iter().flat_map(steps).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(gathered(TaskConfig::llc_steps), whole.llc_steps());
    assert_eq!(gathered(TaskConfig::record_steps), whole.record_steps());
    assert_eq!(shards[1].record_steps(), [10, 50, 90]);
    assert!(shards.iter().all(|shard| shard.baseline(Baseline::Zero, 0) == whole.baseline(Baseline::Zero, 0)));
}

#[test]
fn centred_batch_of_one_is_refused() {
    let mut table = table();
    table["train"]["batch_size"] = json!(1);
    table["llc"]["batch_size"] = json!(1);
    table["llc"]["nbeta"] = json!(10);
    assert!(resolve(&table, &[]).is_ok(), "the plain loss has no mean to lose");
    table["train"]["loss"] = json!("centred_mse");
    let told: Vec<_> = resolve(&table, &[]).unwrap_err().iter().map(ToString::to_string).collect();
    let refused = |key: &str| {
        format!(
            "task.{key}.batch_size: 1 with the loss \"centred_mse\" leaves nothing: a single residual is its own mean; \
             accepted: 2 or more, or \"mse\""
        )
    };
    assert_eq!(told, [refused("train"), refused("llc")]);
    // All of a single example is a batch of one too.
    table["data"]["train_fraction"] = json!(0.03);
    (table["train"]["batch_size"], table["llc"]["batch_size"]) = (json!("full"), json!("full"));
    let told: Vec<_> = resolve(&table, &[]).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(told, [refused("train"), refused("llc")]);
}

#[test]
fn missing_table_is_told_by_its_name() {
    let problems = resolve(&json!({}), &[]).unwrap_err();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let missing = |table: &str| format!("task.{table}: is missing; every task needs it");
    assert_eq!(told, [missing("data"), missing("model"), missing("train")]);
}

#[test]
fn schema_holds_every_selector_and_no_key_twice() {
    assert!(SELECTORS.iter().all(|path| key(path).is_some()));
    for (i, key) in KEYS.iter().enumerate() {
        assert!(KEYS[..i].iter().all(|other| other.path != key.path), "{} is there twice", key.path);
    }
}
