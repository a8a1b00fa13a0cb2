//! The rows of tasks and of records: which columns they have, and what stands in them.

use phasegrid_proto::v1::Estimate;
use serde_json::Value;

use super::curve::{Curve, Quantities};
use super::known::{Constants, Known};
use super::layout::Layout;
use super::measurements::{Measurement, Seen, estimate_of, health, measurements, sampled};
use super::settings::Settings;
use super::table::{Cell, Column, Kind};
use super::{TaskResult, TaskState};

/// The columns that name a task and one of its samplers.
fn identity_columns(layout: &Layout) -> Vec<Column> {
    let axes = layout.axes.iter().chain(&layout.sampler_axes);
    [Column::new("task", Kind::Integer)]
        .into_iter()
        .chain(axes.map(|axis| Column::new(axis.path(), axis.kind())))
        .collect()
}

fn identity(layout: &Layout, outer: &[Value], point: u64, sampler: Option<usize>) -> Vec<Cell> {
    let axes = layout.axes.iter().chain(&layout.sampler_axes);
    let values = axes.map(|axis| axis.cell(layout.value(axis.path(), outer, sampler)));
    [Cell::integer(point)].into_iter().chain(values).collect()
}

/// Rows of tasks. What is known of a task stands beside what was estimated.
pub(super) struct Tasks {
    quantities: Quantities,
    constants: Constants,
    verdict: Verdict,
    settings: Settings,
    /// Rows not taken out yet.
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Tasks {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            quantities: Quantities::new(layout),
            constants: Constants::new(layout),
            verdict: Verdict(layout.any(sampled)),
            settings: Settings::new(layout),
            rows: Vec::new(),
        }
    }

    pub(super) fn columns(&self, layout: &Layout) -> Vec<Column> {
        let mut columns = identity_columns(layout);
        columns.push(Column::new("state", Kind::Text));
        columns.push(Column::new("attempts", Kind::Integer));
        columns.push(Column::new("worker", Kind::Text));
        columns.push(Column::new("error", Kind::Text));
        columns.extend(self.quantities.columns());
        columns.extend(self.constants.columns());
        columns.push(Column::new("phase", Kind::Text));
        columns.extend(self.verdict.columns("final_"));
        columns.extend(self.settings.columns());
        columns
    }

    pub(super) fn push(&mut self, layout: &Layout, outer: &[Value], known: &Known, result: &TaskResult) {
        for sampler in layout.sampler_rows() {
            let curve = Curve::new(&result.records, sampler);
            let estimate = curve.last_estimate();
            // A phase is the label of a whole trajectory: half of one would pass for memorisation.
            let phase = layout.phases.label(&curve).filter(|_| result.state == TaskState::Finished);
            let mut row = identity(layout, outer, result.point, sampler);
            row.push(Cell::text(result.state.name()));
            row.push(Cell::Integer(result.attempts.into()));
            row.push(Cell::text(result.worker.as_str()));
            row.push(Cell::text(result.error.as_deref().unwrap_or_default()));
            row.extend(self.quantities.cells(curve, known));
            row.extend(self.constants.cells(known, sampler));
            row.push(phase.map_or(Cell::Missing, |phase| Cell::text(phase.name())));
            row.extend(self.verdict.cells(estimate));
            row.extend(self.settings.cells(estimate));
            self.rows.push(row);
        }
    }
}

/// Rows of records. What is known of a task is repeated, like the sampler's settings, wherever there is an estimate: a row
/// with an estimate explains itself.
pub(super) struct Records {
    measurements: Vec<&'static Measurement>,
    constants: Constants,
    verdict: Verdict,
    settings: Settings,
    /// Rows not taken out yet.
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Records {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            measurements: measurements(layout),
            constants: Constants::new(layout),
            verdict: Verdict(layout.any(sampled)),
            settings: Settings::new(layout),
            rows: Vec::new(),
        }
    }

    pub(super) fn columns(&self, layout: &Layout) -> Vec<Column> {
        let mut columns = identity_columns(layout);
        columns.push(Column::new("step", Kind::Integer));
        columns.extend(self.measurements.iter().map(|measurement| measurement.column()));
        columns.extend(self.constants.columns());
        columns.extend(self.verdict.columns(""));
        columns.extend(self.settings.columns());
        columns
    }

    pub(super) fn push(&mut self, layout: &Layout, outer: &[Value], known: &Known, result: &TaskResult) {
        let nothing = Known::default();
        let samplers = layout.sampler_rows();
        let names: Vec<_> = samplers.iter().map(|sampler| identity(layout, outer, result.point, *sampler)).collect();
        for record in &result.records {
            for (sampler, name) in samplers.iter().copied().zip(&names) {
                let estimate = estimate_of(record, sampler);
                let seen = Seen { record: Some(record), estimate, known, sampler };
                let mut row = name.clone();
                row.push(Cell::integer(record.step));
                row.extend(self.measurements.iter().map(|measurement| measurement.cell(&seen)));
                row.extend(self.constants.cells(if estimate.is_some() { known } else { &nothing }, sampler));
                row.extend(self.verdict.cells(estimate));
                row.extend(self.settings.cells(estimate));
                self.rows.push(row);
            }
        }
    }
}

/// What is to be thought of an estimate, if the sweep has any.
struct Verdict(bool);

impl Verdict {
    fn columns(&self, prefix: &str) -> impl Iterator<Item = Column> {
        let names = ["health", "health_reason"].map(|name| format!("{prefix}{name}"));
        names.into_iter().filter(|_| self.0).map(|name| Column::new(name, Kind::Text))
    }

    fn cells(&self, estimate: Option<&Estimate>) -> impl Iterator<Item = Cell> {
        let texts = [estimate.and_then(health), estimate.map(|estimate| estimate.health_reason.as_str())];
        texts.into_iter().filter(|_| self.0).map(|text| text.map_or(Cell::Missing, Cell::text))
    }
}
