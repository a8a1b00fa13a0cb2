//! The `[task]` table as people write it: which keys exist, which belong together, defaults and presets.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Baseline, BatchSize, Checkpoints, Data, Init, Llc, Loss, Model, Nbeta, Operation, Optimizer, Preset, Problem,
    Sampler, StepSize, Stop, TaskConfig, Train,
};

/// Keys that decide which other keys of their table apply or what they default to.
pub const SELECTORS: [&str; 4] = ["data.kind", "model.kind", "train.optimizer", "llc.preset"];

/// A value for one dotted path below `[task]`, such as `model.width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The path.
    pub path: String,
    /// The value.
    pub value: Value,
}

impl Override {
    /// Puts the value in its place; tables on the way are created.
    pub fn apply(&self, task: &mut Value) {
        let mut place = task;
        for key in self.path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[key];
        }
        *place = self.value.clone();
    }
}

/// Resolves a `[task]` table. `samplers` holds one list of `llc.` overrides for each sampler of the task; with none, the
/// table's own settings are the one sampler.
///
/// # Errors
/// Everything that is wrong: unknown and missing keys, wrong types, keys that do not belong together, values that make no
/// sense.
pub fn resolve(task: &Value, samplers: &[Vec<Override>]) -> Result<TaskConfig, Vec<Problem>> {
    let mut configs = Vec::with_capacity(samplers.len().max(1));
    for overrides in samplers.iter().map(Vec::as_slice).chain(samplers.is_empty().then_some(&[][..])) {
        let mut table = task.clone();
        overrides.iter().for_each(|value| value.apply(&mut table));
        let raw: RawTask =
            serde_path_to_error::deserialize(&table).map_err(|error| vec![Problem::from_serde("task", &error)])?;
        let mut problems = Vec::new();
        let config = raw.resolve(&mut problems).filter(|_| problems.is_empty()).ok_or(problems)?;
        let problems = config.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        configs.push(config);
    }
    let samplers =
        configs.iter().filter_map(|config| config.llc.as_ref()).flat_map(|llc| llc.samplers.clone()).collect();
    let mut config = configs.swap_remove(0);
    if let Some(llc) = &mut config.llc {
        llc.samplers = samplers;
    }
    Ok(config)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    data: RawData,
    model: RawModel,
    train: RawTrain,
    checkpoints: Option<Checkpoints>,
    llc: Option<RawLlc>,
    seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataKind {
    Modular,
    Gaussian,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawData {
    kind: DataKind,
    operation: Option<Operation>,
    modulus: Option<u32>,
    train_fraction: Option<f64>,
    label_noise: Option<f64>,
    samples: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModelKind {
    Quadratic,
    DeepLinear,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    kind: ModelKind,
    width: Option<u32>,
    widths: Option<Vec<u32>>,
    rank: Option<u32>,
    init: Option<Init>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OptimizerKind {
    Adam,
    AdamW,
    Sgd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrain {
    optimizer: Option<OptimizerKind>,
    learning_rate: Option<f64>,
    weight_decay: Option<f64>,
    betas: Option<[f64; 2]>,
    momentum: Option<f64>,
    batch_size: Option<BatchSize>,
    steps: u64,
    loss: Option<Loss>,
    stop: Option<Stop>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLlc {
    preset: Option<Preset>,
    step_size: Option<StepSize>,
    localization: Option<f64>,
    nbeta: Option<Nbeta>,
    chains: Option<u32>,
    burn_in: Option<u32>,
    draws: Option<u32>,
    batch_size: Option<BatchSize>,
    baselines: Option<Vec<Baseline>>,
    checkpoints: Option<Checkpoints>,
}

/// The value, or the problem that it is missing.
fn required<T>(value: Option<T>, path: &str, why: &str, problems: &mut Vec<Problem>) -> Option<T> {
    if value.is_none() {
        problems.push(Problem::new(path, format!("is missing; {why} needs it")));
    }
    value
}

/// Notes every key that is present though `why` has no use for it.
fn absent(keys: &[(bool, &str)], why: &str, problems: &mut Vec<Problem>) {
    let present = keys.iter().filter(|(present, _)| *present);
    problems.extend(present.map(|(_, path)| Problem::new(*path, format!("does not belong to {why}; leave it out"))));
}

impl RawTask {
    fn resolve(self, problems: &mut Vec<Problem>) -> Option<TaskConfig> {
        let data = self.data.resolve(problems);
        let model = self.model.resolve(problems);
        let train = self.train.resolve(problems);
        let llc = self.llc.map(|llc| llc.resolve(problems));
        Some(TaskConfig {
            data: data?,
            model: model?,
            train: train?,
            checkpoints: self.checkpoints.unwrap_or(Checkpoints::Log(60)),
            llc: match llc {
                Some(llc) => Some(llc?),
                None => None,
            },
            seed: self.seed.unwrap_or(0),
        })
    }
}

impl RawData {
    fn resolve(self, problems: &mut Vec<Problem>) -> Option<Data> {
        match self.kind {
            DataKind::Modular => {
                let why = "data.kind = \"modular\"";
                absent(&[(self.samples.is_some(), "task.data.samples")], why, problems);
                let modulus = required(self.modulus, "task.data.modulus", why, problems);
                let train_fraction = required(self.train_fraction, "task.data.train_fraction", why, problems);
                Some(Data::Modular {
                    operation: self.operation.unwrap_or(Operation::Add),
                    modulus: modulus?,
                    train_fraction: train_fraction?,
                    label_noise: self.label_noise.unwrap_or(0.0),
                })
            }
            DataKind::Gaussian => {
                let why = "data.kind = \"gaussian\"";
                let keys = [
                    (self.operation.is_some(), "task.data.operation"),
                    (self.modulus.is_some(), "task.data.modulus"),
                    (self.train_fraction.is_some(), "task.data.train_fraction"),
                    (self.label_noise.is_some(), "task.data.label_noise"),
                ];
                absent(&keys, why, problems);
                Some(Data::Gaussian { samples: required(self.samples, "task.data.samples", why, problems)? })
            }
        }
    }
}

impl RawModel {
    fn resolve(self, problems: &mut Vec<Problem>) -> Option<Model> {
        let init = self.init.unwrap_or(Init::TorchLinear);
        match self.kind {
            ModelKind::Quadratic => {
                let why = "model.kind = \"quadratic\"";
                let keys = [(self.widths.is_some(), "task.model.widths"), (self.rank.is_some(), "task.model.rank")];
                absent(&keys, why, problems);
                Some(Model::Quadratic { width: required(self.width, "task.model.width", why, problems)?, init })
            }
            ModelKind::DeepLinear => {
                let why = "model.kind = \"deep_linear\"";
                absent(&[(self.width.is_some(), "task.model.width")], why, problems);
                let widths = required(self.widths, "task.model.widths", why, problems);
                let rank = required(self.rank, "task.model.rank", why, problems);
                Some(Model::DeepLinear { widths: widths?, rank: rank?, init })
            }
        }
    }
}

impl RawTrain {
    fn resolve(self, problems: &mut Vec<Problem>) -> Option<Train> {
        let learning_rate = match (self.learning_rate, self.steps) {
            (None, 0) => Some(0.0),
            (given, _) => required(given, "task.train.learning_rate", "a training of more than 0 steps", problems),
        };
        let weight_decay = self.weight_decay.unwrap_or(0.0);
        let betas = self.betas.unwrap_or([0.9, 0.999]);
        let momentum = (self.momentum.is_some(), "task.train.momentum");
        let optimizer = match self.optimizer.unwrap_or(OptimizerKind::Adam) {
            OptimizerKind::Adam => {
                absent(&[momentum], "train.optimizer = \"adam\"", problems);
                Optimizer::Adam { learning_rate: learning_rate?, weight_decay, betas }
            }
            OptimizerKind::AdamW => {
                absent(&[momentum], "train.optimizer = \"adamw\"", problems);
                Optimizer::AdamW { learning_rate: learning_rate?, weight_decay, betas }
            }
            OptimizerKind::Sgd => {
                absent(&[(self.betas.is_some(), "task.train.betas")], "train.optimizer = \"sgd\"", problems);
                Optimizer::Sgd { learning_rate: learning_rate?, weight_decay, momentum: self.momentum.unwrap_or(0.0) }
            }
        };
        Some(Train {
            optimizer,
            batch_size: self.batch_size.unwrap_or(BatchSize::Full),
            steps: self.steps,
            loss: self.loss.unwrap_or(Loss::Mse),
            stop: self.stop,
        })
    }
}

impl RawLlc {
    fn resolve(self, problems: &mut Vec<Problem>) -> Option<Llc> {
        let preset = self.preset.map(Preset::settings).unwrap_or_default();
        let why = match self.preset {
            Some(_) => "its preset leaves it to you, and the sampler",
            None => "a sampler without `preset`",
        };
        let step_size = required(self.step_size.or(preset.step_size), "task.llc.step_size", why, problems);
        let localization = required(self.localization.or(preset.localization), "task.llc.localization", why, problems);
        let nbeta = required(self.nbeta.or(preset.nbeta), "task.llc.nbeta", why, problems);
        let chains = required(self.chains.or(preset.chains), "task.llc.chains", why, problems);
        let burn_in = required(self.burn_in.or(preset.burn_in), "task.llc.burn_in", why, problems);
        let draws = required(self.draws.or(preset.draws), "task.llc.draws", why, problems);
        let batch_size = required(self.batch_size.or(preset.batch_size), "task.llc.batch_size", why, problems);
        let mut baselines = self.baselines.unwrap_or_default();
        baselines.dedup();
        let sampler = Sampler {
            preset: self.preset,
            step_size: step_size?,
            localization: localization?,
            nbeta: nbeta?,
            chains: chains?,
            burn_in: burn_in?,
            draws: draws?,
            batch_size: batch_size?,
        };
        Some(Llc { samplers: vec![sampler], baselines, checkpoints: self.checkpoints })
    }
}

/// What a preset fixes; the rest is the user's choice.
#[derive(Default)]
pub(super) struct PresetSettings {
    step_size: Option<StepSize>,
    localization: Option<f64>,
    nbeta: Option<Nbeta>,
    chains: Option<u32>,
    burn_in: Option<u32>,
    draws: Option<u32>,
    batch_size: Option<BatchSize>,
}

impl Preset {
    fn settings(self) -> PresetSettings {
        use super::llc::NbetaRule::{BatchOverLogBatch, NOverLogN};
        match self {
            Self::AuthorsCode => PresetSettings {
                step_size: Some(StepSize::Fixed(5e-4)),
                localization: Some(5.0),
                nbeta: Some(Nbeta::Rule(BatchOverLogBatch)),
                chains: Some(3),
                burn_in: Some(100),
                draws: Some(500),
                batch_size: Some(BatchSize::Size(128)),
            },
            Self::PaperText => PresetSettings {
                step_size: Some(StepSize::Fixed(1e-4)),
                localization: Some(5.0),
                nbeta: Some(Nbeta::Fixed(30.0)),
                chains: Some(3),
                burn_in: Some(100),
                draws: Some(600),
                batch_size: Some(BatchSize::Size(128)),
            },
            Self::Lau2023 => {
                PresetSettings { nbeta: Some(Nbeta::Rule(NOverLogN)), chains: Some(4), ..PresetSettings::default() }
            }
            Self::Population => PresetSettings {
                step_size: Some(StepSize::Stable { stable: 0.15 }),
                localization: Some(1.0),
                nbeta: Some(Nbeta::Fixed(1e4)),
                chains: Some(4),
                burn_in: Some(5000),
                draws: Some(10_000),
                batch_size: Some(BatchSize::Full),
            },
        }
    }
}
