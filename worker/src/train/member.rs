//! One task of an ensemble: where on its own course it is, and what it has told.

use phasegrid_proto::task::{Stop, TaskConfig};
use phasegrid_proto::v1;

use super::Place;
use super::course::{Course, Event, Position};
use super::snapshot::{self, Saved};
use crate::data::Examples;
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// One task under way.
pub(super) struct Member {
    /// Its number in its surroundings.
    pub(super) number: usize,
    pub(super) task: TaskConfig,
    pub(super) examples: Examples,
    pub(super) course: Course,
    pub(super) at: Position,
    /// How it ended; it leaves the ensemble before the next step.
    pub(super) end: Option<TaskEnd>,
    /// Where it goes on when its tensors are made; `None` is at the beginning.
    pub(super) saved: Option<Saved>,
    told: Told,
}

/// What the surroundings have been told, which they are never told twice.
struct Told {
    last: Option<u64>,
    /// Everything, if there may be snapshots.
    records: Option<Vec<v1::Record>>,
}

impl Member {
    /// The task of `start`. Records that it brings along are told; a snapshot that does not fit is dropped.
    pub(super) fn new(number: usize, start: Start, place: &Place) -> Self {
        let Start { task, snapshot } = start;
        let told = Told { last: None, records: place.surroundings.keeps_snapshots().then(Vec::new) };
        let (course, examples) = (Course::of(&task), Examples::of(&task));
        let mut member = Self { number, task, examples, course, at: Position::default(), end: None, saved: None, told };
        if let Some(snapshot) = snapshot {
            let step = snapshot.step;
            match snapshot::read(snapshot, &member.task, &member.course) {
                Ok((saved, records)) => {
                    place.surroundings.resumed(number, step);
                    member.at = saved.at;
                    member.saved = Some(saved);
                    records.into_iter().for_each(|record| member.tell(record, place.surroundings));
                }
                Err(misfit) => place.surroundings.misfit(number, step, &misfit.to_string()),
            }
        }
        member.settle();
        member
    }

    /// n, the number of examples of one step.
    pub(super) fn batch(&self) -> usize {
        self.task.train.batch_size.resolve(self.examples.train.len() as u64) as usize
    }

    /// The event that is due now.
    pub(super) fn due(&self) -> Option<Event> {
        self.course.next(&self.at).filter(|event| event.step == self.at.step)
    }

    /// Steps to the next event.
    pub(super) fn distance(&self) -> u64 {
        self.course.next(&self.at).map_or(0, |event| event.step - self.at.step)
    }

    /// Whether the record of this step has been told, before the ensemble ran out of memory.
    pub(super) fn has_told(&self, step: u64) -> bool {
        self.told.last.is_some_and(|last| step <= last)
    }

    /// Tells a record.
    pub(super) fn tell(&mut self, record: v1::Record, surroundings: &dyn Surroundings) {
        self.told.last = Some(record.step);
        if let Some(records) = &mut self.told.records {
            records.push(record.clone());
        }
        surroundings.record(self.number, record);
    }

    /// Passes the event that is due, which may be the end.
    pub(super) fn pass(&mut self, event: Event, val_accuracy: Option<f64>) {
        self.at.events += 1;
        self.at.estimated += usize::from(event.llc);
        if let Some(stop) = self.task.train.stop.filter(|_| event.checkpoint) {
            let Stop { val_accuracy: enough, checkpoints } = stop;
            let reached = val_accuracy.is_some_and(|accuracy| accuracy >= enough);
            self.at.streak = if reached { self.at.streak + 1 } else { 0 };
            if self.at.streak >= checkpoints {
                self.end = Some(TaskEnd::Completed);
            }
        }
        self.settle();
    }

    /// A task whose course is over is complete.
    fn settle(&mut self) {
        if self.end.is_none() && self.course.next(&self.at).is_none() {
            self.end = Some(TaskEnd::Completed);
        }
    }

    /// Ends where a loss was not finite.
    pub(super) fn diverge(&mut self, step: u64) {
        let error = format!("the training loss is not finite at step {step}");
        self.end = Some(TaskEnd::Failed { error, permanent: true });
    }

    /// A snapshot of `saved`, which is where it is now, if records are kept.
    pub(super) fn snapshot(&self, saved: &Saved) -> Option<v1::Snapshot> {
        self.told.records.as_ref().map(|records| snapshot::write(&self.task, saved, records.clone()))
    }

    /// Forgets the way since its tensors were saved.
    pub(super) fn go_back(&mut self) {
        self.at = self.saved.as_ref().map(|saved| saved.at).unwrap_or_default();
    }
}
