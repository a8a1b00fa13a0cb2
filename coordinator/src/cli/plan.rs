//! `plan`: what a sweep file would run, and roughly what it would cost. Nothing runs; a coordinator is asked only if that is
//! wished.

use std::time::Duration;

use clap::Args;
use phasegrid_proto::v1;

use crate::spec::{Shards, Spec};
use crate::work::Cost;

use super::client::Remote;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::print;
use super::text::{counted, metric, span};

/// Show what would run: points, samplers, expected time and bytes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid plan sweeps/demo.toml\n  \
    phasegrid plan sweeps/demo.toml --cores 1000 --rate 60e9 --verbose\n  \
    phasegrid plan sweeps/demo.toml --known\n\n\
    Early stops and shared baselines are left out of account: the estimate errs on the long side.")]
pub(super) struct Plan {
    #[command(flatten)]
    file: SweepFile,
    /// Operations per second and core. The default is a rough figure for networks of some hundred neurons on a recent
    /// core; a short `phasegrid run` measures yours
    #[arg(long, value_name = "FLOPS", default_value = "30e9", value_parser = rate)]
    rate: f64,
    /// Cores to expect [default: this machine's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cores: Option<u32>,
    /// Also show the first and the last task's configuration
    #[arg(long)]
    verbose: bool,
    /// Also ask the coordinator how many of the results are there already, computed for other sweeps
    #[arg(long)]
    known: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Plan {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let source = self.file.read()?;
        let spec = self.file.parse(&source)?;
        let here = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let mut text = summary(&spec, self.rate, self.cores.map_or_else(here, u64::from));
        if self.known {
            let v1::CountKnownResponse { size, known } = self.remote.connect().await?.known(&self.file, source).await?;
            text += &row(("known", known_of(size, known)));
        }
        if self.verbose {
            for (name, point) in [("first", 0), ("last", spec.size() - 1)] {
                let task = spec.task(point).map_err(|error| self.file.failure(error.to_string()))?;
                let task = serde_json::to_string_pretty(&task).map_err(anyhow::Error::new)?;
                text += &format!("\n{name} task\n{task}\n");
            }
        }
        print(text.as_bytes())
    }
}

fn summary(spec: &Spec, rate: f64, cores: u64) -> String {
    let cost = spec.total_cost();
    let seconds = cost.flops / (rate * cores as f64);
    let time = Duration::try_from_secs_f64(seconds).map_or("forever".to_owned(), span);
    let about = if seconds < 1.0 { "" } else { "about " };
    let axes: Vec<_> = spec.axes().iter().map(|axis| described(spec, axis)).collect();
    let samplers = match spec.sampler_coordinates().len() {
        0 => "none: no LLC is estimated".to_owned(),
        count => format!("{} a task", counted(count as u64, "setting")),
    };
    let rows = [
        ("name", spec.name().to_owned()),
        ("points", format!("{} over {}", spec.size(), axes.join(", "))),
        ("shards", shards(spec.shards(), &cost)),
        ("samplers", samplers),
        ("records", format!("{:.0}", cost.records)),
        ("work", format!("{}FLOP", metric(cost.flops))),
        ("time", format!("{about}{time} on {} at {}FLOP/s each", counted(cores, "core"), metric(rate))),
        ("storage", format!("about {}B", metric(cost.bytes))),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(row).collect()
}

fn row((name, value): (&str, String)) -> String {
    format!("{name:<10}{value}\n")
}

/// How many results are there already.
fn known_of(size: u64, known: Option<u64>) -> String {
    known.map_or("not counted: too many points to look at each".to_owned(), |known| {
        format!("{known} of {size}, from other sweeps: these are not computed again")
    })
}

/// Into how many shards points are split and what that costs; nothing if they are not.
fn shards(shards: Shards, cost: &Cost) -> String {
    let of = shards.of_each();
    if of == 1 {
        return String::new();
    }
    let (count, training, share) = (shards.count(), metric(cost.training), 100.0 * cost.training / cost.flops);
    format!("{of} of each point, {count} in all; all train, which takes {training}FLOP, {share:.0}% of the work")
}

/// An axis with how many values it has, as far as they are listed.
fn described(spec: &Spec, axis: &str) -> String {
    spec.axis_values(axis).map_or_else(|| axis.to_owned(), |values| format!("{axis} ({})", values.len()))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "operations per second as in 30e9 are accepted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_planned_with_its_points_and_axes() {
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps/demo.toml");
        let spec = Spec::parse(&std::fs::read_to_string(demo).unwrap(), &[]).unwrap();
        let summary = summary(&spec, 1e9, 1);
        assert!(
            summary.contains("points    216 over data.train_fraction (8), train.weight_decay (9), seed (3)\n"),
            "{summary}"
        );
        assert!(summary.contains("samplers  1 setting a task\n"), "{summary}");
        assert!(summary.contains(" on 1 core at 1.00 GFLOP/s each\n"), "{summary}");
        assert!(!summary.contains("shards"), "{summary}");
    }

    #[test]
    fn shards_are_counted_with_the_training_that_they_repeat() {
        let paper = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps/paper-trajectory.toml");
        let overrides = ["task.checkpoints={ every = 100 }", "task.llc.shards=4"].map(str::to_owned);
        let spec = Spec::parse(&std::fs::read_to_string(paper).unwrap(), &overrides).unwrap();
        let summary = summary(&spec, 1e9, 1);
        // Beside 18 parts of sampling, each shard is a part of training.
        let shards = "shards    4 of each point, 12 in all; all train, which takes ";
        assert!(summary.contains(shards) && summary.contains("FLOP, 18% of the work\n"), "{summary}");
    }
}
