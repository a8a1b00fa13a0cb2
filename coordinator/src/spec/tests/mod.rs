//! Sweep files, good and bad.

mod axes;
mod known;
mod refusals;
mod resolved;
mod resources;
mod shards;

use super::Spec;

/// A small sweep that every test may extend.
const BASE: &str = r#"name = "base"

[task.data]
kind = "modular"
modulus = 23
train_fraction = 0.5

[task.model]
kind = "quadratic"
width = 16

[task.train]
learning_rate = 1e-2
steps = 100
batch_size = 64
"#;

/// [`BASE`] with these lines after it.
fn spec(lines: &str) -> Spec {
    spec_with(lines, &[])
}

/// [`BASE`] with these lines after it and these overrides.
fn spec_with(lines: &str, overrides: &[&str]) -> Spec {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Spec::parse(&format!("{BASE}{lines}"), &overrides).unwrap_or_else(|error| panic!("{error}"))
}
