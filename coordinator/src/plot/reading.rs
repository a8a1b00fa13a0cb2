//! Takes out of the cells' table what is drawn.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::{Drawing, PlotError};
use crate::results::cells::tasks_column;
use crate::results::{Axis, Cell, Column, Kind, Layout, Moments, Phase, Table, TaskState};

/// A cell of the diagram, as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DrawnCell {
    /// Places on the axes.
    pub(super) x: usize,
    pub(super) y: usize,
    /// The label of most tasks.
    pub(super) phase: Option<Phase>,
    /// The tasks of each label, in the rule's order.
    pub(super) tasks: Vec<(Phase, u64)>,
    /// The drawn value and its standard error.
    pub(super) value: Option<f64>,
    pub(super) error: Option<f64>,
}

impl DrawnCell {
    /// Tasks that have a label.
    pub(super) fn labelled(&self) -> u64 {
        self.tasks.iter().map(|(_, count)| count).sum()
    }

    /// The labels beside that of the majority, with their share of the tasks.
    pub(super) fn minorities(&self) -> impl Iterator<Item = (Phase, f64)> {
        let labelled = self.labelled() as f64;
        let others = self.tasks.iter().filter(|(phase, count)| *count > 0 && Some(*phase) != self.phase);
        others.map(move |(phase, count)| (*phase, *count as f64 / labelled))
    }
}

/// The cells of the diagram: of the first sampler setting at each place, where there are several.
pub(super) fn cells(layout: &Layout, table: &Table, value: Option<&str>) -> Vec<DrawnCell> {
    let place = |path: &Option<String>| {
        let axis = path.as_ref().and_then(|path| layout.axis(path));
        let column = axis.and_then(|axis| table.column(axis.path()));
        // Cells hold floats, which are no keys; their texts are, and as exact.
        let cells = axis.map(Axis::cells).unwrap_or_default().into_iter().enumerate();
        let places: HashMap<String, usize> = cells.map(|(place, cell)| (format!("{cell:?}"), place)).collect();
        move |row: &[Cell]| match column {
            Some(column) => places.get(&format!("{:?}", row[column])).copied(),
            None => Some(0),
        }
    };
    let (x, y) = (place(&layout.x), place(&layout.y));
    let counts: Vec<(Phase, Option<usize>)> =
        layout.phases.labels().iter().map(|label| (*label, table.column(&tasks_column(*label)))).collect();
    let phase = table.column("phase");
    let value_at = value.and_then(|name| table.column(name));
    let error_at = value.and_then(|name| table.column(&format!("{}_se", name.strip_suffix("_mean")?)));
    let drawn = of_samplers(layout, table, &layout.drawn_samplers());
    let read = |row: &Vec<Cell>| {
        let phase = phase.and_then(|column| named(layout, &row[column]));
        Some(DrawnCell {
            x: x(row)?,
            y: y(row)?,
            phase,
            tasks: counts.iter().map(|(label, column)| (*label, column.map_or(0, |at| count(&row[at])))).collect(),
            value: value_at.and_then(|column| row[column].number()),
            error: error_at.and_then(|column| row[column].number()),
        })
    };
    table.rows.iter().filter(|row| drawn(row)).filter_map(read).collect()
}

/// Chooses the rows of these samplers.
pub(super) fn of_samplers(layout: &Layout, table: &Table, samplers: &[&[Value]]) -> impl Fn(&[Cell]) -> bool + use<> {
    let axes = || layout.sampler_axes.iter().enumerate();
    let columns: Vec<usize> = axes().filter_map(|(_, axis)| table.column(axis.path())).collect();
    let cells = |values: &&[Value]| {
        let there = axes().filter(|(_, axis)| table.column(axis.path()).is_some());
        there.map(|(at, axis)| axis.cell(&values[at])).collect()
    };
    let settings: Vec<Vec<Cell>> = samplers.iter().map(cells).collect();
    move |row| settings.is_empty() || settings.iter().any(|cells| columns.iter().map(|at| &row[*at]).eq(cells))
}

/// The phase of this name.
pub(super) fn named(layout: &Layout, cell: &Cell) -> Option<Phase> {
    let Cell::Text(name) = cell else { return None };
    layout.phases.labels().iter().copied().find(|label| label.name() == name)
}

