//! Training of an ensemble: its members step together from checkpoint to checkpoint, and leave it as they end.
//!
//! A member ends when its last record is told, when it has stopped early, when its loss is no longer finite, or when nobody
//! wants it any more. The others go on with smaller tensors.

use phasegrid_proto::task::{BatchSize, TaskConfig};
use phasegrid_proto::v1;
use tch::{Device, Kind, Tensor};

use crate::data::Examples;
use crate::geometry;
use crate::host;
use crate::llc;
use crate::metrics;
use crate::models;
use crate::objective::{Objective, SquaredError, Stacked};
use crate::optimizer::Optimizer;
use crate::permits::Permits;
use crate::random::{Stream, Subsets};
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// Steps between looks at the losses: looking makes an accelerator wait.
const LOOK_EVERY: u64 = 100;

/// Trains `tasks`, all of the same shapes and the same course, and tells their records.
pub(crate) fn run(starts: Vec<Start>, device: Device, permits: &Permits, surroundings: &dyn Surroundings) {
    let tasks: Vec<_> = starts.into_iter().map(|start| start.task).collect();
    for (member, end) in run_all(&tasks, device, permits, surroundings).into_iter().enumerate() {
        surroundings.ended(member, end);
    }
}

fn run_all(tasks: &[TaskConfig], device: Device, permits: &Permits, surroundings: &dyn Surroundings) -> Vec<TaskEnd> {
    let mut ends = vec![TaskEnd::Stopped; tasks.len()];
    let mut ensemble = Ensemble::new(tasks, device, permits, surroundings);
    // With an explicit list of checkpoints nobody would see what comes after the last.
    for step in tasks[0].record_steps() {
        while ensemble.step < step && !ensemble.members.is_empty() {
            let leaving = ensemble.advance((step - ensemble.step).min(LOOK_EVERY));
            ensemble.part(leaving, &mut ends);
        }
        if ensemble.members.is_empty() {
            return ends;
        }
        let leaving = ensemble.record();
        ensemble.part(leaving, &mut ends);
    }
    for member in &ensemble.members {
        ends[member.number] = TaskEnd::Completed;
    }
    ends
}

/// The members that are still running, E of them, and the tensors that they share.
struct Ensemble<'a> {
    members: Vec<Member<'a>>,
    course: Course,
    /// Steps taken.
    step: u64,
    /// [E, D]
    weights: Tensor,
    /// [E, D]
    gradient: Tensor,
    optimizer: Optimizer,
    objective: SquaredError,
    validation: Option<Stacked>,
    device: Device,
    permits: &'a Permits,
    surroundings: &'a dyn Surroundings,
}

/// The steps at which something happens, ascending; the same for all members.
struct Course {
    checkpoints: Vec<u64>,
    llc: Vec<u64>,
    geometry: Vec<u64>,
}

/// One task under way.
struct Member<'a> {
    /// Its place in the call of [`run`].
    number: usize,
    task: &'a TaskConfig,
    examples: Examples,
    /// `None` for the full batch.
    batches: Option<Subsets>,
    /// Checkpoints in a row at which the condition of an early stop held.
    streak: u32,
    work: Work,
}

/// Gradients of single examples, done and in all: the measure of progress.
struct Work {
    done: f64,
    total: f64,
}

impl<'a> Member<'a> {
    fn new(number: usize, task: &'a TaskConfig) -> Self {
        let examples = Examples::of(task);
        let stream = Stream::derive(task.seed, "batches", &[]);
        let batches = match task.train.batch_size {
            BatchSize::Full => None,
            BatchSize::Size(_) => Some(Subsets::new(stream, examples.train.len())),
        };
        let mut member = Self { number, task, examples, batches, streak: 0, work: Work { done: 0.0, total: 0.0 } };
        member.work.total =
            task.train.steps as f64 * member.batch() as f64 + task.llc_steps().len() as f64 * sampling(task);
        member
    }

    /// n, the number of examples of one step.
    fn batch(&self) -> u64 {
        self.task.train.batch_size.resolve(self.examples.train.len() as u64)
    }

