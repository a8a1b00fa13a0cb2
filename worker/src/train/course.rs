//! The course of a task: the steps of its training at which something happens, and how much work lies between them.

use phasegrid_proto::task::TaskConfig;

/// What happens at a step of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Optimiser steps taken by then.
    pub(super) step: u64,
    /// A record is told. Where there is none, a shard only looks whether training ends.
    pub(super) record: bool,
    /// The record has estimates.
    pub(super) llc: bool,
    /// The record has the geometry.
    pub(super) geometry: bool,
    /// The step counts for an early stop.
    pub(super) checkpoint: bool,
}

/// The events of a task. Nobody would see what comes after the last record, and training ends there.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// Ascending.
    events: Vec<Event>,
    /// Gradients of single examples behind one optimiser step.
    step_work: f64,
    /// The same behind all estimates of one event.
    llc_work: f64,
    /// The same behind everything.
    work: f64,
}

/// Where on its course a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Optimiser steps taken.
    pub(super) step: u64,
    /// Events passed.
    pub(super) events: usize,
    /// Those of them that had estimates.
    pub(super) estimated: usize,
    /// Checkpoints in a row at which the condition of an early stop held.
    pub(super) streak: u32,
}

impl Course {
    pub(super) fn of(task: &TaskConfig) -> Self {
        let (records, llc, geometry) = (task.record_steps(), task.llc_steps(), task.geometry_steps());
        let checkpoints = task.train.stop.map(|_| task.checkpoints.steps(task.train.steps)).unwrap_or_default();
        let mut steps = [records.as_slice(), &checkpoints].concat();
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|step| records.last().is_some_and(|last| step <= last));
        let event = |step: u64| {
            let among = |steps: &[u64]| steps.binary_search(&step).is_ok();
            Event {
                step,
                record: among(&records),
                llc: among(&llc),
                geometry: among(&geometry),
                checkpoint: among(&checkpoints),
            }
        };
        let mut course = Self {
            events: steps.into_iter().map(event).collect(),
            step_work: task.train.batch_size.resolve(task.data.train_examples()) as f64,
            llc_work: sampling(task),
            work: 0.0,
        };
        course.work = course.work_done(&course.end());
        course
    }

    /// The event that comes next; `None` where all have passed.
    pub(super) fn next(&self, at: &Position) -> Option<Event> {
        self.events.get(at.events).copied()
    }

    /// Right after the record of this step, if one is told there.
    pub(super) fn after(&self, step: u64, streak: u32) -> Option<Position> {
        let index = self.events.binary_search_by_key(&step, |event| event.step).ok()?;
        let estimated = self.events[..=index].iter().filter(|event| event.llc).count();
        self.events[index].record.then_some(Position { step, events: index + 1, estimated, streak })
    }

    /// The steps of the records that were told by then.
    pub(super) fn told(&self, at: &Position) -> impl Iterator<Item = u64> {
        self.events[..at.events].iter().filter(|event| event.record).map(|event| event.step)
    }

    /// The share of the work that is done, in 0..=1.
    pub(super) fn share(&self, at: &Position) -> f64 {
        if self.work > 0.0 { (self.work_done(at) / self.work).min(1.0) } else { 1.0 }
    }

    fn work_done(&self, at: &Position) -> f64 {
        at.step as f64 * self.step_work + at.estimated as f64 * self.llc_work
    }

    fn end(&self) -> Position {
        let last = self.events.last().and_then(|event| self.after(event.step, 0));
        last.unwrap_or_default()
    }
}

/// Gradients of single examples that all the estimates of one event take.
fn sampling(task: &TaskConfig) -> f64 {
    let examples = task.data.train_examples();
    let samplers = task.llc.iter().flat_map(|llc| &llc.samplers);
    samplers.map(|sampler| sampler.steps() as f64 * sampler.batch_size.resolve(examples) as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::modular_task;
    use phasegrid_proto::task::{Checkpoints, Llc, Shard, Stop};

    /// Checkpoints at 0, 20, 40, 60, estimates at 20 and 40.
    fn task(shard: Option<Shard>) -> TaskConfig {
        let mut task = modular_task(7, 10, 0);
        (task.train.steps, task.checkpoints) = (60, Checkpoints::Every(20));
        let checkpoints = Some(Checkpoints::List(vec![20, 40]));
        task.llc = Some(Llc { samplers: vec![], baselines: vec![], checkpoints, shard });
        task
    }

    fn steps(course: &Course, of: fn(&Event) -> bool) -> Vec<u64> {
        course.events.iter().filter(|event| of(event)).map(|event| event.step).collect()
    }

    #[test]
    fn events_are_records_with_what_is_due_there() {
        let course = Course::of(&task(None));
        assert_eq!(steps(&course, |event| event.record), [0, 20, 40, 60]);
        assert_eq!(steps(&course, |event| event.llc), [20, 40]);
        assert!(steps(&course, |event| event.checkpoint).is_empty(), "nothing stops early");
        let at = course.after(40, 3).unwrap();
        assert_eq!(at, Position { step: 40, events: 3, estimated: 2, streak: 3 });
        assert_eq!(course.next(&at).unwrap().step, 60);
        assert_eq!(course.told(&at).collect::<Vec<_>>(), [0, 20, 40]);
        assert_eq!((course.share(&course.end()), course.after(30, 0)), (1.0, None));
    }

    #[test]
    fn a_shard_looks_at_all_checkpoints_up_to_its_last_record_if_training_may_stop() {
        let mut task = task(Some(Shard { index: 1, of: 2 }));
        assert_eq!(steps(&Course::of(&task), |_| true), [40]);
        task.train.stop = Some(Stop { val_accuracy: 0.9, checkpoints: 2 });
        let course = Course::of(&task);
        assert_eq!(steps(&course, |event| event.checkpoint), [0, 20, 40]);
        assert_eq!(steps(&course, |event| event.record), [40]);
        assert_eq!(course.after(20, 0), None);
        let idle = task.with_shard(1);
        let course = Course::of(&TaskConfig {
            llc: idle.llc.clone().map(|llc| Llc { shard: Some(Shard { index: 2, of: 3 }), ..llc }),
            ..idle
        });
        assert!(course.events.is_empty(), "a shard without estimates has nothing to tell");
    }
}
