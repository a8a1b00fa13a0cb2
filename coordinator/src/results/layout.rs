//! What tables and plots need to know of a sweep: its axes, its samplers and its diagram.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use phasegrid_proto::task::TaskConfig;
use serde_json::Value;

use super::table::{Cell, Kind};
use crate::spec::{PhaseRule, Scale, Spec};

/// The values of each axis at a point, in the order of [`Layout::axes`].
pub type Coordinates = Arc<dyn Fn(u64) -> Vec<Value> + Send + Sync>;

/// The configuration of a point, if it has one.
pub type Tasks = Arc<dyn Fn(u64) -> Option<TaskConfig> + Send + Sync>;

/// A sweep as tables and plots see it.
#[derive(Clone)]
pub struct Layout {
    /// The sweep's name.
    pub name: String,
    /// The outer axes: each point is a task.
    pub axes: Vec<Axis>,
    /// The values of the outer axes at a point.
    pub coordinates: Coordinates,
    /// The tasks themselves.
    pub task: Tasks,
    /// A few tasks that have whatever any task of the sweep has; `None` if it is not known what they have. A column that
    /// no task has is left out of tables.
    pub specimens: Option<Vec<TaskConfig>>,
    /// The inner axes (`llc.…`), over which each task has one estimate a checkpoint.
    pub sampler_axes: Vec<Axis>,
    /// One row a sampler of a task: its values on the inner axes. Empty if nothing is sampled.
    pub samplers: Vec<Vec<Value>>,
    /// The diagram's horizontal axis.
    pub x: Option<String>,
    /// The diagram's vertical axis.
    pub y: Option<String>,
    /// The rule that labels tasks.
    pub phases: PhaseRule,
}

/// One varied hyperparameter.
#[derive(Clone, Debug)]
pub struct Axis {
    path: String,
    values: Vec<Value>,
    scale: Scale,
    kind: Kind,
    index: HashMap<String, usize>,
}

impl Axis {
    /// An axis with its values in order; of values that are there twice, the first counts.
    #[must_use]
    pub fn new(path: impl Into<String>, mut values: Vec<Value>, scale: Scale) -> Self {
        let mut seen = HashSet::new();
        values.retain(|value| seen.insert(value.to_string()));
        let kind = if values.iter().all(Value::is_i64) {
            Kind::Integer
        } else if values.iter().all(|value| value.is_f64() || value.is_i64()) {
            Kind::Real
        } else {
            Kind::Text
        };
        let index = values.iter().enumerate().map(|(index, value)| (value.to_string(), index)).collect();
        Self { path: path.into(), values, scale, kind, index }
    }

    /// The dotted path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The distinct values, in order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// How they are spaced.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// What the axis' column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The place of a value in the order.
    #[must_use]
    pub fn index(&self, value: &Value) -> Option<usize> {
        self.index.get(&value.to_string()).copied()
    }

    /// A value of this axis as a cell of its column.
    #[must_use]
    pub fn cell(&self, value: &Value) -> Cell {
        match (self.kind, value) {
            (_, Value::Null) => Cell::Missing,
            (Kind::Integer, value) => value.as_i64().map_or(Cell::Missing, Cell::Integer),
            (Kind::Real, value) => Cell::real(value.as_f64()),
            (Kind::Text, Value::String(text)) => Cell::Text(text.clone()),
            (Kind::Text, value) => Cell::Text(value.to_string()),
        }
    }

    /// The axis' values as cells of its column.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        self.values.iter().map(|value| self.cell(value)).collect()
    }
}

impl Layout {
    /// The layout of a sweep.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let axis = |path: &String, values: Vec<Value>| Axis::new(path.as_str(), values, spec.axis_scale(path));
        let ends = [0, spec.size() / 2, spec.size().saturating_sub(1)].map(|point| spec.coordinates(point));
        let outer = |(index, path): (usize, &String)| match spec.axis_values(path) {
            Some(values) => axis(path, values.to_vec()),
            // Too many to be listed, and so to be drawn: a few of them tell what their column holds.
            None => axis(path, ends.iter().filter_map(|values| values.get(index).cloned()).collect()),
        };
        let samplers = spec.sampler_coordinates();
        let inner = |(index, path): (usize, &String)| match spec.axis_values(path) {
            Some(values) => axis(path, values.to_vec()),
            None => axis(path, samplers.iter().filter_map(|values| values.get(index).cloned()).collect()),
        };
        let (points, tasks) = (spec.clone(), spec.clone());
        Self {
            name: spec.name().to_owned(),
            axes: spec.axes().iter().enumerate().map(outer).collect(),
            coordinates: Arc::new(move |point| points.coordinates(point)),
            task: Arc::new(move |point| tasks.task(point).ok()),
            specimens: spec.specimens(decides_columns),
            sampler_axes: spec.sampler_axes().iter().enumerate().map(inner).collect(),
            samplers: samplers.to_vec(),
            x: spec.diagram().x.clone(),
            y: spec.diagram().y.clone(),
            phases: spec.diagram().phases,
        }
    }

    /// Whether some task of the sweep may be as `holds` says.
    pub(super) fn any(&self, holds: impl FnMut(&TaskConfig) -> bool) -> bool {
        self.specimens.as_ref().is_none_or(|specimens| specimens.iter().any(holds))
    }

    /// The axis of this path, outer or inner.
    #[must_use]
    pub fn axis(&self, path: &str) -> Option<&Axis> {
        self.axes.iter().chain(&self.sampler_axes).find(|axis| axis.path == path)
    }

    /// The samplers of a task as its rows see them: `None` alone where nothing is sampled.
    pub(super) fn sampler_rows(&self) -> Vec<Option<usize>> {
        if self.samplers.is_empty() { vec![None] } else { (0..self.samplers.len()).map(Some).collect() }
    }

    /// The value on an outer or inner axis of a point and a sampler.
    pub(super) fn value<'a>(&'a self, path: &str, outer: &'a [Value], sampler: Option<usize>) -> &'a Value {
        let at = |axes: &[Axis]| axes.iter().position(|axis| axis.path == path);
        let outer_value = || outer.get(at(&self.axes)?);
        let inner_value = || self.samplers.get(sampler?)?.get(at(&self.sampler_axes)?);
        outer_value().or_else(inner_value).unwrap_or(&Value::Null)
    }

    /// The inner axes that are not the diagram's own: each of their settings is a cell of its own.
    pub(super) fn further_sampler_axes(&self) -> impl Iterator<Item = &Axis> {
        self.sampler_axes.iter().filter(|axis| !self.draws(axis))
    }

    /// The samplers that the diagram shows: of those that stand at the same place of its own axes, the first.
    pub(crate) fn drawn_samplers(&self) -> Vec<&[Value]> {
        let drawn: Vec<bool> = self.sampler_axes.iter().map(|axis| self.draws(axis)).collect();
        let place = |values: &[Value]| {
            let own = values.iter().zip(&drawn).filter(|(_, drawn)| **drawn);
            own.map(|(value, _)| value.to_string()).collect::<Vec<_>>()
        };
        let mut taken = HashSet::new();
        self.samplers.iter().map(Vec::as_slice).filter(|values| taken.insert(place(values))).collect()
    }

    /// Whether the axis is one of the diagram's.
    pub(crate) fn draws(&self, axis: &Axis) -> bool {
        [&self.x, &self.y].into_iter().flatten().any(|path| *path == axis.path)
    }
}

