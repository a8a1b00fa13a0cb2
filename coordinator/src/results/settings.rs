//! The columns that say with which settings a sampler ran.

use phasegrid_proto::task::{Sampler, TaskConfig};
use phasegrid_proto::v1::{Estimate, SamplerSettings};

use super::layout::{Axis, Layout};
use super::table::{Cell, Column, Kind};

/// Settings that some task of a sweep has, and that no axis says already.
///
/// Only an axis of rules (`nbeta = "n_over_log_n"`) leaves open what came of them, and gets a column `…_resolved` beside
/// it.
pub(super) struct Settings(Vec<(Column, Read)>);

type Read = fn(&SamplerSettings) -> Cell;

const SETTINGS: [(&str, Kind, Read); 11] = [
    ("llc.preset", Kind::Text, |s| Cell::text(s.preset.as_str())),
    ("llc.method", Kind::Text, |s| Cell::text(s.method.as_str())),
    ("llc.step_size", Kind::Real, |s| Cell::real(s.step_size)),
    ("llc.localization", Kind::Real, |s| Cell::real(s.localization)),
    ("llc.nbeta", Kind::Real, |s| Cell::real(s.nbeta)),
    ("llc.chains", Kind::Integer, |s| Cell::Integer(s.chains.into())),
    ("llc.burn_in", Kind::Integer, |s| Cell::Integer(s.burn_in.into())),
    ("llc.draws", Kind::Integer, |s| Cell::Integer(s.draws.into())),
    ("llc.batch_size", Kind::Integer, |s| Cell::integer(s.batch_size)),
    ("llc.layer", Kind::Text, |s| if s.layer == 0 { Cell::text("all") } else { Cell::text(s.layer.to_string()) }),
    ("llc.initial_loss", Kind::Text, |s| Cell::text(s.initial_loss.as_str())),
];

/// Whether samplers of this task have the setting at all.
fn has(path: &str, task: &TaskConfig) -> bool {
    let asked = |sampler: &Sampler| path != "llc.preset" || sampler.preset.is_some();
    task.llc.as_ref().is_some_and(|llc| llc.samplers.iter().any(asked))
}

impl Settings {
    pub(super) fn new(layout: &Layout) -> Self {
        let column = |(path, kind, read): (&str, Kind, Read)| {
            let name = match layout.axis(path).map(Axis::kind) {
                None => path.to_owned(),
                Some(Kind::Text) if kind != Kind::Text => format!("{path}_resolved"),
                Some(_) => return None,
            };
            layout.any(|task| has(path, task)).then(|| (Column::new(name, kind), read))
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
