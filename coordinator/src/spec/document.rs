//! A sweep file as a tree of values that knows where each of them was said: TOML and overrides, before any meaning.

use phasegrid_proto::task::{KEYS, Problem, key, put};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Located, Place, Places, SpecError};

/// The keys of a sweep file's top level.
pub(super) const TOP_LEVEL: [&str; 6] = ["name", "task", "axes", "zip", "diagram", "resources"];

/// A sweep file with its overrides applied.
pub(super) struct Document {
    /// The values. Axes stand under their dotted paths, however the file spells them.
    pub(super) tree: Map<String, Value>,
    /// Where they were said.
    pub(super) places: Places,
    /// The paths that overrides have set.
    pub(super) overridden: Vec<String>,
}

impl Document {
    /// Reads a file and applies overrides to it, in their order.
    pub(super) fn read(source: &str, overrides: &[String]) -> Result<Self, SpecError> {
        let mut reader = Reader::new(source);
        let (root, errors) = DeTable::parse_recoverable(source);
        if !errors.is_empty() {
            let place = |error: &toml::de::Error| error.span().map_or(Place::File, |span| reader.line(span.start));
            let problem = |error: &toml::de::Error| Problem::new("", error.message().replace('\n', ", "));
            let mut located: Vec<_> =
                errors.iter().map(|error| Located { place: place(error), problem: problem(error) }).collect();
            // What follows an error in its line is mostly an echo of it.
            located.dedup_by_key(|located| located.place);
            return Err(SpecError::new(located));
        }
        let mut tree = reader.table("", root.get_ref());
        for (name, value) in &mut tree {
            match (name.as_str(), value) {
                ("axes", value @ Value::Object(_)) => reader.flatten(name, value),
                ("zip", Value::Array(zips)) => {
                    zips.iter_mut().enumerate().for_each(|(i, zip)| reader.flatten(&format!("zip[{i}]"), zip));
                }
                _ => {}
            }
        }
        let Reader { mut places, mut problems, .. } = reader;
        let mut overridden = Vec::new();
        for text in overrides {
            match set(&mut tree, text) {
                Ok(path) => {
                    places.overridden(&path);
                    overridden.push(path);
                }
                Err(problem) => {
                    places.insert(&problem.path, Place::Override);
                    problems.push(problem);
                }
            }
        }
        if problems.is_empty() { Ok(Self { tree, places, overridden }) } else { Err(places.locate(problems)) }
    }
}

/// Applies one override, "PATH=VALUE", and returns its path.
fn set(tree: &mut Map<String, Value>, text: &str) -> Result<String, Problem> {
    let Some((path, value)) = text.split_once('=') else {
        return Err(Problem::new(text, "is no override; accepted: PATH=VALUE, such as task.train.steps=100"));
    };
    let (path, value) = (path.trim(), override_value(path.trim(), value.trim())?);
    let (top, below) = path.split_once('.').map_or((path, None), |(top, below)| (top, Some(below)));
    match (top, below) {
        ("name" | "zip" | "axes" | "diagram" | "resources", None) => {
            tree.insert(top.to_owned(), value);
        }
        ("task" | "diagram" | "resources", Some(below)) => put(tree.entry(top).or_insert_with(empty), below, value),
        ("axes", Some(below)) => {
            let axes = tree.entry("axes").or_insert_with(empty);
            if !axes.is_object() {
                *axes = empty();
            }
            let axis = axis_of(axes, below);
            let place = &mut axes[axis.as_str()];
            match below[axis.len()..].strip_prefix('.') {
                Some(inner) => put(place, inner, value),
                None => *place = value,
            }
        }
        _ => {
            let hint = key(path).map(|key| format!(", did you mean task.{}?", key.path)).unwrap_or_default();
            let message =
                format!("unknown key{hint}; accepted: name, task.KEY, axes.KEY, zip, diagram.KEY and resources.KEY");
            return Err(Problem::new(path, message));
        }
    }
    Ok(path.to_owned())
}

/// Which axis `path` speaks of: the longest that the file or the schema knows, or else all of it.
fn axis_of(axes: &Value, path: &str) -> String {
    let known = axes.as_object().into_iter().flat_map(|axes| axes.keys().map(String::as_str));
    let known = known.chain(KEYS.iter().map(|key| key.path));
    let above = |axis: &&str| path.strip_prefix(axis).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    known.filter(above).max_by_key(|axis| axis.len()).unwrap_or(path).to_owned()
}

