//! Moves the records of finished points from the database to the archive, beside the actor, while this coordinator serves.
//!
//! A segment is written and durable before the store names it and lets go of the rows, in one transaction: whatever comes
//! between leaves a file that does not count, and every record where it was. What is to be sealed is found in the store
//! itself, so that a restart goes on where things were.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::actor::Message;
use super::aside;
use super::desk::Desk;
use super::heap::{Bite, Heap, Measure};
use super::records::Records;
use crate::archive::{Archive, Draft, FormatError, Litter};
use crate::clock;
use crate::scheduler::SweepKey;
use crate::store::writer::Done;
use crate::store::{Reader, StoreError, Write};

/// Segments whose naming is under way at most. A commit takes its turn among those of the workers, and the next segment is
/// made meanwhile.
const NAMED_AT_ONCE: usize = 4;
/// After a failure it is tried again this often.
const RETRY: Duration = Duration::from_secs(30);

/// What seals. It ends when the actor does.
pub(super) struct Sealing {
    pub(super) archive: Archive,
    /// Nobody else uses the archive: what counts for nothing there is litter.
    pub(super) alone: bool,
    pub(super) measure: Measure,
    /// To the actor, without keeping it alive.
    pub(super) inbox: mpsc::WeakSender<Message>,
    pub(super) records: Records,
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
    /// How many rows are read at once.
    bite: Bite,
}

impl Course {
    fn is_due(&self, sweep: &Standing) -> bool {
        let enough = sweep.ended || sweep.finished >= self.due;
        enough && !self.hopeless && self.done_at != Some(sweep.finished)
    }
}

/// What the actor will answer.
type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;
/// Segments that are being named, in the order of their numbers, and their names.
type Naming = VecDeque<(String, Answer<()>)>;

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

impl Stop {
    fn gone() -> Self {
        Self::Failed("the coordinator is stopping, or cannot reach its data".to_owned())
    }
}

/// Tells that nothing is sealed for a while, of a sweep or of any.
fn tell(error: &str, sweep: &str) {
    let seconds = RETRY.as_secs();
    tracing::warn!(error, sweep, seconds, "records are not sealed, and stay in the database; trying again later");
}

