//! Measures the numerics beside plain PyTorch and devinterp's estimator, which do the same work in turn: `make bench-engine`.
//!
//! `engine PYTHON` needs the interpreter that `worker/bench/environment.sh` makes; `engine parts` measures this side alone,
//! part by part. One `bench NAME VALUE UNIT` line a figure on stdout, talk on stderr. Ratios are of wall-clock time, and beside
//! them, marked `processor`, of processor time, which leaves out the turns of other programs.

mod clock;
mod compare;
mod ours;
mod parts;
mod peak;
mod peer;
mod workloads;

use std::process::ExitCode;

use clap::Parser;
use phasegrid_worker::cuda::{self, DeviceChoice};
use tch::Device;

use self::compare::Bench;
use self::peer::Peer;

#[derive(Parser)]
struct Args {
    /// The peer's Python, or `parts` to measure this side's parts alone
    python: String,
    /// The peer's program
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peer.py"))]
    program: String,
    /// cpu or cuda:N, for both sides
    #[arg(long, default_value = "cpu", value_parser = |text: &str| text.parse::<DeviceChoice>().map_err(|()| "accepted: cpu, cuda:N"))]
    device: DeviceChoice,
    /// Workloads whose names contain this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    match work(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let [device] = cuda::resolve(&args.device)?[..] else { return Err("device: one at a time".into()) };
    if args.python == "parts" && device != Device::Cpu {
        return Err("device: parts are measured on cpu alone; accepted: cpu".into());
    }
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    let peak = (device == Device::Cpu).then(peak::gflops);
    if let Some(peak) = peak {
        parts::measure(peak);
    }
    if args.python == "parts" {
        return Ok(());
    }
    let peer = Peer::start(&args.python, &args.program)?;
    let mut bench = Bench { peer, device, peak };
    let workloads = workloads::all(device);
    for workload in workloads.iter().filter(|workload| workload.name.contains(&args.only)) {
        bench.run(workload)?;
    }
    bench.peer.stop()?;
    Ok(())
}
