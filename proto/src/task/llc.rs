//! How the local learning coefficient is estimated.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{BatchSize, Checkpoints, Init, Model, Problem};

/// The estimates that belong to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Llc {
    /// The sampler settings; several where `llc.` axes vary. The training is shared.
    pub samplers: Vec<Sampler>,
    /// Null baselines beside each estimate.
    pub baselines: Vec<Baseline>,
    /// Where to estimate; `None` is at every checkpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoints: Option<Checkpoints>,
}

/// Settings of one SGLD estimate: w ← w − (ε/2)·(nβ·∇L + γ(w−w*)) + √ε·N(0,1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampler {
    /// The preset that the settings started from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preset: Option<Preset>,
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
    }

    /// What the baselines ask of the model.
    pub(super) fn check_with(&self, model: &Model, problems: &mut Vec<Problem>) {
        // A baseline's weights know nothing, and its targets are the data's; a teacher's weights know everything, and a
        // quadratic teacher makes its own targets.
        let accepted = match model {
            _ if model.init() != Init::Teacher => return,
            Model::Quadratic { .. } => "none",
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
