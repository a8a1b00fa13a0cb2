//! Which devices compute: loads libtorch's CUDA part and settles what `auto` and `cuda` mean here.
//!
//! Linkers leave out `libtorch_cuda.so`, because nothing refers to it by name. Loading it before the first call into
//! libtorch registers its kernels, so one binary serves machines with and without a GPU. Which GPUs there are, and their
//! numbers, is CUDA's business, and so `CUDA_VISIBLE_DEVICES` is honoured.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::str::FromStr;

use tch::{Cuda, Device, Kind, TchError, Tensor};

/// What [`DeviceChoice::from_str`] takes.
pub const DEVICES: &str = "auto, cpu, cuda or cuda:N,…";

/// Where to compute, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// All GPUs if there are any, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// These GPUs and nothing else.
    Cuda(Gpus),
}

/// Some GPUs of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// All that there are, at least one.
    All,
    /// Those of these numbers, in this order, each once.
    These(Vec<usize>),
}

impl FromStr for DeviceChoice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(Gpus::All)),
            list => {
                let number = |gpu: &str| gpu.strip_prefix("cuda:")?.parse().ok();
                let gpus: Vec<usize> = list.split(',').map(number).collect::<Option<_>>().ok_or(())?;
                let repeated = gpus.iter().enumerate().any(|(at, gpu)| gpus[..at].contains(gpu));
                if repeated { Err(()) } else { Ok(Self::Cuda(Gpus::These(gpus))) }
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(Gpus::All) => f.write_str("cuda"),
            Self::Cuda(Gpus::These(gpus)) => f.write_str(&list(gpus.iter().copied())),
        }
    }
}

/// A GPU that was asked for cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is no GPU at all.
    #[error("device: {wanted} is not there: {reason}; accepted here: auto, cpu")]
    None {
        /// What was asked for.
        wanted: DeviceChoice,
        /// Why CUDA finds none.
        reason: String,
    },
    /// It is there, and of no use.
    #[error(
        "device: {device} is there and cannot compute: {reason}; see nvidia-smi, or leave it out of CUDA_VISIBLE_DEVICES"
    )]
    Unusable {
        /// The GPU's name.
        device: String,
        /// What libtorch says.
        reason: String,
    },
    /// There are GPUs, but not this one.
    #[error("device: cuda:{wanted} is not there; accepted here: auto, cpu, cuda, {}", list(0..*.found))]
    Absent {
        /// The number that was asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
}

/// Turns a choice into devices that are there. Must come before any other use of libtorch.
///
/// # Errors
/// If GPUs were asked for that cannot be used, or one of them does not compute: there is no silent fall-back to the CPU, and
/// what does not work alone would fail task after task.
pub fn resolve(choice: &DeviceChoice) -> Result<Vec<Device>, DeviceError> {
    // Loading CUDA costs seconds and memory that a CPU worker does not need.
    if *choice == DeviceChoice::Cpu {
        return Ok(vec![Device::Cpu]);
    }
    let devices = choose(choice, gpus())?;
    for device in devices.iter().filter(|device| device.is_cuda()) {
        try_out(*device)?;
    }
    Ok(devices)
}

/// Has a device compute something.
fn try_out(device: Device) -> Result<(), DeviceError> {
    let unusable = |reason: String| DeviceError::Unusable { device: name(&[device]), reason };
    let product = || -> Result<f64, TchError> {
        let ones = Tensor::f_ones([64, 64], (Kind::Float, device))?;
        ones.f_matmul(&ones)?.f_sum(Kind::Float)?.f_double_value(&[])
    };
    match product() {
        // 64³, which a float holds exactly.
        Ok(262_144.0) => Ok(()),
        Ok(wrong) => Err(unusable(format!("it adds 262144 ones up to {wrong}"))),
        // Where it was raised follows, on further lines.
        Err(error) => Err(unusable(error.to_string().lines().next().unwrap_or_default().to_owned())),
    }
}

