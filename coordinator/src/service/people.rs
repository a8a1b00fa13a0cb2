//! What people ask: to create and see sweeps, and to read results; `control` has what they change of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::aside;
use super::catalogue::{Listed, weigh};
use super::desk::{Desk, say, write};
use super::joined::joined;
use super::{Coordinator, FailedPoint, Refusal, SweepView, WatchEvent, Wish, WorkerView};
use crate::clock;
use crate::results::TaskResult;
use crate::scheduler::{Moment, Setback, SweepKey, Workload};
use crate::spec::Spec;
use crate::store::{SweepEntry, Write};

/// The most characters of a request id.
pub const LONGEST_REQUEST_ID: usize = 64;
/// The most characters of a user's name.
pub const LONGEST_USER: usize = 64;
/// Failed points that are shown with a sweep.
const FAILURES_SHOWN: usize = 100;
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;

impl Coordinator {
    /// Creates a sweep in nobody's name, or finds the one that the same request created before.
    ///
    /// # Errors
    /// If the sweep file is refused, with everything that is wrong with it.
    pub async fn create_sweep(
        &self,
        request_id: &str,
        source: &str,
        overrides: &[String],
    ) -> Result<SweepView, Refusal> {
        let (request_id, source, overrides) = (request_id.to_owned(), source.to_owned(), overrides.to_owned());
        self.submit(Wish { request_id, source, overrides, ..Wish::default() }).await
    }

    /// Creates a sweep, or finds the one that the same request created before.
    ///
    /// # Errors
    /// If the sweep file is refused, with everything that is wrong with it.
    pub async fn submit(&self, wish: Wish) -> Result<SweepView, Refusal> {
        let Wish { request_id, source, overrides, user, priority } = wish;
        if request_id.is_empty() || request_id.chars().count() > LONGEST_REQUEST_ID {
            let message = format!("request_id: 1 to {LONGEST_REQUEST_ID} characters are accepted");
            return Err(Refusal::InvalidArgument(message));
        }
        if user.chars().count() > LONGEST_USER || user.chars().any(char::is_control) {
            let message = format!("user: at most {LONGEST_USER} characters without control characters are accepted");
            return Err(Refusal::InvalidArgument(message));
        }
        let parse = move || Spec::parse(&source, &overrides);
        let spec = aside::run(parse).await.map_err(|_| Refusal::unreachable())?;
        let created = whole_micros(clock::now());
        let (key, new, view) = self
            .decide(move |desk, now| {
                if let Some(key) = desk.catalogue.requested(&request_id) {
                    return say((key, false, view(desk, key, now)?));
                }
                let spec = spec.map_err(|error| Refusal::InvalidArgument(error.to_string()))?;
                let key = desk.scheduler.next_key();
                let entry = SweepEntry {
                    key,
                    id: desk.catalogue.new_id(spec.name(), &request_id),
                    request_id,
                    name: spec.name().to_owned(),
                    source: spec.resolved_source().to_owned(),
                    size: spec.shards().count(),
                    created,
                    user,
                };
                let (size, listed) =
                    (entry.size, Listed { entry: entry.clone(), spec: Ok(spec), workload: Workload::Equal });
                desk.scheduler.on_create(key, size, listed.submission());
                desk.catalogue.insert(listed);
                let (prioritised, ()) = write(desk.scheduler.on_prioritise(key, priority)?)?;
                let writes = std::iter::once(Write::Create(entry)).chain(prioritised).collect();
                Ok((writes, (key, true, view(desk, key, now)?)))
            })
            .await?;
        if new {
            self.weigh_soon(key);
        }
        Ok(view)
    }

    /// Finds out in the background what the points of a sweep cost; until then they all count the same.
    pub(super) fn weigh_soon(&self, key: SweepKey) {
        let coordinator = self.clone();
        aside::start(async move {
            let spec = move |desk: &mut Desk, _| say(desk.spec(key)?.clone());
            let Ok(spec) = coordinator.decide(spec).await else { return };
            let Ok(workload) = aside::run(move || weigh(&spec)).await else { return };
            let weighed = move |desk: &mut Desk, _| {
                desk.weighed(key, workload);
                say(())
            };
            // Without it the sweep is served as well, if less evenly.
            let _ = coordinator.decide(weighed).await;
        });
    }

