//! Measures the coordinator under simulated workers: `make bench-coordinator`.
//!
//! The coordinator is a process of its own, this program started again as `serve` with all that the command line of
//! `phasegrid` does: SQLite with durable commits in a real folder, real sockets, TLS with certificates as `init-cluster`
//! makes them, and tokens. The workers live in this process, speak the real protocol and compute nothing. One `bench NAME VALUE UNIT` line a figure on stdout, talk on stderr.

mod disk;
mod idle;
mod large;
mod peers;
mod records;
mod server;
mod sweeps;
mod throughput;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use server::Door;
use throughput::Load;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Args {
    /// How many workers, run after run, over TLS and with a token
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,256")]
    workers: Vec<u64>,
    /// How many workers in a run without TLS, for comparison; 0 leaves it out
    #[arg(long, default_value_t = 16)]
    plain: u64,
    /// How many workers in a run in which each message has few records; 0 leaves it out
    #[arg(long, default_value_t = 16)]
    small: u64,
    /// Records of a message in that run; in the others it has all of a lease
    #[arg(long, default_value_t = 32)]
    small_records: usize,
    /// Trivial tasks of each run
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// Instead: so many workers that hold leases and send heartbeats, as --workers says, and do nothing
    #[arg(long)]
    idle: bool,
    /// And so many beside them that wait for work which never comes
    #[arg(long, default_value_t = 0)]
    waiting: u64,
    /// How long they do nothing, in seconds; leases live for 60
    #[arg(long, default_value_t = 150)]
    seconds: u64,
    /// Points of the sweep that is restarted half finished
    #[arg(long, default_value_t = 100_000_000)]
    points: u64,
    /// Tasks of ten checkpoints each, whose records are sealed
    #[arg(long, default_value_t = 1_000_000)]
    recorded: u64,
    /// Instead: those alone
    #[arg(long)]
    records: bool,
    /// Where the data folders are made: the disk that is measured
    #[arg(long, default_value = "phasegrid-out")]
    folder: PathBuf,
    /// Python interpreters of the peers, as coordinator/bench/environment.sh makes them
    #[arg(long)]
    hyperqueue: Option<PathBuf>,
    /// See --hyperqueue
    #[arg(long)]
    dask: Option<PathBuf>,
}

fn main() -> ExitCode {
    // The same program as the command line of `phasegrid`, for what a cluster is made of.
    if matches!(std::env::args().nth(1).as_deref(), Some("serve" | "init-cluster" | "token")) {
        return phasegrid_coordinator::cli::main();
    }
    match work(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.folder)?;
    server::raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if args.idle {
        let seconds = Duration::from_secs(args.seconds);
        return args
            .workers
            .iter()
            .try_for_each(|workers| runtime.block_on(idle::run(&args.folder, *workers, args.waiting, seconds)));
    }
    bench("fsync", disk::syncs_per_second(&args.folder)?, "/s");
    if args.records {
        return runtime.block_on(records::run(&args.folder, args.recorded));
    }
    for load in loads(args) {
        runtime.block_on(load.run(&args.folder, args.tasks))?;
    }
    runtime.block_on(records::run(&args.folder, args.recorded))?;
    runtime.block_on(large::run(&args.folder, args.points))?;
    peers::run(args.hyperqueue.as_deref(), "peer_hyperqueue.py")?;
    peers::run(args.dask.as_deref(), "peer_dask.py")
}

/// The runs of trivial tasks. The table is read once, after the last of those that nothing distinguishes.
fn loads(args: &Args) -> Vec<Load> {
    let secured = |workers: u64| Load { workers, door: Door::Secured, at_most: usize::MAX, table: false };
    let mut loads: Vec<_> = args.workers.iter().map(|workers| secured(*workers)).collect();
    if let Some(last) = loads.last_mut() {
        last.table = true;
    }
    loads.extend((args.small > 0).then(|| Load { at_most: args.small_records, ..secured(args.small) }));
    loads.extend((args.plain > 0).then(|| Load { door: Door::Open, ..secured(args.plain) }));
    loads
}

/// Prints a figure.
fn bench(name: &str, value: f64, unit: &str) {
    let digits = if value < 100.0 { 2 } else { 0 };
    println!("bench {name} {value:.digits$} {unit}");
}
