//! What a record and its estimates say, each under its one name.

use phasegrid_proto::v1::{Estimate, Health, Record, SamplerSettings};

use super::layout::{Axis, Layout};
use super::table::{Cell, Column, Kind};

/// A number of a record, or of one sampler's estimate in it.
pub(super) struct Measurement {
    /// The column's name.
    pub(super) name: &'static str,
    /// Where the number comes from.
    pub(super) source: Source,
}

/// Where a measurement is found.
pub(super) enum Source {
    /// In the record itself.
    Record(fn(&Record) -> Option<f64>),
    /// In the estimate of one sampler.
    Estimate(fn(&Estimate) -> Option<f64>),
}

const fn record(name: &'static str, read: fn(&Record) -> Option<f64>) -> Measurement {
    Measurement { name, source: Source::Record(read) }
}

const fn estimate(name: &'static str, read: fn(&Estimate) -> Option<f64>) -> Measurement {
    Measurement { name, source: Source::Estimate(read) }
}

/// Every number of a checkpoint, in the order of the columns.
pub(super) const MEASUREMENTS: [Measurement; 20] = [
    record("train_loss", |r| r.train_loss),
    record("val_loss", |r| r.val_loss),
    record("train_loss_reported", |r| r.train_loss_reported),
    record("val_loss_reported", |r| r.val_loss_reported),
    record("train_accuracy", |r| r.train_accuracy),
    record("val_accuracy", |r| r.val_accuracy),
    estimate("llc", |e| e.llc),
    estimate("llc_se", |e| e.llc_se),
    estimate("llc_baseline_zero", |e| e.llc_baseline_zero),
    estimate("llc_baseline_init", |e| e.llc_baseline_init),
    // The level of an LLC is mostly the sampler's; what lies above the null baseline is the network's.
    estimate("llc_above_baseline", |e| Some(e.llc? - e.llc_baseline_zero?)),
    record("llc_exact", |r| r.llc_exact),
    estimate("r_hat", |e| e.r_hat),
    estimate("ess", |e| e.ess),
    estimate("drift", |e| e.drift),
    estimate("below_initial", |e| e.below_initial),
    estimate("distance", |e| e.distance),
    estimate("initial_loss", |e| e.initial_loss),
    record("weight_norm", |r| r.weight_norm),
    record("ipr", |r| r.ipr),
];

impl Measurement {
    /// The number, if the record or the estimate has it. One that is not finite is none: it would erase every mean.
    pub(super) fn read(&self, record: Option<&Record>, estimate: Option<&Estimate>) -> Option<f64> {
        let number = match self.source {
            Source::Record(read) => record.and_then(read),
            Source::Estimate(read) => estimate.and_then(read),
        };
        number.filter(|number| number.is_finite())
    }
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

/// The columns that say with which settings a sampler ran.
///
/// Where a setting is itself an axis, its axis column says it already. Only an axis of rules (`nbeta = "n_over_log_n"`)
/// leaves open what came of them, and gets a column `…_resolved` beside it.
pub(super) struct SettingColumns(Vec<(Column, ReadSetting)>);

type ReadSetting = fn(&SamplerSettings) -> Cell;

const SETTINGS: [(&str, Kind, ReadSetting); 8] = [
    ("llc.preset", Kind::Text, |s| Cell::text(s.preset.as_str())),
    ("llc.step_size", Kind::Real, |s| Cell::real(s.step_size)),
    ("llc.localization", Kind::Real, |s| Cell::real(s.localization)),
    ("llc.nbeta", Kind::Real, |s| Cell::real(s.nbeta)),
    ("llc.chains", Kind::Integer, |s| Cell::Integer(s.chains.into())),
    ("llc.burn_in", Kind::Integer, |s| Cell::Integer(s.burn_in.into())),
    ("llc.draws", Kind::Integer, |s| Cell::Integer(s.draws.into())),
    ("llc.batch_size", Kind::Integer, |s| Cell::integer(s.batch_size)),
];

impl SettingColumns {
    pub(super) fn new(layout: &Layout) -> Self {
        let column = |(path, kind, read): (&str, Kind, ReadSetting)| {
            let name = match layout.axis(path).map(Axis::kind) {
                None => path.to_owned(),
                Some(Kind::Text) if kind != Kind::Text => format!("{path}_resolved"),
                Some(_) => return None,
            };
            Some((Column::new(name, kind), read))
        };
        Self(SETTINGS.into_iter().filter_map(column).collect())
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.0.iter().map(|(column, _)| column.clone())
    }

    pub(super) fn cells(&self, estimate: Option<&Estimate>) -> impl Iterator<Item = Cell> {
        let settings = estimate.and_then(|estimate| estimate.settings.as_ref());
        self.0.iter().map(move |(_, read)| settings.map_or(Cell::Missing, read))
    }
}
