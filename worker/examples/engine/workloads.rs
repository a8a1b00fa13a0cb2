//! What both sides are given to do.

use phasegrid_proto::task::{self, TaskConfig};
use serde_json::{Value, json};
use tch::Device;

/// Tasks, some of which the peer takes too.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) tasks: Vec<TaskConfig>,
    /// The tasks are groups of so many that cost the same; the peer takes the first of each, and is extrapolated.
    pub(crate) alike: usize,
    /// Threads of either side.
    pub(crate) threads: usize,
    /// Whether the share of the peak is of interest: sampling alone.
    pub(crate) sampling: bool,
}

pub(crate) fn all(device: Device) -> Vec<Workload> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // An accelerator is driven by one thread.
    let mut threads = if device == Device::Cpu { vec![1, cores] } else { vec![1] };
    threads.dedup();
    let mut workloads: Vec<_> = threads.iter().flat_map(|threads| [cell(*threads), diagram(*threads)]).collect();
    for (modulus, width) in [(53, 128), (53, 1024), (97, 512)] {
        for batch_size in [json!("full"), json!(128)] {
            workloads.push(sampling(modulus, width, batch_size));
        }
    }
    workloads
}

/// The paper's cell: 100 steps of training and an estimate with the authors' sampler, twice.
fn cell(threads: usize) -> Workload {
    let task = json!({
        "data": { "kind": "modular", "modulus": 53, "train_fraction": 0.4 },
        "model": { "kind": "quadratic", "width": 1024 },
        "train": {
            "optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 1e-5, "batch_size": 128, "steps": 200,
            "loss": "centred_mse",
        },
        "checkpoints": [100, 200],
        "llc": { "preset": "authors_code" },
    });
    Workload { name: format!("cell_x{threads}"), tasks: vec![resolve(&task)], alike: 1, threads, sampling: false }
}

/// A phase diagram: moduli, widths and batch sizes, and for each of them two seeds and two weight decays.
fn diagram(threads: usize) -> Workload {
    let mut tasks = Vec::new();
    for modulus in [97, 53, 31] {
        for width in [256, 128, 64] {
            for batch_size in [json!("full"), json!(128)] {
                for (seed, weight_decay) in [(0, 0.1), (0, 1.0), (1, 0.1), (1, 1.0)] {
                    tasks.push(resolve(&json!({
                        "data": { "kind": "modular", "modulus": modulus, "train_fraction": 0.4 },
                        "model": { "kind": "quadratic", "width": width },
                        "train": {
                            "optimizer": "adamw", "learning_rate": 1e-3, "betas": [0.9, 0.98],
                            "weight_decay": weight_decay, "batch_size": batch_size, "steps": 50, "loss": "mse",
                        },
                        "checkpoints": [50],
                        "llc": sampler(&batch_size, 2, 50),
                        "seed": seed,
                    })));
                }
            }
        }
    }
    Workload { name: format!("diagram_x{threads}"), tasks, alike: 4, threads, sampling: false }
}

/// Chains at initial weights, and nothing else.
fn sampling(modulus: u32, width: u32, batch_size: Value) -> Workload {
    let n = batch_size.as_u64().unwrap_or(u64::from(modulus).pow(2) * 2 / 5);
    // Some seconds for the peer, and long against what an estimate does once: L(w*) in double precision, the record.
    let draws = 200 + (1 << 31) / (n * u64::from(width * modulus) + (1 << 22));
    let name = format!("sampling_{modulus}_{width}_{}", batch_size.as_u64().map_or("full".into(), |n| n.to_string()));
    let task = json!({
        "data": { "kind": "modular", "modulus": modulus, "train_fraction": 0.4 },
        "model": { "kind": "quadratic", "width": width },
        "train": { "optimizer": "adam", "learning_rate": 1e-4, "batch_size": batch_size, "steps": 0, "loss": "centred_mse" },
        "checkpoints": [0],
        "llc": sampler(&batch_size, 1, draws),
    });
    Workload { name, tasks: vec![resolve(&task)], alike: 1, threads: 1, sampling: true }
}

fn sampler(batch_size: &Value, chains: u32, draws: u64) -> Value {
    json!({
        "step_size": 5e-4, "localization": 5.0, "nbeta": 30.0, "chains": chains, "burn_in": 20, "draws": draws,
        "batch_size": batch_size,
    })
}

fn resolve(table: &Value) -> TaskConfig {
    task::resolve(table, &[]).unwrap_or_else(|problems| panic!("a valid task: {problems:?}"))
}
