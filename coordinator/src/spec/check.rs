//! Refuses contradictions before anything runs: every value of every axis is tried against the first values of the
//! others, and all combinations of those axes whose settings have to suit each other.

use std::collections::HashMap;

use phasegrid_proto::task::{Override, Problem, SELECTORS, put, resolve};
use serde_json::Value;

use super::axes::{Axes, Group, is_inner, overlap};
use super::axis::Axis;
use crate::space::{Pace, Space};

/// The most combinations that are tried one by one.
const MOST_COMBINATIONS: u64 = 100_000;

/// The most values of a range that are tried one by one; of a longer one the ends are. Whatever a key accepts of numbers
/// is an interval, alone and together with others, so that the ends tell for what lies between.
const MOST_VALUES: u64 = 1000;

/// A task table with its axes, to be tried at some of their values.
pub(super) struct Check<'a> {
    task: &'a Value,
    groups: Vec<&'a Group>,
}

/// A problem, the combination that has it, and how many others have one at the same path.
struct Finding {
    problem: Problem,
    indices: Vec<u64>,
    others: u64,
}

/// The groups that decide whether the first values have a problem, and how many of their other values have it too.
type Blame = HashMap<String, (Vec<usize>, u64)>;

impl<'a> Check<'a> {
    /// The check of this task table with these axes.
    pub(super) fn new(task: &'a Value, axes: &'a Axes) -> Self {
        Self { task, groups: axes.outer.iter().chain(&axes.inner).collect() }
    }

