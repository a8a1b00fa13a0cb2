//! The process around the runner: settings, log, device, signals and exit codes.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tch::Device;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Client, ClientError};
use crate::config::{Args, Settings, SettingsError};
use crate::cuda::DeviceError;
use crate::runner::{self, Capacity, RunError};
use crate::{cuda, device_memory, telemetry};

/// A step of one small network takes a GPU about as long as that of many stacked ones: what it waits for is the launch of
/// its kernels. 64 is enough to hide that at the sizes of phase diagrams, and little enough that the points of a lease
/// end in good time; where they do not fit into its memory together, fewer are stacked.
const SLOTS_A_GPU: usize = 64;

/// How long what hangs in a file system that does not answer may hold the process up when everything has been said.
const PARTING: Duration = Duration::from_secs(1);

/// Ended by a second signal, as a shell would say it of the first.
const INTERRUPTED: i32 = 130;

#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the process cannot be set up: {0}")]
    System(#[from] std::io::Error),
}

impl ProcessError {
    /// The exit codes that `--help` documents; 0 is a worker that left as it was asked to.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Device(_) | Self::Client(ClientError::Connection(_)) => 2,
            Self::Client(ClientError::Unwelcome { .. } | ClientError::Untrusted { .. })
            | Self::Run(RunError::Client(ClientError::Unwelcome { .. } | ClientError::Untrusted { .. })) => 3,
            Self::Client(_) | Self::Run(_) | Self::System(_) => 1,
        }
    }
}

/// Everything that the binary does.
#[must_use]
pub fn main() -> ExitCode {
    match work(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("phasegrid-worker: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn work(args: Args) -> Result<(), ProcessError> {
    let settings = Settings::load(args, std::env::vars().collect())?;
    telemetry::init(&settings);
    let devices = cuda::resolve(&settings.device)?;
    let device_name = cuda::name(&devices);
    let memory = device_memory::smallest(&devices);
    let capacity = capacity(settings.slots, devices)?;
    tracing::info!(
        worker = settings.name,
        coordinator = settings.coordinator,
        device = device_name,
        slots = capacity.slots,
        "the worker starts"
    );
    let credentials = settings.credentials().map_err(ClientError::from)?;
    // Talking takes one thread; the others are for computing.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    run_to_end(runtime, async {
        let slots = u32::try_from(capacity.slots).unwrap_or(u32::MAX);
        let client =
            Client::new(&settings.coordinator, &credentials, &settings.name, slots, &device_name)?.with_memory(memory);
        let leave = first_signal()?;
        runner::run(client, capacity, settings.snapshots, settings.spool, leave).await?;
        tracing::info!("the worker leaves");
        Ok(())
    })
}

/// Runs `work`, and does not wait for what it has left behind: dropped, a runtime waits for its blocking calls for ever.
fn run_to_end<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(PARTING);
    done
}

/// What suits the devices. On a CPU one thread a slot, and no more slots than cores, as points are not stacked there; on
/// GPUs one thread each, which stacks its share of the slots: all have equally many, and others are not offered, as the
/// coordinator takes it that all that are offered are used.
fn capacity(wanted: Option<u32>, mut devices: Vec<Device>) -> Result<Capacity, std::io::Error> {
    let wanted = wanted.map(|slots| slots as usize);
    if devices.iter().all(|device| device.is_cuda()) {
        let wanted = wanted.unwrap_or(SLOTS_A_GPU * devices.len());
        if wanted < devices.len() {
            tracing::warn!(slots = wanted, gpus = devices.len(), "a GPU needs a slot; the others are not used");
            devices.truncate(wanted);
        }
        let slots = wanted - wanted % devices.len();
        if slots < wanted {
            tracing::warn!(
                wanted,
                slots,
                gpus = devices.len(),
                "all GPUs have equally many slots; the rest is not offered"
            );
        }
        return Ok(Capacity { slots, devices });
    }
    let cores = std::thread::available_parallelism()?.get();
    let slots = wanted.unwrap_or(cores).min(cores);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > slots) {
        tracing::warn!(wanted, slots, "on a CPU every slot takes a core; the others are not offered");
    }
    Ok(Capacity { slots, devices: vec![Device::Cpu; slots] })
}

/// Ready at the first TERM or INT. The second ends the process at once.
fn first_signal() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            std::process::exit(INTERRUPTED);
        });
    })
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::connection::ConnectionError;

    use super::*;

    #[test]
    fn a_call_that_hangs_does_not_keep_the_process() {
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = run_to_end(runtime, async move {
            tokio::task::spawn_blocking(move || hangs.recv());
            7
        });
        assert_eq!(done, 7);
        drop(release);
    }

    #[test]
    fn every_gpu_has_one_thread_that_stacks_its_share_of_the_slots() {
        let gpus = |count| (0..count).map(Device::Cuda).collect::<Vec<_>>();
        let of = |wanted, count| capacity(wanted, gpus(count)).unwrap();
        assert_eq!(of(None, 2), Capacity { slots: 128, devices: gpus(2) });
        assert_eq!(of(Some(7), 2), Capacity { slots: 6, devices: gpus(2) });
        assert_eq!(of(Some(1), 2), Capacity { slots: 1, devices: gpus(1) });
    }

    #[test]
    fn a_cpu_has_a_thread_a_slot_and_no_more_of_both_than_cores() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let of = |wanted| capacity(wanted, vec![Device::Cpu]).unwrap();
        let expected = |slots| Capacity { slots, devices: vec![Device::Cpu; slots] };
        assert_eq!(of(None), expected(cores));
        assert_eq!(of(Some(1)), expected(1));
        assert_eq!(of(Some(65_536)), expected(cores));
    }

    #[test]
    fn a_worker_that_is_not_wanted_is_told_from_wrong_settings() {
        let unwelcome = || ClientError::Unwelcome { url: String::new(), message: String::new() };
        assert_eq!(ProcessError::Run(RunError::Client(unwelcome())).exit_code(), 3);
        assert_eq!(ProcessError::Client(ConnectionError::Url(String::new()).into()).exit_code(), 2);
        assert_eq!(ProcessError::Device(DeviceError::Absent { wanted: 0, found: 1 }).exit_code(), 2);
    }
}
