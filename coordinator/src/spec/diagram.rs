//! The `[diagram]` table: which axes span the phase diagram, and by which rule its cells get their phase.

use phasegrid_proto::task::Problem;
use serde_json::{Map, Value, json};

use super::PhaseRule;
use super::axis::MOST_LISTED;

/// How a sweep is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagram {
    /// The axis across; `None` if the sweep has none but seeds.
    pub x: Option<String>,
    /// The axis upwards; `None` if the sweep has no second one.
    pub y: Option<String>,
    /// How curves become phases.
    pub phases: PhaseRule,
}

impl Diagram {
    /// Reads the table, given the paths of all axes, outer before inner, how many values each has, and which advance
    /// together: without a word in it, the first two span the diagram that are not the seed, have not too many values to be
    /// drawn, and do not advance together, for then nothing lies off the diagonal.
    pub(super) fn read(
        value: Option<&Value>,
        axes: &[&str],
        count: impl Fn(&str) -> u64,
        together: impl Fn(&str, &str) -> bool,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let empty = Map::new();
        let table = match value {
            Some(Value::Object(table)) => table,
            None => &empty,
            Some(other) => {
                problems.push(Problem::refused("diagram", other, "a table with x, y and phases"));
                &empty
            }
        };
        let keys = ["x", "y", "phases"];
        let unknown = table.keys().filter(|key| !keys.contains(&key.as_str()));
        problems.extend(unknown.map(|key| Problem::unknown(format!("diagram.{key}"), key, keys)));
        let mut chosen = |key: &str| {
            let value = table.get(key)?;
            let path = format!("diagram.{key}");
            let axis = value.as_str().filter(|axis| axes.contains(axis));
            if let Some((axis, count)) = axis.map(|axis| (axis, count(axis))).filter(|(_, count)| *count > MOST_LISTED)
            {
                let message = format!("{axis} has {count} values; accepted: an axis of up to {MOST_LISTED}");
                problems.push(Problem::new(path, message));
            } else if axis.is_none() {
                problems.push(match axes {
                    [] => Problem::new(path, "there are no axes to draw; leave it out"),
                    axes => Problem::refused(path, value, &format!("an axis of this sweep: {}", axes.join(", "))),
                });
            }
            axis
        };
        let (x, y) = (chosen("x"), chosen("y"));
        if x.is_some() && x == y {
            problems.push(Problem::new("diagram.y", "is the axis of x already; accepted: another axis"));
        }
        let open = |axis: &&str| *axis != "seed" && count(axis) <= MOST_LISTED;
        let beside = |other: Option<&str>| {
            let apart = |axis: &&str| other.is_none_or(|other| *axis != other && !together(axis, other));
            axes.iter().copied().filter(open).find(apart)
        };
        let x = x.or_else(|| beside(y));
        let y = y.or_else(|| beside(x).filter(|_| x.is_some()));
        let phases = table.get("phases").and_then(|value| PhaseRule::read(value, problems)).unwrap_or_default();
        Self { x: x.map(str::to_owned), y: y.map(str::to_owned), phases }
    }

    /// The table that [`Diagram::read`] reads as this diagram.
    pub(super) fn to_value(&self) -> Value {
        let axes = [("x", &self.x), ("y", &self.y)];
        let axes = axes.into_iter().filter_map(|(key, axis)| Some((key.to_owned(), json!(axis.as_ref()?))));
        Value::Object(axes.chain([("phases".to_owned(), self.phases.to_value())]).collect())
    }
}