    /// Takes note of a checkpoint; whether the training ends there.
    fn stops_early(&mut self, val_accuracy: Option<f64>) -> bool {
        let Some(stop) = self.task.train.stop else { return false };
        let reached = val_accuracy.is_some_and(|accuracy| accuracy >= stop.val_accuracy);
        self.streak = if reached { self.streak + 1 } else { 0 };
        self.streak >= stop.checkpoints
    }
}

impl Work {
    /// The share that is done, in 0..=1.
    fn share(&self) -> f64 {
        if self.total > 0.0 { (self.done / self.total).min(1.0) } else { 1.0 }
    }
}

/// Gradients of single examples that all the estimates of a checkpoint take.
fn sampling(task: &TaskConfig) -> f64 {
    let examples = task.data.train_examples();
    let samplers = task.llc.iter().flat_map(|llc| &llc.samplers);
    samplers.map(|sampler| sampler.steps() as f64 * sampler.batch_size.resolve(examples) as f64).sum()
}

/// The objective of these members, and their validation examples if there are any.
fn stack(members: &[Member], device: Device) -> (SquaredError, Option<Stacked>) {
    let task = members[0].task;
    let train: Vec<_> = members.iter().map(|member| &member.examples.train).collect();
    let objective = SquaredError::new(models::of(task), task.train.loss, &train, Kind::Float, device);
    let validation: Vec<_> = members.iter().map(|member| &member.examples.validation).collect();
    let any = !validation[0].is_empty();
    let validation = any.then(|| Stacked::new(objective.model(), &validation, Kind::Float, device));
    (objective, validation)
}

fn diverged(step: u64) -> TaskEnd {
    TaskEnd::Failed { error: format!("the training loss is not finite at step {step}"), permanent: true }
}

/// For each of E members the index of the first of `losses`, each [E], that is not finite.
fn first_not_finite(losses: &[Tensor], members: usize) -> Vec<Option<usize>> {
    if losses.is_empty() {
        return vec![None; members];
    }
    let history = Tensor::stack(losses, 1).to_device(Device::Cpu); // [E, steps]
    let rows = host::slice::<f32>(&history).chunks_exact(losses.len());
    rows.map(|row| row.iter().position(|loss| !loss.is_finite())).collect()
}

impl<'a> Ensemble<'a> {
    fn new(tasks: &'a [TaskConfig], device: Device, permits: &'a Permits, surroundings: &'a dyn Surroundings) -> Self {
        let members: Vec<_> = tasks.iter().enumerate().map(|(number, task)| Member::new(number, task)).collect();
        let rows: Vec<_> = tasks.iter().map(|task| Tensor::from_slice(&models::initial_weights(task))).collect();
        let weights = Tensor::stack(&rows, 0).to_device(device);
        let optimizers: Vec<_> = tasks.iter().map(|task| task.train.optimizer).collect();
        let (objective, validation) = stack(&members, device);
        Self {
            members,
            course: Course {
                checkpoints: tasks[0].checkpoints.steps(tasks[0].train.steps),
                llc: tasks[0].llc_steps(),
                geometry: tasks[0].geometry_steps(),
            },
            step: 0,
            gradient: weights.zeros_like(),
            optimizer: Optimizer::new(&optimizers, &weights),
            weights,
            objective,
            validation,
            device,
            permits,
            surroundings,
        }
    }

    /// Takes so many steps, or fewer if a member is no longer wanted. Returns how members end by that.
    fn advance(&mut self, steps: u64) -> Vec<Option<TaskEnd>> {
        let start = self.step;
        let mut losses = Vec::with_capacity(steps as usize);
        while self.step < start + steps && !self.members.iter().any(|member| self.surroundings.stopped(member.number)) {
            let batch = self.draw_batches();
            losses.push(self.objective.loss_and_gradient(&self.weights, batch.as_ref(), &mut self.gradient));
            self.optimizer.step(&mut self.weights, &mut self.gradient);
            self.step += 1;
        }
        let broken = first_not_finite(&losses, self.members.len());
        let end = |(member, broken): (&mut Member, Option<usize>)| {
            member.work.done += losses.len() as f64 * member.batch() as f64;
            self.surroundings.progress(member.number, member.work.share());
            if let Some(index) = broken {
                return Some(diverged(start + index as u64));
            }
            self.surroundings.stopped(member.number).then_some(TaskEnd::Stopped)
        };
        self.members.iter_mut().zip(broken).map(end).collect()
    }

