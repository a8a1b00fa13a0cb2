//! Whole ensembles on the CPU, in single precision, where a member's records are to the bit those of its task alone, and in
//! double precision, which takes the tensor program of an accelerator.

mod lives;
mod memory;
mod phases;
mod shards;
mod snapshots;
mod together;

use std::collections::BTreeMap;
use std::sync::Mutex;

use phasegrid_proto::task::{
    BatchSize, Checkpoints, InitialLoss, Llc, Method, Nbeta, Optimizer, Sampler, StepSize, TaskConfig,
};
use phasegrid_proto::v1::{self, Record};
use tch::{Device, Kind};

use super::{Place, run};
use crate::models::tests::modular_task;
use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// Keeps what it is told.
#[derive(Default)]
struct Notebook {
    records: Mutex<Vec<(usize, Record)>>,
    ends: Mutex<BTreeMap<usize, TaskEnd>>,
    snapshots: Mutex<Vec<(usize, v1::Snapshot)>>,
    /// Whether all snapshots are wanted.
    snaps: bool,
    /// A member that is stopped once it has so many records.
    stop: Option<(usize, usize)>,
    /// Who come when there is room.
    newcomers: Mutex<Vec<Start>>,
    /// The progress that was told last, by member.
    progress: Mutex<BTreeMap<usize, f64>>,
}

impl Notebook {
    fn of(&self, member: usize) -> Vec<Record> {
        let records = self.records.lock().unwrap();
        records.iter().filter(|(of, _)| *of == member).map(|(_, record)| record.clone()).collect()
    }

    fn steps(&self, member: usize) -> Vec<u64> {
        self.of(member).iter().map(|record| record.step).collect()
    }

    fn end(&self, member: usize) -> Option<TaskEnd> {
        self.ends.lock().unwrap().get(&member).cloned()
    }

    fn run(self, starts: Vec<Start>) -> Self {
        run_on(Kind::Float, starts, &self);
        self
    }
}

impl Surroundings for Notebook {
    fn record(&self, member: usize, record: Record) {
        assert_eq!(self.end(member), None, "nothing is told of a member that has left");
        self.records.lock().unwrap().push((member, record));
    }
    fn progress(&self, member: usize, work_done: f64) {
        assert!((0.0..=1.0).contains(&work_done));
        self.progress.lock().unwrap().insert(member, work_done);
    }
    fn ended(&self, member: usize, end: TaskEnd) {
        assert_eq!(self.ends.lock().unwrap().insert(member, end), None, "a member ends once");
    }
    fn stopped(&self, member: usize) -> bool {
        self.stop.is_some_and(|(who, after)| who == member && self.of(member).len() >= after)
    }
    fn wants_snapshot(&self, _member: usize) -> bool {
        self.snaps
    }
    fn keep_snapshot(&self, member: usize, snapshot: v1::Snapshot) {
        self.snapshots.lock().unwrap().push((member, snapshot));
    }
    fn newcomers(&self, room: usize) -> Vec<Start> {
        let mut newcomers = self.newcomers.lock().unwrap();
        let room = room.min(newcomers.len());
        newcomers.drain(..room).collect()
    }
}

fn run_on(kind: Kind, starts: Vec<Start>, surroundings: &dyn Surroundings) {
    let _guard = tch::no_grad_guard();
    let permits = Permits::new(0);
    run(starts, &Place { kind, device: Device::Cpu, permits: &permits, surroundings });
}

fn starts(tasks: &[TaskConfig]) -> Vec<Start> {
    tasks.iter().map(|task| Start { task: task.clone(), snapshot: None }).collect()
}

/// What is told of tasks that share an ensemble, or of one that is alone.
fn told(tasks: &[TaskConfig]) -> Notebook {
    Notebook::default().run(starts(tasks))
}

fn small(seed: u64, learning_rate: f64, batch_size: BatchSize) -> TaskConfig {
    let mut task = modular_task(7, 10, seed);
    task.train.optimizer = Optimizer::AdamW { learning_rate, weight_decay: 0.1, betas: [0.9, 0.98] };
    task.train.batch_size = batch_size;
    task.train.steps = 60;
    task.checkpoints = Checkpoints::Every(20);
    task
}

pub(super) fn llc(checkpoints: &[u64]) -> Llc {
    Llc {
        samplers: [1e-4, 1e-3].map(sampler).to_vec(),
        baselines: vec![],
        checkpoints: Some(Checkpoints::List(checkpoints.to_vec())),
        shard: None,
    }
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
