//! That an ensemble which is too large is split, and that nobody notices but by a warning.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use phasegrid_proto::task::Baseline;

use super::*;
use crate::train::course::Course;
use crate::train::ensemble::Ensemble;
use crate::train::member::Member;
use crate::train::memory::most;

/// Members on a device that has too little memory for all of them.
#[derive(Default)]
struct Cramped {
    notebook: Notebook,
    /// So many can train at once.
    fits: usize,
    /// More of them are noticed each time that so many more questions were asked, in the middle of a stretch of steps.
    patience: usize,
    /// Memory is out as many times, whenever a baseline is to be sampled.
    samplings: AtomicUsize,
    /// Those that are training, as far as one has heard of them since memory was last out.
    training: Mutex<BTreeSet<usize>>,
    asked: AtomicUsize,
    /// How often it was out.
    out: AtomicUsize,
    /// The least progress that was told of any member since it was out.
    least: Mutex<Option<f64>>,
}

impl Cramped {
    fn run(self, tasks: &[TaskConfig]) -> Self {
        run_on(Kind::Float, starts(tasks), &self);
        self
    }

    fn fail(&self) -> ! {
        self.out.fetch_add(1, Ordering::Relaxed);
        panic!("Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB\\nException raised from …\")")
    }

    fn out(&self) -> usize {
        self.out.load(Ordering::Relaxed)
    }
}

impl Surroundings for Cramped {
    fn stopped(&self, member: usize) -> bool {
        let mut training = self.training.lock().unwrap();
        training.insert(member);
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if training.len() > self.fits && asked.is_multiple_of(self.patience) {
            training.clear();
            drop(training);
            self.fail();
        }
        false
    }
    fn baseline(&self, _digest: &str) -> Option<v1::Estimate> {
        let left = self.samplings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() { self.fail() } else { None }
    }
    fn record(&self, member: usize, record: Record) {
        self.notebook.record(member, record);
    }
    fn progress(&self, member: usize, work_done: f64) {
        let before = self.notebook.progress.lock().unwrap().get(&member).copied();
        // Where memory was out between steps, nothing is computed twice.
        assert!(self.fits < usize::MAX || before.is_none_or(|before| before <= work_done));
        if self.out() > 0 {
            let mut least = self.least.lock().unwrap();
            *least = Some(least.map_or(work_done, |least| least.min(work_done)));
        }
        self.notebook.progress(member, work_done);
    }
    fn wants_snapshot(&self, _member: usize) -> bool {
        self.notebook.snaps
    }
    fn keep_snapshot(&self, member: usize, snapshot: v1::Snapshot) {
        self.notebook.keep_snapshot(member, snapshot);
    }
    fn ended(&self, member: usize, end: TaskEnd) {
        self.training.lock().unwrap().remove(&member);
        self.notebook.ended(member, end);
    }
}

/// Each test has a width of its own: limits and baselines are known as long as the process lives.
fn tasks(width: u32, count: u64) -> Vec<TaskConfig> {
    let task = |seed| TaskConfig {
        model: modular_task(7, width, 0).model,
        llc: Some(llc(&[20])),
        ..small(seed, 0.01, BatchSize::Size(8))
    };
    (0..count).map(task).collect()
}

fn assert_all_told(tasks: &[TaskConfig], notebook: &Notebook) {
    for (member, task) in tasks.iter().enumerate() {
        assert_eq!(notebook.of(member), told(std::slice::from_ref(task)).of(0), "each record once");
        assert_eq!(notebook.end(member), Some(TaskEnd::Completed));
    }
}

#[test]
fn an_ensemble_that_is_out_of_memory_in_a_step_goes_on_in_halves_and_the_next_starts_smaller() {
    let tasks = tasks(13, 5);
    // The first time between the steps 20 and 40 of five members.
    let cramped = Cramped { fits: 2, patience: 151, ..Cramped::default() }.run(&tasks);
    assert_all_told(&tasks, &cramped.notebook);
    assert_eq!(cramped.out(), 2, "five halve to three and three to two");
    assert_eq!(*cramped.least.lock().unwrap(), Some(0.0), "they train again from the beginning");
    assert_eq!(most(&tasks[0], Device::Cpu), 2);
    let again = Cramped { fits: 2, patience: 1, ..Cramped::default() }.run(&tasks);
    assert_all_told(&tasks, &again.notebook);
    assert_eq!(again.out(), 0);
}

