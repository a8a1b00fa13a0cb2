//! What is known of a task without running it: closed forms, computed from its configuration on reading.

use std::cell::RefCell;
use std::collections::HashMap;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::theory::{PREDICTIONS, llc_exact, llc_finite};
use phasegrid_proto::v1::SamplerSettings;
use prost::Message;
use serde_json::Value;

use super::layout::Layout;
use super::table::{Cell, Column, Kind};

/// The most configurations, and the most settings of each, that are remembered.
const MOST: usize = 10_000;

/// Whether the value at this path decides what is known of a task.
fn decides(path: &str) -> bool {
    path.starts_with("data.") || path.starts_with("model.") || ["train.steps", "train.loss"].contains(&path)
}

/// What is known of the tasks of a sweep, each configuration looked at once.
pub(super) struct Library {
    /// Positions of the axes that decide.
    axes: Vec<usize>,
    known: HashMap<String, Known>,
}

impl Library {
    pub(super) fn new(layout: &Layout) -> Self {
        let axes = layout.axes.iter().enumerate().filter(|(_, axis)| decides(axis.path()));
        Self { axes: axes.map(|(position, _)| position).collect(), known: HashMap::new() }
    }

    /// What is known of the task at `point`, whose values on the outer axes are `outer`.
    pub(super) fn of(&mut self, layout: &Layout, point: u64, outer: &[Value]) -> &Known {
        let values = self.axes.iter().filter_map(|position| outer.get(*position));
        let key = values.map(Value::to_string).collect::<Vec<_>>().join("\n");
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.known.clear();
        }
        self.known.entry(key).or_insert_with(|| Known::of((layout.task)(point)))
    }
}

/// What is known of one task.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The task, if its configuration could be read.
    task: Option<TaskConfig>,
    /// What samplers of these settings, as encoded, find in expectation: it takes quadratures.
    finite: RefCell<HashMap<Vec<u8>, Option<f64>>>,
}

impl Known {
    pub(super) fn of(task: Option<TaskConfig>) -> Self {
        Self { task, finite: RefCell::default() }
    }

    /// What a sampler of these settings finds in expectation, if that is known.
    pub(super) fn llc_finite(&self, settings: &SamplerSettings) -> Option<f64> {
        let mut finite = self.finite.borrow_mut();
        if finite.len() >= MOST {
            finite.clear();
        }
        *finite.entry(settings.encode_to_vec()).or_insert_with(|| llc_finite(self.task.as_ref()?, settings))
    }

    /// The exact LLC of what a sampler moves, if that is known.
    pub(super) fn llc_exact(&self, sampler: Option<usize>) -> Option<f64> {
        constant(EXACT, self.task.as_ref()?, sampler)
    }
}

/// Constants of a task and one of its samplers by their numbers: the exact LLC, then the predictions.
const EXACT: usize = 0;

fn name(number: usize) -> &'static str {
    match number.checked_sub(1) {
        None => "llc_exact",
        Some(prediction) => PREDICTIONS[prediction].name,
    }
}

fn constant(number: usize, task: &TaskConfig, sampler: Option<usize>) -> Option<f64> {
    let sampler = task.llc.as_ref()?.samplers.get(sampler?)?;
    match number.checked_sub(1) {
        None => llc_exact(task, sampler.layer),
        Some(prediction) => PREDICTIONS[prediction].of(task),
    }
}

/// The constants that some task of a sweep has.
pub(super) struct Constants(Vec<usize>);

impl Constants {
    pub(super) fn new(layout: &Layout) -> Self {
        let samplers = layout.sampler_rows();
        let has = |number| layout.any(|task| samplers.iter().any(|sampler| constant(number, task, *sampler).is_some()));
        Self((0..=PREDICTIONS.len()).filter(|number| has(*number)).collect())
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.0.iter().map(|number| Column::new(name(*number), Kind::Real))
    }

    /// Their values, in the order of the columns.
    pub(super) fn of(&self, known: &Known, sampler: Option<usize>) -> impl Iterator<Item = Option<f64>> {
        self.0.iter().map(move |number| constant(*number, known.task.as_ref()?, sampler))
    }

    pub(super) fn cells(&self, known: &Known, sampler: Option<usize>) -> impl Iterator<Item = Cell> {
        self.of(known, sampler).map(Cell::real)
    }
}
