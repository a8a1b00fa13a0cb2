//! A sweep: what its author wrote, resolved and checked.
//!
//! The way of a sweep file through [`parse`]: [`document`] reads TOML and overrides into a tree that remembers lines,
//! [`axes`] reads what varies, [`check`] tries the task at the axes' values, [`resolved`] writes the file that leaves
//! nothing open. Whatever is wrong on the way is gathered and told at once, in a [`SpecError`].

mod axes;
mod axis;
mod check;
mod diagram;
mod document;
mod error;
mod parse;
mod phase_rule;
mod range;
mod resolved;
mod resources;
mod shards;
mod specimens;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use phasegrid_proto::task::{Override, Problem, TaskConfig, put, resolve};
use serde_json::Value;

pub use axis::Scale;
pub use diagram::Diagram;
pub use error::{Located, Place, SpecError};
pub(crate) use parse::MOST_SAMPLERS;
pub use phase_rule::{CullenThresholds, LiuThresholds, PhaseRule};
pub use shards::Shards;

use crate::scheduler::Requirement;
use crate::space::Space;
use crate::work::{self, Cost};
use axes::Group;
use axis::Axis;

/// The most shards whose cost is summed up one by one; of more, a sample of the points is.
const MOST_SUMMED: u64 = 100_000;
/// How many points that sample has.
const SAMPLE: u64 = 1000;

/// A sweep. Cheap to clone and to hold, whatever its size.
#[derive(Clone, Debug)]
pub struct Spec(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    name: String,
    resolved_source: String,
    /// The `[task]` table, everything filled in that no axis sets.
    task: Value,
    /// The axes that multiply training, in the order of the file, and the space of their indices.
    outer: Vec<Group>,
    space: Space,
    shards: Shards,
    axes: Vec<String>,
    inner: Vec<Group>,
    sampler_axes: Vec<String>,
    sampler_coordinates: Vec<Vec<Value>>,
    /// `sampler_coordinates` as `resolve` takes them.
    samplers: Vec<Vec<Override>>,
    diagram: Diagram,
    requirement: Requirement,
    total: OnceLock<Cost>,
    /// The last point resolved, at the first seed. Seeds vary fastest, and most points differ from the last one asked for
    /// in nothing else: reading the table again would be most of what leasing a small task costs.
    recent: Mutex<Option<(u64, TaskConfig)>>,
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        (&a.name, a.requirement) == (&b.name, b.requirement)
            && (&a.task, &a.outer, &a.inner, &a.diagram) == (&b.task, &b.outer, &b.inner, &b.diagram)
    }
}

impl Spec {
    /// Reads a sweep file. `overrides` are "PATH=VALUE", with the value as in the file (a bare word will do for a string)
    /// and the path likewise: `task.train.steps=100`, `axes.seed.count=1`, `name=other`.
    ///
    /// # Errors
    /// Everything that is wrong, all at once.
    pub fn parse(source: &str, overrides: &[String]) -> Result<Self, SpecError> {
        Ok(Self(Arc::new(parse::parse(source, overrides)?)))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sweep file with defaults and presets filled in and overrides applied; parsing it gives an equal sweep.
    #[must_use]
    pub fn resolved_source(&self) -> &str {
        &self.0.resolved_source
    }

    /// The number of points. Axes of the samplers do not multiply it: a task carries all its samplers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.space.size()
    }

    /// The `[task]` table of the resolved sweep file: everything filled in that no axis sets.
    #[must_use]
    pub fn task_table(&self) -> &Value {
        &self.0.task
    }

    /// What is leased: the points, or the shards into which each is split.
    #[must_use]
    pub fn shards(&self) -> Shards {
        self.0.shards
    }

    /// The configuration of a point; of its first shard where it is split.
    ///
    /// # Errors
    /// If there is no such point, or if its values contradict each other where the check of the whole sweep could not
    /// look at every combination.
    pub fn task(&self, point: u64) -> Result<TaskConfig, SpecError> {
        self.0.task(point).map_err(|problems| {
            SpecError::new(problems.into_iter().map(|problem| Located { place: Place::File, problem }).collect())
        })
    }

    /// The configuration of the shard with this number.
    ///
    /// # Errors
    /// As for its point.
    pub fn shard(&self, number: u64) -> Result<TaskConfig, SpecError> {
        let (point, index) = self.0.shards.place(number);
        Ok(self.task(point)?.with_shard(index))
    }

    /// The dotted paths of the axes that multiply training, in the order of the file, the seed last.
    #[must_use]
    pub fn axes(&self) -> &[String] {
        &self.0.axes
    }

