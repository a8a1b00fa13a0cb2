//! What is measured of the loss's geometry at checkpoints, on request: it costs more than a look at the losses.

use serde::{Deserialize, Serialize};

use super::schema::expect;
use super::{Checkpoints, Data, Llc, Method, Model, Potential, Problem};

/// The longest smaller side of a Jacobian whose spectrum is computed in full: its Gram matrix takes 128 MiB.
const MOST_SIDE: u64 = 4096;

/// The most bytes of a Jacobian in double precision.
const MOST_BYTES: u64 = 512 << 20;

/// The longest smaller side of a Jacobian whose spectrum is probed: as many numbers a vector, of which 1 GiB is kept.
const MOST_PROBED: u64 = 1 << 20;

/// The geometry of the training loss at the weights of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// The numerical rank of the Jacobian of the outputs on the training set; half of it is the linearised LLC.
    pub jacobian_rank: bool,
    /// What each sampler would find if the loss were its Gauss-Newton quadratic at the checkpoint. It stands in the
    /// sampler's estimates, and so needs checkpoints at which there are some.
    pub gauss_newton: bool,
    /// Probes of Hutchinson's estimate of the Hessian's trace; 0 leaves it out.
    pub trace_probes: u32,
    /// Where to measure; `None` is at every checkpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoints: Option<Checkpoints>,
}

/// The size of the Jacobian of w ↦ (outputs on the training set): N·p rows, D columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JacobianSize {
    /// N·p, one row an output of an example.
    pub outputs: u64,
    /// D, one column a weight.
    pub weights: u64,
}

impl JacobianSize {
    /// The size for this model on these data.
    #[must_use]
    pub fn of(model: &Model, data: &Data) -> Self {
        let (outputs, weights) = match model {
            Model::Quadratic { width, .. } | Model::Mlp { width, .. } => {
                let modulus = match data {
                    Data::Modular { modulus, .. } => u64::from(*modulus),
                    // A model that does not take such data is refused as such.
                    Data::Gaussian { .. } | Data::Origin => 0,
                };
                (modulus, 3 * modulus * u64::from(*width))
            }
            Model::DeepLinear { widths, .. } => {
                let layers = widths.windows(2).map(|pair| u64::from(pair[0]) * u64::from(pair[1]));
                (widths.last().copied().unwrap_or(0).into(), layers.fold(0, u64::saturating_add))
            }
            Model::Potential { shape: Potential::Curvatures(all), .. } => (all.len() as u64, all.len() as u64),
            Model::Potential { shape: Potential::Powers(powers), .. } => (1, powers.len() as u64),
        };
        Self { outputs: outputs.saturating_mul(data.train_examples()), weights }
    }

    /// The smaller of the two.
    #[must_use]
    pub fn smaller_side(self) -> u64 {
        self.outputs.min(self.weights)
    }

    /// Whether the matrix can be written out and its spectrum computed in full.
    #[must_use]
    pub fn is_dense(self) -> bool {
        let bytes = self.outputs.saturating_mul(self.weights).saturating_mul(size_of::<f64>() as u64);
        self.smaller_side() <= MOST_SIDE && bytes <= MOST_BYTES
    }
}

