//! The steps of a trajectory at which measurements are made.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use super::Problem;

/// The most checkpoints that a task may ask for; with the first and the last step, which are always there, its records.
pub const MOST_CHECKPOINTS: u64 = 100_000;

/// A set of steps. Except for an explicit list, the first and the last step always belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoints {
    /// Every so many steps.
    Every(u64),
    /// About so many steps, logarithmically spaced.
    Log(u32),
    /// These steps.
    List(Vec<u64>),
}

impl Checkpoints {
    /// The steps of a training of `total` steps, ascending and distinct.
    #[must_use]
    pub fn steps(&self, total: u64) -> Vec<u64> {
        let mut steps = match self {
            Self::Every(every) => {
                (0..=total).step_by(usize::try_from(*every).unwrap_or(usize::MAX).max(1)).chain([total]).collect()
            }
            Self::Log(points) => {
                let intervals = f64::from(points.saturating_sub(1).max(1));
                let logarithmic = |i: u32| (total as f64).powf(f64::from(i) / intervals).round() as u64;
                if total == 0 {
                    vec![0]
                } else {
                    [0].into_iter().chain((0..*points).map(logarithmic)).chain([total]).collect()
                }
            }
            Self::List(steps) => steps.clone(),
        };
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    pub(super) fn check(&self, path: &str, total: u64, problems: &mut Vec<Problem>) {
        match self {
            Self::Every(every) => {
                Problem::unless(problems, *every >= 1, &format!("{path}.every"), || {
                    "0 is not accepted; accepted: a whole number, 1 or more".to_owned()
                });
                let fits = total.checked_div(*every).is_none_or(|count| count <= MOST_CHECKPOINTS);
                Problem::unless(problems, fits, &format!("{path}.every"), || {
                    format!(
                        "every {every} of {total} steps are too many checkpoints; accepted: up to {MOST_CHECKPOINTS} of them"
                    )
                });
            }
            Self::Log(points) => {
                Problem::unless(problems, (2..=10_000).contains(points), &format!("{path}.log"), || {
                    format!("{points} is not accepted; accepted: a whole number from 2 to 10000")
                });
            }
            Self::List(steps) => {
                Problem::unless(problems, !steps.is_empty() && steps.len() as u64 <= MOST_CHECKPOINTS, path, || {
                    format!("a list of {} steps is not accepted; accepted: 1 to {MOST_CHECKPOINTS} steps", steps.len())
                });
                Problem::unless(problems, steps.iter().all(|step| *step <= total), path, || {
                    let last = steps.iter().max().copied().unwrap_or_default();
                    format!("step {last} lies beyond the end; accepted: 0 to train.steps = {total}")
                });
            }
        }
    }
}

impl Serialize for Checkpoints {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |serializer: S, key: &str, value: u64| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(key, &value)?;
            map.end()
        };
        match self {
            Self::Every(every) => entry(serializer, "every", *every),
            Self::Log(points) => entry(serializer, "log", u64::from(*points)),
            Self::List(steps) => steps.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Checkpoints {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Checkpoints;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{ every = STEPS }, { log = POINTS } or a list of steps")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Checkpoints, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(Checkpoints::List)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Checkpoints, A::Error> {
                use serde::de::Error;
                let one = match map.next_key::<String>()?.as_deref() {
                    Some("every") => Checkpoints::Every(map.next_value()?),
                    Some("log") => Checkpoints::Log(map.next_value()?),
                    Some(other) => return Err(A::Error::unknown_field(other, &["every", "log"])),
                    None => return Err(A::Error::invalid_length(0, &self)),
                };
                match map.next_key::<String>()? {
                    None => Ok(one),
                    Some(_) => Err(A::Error::custom("accepted: either `every` or `log`, not both")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
