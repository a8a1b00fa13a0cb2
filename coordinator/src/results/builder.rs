//! Lays task results out as a table.

use super::TaskResult;
use super::cells::Cells;
use super::known::Library;
use super::layout::Layout;
use super::rows::{Records, Tasks};
use super::table::{Cell, Column, Table};

/// What a row of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A cell of the phase diagram.
    Cells,
    /// A task.
    Tasks,
    /// A checkpoint of a task.
    Records,
}

/// Builds a table from task results, one after the other.
///
/// At every level there is one row a sampler setting where `llc.` axes vary. Rows of tasks and records are complete as
/// soon as they are pushed and may be taken out along the way, so that a long table is never held whole; cells come out
/// at the end.
pub struct TableBuilder {
    layout: Layout,
    library: Library,
    columns: Vec<Column>,
    state: State,
}

enum State {
    Cells(Cells),
    Tasks(Tasks),
    Records(Records),
}

impl TableBuilder {
    /// A table of this level, without rows so far.
    #[must_use]
    pub fn new(layout: Layout, level: Level) -> Self {
        let (columns, state) = match level {
            Level::Cells => {
                let cells = Cells::new(&layout);
                (cells.columns(&layout), State::Cells(cells))
            }
            Level::Tasks => {
                let tasks = Tasks::new(&layout);
                (tasks.columns(&layout), State::Tasks(tasks))
            }
            Level::Records => {
                let records = Records::new(&layout);
                (records.columns(&layout), State::Records(records))
            }
        };
        Self { library: Library::new(&layout), layout, columns, state }
    }

    /// The columns, known from the start.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Takes in one task's result. Results come in the order of points; each point once.
    pub fn push(&mut self, result: &TaskResult) {
        let outer = (self.layout.coordinates)(result.point);
        let known = self.library.of(&self.layout, result.point, &outer);
        match &mut self.state {
            State::Cells(cells) => cells.push(&self.layout, &outer, known, result),
            State::Tasks(tasks) => tasks.push(&self.layout, &outer, known, result),
            State::Records(records) => records.push(&self.layout, &outer, known, result),
        }
    }

    /// The rows that are complete, each given out once; none of cells before the end.
    pub fn take_rows(&mut self) -> Vec<Vec<Cell>> {
        match &mut self.state {
            State::Cells(_) => Vec::new(),
            State::Tasks(Tasks { rows, .. }) | State::Records(Records { rows, .. }) => std::mem::take(rows),
        }
    }

    /// The table, less what was taken out before.
    #[must_use]
    pub fn finish(self) -> Table {
        let rows = match self.state {
            State::Cells(cells) => cells.rows(&self.layout),
            State::Tasks(Tasks { rows, .. }) | State::Records(Records { rows, .. }) => rows,
        };
        Table { columns: self.columns, rows }
    }
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::v1::{Health, Record};
    use serde_json::json;

    use super::super::fixture::{estimate, failed, finished, record, sampled, small};
    use super::super::{Axis, TaskState};
    use super::*;
    use crate::spec::Scale;

    fn table(layout: Layout, level: Level, results: &[TaskResult]) -> Table {
        let mut builder = TableBuilder::new(layout, level);
        results.iter().for_each(|result| builder.push(result));
        let table = builder.finish();
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        table
    }

    fn column(table: &Table, name: &str) -> Vec<Cell> {
        let index = table.column(name).unwrap_or_else(|| panic!("no column {name}"));
        table.rows.iter().map(|row| row[index].clone()).collect()
    }

    /// Three records, of which the last two carry estimates of both samplers.
    fn records() -> Vec<Record> {
        let mut records = vec![record(0, 0.0, 0.0), record(10, 1.0, 0.5), record(20, 1.0, 1.0)];
        for (record, llc) in records[1..].iter_mut().zip([7.0, 5.0]) {
            record.estimates = vec![estimate(0, llc), estimate(1, 2.0 * llc)];
            record.estimates[0].llc_baseline_zero = Some(1.5);
        }
        records
    }

    #[test]
    fn the_names_are_those_that_are_promised() {
        let records = table(small(), Level::Records, &[]);
        for name in
            "task step train_loss val_loss train_loss_reported val_loss_reported train_accuracy val_accuracy llc \
                     llc_se llc_baseline_zero llc_baseline_init llc_above_baseline llc_exact r_hat ess health \
                     weight_norm ipr data.train_fraction seed llc.preset llc.step_size llc.localization llc.nbeta \
                     llc.chains llc.burn_in llc.draws llc.batch_size health_reason drift below_initial distance \
                     initial_loss"
                .split_whitespace()
        {
            assert!(records.column(name).is_some(), "no column {name} of records");
        }
        let tasks = table(small(), Level::Tasks, &[]);
        for name in "task state attempts worker final_train_loss final_val_accuracy final_llc final_ipr llc_max \
                     llc_max_step t_train_90 t_train_95 t_train_99 t_val_90 t_val_95 t_val_99 delay_90 max_gap gsm phase"
            .split_whitespace()
        {
            assert!(tasks.column(name).is_some(), "no column {name} of tasks");
        }
        let cells = table(small(), Level::Cells, &[]);
        for name in "tasks tasks_failed phase phase_agreement final_llc_mean final_llc_se gsm_mean".split_whitespace() {
            assert!(cells.column(name).is_some(), "no column {name} of cells");
        }
        for table in [records, tasks, cells] {
            let mut names: Vec<_> = table.columns.iter().map(|column| &column.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "no name twice");
        }
    }

