//! The canonical form and the names that hang on it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{BASELINE_SEED, Baseline, TaskConfig, resolve};
use super::{configs, table, train};

proptest! {
    #[test]
    fn canonical_json_round_trips(config in configs()) {
        let back: TaskConfig = serde_json::from_str(&config.to_json()).unwrap();
        prop_assert_eq!(&back, &config);
        prop_assert_eq!(back.to_json(), config.to_json());
        prop_assert_eq!(back.digest(), config.digest());
    }

    #[test]
    fn digest_changes_when_any_field_does(config in configs()) {
        let canonical: Value = serde_json::from_str(&config.to_json()).unwrap();
        let mut leaves = Vec::new();
        collect_leaves(&canonical, "", &mut leaves);
        for leaf in leaves {
            let mut other = canonical.clone();
            let place = other.pointer_mut(&leaf).unwrap();
            *place = changed(place);
            let Ok(other) = serde_json::from_value::<TaskConfig>(other) else { continue };
            prop_assert_ne!(other.digest(), config.digest(), "{} was changed", leaf);
        }
    }

    #[test]
    fn different_tasks_have_different_digests(a in configs(), b in configs()) {
        prop_assert_eq!(a.digest() == b.digest(), a == b);
    }

    #[test]
    fn baseline_is_independent_of_seed_and_training(config in configs(), mut other in train(), seed in any::<u64>()) {
        other.loss = config.train.loss;
        let sibling = TaskConfig { train: other, seed, ..config.clone() };
        for baseline in [Baseline::Zero, Baseline::Init] {
            prop_assert_eq!(config.baseline(baseline, 0), sibling.baseline(baseline, 0));
        }
    }
}

#[test]
fn baseline_trains_nothing_and_has_the_one_sampler_without_its_preset() {
    let config = resolve(&table(), &[]).unwrap();
    let baseline = config.baseline(Baseline::Zero, 0).unwrap();
    assert_eq!(baseline.llc_steps(), [0]);
    assert_eq!(baseline.train.steps, 0);
    assert_eq!(baseline.seed, BASELINE_SEED);
    let llc = baseline.llc.as_ref().unwrap();
    assert_eq!((llc.samplers.len(), llc.samplers[0].preset), (1, None));
    assert!(baseline.check().is_empty());
    assert_eq!(config.baseline(Baseline::Zero, 1), None);
}

#[test]
fn every_key_of_the_table_reaches_the_digest() {
    let base = resolve(&table(), &[]).unwrap().digest();
    let changes = [
        ("/data/operation", json!("subtract")),
        ("/data/modulus", json!(11)),
        ("/data/train_fraction", json!(0.6)),
        ("/data/label_noise", json!(0.1)),
        ("/model/width", json!(5)),
        ("/model/init", json!("normal")),
        ("/train/optimizer", json!("sgd")),
        ("/train/learning_rate", json!(0.1)),
        ("/train/weight_decay", json!(1)),
        ("/train/betas", json!([0.9, 0.98])),
        ("/train/batch_size", json!(4)),
        ("/train/steps", json!(50)),
        ("/train/loss", json!("centred_mse")),
        ("/train/stop", json!({ "val_accuracy": 0.99, "checkpoints": 3 })),
        ("/checkpoints", json!([1, 2])),
        ("/llc/step_size", json!(1e-3)),
        ("/llc/localization", json!(1)),
        ("/llc/nbeta", json!("n_over_log_n")),
        ("/llc/chains", json!(4)),
        ("/llc/burn_in", json!(0)),
        ("/llc/draws", json!(1)),
        ("/llc/batch_size", json!("full")),
        ("/llc/baselines", json!([])),
        ("/llc/checkpoints", json!({ "log": 5 })),
        ("/seed", json!(1)),
    ];
    for (path, value) in changes {
        let mut table = table();
        let (parent, key) = path.rsplit_once('/').unwrap();
        table.pointer_mut(parent).unwrap()[key] = value;
        assert_ne!(resolve(&table, &[]).unwrap().digest(), base, "{path} was changed");
    }
}

#[test]
fn a_key_that_is_not_known_is_refused_wherever_it_stands() {
    let pairs = {
        let mut table = table();
        table["llc"]["shards"] = json!(2);
        table["train"]["stop"] = json!({ "val_accuracy": 0.99, "checkpoints": 3 });
        table["geometry"] = json!({ "trace_probes": 3 });
        table
    };
    let mut mlp = pairs.clone();
    mlp["model"]["kind"] = json!("mlp");
    mlp["train"]["optimizer"] = json!("sgd");
    let vectors = json!({
        "data": { "kind": "gaussian", "samples": 5 },
        "model": { "kind": "deep_linear", "widths": [3, 2], "rank": 1 },
        "train": { "learning_rate": 0.1, "steps": 1, "optimizer": "adamw" },
    });
    let origin = json!({
        "data": { "kind": "origin" }, "model": { "kind": "potential", "powers": [1, 1] }, "train": { "steps": 0 },
    });
    let mut refused = Vec::new();
    for table in [pairs, mlp, vectors, origin] {
        let canonical: Value = serde_json::from_str(&resolve(&table, &[]).unwrap().to_json()).unwrap();
        let places =
            ["", "/data", "/model", "/train", "/train/stop", "/llc", "/llc/shard", "/llc/samplers/0", "/geometry"];
        for place in places {
            let mut other = canonical.clone();
            // Serde lets a table without keys of its own hold anything; there is but one.
            let Some(found) = other.pointer_mut(place).filter(|found| **found != json!({ "kind": "origin" })) else {
                continue;
            };
            found["of_tomorrow"] = json!(1);
            let problems = TaskConfig::from_json(&other.to_string()).unwrap_err();
            assert!(problems[0].message.contains("of_tomorrow"), "{place}: {problems:?}");
            refused.push(place);
        }
    }
    assert_eq!(refused.len(), 2 * 9 + 4 + 3);
}

/// JSON pointers of everything that is no table and no list.
fn collect_leaves(value: &Value, path: &str, leaves: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            table.iter().for_each(|(key, value)| collect_leaves(value, &format!("{path}/{key}"), leaves));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| collect_leaves(value, &format!("{path}/{i}"), leaves));
        }
        _ => leaves.push(path.to_owned()),
    }
}

/// Another value that the same key may well take.
fn changed(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => json!(whole ^ 1),
            None => number.as_f64().map_or(Value::Null, |real| json!(if real == 0.5 { 0.25 } else { 0.5 })),
        },
        Value::String(word) => {
            let words = [
                &["add", "subtract", "multiply", "sum_of_squares"][..],
                &["torch_linear", "normal", "teacher"],
                &["zero", "init"],
                &["mse", "centred_mse"],
                &["authors_code", "paper_text", "lau_2023", "population"],
                &["n_over_log_n", "batch_over_log_batch"],
            ];
            let class = words.iter().find(|class| class.contains(&word.as_str()));
            let other = class.and_then(|class| class.iter().find(|other| *other != word));
            other.map_or(json!(7), |other| json!(other))
        }
        _ => Value::Null,
    }
}
