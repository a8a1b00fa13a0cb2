//! Why a point waits, where it runs and what happened to it: what the scheduler knows now, beside what the store remembers.

use std::time::SystemTime;

use super::desk::{Desk, say};
use super::{Coordinator, Refusal};
use crate::clock;
use crate::scheduler::{Moment, Standing};
use crate::store::History;

/// A point and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The axes' paths and the point's values on them, as the sweep file would have them. Empty if this release cannot read
    /// the sweep.
    pub axes: Vec<(String, String)>,
    /// Its shards in their order; the point itself, where points are not split.
    pub shards: Vec<ShardAccount>,
}

/// One shard of a point, or a point that is not split.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardAccount {
    /// Where it is.
    pub standing: Standing,
    /// When the worker that holds it got it, by the machine's clock.
    pub held_since: Option<SystemTime>,
    /// What happened to it.
    pub history: History,
}

impl Coordinator {
    /// Why a point waits, where it runs and what happened to it.
    ///
    /// # Errors
    /// If there is no such sweep, or it has no such point.
    pub async fn explain(&self, id: &str, point: u64) -> Result<Explanation, Refusal> {
        let id = id.to_owned();
        let look = move |desk: &mut Desk, now: Moment| {
            let key = desk.key(&id)?;
            let shards = desk.shards(key);
            let points = shards.count() / u64::from(shards.of_each());
            if point >= points {
                return Err(Refusal::NotFound(format!("there is no point {point} in {id}: it has {points}, from 0")));
            }
            let numbers = shards.first(point)..shards.first(point + 1);
            let standing = |number| Ok((number, desk.scheduler.explain(key, number, now)?));
            let standings = numbers.map(standing).collect::<Result<Vec<_>, Refusal>>()?;
            say((key, desk.spec(key).ok().cloned(), standings, now))
        };
        let (key, spec, standings, now) = self.decide(look).await?;
        let axes = spec.map(|spec| {
            let values = spec.coordinates(point).into_iter().map(|value| value.to_string());
            spec.axes().iter().cloned().zip(values).collect()
        });
        let time_of_day = clock::now();
        let mut shards = Vec::new();
        for (number, standing) in standings {
            let (lease, since) = match standing {
                Standing::Held { lease, since, .. } => (Some(lease), Some(time_of_day - now.saturating_sub(since))),
                _ => (None, None),
            };
            let history = self.read(move |reader| reader.history(key, number, lease)).await?;
            shards.push(ShardAccount { standing, held_since: history.granted.or(since), history });
        }
        Ok(Explanation { axes: axes.unwrap_or_default(), shards })
    }
}
