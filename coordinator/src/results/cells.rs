//! Aggregation: the tasks that are equal on the diagram's axes are one cell.
//!
//! Everything else that varies between them, seeds and further axes alike, is averaged over. A cell keeps sums, not
//! tasks, so memory grows with the number of cells alone. Failed tasks are counted and otherwise left out, running ones
//! are left out until they have finished. A quantity's mean and standard error are over the tasks that have it. What is
//! known of a task without running it stands in a cell as it is, if all its tasks agree.

use std::collections::BTreeMap;

use serde_json::Value;

use super::aggregate::{Agreement, Moments};
use super::curve::{Curve, Quantities};
use super::known::{Constants, Known};
use super::layout::{Axis, Layout};
use super::phases::Phase;
use super::table::{Cell, Column, Kind};
use super::{TaskResult, TaskState};

/// The cells seen so far.
pub(super) struct Cells {
    quantities: Quantities,
    constants: Constants,
    /// In the order of the axes' values.
    sums: BTreeMap<Place, Sums>,
    /// Where the last tasks were on the diagram's axes: neighbours mostly differ in the seed alone.
    recent: [Recent; 2],
}

/// The value of an axis that was looked up last, and its place in the order.
#[derive(Default)]
struct Recent(Option<(Value, Option<usize>)>);

impl Recent {
    fn index(&mut self, axis: &Axis, value: &Value) -> Option<usize> {
        match &self.0 {
            Some((last, index)) if last == value => *index,
            _ => {
                let index = axis.index(value);
                self.0 = Some((value.clone(), index));
                index
            }
        }
    }
}

/// Where a cell is: the places of its values on the diagram's axes, and its sampler where that is not given by them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    x: Option<usize>,
    y: Option<usize>,
    sampler: Option<usize>,
}

struct Sums {
    finished: u64,
    failed: u64,
    /// How many tasks carry each label, in the rule's order.
    phases: Vec<u64>,
    quantities: Vec<Moments>,
    constants: Vec<Agreement>,
}

impl Cells {
    pub(super) fn new(layout: &Layout) -> Self {
        let (quantities, constants) = (Quantities::new(layout), Constants::new(layout));
        Self { quantities, constants, sums: BTreeMap::new(), recent: Default::default() }
    }

    pub(super) fn push(&mut self, layout: &Layout, outer: &[Value], known: &Known, result: &TaskResult) {
        if matches!(result.state, TaskState::Leased | TaskState::Unfinished) {
            return;
        }
        let labels = layout.phases.labels();
        let further = layout.further_sampler_axes().next().is_some();
        for sampler in layout.sampler_rows() {
            let [x, y] = &mut self.recent;
            let index = |path: &Option<String>, recent: &mut Recent| {
                let path = path.as_ref()?;
                recent.index(layout.axis(path)?, layout.value(path, outer, sampler))
            };
            let (x, y) = (index(&layout.x, x), index(&layout.y, y));
            let place = Place { x, y, sampler: sampler.filter(|_| further) };
            let (quantities, constants) = (&self.quantities, &self.constants);
            let new = || Sums::new([labels.len(), quantities.columns().count(), constants.columns().count()]);
            let sums = self.sums.entry(place).or_insert_with(new);
            sums.constants.iter_mut().zip(self.constants.of(known, sampler)).for_each(|(sum, value)| sum.add(value));
            match result.state {
                TaskState::Failed => sums.failed += 1,
                TaskState::Finished => {
                    let curve = Curve::new(&result.records, sampler);
                    sums.add(self.quantities.of(curve, known), layout.phases.label(&curve), labels);
                }
                TaskState::Leased | TaskState::Unfinished => {}
            }
        }
    }

    pub(super) fn columns(&self, layout: &Layout) -> Vec<Column> {
        let mut columns: Vec<Column> = cell_axes(layout).map(|axis| Column::new(axis.path(), axis.kind())).collect();
        columns.extend([
            Column::new("tasks", Kind::Integer),
            Column::new("tasks_failed", Kind::Integer),
            Column::new("phase", Kind::Text),
            Column::new("phase_agreement", Kind::Real),
        ]);
        columns.extend(layout.phases.labels().iter().map(|label| Column::new(tasks_column(*label), Kind::Integer)));
        for Column { name, .. } in self.quantities.columns() {
            columns.push(Column::new(format!("{name}_mean"), Kind::Real));
            columns.push(Column::new(format!("{name}_se"), Kind::Real));
        }
        columns.extend(self.constants.columns());
        columns
    }

    pub(super) fn rows(&self, layout: &Layout) -> Vec<Vec<Cell>> {
        self.sums.iter().map(|(place, sums)| sums.row(layout, place)).collect()
    }
}

/// The column that counts a cell's tasks of this phase.
pub(crate) fn tasks_column(label: Phase) -> String {
    format!("tasks_{}", label.name())
}