impl Sealing {
    pub(super) async fn run(self) {
        let (mut courses, mut barred) = (HashMap::new(), HashMap::new());
        let mut cleared = !self.alone;
        loop {
            let pause = match self.round(&mut courses, &mut barred, &mut cleared).await {
                Ok(()) => self.measure.interval,
                Err(Stop::Ending) => return,
                Err(Stop::Failed(error)) => {
                    tell(&error, "");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Seals what is due of each sweep. One that fails holds up no other: it is `barred` for a while.
    async fn round(
        &self,
        courses: &mut HashMap<SweepKey, Course>,
        barred: &mut HashMap<SweepKey, Instant>,
        cleared: &mut bool,
    ) -> Result<(), Stop> {
        let sweeps = self.sweeps().await?;
        if !*cleared {
            // Before anything is written, and only then: what is not named later may be about to be.
            *cleared = true;
            self.clear(&sweeps).await?;
        }
        barred.retain(|_, until| clock::instant() < *until);
        for sweep in &sweeps {
            if barred.contains_key(&sweep.key) {
                continue;
            }
            match self.look_at(sweep, courses).await {
                Ok(()) => {}
                Err(Stop::Ending) => return Err(Stop::Ending),
                Err(Stop::Failed(error)) => {
                    // Whether its last segment is named is to be looked up.
                    courses.remove(&sweep.key);
                    tell(&error, &sweep.id);
                    barred.insert(sweep.key, clock::instant() + RETRY);
                }
            }
        }
        Ok(())
    }

    async fn look_at(&self, sweep: &Standing, courses: &mut HashMap<SweepKey, Course>) -> Result<(), Stop> {
        let course = match courses.entry(sweep.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.course(sweep.key).await?),
        };
        if course.is_due(sweep)
            && let Some(error) = self.seal(sweep, course).await?
        {
            course.hopeless = true;
            let sweep = &sweep.id;
            tracing::error!(sweep, %error, "records of a sweep cannot be sealed, and stay in the database");
        }
        Ok(())
    }

    /// Seals what there is of a sweep, in the order of points, a segment at a time; or says why its records cannot be.
    async fn seal(&self, sweep: &Standing, course: &mut Course) -> Result<Option<FormatError>, Stop> {
        let (key, measure) = (sweep.key, self.measure);
        let (mut heap, mut next, mut naming) = (Heap::default(), Some(0), Naming::new());
        while let Some(from) = next {
            let rows = course.bite.rows().min(measure.full_rows);
            let read = self.ask(move |reader| reader.unsealed(key, from, rows)).await?;
            course.bite.learn(&read.records);
            next = read.next;
            for records in read.records.chunk_by(|a, b| a.point == b.point) {
                heap.push(records);
                if heap.is_full(measure)
                    && let Err(error) = self.write(sweep, course, std::mem::take(&mut heap), &mut naming).await?
                {
                    self.named(key, naming).await?;
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
        self.named(key, naming).await?;
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
            self.is_named(sweep.key, first).await?;
        }
        let name = segment.name.clone();
        naming.push_back((name, self.hand_in(move |_| (vec![Write::Sealed(segment)], ())).await?));
        course.number += 1;
        Ok(Ok(()))
    }

    /// Waits until all of these segments are named.
    async fn named(&self, sweep: SweepKey, naming: Naming) -> Result<(), Stop> {
        for segment in naming {
            self.is_named(sweep, segment).await?;
        }
        Ok(())
    }

    /// Waits until a segment is named. The file of one that was refused is deleted, where that is ours to do and it is certain
    /// that nobody names it.
    async fn is_named(&self, sweep: SweepKey, (name, answer): (String, Answer<()>)) -> Result<(), Stop> {
        let refused = match answer.await {
            Ok(Err(error @ StoreError::Conflict(_))) => error,
            Ok(named) => return Ok(named?),
            Err(_) => return Err(Stop::gone()),
        };
        if self.alone {
            let segments = self.ask(move |reader| reader.segments(sweep, 0..=u64::MAX)).await?;
            if segments.iter().all(|segment| segment.name != name)
                && let Err(error) = self.archive.delete(&name).await
            {
                tracing::warn!(%error, "a segment that was refused is left over");
            }
        }
        Err(refused.into())
    }

    async fn course(&self, key: SweepKey) -> Result<Course, Stop> {
        let segments = self.ask(move |reader| reader.segments(key, 0..=u64::MAX)).await?;
        let number = segments.last().map_or(0, |last| last.number) + 1;
        Ok(Course { number, due: 1, done_at: None, hopeless: false, bite: Bite::default() })
    }

    /// Moves out of the way what counts for nothing, of the sweeps that the database knows. What cannot be looked through
    /// stays as it is, and keeps nothing from being sealed.
    async fn clear(&self, sweeps: &[Standing]) -> Result<(), Stop> {
        let (mut set_aside, mut drafts) = (0, 0);
        for sweep in sweeps {
            match self.clear_sweep(sweep).await {
                Ok(litter) => {
                    drafts += litter.drafts;
                    set_aside += litter.set_aside;
                }
                Err(Stop::Ending) => return Err(Stop::Ending),
                Err(Stop::Failed(error)) => {
                    tracing::warn!(error, sweep = sweep.id, "files that count for nothing may be left in the archive");
                }
            }
        }
        if set_aside > 0 {
            let place = self.archive.unnamed();
            tracing::warn!(
                files = set_aside,
                place,
                "segments that the database does not name are set aside there, and nobody reads them: a crash came before \
                 they were named, or the database was restored from a backup that is older than they are"
            );
        }
        if drafts > 0 {
            tracing::info!(files = drafts, "segments that were never written to their end are deleted");
        }
        Ok(())
    }

    async fn clear_sweep(&self, sweep: &Standing) -> Result<Litter, Stop> {
        let key = sweep.key;
        let segments = self.ask(move |reader| reader.segments(key, 0..=u64::MAX)).await?;
        let named: HashSet<_> = segments.into_iter().map(|segment| segment.name).collect();
        let (archive, id) = (self.archive.clone(), sweep.id.clone());
        let tidy = move || archive.tidy(&id, |name| named.contains(name));
        Ok(aside::run(tidy).await.map_err(|_| Stop::Ending)??)
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
            Err(_) => Err(Stop::gone()),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Stop> {
        Ok(self.records.ask(question).await.ok().flatten().ok_or(Stop::Ending)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_looked_at_when_there_may_be_enough_and_once_when_it_has_ended() {
        let course = Course { number: 1, due: 10, done_at: None, hopeless: false, bite: Bite::default() };
        let standing = |finished, ended| Standing { key: SweepKey(1), id: String::new(), finished, ended };
        assert!(!course.is_due(&standing(9, false)) && course.is_due(&standing(10, false)));
        assert!(course.is_due(&standing(2, true)));
        let done = Course { done_at: Some(12), ..course };
        assert!(!done.is_due(&standing(12, true)));
        assert!(done.is_due(&standing(13, true)), "what had failed was tried again");
        assert!(!Course { hopeless: true, ..done }.is_due(&standing(13, true)));
    }
}
