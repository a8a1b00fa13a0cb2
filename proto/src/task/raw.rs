//! The `[task]` table as people write it: which keys belong together, defaults and presets.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::section::Section;
use super::{
    Activation, BatchSize, Checkpoints, Data, Geometry, Init, InitialLoss, Llc, Loss, Method, Model, Operation,
    Optimizer, Parts, Potential, Preset, Problem, Sampler, Shard, Stop, TaskConfig, Train,
};

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
        put(task, &self.path, self.value.clone());
    }
}

/// Puts a value at a dotted path below a table; tables on the way are created.
pub fn put(table: &mut Value, path: &str, value: Value) {
    let mut place = table;
    for key in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
    }
    *place = value;
}

/// Resolves a `[task]` table. `samplers` holds one list of `llc.` overrides for each sampler of the task; with none, the
/// table's own settings are the one sampler.
///
/// # Errors
/// Everything that is wrong: unknown and missing keys, wrong types, keys that do not belong together, values that make no
/// sense.
pub fn resolve(task: &Value, samplers: &[Vec<Override>]) -> Result<TaskConfig, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(mut section) = Section::open("task", task, &mut problems) else { return Err(problems) };
    let data = section.required_table("data", "every task").and_then(data);
    let model = section.required_table("model", "every task").and_then(model);
    let train = section.required_table("train", "every task").and_then(train);
    let checkpoints = section.or("checkpoints", Checkpoints::Log(60));
    let seed = section.or("seed", 0);
    let llc = llc(task, samplers, &mut problems);
    let geometry = geometry(task, &mut problems);
    let parts = Parts {
        data: data.as_ref(),
        model: model.as_ref(),
        train: train.as_ref(),
        checkpoints: checkpoints.as_ref(),
        llc: llc.as_ref(),
        geometry: geometry.as_ref(),
    };
    parts.check(&mut problems);
    match (data, model, train, checkpoints, seed) {
        (Some(data), Some(model), Some(train), Some(checkpoints), Some(seed)) if problems.is_empty() => {
            Ok(TaskConfig { data, model, train, checkpoints, llc, geometry, seed })
        }
        _ => Err(problems),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataKind {
    Modular,
    Gaussian,
    Origin,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModelKind {
    Quadratic,
    Mlp,
    DeepLinear,
    Potential,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OptimizerKind {
    Adam,
    AdamW,
    Sgd,
}

fn data(mut section: Section) -> Option<Data> {
    match section.required("kind", None, "every task")? {
        DataKind::Modular => {
            let why = "data.kind = \"modular\"";
            section.refuse(&["samples", "whiten"], why);
            let operation = section.or("operation", Operation::Add);
            let modulus = section.required("modulus", None, why);
            let train_fraction = section.required("train_fraction", None, why);
            let label_noise = section.or("label_noise", 0.0);
            Some(Data::Modular {
                operation: operation?,
                modulus: modulus?,
                train_fraction: train_fraction?,
                label_noise: label_noise?,
            })
        }
        DataKind::Gaussian => {
            let why = "data.kind = \"gaussian\"";
            section.refuse(&["operation", "modulus", "train_fraction", "label_noise"], why);
            let samples = section.required("samples", None, why);
            let whiten = section.or("whiten", false);
            Some(Data::Gaussian { samples: samples?, whiten: whiten? })
        }
        DataKind::Origin => {
            let all = ["operation", "modulus", "train_fraction", "label_noise", "samples", "whiten"];
            section.refuse(&all, "data.kind = \"origin\"");
            Some(Data::Origin)
        }
    }
}

fn model(mut section: Section) -> Option<Model> {
    let kind = section.required("kind", None, "every task");
    let default = if matches!(kind, Some(ModelKind::Potential)) { Init::Teacher } else { Init::TorchLinear };
    let init = section.or("init", default);
    match kind? {
        ModelKind::Quadratic => {
            let why = "model.kind = \"quadratic\"";
            section.refuse(&["widths", "rank", "activation", "curvatures", "powers"], why);
            let width = section.required("width", None, why);
            Some(Model::Quadratic { width: width?, init: init? })
        }
        ModelKind::Mlp => {
            let why = "model.kind = \"mlp\"";
            section.refuse(&["widths", "rank", "curvatures", "powers"], why);
            let width = section.required("width", None, why);
            let activation = section.or("activation", Activation::Relu);
            Some(Model::Mlp { width: width?, activation: activation?, init: init? })
        }
        ModelKind::DeepLinear => {
            let why = "model.kind = \"deep_linear\"";
            section.refuse(&["width", "activation", "curvatures", "powers"], why);
            let widths = section.required("widths", None, why);
            let rank = section.required("rank", None, why);
            Some(Model::DeepLinear { widths: widths?, rank: rank?, init: init? })
        }
        ModelKind::Potential => {
            section.refuse(&["width", "widths", "rank", "activation"], "model.kind = \"potential\"");
            let shape = if section.has("powers") {
                section.refuse(&["curvatures"], "a potential with `powers`");
                section.optional("powers").map(Potential::Powers)
            } else {
                section.required("curvatures", None, "a potential without `powers`").map(Potential::Curvatures)
            };
            Some(Model::Potential { shape: shape?, init: init? })
        }
    }
}

fn train(mut section: Section) -> Option<Train> {
    let steps = section.required("steps", None, "every training");
    let optimizer = section.or("optimizer", OptimizerKind::Adam);
    let idle = (steps == Some(0)).then_some(0.0);
    let learning_rate = section.required("learning_rate", idle, "a training of more than 0 steps");
    let weight_decay = section.or("weight_decay", 0.0);
    let batch_size = section.or("batch_size", BatchSize::Full);
    let loss = section.or("loss", Loss::Mse);
    let stop = section.table("stop").and_then(stop);
    let optimizer = match optimizer? {
        OptimizerKind::Adam => {
            section.refuse(&["momentum"], "train.optimizer = \"adam\"");
            let betas = section.or("betas", [0.9, 0.999])?;
            Optimizer::Adam { learning_rate: learning_rate?, weight_decay: weight_decay?, betas }
        }
        OptimizerKind::AdamW => {
            section.refuse(&["momentum"], "train.optimizer = \"adamw\"");
            let betas = section.or("betas", [0.9, 0.999])?;
            Optimizer::AdamW { learning_rate: learning_rate?, weight_decay: weight_decay?, betas }
        }
        OptimizerKind::Sgd => {
            section.refuse(&["betas"], "train.optimizer = \"sgd\"");
            let momentum = section.or("momentum", 0.0)?;
            Optimizer::Sgd { learning_rate: learning_rate?, weight_decay: weight_decay?, momentum }
        }
    };
    Some(Train { optimizer, batch_size: batch_size?, steps: steps?, loss: loss?, stop })
}

fn stop(mut section: Section) -> Option<Stop> {
    let val_accuracy = section.required("val_accuracy", None, "an early stop");
    let checkpoints = section.required("checkpoints", None, "an early stop");
    Some(Stop { val_accuracy: val_accuracy?, checkpoints: checkpoints? })
}

/// The estimates with all their samplers; `None` if there are none to make, or where `problems` says why.
fn llc(task: &Value, samplers: &[Vec<Override>], problems: &mut Vec<Problem>) -> Option<Llc> {
    let own = [Vec::new()];
    let mut all: Option<Llc> = None;
    for overrides in if samplers.is_empty() { &own } else { samplers } {
        let mut varied;
        let settings = if overrides.is_empty() {
            task.get("llc")
        } else {
            let own = task.get("llc").map(|settings| ("llc".to_owned(), settings.clone()));
            varied = Value::Object(own.into_iter().collect());
            overrides.iter().for_each(|value| value.apply(&mut varied));
            varied.get("llc")
        };
        let one = Section::open("task.llc", settings?, problems).and_then(sampler)?;
        match &mut all {
            Some(all) => all.samplers.extend(one.samplers),
            None => all = Some(one),
        }
    }
    all
}

fn sampler(mut section: Section) -> Option<Llc> {
    let preset = if section.has("preset") { Some(section.optional("preset")?) } else { None };
    let why = match preset {
        Some(_) => "its preset leaves it to you, and the sampler",
        None => "a sampler without `preset`",
    };
    let settings = preset.map(Preset::settings).unwrap_or_default();
    let step_size = section.required("step_size", settings.step_size, why);
    let localization = section.required("localization", settings.localization, why);
    let nbeta = section.required("nbeta", settings.nbeta, why);
    let chains = section.required("chains", settings.chains, why);
    let burn_in = section.required("burn_in", settings.burn_in, why);
    let draws = section.required("draws", settings.draws, why);
    let batch_size = section.required("batch_size", settings.batch_size, why);
    let method = section.or("method", Method::Sgld);
    let layer = section.or("layer", Layer::Word(AllLayers::All));
    let initial_loss = section.or("initial_loss", InitialLoss::Whole);
    let sensitivity = section.or("sensitivity", false);
    let baselines = section.or("baselines", Vec::new());
    let checkpoints = section.optional("checkpoints");
    let shards: u32 = section.or("shards", 1)?;
    let sampler = Sampler {
        preset,
        method: method?,
        step_size: step_size?,
        localization: localization?,
        nbeta: nbeta?,
        chains: chains?,
        burn_in: burn_in?,
        draws: draws?,
        batch_size: batch_size?,
        layer: layer?.number(),
        initial_loss: initial_loss?,
        sensitivity: sensitivity?,
    };
    let shard = (shards != 1).then_some(Shard { index: 0, of: shards });
    Some(Llc { samplers: vec![sampler], baselines: distinct(baselines?), checkpoints, shard })
}

/// "all" or a layer's number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Layer {
    One(u32),
    Word(AllLayers),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllLayers {
    All,
}

impl Layer {
    fn number(self) -> Option<u32> {
        match self {
            Self::One(layer) => Some(layer),
            Self::Word(AllLayers::All) => None,
        }
    }
}

fn geometry(task: &Value, problems: &mut Vec<Problem>) -> Option<Geometry> {
    let mut section = Section::open("task.geometry", task.get("geometry")?, problems)?;
    let jacobian_rank = section.or("jacobian_rank", false);
    let gauss_newton = section.or("gauss_newton", false);
    let trace_probes = section.or("trace_probes", 0);
    let checkpoints = section.optional("checkpoints");
    Some(Geometry {
        jacobian_rank: jacobian_rank?,
        gauss_newton: gauss_newton?,
        trace_probes: trace_probes?,
        checkpoints,
    })
}

/// The same without repetitions.
fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}
