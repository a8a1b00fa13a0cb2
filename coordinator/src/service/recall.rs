//! Results that are there already. A task's digest names its result, whichever sweep asks for it: what one sweep has computed,
//! another is given when the point would be leased.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;

use super::catalogue::MOST_WEIGHED;
use super::desk::{Desk, say, write};
use super::records::Patience;
use super::{Coordinator, Outcome, Refusal, Verdict, aside};
use crate::clock;
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
    /// which points have ended. What cannot be read until then is computed: the worker waits, and so does its lease.
    pub(super) async fn recall(
        &self,
        token: &str,
        sweep: SweepKey,
        wanted: Vec<(u64, String)>,
        until: Instant,
    ) -> Result<HashSet<u64>, Refusal> {
        let mut ended = HashSet::new();
        for bite in wanted.chunks(BITE) {
            ended.extend(self.recall_bite(token, sweep, bite.to_vec(), until).await?);
        }
        if !ended.is_empty() {
            tracing::info!(points = ended.len(), token, "results of an earlier sweep were taken over");
        }
        Ok(ended)
    }

    async fn recall_bite(
        &self,
        token: &str,
        sweep: SweepKey,
        wanted: Vec<(u64, String)>,
        until: Instant,
    ) -> Result<Vec<u64>, Refusal> {
        let (points, digests): (Vec<u64>, Vec<String>) = wanted.into_iter().unzip();
        let look = move |reader: &mut dyn Reader| {
            let named: Vec<&str> = digests.iter().map(String::as_str).collect();
            Ok((reader.contents(&named)?, digests))
        };
        let (places, digests) = self.read(look).await?;
        let found = self.recorded(places, until).await?;
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
        Ok(if self.decide(finish).await? == Verdict::Accepted { ended } else { Vec::new() })
    }

    /// The records of the results in these places, where there are any and they can be read in time.
    async fn recorded(
        &self,
        places: Vec<Option<(SweepKey, u64)>>,
        until: Instant,
    ) -> Result<Vec<Option<Vec<v1::Record>>>, Refusal> {
        let (records, nothing) = (self.running()?.records, vec![None; places.len()]);
        let Patience { look, away } = self.keeping.patience;
        let look = look.min(self.settings.lease_time / 4);
        let is_hopeless = || records.is_away() || clock::instant() >= until;
        if places.iter().all(Option::is_none) || is_hopeless() {
            return Ok(nothing);
        }
        let Some(turn) = unless(is_hopeless, look, records.turn()).await else {
            // Whoever reads has been reading all the time.
            records.away_for(away);
            return Ok(nothing);
        };
        if is_hopeless() {
            return Ok(nothing);
        }
        let answered = Arc::new(AtomicBool::new(false));
        let getting_on = Arc::clone(&answered);
        let read = records.ask_in(turn, move |reader| recorded(reader, places, until, &getting_on));
        let is_silent = || !answered.swap(false, Ordering::Relaxed);
        let (found, failure) = match unless(is_silent, look, read).await {
            Some(answer) => answer.ok().flatten().ok_or_else(Refusal::unreachable)?,
            None => (nothing, Some("the archive does not answer".to_owned())),
        };
        if let Some(error) = failure {
            records.away_for(away);
            let seconds = away.as_secs();
            tracing::warn!(error, seconds, "earlier results cannot be read; for a while points are computed instead");
        }
        Ok(found)
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

/// Waits for something, but no longer than `look` at a time without looking whether that has become pointless.
async fn unless<T>(is_pointless: impl Fn() -> bool, look: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    loop {
        match aside::within(look, work.as_mut()).await {
            None if is_pointless() => return None,
            None => {}
            answer => return answer,
        }
    }
}

/// The records of the result in each place, if there is one and they can be read by then; and why the others were not looked
/// for, if there is no use in that. Tells whenever one was read.
fn recorded(
    reader: &mut dyn Reader,
    places: Vec<Option<(SweepKey, u64)>>,
    until: Instant,
    getting_on: &AtomicBool,
) -> (Vec<Option<Vec<v1::Record>>>, Option<String>) {
    let mut failure = None;
    let mut records = |place: Option<(SweepKey, u64)>| {
        let (sweep, point) = place.filter(|_| failure.is_none() && clock::instant() < until)?;
        let results = reader.results(sweep, point, 1);
        getting_on.store(true, Ordering::Relaxed);
        match results {
            Ok(mut results) => results.pop().filter(|result| result.point == point).map(|result| result.records),
            // That file, and no other.
            Err(error @ StoreError::Segment { .. }) => {
                tracing::warn!(%error, point, "an earlier result cannot be read; the point is computed again");
                None
            }
            Err(error) => {
                failure = Some(error.to_string());
                None
            }
        }
    };
    let found = places.into_iter().map(&mut records).collect();
    (found, failure)
}
