//! What is wrong with a sweep file, each problem with the place at which its author can mend it.

use std::collections::HashMap;
use std::fmt;

use phasegrid_proto::task::Problem;

/// Why a sweep was refused: everything that is wrong, one problem a line, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(problems))]
pub struct SpecError {
    problems: Vec<Located>,
}

/// A problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where to look.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// Where something in a sweep was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere in particular: something is missing that would stand at the file's top level.
    File,
    /// In this line, the first being 1.
    Line(usize),
    /// In an override, such as the command line's `--set`.
    Override,
}

impl SpecError {
    /// The error with these problems.
    pub(super) fn new(mut problems: Vec<Located>) -> Self {
        problems.sort_by_key(|located| located.place);
        problems.dedup();
        Self { problems }
    }

    /// The problems, in the order of the file; overrides come last.
    #[must_use]
    pub fn problems(&self) -> &[Located] {
        &self.problems
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::File => {}
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Override => f.write_str("override: ")?,
        }
        match self.problem.path.as_str() {
            "" => f.write_str(&self.problem.message),
            _ => self.problem.fmt(f),
        }
    }
}

fn lines(problems: &[Located]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Where each path of a sweep was said.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<String, Place>);

impl Places {
    /// Notes that `path` stands at `place`.
    pub(super) fn insert(&mut self, path: &str, place: Place) {
        self.0.insert(path.to_owned(), place);
    }

    /// Notes that an override has set `path`, and with it whatever lies below or had to be created above it.
    pub(super) fn overridden(&mut self, path: &str) {
        self.0.retain(|known, _| !known.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '['])));
        self.insert(path, Place::Override);
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('.') {
            self.0.entry(parent.to_owned()).or_insert(Place::Override);
            above = parent;
        }
    }

    /// The place of `path`, or that of the nearest path above it.
    pub(super) fn find(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            match (self.0.get(path), path.rfind(['.', '['])) {
                (Some(place), _) => return *place,
                (None, Some(end)) => path = &path[..end],
                (None, None) => return Place::File,
            }
        }
    }

    /// The error with these problems, each at its place.
    pub(super) fn locate(&self, problems: Vec<Problem>) -> SpecError {
        let locate = |problem: Problem| Located { place: self.find(&problem.path), problem };
        SpecError::new(problems.into_iter().map(locate).collect())
    }
}
