//! The seam between the runtime and the numerics: runs an ensemble of tasks, blocking, on the caller's thread.
//!
//! Above: leases, network, threads ([`crate::runner`]). Below: training and sampling, which know none of it and tell
//! what happens through [`Surroundings`].

use std::ops::Range;

use phasegrid_proto::task::{Data, Init, Operation, Optimizer, TaskConfig};
use tch::Device;

use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings};
use crate::{models, train};

/// Members of one ensemble at most.
const MOST_MEMBERS: usize = 256;

/// Numbers of weights and, for one layer, of activations that an ensemble may have: a few GB with gradients and moments.
const MOST_NUMBERS: u64 = 1 << 28;

/// Groups of neighbouring tasks that can be stacked: same shapes, same course of training. Together the ranges cover all
/// tasks, in order; which they are follows from tasks and device alone.
///
/// On a CPU every task is alone: a step of the smallest network takes microseconds there, and stacking saves none of them.
#[must_use]
pub fn ensembles(tasks: &[TaskConfig], device: Device) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if range.len() < room(task, device) && stack(&tasks[range.start], task) => range.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

/// How many members like `task` an ensemble may have.
fn room(task: &TaskConfig, device: Device) -> usize {
    if device == Device::Cpu {
        return 1;
    }
    let model = models::of(task);
    let widest = model.layers().iter().map(|layer| layer.inputs as u64).max().unwrap_or(1);
    // Validation examples count: they are all looked at together.
    let examples = task.data.examples();
    let numbers = model.dimension().unsigned_abs() + examples * (widest + model.outputs().unsigned_abs());
    (MOST_NUMBERS / numbers).clamp(1, MOST_MEMBERS as u64) as usize
}

/// Whether two tasks differ at most in what each member of an ensemble has of its own.
fn stack(a: &TaskConfig, b: &TaskConfig) -> bool {
    let shared = |task: &TaskConfig| {
        let mut task = task.clone();
        task.seed = 0;
        task.model = task.model.with_init(Init::Zero);
        if let Data::Modular { operation, label_noise, .. } = &mut task.data {
            (*operation, *label_noise) = (Operation::Add, 0.0);
        }
        let (Optimizer::Adam { learning_rate, weight_decay, .. }
        | Optimizer::AdamW { learning_rate, weight_decay, .. }
        | Optimizer::Sgd { learning_rate, weight_decay, .. }) = &mut task.train.optimizer;
        (*learning_rate, *weight_decay) = (0.0, 0.0);
        task
    };
    // A teacher's targets are numbers, all other networks' are classes.
    (a.model.init() == Init::Teacher) == (b.model.init() == Init::Teacher) && shared(a) == shared(b)
}