fn count(cell: &Cell) -> u64 {
    match cell {
        Cell::Integer(count) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

/// The column of the cells' table that a person means by a value's name: `llc` is that of the last checkpoint, `gsm` its
/// mean over the cell's tasks. Without a name it is the LLC or, where none was estimated, the validation accuracy.
///
/// Of a numeric column that only tasks have, its mean over the cell's finished tasks is added to the cells.
pub(super) fn value_column<'a>(drawing: &Drawing<'a>) -> Result<(Cow<'a, Table>, Option<String>), PlotError> {
    let Drawing { layout, cells, tasks, value, .. } = *drawing;
    let Some(name) = value else {
        let measured = |name: &&str| cells.numbers(name).any(|value| value.is_some());
        let defaults = ["final_llc_mean", "final_val_accuracy_mean", "final_train_loss_mean"];
        return Ok((Cow::Borrowed(cells), defaults.into_iter().find(measured).map(str::to_owned)));
    };
    if name == "phase" {
        return Ok((Cow::Borrowed(cells), None));
    }
    let candidates = [format!("final_{name}_mean"), format!("{name}_mean"), name.to_owned()];
    if let Some(column) = candidates.iter().find(|candidate| is_numeric(cells, candidate)) {
        return Ok((Cow::Borrowed(cells), Some(column.clone())));
    }
    if is_numeric(tasks, name) {
        return Ok((Cow::Owned(with_mean(layout, cells, tasks, name)), Some(format!("{name}_mean"))));
    }
    let of_cells = cells.columns.iter().filter(|column| column.kind != Kind::Text).map(|column| column.name.as_str());
    let means = of_cells.filter(|name| !name.ends_with("_se"));
    let means: Vec<&str> = means.map(|name| name.strip_suffix("_mean").unwrap_or(name)).collect();
    let of_tasks = tasks.columns.iter().filter(|column| column.kind != Kind::Text).map(|column| column.name.as_str());
    let further = of_tasks.filter(|name| !means.contains(name));
    let accepted =
        ["phase", "llc"].into_iter().chain(means.iter().copied()).chain(further).collect::<Vec<_>>().join(", ");
    Err(PlotError::UnknownValue { name: name.to_owned(), accepted })
}

fn is_numeric(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(|column| table.columns[column].kind != Kind::Text)
}

/// The cells with the mean of a column of their finished tasks, and its standard error.
fn with_mean(layout: &Layout, cells: &Table, tasks: &Table, name: &str) -> Table {
    let axes = layout.axes.iter().chain(&layout.sampler_axes);
    let shared: Vec<_> =
        axes.filter_map(|axis| Some((cells.column(axis.path())?, tasks.column(axis.path())?))).collect();
    let key =
        |row: &[Cell], columns: Vec<usize>| columns.iter().map(|at| format!("{:?}\n", row[*at])).collect::<String>();
    let (value, state) = (tasks.column(name), tasks.column("state"));
    let mut means: HashMap<String, Moments> = HashMap::new();
    for row in &tasks.rows {
        let finished = state.is_none_or(|state| row[state] == Cell::text(TaskState::Finished.name()));
        if let (true, Some(number)) = (finished, value.and_then(|value| row[value].number())) {
            means.entry(key(row, shared.iter().map(|(_, of_task)| *of_task).collect())).or_default().add(number);
        }
    }
    let mut table = cells.clone();
    table.columns.extend(["mean", "se"].map(|what| Column::new(format!("{name}_{what}"), Kind::Real)));
    for row in &mut table.rows {
        let mean =
            means.get(&key(row, shared.iter().map(|(of_cell, _)| *of_cell).collect())).copied().unwrap_or_default();
        row.extend([Cell::real(mean.mean()), Cell::real(mean.standard_error())]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::fixture::{estimate, finished, record, sampled, small};
    use crate::results::{Level, TableBuilder};
    use crate::spec::Scale;

    fn table_of(layout: &Layout, level: Level) -> Table {
        let mut builder = TableBuilder::new(layout.clone(), level);
        for point in 0..12 {
            let mut last = record(10, 1.0, if point % 3 == 0 { 1.0 } else { 0.0 });
            last.estimates = vec![estimate(0, point as f64), estimate(1, 100.0)];
            builder.push(&finished(point, vec![last]));
        }
        builder.finish()
    }

    fn table(layout: &Layout) -> Table {
        table_of(layout, Level::Cells)
    }

    #[test]
    fn cells_know_their_places_their_minorities_and_their_value() {
        let layout = Layout { samplers: vec![vec![]], ..small() };
        let cells = cells(&layout, &table(&layout), Some("final_llc_mean"));
        let places: Vec<_> = cells.iter().map(|cell| (cell.x, cell.y)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(cells[1].phase, Some(Phase::Memorisation));
        assert_eq!(cells[1].minorities().collect::<Vec<_>>(), [(Phase::Comprehension, 1.0 / 3.0)]);
        assert_eq!(cells[1].value, Some(4.0));
        assert!(cells[1].error.is_some());
    }

    #[test]
    fn of_several_sampler_settings_the_first_is_drawn() {
        let layout = sampled();
        let cells = cells(&layout, &table(&layout), Some("final_llc_mean"));
        assert_eq!(cells.len(), 4);
        assert_eq!(cells[3].value, Some(10.0));
    }

    #[test]
    fn sampler_axes_that_advance_together_are_drawn_along_one_of_them() {
        let burn_ins = vec![json!(10), json!(20)];
        let mut layout = sampled();
        layout.sampler_axes.push(Axis::new("llc.burn_in", burn_ins.clone(), Scale::Log));
        layout.samplers.iter_mut().zip(burn_ins).for_each(|(values, burn_in)| values.push(burn_in));
        layout.x = Some("llc.step_size".to_owned());
        let values = |layout: &Layout| {
            let cells = cells(layout, &table(layout), Some("final_llc_mean"));
            cells.iter().map(|cell| (cell.x, cell.y, cell.value)).collect::<Vec<_>>()
        };
        // The second setting found 100 everywhere, the first the mean of a cell's points.
        let expected = [(0, 0, Some(4.0)), (0, 1, Some(7.0)), (1, 0, Some(100.0)), (1, 1, Some(100.0))];
        assert_eq!(values(&layout), expected);
        // Of axes that vary beside one another, the first of the other is drawn.
        layout.samplers = vec![
            vec![json!(1e-4), json!(10)],
            vec![json!(5e-4), json!(10)],
            vec![json!(1e-4), json!(20)],
            vec![json!(5e-4), json!(20)],
        ];
        assert_eq!(values(&layout), expected);
    }

    #[test]
    fn a_value_is_found_by_the_name_people_use_and_others_are_refused_with_those_accepted() {
        let layout = &sampled();
        let (cells, tasks) = (&table(layout), &table_of(layout, Level::Tasks));
        let found = |value| value_column(&Drawing { layout, cells, tasks, records: None, value });
        let column = |name| found(name).unwrap().1;
        assert_eq!(column(None).as_deref(), Some("final_llc_mean"));
        assert_eq!(column(Some("llc")).as_deref(), Some("final_llc_mean"));
        assert_eq!(column(Some("llc_max")).as_deref(), Some("llc_max_mean"));
        assert_eq!(column(Some("final_llc_se")).as_deref(), Some("final_llc_se_mean"));
        assert_eq!(column(Some("llc_exact")).as_deref(), Some("llc_exact"));
        assert_eq!(column(Some("tasks")).as_deref(), Some("tasks"));
        assert_eq!(column(Some("phase")), None);
        let message = found(Some("lambda")).unwrap_err().to_string();
        assert!(message.contains("lambda") && message.contains("phase, llc, data.train_fraction"), "{message}");
        assert!(message.contains(", attempts, ") && message.contains("llc.nbeta"), "{message}");
    }

    #[test]
    fn every_numeric_column_of_tasks_can_be_drawn() {
        let layout = &sampled();
        let (cells, tasks) = (&table(layout), &table_of(layout, Level::Tasks));
        for column in tasks.columns.iter().filter(|column| column.kind != Kind::Text) {
            let value = Some(column.name.as_str());
            let (cells, name) = value_column(&Drawing { layout, cells, tasks, records: None, value }).unwrap();
            assert!(cells.column(&name.unwrap()).is_some());
        }
        // The points of a cell are 0, 1, 2 and so on; each of its two rows is of one sampler.
        let drawing = Drawing { layout, cells, tasks, records: None, value: Some("task") };
        let (cells, name) = value_column(&drawing).unwrap();
        assert_eq!(name.as_deref(), Some("task_mean"));
        let means: Vec<_> = cells.numbers("task_mean").flatten().collect();
        assert_eq!(means, [1.0, 1.0, 4.0, 4.0, 7.0, 7.0, 10.0, 10.0]);
        let error = cells.numbers("task_se").next().flatten().unwrap();
        assert!((error - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15); // a few roundings
    }

    #[test]
    fn where_no_llc_was_estimated_the_validation_accuracy_is_drawn() {
        let layout = &small();
        let mut builder = TableBuilder::new(layout.clone(), Level::Cells);
        builder.push(&finished(0, vec![record(10, 1.0, 1.0)]));
        let (cells, tasks) = (&builder.finish(), &Table::default());
        let (_, column) = value_column(&Drawing { layout, cells, tasks, records: None, value: None }).unwrap();
        assert_eq!(column.as_deref(), Some("final_val_accuracy_mean"));
    }
}
