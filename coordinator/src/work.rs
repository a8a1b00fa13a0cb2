//! What a task is expected to cost: floating-point operations, records, bytes. Leases are sized and progress is weighed
//! by it, and `phasegrid plan` tells it; nothing depends on its being exact.
//!
//! Symbols: n examples behind one gradient, N of the training set, p modulus, K hidden width.

use std::ops::{Add, Mul};

use phasegrid_proto::task::{Data, Model, Potential, Sampler, TaskConfig};
use phasegrid_proto::v1;
use prost::Message;

/// What every step costs besides its products, in operations: a few microseconds of a core, so that tiny models are not
/// taken to be free.
const STEP_OVERHEAD: f64 = 3e5;

/// What a task, or many, are expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations, early stops and shared baselines left out of account.
    pub flops: f64,
    /// Those of them that train; all others measure and sample.
    pub training: f64,
    /// Records.
    pub records: f64,
    /// Bytes of the records as they are stored.
    pub bytes: f64,
}

impl Cost {
    /// The cost of one task, or of the shard that it is.
    #[must_use]
    pub fn of(config: &TaskConfig) -> Self {
        let model = ModelCost::of(config);
        let examples = config.data.train_examples();
        let step = |batch: u64| STEP_OVERHEAD + 6.0 * batch as f64 * model.products;
        let records = config.record_steps();
        // Nobody would see what comes after the last record: training ends there.
        let steps = records.last().copied().unwrap_or_default();
        let training = steps as f64 * step(config.train.batch_size.resolve(examples));
        let chains = |sampler: &Sampler| sampler.steps() as f64 * step(sampler.batch_size.resolve(examples));
        let samplers = config.llc.as_ref().map_or(&[][..], |llc| &llc.samplers);
        let estimates = config.llc_steps().len() as f64;
        let records = records.len() as f64;
        Self {
            flops: training
                + records * (STEP_OVERHEAD + 2.0 * model.metric_examples * model.products)
                + estimates * samplers.iter().map(chains).sum::<f64>(),
            training,
            records,
            bytes: records * record_bytes(0) + estimates * (record_bytes(samplers.len()) - record_bytes(0)),
        }
    }

