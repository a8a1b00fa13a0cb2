//! How the local learning coefficient is estimated.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{BatchSize, Checkpoints, Init, Model, Problem};

/// Parts into which the estimates of one task may be split.
pub const MOST_SHARDS: u32 = 1000;

/// The estimates that belong to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Llc {
    /// The sampler settings; several where `llc.` axes vary. The training is shared.
    pub samplers: Vec<Sampler>,
    /// Null baselines beside each estimate.
    pub baselines: Vec<Baseline>,
    /// Where to estimate; `None` is at every checkpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoints: Option<Checkpoints>,
    /// Which part of the estimates is this task's, where they are split; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<Shard>,
}

/// One of several parts of a task. Each repeats the training, which is cheap, and estimates at its share of the checkpoints:
/// at the one numbered k of them if k mod `of` is `index`. The first also tells what the others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

/// Settings of one estimate: the dynamics of its chains and what they are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampler {
    /// The preset that the settings started from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preset: Option<Preset>,
    /// The dynamics.
    #[serde(default)]
    pub method: Method,
    /// ε.
    pub step_size: StepSize,
    /// γ, the strength of the pull towards w*.
    pub localization: f64,
    /// nβ, inverse temperature times dataset size.
    pub nbeta: Nbeta,
    /// Independent chains.
    pub chains: u32,
    /// Steps of each chain before its first draw.
    pub burn_in: u32,
    /// Draws of each chain.
    pub draws: u32,
    /// Examples behind one gradient.
    pub batch_size: BatchSize,
    /// The weights that move: those of one layer, counted from 1, while all others stay at w* (the refined LLC of arXiv
    /// 2410.02984); `None` is all layers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layer: Option<u32>,
    /// What a draw's loss is compared with.
    #[serde(default)]
    pub initial_loss: InitialLoss,
    /// Whether the estimate's sensitivity to ε and γ is measured too, at four times its cost again.
    #[serde(default)]
    pub sensitivity: bool,
}

/// The dynamics of a chain. g is the gradient of nβ·L_batch(w) + (γ/2)·‖w−w*‖².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// w ← w − (ε/2)·g + √ε·N(0,1).
    #[default]
    Sgld,
    /// SGLD preconditioned by G = 1/(√V + 0.1), V a running mean of (∇L_batch)² with decay 0.99:
    /// w ← w − (ε/2)·G·g + √(ε·G)·N(0,1). Its law is approximate: the term Σ ∂G/∂w is left out, as in the literature's code.
    RmspropSgld,
    /// SGLD's step on the full batch as a proposal, which is accepted or rejected so that the draws are exact at any ε
    /// (Metropolis-adjusted Langevin).
    Mala,
}

/// What the loss of a draw is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialLoss {
    /// L(w*) over the whole training set.
    #[default]
    Whole,
    /// The loss of w* on the draw's own minibatch: a control variate, which removes the noise of the minibatch and the
    /// bias of centred ones, at the cost of a second forward pass.
    Paired,
}

/// Known collections of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The code behind arXiv 2603.01192.
    AuthorsCode,
    /// The text of arXiv 2603.01192 v3, appendix H.
    PaperText,
    /// arXiv 2308.12108: nβ = N/ln N; step size and localisation are the user's choice.
    #[serde(rename = "lau_2023")]
    Lau2023,
    /// Full batch at low temperature: recovers theory on known optima.
    Population,
}

/// The step size ε.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StepSize {
    /// This value.
    Fixed(f64),
    /// As a share of what curvature allows: ε = share / (nβ·h_max), h_max the eigenvalue of the Hessian at w* that is
    /// largest in absolute value.
    Stable {
        /// The share; the discretisation is stable below 4.
        stable: f64,
    },
}

/// nβ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Nbeta {
    /// This value.
    Fixed(f64),
    /// By rule.
    Rule(NbetaRule),
}

/// A rule for nβ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NbetaRule {
    /// N / ln N of the training set.
    NOverLogN,
    /// B / ln B of the batch.
    BatchOverLogBatch,
}

/// Weights that know nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// All weights zero.
    Zero,
    /// The task's own initialisation, with [`super::BASELINE_SEED`].
    Init,
}

impl Nbeta {
    /// The value, for a training set and a batch of these sizes.
    #[must_use]
    pub fn resolve(self, examples: u64, batch: u64) -> f64 {
        let over_log = |n: u64| n as f64 / (n as f64).ln();
        match self {
            Self::Fixed(value) => value,
            Self::Rule(NbetaRule::NOverLogN) => over_log(examples),
            Self::Rule(NbetaRule::BatchOverLogBatch) => over_log(batch),
        }
    }
}

impl Sampler {
    /// SGLD steps of all chains together.
    #[must_use]
    pub fn steps(&self) -> u64 {
        u64::from(self.chains) * (u64::from(self.burn_in) + u64::from(self.draws))
    }

