//! By which rule a task's curves become a phase, with its thresholds. The rules themselves are applied when results are
//! read: changing a threshold never needs a new run.

use phasegrid_proto::task::Problem;
use serde_json::{Map, Value, json};

/// A rule with its thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PhaseRule {
    /// Liu et al. 2022 (arXiv 2205.10343): comprehension, grokking, memorisation, confusion.
    Liu2022(LiuThresholds),
    /// Cullen et al. (arXiv 2603.01192), figure 4: no generalisation, immediate generalisation, grokking.
    Cullen2026(CullenThresholds),
}

/// Thresholds of [`PhaseRule::Liu2022`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiuThresholds {
    /// Accuracy that counts as reached.
    pub accuracy: f64,
    /// Steps within which it has to be reached.
    pub within: u64,
    /// Steps between training and validation accuracy from which on it is grokking.
    pub delay: u64,
}

/// Thresholds of [`PhaseRule::Cullen2026`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CullenThresholds {
    /// Final validation accuracy from which on the task has generalised.
    pub generalised: f64,
    /// Largest gap between training and validation accuracy up to which generalisation is immediate.
    pub gap: f64,
}

impl Default for LiuThresholds {
    fn default() -> Self {
        Self { accuracy: 0.9, within: 100_000, delay: 1000 }
    }
}

impl Default for CullenThresholds {
    fn default() -> Self {
        Self { generalised: 0.90, gap: 0.15 }
    }
}

impl Default for PhaseRule {
    fn default() -> Self {
        Self::Liu2022(LiuThresholds::default())
    }
}

const PATH: &str = "diagram.phases";
const RULES: &str = "\"liu_2022\", \"cullen_2026\", or a table with one of them as rule and thresholds of one's own";

impl PhaseRule {
    /// Reads the value of `diagram.phases`: the name of a rule, or a table with the name and thresholds.
    pub(super) fn read(value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let empty = Map::new();
        let (rule, table) = match value {
            Value::Object(table) => (table.get("rule"), table),
            name => (Some(name), &empty),
        };
        let mut thresholds = Thresholds { table, problems };
        match rule.and_then(Value::as_str) {
            Some("liu_2022") => {
                thresholds.known(&["rule", "accuracy", "within", "delay"]);
                let default = LiuThresholds::default();
                Some(Self::Liu2022(LiuThresholds {
                    accuracy: thresholds.share("accuracy", default.accuracy),
                    within: thresholds.steps("within", default.within),
                    delay: thresholds.steps("delay", default.delay),
                }))
            }
            Some("cullen_2026") => {
                thresholds.known(&["rule", "generalised", "gap"]);
                let default = CullenThresholds::default();
                Some(Self::Cullen2026(CullenThresholds {
                    generalised: thresholds.share("generalised", default.generalised),
                    gap: thresholds.share("gap", default.gap),
                }))
            }
            _ => {
                problems.push(match rule {
                    Some(rule) => Problem::refused(PATH, rule, RULES),
                    None => Problem::new(format!("{PATH}.rule"), format!("is missing; accepted: {RULES}")),
                });
                None
            }
        }
    }

    /// The table that [`PhaseRule::read`] reads as this rule.
    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Liu2022(LiuThresholds { accuracy, within, delay }) => {
                json!({ "rule": "liu_2022", "accuracy": accuracy, "within": within, "delay": delay })
            }
            Self::Cullen2026(CullenThresholds { generalised, gap }) => {
                json!({ "rule": "cullen_2026", "generalised": generalised, "gap": gap })
            }
        }
    }
}

struct Thresholds<'a> {
    table: &'a Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Thresholds<'_> {
    fn known(&mut self, keys: &[&str]) {
        let unknown = self.table.keys().filter(|key| !keys.contains(&key.as_str()));
        self.problems.extend(unknown.map(|key| Problem::unknown(format!("{PATH}.{key}"), key, keys.iter().copied())));
    }

    fn share(&mut self, key: &str, default: f64) -> f64 {
        let accepted = |value: &Value| value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        self.read(key, default, accepted, "a number from 0 to 1")
    }

    fn steps(&mut self, key: &str, default: u64) -> u64 {
        self.read(key, default, Value::as_u64, "a whole number of steps")
    }

    fn read<T>(&mut self, key: &str, default: T, read: impl Fn(&Value) -> Option<T>, accepted: &str) -> T {
        let Some(value) = self.table.get(key) else { return default };
        read(value).unwrap_or_else(|| {
            self.problems.push(Problem::refused(format!("{PATH}.{key}"), value, accepted));
            default
        })
    }
}
