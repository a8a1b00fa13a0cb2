//! This side: the engine as a worker runs it, without the network around it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::Record;
use phasegrid_worker::engine;
use phasegrid_worker::permits::Permits;
use phasegrid_worker::surroundings::{Start, Surroundings, TaskEnd};
use tch::Device;

use crate::clock::{Seconds, time};

/// Keeps the records of an ensemble's members.
struct Notebook(Vec<Mutex<Vec<Record>>>);

impl Surroundings for Notebook {
    fn record(&self, member: usize, record: Record) {
        self.0[member].lock().expect("no panic").push(record);
    }

    fn ended(&self, _member: usize, end: TaskEnd) {
        assert_eq!(end, TaskEnd::Completed, "a task of the benchmark fails");
    }
}

/// Runs `tasks` on so many threads; the records of each.
pub(crate) fn run(tasks: &[TaskConfig], device: Device, threads: usize) -> (Seconds, Vec<Vec<Record>>) {
    let ensembles = engine::ensembles(tasks, device);
    let permits = Permits::new(threads);
    let next = AtomicUsize::new(0);
    let finished = Mutex::new(vec![Vec::new(); tasks.len()]);
    let work = || {
        loop {
            // Taken before an ensemble is: idle permits are for the chains of ensembles under way.
            let permit = permits.acquire();
            let Some(members) = ensembles.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let start = |task: &TaskConfig| Start { task: task.clone(), snapshot: None };
            let notebook = Notebook(members.clone().map(|_| Mutex::default()).collect());
            engine::run(tasks[members.clone()].iter().map(start).collect(), device, &permits, &notebook);
            let records = notebook.0.into_iter().map(|records| records.into_inner().expect("no panic"));
            finished.lock().expect("no panic")[members.clone()].iter_mut().zip(records).for_each(|(to, of)| *to = of);
            drop(permit);
        }
    };
    let (seconds, ()) = time(|| std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work)))));
    (seconds, finished.into_inner().expect("no panic"))
}
