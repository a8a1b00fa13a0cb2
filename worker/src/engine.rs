//! Placeholder of the seam until the numerics are merged.

use std::ops::Range;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tch::Device;

/// Compute permits.
#[derive(Debug)]
pub struct Permits;
/// One.
#[derive(Debug)]
pub struct Permit<'a>(std::marker::PhantomData<&'a Permits>);
impl Permits {
    /// New.
    pub fn new(_n: usize) -> Self {
        Self
    }
    /// Acquire.
    pub fn acquire(&self) -> Permit<'_> {
        Permit(std::marker::PhantomData)
    }
}
/// Surroundings.
pub trait Surroundings: Sync {
    /// Record.
    fn record(&self, member: usize, record: v1::Record);
    /// Progress.
    fn progress(&self, member: usize, work_done: f64);
    /// Stopped.
    fn stopped(&self, member: usize) -> bool;
    /// Baseline.
    fn baseline(&self, digest: &str) -> Option<v1::Estimate>;
    /// Store.
    fn store_baseline(&self, digest: &str, estimate: &v1::Estimate);
}
/// End.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEnd {
    /// Completed.
    Completed {
        /// Records.
        records: u64,
    },
    /// Failed.
    Failed {
        /// Error.
        error: String,
        /// Permanent.
        permanent: bool,
    },
    /// Stopped.
    Stopped,
}
/// Ensembles.
pub fn ensembles(tasks: &[TaskConfig], _device: Device) -> Vec<Range<usize>> {
    (0..tasks.len()).map(|n| n..n + 1).collect()
}
/// Run.
pub fn run(tasks: &[TaskConfig], _device: Device, _permits: &Permits, s: &dyn Surroundings) -> Vec<TaskEnd> {
    (0..tasks.len())
        .map(|member| {
            let steps = tasks[member].record_steps();
            for (n, step) in steps.iter().enumerate() {
                if s.stopped(member) {
                    return TaskEnd::Stopped;
                }
                s.record(member, v1::Record { step: *step, ..Default::default() });
                while tasks[member].train.steps > 1000 && !s.stopped(member) {
                    std::thread::yield_now();
                }
                s.progress(member, (n + 1) as f64 / steps.len() as f64);
            }
            if s.stopped(member) {
                return TaskEnd::Stopped;
            }
            TaskEnd::Completed { records: steps.len() as u64 }
        })
        .collect()
}
