//! One task: a fully resolved configuration with its seed.
//!
//! A sweep file's `[task]` table is read in two steps. [`resolve`] knows which keys belong to which kind of data, model or
//! optimiser, and fills in defaults and presets; [`TaskConfig::check`] knows which values make sense, alone and together.
//! Both report [`Problem`]s that name the key's full path and what is accepted, which [`KEYS`] says once for all.
//!
//! The canonical JSON of a [`TaskConfig`] is what a worker gets, and its digest names the task's result.

mod checkpoints;
mod data;
mod geometry;
mod llc;
mod model;
mod preset;
mod problem;
mod raw;
mod schema;
mod section;
#[cfg(test)]
mod tests;
mod train;

use serde::{Deserialize, Serialize};

pub use checkpoints::{Checkpoints, MOST_CHECKPOINTS};
pub use data::{Data, Operation};
pub use geometry::{Geometry, JacobianSize};
pub use llc::{Baseline, InitialLoss, Llc, MOST_SHARDS, Method, Nbeta, NbetaRule, Preset, Sampler, Shard, StepSize};
pub use model::{Activation, Init, Model, Potential};
pub use problem::{Problem, nearest};
pub use raw::{Override, put, resolve};
pub use schema::{KEYS, Key, Kind, SELECTORS, key};
pub use train::{BatchSize, Loss, Optimizer, Stop, Train};

/// The seed of every null baseline. No sweep file can ask for it, as its integers have 63 bits: the streams of a baseline
/// are those of no task.
pub const BASELINE_SEED: u64 = u64::MAX;

/// Everything that decides one task's numbers.
///
/// What a worker does not know it refuses: a key that it left out of account would be a setting that it ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// The examples.
    pub data: Data,
    /// The network and its initial weights.
    pub model: Model,
    /// The optimisation.
    pub train: Train,
    /// The steps at which metrics are taken.
    pub checkpoints: Checkpoints,
    /// How the LLC is estimated; `None` trains only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub llc: Option<Llc>,
    /// What is measured of the loss's geometry; `None` is nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub geometry: Option<Geometry>,
    /// The root of all the task's random streams.
    pub seed: u64,
}

impl TaskConfig {
    /// Reads the canonical JSON that a worker was sent.
    ///
    /// # Errors
    /// One problem at least, if the text is not a task's configuration or makes no sense.
    pub fn from_json(json: &str) -> Result<Self, Vec<Problem>> {
        let reader = &mut serde_json::Deserializer::from_str(json);
        let config: Self =
            serde_path_to_error::deserialize(reader).map_err(|error| vec![Problem::from_serde("task", &error)])?;
        let problems = config.check();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The canonical form: fields in the order of the structs, numbers in their shortest exact form.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("plain data always serialises: {error}"))
    }

    /// The name of this task's result: a hash of the canonical form and the numerics version, 32 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("phasegrid 2026 task configuration");
        hasher.update(&crate::NUMERICS_VERSION.to_le_bytes());
        hasher.update(self.to_json().as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// The task whose estimate at step 0 is the null baseline of this task's sampler number `sampler`: the same data,
    /// architecture, loss and sampler at weights that know nothing. It does not depend on the seed or the training, so
    /// all tasks of a cell share it, and it is found again by its digest.
    ///
    /// `None` if the task has no such sampler.
    #[must_use]
    pub fn baseline(&self, baseline: Baseline, sampler: usize) -> Option<Self> {
        let mut sampler = self.llc.as_ref()?.samplers.get(sampler)?.clone();
        sampler.preset = None; // a name, not a setting
        sampler.sensitivity = false; // it does not change the estimate
        let init = match baseline {
            Baseline::Zero => Init::Zero,
            Baseline::Init => self.model.init(),
        };
        Some(Self {
            data: self.data.clone(),
            model: self.model.with_init(init),
            train: Train::none(self.train.loss),
            checkpoints: Checkpoints::List(vec![0]),
            llc: Some(Llc { samplers: vec![sampler], baselines: vec![], checkpoints: None, shard: None }),
            geometry: None,
            seed: BASELINE_SEED,
        })
    }

    /// The steps at which records are made, ascending: the checkpoints and those at which something else is due. Of a
    /// shard, those at which it estimates, and of the first one all that are left to no other.
    #[must_use]
    pub fn record_steps(&self) -> Vec<u64> {
        let due = self.llc_steps();
        let mut steps = match self.shard() {
            Some(Shard { index: 1.., .. }) => due,
            shard => {
                let others = shard.map(|_| self.all_llc_steps()).unwrap_or_default();
                let mut steps = self.checkpoints.steps(self.train.steps);
                steps.extend(self.geometry_steps());
                steps.retain(|step| others.binary_search(step).is_err());
                steps.extend(due);
                steps
            }
        };
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// The steps at which the LLC is estimated, ascending; none without samplers. Of a shard, its own.
    #[must_use]
    pub fn llc_steps(&self) -> Vec<u64> {
        let Shard { index, of } = self.shard().unwrap_or(Shard { index: 0, of: 1 });
        self.all_llc_steps().into_iter().skip(index as usize).step_by(of as usize).collect()
    }

    /// The steps at which the geometry is measured, ascending, whichever shard estimates there.
    #[must_use]
    pub fn geometry_steps(&self) -> Vec<u64> {
        let checkpoints =
            |geometry: &Geometry| geometry.checkpoints.as_ref().unwrap_or(&self.checkpoints).steps(self.train.steps);
        self.geometry.as_ref().map(checkpoints).unwrap_or_default()
    }

    /// The steps at which the LLC is estimated, ascending, whichever shard does.
    #[must_use]
    pub fn all_llc_steps(&self) -> Vec<u64> {
        let checkpoints = |llc: &Llc| llc.checkpoints.as_ref().unwrap_or(&self.checkpoints).steps(self.train.steps);
        self.llc.as_ref().map(checkpoints).unwrap_or_default()
    }

    /// The parts into which the task may be split, at least 1.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shard().map_or(1, |shard| shard.of)
    }

    /// The part of this task that has this number below [`TaskConfig::shards`].
    #[must_use]
    pub fn with_shard(mut self, index: u32) -> Self {
        if let Some(shard) = self.llc.as_mut().and_then(|llc| llc.shard.as_mut()) {
            shard.index = index;
        }
        self
    }

    fn shard(&self) -> Option<Shard> {
        self.llc.as_ref()?.shard
    }

    /// Everything that makes no sense in this configuration, alone or together; empty if all is well.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let parts = Parts {
            data: Some(&self.data),
            model: Some(&self.model),
            train: Some(&self.train),
            checkpoints: Some(&self.checkpoints),
            llc: self.llc.as_ref(),
            geometry: self.geometry.as_ref(),
        };
        parts.check(&mut problems);
        problems
    }
}

