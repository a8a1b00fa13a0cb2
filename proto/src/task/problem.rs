//! What is wrong with a configuration, in the words of its author.

use std::fmt;

/// One thing that is wrong: the key's full path and a sentence that says what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted path in the sweep file, such as `task.model.width`.
    pub path: String,
    /// What is wrong and what is accepted; lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// What serde refused, below `root`.
    pub fn from_serde<E: fmt::Display>(root: &str, error: &serde_path_to_error::Error<E>) -> Self {
        let inner = error.path().to_string();
        let path = match (root, inner.as_str()) {
            (root, "." | "?") => root.to_owned(),
            ("", inner) => inner.to_owned(),
            (root, inner) => format!("{root}.{inner}"),
        };
        // serde_json adds its own position, which is that of the JSON and not of the file.
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self { path, message }
    }

    /// Notes a problem unless `holds`.
    pub(super) fn unless(problems: &mut Vec<Self>, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            problems.push(Self::new(path, message()));
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
