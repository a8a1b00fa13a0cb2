//! How much memory the devices have, for the coordinator, which gives large tasks only to those that can take them.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs;

use tch::Device;

/// Bytes of memory of the smallest of the devices; of the CPU the host's, or what this process may have of it. `None` if the
/// system does not tell.
#[must_use]
pub fn smallest(devices: &[Device]) -> Option<u64> {
    let memory = |device: &Device| match device {
        Device::Cuda(gpu) => of_gpu(*gpu),
        _ => of_host(),
    };
    devices.iter().map(memory).min().flatten()
}

fn of_host() -> Option<u64> {
    let total = in_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    // "max" where there is no limit.
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| limit.trim().parse().ok());
    Some(limit.map_or(total, |limit: u64| limit.min(total)))
}

/// The total in the text of `/proc/meminfo`, which counts in KiB.
fn in_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[expect(unsafe_code, reason = "the C library's loader; both functions are part of every Linux C library")]
unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// Asks the driver, which counts GPUs as CUDA_VISIBLE_DEVICES does: libtorch has no such question.
fn of_gpu(gpu: usize) -> Option<u64> {
    const RTLD_NOW: c_int = 2;
    type Init = extern "C" fn(c_uint) -> c_int;
    type DeviceGet = extern "C" fn(*mut c_int, c_int) -> c_int;
    type DeviceTotalMem = extern "C" fn(*mut usize, c_int) -> c_int;
    let ordinal = c_int::try_from(gpu).ok()?;
    #[expect(
        unsafe_code,
        reason = "the library stays loaded, the symbols are functions of its documented, stable interface with these types, \
                  and all of them write through pointers to locals that outlive the call"
    )]
    unsafe {
        let driver = dlopen(c"libcuda.so.1".as_ptr(), RTLD_NOW);
        let find = |name: &CStr| Some(dlsym(driver, name.as_ptr())).filter(|symbol| !symbol.is_null());
        if driver.is_null() {
            return None;
        }
        let init = std::mem::transmute::<*mut c_void, Init>(find(c"cuInit")?);
        let device_get = std::mem::transmute::<*mut c_void, DeviceGet>(find(c"cuDeviceGet")?);
        let total_mem = std::mem::transmute::<*mut c_void, DeviceTotalMem>(find(c"cuDeviceTotalMem_v2")?);
        let (mut device, mut bytes) = (0, 0);
        let told = init(0) == 0 && device_get(&raw mut device, ordinal) == 0 && total_mem(&raw mut bytes, device) == 0;
        told.then_some(bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_whatever_stands_around_it() {
        let text = "MemFree:         1 kB\nMemTotal:       16 kB\nCached:  2 kB\n";
        assert_eq!(in_meminfo(text), Some(16 * 1024));
        assert_eq!(in_meminfo("MemTotal: much"), None);
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(smallest(&[Device::Cpu, Device::Cpu]).is_some_and(|bytes| bytes > 1 << 20));
    }
}
