//! `plan`: what a sweep file would run, and roughly what it would cost. Nothing runs, and no coordinator is asked.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use phasegrid_proto::v1;
use prost::Message;

use crate::spec::Spec;

use super::failure::Failure;
use super::input::SweepFile;
use super::output::print;
use super::text::{counted, metric, span};

/// Points that are looked at; where there are more, these many stand for all.
const SAMPLE: u64 = 1000;
/// Bytes of the database's row around a record.
const ROW: u64 = 40;

/// Show what would run: points, estimates, expected time and bytes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid plan sweeps/demo.toml\n  \
    phasegrid plan sweeps/demo.toml --cores 1000 --rate 60e9 --verbose")]
pub(super) struct Plan {
    #[command(flatten)]
    file: SweepFile,
    /// Useful operations per second and core. The default is a rough figure for networks of a few hundred neurons on a
    /// recent core; a short `phasegrid run` measures yours
    #[arg(long, value_name = "FLOPS", default_value_t = 30e9, value_parser = rate)]
    rate: f64,
    /// Cores to expect [default: this machine's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cores: Option<u32>,
    /// Also show the first and the last task's configuration
    #[arg(long)]
    verbose: bool,
}

/// What a sweep amounts to.
#[derive(Debug, PartialEq)]
struct Totals {
    records: f64,
    estimates: f64,
    bytes: f64,
    /// Whether every point was looked at.
    exact: bool,
}

impl Plan {
    pub(super) fn run(self) -> Result<(), Failure> {
        let spec = self.file.parse(&self.file.read()?)?;
        let mut text = self.summary(&spec)?;
        if self.verbose {
            for (name, point) in [("first", 0), ("last", spec.size() - 1)] {
                let _ = write!(text, "\n{name} task\n{}\n", pretty(&self.task(&spec, point)?));
            }
        }
        print(text.as_bytes())
    }

    fn summary(&self, spec: &Spec) -> Result<String, Failure> {
        let totals = self.totals(spec)?;
        let cores =
            self.cores.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |n| n as usize);
        let work = spec.total_work();
        let time = Duration::try_from_secs_f64(work / (self.rate * cores as f64)).map_or("forever".to_owned(), span);
        let about = if totals.exact { "" } else { "about " };
        let axes: Vec<_> = spec.axes().iter().map(|axis| format!("{} {axis}", values(spec, axis))).collect();
        let samplers = match spec.sampler_coordinates().len() {
            0 => "none: no LLC is estimated".to_owned(),
            count => format!("{} a task", counted(count as u64, "setting")),
        };
        let rows = [
            ("name", spec.name().to_owned()),
            ("points", format!("{} = {}", spec.size(), axes.join(" × "))),
            ("samplers", samplers),
            ("records", format!("{about}{}", totals.records.round())),
            ("estimates", format!("{about}{}", totals.estimates.round())),
            ("work", format!("{}FLOP", metric(work))),
            ("time", format!("about {time} on {} at {}FLOP/s each", counted(cores as u64, "core"), metric(self.rate))),
            ("storage", format!("about {}B", metric(totals.bytes))),
        ];
        Ok(rows.map(|(name, value)| format!("{name:<10}{value}\n")).concat())
    }

    /// Adds up the points, or what evenly spread ones say of them.
    fn totals(&self, spec: &Spec) -> Result<Totals, Failure> {
        let looked_at = spec.size().min(SAMPLE);
        let samplers = spec.sampler_coordinates().len() as u64;
        let (mut records, mut estimates) = (0, 0);
        for index in 0..looked_at {
            let point = (u128::from(index) * u128::from(spec.size()) / u128::from(looked_at)) as u64;
            let task = self.task(spec, point)?;
            records += task.record_steps().len() as u64;
            estimates += task.llc_steps().len() as u64 * samplers;
        }
        let bytes = records * (record().encoded_len() as u64 + ROW) + estimates * estimate().encoded_len() as u64;
        let all = |sum: u64| sum as f64 * (spec.size() as f64 / looked_at as f64);
        let exact = looked_at == spec.size();
        Ok(Totals { records: all(records), estimates: all(estimates), bytes: all(bytes), exact })
    }

    fn task(&self, spec: &Spec, point: u64) -> Result<phasegrid_proto::task::TaskConfig, Failure> {
        spec.task(point).map_err(|error| self.file.failure(error.to_string()))
    }
}

fn values(spec: &Spec, axis: &str) -> String {
    spec.axis_values(axis).map_or(0, <[_]>::len).to_string()
}

fn pretty(task: &phasegrid_proto::task::TaskConfig) -> String {
    serde_json::to_string_pretty(task).unwrap_or_else(|_| task.to_json())
}

/// A record as large as they come, without estimates.
fn record() -> v1::Record {
    let some = Some(1.0);
    v1::Record {
        step: 100_000,
        train_loss: some,
        val_loss: some,
        train_loss_reported: some,
        val_loss_reported: some,
        train_accuracy: some,
        val_accuracy: some,
        weight_norm: some,
        ipr: some,
        llc_exact: None,
        estimates: vec![],
    }
}

/// An estimate as they usually are.
fn estimate() -> v1::Estimate {
    let some = Some(1.0);
    let settings = v1::SamplerSettings {
        preset: "authors_code".to_owned(),
        step_size: 1.0,
        localization: 1.0,
        nbeta: 1.0,
        chains: 3,
        burn_in: 100,
        draws: 500,
        batch_size: 128,
    };
    v1::Estimate {
        sampler: 1,
        llc: some,
        llc_se: some,
        llc_baseline_zero: some,
        llc_baseline_init: some,
        r_hat: some,
        ess: some,
        drift: some,
        below_initial: some,
        distance: some,
        initial_loss: some,
        settings: Some(settings),
        health: v1::Health::Ok.into(),
        health_reason: String::new(),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "operations per second as in 30e9 are accepted".to_owned())
}