    /// The cost of all shards of a task together.
    #[must_use]
    pub fn of_all_shards(config: &TaskConfig) -> Self {
        let shards = (0..config.shards()).map(|index| Self::of(&config.clone().with_shard(index)));
        shards.fold(Self::default(), Self::add)
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops + other.flops,
            training: self.training + other.training,
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Mul<f64> for Cost {
    type Output = Self;
    fn mul(self, times: f64) -> Self {
        Self {
            flops: self.flops * times,
            training: self.training * times,
            records: self.records * times,
            bytes: self.bytes * times,
        }
    }
}

/// Whether an axis at this dotted path changes what a task costs.
#[must_use]
pub fn depends_on(path: &str) -> bool {
    let shape = |path: &str| !["data.operation", "data.label_noise", "model.init", "model.rank"].contains(&path);
    match path.split('.').next() {
        Some("data" | "model") => shape(path),
        Some("train") => ["train.batch_size", "train.steps"].contains(&path),
        Some("seed") => false,
        _ => true,
    }
}

/// What one example costs.
struct ModelCost {
    /// Multiply-adds of one forward pass. A gradient needs three products of this size: 6 operations each.
    products: f64,
    /// Examples behind the metrics of one checkpoint.
    metric_examples: f64,
}

impl ModelCost {
    fn of(config: &TaskConfig) -> Self {
        let products = match (&config.model, &config.data) {
            // One-hot pairs make the first layer a look-up: what is left is V·h, K·p.
            (Model::Quadratic { width, .. } | Model::Mlp { width, .. }, Data::Modular { modulus, .. }) => {
                f64::from(*width) * f64::from(*modulus)
            }
            // Refused before it gets here: these networks take pairs.
            (Model::Quadratic { width, .. } | Model::Mlp { width, .. }, _) => f64::from(*width),
            (Model::DeepLinear { widths, .. }, _) => {
                widths.windows(2).map(|layer| f64::from(layer[0]) * f64::from(layer[1])).sum()
            }
            (Model::Potential { shape: Potential::Curvatures(all), .. }, _) => all.len() as f64,
            (Model::Potential { shape: Potential::Powers(powers), .. }, _) => powers.len() as f64,
        };
        Self { products, metric_examples: config.data.examples() as f64 }
    }
}

/// The size of a stored record in which everything is measured, with so many estimates.
fn record_bytes(estimates: usize) -> f64 {
    let some = Some(1.0);
    let settings = v1::SamplerSettings {
        preset: "authors_code".to_owned(),
        step_size: some,
        localization: 1.0,
        nbeta: 1.0,
        chains: 3,
        burn_in: 100,
        draws: 500,
        batch_size: 128,
        method: "rmsprop_sgld".to_owned(),
        layer: 0,
        initial_loss: "whole".to_owned(),
    };
    let estimate = v1::Estimate {
        sampler: 1,
        llc: some,
        llc_se: some,
        llc_baseline_zero: some,
        llc_baseline_init: some,
        r_hat: some,
        ess: some,
        drift: some,
        below_initial: some,
        distance: some,
        initial_loss: some,
        settings: Some(settings),
        health: v1::Health::Ok.into(),
        health_reason: String::new(),
        stiffness: some,
        acceptance: None,
        sensitivity_localization: None,
        sensitivity_step_size: None,
        llc_gauss_newton: None,
    };
    let record = v1::Record {
        step: 100_000,
        train_loss: some,
        val_loss: some,
        train_loss_reported: some,
        val_loss_reported: some,
        train_accuracy: some,
        val_accuracy: some,
        weight_norm: some,
        ipr: some,
        jacobian_rank: None,
        hessian_trace: None,
        hessian_trace_se: None,
        estimates: vec![estimate; estimates],
    };
    record.encoded_len() as f64
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::task::resolve;
    use serde_json::{Value, json};

    use super::*;

    fn cost(table: &Value) -> Cost {
        Cost::of(&resolve(table, &[]).unwrap())
    }

    fn modular() -> Value {
        json!({
            "data": { "kind": "modular", "modulus": 53, "train_fraction": 0.4 },
            "model": { "kind": "quadratic", "width": 1024 },
            "train": { "learning_rate": 1e-4, "steps": 1000, "batch_size": 128 },
            "checkpoints": [0, 1000],
        })
    }

    #[test]
    fn training_costs_three_products_a_step() {
        let products = 1024.0 * 53.0;
        let expected = 1000.0 * (3e5 + 6.0 * 128.0 * products) + 2.0 * (3e5 + 2.0 * 53.0 * 53.0 * products);
        assert_eq!(cost(&modular()).flops, expected);
    }

    #[test]
    fn sampling_costs_eighteen_times_the_training_with_the_authors_settings() {
        let mut table = modular();
        table["checkpoints"] = json!({ "every": 100 });
        let training = cost(&table).flops;
        table["llc"] = json!({ "preset": "authors_code", "checkpoints": { "every": 100 } });
        let sampling = cost(&table).flops - training;
        // 11 estimates of 1800 steps each beside 1000 steps of the same batch.
        let step = 3e5 + 6.0 * 128.0 * 1024.0 * 53.0;
        assert!((sampling / (19_800.0 * step) - 1.0).abs() < 1e-12, "{sampling}");
    }

    #[test]
    fn deep_linear_network_costs_its_matrices() {
        let table = json!({
            "data": { "kind": "gaussian", "samples": 100 },
            "model": { "kind": "deep_linear", "widths": [5, 3, 4], "rank": 1, "init": "teacher" },
            "train": { "steps": 0 },
            "checkpoints": [0],
        });
        assert_eq!(cost(&table).flops, 3e5 + 2.0 * 100.0 * 27.0);
    }

    #[test]
    fn records_are_counted_at_metrics_and_estimates_alike() {
        let mut table = modular();
        table["llc"] = json!({ "preset": "authors_code", "checkpoints": [500] });
        let Cost { records, bytes, .. } = cost(&table);
        assert_eq!(records, 3.0);
        assert_eq!(bytes, 2.0 * record_bytes(0) + record_bytes(1));
    }

    #[test]
    fn cost_depends_on_what_changes_shapes_and_steps() {
        for path in ["data.modulus", "model.width", "train.steps", "checkpoints.every", "llc.draws", "data.kind"] {
            assert!(depends_on(path), "{path}");
        }
        for path in ["seed", "train.weight_decay", "train.optimizer", "data.label_noise", "model.init"] {
            assert!(!depends_on(path), "{path}");
        }
    }
}
