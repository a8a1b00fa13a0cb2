//! Reads one table of a configuration key by key: what is wrong is noted, and reading goes on.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Problem, schema};

/// A table, with its path and the list to which its problems go.
pub(super) struct Section<'a> {
    path: String,
    table: &'a Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// Opens the table `value` at `path`, which is `task` or starts with `task.`; keys outside the schema are noted.
    pub(super) fn open(path: &str, value: &'a Value, problems: &'a mut Vec<Problem>) -> Option<Self> {
        let Some(table) = value.as_object() else {
            problems.push(schema::refused(path, value));
            return None;
        };
        let known = children(path.strip_prefix("task").unwrap_or(path).trim_start_matches('.'));
        let unknown = table.keys().filter(|key| !known.contains(&key.as_str()));
        problems.extend(unknown.map(|key| Problem::unknown(format!("{path}.{key}"), key, known.iter().copied())));
        Some(Self { path: path.to_owned(), table, problems })
    }

    /// The table `key` of this table; `None` if it is not there or no table.
    pub(super) fn table(&mut self, key: &str) -> Option<Section<'_>> {
        let value = self.table.get(key)?;
        Section::open(&format!("{}.{key}", self.path), value, self.problems)
    }

    /// The table `key` of this table; `why` tells what needs it if it is not there.
    pub(super) fn required_table(&mut self, key: &str, why: &str) -> Option<Section<'_>> {
        if !self.has(key) {
            self.missing(key, why);
        }
        self.table(key)
    }

    /// The value of `key`; `None` if it is not there or not accepted.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.table.get(key)?;
        let read = T::deserialize(value).ok();
        if read.is_none() {
            self.problems.push(schema::refused(&format!("{}.{key}", self.path), value));
        }
        read
    }

    /// The value of `key`, or else `default`; `None` if it is not accepted.
    pub(super) fn or<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Option<T> {
        if self.has(key) { self.optional(key) } else { Some(default) }
    }

    /// The value of `key`, or else `default`; `why` tells what needs it if there is neither.
    pub(super) fn required<T: DeserializeOwned>(&mut self, key: &str, default: Option<T>, why: &str) -> Option<T> {
        match default {
            _ if self.has(key) => self.optional(key),
            None => {
                self.missing(key, why);
                None
            }
            default => default,
        }
    }

    fn missing(&mut self, key: &str, why: &str) {
        self.problems.push(Problem::new(format!("{}.{key}", self.path), format!("is missing; {why} needs it")));
    }

    /// Notes every one of `keys` that is there although `why` has no use for it.
    pub(super) fn refuse(&mut self, keys: &[&str], why: &str) {
        let present = keys.iter().filter(|key| self.table.contains_key(**key));
        let problem = |key| Problem::new(key, format!("does not belong to {why}; leave it out"));
        self.problems.extend(present.map(|key| problem(format!("{}.{key}", self.path))));
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
}

/// The keys that may stand directly in the table at `path`; a table that the schema does not know has none.
fn children(path: &str) -> &'static [&'static str] {
    static CHILDREN: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
        let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
        for key in &schema::KEYS {
            // From the whole path `a.b.c`: c stands in a.b, b in a, and a in the task's own table.
            let mut path = key.path;
            loop {
                let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
                let siblings = children.entry(above).or_default();
                if !siblings.contains(&name) {
                    siblings.push(name);
                }
                match above {
                    "" => break,
                    above => path = above,
                }
            }
        }
        children
    });
    CHILDREN.get(path).map_or(&[], Vec::as_slice)
}
