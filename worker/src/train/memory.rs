//! Running out of memory: how it shows, and how large an ensemble may then be.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use phasegrid_proto::task::TaskConfig;
use tch::Device;

use super::shape;
use crate::panics;

/// What libtorch says, in lower case: of an accelerator's memory, of that of its matrix library, of the host's.
const SIGNS: [&str; 3] = ["out of memory", "cublas_status_alloc_failed", "can't allocate memory"];

/// libtorch's reason, its first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory(pub(super) String);

/// Runs `run`, and stops a panic that says that memory is out. Any other goes on.
pub(super) fn caught(run: impl FnOnce()) -> Result<(), OutOfMemory> {
    catch_unwind(AssertUnwindSafe(run)).or_else(|panic| match out_of_memory(&*panic) {
        Some(reason) => Err(OutOfMemory(reason)),
        None => resume_unwind(panic),
    })
}

fn out_of_memory(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panics::text(panic)?;
    let says_so = SIGNS.iter().any(|sign| text.to_lowercase().contains(sign));
    // Where it was raised follows, on further lines, which an unwrapped error has escaped.
    says_so.then(|| text.split('\n').flat_map(|line| line.split("\\n")).next().unwrap_or_default().to_owned())
}

/// Ensembles of the most members that have to fit before twice as many are tried again.
const FITTED: u32 = 8;

/// How large ensembles may be where a larger one did not fit. What took the memory may be gone by and by, so that larger
/// ones are tried again; each time that they still do not fit, the next try is twice as far.
#[derive(Clone, Copy, Debug)]
struct Limit {
    members: usize,
    /// Ensembles of so many that fitted in a row, and how many have to.
    fitted: u32,
    enough: u32,
}

impl Limit {
    fn new(members: usize) -> Self {
        Self { members, fitted: 0, enough: FITTED }
    }

    fn exceeded(&mut self, members: usize) {
        (self.members, self.fitted) = (members.min(self.members), 0);
        self.enough = self.enough.saturating_mul(2);
    }

    fn fitted(&mut self, members: usize) {
        if members < self.members {
            return;
        }
        self.fitted += 1;
        if self.fitted == self.enough {
            (self.members, self.fitted) = (2 * self.members, 0);
        }
    }
}

/// By device and what takes memory there. It lasts as long as the process.
static LIMITS: LazyLock<Mutex<HashMap<String, Limit>>> = LazyLock::new(Mutex::default);

/// The most members that an ensemble of tasks like `task` may have, as far as is known.
pub(super) fn most(task: &TaskConfig, device: Device) -> usize {
    let limits = limits();
    // The name takes longer to make than most devices ever need it.
    if limits.is_empty() {
        return usize::MAX;
    }
    limits.get(&name(task, device)).map_or(usize::MAX, |limit| limit.members)
}

/// Remembers that more than `members` tasks like these were too many.
pub(super) fn exceeded<'a>(tasks: impl Iterator<Item = &'a TaskConfig>, device: Device, members: usize) {
    let names: BTreeSet<_> = tasks.map(|task| name(task, device)).collect();
    let mut limits = limits();
    for name in names {
        limits.entry(name).and_modify(|limit| limit.exceeded(members)).or_insert_with(|| Limit::new(members));
    }
}

/// Remembers that an ensemble of `members` tasks like `task` fitted.
pub(super) fn fitted(task: &TaskConfig, device: Device, members: usize) {
    let mut limits = limits();
    if !limits.is_empty() {
        limits.entry(name(task, device)).and_modify(|limit| limit.fitted(members));
    }
}

fn limits() -> MutexGuard<'static, HashMap<String, Limit>> {
    LIMITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names what decides how much memory a task takes: its shape, its examples, and how many chains see how many of them at once.
fn name(task: &TaskConfig, device: Device) -> String {
    let (train, all) = (task.data.train_examples(), task.data.examples());
    let samplers = || task.llc.iter().flat_map(|llc| &llc.samplers);
    let chains: u64 = samplers().map(|sampler| u64::from(sampler.chains)).sum();
    let batch = samplers().map(|sampler| sampler.batch_size.resolve(train)).max();
    let geometry = task.geometry.is_some();
    format!("{device:?} {} {train} {all} {chains} {batch:?} {geometry}", shape::of(task).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::modular_task;
    use crate::train::tests::llc;
    use phasegrid_proto::task::Data;

    #[test]
    fn a_panic_of_libtorch_for_want_of_memory_is_told_from_others() {
        let said = |text: &'static str| caught(|| panic!("{text}"));
        let reason = "CUDA out of memory. Tried to allocate 20.00 MiB";
        assert_eq!(
            said("CUDA out of memory. Tried to allocate 20.00 MiB\nException raised from …"),
            Err(OutOfMemory(reason.into()))
        );
        let escaped =
            said("called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory.\\nException raised\")");
        let reason = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory.";
        assert_eq!(escaped, Err(OutOfMemory(reason.into())));
        assert!(said("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory").is_err());
        assert_eq!(caught(|| ()), Ok(()));
        let other = catch_unwind(|| caught(|| panic!("shapes do not match")));
        assert_eq!(other.unwrap_err().downcast_ref::<&str>(), Some(&"shapes do not match"));
    }

    #[test]
    fn a_limit_is_known_of_tasks_that_take_as_much_memory_and_of_no_others() {
        let device = Device::Cuda(1);
        let task = modular_task(7, 9, 0); // a width that no other test limits
        for (told, known) in [(8, 8), (4, 4), (6, 4)] {
            exceeded([&task].into_iter(), device, told);
            assert_eq!(most(&modular_task(7, 9, 5), device), known);
        }
        assert_eq!(most(&task, Device::Cuda(0)), usize::MAX);
        assert_eq!(most(&modular_task(11, 9, 0), device), usize::MAX);
        let mut fewer_examples = task.clone();
        let Data::Modular { train_fraction, .. } = &mut fewer_examples.data else { panic!("modular") };
        *train_fraction /= 2.0;
        let mut sampled = task.clone();
        sampled.llc = Some(llc(&[0]));
        let others = [&fewer_examples, &sampled];
        assert!(others.iter().all(|task| most(task, device) == usize::MAX));
        exceeded(others.into_iter(), device, 3);
        assert_eq!(others.map(|task| most(task, device)), [3, 3], "members of one ensemble");
    }

    #[test]
    fn larger_ensembles_are_tried_again_after_some_that_fitted_and_then_less_often() {
        let mut limit = Limit::new(4);
        let until_larger = |limit: &mut Limit| {
            let before = limit.members;
            (1..).find(|_| {
                limit.fitted(before - 1); // says nothing
                limit.fitted(before);
                limit.members > before
            })
        };
        assert_eq!((until_larger(&mut limit), limit.members), (Some(FITTED), 8));
        limit.exceeded(4);
        assert_eq!((until_larger(&mut limit), limit.members), (Some(2 * FITTED), 8));
        assert_eq!((until_larger(&mut limit), limit.members), (Some(2 * FITTED), 16));
    }
}
