//! One axis: the values of one hyperparameter, as a list or as a rule that gives the i-th.

use std::sync::OnceLock;

use phasegrid_proto::task::{Key, Kind, Problem};
use serde_json::Value;

use super::range::Range;

/// What an axis is written as.
pub(super) const GRAMMAR: &str =
    "a list, { from, to, points }, { from, to, points, scale = \"log\" }, { from, to, step } or { from, count }";

/// The most values that are ever listed in full.
pub(super) const MOST_LISTED: u64 = 1_000_000;

/// The most values of a range that are kept once one of them was asked for.
const MOST_KEPT: u64 = 10_000;

/// How an axis is best drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly spaced numbers.
    Linear,
    /// Geometrically spaced numbers.
    Log,
    /// Anything else: one place a value.
    Categories,
}

/// A varied hyperparameter with its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The dotted path below `task`.
    pub(super) path: &'static str,
    /// The path in the sweep file.
    pub(super) place: String,
    values: Values,
    listed: OnceLock<Vec<Value>>,
}

/// A list, or a rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    List(Vec<Value>),
    Whole { from: u64, step: u64, count: u64 },
    Linear { from: f64, to: f64, points: u64 },
    Log { from: f64, to: f64, points: u64 },
}

impl PartialEq for Axis {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.values == other.values
    }
}

impl Axis {
    /// Reads the axis of `key` that stands at `place` of the sweep file.
    pub(super) fn read(key: &'static Key, place: String, source: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let values = match source {
            Value::Array(values) => list(key, &place, values, problems),
            Value::Object(range) => Range { key, place: &place, table: range, problems }.read(),
            other => {
                problems.push(Problem::refused(&place, other, GRAMMAR));
                None
            }
        }?;
        Some(Self { path: key.path, place, values, listed: OnceLock::new() })
    }

    /// The number of values, at least one.
    pub(super) fn count(&self) -> u64 {
        self.values.count()
    }

    /// The value at `index`, which is below [`Axis::count`].
    pub(super) fn value(&self, index: u64) -> Value {
        let kept = match self.values {
            // To round a number takes longer than to look it up, and tables ask for each as often as there are tasks.
            Values::Linear { points, .. } | Values::Log { points, .. } if points <= MOST_KEPT => self.listed(),
            _ => None,
        };
        let kept = kept.and_then(|values| values.get(usize::try_from(index).ok()?));
        kept.cloned().unwrap_or_else(|| self.values.at(index))
    }

    /// Where in the sweep file the value at `index` was said.
    pub(super) fn place_of(&self, index: u64) -> String {
        match self.values {
            Values::List(_) => format!("{}[{index}]", self.place),
            _ => self.place.clone(),
        }
    }

    /// Whether the values follow a rule, and are not written out; they are distinct by construction.
    pub(super) fn is_range(&self) -> bool {
        !matches!(self.values, Values::List(_))
    }

    /// Whether the values are numbers, each larger than the one before.
    pub(super) fn ascends(&self) -> bool {
        match &self.values {
            Values::List(values) => {
                let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
                numbers.is_some_and(|numbers| numbers.is_sorted())
            }
            _ => true,
        }
    }

    /// All values in order; `None` if they are too many to list.
    pub(super) fn listed(&self) -> Option<&[Value]> {
        match &self.values {
            Values::List(values) => Some(values),
            values if values.count() > MOST_LISTED => None,
            values => Some(self.listed.get_or_init(|| (0..values.count()).map(|index| values.at(index)).collect())),
        }
    }

    /// How the axis is best drawn.
    pub(super) fn scale(&self) -> Scale {
        match &self.values {
            Values::List(values) => spacing(values),
            Values::Whole { .. } | Values::Linear { .. } => Scale::Linear,
            Values::Log { .. } => Scale::Log,
        }
    }
}

impl Values {
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::List(values) => values.len() as u64,
            Self::Whole { count, .. } => *count,
            Self::Linear { points, .. } | Self::Log { points, .. } => *points,
        }
    }

    pub(super) fn at(&self, index: u64) -> Value {
        let share = |points: u64| index as f64 / (points - 1).max(1) as f64;
        match *self {
            Self::List(ref values) => {
                usize::try_from(index).ok().and_then(|index| values.get(index)).cloned().unwrap_or_default()
            }
            Self::Whole { from, step, .. } => Value::from(from + step * index),
            // The ends are exactly as written.
            Self::Linear { from, .. } | Self::Log { from, .. } if index == 0 => Value::from(from),
            Self::Linear { to, points, .. } | Self::Log { to, points, .. } if index + 1 == points => Value::from(to),
            Self::Linear { from, to, points } => Value::from(round(from + (to - from) * share(points))),
            Self::Log { from, to, points } => Value::from(round(from * (to / from).powf(share(points)))),
        }
    }
}

/// A number rounded to 15 significant digits, all that a decimal number surely keeps as a float: 0.3, and not
/// 0.30000000000000004.
pub(super) fn round(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn list(key: &Key, place: &str, values: &[Value], problems: &mut Vec<Problem>) -> Option<Values> {
    if values.is_empty() {
        problems.push(Problem::new(place, format!("an axis without values; accepted: {GRAMMAR}")));
        return None;
    }
    if values.len() as u64 > MOST_LISTED {
        let message =
            format!("a list of {} values; accepted: up to {MOST_LISTED}, or a range of any length", values.len());
        problems.push(Problem::new(place, message));
        return None;
    }
    let real = |value: &Value| value.as_f64().filter(|_| key.kind == Kind::Real).map(Value::from);
    let values: Vec<_> = values.iter().map(|value| real(value).unwrap_or_else(|| value.clone())).collect();
    Some(Values::List(values))
}

/// Even or geometric spacing of ascending numbers, to nine digits.
fn spacing(values: &[Value]) -> Scale {
    let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
    let even = |numbers: &[f64]| {
        let step = (numbers[numbers.len() - 1] - numbers[0]) / (numbers.len() - 1) as f64;
        step > 0.0 && numbers.windows(2).all(|pair| ((pair[1] - pair[0]) / step - 1.0).abs() < 1e-9)
    };
    match numbers {
        Some(numbers) if numbers.len() >= 2 && even(&numbers) => Scale::Linear,
        Some(numbers) if numbers.len() >= 2 && numbers.iter().all(|number| *number > 0.0) => {
            let logarithms: Vec<_> = numbers.iter().map(|number| number.ln()).collect();
            if even(&logarithms) { Scale::Log } else { Scale::Categories }
        }
        _ => Scale::Categories,
    }
}