    /// Everything that is wrong.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let first = vec![0; self.groups.len()];
        let base = self.at(&first);
        let mut blame = Blame::new();
        let mut problems = Vec::new();
        for position in 0..self.groups.len() {
            let findings = self.singles(position, &base, &mut blame);
            problems.extend(findings.into_iter().map(|finding| self.told(finding, &[position], "value")));
        }
        for problem in base {
            let (blamed, others) = blame.get(&problem.path).cloned().unwrap_or_default();
            problems.push(self.told(Finding { problem, indices: first.clone(), others }, &blamed, "value"));
        }
        if problems.is_empty() {
            problems.extend(self.products(is_inner));
            problems.extend(self.products(crosses));
        }
        problems
    }

    /// What is wrong with the values of one group beside the first values of the others, unless it is `base`, which is
    /// wrong with the first value already.
    fn singles(&self, position: usize, base: &[Problem], blame: &mut Blame) -> Vec<Finding> {
        let mut found = Findings::default();
        for index in self.tried(self.groups[position]) {
            let mut indices = vec![0; self.groups.len()];
            indices[position] = index;
            let problems = self.at(&indices);
            for problem in base.iter().filter(|problem| !problems.contains(problem)) {
                let (blamed, others) = blame.entry(problem.path.clone()).or_default();
                if blamed.last() != Some(&position) {
                    blamed.push(position);
                }
                *others += u64::from(problems.iter().any(|other| other.path == problem.path));
            }
            let fresh = problems.into_iter().filter(|problem| base.iter().all(|known| known.path != problem.path));
            fresh.for_each(|problem| found.add(problem, &indices));
        }
        found.0
    }

    /// What is wrong with combinations of the groups that have an axis at a path that `takes_part`.
    fn products(&self, takes_part: fn(&str) -> bool) -> Vec<Problem> {
        let positions: Vec<_> = (0..self.groups.len()).filter(|i| self.groups[*i].any(takes_part)).collect();
        let mut choices: Vec<Vec<u64>> = positions.iter().map(|i| self.tried(self.groups[*i])).collect();
        choices.iter_mut().for_each(|choices| choices.insert(0, 0));
        let size = |choices: &[Vec<u64>]| choices.iter().map(|choices| choices.len() as f64).product::<f64>();
        if size(&choices) > MOST_COMBINATIONS as f64 {
            for (choices, position) in choices.iter_mut().zip(&positions) {
                if matches!(self.groups[*position].axes.as_slice(), [axis] if axis.ascends()) {
                    *choices = vec![0, self.groups[*position].count - 1];
                }
            }
        }
        let digits: Vec<_> = choices.iter().map(|choices| (Pace::Middle, choices.len() as u64)).collect();
        let Ok(space) = Space::new(&digits) else { return Vec::new() };
        let mut found = Findings::default();
        for point in spread(space.size(), MOST_COMBINATIONS) {
            let mut indices = vec![0; self.groups.len()];
            for ((digit, choices), position) in space.unrank(point).iter().flatten().zip(&choices).zip(&positions) {
                indices[*position] = usize::try_from(*digit).map_or(0, |digit| choices[digit]);
            }
            // Those that leave the first values at one place only are known to be well.
            if indices.iter().filter(|index| **index != 0).count() > 1 {
                self.at(&indices).into_iter().for_each(|problem| found.add(problem, &indices));
            }
        }
        found.0.into_iter().map(|finding| self.told(finding, &positions, "combination")).collect()
    }

    /// What is wrong with one combination.
    fn at(&self, indices: &[u64]) -> Vec<Problem> {
        let mut table = self.task.clone();
        let mut sampler = Vec::new();
        for (path, value) in self.groups.iter().zip(indices).flat_map(|(group, index)| group.values(*index)) {
            if is_inner(path) {
                sampler.push(Override { path: path.to_owned(), value });
            } else {
                put(&mut table, path, value);
            }
        }
        resolve(&table, &[sampler]).err().unwrap_or_default()
    }

    /// The indices of a group to be tried beside the first.
    fn tried(&self, group: &Group) -> Vec<u64> {
        match group.axes.as_slice() {
            [axis] if axis.is_range() && group.count > MOST_VALUES => vec![group.count - 1],
            axes if axes.iter().all(Axis::is_range) => spread(group.count, MOST_VALUES).filter(|i| *i > 0).collect(),
            _ => (1..group.count).collect(),
        }
    }

    /// The problem as it is told: at the axis whose value it is about, if there is one, and with the values of the other
    /// groups that have a part in it.
    fn told(&self, finding: Finding, blamed: &[usize], others: &str) -> Problem {
        let Finding { problem: Problem { mut path, mut message }, indices, others: count } = finding;
        let about = path.strip_prefix("task.").map(str::to_owned).unwrap_or_default();
        let axes =
            || self.groups.iter().zip(&indices).flat_map(|(group, index)| group.axes.iter().map(|axis| (axis, *index)));
        let own = axes().find(|(axis, _)| overlap(axis.path, &about));
        if let Some((axis, index)) = own {
            path = axis.place_of(index);
        }
        let named = blamed.iter().flat_map(|position| self.groups[*position].values(indices[*position]));
        let named = named.filter(|(path, _)| own.is_none_or(|(axis, _)| axis.path != *path));
        let named: Vec<_> = named.map(|(path, value)| format!("{path} = {value}")).collect();
        let rest = (count > 0).then(|| format!("{count} other {others}{}", if count == 1 { "" } else { "s" }));
        match (named.is_empty(), rest) {
            (true, None) => {}
            (true, Some(rest)) => message.push_str(&format!(" (also {rest})")),
            (false, None) => message.push_str(&format!(" (at {})", named.join(", "))),
            (false, Some(rest)) => message.push_str(&format!(" (at {}; also at {rest})", named.join(", "))),
        }
        Problem { path, message }
    }
}

/// The first problem at each path, and the number of the others.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, problem: Problem, indices: &[u64]) {
        match self.0.iter_mut().find(|known| known.problem.path == problem.path) {
            Some(known) => known.others += 1,
            None => self.0.push(Finding { problem, indices: indices.to_vec(), others: 0 }),
        }
    }
}

/// Whether the value at this path has to suit values at other paths.
fn crosses(path: &str) -> bool {
    let paths = ["train.batch_size", "train.steps", "llc.batch_size", "llc.nbeta"];
    let sections = ["data", "model", "checkpoints", "geometry"];
    SELECTORS.contains(&path)
        || paths.contains(&path)
        || path.split('.').next().is_some_and(|section| sections.contains(&section))
}

/// At most `most` numbers out of 0..size, evenly spread, both ends among them.
fn spread(size: u64, most: u64) -> impl Iterator<Item = u64> {
    let count = size.min(most);
    let at = move |i: u64| (u128::from(i) * u128::from(size - 1) / u128::from((count - 1).max(1))) as u64;
    (0..count).map(at)
}