#[test]
fn a_member_of_which_there_is_a_snapshot_goes_on_from_there_when_memory_is_out() {
    let tasks = tasks(17, 5);
    let notebook = Notebook { snaps: true, ..Notebook::default() };
    // Between the steps 20 and 40 of all members.
    let cramped = Cramped { notebook, fits: 4, patience: 151, ..Cramped::default() }.run(&tasks);
    assert_all_told(&tasks, &cramped.notebook);
    assert_eq!(cramped.out(), 1);
    let course = Course::of(&tasks[0]);
    let at_the_snapshot = course.share(&course.after(20, 0).unwrap());
    assert!(cramped.least.lock().unwrap().is_some_and(|least| least > at_the_snapshot), "{:?}", cramped.least);
}

#[test]
fn members_for_whom_there_is_no_room_leave_the_others_where_they_are() {
    let _guard = tch::no_grad_guard();
    let (tasks, notebook, permits) = (tasks(18, 2), Notebook::default(), Permits::new(0));
    let place = Place { kind: Kind::Float, device: Device::Cpu, permits: &permits, surroundings: &notebook };
    let mut members: Vec<_> =
        (0..).zip(starts(&tasks)).map(|(number, start)| Member::new(number, start, &place)).collect();
    let newcomer = members.pop().unwrap();
    let mut ensemble = Ensemble::new(members, &place);
    ensemble.program();
    ensemble.members[0].at.step = 7;
    // As a join leaves it that does not get further.
    ensemble.members.push(newcomer);
    let saved = ensemble.disband().into_iter().map(|member| (member.at.step, member.saved.map(|saved| saved.at.step)));
    assert_eq!(saved.collect::<Vec<_>>(), [(7, Some(7)), (0, None)]);
}

#[test]
fn an_ensemble_that_is_out_of_memory_between_steps_goes_on_where_it_is() {
    let mut tasks = tasks(14, 5);
    for task in &mut tasks {
        task.llc.as_mut().unwrap().baselines = vec![Baseline::Zero];
    }
    let cramped = Cramped { fits: usize::MAX, samplings: AtomicUsize::new(2), ..Cramped::default() }.run(&tasks);
    assert_all_told(&tasks, &cramped.notebook);
    assert_eq!(cramped.out(), 2);
}

#[test]
fn a_task_that_does_not_fit_alone_may_fit_elsewhere() {
    let tasks = tasks(15, 2);
    let cramped = Cramped { patience: 61, ..Cramped::default() }.run(&tasks);
    for member in [0, 1] {
        let Some(TaskEnd::Failed { error, permanent: false }) = cramped.notebook.end(member) else { panic!("it fits") };
        assert!(error.starts_with("the device has too little memory for this task alone: Torch(\"CUDA"), "{error}");
        assert!(!error.contains("Exception") && !cramped.notebook.steps(member).contains(&60), "{error}");
    }
}

#[test]
fn newcomers_are_no_more_than_fit() {
    let tasks = tasks(16, 6);
    let notebook = Notebook { newcomers: Mutex::new(starts(&tasks[4..])), ..Notebook::default() };
    let cramped = Cramped { notebook, fits: 2, patience: 61, ..Cramped::default() };
    struct Open(Cramped);
    impl Surroundings for Open {
        fn stopped(&self, member: usize) -> bool {
            self.0.stopped(member)
        }
        fn record(&self, member: usize, record: Record) {
            self.0.record(member, record);
        }
        fn ended(&self, member: usize, end: TaskEnd) {
            self.0.ended(member, end);
        }
        fn newcomers(&self, room: usize) -> Vec<Start> {
            self.0.notebook.newcomers(room)
        }
    }
    // One leaves each half early, and makes room.
    let mut started = tasks[..4].to_vec();
    for task in [0, 2] {
        started[task].checkpoints = Checkpoints::List(vec![0, 20]);
    }
    let open = Open(cramped);
    run_on(Kind::Float, starts(&started), &open);
    assert_all_told(&[&started, &tasks[4..]].concat(), &open.0.notebook);
    assert_eq!(open.0.out(), 1, "four halve to two, and no newcomer makes three");
}
