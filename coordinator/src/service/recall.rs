//! Results that are there already. A task's digest names its result, whichever sweep asks for it: what one sweep has computed,
//! another is given when the point would be leased.

use std::collections::HashSet;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;

use super::catalogue::MOST_WEIGHED;
use super::desk::{Desk, say, write};
use super::{Coordinator, Outcome, Refusal, Verdict};
use crate::scheduler::SweepKey;
use crate::spec::Spec;
use crate::store::{Reader, StoreError, Write};
use crate::work::Cost;

/// Floating-point operations of the smallest task that is remembered, some milliseconds: less is computed sooner than looked
/// up and written down.
const LEAST_WORK: f64 = 1e8;

/// Results that are taken over in one go: it bounds the memory that their records take, and how long others wait.
const BITE: usize = 32;

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
        let mut ended = HashSet::new();
        for bite in wanted.chunks(BITE) {
            ended.extend(self.recall_bite(token, sweep, bite.to_vec()).await?);
        }
        if !ended.is_empty() {
            tracing::info!(points = ended.len(), token, "results of an earlier sweep were taken over");
        }
        Ok(ended)
    }

    async fn recall_bite(&self, token: &str, sweep: SweepKey, wanted: Vec<(u64, String)>) -> Result<Vec<u64>, Refusal> {
        let (points, digests): (Vec<u64>, Vec<String>) = wanted.into_iter().unzip();
        let look = move |reader: &mut dyn Reader| Ok((recorded(reader, &digests)?, digests));
        let (found, digests) = self.read_records(look).await?;
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
        if recalled.is_empty() {
            return Ok(Vec::new());
        }
        let ended: Vec<u64> = recalled.iter().map(|(point, _)| *point).collect();
        let outcome = |(point, records): &(u64, Vec<_>)| (*point, Outcome::Completed { records: records.len() as u64 });
        let outcomes = recalled.iter().map(outcome).collect();
        // A lease that has ended meanwhile has no points to finish.
        if self.report(token, recalled).await? == Verdict::Stale {
            return Ok(Vec::new());
        }
        let token = super::workers::parse(token)?;
        let finish = move |desk: &mut Desk, now| match desk.lease(&token) {
            Some(lease) => write(desk.scheduler.on_recalled(lease, outcomes, now)),
            None => say(Verdict::Stale),
        };
        self.decide(finish).await?;
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
        let (sweep, point) = place?;
        match reader.results(sweep, point, 1) {
            Ok(mut results) => results.pop().filter(|result| result.point == point).map(|result| result.records),
            Err(error) => {
                // What cannot be looked up is computed: nobody waits for an archive that is away.
                tracing::warn!(%error, point, "an earlier result cannot be read; the point is computed again");
                None
            }
        }
    };
    Ok(places.into_iter().map(&mut records).collect())
}
