//! A few tasks that stand for all of a sweep, where only some keys matter.

use phasegrid_proto::task::TaskConfig;

use super::Spec;
use super::axes::Group;
use super::axis::Axis;
use crate::space::{Pace, Space};

/// The most specimens that are tried.
const MOST: u64 = 500;

impl Spec {
    /// A task for every combination of values that the axes give the paths that `matter`, all else at its first value; of
    /// a range, which is a rule for numbers, the ends alone. `None` if that would be too many.
    #[must_use]
    pub fn specimens(&self, matter: fn(&str) -> bool) -> Option<Vec<TaskConfig>> {
        let outer = &self.0.outer;
        let choices: Vec<Vec<u64>> =
            outer.iter().map(|group| if group.any(matter) { values(group) } else { vec![0] }).collect();
        let counts: Vec<_> = choices.iter().map(|choices| (Pace::Middle, choices.len() as u64)).collect();
        let combinations = Space::new(&counts).ok().filter(|space| space.size() <= MOST)?;
        let task = |number| {
            let chosen = combinations.unrank(number)?;
            let digits: Vec<u64> = choices.iter().zip(chosen).map(|(choices, at)| choices[at as usize]).collect();
            // A combination that makes no sense is no task.
            self.0.task(self.0.space.rank(&digits)?).ok()
        };
        Some((0..combinations.size()).filter_map(task).collect())
    }
}

/// The indices of a group's values, or of its ends if they follow a rule.
fn values(group: &Group) -> Vec<u64> {
    if group.axes.iter().all(Axis::is_range) && group.count > 2 {
        vec![0, group.count - 1]
    } else {
        (0..group.count).collect()
    }
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::task::{Init, Model};

    use super::*;

    fn specimens(axes: &str) -> Option<Vec<TaskConfig>> {
        let source = format!(
            "name = \"small\"\n[task.data]\nkind = \"modular\"\nmodulus = 5\n[task.model]\nkind = \"quadratic\"\nwidth = 4\n\
             [task.train]\nsteps = 10\nlearning_rate = 0.1\n[axes]\n\"train.weight_decay\" = [0, 0.1, 0.2]\n{axes}"
        );
        let spec = Spec::parse(&source, &["task.data.train_fraction=0.5".to_owned()]);
        let spec = spec.unwrap_or_else(|error| panic!("{error}"));
        spec.specimens(|path| path.starts_with("model.") || path == "train.steps")
    }

    #[test]
    fn every_combination_of_what_matters_has_one() {
        let found =
            specimens("\"model.init\" = [\"zero\", \"normal\"]\n\"train.steps\" = { from = 0, to = 50, step = 10 }");
        let seen: Vec<_> = found.unwrap().iter().map(|task| (task.model.init(), task.train.steps)).collect();
        assert_eq!(seen, [(Init::Zero, 0), (Init::Zero, 50), (Init::Normal, 0), (Init::Normal, 50)]);
    }

    #[test]
    fn without_axes_that_matter_there_is_one_and_with_too_many_there_are_none() {
        let one = specimens("").unwrap();
        assert!(matches!(one[..], [TaskConfig { model: Model::Quadratic { width: 4, .. }, .. }]), "{one:?}");
        let widths: Vec<_> = (1..=501).map(|width| width.to_string()).collect();
        assert_eq!(specimens(&format!("\"model.width\" = [{}]", widths.join(", "))), None);
    }
}
