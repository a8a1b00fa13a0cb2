//! Moves the records of finished points from the database to the archive, beside the actor, while this coordinator serves.
//!
//! A segment is written and durable before the store names it and lets go of the rows, in one transaction: whatever comes
//! between leaves a file that does not count, and every record where it was. What is to be sealed is found in the store
//! itself, so that a restart goes on where things were.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::actor::{Message, SharedReader};
use super::aside;
use super::desk::Desk;
use crate::archive::{Archive, Draft, FormatError};
use crate::scheduler::{Measurement, SweepKey};
use crate::store::writer::Done;
use crate::store::{Reader, StoreError, Write};

/// How much is sealed at once: one of these. It bounds the memory that sealing takes, and how long deleting the rows holds up
/// other commits, and makes files of some megabytes, which object stores and readers of Parquet like.
const FULL_ROWS: usize = 65_536;
const FULL_BYTES: usize = 16 << 20;
/// Of a sweep that has ended, fewer stay in the database: small sweeps make no files.
const LEAST_ROWS: usize = 4096;
/// Rows that are read at once: other readers wait for no more.
const BITE: usize = 8192;
/// Segments whose naming is under way at most. A commit takes its turn among those of the workers, and the next segment is
/// made meanwhile.
const NAMED_AT_ONCE: usize = 4;
/// How often it is asked what has finished.
const INTERVAL: Duration = Duration::from_secs(2);
/// After a failure it is tried again this often.
const RETRY: Duration = Duration::from_secs(30);

/// How much is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) full_rows: usize,
    pub(super) full_bytes: usize,
    pub(super) least_rows: usize,
    pub(super) interval: Duration,
}

impl Default for Measure {
    fn default() -> Self {
        Self { full_rows: FULL_ROWS, full_bytes: FULL_BYTES, least_rows: LEAST_ROWS, interval: INTERVAL }
    }
}

/// What seals. It ends when the actor does.
pub(super) struct Sealing {
    pub(super) archive: Archive,
    /// Nobody else uses the archive: what counts for nothing there is litter.
    pub(super) alone: bool,
    pub(super) measure: Measure,
    /// To the actor, without keeping it alive.
    pub(super) inbox: mpsc::WeakSender<Message>,
    pub(super) reader: SharedReader,
}

/// How far a sweep is.
#[derive(Debug)]
struct Standing {
    key: SweepKey,
    id: String,
    finished: u64,
    ended: bool,
}

/// What is known of a sweep's records.
#[derive(Debug)]
struct Course {
    /// The number of its next segment.
    number: u64,
    /// To be looked at when so many points have finished, or it has ended.
    due: u64,
    /// How many had finished when all was done that is to be done once a sweep has ended.
    done_at: Option<u64>,
    /// It has records that cannot be sealed.
    hopeless: bool,
}

impl Course {
    fn is_due(&self, sweep: &Standing) -> bool {
        let enough = sweep.ended || sweep.finished >= self.due;
        enough && !self.hopeless && self.done_at != Some(sweep.finished)
    }
}

/// What the actor will answer.
type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;
/// Segments that are being named, in the order of their numbers.
type Naming = VecDeque<Answer<()>>;

