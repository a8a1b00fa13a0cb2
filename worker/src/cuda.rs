//! Which device computes: loads libtorch's CUDA part and settles what `auto` and `cuda:N` mean here.
//!
//! Linkers leave out `libtorch_cuda.so`, because nothing refers to it by name. Loading it before the first call into
//! libtorch registers its kernels, so one binary serves machines with and without a GPU.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::{Cuda, Device};

use crate::config::DeviceChoice;

/// A named GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// This libtorch has no CUDA part, or it does not load.
    #[error("device: cuda:{wanted} needs libtorch's CUDA part, which does not load: {reason}")]
    NotLoaded {
        /// The number that was asked for.
        wanted: usize,
        /// What the loader said.
        reason: String,
    },
    /// There are fewer GPUs.
    #[error("device: cuda:{wanted} is not there; accepted: {}", accepted(*.found))]
    Absent {
        /// The number that was asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// Turns a choice into a device that is there. Must come before any other use of libtorch.
///
/// # Errors
/// If a GPU was named that cannot be used: there is no silent fall-back to the CPU.
pub fn resolve(choice: DeviceChoice) -> Result<Device, DeviceError> {
    match choice {
        // Loading CUDA costs seconds and memory that a CPU worker does not need.
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => {
            let loaded = load().inspect_err(|reason| tracing::debug!(%reason, "libtorch's CUDA part does not load"));
            Ok(if loaded.is_ok() && found() > 0 { Device::Cuda(0) } else { Device::Cpu })
        }
        DeviceChoice::Cuda(wanted) => {
            load().map_err(|reason| DeviceError::NotLoaded { wanted, reason })?;
            let found = found();
            if wanted < found { Ok(Device::Cuda(wanted)) } else { Err(DeviceError::Absent { wanted, found }) }
        }
    }
}

/// The device as the coordinator and people read it.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

fn accepted(found: usize) -> String {
    if found == 0 { "cpu".to_owned() } else { format!("cpu, cuda:0 to cuda:{}", found - 1) }
}

fn found() -> usize {
    if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 }
}

#[expect(unsafe_code, reason = "the C library's loader; both functions are part of every Linux C library")]
unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// Loads `libtorch_cuda.so` for the rest of the process's life, or says why not.
fn load() -> Result<(), String> {
    const RTLD_NOW: c_int = 2;
    const RTLD_GLOBAL: c_int = 0x100;
    #[expect(
        unsafe_code,
        reason = "dlopen takes a terminated string and runs the library's constructors, which expect to be run in any \
                  process with libtorch; dlerror's text is copied before this thread calls the loader again"
    )]
    unsafe {
        if !dlopen(c"libtorch_cuda.so".as_ptr(), RTLD_NOW | RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let reason = dlerror();
        let unknown = || "the loader gives no reason".to_owned();
        Err(if reason.is_null() { unknown() } else { CStr::from_ptr(reason).to_string_lossy().into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_beyond_those_that_are_there_is_an_error_and_never_the_cpu() {
        let error = resolve(DeviceChoice::Cuda(4096)).unwrap_err().to_string();
        assert!(error.starts_with("device: cuda:4096 "), "{error}");
    }

    #[test]
    fn auto_is_always_some_device() {
        let device = resolve(DeviceChoice::Auto).unwrap();
        assert!(["cpu", "cuda:0"].contains(&name(device).as_str()));
        assert_eq!(resolve(DeviceChoice::Cpu).unwrap(), Device::Cpu);
    }
}