/// Trains the tasks of `starts`, which are one of [`ensembles`], and estimates at their checkpoints. The caller holds a
/// permit.
///
/// Never panics on numerics: a training loss that is not finite is a permanent failure that names the step, and a chain
/// that failed is an estimate of that health.
pub fn run(starts: Vec<Start>, device: Device, permits: &Permits, surroundings: &dyn Surroundings) {
    // Parallelism is between tasks and chains; threads inside an operation would compete with them.
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    train::run(starts, device, permits, surroundings);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::modular_task;
    use crate::surroundings::TaskEnd;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use phasegrid_proto::task::{BatchSize, Checkpoints, InitialLoss, Llc, Method, Nbeta, Sampler, StepSize, Stop};
    use phasegrid_proto::v1::Record;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Notebook {
        records: Mutex<Vec<(usize, Record)>>,
        ends: Mutex<BTreeMap<usize, TaskEnd>>,
        /// A member that is stopped once it has so many records.
        stop: Option<(usize, usize)>,
        /// What was told last.
        work_done: Mutex<f64>,
    }

    impl Notebook {
        fn of(&self, member: usize) -> Vec<Record> {
            let records = self.records.lock().unwrap();
            records.iter().filter(|(of, _)| *of == member).map(|(_, record)| record.clone()).collect()
        }
    }

    impl Surroundings for Notebook {
        fn record(&self, member: usize, record: Record) {
            self.records.lock().unwrap().push((member, record));
        }
        fn progress(&self, _member: usize, work_done: f64) {
            assert!((0.0..=1.0).contains(&work_done));
            *self.work_done.lock().unwrap() = work_done;
        }
        fn ended(&self, member: usize, end: TaskEnd) {
            assert_eq!(self.ends.lock().unwrap().insert(member, end), None, "a member ends once");
        }
        fn stopped(&self, member: usize) -> bool {
            self.stop.is_some_and(|(who, after)| who == member && self.of(member).len() >= after)
        }
    }

    fn run_all(tasks: &[TaskConfig], notebook: &Notebook) -> Vec<TaskEnd> {
        let starts = tasks.iter().map(|task| Start { task: task.clone(), snapshot: None }).collect();
        run(starts, Device::Cpu, &Permits::new(0), notebook);
        std::mem::take(&mut *notebook.ends.lock().unwrap()).into_values().collect()
    }

    fn small(seed: u64, learning_rate: f64, batch_size: BatchSize) -> TaskConfig {
        let mut task = modular_task(7, 10, seed);
        task.train.optimizer = Optimizer::AdamW { learning_rate, weight_decay: 0.1, betas: [0.9, 0.98] };
        task.train.batch_size = batch_size;
        task.train.steps = 60;
        task.checkpoints = Checkpoints::Every(20);
        task
    }

    #[test]
    fn a_record_is_the_same_alone_in_an_ensemble_and_in_another_order() {
        for batch_size in [BatchSize::Full, BatchSize::Size(8)] {
            let tasks: Vec<_> = (0..3).map(|seed| small(seed, 0.01 * (seed + 1) as f64, batch_size)).collect();
            let reversed: Vec<_> = tasks.iter().rev().cloned().collect();
            let (together, backwards) = (Notebook::default(), Notebook::default());
            assert_eq!(run_all(&tasks, &together), vec![TaskEnd::Completed; 3]);
            run_all(&reversed, &backwards);
            for (member, task) in tasks.iter().enumerate() {
                let alone = Notebook::default();
                run_all(std::slice::from_ref(task), &alone);
                assert_eq!(alone.of(0), together.of(member));
                assert_eq!(alone.of(0), backwards.of(2 - member));
            }
        }
    }

    #[test]
    fn records_come_at_checkpoints_in_rising_steps() {
        let notebook = Notebook::default();
        let mut task = small(0, 0.01, BatchSize::Full);
        task.checkpoints = Checkpoints::List(vec![0, 7, 31]);
        assert_eq!(run_all(&[task], &notebook), [TaskEnd::Completed]);
        assert_eq!(notebook.of(0).iter().map(|record| record.step).collect::<Vec<_>>(), [0, 7, 31]);
    }

    #[test]
    fn members_that_stop_early_fail_or_are_cancelled_leave_the_others_undisturbed() {
        let mut tasks: Vec<_> = (0..4).map(|seed| small(seed, 0.01, BatchSize::Size(8))).collect();
        let Optimizer::AdamW { learning_rate, .. } = &mut tasks[1].train.optimizer else { panic!("AdamW") };
        *learning_rate = 1e30;
        let notebook = Notebook { stop: Some((2, 2)), ..Notebook::default() };
        let ends = run_all(&tasks, &notebook);
        assert_eq!(ends[0], TaskEnd::Completed);
        assert_eq!(ends[2], TaskEnd::Stopped);
        assert_eq!(ends[3], TaskEnd::Completed);
        let TaskEnd::Failed { error, permanent: true } = &ends[1] else { panic!("{:?}", ends[1]) };
        assert_eq!(error, "the training loss is not finite at step 1");
        assert_eq!((notebook.of(1).len(), notebook.of(2).len()), (1, 2));
        let alone = Notebook::default();
        run_all(&tasks[3..], &alone);
        assert_eq!(alone.of(0), notebook.of(3));
    }

    #[test]
    fn training_stops_when_validation_accuracy_has_lasted() {
        let mut task = small(0, 0.01, BatchSize::Full);
        task.train.stop = Some(Stop { val_accuracy: 0.0, checkpoints: 2 });
        let notebook = Notebook::default();
        assert_eq!(run_all(&[task], &notebook), [TaskEnd::Completed]);
    }

    #[test]
    fn estimates_come_with_the_records_of_the_steps_at_which_they_are_due() {
        let mut task = small(0, 0.01, BatchSize::Full);
        task.llc = Some(Llc {
            samplers: [1e-4, 1e-3].map(sampler).to_vec(),
            baselines: vec![],
            checkpoints: Some(Checkpoints::List(vec![10, 40])),
            shard: None,
        });
        let notebook = Notebook::default();
        assert_eq!(run_all(&[task], &notebook), [TaskEnd::Completed]);
        let estimates: Vec<_> = notebook.of(0).iter().map(|record| (record.step, record.estimates.len())).collect();
        assert_eq!(estimates, [(0, 0), (10, 2), (20, 0), (40, 2), (60, 0)]);
        assert_eq!(*notebook.work_done.lock().unwrap(), 1.0);
    }

    fn sampler(step_size: f64) -> Sampler {
        Sampler {
            preset: None,
            method: Method::Sgld,
            step_size: StepSize::Fixed(step_size),
            localization: 5.0,
            nbeta: Nbeta::Fixed(10.0),
            chains: 2,
            burn_in: 5,
            draws: 20,
            batch_size: BatchSize::Size(8),
            layer: None,
            initial_loss: InitialLoss::Whole,
            sensitivity: false,
        }
    }

    /// Of "a small map with all four of Liu's phases": the first steps with 90 % of training and of validation accuracy.
    fn reached(train_fraction: f64, steps: u64) -> (Option<u64>, Option<u64>) {
        let mut task = modular_task(23, 128, 0);
        let Data::Modular { train_fraction: fraction, .. } = &mut task.data else { panic!("modular") };
        *fraction = train_fraction;
        task.train.steps = steps;
        let notebook = Notebook::default();
        run_all(&[task], &notebook);
        let records = notebook.of(0);
        let first = |of: fn(&Record) -> Option<f64>| records.iter().find(|r| of(r) >= Some(0.9)).map(|r| r.step);
        (first(|record| record.train_accuracy), first(|record| record.val_accuracy))
    }

    #[test]
    fn networks_memorise_small_sets_grok_larger_ones_and_comprehend_the_largest() {
        let (train, validation) = reached(0.3, 3000);
        assert!(train.is_some_and(|step| step <= 500) && validation.is_none(), "{train:?} {validation:?}");
        // The map's own seed arrives within its 3000 steps; others have reached 77 % to 89 % by then.
        let (train, validation) = reached(0.4, 5000);
        assert!(validation.zip(train).is_some_and(|(late, soon)| late - soon >= 1000), "{train:?} {validation:?}");
        let (train, validation) = reached(0.8, 500);
        assert!(validation.zip(train).is_some_and(|(late, soon)| late - soon < 1000), "{train:?} {validation:?}");
    }

    #[test]
    fn stackable_neighbours_form_an_ensemble_and_nothing_else_does() {
        let mut tasks: Vec<_> = (0..3).map(|seed| small(seed, 0.01, BatchSize::Full)).collect();
        tasks.push(small(0, 0.5, BatchSize::Full));
        tasks.push(small(0, 0.5, BatchSize::Size(4)));
        tasks.push(modular_task(11, 10, 0));
        assert_eq!(ensembles(&tasks, Device::Cuda(0)), [0..4, 4..5, 5..6]);
        assert_eq!(ensembles(&tasks[..2], Device::Cpu), [0..1, 1..2]);
        assert!(ensembles(&[], Device::Cpu).is_empty());
    }
}
