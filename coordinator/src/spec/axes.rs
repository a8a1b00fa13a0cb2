//! `[axes]` and `[[zip]]`: which hyperparameters vary, alone or together.

use std::collections::HashSet;

use phasegrid_proto::task::{KEYS, Problem, key};
use serde_json::Value;

use super::axis::Axis;
use super::document::{Document, twice};
use crate::space::Pace;

/// Keys that are the same for all samplers of a task.
const NO_AXES: [&str; 3] = ["llc.checkpoints", "llc.baselines", "llc.shards"];

/// Axes that advance together; most often just one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) axes: Vec<Axis>,
    pub(super) count: u64,
}

/// All axes of a sweep, in the order of the file.
pub(super) struct Axes {
    /// Those that multiply training.
    pub(super) outer: Vec<Group>,
    /// Those of the samplers, which every task carries in full.
    pub(super) inner: Vec<Group>,
    /// Paths of axes that could not be read.
    pub(super) broken: Vec<String>,
}

impl Group {
    /// The pace of the slowest of its axes.
    pub(super) fn pace(&self) -> Pace {
        self.axes.iter().map(|axis| Pace::of(axis.path)).min().unwrap_or(Pace::Middle)
    }

    /// Its axes at `index`, with their paths.
    pub(super) fn values(&self, index: u64) -> impl Iterator<Item = (&'static str, Value)> {
        self.axes.iter().map(move |axis| (axis.path, axis.value(index)))
    }

    /// Whether it is the seed, and nothing else.
    pub(super) fn is_seed(&self) -> bool {
        matches!(self.axes.as_slice(), [axis] if axis.path == "seed")
    }

    /// Whether one of its axes is at a path that `holds`.
    pub(super) fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.axes.iter().any(|axis| holds(axis.path))
    }
}

impl Axes {
    /// Reads the axes of a sweep file.
    pub(super) fn read(document: &Document, problems: &mut Vec<Problem>) -> Self {
        let mut axes = Self { outer: Vec::new(), inner: Vec::new(), broken: Vec::new() };
        for (name, value) in &document.tree {
            match (name.as_str(), value) {
                ("axes", Value::Object(table)) => {
                    for (path, value) in table {
                        let axis = axes.axis("axes", path, value, problems);
                        let place = |index| format!("axes.{path}[{index}]");
                        axes.push(axis.into_iter().collect(), place, problems);
                    }
                }
                ("zip", Value::Array(zips)) => {
                    zips.iter().enumerate().for_each(|(i, zip)| axes.zip(&format!("zip[{i}]"), zip, problems));
                }
                ("axes", other) => problems.push(Problem::refused(name, other, "a table of axes")),
                ("zip", other) => problems.push(Problem::refused(name, other, "[[zip]] tables of axes")),
                _ => {}
            }
        }
        axes
    }

    /// All paths, outer before inner; among the outer ones the seed is the last.
    pub(super) fn paths(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let paths = |groups: &[Group]| groups.iter().flat_map(|group| &group.axes).map(|axis| axis.path).collect();
        let mut outer: Vec<&'static str> = paths(&self.outer);
        outer.sort_by_key(|path| *path == "seed");
        (outer, paths(&self.inner))
    }

    fn zip(&mut self, place: &str, zip: &Value, problems: &mut Vec<Problem>) {
        let Some(table) = zip.as_object() else {
            problems.push(Problem::refused(place, zip, "a table of axes"));
            return;
        };
        let axes: Vec<_> = table.iter().map(|(path, value)| self.axis(place, path, value, problems)).collect();
        let Some(axes) = axes.into_iter().collect::<Option<Vec<_>>>() else {
            self.broken.extend(table.keys().cloned());
            return;
        };
        let lengths: Vec<_> = axes.iter().map(|axis| format!("{} has {}", axis.path, axis.count())).collect();
        if axes.windows(2).any(|pair| pair[0].count() != pair[1].count()) {
            let message =
                format!("{} values; accepted: axes of equal length, which advance together", lengths.join(", "));
            problems.push(Problem::new(place, message));
            self.broken.extend(table.keys().cloned());
            return;
        }
        let inner = axes.iter().filter(|axis| is_inner(axis.path)).count();
        if inner != 0 && inner != axes.len() {
            let message = "a task carries all values of llc. axes; accepted: these zipped with one another only";
            problems.push(Problem::new(place, message));
        }
        self.push(axes, |_| place.to_owned(), problems);
    }

    /// Takes in a group, unless it is empty. Zipped values may be there twice, their combinations may not.
    fn push(&mut self, axes: Vec<Axis>, place: impl Fn(u64) -> String, problems: &mut Vec<Problem>) {
        let Some(first) = axes.first() else { return };
        let count = first.count();
        if !axes.iter().any(Axis::is_range) {
            let mut seen = HashSet::new();
            for index in 0..count {
                let values: Vec<_> = axes.iter().map(|axis| axis.value(index).to_string()).collect();
                let values = values.join(" with ");
                if !seen.insert(values.clone()) {
                    let message = format!("{values} is there twice; accepted: each value once");
                    problems.push(Problem::new(place(index), message));
                }
            }
        }
        let groups = if is_inner(first.path) { &mut self.inner } else { &mut self.outer };
        groups.push(Group { axes, count });
    }

    fn axis(&mut self, place: &str, path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Axis> {
        let axis = match key(path).filter(|key| !NO_AXES.contains(&key.path)) {
            None => {
                problems.push(no_axis(place, path));
                None
            }
            Some(key) => match self.all().find(|axis| overlap(axis.path, path)) {
                Some(other) if other.path == path => {
                    problems.push(twice(place, path));
                    None
                }
                Some(other) => {
                    let message = format!("sets the same as the axis {}; accepted: one of the two", other.path);
                    problems.push(Problem::new(format!("{place}.{path}"), message));
                    None
                }
                None => Axis::read(key, format!("{place}.{path}"), value, problems),
            },
        };
        if axis.is_none() {
            self.broken.push(path.to_owned());
        }
        axis
    }

    /// All axes, outer before inner.
    pub(super) fn all(&self) -> impl Iterator<Item = &Axis> {
        self.outer.iter().chain(&self.inner).flat_map(|group| &group.axes)
    }
}

/// Whether an axis at this path is one of the samplers.
pub(super) fn is_inner(path: &str) -> bool {
    path.starts_with("llc.")
}

/// Whether one path is the other or lies below it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    below(a, b) || below(b, a)
}

/// The problem that no axis can be at `path`.
fn no_axis(place: &str, path: &str) -> Problem {
    let place = format!("{place}.{path}");
    if path == "llc.shards" {
        let message = "changes who computes, and no result; accepted: one number, as task.llc.shards";
        return Problem::new(place, message);
    }
    if key(path).is_some() {
        return Problem::new(place, "is the same for all samplers of a task; accepted as an axis: other keys of llc");
    }
    let section = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    let keys = || KEYS.iter().map(|key| key.path);
    let near: Vec<_> = keys().filter(|key| section(key) == section(path)).collect();
    match near.as_slice() {
        [] => Problem::unknown(place, path, keys()),
        near => Problem::unknown(place, path, near.iter().copied()),
    }
}
