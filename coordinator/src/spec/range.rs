//! Axes that are written as a table: from where to where, in how many or how large steps.

use phasegrid_proto::task::{Key, Kind, Problem};
use serde_json::{Map, Value};

use super::axis::{GRAMMAR, Scale, Values, round};

/// An axis that is written as a table.
pub(super) struct Range<'a> {
    pub(super) key: &'static Key,
    pub(super) place: &'a str,
    pub(super) table: &'a Map<String, Value>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Range<'_> {
    /// Its values; `None` where `problems` says why.
    pub(super) fn read(self) -> Option<Values> {
        const KEYS: [&str; 6] = ["from", "to", "points", "step", "count", "scale"];
        let before = self.problems.len();
        let unknown = self.table.keys().filter(|key| !KEYS.contains(&key.as_str()));
        self.problems.extend(unknown.map(|key| Problem::unknown(format!("{}.{key}", self.place), key, KEYS)));
        if self.problems.len() > before {
            return None;
        }
        if self.key.kind == Kind::Other {
            let message = format!("a range gives numbers; accepted: a list, each of its values {}", self.key.accepted);
            self.problems.push(Problem::new(self.place, message));
            return None;
        }
        let scale = match self.table.get("scale") {
            None => Scale::Linear,
            Some(Value::String(word)) if word == "linear" => Scale::Linear,
            Some(Value::String(word)) if word == "log" => Scale::Log,
            Some(other) => return self.refuse("scale", other, "\"linear\" or \"log\""),
        };
        let has = |key: &str| self.table.contains_key(key);
        match (has("to"), has("points"), has("step"), has("count"), has("scale")) {
            (true, true, false, false, _) => self.points(scale),
            (true, false, true, false, false) => self.steps(),
            (false, false, false, true, false) => self.counted(),
            _ => {
                let keys: Vec<_> = self.table.keys().map(String::as_str).collect();
                let message = format!("{} make no axis; accepted: {GRAMMAR}", keys.join(", "));
                self.problems.push(Problem::new(self.place, message));
                None
            }
        }
    }

    fn points(mut self, scale: Scale) -> Option<Values> {
        let (from, to, points) = (self.number("from"), self.number("to"), self.positive("points"));
        let (from, to, points) = (from?, to?, points?);
        if from >= to {
            return self.refuse("to", to, &format!("a number above from = {from}"));
        }
        if scale == Scale::Log && from <= 0.0 {
            return self.refuse("from", from, "with scale = \"log\" a number above 0");
        }
        self.fit(match scale {
            Scale::Log => Values::Log { from, to, points },
            _ => Values::Linear { from, to, points },
        })
    }

    fn steps(mut self) -> Option<Values> {
        let (from, to, step) = (self.number("from"), self.number("to"), self.number("step"));
        let (from, to, step) = (from?, to?, step?);
        if step <= 0.0 {
            return self.refuse("step", step, "a number above 0");
        }
        if from > to {
            return self.refuse("to", to, &format!("a number from from = {from} on"));
        }
        // The end belongs to the range if it is hit, whatever the last digit of the quotient says.
        let intervals = ((to - from) / step * (1.0 + 1e-12) + 1e-12).floor();
        let to = round(from + intervals * step);
        self.fit(Values::Linear { from, to, points: (intervals as u64).saturating_add(1) })
    }

    fn counted(mut self) -> Option<Values> {
        let (from, count) = (self.number("from"), self.positive("count"));
        let (from, count) = (from?, count?);
        self.fit(Values::Linear { from, to: from + (count - 1) as f64, points: count })
    }

    /// The values as the key takes them.
    fn fit(self, values: Values) -> Option<Values> {
        // 2^53: beyond it floats skip whole numbers.
        let whole = |number: f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
        let refused = match values {
            // Neighbours have to differ within the 15 digits to which values are rounded.
            Values::Linear { from, to, points } | Values::Log { from, to, points }
                if points > 1 && (to - from) / (points as f64) < 1e-14 * from.abs().max(to.abs()) =>
            {
                let message = format!("its {points} values are too close to tell apart; accepted: fewer");
                Problem::new(self.place, message)
            }
            values if self.key.kind == Kind::Real => return Some(values),
            Values::Linear { from, to, points } => {
                let step = (to - from) / (points - 1).max(1) as f64;
                if whole(from) && whole(step) && whole(to) {
                    return Some(Values::Whole { from: from as u64, step: step as u64, count: points });
                }
                let values = [from, from + step];
                let broken = values.iter().find(|value| !whole(**value)).unwrap_or(&to);
                Problem::refused(self.place, broken, self.key.accepted)
            }
            values => {
                // A geometric series of whole numbers ends soon: each but the first has a further factor.
                let number = |index: u64| values.at(index).as_f64().unwrap_or(f64::NAN);
                match (0..values.count()).map(number).find(|value| !whole(*value)) {
                    None => {
                        return Some(Values::List((0..values.count()).map(|i| (number(i) as u64).into()).collect()));
                    }
                    Some(broken) => Problem::refused(self.place, &broken, self.key.accepted),
                }
            }
        };
        self.problems.push(refused);
        None
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        self.get(key, Value::as_f64, "a number")
    }

    fn positive(&mut self, key: &str) -> Option<u64> {
        self.get(key, |value| value.as_u64().filter(|number| *number > 0), "a whole number, 1 or more")
    }

    fn get<T>(&mut self, key: &str, read: impl Fn(&Value) -> Option<T>, accepted: &str) -> Option<T> {
        let path = format!("{}.{key}", self.place);
        let problem = match self.table.get(key) {
            None => Problem::new(path, format!("is missing; accepted: {accepted}")),
            Some(value) => match read(value) {
                None => Problem::refused(path, value, accepted),
                found => return found,
            },
        };
        self.problems.push(problem);
        None
    }

    fn refuse(self, key: &str, value: impl serde::Serialize, accepted: &str) -> Option<Values> {
        self.problems.push(Problem::refused(format!("{}.{key}", self.place), &value, accepted));
        None
    }
}