/// The value of an override: as in the file, or a bare word.
fn override_value(path: &str, text: &str) -> Result<Value, Problem> {
    let word = text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    if word && !["true", "false", "inf", "nan"].contains(&text) {
        return Ok(Value::String(text.to_owned()));
    }
    let refused =
        || Problem::refused(path, text, "a value as in a sweep file; words with other signs in them need quotes");
    let parsed = DeValue::parse(text).map_err(|_| refused())?;
    let mut reader = Reader::new(text);
    let value = reader.value(path, &parsed);
    match reader.problems.pop() {
        Some(problem) => Err(problem),
        None => Ok(value),
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// Turns TOML into values, noting where each stands.
struct Reader {
    newlines: Vec<usize>,
    places: Places,
    problems: Vec<Problem>,
}

impl Reader {
    fn new(source: &str) -> Self {
        let newlines = source.match_indices('\n').map(|(offset, _)| offset).collect();
        Self { newlines, places: Places::default(), problems: Vec::new() }
    }

    fn line(&self, offset: usize) -> Place {
        Place::Line(self.newlines.partition_point(|newline| *newline < offset) + 1)
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let mut values = Map::new();
        for (name, value) in table {
            let path = join(path, name.get_ref());
            self.places.insert(&path, self.line(name.span().start));
            values.insert(name.get_ref().to_string(), self.value(&path, value));
        }
        values
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Integer(whole) => {
                let (digits, radix) = (whole.as_str(), whole.radix());
                self.number(path, digits, i64::from_str_radix(digits, radix).map(Number::from).ok())
            }
            // Adding zero makes −0 the 0 that it equals, so that equal settings have equal digests.
            DeValue::Float(real) => {
                let number = real.as_str().parse::<f64>().ok().and_then(|real| Number::from_f64(real + 0.0));
                self.number(path, real.as_str(), number)
            }
            DeValue::Datetime(date) => {
                self.problems.push(Problem::refused(
                    path,
                    &date.to_string(),
                    "a word in quotes, a number, a list or a table",
                ));
                Value::Null
            }
            DeValue::Array(values) => {
                let mut element = |(i, value): (usize, &Spanned<DeValue<'_>>)| {
                    let path = format!("{path}[{i}]");
                    self.places.insert(&path, self.line(value.span().start));
                    self.value(&path, value)
                };
                Value::Array(values.iter().enumerate().map(&mut element).collect())
            }
            DeValue::Table(table) => Value::Object(self.table(path, table)),
        }
    }

    fn number(&mut self, path: &str, digits: &str, number: Option<Number>) -> Value {
        let number = number.map(Value::Number);
        number.unwrap_or_else(|| {
            self.problems.push(Problem::refused(path, digits, "a finite number; a whole one of up to 63 bits"));
            Value::Null
        })
    }

    /// Brings a table of axes to dotted paths: `train.weight_decay = …` and `"train.weight_decay" = …` mean the same.
    fn flatten(&mut self, path: &str, axes: &mut Value) {
        let Value::Object(nested) = axes else { return };
        let mut flat = Map::new();
        for (name, value) in std::mem::take(nested) {
            self.collect(path, name, value, &mut flat);
        }
        *nested = flat;
    }

    fn collect(&mut self, path: &str, name: String, value: Value, flat: &mut Map<String, Value>) {
        match value {
            // An axis is a list, or a table of numbers and words: a table that holds only such is one of axes.
            Value::Object(axes)
                if !axes.is_empty() && axes.values().all(|value| value.is_array() || value.is_object()) =>
            {
                axes.into_iter().for_each(|(below, value)| self.collect(path, join(&name, &below), value, flat));
            }
            _ if flat.contains_key(&name) => self.problems.push(twice(path, &name)),
            value => {
                flat.insert(name, value);
            }
        }
    }
}

/// The problem that the table of axes at `path` has the axis `name` a second time.
pub(super) fn twice(path: &str, name: &str) -> Problem {
    Problem::new(format!("{path}.{name}"), "is an axis already; accepted: each key once in all of [axes] and [[zip]]")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