    #[test]
    fn a_record_has_one_row_a_sampler_and_empty_cells_where_none_estimated() {
        let table = table(sampled(), Level::Records, &[finished(4, records())]);
        assert_eq!(column(&table, "task"), vec![Cell::Integer(4); 6]);
        assert_eq!(column(&table, "seed"), vec![Cell::Integer(1); 6]);
        assert_eq!(column(&table, "step"), [0, 0, 10, 10, 20, 20].map(Cell::Integer));
        assert_eq!(column(&table, "llc.step_size"), [1e-4, 5e-4, 1e-4, 5e-4, 1e-4, 5e-4].map(Cell::Real));
        let llcs = [None, None, Some(7.0), Some(14.0), Some(5.0), Some(10.0)];
        assert_eq!(column(&table, "llc"), llcs.map(Cell::real));
        let above = [None, None, Some(5.5), None, Some(3.5), None];
        assert_eq!(column(&table, "llc_above_baseline"), above.map(Cell::real));
        assert_eq!(column(&table, "llc.chains")[1..3], [Cell::Missing, Cell::Integer(3)]);
        assert_eq!(column(&table, "health")[1..3], [Cell::Missing, Cell::text("ok")]);
    }

    #[test]
    fn without_samplers_a_record_has_one_row() {
        let table = table(small(), Level::Records, &[finished(0, vec![record(0, 0.5, 0.25)])]);
        assert_eq!(column(&table, "train_accuracy"), [Cell::Real(0.5)]);
        assert_eq!(column(&table, "llc"), [Cell::Missing]);
    }

    #[test]
    fn a_task_has_one_row_a_sampler() {
        let table = table(sampled(), Level::Tasks, &[finished(0, records())]);
        assert_eq!(column(&table, "llc.step_size"), [1e-4, 5e-4].map(Cell::Real));
        assert_eq!(column(&table, "llc_max"), [7.0, 14.0].map(Cell::Real));
        assert_eq!(column(&table, "final_llc"), [5.0, 10.0].map(Cell::Real));
        assert_eq!(column(&table, "llc_max_step"), [10, 10].map(Cell::Integer));
        assert_eq!(column(&table, "t_val_90"), [20, 20].map(Cell::Integer));
        assert_eq!(column(&table, "t_val_99"), [20, 20].map(Cell::Integer));
        assert_eq!(column(&table, "delay_90"), [10, 10].map(Cell::Integer));
        assert_eq!(column(&table, "phase"), vec![Cell::text("comprehension"); 2]);
        assert_eq!(column(&table, "llc.draws"), vec![Cell::Integer(500); 2]);
    }

    #[test]
    fn running_and_failed_tasks_are_listed_without_a_phase() {
        let running = TaskResult { state: TaskState::Leased, ..finished(1, vec![record(0, 1.0, 0.0)]) };
        let table = table(small(), Level::Tasks, &[failed(0), running]);
        assert_eq!(column(&table, "state"), [Cell::text("failed"), Cell::text("leased")]);
        assert_eq!(column(&table, "error"), [Cell::text("the loss became infinite at step 7"), Cell::Missing]);
        assert_eq!(column(&table, "phase"), [Cell::Missing, Cell::Missing]);
        assert_eq!(column(&table, "t_train_90"), [Cell::Missing, Cell::Integer(0)]);
    }

    #[test]
    fn a_failed_estimate_is_missing_and_says_why() {
        let mut diverged = estimate(0, 0.0);
        diverged.llc = None;
        diverged.health = Health::Diverged.into();
        diverged.health_reason = "chain 1, draw 3, step 103".to_owned();
        let layout = Layout { sampler_axes: vec![], samplers: vec![vec![]], ..small() };
        let result = finished(0, vec![Record { estimates: vec![diverged], ..record(0, 1.0, 1.0) }]);
        let tasks = table(layout.clone(), Level::Tasks, std::slice::from_ref(&result));
        assert_eq!(column(&tasks, "final_llc"), [Cell::Missing]);
        assert_eq!(column(&tasks, "final_health"), [Cell::text("diverged")]);
        assert_eq!(column(&tasks, "llc_unhealthy"), [Cell::Real(1.0)]);
        let records = table(layout, Level::Records, &[result]);
        assert_eq!(column(&records, "health_reason"), [Cell::text("chain 1, draw 3, step 103")]);
    }

    #[test]
    fn an_axis_of_rules_leaves_a_column_for_what_came_of_them() {
        let values = vec![json!("n_over_log_n"), json!(30.0)];
        let layout = Layout {
            samplers: values.iter().map(|value| vec![value.clone()]).collect(),
            sampler_axes: vec![Axis::new("llc.nbeta", values, Scale::Categories)],
            ..small()
        };
        let table = table(layout, Level::Tasks, &[finished(0, records())]);
        assert_eq!(column(&table, "llc.nbeta"), [Cell::text("n_over_log_n"), Cell::text("30.0")]);
        assert_eq!(column(&table, "llc.nbeta_resolved"), [Cell::Real(26.381), Cell::Real(26.381)]);
    }

    #[test]
    fn rows_taken_out_along_the_way_are_given_once() {
        let mut builder = TableBuilder::new(small(), Level::Tasks);
        builder.push(&finished(0, records()));
        assert_eq!(builder.take_rows().len(), 1);
        builder.push(&finished(1, records()));
        assert_eq!(builder.finish().rows.len(), 1);
    }
}