/// The axes whose values name a cell: the diagram's, and the inner axes that are not among them.
fn cell_axes(layout: &Layout) -> impl Iterator<Item = &Axis> {
    let drawn = [&layout.x, &layout.y].into_iter().flatten().filter_map(|path| layout.axis(path));
    drawn.chain(layout.further_sampler_axes())
}

impl Sums {
    fn new([labels, quantities, constants]: [usize; 3]) -> Self {
        Self {
            finished: 0,
            failed: 0,
            phases: vec![0; labels],
            quantities: vec![Moments::default(); quantities],
            constants: vec![Agreement::default(); constants],
        }
    }

    fn add(&mut self, numbers: Vec<Option<f64>>, phase: Option<Phase>, labels: &[Phase]) {
        self.finished += 1;
        if let Some(label) = phase.and_then(|phase| labels.iter().position(|label| *label == phase)) {
            self.phases[label] += 1;
        }
        for (moments, value) in self.quantities.iter_mut().zip(numbers) {
            if let Some(value) = value {
                moments.add(value);
            }
        }
    }

    /// The label of most tasks and their share among the labelled ones; a tie goes to the first in the rule's order.
    fn majority(&self, labels: &[Phase]) -> Option<(Phase, f64)> {
        let labelled: u64 = self.phases.iter().sum();
        let most = *self.phases.iter().max().filter(|most| **most > 0)?;
        let first = self.phases.iter().position(|count| *count == most)?;
        Some((labels[first], most as f64 / labelled as f64))
    }

    fn row(&self, layout: &Layout, place: &Place) -> Vec<Cell> {
        let at = |path: &Option<String>, index: Option<usize>| {
            let axis = layout.axis(path.as_ref()?)?;
            Some(index.and_then(|index| axis.values().get(index)).map_or(Cell::Missing, |value| axis.cell(value)))
        };
        let mut row: Vec<Cell> = at(&layout.x, place.x).into_iter().chain(at(&layout.y, place.y)).collect();
        row.extend(layout.further_sampler_axes().map(|axis| axis.cell(layout.value(axis.path(), &[], place.sampler))));
        let majority = self.majority(layout.phases.labels());
        row.extend([
            Cell::integer(self.finished),
            Cell::integer(self.failed),
            majority.map_or(Cell::Missing, |(label, _)| Cell::text(label.name())),
            Cell::real(majority.map(|(_, agreement)| agreement)),
        ]);
        row.extend(self.phases.iter().map(|count| Cell::integer(*count)));
        for moments in &self.quantities {
            row.extend([Cell::real(moments.mean()), Cell::real(moments.standard_error())]);
        }
        row.extend(self.constants.iter().map(|constant| constant.cell()));
        row
    }
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::v1::Record;

    use super::super::fixture::{estimate, failed, finished, record, sampled, small};
    use super::super::{Level, Table, TableBuilder};
    use super::*;

    fn cells(layout: Layout, results: impl IntoIterator<Item = TaskResult>) -> Table {
        let mut builder = TableBuilder::new(layout, Level::Cells);
        results.into_iter().for_each(|result| builder.push(&result));
        builder.finish()
    }