/// What a choice means where so many GPUs were found, or none for a reason.
fn choose(choice: &DeviceChoice, found: Result<usize, String>) -> Result<Vec<Device>, DeviceError> {
    let found = match (choice, found) {
        (DeviceChoice::Cpu, _) => return Ok(vec![Device::Cpu]),
        (DeviceChoice::Auto, Err(reason)) => {
            tracing::info!(reason, "device auto is the CPU");
            return Ok(vec![Device::Cpu]);
        }
        (DeviceChoice::Cuda(_), Err(reason)) => return Err(DeviceError::None { wanted: choice.clone(), reason }),
        (_, Ok(found)) => found,
    };
    let gpus = match choice {
        DeviceChoice::Cuda(Gpus::These(gpus)) => gpus.clone(),
        _ => (0..found).collect(),
    };
    if let Some(&wanted) = gpus.iter().find(|gpu| **gpu >= found) {
        return Err(DeviceError::Absent { wanted, found });
    }
    if *choice == DeviceChoice::Auto {
        tracing::info!(gpus = list(gpus.iter().copied()), "device auto is every GPU");
    }
    Ok(gpus.into_iter().map(Device::Cuda).collect())
}

/// Devices as the coordinator and people read them.
#[must_use]
pub fn name(devices: &[Device]) -> String {
    let gpus = devices.iter().filter_map(|device| match device {
        Device::Cuda(gpu) => Some(*gpu),
        _ => None,
    });
    let gpus = list(gpus);
    if gpus.is_empty() { "cpu".to_owned() } else { gpus }
}

fn list(gpus: impl Iterator<Item = usize>) -> String {
    gpus.map(|gpu| format!("cuda:{gpu}")).collect::<Vec<_>>().join(",")
}

/// How many GPUs there are, at least one, or why there is none.
fn gpus() -> Result<usize, String> {
    load().map_err(|reason| format!("libtorch's CUDA part does not load: {reason}"))?;
    let found = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
    if found > 0 { Ok(found) } else { Err("CUDA finds no GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES)".to_owned()) }
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

    fn chosen(choice: &str, found: Result<usize, String>) -> Result<String, String> {
        let choice = choice.parse().expect("a choice");
        choose(&choice, found).map(|devices| name(&devices)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_choice_is_taken_from_the_gpus_that_there_are() {
        for (choice, found, devices) in [
            ("auto", 0, "cpu"),
            ("auto", 2, "cuda:0,cuda:1"),
            ("cpu", 2, "cpu"),
            ("cuda", 2, "cuda:0,cuda:1"),
            ("cuda:1", 2, "cuda:1"),
            ("cuda:2,cuda:0", 3, "cuda:2,cuda:0"),
        ] {
            let found = if found > 0 { Ok(found) } else { Err("none".to_owned()) };
            assert_eq!(chosen(choice, found), Ok(devices.to_owned()), "{choice}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_that_says_what_is_and_never_the_cpu() {
        let absent = "device: cuda:2 is not there; accepted here: auto, cpu, cuda, cuda:0,cuda:1";
        assert_eq!(chosen("cuda:0,cuda:2", Ok(2)), Err(absent.to_owned()));
        for choice in ["cuda", "cuda:0"] {
            let none = format!("device: {choice} is not there: no driver; accepted here: auto, cpu");
            assert_eq!(chosen(choice, Err("no driver".to_owned())), Err(none));
        }
        let choice = DeviceChoice::Cuda(Gpus::These(vec![4096]));
        assert!(resolve(&choice).unwrap_err().to_string().starts_with("device: cuda:4096 is not there"));
    }

    #[test]
    fn a_device_is_tried_out() {
        assert!(try_out(Device::Cpu).is_ok());
        // No test may use a GPU that others may need; this one is in no machine.
        let absent = try_out(Device::Cuda(100)).unwrap_err().to_string();
        assert!(absent.starts_with("device: cuda:100 is there and cannot compute: "), "{absent}");
        assert_eq!(absent.lines().count(), 1, "{absent}");
    }

    #[test]
    fn what_names_no_device_is_refused() {
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:0,", "cuda:0,cuda:0", "cuda,cuda:1", "cpu,cuda:0", "cuda:-1"] {
            assert_eq!(text.parse::<DeviceChoice>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn a_choice_reads_as_it_was_written() {
        for text in ["auto", "cpu", "cuda", "cuda:0", "cuda:2,cuda:0"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn auto_is_always_some_device() {
        assert!(!resolve(&DeviceChoice::Auto).unwrap().is_empty());
        assert_eq!(resolve(&DeviceChoice::Cpu).unwrap(), [Device::Cpu]);
    }
}
