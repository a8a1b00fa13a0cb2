//! From a sweep file to a sweep.

use std::sync::{Mutex, OnceLock};

use phasegrid_proto::task::{Override, Problem};
use serde_json::Value;

use super::axes::{Axes, Group};
use super::axis::Axis;
use super::check::Check;
use super::diagram::Diagram;
use super::document::{Document, TOP_LEVEL};
use super::{Parts, Shards, SpecError, resolved, resources};
use crate::space::{MOST_POINTS, Space, SpaceError};

/// The most sampler settings of one task.
pub(crate) const MOST_SAMPLERS: u64 = 4096;

/// Reads, checks and resolves a sweep file.
pub(super) fn parse(source: &str, overrides: &[String]) -> Result<Parts, SpecError> {
    let mut document = Document::read(source, overrides)?;
    let mut problems = Vec::new();
    let unknown = document.tree.keys().filter(|key| !TOP_LEVEL.contains(&key.as_str()));
    problems.extend(unknown.map(|key| Problem::unknown(key, key, TOP_LEVEL)));
    let name = name(&document, &mut problems);
    let axes = Axes::read(&document, &mut problems);
    let space = space(&axes, &mut problems);
    let (outer, inner) = axes.paths();
    let paths: Vec<_> = outer.iter().chain(&inner).copied().collect();
    let drawn: Vec<_> = paths.iter().copied().chain(axes.broken.iter().map(String::as_str)).collect();
    let count = |path: &str| axes.all().find(|axis| axis.path == path).map_or(1, Axis::count);
    let together = |a: &str, b: &str| {
        axes.outer.iter().chain(&axes.inner).any(|group| group.any(|path| path == a) && group.any(|path| path == b))
    };
    let diagram = Diagram::read(document.tree.get("diagram"), &drawn, count, together, &mut problems);
    let requirement = resources::read(document.tree.get("resources"), &mut problems);
    problems.extend(idle_overrides(&document, &paths));
    match document.tree.get("task") {
        None => problems.push(Problem::new("task", "is missing; every sweep needs it")),
        Some(task) => {
            let excused = |problem: &Problem| axes.broken.iter().any(|path| problem.path == format!("task.{path}"));
            problems.extend(Check::new(task, &axes).problems().into_iter().filter(|problem| !excused(problem)));
        }
    }
    let (Some(name), Some(space), true) = (name, space, problems.is_empty()) else {
        return Err(document.places.locate(problems));
    };
    let (sampler_coordinates, samplers) = rows(&axes.inner);
    let points = space.size();
    let mut spec = Parts {
        name,
        resolved_source: String::new(),
        shards: Shards::whole(points),
        task: document.tree.get("task").cloned().unwrap_or_default(),
        outer: axes.outer,
        space,
        axes: outer.into_iter().map(str::to_owned).collect(),
        inner: axes.inner,
        sampler_axes: inner.into_iter().map(str::to_owned).collect(),
        sampler_coordinates,
        samplers,
        diagram,
        requirement,
        total: OnceLock::new(),
        recent: Mutex::default(),
    };
    let first = spec.task(0).map_err(|problems| document.places.locate(problems))?;
    let too_many = || document.places.locate(vec![too_many_shards(points, first.shards())]);
    spec.shards = Shards::new(points, first.shards()).ok_or_else(too_many)?;
    if let Some(task) = spec.task.as_object_mut() {
        resolved::fill(task, &first, &paths);
    }
    if first.llc.is_none() {
        spec.sampler_coordinates.clear();
    }
    document.tree.insert("task".to_owned(), spec.task.clone());
    document.tree.insert("diagram".to_owned(), spec.diagram.to_value());
    spec.resolved_source = resolved::write(&document.tree);
    Ok(spec)
}

fn name(document: &Document, problems: &mut Vec<Problem>) -> Option<String> {
    const ACCEPTED: &str = "1 to 100 characters in one line";
    let fits = |name: &&str| (1..=100).contains(&name.chars().count()) && !name.contains(char::is_control);
    match document.tree.get("name").map(|name| (name, name.as_str().filter(fits))) {
        None => problems.push(Problem::new("name", format!("is missing; accepted: {ACCEPTED}"))),
        Some((value, None)) => problems.push(Problem::refused("name", value, ACCEPTED)),
        Some((_, Some(name))) => return Some(name.to_owned()),
    }
    None
}

/// The space of the outer axes; the samplers must not be too many either.
fn space(axes: &Axes, problems: &mut Vec<Problem>) -> Option<Space> {
    let samplers = axes.inner.iter().try_fold(1_u64, |product, group| product.checked_mul(group.count));
    if samplers.is_none_or(|samplers| samplers > MOST_SAMPLERS) {
        let message = format!("the llc. axes make too many samplers of each task; accepted: up to {MOST_SAMPLERS}");
        problems.push(Problem::new("axes", message));
    }
    let digits: Vec<_> = axes.outer.iter().map(|group| (group.pace(), group.count)).collect();
    let refuse = |error: SpaceError| problems.push(Problem::new("axes", error.to_string()));
    Space::new(&digits).map_err(refuse).ok()
}

fn too_many_shards(points: u64, of: u32) -> Problem {
    let message =
        format!("{of} shards of each of {points} points are too many; accepted: up to {}", MOST_POINTS / points);
    Problem::new("task.llc.shards", message)
}

/// Overrides of keys that an axis sets anyway would be lost without a word.
fn idle_overrides(document: &Document, axes: &[&str]) -> Vec<Problem> {
    let idle =
        document.overridden.iter().filter(|path| path.strip_prefix("task.").is_some_and(|path| axes.contains(&path)));
    let problem = |path: &String| {
        let axis = path.trim_start_matches("task.");
        Problem::new(path, format!("an axis sets it; accepted: axes.{axis}=[VALUE]"))
    };
    idle.map(problem).collect()
}

/// All combinations of the samplers' axes, the last varying fastest: their values, and the same as overrides.
fn rows(inner: &[Group]) -> (Vec<Vec<Value>>, Vec<Vec<Override>>) {
    let mut rows: Vec<Vec<Override>> = vec![Vec::new()];
    for group in inner {
        let extend = |row: &Vec<Override>, index: u64| {
            let values = group.values(index).map(|(path, value)| Override { path: path.to_owned(), value });
            row.iter().cloned().chain(values).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(|row| (0..group.count).map(move |index| extend(row, index))).collect();
    }
    let values = rows.iter().map(|row| row.iter().map(|value| value.value.clone()).collect()).collect();
    (values, rows)
}