    fn check(&self, examples: u64, problems: &mut Vec<Problem>) {
        let (StepSize::Fixed(step_size) | StepSize::Stable { stable: step_size }) = self.step_size;
        expect(problems, step_size.is_finite() && step_size > 0.0, "task.llc.step_size", self.step_size);
        let localization = self.localization;
        expect(problems, localization.is_finite() && localization >= 0.0, "task.llc.localization", localization);
        self.batch_size.check("task.llc.batch_size", examples, problems);
        let nbeta = self.nbeta.resolve(examples, self.batch_size.resolve(examples));
        let positive = nbeta.is_finite() && nbeta > 0.0;
        match self.nbeta {
            Nbeta::Fixed(value) => expect(problems, positive, "task.llc.nbeta", value),
            Nbeta::Rule(rule) => Problem::unless(problems, positive, "task.llc.nbeta", || {
                let rule = serde_json::to_string(&rule).unwrap_or_default();
                format!("{rule} has no value for a single example; accepted with it: a number above 0")
            }),
        }
        expect(problems, (1..=4096).contains(&self.chains), "task.llc.chains", self.chains);
        expect(problems, (1..=100_000_000).contains(&self.draws), "task.llc.draws", self.draws);
        let exact = self.method != Method::Mala || self.batch_size.resolve(examples) == examples;
        Problem::unless(problems, exact, "task.llc.batch_size", || {
            "method = \"mala\" accepts or rejects by the loss itself; accepted with it: \"full\"".to_owned()
        });
    }
}

impl Llc {
    pub(super) fn check(&self, examples: u64, steps: u64, problems: &mut Vec<Problem>) {
        Problem::unless(problems, !self.samplers.is_empty(), "task.llc", || {
            "accepted: at least one sampler".to_owned()
        });
        for sampler in &self.samplers {
            sampler.check(examples, problems);
        }
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.check("task.llc.checkpoints", steps, problems);
        }
        if let Some(Shard { index, of }) = self.shard {
            expect(problems, (2..=MOST_SHARDS).contains(&of) && index < of, "task.llc.shards", of);
        }
    }

    /// Every shard must have an estimate to make: one without would train for nothing.
    pub(super) fn check_shards(&self, metrics: &Checkpoints, steps: u64, problems: &mut Vec<Problem>) {
        let Some(Shard { of, .. }) = self.shard else { return };
        let estimates = self.checkpoints.as_ref().unwrap_or(metrics).steps(steps).len();
        Problem::unless(problems, of as usize <= estimates, "task.llc.shards", || {
            format!("a task estimates at {estimates} checkpoints, each by one shard; accepted: up to {estimates}")
        });
    }

    /// What samplers and baselines ask of the model.
    pub(super) fn check_with(&self, model: &Model, problems: &mut Vec<Problem>) {
        let layers = model.layers();
        for layer in self.samplers.iter().filter_map(|sampler| sampler.layer) {
            Problem::unless(problems, (1..=layers).contains(&layer), "task.llc.layer", || {
                format!("{layer} is not a layer of this model; accepted: \"all\" or 1 to {layers}")
            });
        }
        self.check_baselines(model, problems);
    }

    /// What baselines ask of the model and of the samplers.
    fn check_baselines(&self, model: &Model, problems: &mut Vec<Problem>) {
        // At zero weights such a step size would follow from a curvature that is none.
        let zero = |baseline: &Baseline| *baseline == Baseline::Zero || model.init() == Init::Zero;
        let flat = |sampler: &Sampler| {
            matches!(sampler.step_size, StepSize::Stable { .. }) && model.is_flat_at_zero(sampler.layer)
        };
        let sampled = !(self.baselines.iter().any(zero) && self.samplers.iter().any(flat));
        Problem::unless(problems, sampled, "task.llc.baselines", || {
            "at zero weights the loss of this model is flat to second order, and no step size follows from \
             llc.step_size.stable; accepted with it: baselines at other weights, or a number for llc.step_size"
                .to_owned()
        });
        // A baseline's weights know nothing, and its targets are the data's; a teacher's weights know everything, and a
        // quadratic teacher makes its own targets.
        let accepted = match model {
            // At its one point, w* = 0, the null baseline would be the estimate itself.
            Model::Potential { .. } => {
                return Problem::unless(problems, self.baselines.is_empty(), "task.llc.baselines", || {
                    "a potential has no weights that know nothing; accepted with it: none".to_owned()
                });
            }
            _ if model.init() != Init::Teacher => return,
            Model::Quadratic { .. } | Model::Mlp { .. } => "none",
            Model::DeepLinear { .. } => "[\"zero\"]",
        };
        let fits = |baseline: &Baseline| accepted != "none" && *baseline == Baseline::Zero;
        Problem::unless(problems, self.baselines.iter().all(fits), "task.llc.baselines", || {
            format!(
                "the weights of model.init = \"teacher\" are no baseline, they know all; accepted with it: {accepted}"
            )
        });
    }
}

/// Numbers are read alike wherever something else may stand in their place.
macro_rules! visit_numbers {
    ($variant:path) => {
        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok($variant(value))
        }
        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok($variant(value as f64))
        }
        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok($variant(value as f64))
        }
    };
}

impl<'de> Deserialize<'de> for StepSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = StepSize;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or { stable = SHARE }")
            }
            visit_numbers!(StepSize::Fixed);
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<StepSize, A::Error> {
                use serde::de::Error;
                match map.next_key::<String>()?.as_deref() {
                    Some("stable") => Ok(StepSize::Stable { stable: map.next_value()? }),
                    Some(other) => Err(A::Error::unknown_field(other, &["stable"])),
                    None => Err(A::Error::invalid_length(0, &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Nbeta {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Nbeta;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, \"n_over_log_n\" or \"batch_over_log_batch\"")
            }
            visit_numbers!(Nbeta::Fixed);
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Nbeta, E> {
                match text {
                    "n_over_log_n" => Ok(Nbeta::Rule(NbetaRule::NOverLogN)),
                    "batch_over_log_batch" => Ok(Nbeta::Rule(NbetaRule::BatchOverLogBatch)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
