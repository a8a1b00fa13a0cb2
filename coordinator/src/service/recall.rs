//! Results that are there already. A task's digest names its result, whichever sweep asks for it: what one sweep has computed,
//! another is given when the point would be leased.

use std::collections::HashSet;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;

use super::catalogue::MOST_WEIGHED;
use super::{Coordinator, Outcome, Refusal, Verdict};
use crate::scheduler::SweepKey;
use crate::spec::Spec;
use crate::store::{Reader, StoreError, Write};
use crate::work::Cost;

/// Floating-point operations of the smallest task that is remembered, some milliseconds: less is computed sooner than looked
/// up and written down.
const LEAST_WORK: f64 = 1e8;

/// A task's digest, if its result is worth remembering.
pub(super) fn digest(config: &TaskConfig) -> Option<String> {
    (Cost::of(config).flops >= LEAST_WORK).then(|| config.digest())
}

/// How many of a sweep's points have a result already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Points of the sweep, or shards where points are split.
    pub size: u64,
    /// Those whose result is there; `None` of sweeps too large to look at each point.
    pub known: Option<u64>,
}

impl Coordinator {
    /// Finishes those of a lease's points whose results are there, and notes where those of the others will be. Answers
    /// which points have ended.
    pub(super) async fn recall(
        &self,
        token: &str,
        sweep: SweepKey,
        wanted: Vec<(u64, String)>,
    ) -> Result<HashSet<u64>, Refusal> {
        if wanted.is_empty() {
            return Ok(HashSet::new());
        }
        let (points, digests): (Vec<u64>, Vec<String>) = wanted.into_iter().unzip();
        let look = move |reader: &mut dyn Reader| Ok((recorded(reader, &digests)?, digests));
        let (found, digests) = self.read(look).await?;
        let (mut recalled, mut contents) = (Vec::new(), Vec::new());
        for ((point, digest), found) in points.into_iter().zip(digests).zip(found) {
            match found {
                Some(records) => recalled.push((point, records)),
                None => contents.push(Write::Content { digest, sweep, point }),
            }
        }
        if !contents.is_empty() {
            self.decide(move |_, _| Ok((contents, ()))).await?;
        }
        let mut outcomes = Vec::new();
        for (point, records) in recalled {
            let count = records.len() as u64;
            // A lease that has ended meanwhile has no point to finish.
            if self.report(token, vec![(point, records)]).await? == Verdict::Accepted {
                outcomes.push((point, Outcome::Completed { records: count }));
            }
        }
        let ended: HashSet<u64> = outcomes.iter().map(|(point, _)| *point).collect();
        if !outcomes.is_empty() {
            tracing::info!(points = outcomes.len(), token, "results of an earlier sweep were taken over");
            self.finish(token, outcomes).await?;
        }
        Ok(ended)
    }

    /// How many results of a sweep that is not there yet are known.
    ///
    /// # Errors
    /// If the sweep file is refused, with everything that is wrong with it.
    pub async fn known(&self, source: &str, overrides: &[String]) -> Result<Known, Refusal> {
        let (source, overrides) = (source.to_owned(), overrides.to_owned());
        let digests = move || -> Result<(u64, Option<Vec<String>>), Refusal> {
            let refused = |error: crate::spec::SpecError| Refusal::InvalidArgument(error.to_string());
            let spec = Spec::parse(&source, &overrides).map_err(refused)?;
            let size = spec.shards().count();
            let each = || (0..size).filter_map(|number| digest(&spec.shard(number).ok()?)).collect();
            Ok((size, (size <= MOST_WEIGHED).then(each)))
        };
        let digests = tokio::task::spawn_blocking(digests).await.map_err(|_| Refusal::unreachable())?;
        let (size, digests) = digests?;
        let Some(digests) = digests else { return Ok(Known { size, known: None }) };
        let count = move |reader: &mut dyn Reader| {
            let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
            Ok(reader.contents(&digests)?.into_iter().flatten().count() as u64)
        };
        Ok(Known { size, known: Some(self.read(count).await?) })
    }
}

/// The records of each digest's result, if it is there.
fn recorded(reader: &mut dyn Reader, digests: &[String]) -> Result<Vec<Option<Vec<v1::Record>>>, StoreError> {
    let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
    let places = reader.contents(&digests)?;
    let mut records = |place: Option<(SweepKey, u64)>| {
        let Some((sweep, point)) = place else { return Ok(None) };
        let mut results = reader.results(sweep, point, 1)?;
        Ok(results.pop().filter(|result| result.point == point).map(|result| result.records))
    };
    places.into_iter().map(&mut records).collect()
}