    /// A point's values, one an axis of [`Spec::axes`]; empty if there is no such point.
    #[must_use]
    pub fn coordinates(&self, point: u64) -> Vec<Value> {
        let mut values: Vec<_> = self.0.values(point).collect();
        values.sort_by_key(|(path, _)| *path == "seed");
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// The point that lies this share of the way along every axis at once, from 0 at their first values to 1 at their
    /// last; at the first seed.
    #[must_use]
    pub fn along(&self, share: f64) -> u64 {
        let Parts { outer, space, .. } = &*self.0;
        let index = |group: &Group| match group.is_seed() {
            true => 0,
            false => (share.clamp(0.0, 1.0) * (group.count - 1) as f64).round() as u64,
        };
        space.rank(&outer.iter().map(index).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// The dotted paths of the samplers' axes, such as `llc.step_size`.
    #[must_use]
    pub fn sampler_axes(&self) -> &[String] {
        &self.0.sampler_axes
    }

    /// The samplers' values, one row a sampler of a task and one value an axis of [`Spec::sampler_axes`]. Without such
    /// axes there is one empty row; without an `llc` table there is none.
    #[must_use]
    pub fn sampler_coordinates(&self) -> &[Vec<Value>] {
        &self.0.sampler_coordinates
    }

    /// How the sweep is drawn.
    #[must_use]
    pub fn diagram(&self) -> &Diagram {
        &self.0.diagram
    }

    /// What a worker must have to be given its points.
    #[must_use]
    pub fn requirement(&self) -> Requirement {
        self.0.requirement
    }

    /// An axis's values in order; `None` if there is no such axis, or if they are more than a million.
    #[must_use]
    pub fn axis_values(&self, path: &str) -> Option<&[Value]> {
        self.0.axis(path)?.listed()
    }

    /// How an axis is best drawn.
    #[must_use]
    pub fn axis_scale(&self, path: &str) -> Scale {
        self.0.axis(path).map_or(Scale::Categories, Axis::scale)
    }

    /// What the whole sweep is expected to cost. Summed up unless the axes that decide about it have more than 10⁵
    /// combinations, counted in shards; then it is the mean of 1000 evenly spread points, times the size.
    #[must_use]
    pub fn total_cost(&self) -> Cost {
        *self.0.total.get_or_init(|| self.sum_up())
    }

    /// The floating-point operations that the shard with this number is expected to take.
    #[must_use]
    pub fn work(&self, number: u64) -> f64 {
        self.shard(number).map(|config| Cost::of(&config).flops).unwrap_or_default()
    }

    /// What all shards of a point are expected to cost together.
    fn cost(&self, point: u64) -> Cost {
        self.0.task(point).map(|config| Cost::of_all_shards(&config)).unwrap_or_default()
    }

    fn sum_up(&self) -> Cost {
        // Axes that do not matter stay at their first value: each of their combinations costs the same.
        let Parts { outer, space, .. } = &*self.0;
        let matters = |group: &Group| group.any(work::depends_on);
        let digits: Vec<_> =
            outer.iter().map(|group| (group.pace(), if matters(group) { group.count } else { 1 })).collect();
        let Ok(deciding) = Space::new(&digits) else { return Cost::default() };
        let few = (MOST_SUMMED / u64::from(self.shards().of_each())).max(SAMPLE);
        let sampled = if deciding.size() <= few { deciding.size() } else { SAMPLE };
        let point = |i: u64| {
            let evenly = u128::from(i) * u128::from(deciding.size()) / u128::from(sampled);
            let digits = deciding.unrank(u64::try_from(evenly).unwrap_or_default());
            digits.and_then(|digits| space.rank(&digits)).unwrap_or_default()
        };
        let sum = (0..sampled).map(|i| self.cost(point(i))).fold(Cost::default(), |sum, cost| sum + cost);
        sum * (self.size() as f64 / sampled as f64)
    }
}

impl Parts {
    fn task(&self, point: u64) -> Result<TaskConfig, Vec<Problem>> {
        if point >= self.space.size() {
            let message = format!("point {point} lies beyond the sweep's {} points", self.space.size());
            return Err(vec![Problem::new("", message)]);
        }
        let mut digits = self.space.unrank(point).unwrap_or_default();
        let seed = self.outer.iter().position(Group::is_seed).map(|position| {
            let index = std::mem::take(&mut digits[position]);
            self.outer[position].axes[0].value(index)
        });
        let first = self.space.rank(&digits).unwrap_or(point);
        let mut config = self.at_first_seed(first)?;
        if let Some(seed) = seed.and_then(|seed| seed.as_u64()) {
            config.seed = seed;
        }
        Ok(config)
    }

    fn at_first_seed(&self, point: u64) -> Result<TaskConfig, Vec<Problem>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = recent.as_ref().filter(|(known, _)| *known == point) {
            return Ok(config.clone());
        }
        drop(recent);
        let mut table = self.task.clone();
        self.values(point).for_each(|(path, value)| put(&mut table, path, value));
        let config = resolve(&table, &self.samplers)?;
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Some((point, config.clone()));
        Ok(config)
    }

    /// The axes' values at a point, in the order of the file.
    fn values(&self, point: u64) -> impl Iterator<Item = (&'static str, Value)> {
        let digits = self.space.unrank(point).unwrap_or_default();
        self.outer.iter().zip(digits).flat_map(|(group, index)| group.values(index))
    }

    fn axis(&self, path: &str) -> Option<&Axis> {
        self.outer.iter().chain(&self.inner).flat_map(|group| &group.axes).find(|axis| axis.path == path)
    }
}