/// What is known of a configuration, while other parts of it could not be read.
#[derive(Clone, Copy)]
struct Parts<'a> {
    data: Option<&'a Data>,
    model: Option<&'a Model>,
    train: Option<&'a Train>,
    checkpoints: Option<&'a Checkpoints>,
    llc: Option<&'a Llc>,
    geometry: Option<&'a Geometry>,
}

impl Parts<'_> {
    /// Notes what makes no sense. What is not known is taken to suit the rest.
    fn check(self, problems: &mut Vec<Problem>) {
        // An empty training set is the data's own problem, and not that of all who use it.
        let examples = self.data.map(Data::train_examples).filter(|examples| *examples > 0).unwrap_or(u64::MAX);
        let steps = self.train.map_or(u64::MAX, |train| train.steps);
        if let Some(data) = self.data {
            data.check(problems);
        }
        if let Some(model) = self.model {
            model.check(problems);
        }
        if let (Some(model), Some(data)) = (self.model, self.data) {
            model.check_with(data, problems);
        }
        if let (Some(model), Some(train)) = (self.model, self.train) {
            model.check_training(train, problems);
        }
        if let Some(train) = self.train {
            train.check(examples, problems);
        }
        if let Some(Train { loss: Loss::CentredMse, batch_size, .. }) = self.train {
            batch_size.check_centred("task.train.batch_size", examples, problems);
            for sampler in self.llc.iter().flat_map(|llc| &llc.samplers) {
                sampler.batch_size.check_centred("task.llc.batch_size", examples, problems);
            }
        }
        if let (Some(checkpoints), Some(_)) = (self.checkpoints, self.train) {
            checkpoints.check("task.checkpoints", steps, problems);
        }
        if let Some(llc) = self.llc {
            llc.check(examples, steps, problems);
            if let Some(model) = self.model {
                llc.check_with(model, problems);
            }
        }
        if let Some(geometry) = self.geometry {
            geometry.check(steps, problems);
            if let (Some(model), Some(data)) = (self.model, self.data) {
                geometry.check_with(model, data, problems);
            }
            // Steps can be listed only where all of these are known to be well.
            let well = geometry.gauss_newton && problems.is_empty();
            if let (true, Some(checkpoints), Some(_)) = (well, self.checkpoints, self.train) {
                let due = |own: Option<&Checkpoints>| own.unwrap_or(checkpoints).steps(steps);
                let estimated = self.llc.map(|llc| due(llc.checkpoints.as_ref())).unwrap_or_default();
                let measured = due(geometry.checkpoints.as_ref());
                Geometry::check_prediction(self.llc, &estimated, &measured, problems);
            }
        }
        // Checkpoints that were refused may be too many to be listed.
        if let (Some(llc), Some(checkpoints), true) = (self.llc, self.checkpoints, problems.is_empty()) {
            llc.check_shards(checkpoints, steps, problems);
        }
    }
}
