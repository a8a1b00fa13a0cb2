//! The compute threads: each has a device, runs one ensemble at a time and survives whatever the engine does. A device that
//! may be at fault itself is given up, and the worker with it: it would fail point after point of a whole sweep.

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
use super::spool::Room;
use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings};
use crate::{cuda, engine, panics};

/// Characters of a panic's message that are worth sending: libtorch appends its stack.
const MESSAGE_LENGTH: usize = 500;
/// Ensembles that may fail in a row on one thread, without a member that comes to its end, before its device is given up.
const FAILURES: u32 = 5;

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
    /// For the records that are told.
    pub(super) room: Room,
}

/// The functions of [`crate::engine`], for tests to replace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engine {
    pub(super) run: fn(Vec<Start>, Device, &Permits, &dyn Surroundings),
    pub(super) ensembles: fn(&[TaskConfig], Device) -> Vec<Range<usize>>,
}

/// How an ensemble went, as far as that speaks of its device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Ran {
    /// Nobody wanted its members any more.
    #[default]
    Stopped,
    /// A member was computed to its end.
    Well,
    /// All members failed that were not stopped, and might not have elsewhere.
    Failed(String),
    /// The device may not compute any more.
    Broken(String),
}

/// A thread's trust in its device.
#[derive(Debug, Default)]
struct Trust {
    /// Ensembles that failed in a row.
    failures: u32,
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
                let mut trust = Trust::default();
                while let Some(ensemble) = bench.desk.next(bench.width, |tasks| bench.stack(tasks, device)) {
                    if let Err(reason) = trust.after(bench.run(ensemble, device)) {
                        let name = cuda::name(&[device]);
                        bench.desk.give_up(format!("nothing more is computed on {name}: {reason}"));
                    }
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

    fn run(&self, assignments: Vec<Assignment>, device: Device) -> Ran {
        let (ensemble, starts) = Ensemble::new(self, device, assignments);
        let run = || {
            let _permit = self.permits.acquire();
            (self.engine.run)(starts, device, &self.permits, &ensemble);
        };
        let (error, broken) = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(()) => ("the engine has lost the task".to_owned(), false),
            // After most errors of CUDA, each further call of the process fails too.
            Err(panic) => (format!("the engine panicked: {}", message(panics::text(&*panic))), device.is_cuda()),
        };
        ensemble.fail_rest(&error);
        self.desk.free();
        if broken { Ran::Broken(error) } else { ensemble.ran() }
    }
}

impl Trust {
    /// After an ensemble; in the end, why there is no more trust.
    fn after(&mut self, ran: Ran) -> Result<(), String> {
        match ran {
            Ran::Stopped => {}
            Ran::Well => self.failures = 0,
            Ran::Failed(error) => {
                self.failures += 1;
                if self.failures == FAILURES {
                    return Err(format!("{FAILURES} ensembles in a row failed, at last because {error}"));
                }
            }
            Ran::Broken(error) => return Err(format!("it may be unusable, since {error}")),
        }
        Ok(())
    }
}

fn message(text: Option<&str>) -> String {
    text.unwrap_or("without a message").chars().take(MESSAGE_LENGTH).collect()
}

#[cfg(test)]
mod tests;
