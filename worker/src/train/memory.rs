//! Running out of memory: how it shows, and how large an ensemble may then be.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use phasegrid_proto::task::TaskConfig;
use tch::Device;

use super::shape;

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
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())?;
    let says_so = SIGNS.iter().any(|sign| text.to_lowercase().contains(sign));
    // Where it was raised follows, on further lines, which an unwrapped error has escaped.
    says_so.then(|| text.split('\n').flat_map(|line| line.split("\\n")).next().unwrap_or_default().to_owned())
}

/// The most members that fitted where more did not, by device and shape. It lasts as long as the process.
static MOST: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

/// The most members that an ensemble of tasks like `task` may have, as far as is known.
pub(super) fn most(task: &TaskConfig, device: Device) -> usize {
    let most = known();
    // The name of a shape takes longer to make than most devices ever need it.
    if most.is_empty() { usize::MAX } else { most.get(&name(task, device)).copied().unwrap_or(usize::MAX) }
}

/// Remembers that more than `members` were too many.
pub(super) fn limit(task: &TaskConfig, device: Device, members: usize) {
    let mut most = known();
    let known = most.entry(name(task, device)).or_insert(members);
    *known = members.min(*known);
}

fn known() -> MutexGuard<'static, HashMap<String, usize>> {
    MOST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(task: &TaskConfig, device: Device) -> String {
    format!("{device:?} {}", shape::of(task).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::modular_task;

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
    fn a_limit_is_remembered_by_shape_and_only_falls() {
        let task = modular_task(7, 9, 0); // a width that no other test limits
        for (told, known) in [(8, 8), (4, 4), (6, 4)] {
            limit(&task, Device::Cuda(1), told);
            assert_eq!(most(&modular_task(7, 9, 5), Device::Cuda(1)), known);
        }
        assert_eq!(most(&task, Device::Cuda(0)), usize::MAX);
        assert_eq!(most(&modular_task(11, 9, 0), Device::Cuda(1)), usize::MAX);
    }
}