    fn value<'a>(table: &'a Table, row: usize, column: &str) -> &'a Cell {
        &table.rows[row][table.column(column).unwrap_or_else(|| panic!("no column {column}"))]
    }

    fn with_loss(point: u64, train_loss: f64) -> TaskResult {
        finished(point, vec![Record { train_loss: Some(train_loss), ..record(0, 0.0, 0.0) }])
    }

    fn memorised() -> Vec<Record> {
        vec![record(0, 0.0, 0.0), record(10, 1.0, 0.1)]
    }

    fn comprehended() -> Vec<Record> {
        vec![record(0, 0.0, 0.0), record(10, 1.0, 1.0)]
    }

    #[test]
    fn means_and_standard_errors_are_those_computed_by_hand() {
        // 1, 2 and 6: mean 3, sample variance (4 + 1 + 9) / 2 = 7, standard error √(7 / 3).
        let table = cells(small(), [with_loss(0, 1.0), with_loss(1, 2.0), with_loss(2, 6.0)]);
        assert_eq!(table.rows.len(), 1);
        assert_eq!(*value(&table, 0, "data.train_fraction"), Cell::Real(0.3));
        assert_eq!(*value(&table, 0, "train.weight_decay"), Cell::Real(0.0));
        assert_eq!(*value(&table, 0, "tasks"), Cell::Integer(3));
        assert_eq!(*value(&table, 0, "final_train_loss_mean"), Cell::Real(3.0));
        let se = value(&table, 0, "final_train_loss_se").number().unwrap();
        assert!((se - (7.0_f64 / 3.0).sqrt()).abs() < 1e-15); // a few roundings
    }

    #[test]
    fn a_standard_error_takes_two_tasks() {
        let table = cells(small(), [with_loss(0, 1.0)]);
        assert_eq!(*value(&table, 0, "final_train_loss_mean"), Cell::Real(1.0));
        assert_eq!(*value(&table, 0, "final_train_loss_se"), Cell::Missing);
    }

    #[test]
    fn means_leave_out_what_is_missing() {
        let table = cells(small(), [finished(0, memorised()), finished(1, comprehended()), finished(2, memorised())]);
        assert_eq!(*value(&table, 0, "t_val_90_mean"), Cell::Real(10.0));
        assert_eq!(*value(&table, 0, "t_val_90_se"), Cell::Missing);
        assert_eq!(*value(&table, 0, "final_llc_mean"), Cell::Missing);
    }

    #[test]
    fn a_small_spread_far_from_zero_keeps_its_standard_error() {
        let results = [0.0, 1.0, 2.0].map(|offset| with_loss(offset as u64, 1e9 + offset));
        let se = value(&cells(small(), results), 0, "final_train_loss_se").number().unwrap();
        assert!((se - (1.0_f64 / 3.0).sqrt()).abs() < 1e-6); // 1e9 leaves f64 a resolution of 1e-7
    }

    #[test]
    fn the_majority_names_the_cell_and_a_tie_goes_to_the_first_label_of_the_rule() {
        let table = cells(small(), [finished(0, memorised()), finished(1, comprehended()), finished(2, memorised())]);
        assert_eq!(*value(&table, 0, "phase"), Cell::text("memorisation"));
        assert_eq!(*value(&table, 0, "phase_agreement"), Cell::Real(2.0 / 3.0));
        assert_eq!(*value(&table, 0, "tasks_memorisation"), Cell::Integer(2));
        assert_eq!(*value(&table, 0, "tasks_comprehension"), Cell::Integer(1));
        let tie = cells(small(), [finished(0, memorised()), finished(1, comprehended())]);
        assert_eq!(*value(&tie, 0, "phase"), Cell::text("comprehension"));
        assert_eq!(*value(&tie, 0, "phase_agreement"), Cell::Real(0.5));
    }

    #[test]
    fn failed_tasks_are_counted_and_running_ones_are_not_there_yet() {
        let running = TaskResult { state: TaskState::Leased, ..with_loss(2, 100.0) };
        let broken = TaskResult { records: memorised(), ..failed(1) };
        let table = cells(small(), [with_loss(0, 1.0), broken, running, failed(3)]);
        assert_eq!(*value(&table, 0, "tasks"), Cell::Integer(1));
        assert_eq!(*value(&table, 0, "tasks_failed"), Cell::Integer(1));
        assert_eq!(*value(&table, 0, "final_train_loss_mean"), Cell::Real(1.0));
        assert_eq!(*value(&table, 0, "phase"), Cell::text("confusion"));
        assert_eq!(*value(&table, 1, "tasks"), Cell::Integer(0));
        assert_eq!(*value(&table, 1, "phase"), Cell::Missing);
        assert_eq!(*value(&table, 1, "phase_agreement"), Cell::Missing);
    }

    #[test]
    fn rows_come_in_the_order_of_the_axes_whatever_the_order_of_results() {
        let table = cells(small(), [9, 6, 0, 3].map(|point| with_loss(point, 1.0)));
        let places: Vec<_> = table.rows.iter().map(|row| (row[0].number(), row[1].number())).collect();
        let expected = [(0.3, 0.0), (0.3, 0.5), (0.6, 0.0), (0.6, 0.5)].map(|(x, y)| (Some(x), Some(y)));
        assert_eq!(places, expected);
    }

    #[test]
    fn every_sampler_setting_is_a_cell_of_its_own() {
        let mut records = comprehended();
        records[1].estimates = vec![estimate(0, 10.0), estimate(1, 30.0)];
        let table = cells(sampled(), [finished(0, records)]);
        assert_eq!(table.columns[2].name, "llc.step_size");
        let llcs: Vec<_> = table.rows.iter().map(|row| row[2].number()).zip(table.numbers("final_llc_mean")).collect();
        assert_eq!(llcs, [(Some(1e-4), Some(10.0)), (Some(5e-4), Some(30.0))]);
    }

    #[test]
    fn a_sampler_axis_may_span_the_diagram() {
        let layout = Layout { y: Some("llc.step_size".to_owned()), ..sampled() };
        let mut records = comprehended();
        records[1].estimates = vec![estimate(0, 10.0), estimate(1, 30.0)];
        let table = cells(layout, [finished(0, records.clone()), finished(3, records)]);
        let names: Vec<_> = table.columns[..3].iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["data.train_fraction", "llc.step_size", "tasks"]);
        assert_eq!(table.numbers("tasks").collect::<Vec<_>>(), [Some(2.0), Some(2.0)]);
    }

    #[test]
    fn without_axes_all_tasks_are_one_cell() {
        let layout = Layout { x: None, y: None, ..small() };
        let table = cells(layout, (0..12).map(|point| with_loss(point, 1.0)));
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.columns[0].name, "tasks");
        assert_eq!(table.rows[0][0], Cell::Integer(12));
    }
}
