//! The compute threads: each has a device, runs one ensemble at a time and survives whatever the engine does.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use phasegrid_proto::task::TaskConfig;
use tch::Device;
use tokio::sync::mpsc::UnboundedSender;

use super::Capacity;
use super::baselines::Baselines;
use super::desk::Desk;
use super::ensemble::Ensemble;
use super::held::Assignment;
use super::reporter::Mail;
use super::shelf::Library;
use crate::engine;
use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings};

/// Characters of a panic's message that are worth sending: libtorch appends its stack.
const MESSAGE_LENGTH: usize = 500;

/// The running threads. They end with it, each after the ensemble that it runs, which is told to stop.
#[derive(Debug)]
pub(super) struct Compute(Arc<Desk>);

/// What all compute threads share.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) engine: Engine,
    /// Points that a thread may advance at once.
    pub(super) width: usize,
    pub(super) permits: Permits,
    pub(super) desk: Arc<Desk>,
    pub(super) baselines: Baselines,
    pub(super) library: Option<Library>,
    pub(super) mail: UnboundedSender<Mail>,
}

/// The functions of [`crate::engine`], for tests to replace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engine {
    pub(super) run: fn(Vec<Start>, Device, &Permits, &dyn Surroundings),
    pub(super) ensembles: fn(&[TaskConfig], Device) -> Vec<Range<usize>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { run: engine::run, ensembles: engine::ensembles }
    }
}

impl Compute {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(super) fn start(capacity: &Capacity, bench: Bench) -> std::io::Result<Self> {
        let bench = Arc::new(bench);
        let compute = Self(Arc::clone(&bench.desk));
        for (thread, &device) in capacity.devices.iter().enumerate() {
            let bench = Arc::clone(&bench);
            std::thread::Builder::new().name(format!("compute-{thread}")).spawn(move || {
                while let Some(ensemble) = bench.desk.next(bench.width, |tasks| bench.stack(tasks, device)) {
                    bench.run(ensemble, device);
                }
            })?;
        }
        Ok(compute)
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Bench {
    /// How many of `tasks`, counted from the first, make an ensemble.
    pub(super) fn stack(&self, tasks: &[TaskConfig], device: Device) -> usize {
        (self.engine.ensembles)(tasks, device).first().map_or(0, ExactSizeIterator::len)
    }

    fn run(&self, assignments: Vec<Assignment>, device: Device) {
        let (ensemble, starts) = Ensemble::new(self, device, assignments);
        let run = || {
            let _permit = self.permits.acquire();
            (self.engine.run)(starts, device, &self.permits, &ensemble);
        };
        let error = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(()) => "the engine has lost the task".to_owned(),
            Err(panic) => format!("the engine panicked: {}", message(&*panic)),
        };
        ensemble.fail_rest(&error);
        self.desk.free();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").chars().take(MESSAGE_LENGTH).collect()
}

#[cfg(test)]
mod tests;
