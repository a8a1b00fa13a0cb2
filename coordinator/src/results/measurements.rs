//! What a record and its estimates say, each under its one name.

use phasegrid_proto::task::{Baseline, Data, Init, Method, Sampler, TaskConfig};
use phasegrid_proto::theory::llc_finite;
use phasegrid_proto::v1::{Estimate, Health, Record, SamplerSettings};

use super::known::Known;
use super::layout::Layout;
use super::table::{Cell, Column, Kind};

/// A number of a checkpoint, as one sampler of the task sees it.
pub(super) struct Measurement {
    /// The column's name.
    pub(super) name: &'static str,
    /// What its column holds.
    pub(super) kind: Kind,
    /// Whether a task of this configuration has it: a column that none has is left out.
    has: fn(&TaskConfig) -> bool,
    /// Whether it may be missing in the last record, as it is measured at checkpoints of its own.
    pub(super) seldom: bool,
    read: fn(&Seen<'_>) -> Option<f64>,
}

/// What one sampler of a task has at a checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) record: Option<&'a Record>,
    pub(super) estimate: Option<&'a Estimate>,
    pub(super) known: &'a Known,
    pub(super) sampler: Option<usize>,
}

type Has = fn(&TaskConfig) -> bool;
type Read = fn(&Seen<'_>) -> Option<f64>;

const fn often(name: &'static str, has: Has, read: Read) -> Measurement {
    Measurement { name, kind: Kind::Real, has, seldom: false, read }
}

const fn seldom(name: &'static str, has: Has, read: Read) -> Measurement {
    Measurement { name, kind: Kind::Real, has, seldom: true, read }
}

/// Every number of a checkpoint, in the order of the columns.
const MEASUREMENTS: [Measurement; 30] = [
    often("train_loss", |_| true, |s| s.record?.train_loss),
    often("val_loss", validated, |s| s.record?.val_loss),
    often("train_loss_reported", |_| true, |s| s.record?.train_loss_reported),
    often("val_loss_reported", validated, |s| s.record?.val_loss_reported),
    often("train_accuracy", classified, |s| s.record?.train_accuracy),
    often("val_accuracy", compared, |s| s.record?.val_accuracy),
    often("llc", sampled, |s| s.estimate?.llc),
    often("llc_se", sampled, |s| s.estimate?.llc_se),
    often("llc_baseline_zero", |t| has_baseline(t, Baseline::Zero), |s| s.estimate?.llc_baseline_zero),
    often("llc_baseline_init", |t| has_baseline(t, Baseline::Init), |s| s.estimate?.llc_baseline_init),
    // The level of an LLC is mostly the sampler's; what lies above the null baseline is the network's.
    often(
        "llc_above_baseline",
        |t| has_baseline(t, Baseline::Zero),
        |s| Some(s.estimate?.llc? - s.estimate?.llc_baseline_zero?),
    ),
    often("llc_finite", finite_is_known, |s| s.llc_finite()),
    often("llc_z", |t| finite_is_known(t) || exact_is_known(t), |s| s.llc_z()),
    seldom(
        "llc_gauss_newton",
        |t| t.geometry.as_ref().is_some_and(|g| g.gauss_newton),
        |s| s.estimate?.llc_gauss_newton,
    ),
    seldom("llc_linearised", ranked, |s| Some(s.record?.jacobian_rank? as f64 / 2.0)),
    Measurement { kind: Kind::Integer, ..seldom("jacobian_rank", ranked, |s| Some(s.record?.jacobian_rank? as f64)) },
    seldom("hessian_trace", |t| probes(t) > 0, |s| s.record?.hessian_trace),
    seldom("hessian_trace_se", |t| probes(t) > 1, |s| s.record?.hessian_trace_se),
    often("r_hat", sampled, |s| s.estimate?.r_hat),
    often("ess", sampled, |s| s.estimate?.ess),
    often("drift", sampled, |s| s.estimate?.drift),
    often("below_initial", sampled, |s| s.estimate?.below_initial),
    often("distance", sampled, |s| s.estimate?.distance),
    often("initial_loss", sampled, |s| s.estimate?.initial_loss),
    often("stiffness", sampled, |s| s.estimate?.stiffness),
    often("acceptance", |t| any_sampler(t, |sampler| sampler.method == Method::Mala), |s| s.estimate?.acceptance),
    often(
        "sensitivity_localization",
        |t| any_sampler(t, |sampler| sampler.sensitivity),
        |s| s.estimate?.sensitivity_localization,
    ),
    often(
        "sensitivity_step_size",
        |t| any_sampler(t, |sampler| sampler.sensitivity),
        |s| s.estimate?.sensitivity_step_size,
    ),
    often("weight_norm", |_| true, |s| s.record?.weight_norm),
    often("ipr", |t| matches!(t.data, Data::Modular { .. }), |s| s.record?.ipr),
];

/// The measurements that some task of a sweep has.
pub(super) fn measurements(layout: &Layout) -> Vec<&'static Measurement> {
    const ALL: &[Measurement] = &MEASUREMENTS;
    ALL.iter().filter(|measurement| layout.any(measurement.has)).collect()
}

