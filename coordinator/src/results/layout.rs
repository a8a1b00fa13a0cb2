//! What tables and plots need to know of a sweep: its axes, its samplers and its diagram.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::table::{Cell, Kind};
use crate::spec::PhaseRule;

/// The values of each axis at a point, in the order of [`Layout::axes`].
pub type Coordinates = Arc<dyn Fn(u64) -> Vec<Value> + Send + Sync>;

/// A sweep as tables and plots see it.
#[derive(Clone)]
pub struct Layout {
    /// The sweep's name.
    pub name: String,
    /// The outer axes: each point is a task.
    pub axes: Vec<Axis>,
    /// The values of the outer axes at a point.
    pub coordinates: Coordinates,
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

/// How an axis' values are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Geometrically.
    Log,
    /// In no way that a ruler knows: one place each.
    Categories,
}

impl Axis {
    /// An axis with its distinct values, in order.
    #[must_use]
    pub fn new(path: impl Into<String>, values: Vec<Value>, scale: Scale) -> Self {
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
        let drawn = |axis: &Axis| [&self.x, &self.y].into_iter().flatten().any(|path| *path == axis.path);
        self.sampler_axes.iter().filter(move |axis| !drawn(axis))
    }
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
