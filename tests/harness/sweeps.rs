//! Sweep files for tests: small enough that a task takes milliseconds, with every kind of column in their tables.

/// A quadratic network of width 16 on addition modulo 11: two train fractions, two weight decays, and `seeds` seeds of
/// `steps` steps each. Records at every eighth of the steps, the LLC with both baselines at the first and the last, the
/// geometry at the last.
///
/// 4 · `seeds` points with 9 records each.
#[must_use]
pub fn quadratic(steps: u64, seeds: u64) -> String {
    let every = steps / 8;
    format!(
        r#"name = "quadratic"

[task.data]
kind = "modular"
modulus = 11
train_fraction = 0.5

[task.model]
kind = "quadratic"
width = 16

[task.train]
optimizer = "adamw"
learning_rate = 1e-2
batch_size = "full"
steps = {steps}

[task.checkpoints]
every = {every}

[task.llc]
step_size = 1e-3
localization = 5.0
nbeta = 20.0
chains = 2
burn_in = 10
draws = 40
batch_size = "full"
baselines = ["zero", "init"]
checkpoints = [0, {steps}]

[task.geometry]
jacobian_rank = true
gauss_newton = true
trace_probes = 4
checkpoints = [{steps}]

[axes]
"data.train_fraction" = [0.5, 0.8]
"train.weight_decay" = [0.0, 1.0]
seed = {{ from = 0, count = {seeds} }}

[diagram]
x = "data.train_fraction"
y = "train.weight_decay"
"#
    )
}

/// Records of one point of [`quadratic`].
pub const RECORDS: usize = 9;

/// A sweep file for tests of the coordinator alone: its smallest tasks, which nobody computes. `rest` follows the table of
/// training, with the checkpoints and the axes.
#[must_use]
pub fn trivial(name: &str, rest: &str) -> String {
    format!(
        r#"name = "{name}"

[task.data]
kind = "modular"
operation = "add"
modulus = 7
train_fraction = 0.5

[task.model]
kind = "quadratic"
width = 8

[task.train]
optimizer = "adam"
learning_rate = 1e-3
batch_size = "full"
steps = 100
loss = "mse"

{rest}"#
    )
}
