//! One known answer: a task, the estimate at weights of known LLC, and what it should be.

use phasegrid_proto::task::{TaskConfig, resolve};
use phasegrid_proto::theory;
use phasegrid_proto::v1;
use phasegrid_worker::data::Examples;
use phasegrid_worker::permits::Permits;
use phasegrid_worker::surroundings::Alone;
use phasegrid_worker::{geometry, llc, models};
use serde_json::Value;
use tch::{Device, Tensor};

/// An estimate beside what is known.
pub(crate) struct Case {
    name: String,
    pub(crate) estimate: v1::Estimate,
    /// The learning coefficient, `theory::llc_exact`.
    pub(crate) exact: Option<f64>,
    /// What this very sampler finds in expectation, `theory::llc_finite`.
    pub(crate) finite: Option<f64>,
    /// The rank of the outputs' Jacobian, if the task asks for it.
    pub(crate) rank: Option<u64>,
}

impl Case {
    /// Estimates at the initial weights of the task that this table describes.
    pub(crate) fn of(name: impl Into<String>, table: &Value) -> Self {
        let task = resolve(table, &[]).unwrap();
        let weights = models::initial_weights(&task);
        Self::at(name, task, &weights)
    }

    /// Estimates at these weights, which need not be the task's own.
    pub(crate) fn at(name: impl Into<String>, task: TaskConfig, weights: &[f32]) -> Self {
        let examples = Examples::of(&task);
        let permits = Permits::new(0);
        let weights = Tensor::from_slice(weights);
        let subject = llc::Subject { number: 0, task: &task, examples: &examples, weights: &weights, step: 0 };
        let estimates = llc::estimates(&[subject], Device::Cpu, &permits, &Alone).remove(0);
        let mut record = v1::Record { estimates, ..v1::Record::default() };
        geometry::measure(&subject, Device::Cpu, &mut record, &|| false);
        let (estimate, rank) = (record.estimates.remove(0), record.jacobian_rank);
        let exact = theory::llc_exact(&task, task.llc.as_ref().unwrap().samplers[0].layer);
        let finite = theory::llc_finite(&task, estimate.settings.as_ref().unwrap());
        Self { name: name.into(), estimate, exact, finite, rank }
    }

    /// Within three standard errors of what the sampler should find, or else of the learning coefficient.
    pub(crate) fn agrees(self) -> Self {
        let expected = self.finite.or(self.exact).unwrap();
        self.agrees_with(expected)
    }

    /// Within three standard errors of this value.
    pub(crate) fn agrees_with(self, expected: f64) -> Self {
        let (llc, error) = (self.estimate.llc.unwrap(), self.estimate.llc_se.unwrap());
        let z = (llc - expected) / error;
        self.print(&format!("expected {expected:>8.5}  z {z:>5.2}"));
        assert!(z.abs() < 3.0, "{}: {z}", self.name);
        self
    }

    /// Within this share of the learning coefficient.
    pub(crate) fn near_exact(self, share: f64) -> Self {
        let off = self.estimate.llc.unwrap() / self.exact.unwrap() - 1.0;
        self.print(&format!("{:+.1} % off the exact value", 100.0 * off));
        assert!(off.abs() < share, "{}: {off}", self.name);
        self
    }

    fn print(&self, verdict: &str) {
        let exact = self.exact.map_or("–".to_owned(), |exact| format!("{exact:.5}"));
        let (llc, error) = (self.estimate.llc.unwrap(), self.estimate.llc_se.unwrap());
        println!("{:<42} exact {exact:>8}  estimate {llc:>8.5} ± {error:.5}  {verdict}", self.name);
    }
}
