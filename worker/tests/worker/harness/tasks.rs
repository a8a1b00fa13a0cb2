//! Tiny tasks to be leased.

use phasegrid_proto::task::{Baseline, BatchSize, InitialLoss, Llc, Method, Nbeta, Sampler, StepSize, TaskConfig};
use phasegrid_proto::v1::{LeaseResponse, LeasedRange, Task};

/// A few steps of a small quadratic network, with records at steps 0, 10 and 20.
pub(crate) fn quick(seed: u64) -> String {
    quadratic(20, "[0, 10, 20]", seed)
}

/// A training that does not end during a test, with a record at step 0 until then.
pub(crate) fn endless(seed: u64) -> String {
    quadratic(1_000_000_000, "[0, 1000000000]", seed)
}

/// No training, and an estimate at the initial weights beside that at zero weights.
pub(crate) fn estimated(seed: u64) -> TaskConfig {
    let mut task = TaskConfig::from_json(&quadratic(0, "[0]", seed)).expect("a task that makes sense");
    let sampler = Sampler {
        preset: None,
        method: Method::Sgld,
        step_size: StepSize::Fixed(1e-4),
        localization: 5.0,
        nbeta: Nbeta::Fixed(10.0),
        chains: 1,
        burn_in: 1,
        draws: 8,
        batch_size: BatchSize::Full,
        layer: None,
        initial_loss: InitialLoss::Whole,
        sensitivity: false,
    };
    task.llc = Some(Llc { samplers: vec![sampler], baselines: vec![Baseline::Zero], checkpoints: None, shard: None });
    task
}

fn quadratic(steps: u64, checkpoints: &str, seed: u64) -> String {
    let json = format!(
        r#"{{
            "data": {{"kind": "modular", "operation": "add", "modulus": 5, "train_fraction": 0.5, "label_noise": 0.0}},
            "model": {{"kind": "quadratic", "width": 4, "init": "torch_linear"}},
            "train": {{"optimizer": "sgd", "learning_rate": 0.001, "weight_decay": 0.0, "momentum": 0.0,
                       "batch_size": "full", "steps": {steps}, "loss": "mse"}},
            "checkpoints": {checkpoints},
            "seed": {seed}
        }}"#
    );
    TaskConfig::from_json(&json).expect("a task that makes sense").to_json()
}

/// A lease of these tasks, the first at `point`.
pub(crate) fn lease(token: &str, point: u64, configs: impl IntoIterator<Item = String>) -> LeaseResponse {
    let tasks = (point..).zip(configs).map(|(point, config)| Task { point, attempt: 1, config }).collect();
    let lease = LeasedRange { token: token.to_owned(), sweep_id: "sweep".to_owned(), tasks };
    LeaseResponse { lease: Some(lease), drain: false }
}