    /// Each member's own examples of the next step, [E, n]; `None` is the full set.
    fn draw_batches(&mut self) -> Option<Tensor> {
        self.members[0].batches.as_ref()?; // the full set for one is the full set for all
        let size = self.members[0].batch() as usize;
        let mut indices = vec![0; size * self.members.len()];
        for (member, row) in self.members.iter_mut().zip(indices.chunks_exact_mut(size)) {
            member.batches.as_mut()?.draw(row);
        }
        Some(Tensor::from_slice(&indices).view([-1, size as i64]).to_device(self.device))
    }

    /// Measures, estimates where it is due, and tells the records. Returns how members end by that.
    fn record(&mut self) -> Vec<Option<TaskEnd>> {
        let loss = self.members[0].task.train.loss;
        let (model, train) = (self.objective.model(), self.objective.stacked());
        let records = metrics::measure(model, loss, train, self.validation.as_ref(), &self.weights);
        let mut ends = Vec::with_capacity(records.len());
        for (e, record) in records.into_iter().enumerate() {
            ends.push(self.record_member(e, record));
        }
        ends
    }

    fn record_member(&mut self, e: usize, measured: v1::Record) -> Option<TaskEnd> {
        let (surroundings, step) = (self.surroundings, self.step);
        let member = &mut self.members[e];
        let (number, task) = (member.number, member.task);
        let stopped = || surroundings.stopped(number);
        if measured.train_loss.is_none() {
            return Some(diverged(step));
        }
        let weights = self.weights.get(e as i64);
        let subject = llc::Subject { number, task, examples: &member.examples, weights: &weights, step };
        let due = self.course.llc.binary_search(&step).is_ok();
        let estimates = if due {
            llc::estimates(&[subject], self.device, self.permits, surroundings).remove(0)
        } else {
            Vec::new()
        };
        let val_accuracy = measured.val_accuracy;
        let mut record = v1::Record { step, estimates, ..measured };
        if self.course.geometry.binary_search(&step).is_ok() {
            geometry::measure(&subject, self.device, &mut record, &stopped);
        }
        if stopped() {
            return Some(TaskEnd::Stopped); // before the estimates were complete, perhaps
        }
        surroundings.record(number, record);
        if due {
            member.work.done += sampling(task);
            surroundings.progress(number, member.work.share());
        }
        let counts = self.course.checkpoints.binary_search(&step).is_ok();
        let stops = counts && member.stops_early(val_accuracy);
        stops.then_some(TaskEnd::Completed)
    }

    /// Lets go of the members that have ended.
    fn part(&mut self, leaving: Vec<Option<TaskEnd>>, ends: &mut [TaskEnd]) {
        if leaving.iter().all(Option::is_none) {
            return;
        }
        let staying: Vec<usize> = (0..leaving.len()).filter(|e| leaving[*e].is_none()).collect();
        let mut leaving = leaving.into_iter();
        self.members.retain(|member| match leaving.next().flatten() {
            Some(end) => {
                ends[member.number] = end;
                false
            }
            None => true,
        });
        if staying.is_empty() {
            return;
        }
        let rows: Vec<i64> = staying.iter().map(|e| *e as i64).collect();
        self.weights = self.weights.index_select(0, &Tensor::from_slice(&rows).to_device(self.device));
        self.gradient = self.weights.zeros_like();
        self.optimizer.keep(&staying);
        (self.objective, self.validation) = stack(&self.members, self.device);
    }
}