/// Why sealing does not go on.
#[derive(Debug)]
enum Stop {
    /// The coordinator ends.
    Ending,
    /// The store or the archive fails: to be tried again.
    Failed(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Sealing {
    pub(super) async fn run(self) {
        let mut courses = HashMap::new();
        let mut cleared = !self.alone;
        loop {
            let pause = match self.round(&mut courses, &mut cleared).await {
                Ok(()) => self.measure.interval,
                Err(Stop::Ending) => return,
                Err(Stop::Failed(error)) => {
                    let seconds = RETRY.as_secs();
                    tracing::warn!(
                        error,
                        seconds,
                        "records are not sealed, and stay in the database; trying again later"
                    );
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&self, courses: &mut HashMap<SweepKey, Course>, cleared: &mut bool) -> Result<(), Stop> {
        let sweeps = self.sweeps().await?;
        if !*cleared {
            self.clear(&sweeps).await?;
            *cleared = true;
        }
        for sweep in &sweeps {
            let course = match courses.entry(sweep.key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.course(sweep.key).await?),
            };
            if !course.is_due(sweep) {
                continue;
            }
            match self.seal(sweep, course).await {
                Ok(None) => {}
                Ok(Some(error)) => {
                    course.hopeless = true;
                    let sweep = &sweep.id;
                    tracing::error!(sweep, %error, "records of a sweep cannot be sealed, and stay in the database");
                }
                Err(stop) => {
                    // Whether its last segment is named is to be looked up.
                    courses.remove(&sweep.key);
                    return Err(stop);
                }
            }
        }
        Ok(())
    }

    /// Seals what there is of a sweep, in the order of points, a segment at a time; or says why its records cannot be.
    async fn seal(&self, sweep: &Standing, course: &mut Course) -> Result<Option<FormatError>, Stop> {
        let (key, measure) = (sweep.key, self.measure);
        let (mut heap, mut next, mut naming) = (Heap::default(), Some(0), Naming::new());
        while let Some(from) = next {
            let read = self.ask(move |reader| reader.unsealed(key, from, BITE.min(measure.full_rows))).await?;
            next = read.next;
            for records in read.records.chunk_by(|a, b| a.point == b.point) {
                heap.push(records);
                if heap.is_full(measure)
                    && let Err(error) = self.write(sweep, course, std::mem::take(&mut heap), &mut naming).await?
                {
                    self.named(naming).await?;
                    return Ok(Some(error));
                }
            }
        }
        let mut unsealable = None;
        if !sweep.ended {
            course.due = sweep.finished + heap.missing(measure);
        } else {
            course.done_at = Some(sweep.finished);
            if heap.records.len() >= measure.least_rows {
                unsealable = self.write(sweep, course, heap, &mut naming).await?.err();
            }
        }
        self.named(naming).await?;
        Ok(unsealable)
    }

    /// Puts a segment into the archive, and lets the store name it.
    async fn write(
        &self,
        sweep: &Standing,
        course: &mut Course,
        heap: Heap,
        naming: &mut Naming,
    ) -> Result<Result<(), FormatError>, Stop> {
        let draft = match aside::run(move || Draft::new(&heap.records)).await.map_err(|_| Stop::Ending)? {
            Ok(draft) => draft,
            Err(error) => return Ok(Err(error)),
        };
        let segment = self.archive.put(draft, (sweep.key, &sweep.id), course.number).await?;
        tracing::debug!(file = segment.name, rows = segment.rows, bytes = segment.bytes, "records are sealed");
        if naming.len() == NAMED_AT_ONCE
            && let Some(first) = naming.pop_front()
        {
            self.answer(first).await?;
        }
        naming.push_back(self.hand_in(move |_| (vec![Write::Sealed(segment)], ())).await?);
        course.number += 1;
        Ok(Ok(()))
    }

    /// Waits until all of these segments are named.
    async fn named(&self, naming: Naming) -> Result<(), Stop> {
        for answer in naming {
            self.answer(answer).await?;
        }
        Ok(())
    }

    async fn course(&self, key: SweepKey) -> Result<Course, Stop> {
        let segments = self.ask(move |reader| reader.segments(key, 0..=u64::MAX)).await?;
        let number = segments.last().map_or(0, |last| last.number) + 1;
        Ok(Course { number, due: 1, done_at: None, hopeless: false })
    }

    /// Deletes what a crash has left behind.
    async fn clear(&self, sweeps: &[Standing]) -> Result<(), Stop> {
        let mut named = HashSet::new();
        for key in sweeps.iter().map(|sweep| sweep.key) {
            let segments = self.ask(move |reader| reader.segments(key, 0..=u64::MAX)).await?;
            named.extend(segments.into_iter().map(|segment| segment.name));
        }
        // Files of other sweeps may be another database's, or this one's before it was damaged.
        let known: HashSet<&str> = sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
        let is_ours = |name: &str| name.split_once('/').is_some_and(|(sweep, _)| known.contains(sweep));
        let deleted = self.archive.clear(|name| is_ours(name) && !named.contains(name)).await?;
        if deleted > 0 {
            tracing::info!(files = deleted, "segments that were written and never named are deleted");
        }
        Ok(())
    }

    async fn sweeps(&self) -> Result<Vec<Standing>, Stop> {
        let standings = |desk: &mut Desk| {
            let standing = |key| {
                let id = desk.catalogue.get(key)?.entry.id.clone();
                let (finished, state) = (desk.scheduler.finished(key)?, desk.scheduler.state(key)?);
                Some(Standing { key, id, finished, ended: state.has_ended() })
            };
            let mut sweeps: Vec<_> = desk.catalogue.newest_first(None).filter_map(standing).collect();
            sweeps.reverse();
            (Vec::new(), sweeps)
        };
        self.decide(standings).await
    }

    /// Lets the actor handle an event; its answer rests on what is durable.
    async fn decide<T: Send + 'static>(
        &self,
        event: impl FnOnce(&mut Desk) -> (Vec<Write>, T) + Send + 'static,
    ) -> Result<T, Stop> {
        self.answer(self.hand_in(event).await?).await
    }

    /// The same without waiting for the answer.
    async fn hand_in<T: Send + 'static>(
        &self,
        event: impl FnOnce(&mut Desk) -> (Vec<Write>, T) + Send + 'static,
    ) -> Result<Answer<T>, Stop> {
        let (reply, answer) = oneshot::channel();
        let event = Box::new(move |desk: &mut Desk, _: &mut _, _| {
            let (writes, value) = event(desk);
            let done: Done = Box::new(move |durable| {
                // Whoever asked may be gone.
                let _ = reply.send(durable.map(|()| value));
            });
            (writes, done)
        });
        let inbox = self.inbox.upgrade().ok_or(Stop::Ending)?;
        inbox.send(Message::Event(event)).await.map_err(|_| Stop::Ending)?;
        Ok(answer)
    }

    async fn answer<T>(&self, answer: Answer<T>) -> Result<T, Stop> {
        match answer.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Stop::Failed("the coordinator is stopping, or cannot reach its data".to_owned())),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Stop> {
        let reader = self.reader.clone();
        let ask = move || reader.lock().unwrap_or_else(PoisonError::into_inner).as_deref_mut().map(question);
        let answer = aside::run(ask).await.map_err(|_| Stop::Ending)?;
        Ok(answer.ok_or(Stop::Ending)??)
    }
}

/// Records of whole points that wait until there are enough of them.
#[derive(Default)]
struct Heap {
    records: Vec<Measurement>,
    points: u64,
    bytes: usize,
}

impl Heap {
    fn push(&mut self, records: &[Measurement]) {
        self.points += 1;
        self.bytes += records.iter().map(|record| record.payload.len()).sum::<usize>();
        self.records.extend_from_slice(records);
    }

    fn share(&self, measure: Measure) -> f64 {
        let share = |have: usize, full: usize| have as f64 / full as f64;
        share(self.records.len(), measure.full_rows).max(share(self.bytes, measure.full_bytes))
    }

    fn is_full(&self, measure: Measure) -> bool {
        self.share(measure) >= 1.0
    }

    /// About how many more points, of the same kind, make it full; 1 at least.
    fn missing(&self, measure: Measure) -> u64 {
        let share = self.share(measure);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of points, saturated")]
        let missing = if share > 0.0 { (self.points as f64 * (1.0 / share - 1.0)).ceil() as u64 } else { 1 };
        missing.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(points: u64, bytes: usize) -> Heap {
        let mut heap = Heap::default();
        let record = |point| Measurement { point, step: 0, payload: vec![0; bytes] };
        (0..points).for_each(|point| heap.push(&[record(point), record(point)]));
        heap
    }

    #[test]
    fn a_heap_is_full_by_its_rows_or_its_bytes_and_else_knows_about_how_many_points_it_lacks() {
        let measure = Measure { full_rows: 60, full_bytes: 1000, ..Measure::default() };
        assert_eq!((heap(0, 1).is_full(measure), heap(0, 1).missing(measure)), (false, 1));
        assert_eq!((heap(10, 1).is_full(measure), heap(10, 1).missing(measure)), (false, 20));
        assert!(heap(30, 1).is_full(measure));
        assert_eq!((heap(10, 25).is_full(measure), heap(10, 25).missing(measure)), (false, 10));
        assert!(heap(10, 50).is_full(measure));
    }

    #[test]
    fn a_sweep_is_looked_at_when_there_may_be_enough_and_once_when_it_has_ended() {
        let course = Course { number: 1, due: 10, done_at: None, hopeless: false };
        let standing = |finished, ended| Standing { key: SweepKey(1), id: String::new(), finished, ended };
        assert!(!course.is_due(&standing(9, false)) && course.is_due(&standing(10, false)));
        assert!(course.is_due(&standing(2, true)));
        let done = Course { done_at: Some(12), ..course };
        assert!(!done.is_due(&standing(12, true)));
        assert!(done.is_due(&standing(13, true)), "what had failed was tried again");
        assert!(!Course { hopeless: true, ..done }.is_due(&standing(13, true)));
    }
}