    /// A sweep, with some of its failed points.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn sweep(&self, id: &str) -> Result<(SweepView, Vec<FailedPoint>), Refusal> {
        let id = id.to_owned();
        let look = move |desk: &mut Desk, now| {
            let key = desk.key(&id)?;
            say((key, view(desk, key, now)?, desk.shards(key)))
        };
        let (key, view, shards) = self.decide(look).await?;
        let failures = self.read(move |reader| reader.failures(key, FAILURES_SHOWN)).await?;
        let failed = |Setback { point: number, attempts, error, .. }| {
            let (point, shard) = shards.place(number);
            FailedPoint { point, shard, attempts, error }
        };
        Ok((view, failures.into_iter().map(failed).collect()))
    }

    /// A page of sweeps, the newest first, and the token of the next page; empty on the last.
    ///
    /// # Errors
    /// If the page size or the token is none.
    pub async fn sweeps(&self, page_size: u32, page_token: &str) -> Result<(Vec<SweepView>, String), Refusal> {
        let page_size = if page_size == 0 { PAGE } else { page_size };
        if page_size > LARGEST_PAGE {
            return Err(Refusal::InvalidArgument(format!("page_size: 1 to {LARGEST_PAGE} is accepted")));
        }
        let not_ours = |_| Refusal::InvalidArgument("page_token: not one that was given out".to_owned());
        let before = match page_token {
            "" => None,
            token => Some(SweepKey(token.parse().map_err(not_ours)?)),
        };
        self.decide(move |desk, now| {
            let mut keys = desk.catalogue.newest_first(before);
            let page: Vec<_> = keys.by_ref().take(page_size as usize).collect();
            let more = page.last().filter(|_| keys.next().is_some());
            let next_token = more.map(|last| last.0.to_string()).unwrap_or_default();
            say((page.into_iter().filter_map(|key| desk.view(key, now)).collect(), next_token))
        })
        .await
    }

    /// The latest state of a sweep, now and whenever it changed.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn watch(&self, id: &str) -> Result<watch::Receiver<WatchEvent>, Refusal> {
        let id = id.to_owned();
        self.decide_with_publisher(move |desk, publisher, now| {
            let key = desk.key(&id)?;
            desk.spec(key)?;
            say(publisher.subscribe(desk, key, now).ok_or_else(|| Refusal::no_sweep(&id))?)
        })
        .await
    }

    /// The workers that have been heard of lately.
    ///
    /// # Errors
    /// If the coordinator cannot answer for now.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Refusal> {
        let workers = self.decide(|desk, now| say((desk.scheduler.workers().collect::<Vec<_>>(), now)));
        let (workers, now) = workers.await?;
        let time_of_day = clock::now();
        let view = |worker: crate::scheduler::WorkerSummary| WorkerView {
            id: worker.worker.to_string(),
            device: worker.device,
            memory: worker.memory,
            slots: worker.slots,
            draining: worker.draining,
            leased: worker.leased,
            finished: worker.finished,
            last_heartbeat: time_of_day - now.saturating_sub(worker.heard),
        };
        Ok(workers.into_iter().map(view).collect())
    }

    /// A sweep's spec.
    ///
    /// # Errors
    /// If there is no such sweep, or this release cannot read it.
    pub async fn spec(&self, id: &str) -> Result<Arc<Spec>, Refusal> {
        let id = id.to_owned();
        let spec = self.decide(move |desk, _| {
            let key = desk.key(&id)?;
            say(desk.spec(key)?.clone())
        });
        Ok(Arc::new(spec.await?))
    }

    /// A page of task results from a point on, in the order of points: tasks that are leased, finished or failed, or have
    /// records.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn results(&self, id: &str, from_point: u64, limit: usize) -> Result<Vec<TaskResult>, Refusal> {
        let id = id.to_owned();
        let find = move |desk: &mut Desk, _| {
            let key = desk.key(&id)?;
            say((key, desk.shards(key)))
        };
        let (key, shards) = self.decide(find).await?;
        let from = shards.first(from_point).min(shards.count());
        let limit = limit.saturating_mul(shards.of_each() as usize);
        let page = self.read_records(move |reader| reader.results(key, from, limit)).await?;
        let more = page.len() == limit;
        Ok(joined(shards, page, more))
    }
}

/// The store keeps no more of a time.
pub(super) fn whole_micros(time: SystemTime) -> SystemTime {
    let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

pub(super) fn view(desk: &Desk, key: SweepKey, now: Moment) -> Result<SweepView, Refusal> {
    desk.view(key, now).ok_or_else(|| Refusal::NotFound(format!("there is no sweep number {}", key.0)))
}
