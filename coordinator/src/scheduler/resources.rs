//! What a sweep needs of a worker, and whether some worker has it.

use std::fmt;

use super::workers::Worker;
use super::{Scheduler, SweepKey};

/// What a worker computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// The host's processor.
    Cpu,
    /// GPUs.
    Cuda,
}

impl Device {
    /// The kind of a device by its name, as in "cpu" and "cuda:0,cuda:1".
    pub(super) fn of(name: &str) -> Self {
        if name.starts_with("cuda") { Self::Cuda } else { Self::Cpu }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

/// What a sweep needs of a worker; the default is nothing in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// What it must compute on.
    pub device: Option<Device>,
    /// Bytes of memory that its device must have at least, each of them where it has several.
    pub memory: u64,
}

impl Requirement {
    pub(super) fn fits(self, worker: &Worker) -> bool {
        self.device.is_none_or(|device| device == Device::of(&worker.device)) && self.memory <= worker.memory
    }
}

impl fmt::Display for Requirement {
    /// As in "cuda with 16 GiB".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Some(device) => write!(f, "{device}")?,
            None => f.write_str("any device")?,
        }
        #[expect(clippy::cast_precision_loss, reason = "for a person")]
        let gib = self.memory as f64 / f64::from(1 << 30);
        if self.memory > 0 { write!(f, " with {gib} GiB") } else { Ok(()) }
    }
}

impl Scheduler {
    /// What a sweep needs that no worker which takes leases has, although there are some.
    #[must_use]
    pub fn unmet(&self, key: SweepKey) -> Option<Requirement> {
        let sweep = self.sweeps.get(&key).filter(|sweep| !sweep.state.has_ended())?;
        let required = Some(sweep.requirement).filter(|requirement| *requirement != Requirement::default())?;
        (self.workers.slots(Requirement::default()) > 0 && self.workers.slots(required) == 0).then_some(required)
    }
}
