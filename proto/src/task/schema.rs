//! Every key of the `[task]` table, and in words what it accepts.

use serde::Serialize;

use super::Problem;

/// One key below `[task]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The dotted path, such as `model.width`.
    pub path: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it accepts, to end the sentence "accepted: …".
    pub accepted: &'static str,
}

/// What the values of a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers, or a word in their place.
    Integer,
    /// Real numbers, or something else in their place.
    Real,
    /// Words, lists or tables.
    Other,
}

/// Keys that decide which other keys of their table apply or what they default to.
pub const SELECTORS: [&str; 4] = ["data.kind", "model.kind", "train.optimizer", "llc.preset"];

const STEPS: &str = "{ every = STEPS }, { log = POINTS } or a list of steps";
const BATCH: &str = "\"full\" or a number of examples";

/// All keys, in the order in which they are told to people.
pub const KEYS: [Key; 49] = [
    other("data.kind", "\"modular\", \"gaussian\" or \"origin\""),
    other("data.operation", "\"add\", \"subtract\", \"multiply\" or \"sum_of_squares\""),
    integer("data.modulus", "a whole number from 2 to 4096"),
    real("data.train_fraction", "a number above 0, up to 1"),
    real("data.label_noise", "a number from 0 to 1"),
    integer("data.samples", "a whole number from 1 to 10000000"),
    other("data.whiten", "true or false"),
    other("model.kind", "\"quadratic\", \"mlp\", \"deep_linear\" or \"potential\""),
    integer("model.width", "a whole number from 1 to 1048576"),
    other("model.widths", "a list of 2 to 64 layer widths from input to output, each 1 to 4096"),
    other("model.activation", "\"relu\", \"gelu\" or \"tanh\""),
    integer("model.rank", "a whole number from 0 to the narrowest of model.widths"),
    other("model.curvatures", "a list of 1 to 4096 numbers above 0"),
    other("model.powers", "a list of two whole numbers from 0 to 8, not both 0"),
    other("model.init", "\"torch_linear\", \"normal\", \"teacher\" or \"zero\""),
    other("train.optimizer", "\"adam\", \"adamw\" or \"sgd\""),
    real("train.learning_rate", "a number, 0 or more"),
    real("train.weight_decay", "a number, 0 or more"),
    other("train.betas", "a list of two numbers from 0 to below 1"),
    real("train.momentum", "a number from 0 to below 1"),
    integer("train.batch_size", BATCH),
    integer("train.steps", "a whole number from 0 to 1000000000"),
    other("train.loss", "\"centred_mse\" or \"mse\""),
    other("train.stop", "a table with val_accuracy and checkpoints"),
    real("train.stop.val_accuracy", "a number from 0 to 1"),
    integer("train.stop.checkpoints", "a whole number, 1 or more"),
    other("checkpoints", STEPS),
    integer("checkpoints.every", "a whole number, 1 or more"),
    integer("checkpoints.log", "a whole number from 2 to 10000"),
    other("llc.preset", "\"authors_code\", \"paper_text\", \"lau_2023\" or \"population\""),
    other("llc.method", "\"sgld\", \"rmsprop_sgld\" or \"mala\""),
    real("llc.step_size", "a number above 0, or { stable = SHARE }"),
    real("llc.localization", "a number, 0 or more"),
    real("llc.nbeta", "a number above 0, \"n_over_log_n\" or \"batch_over_log_batch\""),
    integer("llc.chains", "a whole number from 1 to 4096"),
    integer("llc.burn_in", "a whole number, 0 or more"),
    integer("llc.draws", "a whole number from 1 to 100000000"),
    integer("llc.batch_size", BATCH),
    integer("llc.layer", "\"all\" or the number of a layer, from 1"),
    other("llc.initial_loss", "\"whole\" or \"paired\""),
    other("llc.sensitivity", "true or false"),
    other("llc.baselines", "a list of \"zero\" and \"init\""),
    other("llc.checkpoints", STEPS),
    integer("llc.shards", "a whole number from 1 to 1000"),
    other("geometry.jacobian_rank", "true or false"),
    other("geometry.gauss_newton", "true or false"),
    integer("geometry.trace_probes", "a whole number from 0 to 100000"),
    other("geometry.checkpoints", STEPS),
    integer("seed", "a whole number, 0 or more"),
];

/// The key with this dotted path below `[task]`.
#[must_use]
pub fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Notes a problem unless `holds`: what the schema says about `path`, which starts with `task.`, and the value found.
pub(super) fn expect(problems: &mut Vec<Problem>, holds: bool, path: &str, value: impl Serialize) {
    if !holds {
        problems.push(refused(path, &value));
    }
}

/// The problem that the key at `path`, which starts with `task.`, does not take `value`.
pub(super) fn refused(path: &str, value: &(impl Serialize + ?Sized)) -> Problem {
    let accepted = path.strip_prefix("task.").and_then(key).map_or("a table", |key| key.accepted);
    Problem::refused(path, value, accepted)
}

const fn integer(path: &'static str, accepted: &'static str) -> Key {
    Key { path, kind: Kind::Integer, accepted }
}

const fn real(path: &'static str, accepted: &'static str) -> Key {
    Key { path, kind: Kind::Real, accepted }
}

const fn other(path: &'static str, accepted: &'static str) -> Key {
    Key { path, kind: Kind::Other, accepted }
}