impl Geometry {
    pub(super) fn check(&self, steps: u64, problems: &mut Vec<Problem>) {
        expect(problems, self.trace_probes <= 100_000, "task.geometry.trace_probes", self.trace_probes);
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.check("task.geometry.checkpoints", steps, problems);
        }
    }

    /// What the measurements ask of model and data: that their Jacobian is not too large.
    pub(super) fn check_with(&self, model: &Model, data: &Data, problems: &mut Vec<Problem>) {
        let size @ JacobianSize { outputs, weights } = JacobianSize::of(model, data);
        let jacobian = format!("a Jacobian of {outputs} outputs by {weights} weights is too large");
        Problem::unless(problems, !self.jacobian_rank || size.is_dense(), "task.geometry.jacobian_rank", || {
            let megabytes = MOST_BYTES >> 20;
            format!(
                "{jacobian}; accepted with true: a smaller side of up to {MOST_SIDE}, and up to {megabytes} MiB in all"
            )
        });
        let probed = !self.gauss_newton || size.smaller_side() <= MOST_PROBED;
        Problem::unless(problems, probed, "task.geometry.gauss_newton", || {
            format!("{jacobian}; accepted with true: a smaller side of up to {MOST_PROBED}")
        });
    }

    /// What a Gauss-Newton prediction asks of the samplers, whose estimates are at the steps `estimated`: that there are
    /// some to be predicted, and where the geometry is `measured`.
    pub(super) fn check_prediction(
        llc: Option<&Llc>,
        estimated: &[u64],
        measured: &[u64],
        problems: &mut Vec<Problem>,
    ) {
        let predicted = llc.is_some_and(|llc| llc.samplers.iter().any(|sampler| sampler.method != Method::RmspropSgld));
        Problem::unless(problems, predicted, "task.geometry.gauss_newton", || {
            "true predicts what a sampler finds; accepted with it: task.llc with method = \"sgld\" or \"mala\""
                .to_owned()
        });
        let meet = measured.iter().any(|step| estimated.binary_search(step).is_ok());
        Problem::unless(problems, !predicted || meet, "task.geometry.gauss_newton", || {
            "true predicts what is estimated at the same step; accepted with it: geometry.checkpoints and \
             llc.checkpoints with a step in common"
                .to_owned()
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resolve;

    fn refusals(geometry: serde_json::Value, width: u32, llc: serde_json::Value) -> Vec<String> {
        let task = json!({
            "data": { "kind": "modular", "modulus": 53, "train_fraction": 0.4 },
            "model": { "kind": "quadratic", "width": width },
            "train": { "learning_rate": 0.01, "steps": 100 },
            "llc": llc,
            "geometry": geometry,
        });
        resolve(&task, &[]).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn sampled() -> serde_json::Value {
        json!({ "preset": "authors_code", "batch_size": 16, "checkpoints": [10, 20] })
    }

    #[test]
    fn a_jacobian_that_is_too_large_is_refused_by_its_size() {
        let told = |width| refusals(json!({ "jacobian_rank": true, "trace_probes": 10 }), width, sampled());
        assert_eq!(
            told(1024),
            ["task.geometry.jacobian_rank: a Jacobian of 59519 outputs by 162816 weights is too large; accepted with \
              true: a smaller side of up to 4096, and up to 512 MiB in all"]
        );
        // 3816 weights are few enough, but not times 59519 outputs in 8 bytes each.
        assert_eq!(told(24).len(), 1);
        assert!(told(7).is_empty());
        assert!(refusals(json!({ "gauss_newton": true }), 1024, sampled()).is_empty(), "probes need no matrix");
    }

    #[test]
    fn a_prediction_needs_a_sampler_and_a_step_at_which_it_estimates() {
        let told = |geometry, llc| refusals(geometry, 7, llc);
        let apart = told(json!({ "gauss_newton": true, "checkpoints": [0, 15] }), sampled());
        assert!(apart.len() == 1 && apart[0].ends_with("llc.checkpoints with a step in common"), "{apart:?}");
        let none = json!({ "preset": "authors_code", "batch_size": 16, "method": "rmsprop_sgld" });
        let none = told(json!({ "gauss_newton": true }), none);
        assert!(none.len() == 1 && none[0].ends_with("task.llc with method = \"sgld\" or \"mala\""), "{none:?}");
        let unread = told(json!({ "gauss_newton": true }), json!({ "preset": "unheard_of" }));
        assert_eq!(unread.len(), 1, "what could not be read is taken to suit: {unread:?}");
        assert!(told(json!({ "gauss_newton": true, "checkpoints": [15, 20] }), sampled()).is_empty());
    }
}