impl Measurement {
    /// Its column among records.
    pub(super) fn column(&self) -> Column {
        Column::new(self.name, self.kind)
    }

    /// The number, if it is there. One that is not finite is none: it would erase every mean.
    pub(super) fn read(&self, seen: &Seen<'_>) -> Option<f64> {
        (self.read)(seen).filter(|number| number.is_finite())
    }

    /// The number as a cell.
    pub(super) fn cell(&self, seen: &Seen<'_>) -> Cell {
        Cell::of_kind(self.kind, self.read(seen))
    }
}

impl Seen<'_> {
    fn llc_finite(&self) -> Option<f64> {
        self.known.llc_finite(self.estimate?.settings.as_ref()?)
    }

    /// The distance from what should be found, in standard errors.
    fn llc_z(&self) -> Option<f64> {
        let expected = self.llc_finite().or_else(|| self.known.llc_exact(self.sampler))?;
        Some((self.estimate?.llc? - expected) / self.estimate?.llc_se?)
    }
}

pub(super) fn sampled(task: &TaskConfig) -> bool {
    task.llc.is_some()
}

fn any_sampler(task: &TaskConfig, holds: impl Fn(&Sampler) -> bool) -> bool {
    task.llc.as_ref().is_some_and(|llc| llc.samplers.iter().any(holds))
}

fn has_baseline(task: &TaskConfig, baseline: Baseline) -> bool {
    task.llc.as_ref().is_some_and(|llc| llc.baselines.contains(&baseline))
}

/// Whether there are validation examples.
fn validated(task: &TaskConfig) -> bool {
    task.data.examples() > task.data.train_examples()
}

/// Whether targets are classes; a teacher's are its outputs.
pub(super) fn classified(task: &TaskConfig) -> bool {
    matches!(task.data, Data::Modular { .. }) && task.model.init() != Init::Teacher
}

/// Whether there are accuracies on both training and validation examples.
pub(super) fn compared(task: &TaskConfig) -> bool {
    classified(task) && validated(task)
}

fn ranked(task: &TaskConfig) -> bool {
    task.geometry.as_ref().is_some_and(|geometry| geometry.jacobian_rank)
}

fn probes(task: &TaskConfig) -> u32 {
    task.geometry.as_ref().map_or(0, |geometry| geometry.trace_probes)
}

fn exact_is_known(task: &TaskConfig) -> bool {
    any_sampler(task, |sampler| phasegrid_proto::theory::llc_exact(task, sampler.layer).is_some())
}

/// Whether it is known what a sampler finds in expectation, at any step size.
fn finite_is_known(task: &TaskConfig) -> bool {
    let examples = task.data.train_examples();
    any_sampler(task, |sampler| {
        let batch_size = sampler.batch_size.resolve(examples);
        let settings = SamplerSettings {
            method: serde_json::to_value(sampler.method)
                .ok()
                .and_then(|name| Some(name.as_str()?.to_owned()))
                .unwrap_or_default(),
            // Whatever the step size, it may be as small as this.
            step_size: Some(f64::MIN_POSITIVE),
            localization: sampler.localization,
            nbeta: sampler.nbeta.resolve(examples, batch_size),
            batch_size,
            layer: sampler.layer.unwrap_or(0),
            draws: 1,
            ..SamplerSettings::default()
        };
        llc_finite(task, &settings).is_some()
    })
}

/// The estimate of a sampler in a record.
pub(super) fn estimate_of(record: &Record, sampler: Option<usize>) -> Option<&Estimate> {
    let sampler = u32::try_from(sampler?).ok()?;
    record.estimates.iter().find(|estimate| estimate.sampler == sampler)
}

/// The verdict on an estimate, by its name in tables.
pub(super) fn health(estimate: &Estimate) -> Option<&'static str> {
    match estimate.health() {
        Health::Unspecified => None,
        Health::Ok => Some("ok"),
        Health::NotMixed => Some("not_mixed"),
        Health::NotLocal => Some("not_local"),
        Health::Unstable => Some("unstable"),
        Health::Diverged => Some("diverged"),
    }
}