/// Whether the values at this path decide which columns a table has: what is measured of the tasks, and what is known.
fn decides_columns(path: &str) -> bool {
    const PATHS: [&str; 5] = ["data.kind", "data.whiten", "data.train_fraction", "data.samples", "model.kind"];
    const FURTHER: [&str; 5] = ["model.init", "model.widths", "model.rank", "train.steps", "train.loss"];
    PATHS.contains(&path) || FURTHER.contains(&path) || path.starts_with("geometry.")
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("name", &self.name)
            .field("axes", &self.axes)
            .field("sampler_axes", &self.sampler_axes)
            .field("samplers", &self.samplers)
            .field("x", &self.x)
            .field("y", &self.y)
            .field("phases", &self.phases)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Level, TableBuilder, fixture};
    use super::*;

    const SWEEP: &str = r#"
name = "small"
[task.data]
kind = "modular"
operation = "add"
modulus = 5
[task.model]
kind = "quadratic"
[task.train]
optimizer = "sgd"
learning_rate = 0.1
batch_size = "full"
steps = 10
loss = "mse"
[task.checkpoints]
every = 5
[task.llc]
preset = "authors_code"
batch_size = "full"
[axes]
"data.train_fraction" = { from = 0.2, to = 0.8, points = 4 }
"model.width" = [8, 16]
"llc.step_size" = { from = 1e-4, to = 1e-2, points = 3, scale = "log" }
seed = { from = 0, count = 2 }
"#;

    #[test]
    fn a_sweep_file_gives_its_axes_samplers_and_diagram() {
        let spec = Spec::parse(SWEEP, &[]).unwrap_or_else(|error| panic!("{error}"));
        let layout = Layout::of(&spec);
        let axes = |axes: &[Axis]| axes.iter().map(|axis| (axis.path.clone(), axis.kind)).collect::<Vec<_>>();
        let expected = [("data.train_fraction", Kind::Real), ("model.width", Kind::Integer), ("seed", Kind::Integer)];
        assert_eq!(axes(&layout.axes), expected.map(|(path, kind)| (path.to_owned(), kind)));
        assert_eq!(axes(&layout.sampler_axes), [("llc.step_size".to_owned(), Kind::Real)]);
        assert_eq!(layout.axis("llc.step_size").unwrap().scale(), Scale::Log);
        assert_eq!(layout.samplers.len(), 3);
        assert_eq!((layout.x.as_deref(), layout.y.as_deref()), (Some("data.train_fraction"), Some("model.width")));
        assert_eq!((layout.coordinates)(0), spec.coordinates(0));
    }

    #[test]
    fn every_point_of_a_sweep_finds_its_cell() {
        let spec = Spec::parse(SWEEP, &[]).unwrap_or_else(|error| panic!("{error}"));
        let mut builder = TableBuilder::new(Layout::of(&spec), Level::Cells);
        (0..spec.size()).for_each(|point| builder.push(&fixture::finished(point, vec![fixture::record(0, 1.0, 1.0)])));
        let table = builder.finish();
        assert_eq!(table.rows.len(), 4 * 2 * 3);
        assert!(table.numbers("tasks").all(|tasks| tasks == Some(2.0)));
    }

    #[test]
    fn an_axis_more_than_a_million_long_keeps_its_kind() {
        let overrides = ["axes.seed.count=2_000_000".to_owned()];
        let spec = Spec::parse(SWEEP, &overrides).unwrap_or_else(|error| panic!("{error}"));
        let layout = Layout::of(&spec);
        let seed = layout.axis("seed").unwrap();
        assert_eq!(seed.kind(), Kind::Integer);
        assert_eq!(seed.cell(&json!(1_999_999)), crate::results::Cell::Integer(1_999_999));
    }

    #[test]
    fn a_value_that_is_there_twice_has_one_place() {
        let axis = Axis::new("model.width", vec![json!(8), json!(8), json!(16)], Scale::Categories);
        assert_eq!(axis.values(), [json!(8), json!(16)]);
        assert_eq!(axis.index(&json!(16)), Some(1));
    }
}
