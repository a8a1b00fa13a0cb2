//! `list`, `show` and `workers`: what a coordinator knows.

use clap::Args;
use phasegrid_proto::v1;

use crate::results::format::Format;
use crate::results::{Cell, Column, Kind, Table};

use super::client::Remote;
use super::failure::Failure;
use super::output::print;
use super::progress::summary;
use super::table::rendered;

/// List a coordinator's sweeps, newest first
///
/// Where a sweep has several shards of each point, size, finished and failed count shards.
#[derive(Debug, Args)]
pub(super) struct List {
    /// csv, json, parquet or markdown
    #[arg(long, default_value = "markdown")]
    format: Format,
    #[command(flatten)]
    remote: Remote,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let sweeps = self.remote.connect().await?.list().await?;
        let columns = [
            ("id", Kind::Text),
            ("name", Kind::Text),
            ("user", Kind::Text),
            ("priority", Kind::Integer),
            ("state", Kind::Text),
            ("size", Kind::Integer),
            ("shards", Kind::Integer),
            ("finished", Kind::Integer),
            ("failed", Kind::Integer),
            ("work_done", Kind::Real),
            ("create_time", Kind::Text),
        ];
        let row = |sweep: v1::Sweep| {
            let progress = sweep.progress.unwrap_or_default();
            vec![
                Cell::text(sweep.id.as_str()),
                Cell::text(sweep.name.as_str()),
                Cell::text(sweep.user.as_str()),
                Cell::Integer(sweep.priority.into()),
                Cell::text(state(&sweep)),
                Cell::integer(progress.size),
                Cell::integer(progress.shards.into()),
                Cell::integer(progress.finished),
                Cell::integer(progress.failed),
                Cell::real(progress.work_done),
                Cell::text(time(sweep.create_time)),
            ]
        };
        print(&rendered(&table(&columns, sweeps.into_iter().map(row).collect()), self.format)?)
    }
}

/// Show a sweep: where it is, and what failed
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid show $ID --source > same-sweep.toml")]
pub(super) struct Show {
    /// The sweep
    id: String,
    /// Print the resolved sweep file instead, with all defaults filled in
    #[arg(long)]
    source: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (sweep, failed_points) = self.remote.connect().await?.sweep(&self.id).await?;
        let text = if self.source { sweep.resolved_source } else { description(&sweep, &failed_points) };
        print(text.as_bytes())
    }
}

fn description(sweep: &v1::Sweep, failed_points: &[v1::FailedPoint]) -> String {
    let progress = sweep.progress.unwrap_or_default();
    let mut text = format!(
        "id        {}\nname      {}\nstate     {}\ncreated   {}\nprogress  {}, {:.0}% of the work\n",
        sweep.id,
        sweep.name,
        state(sweep),
        time(sweep.create_time),
        summary(&progress),
        progress.work_done * 100.0
    );
    if !sweep.user.is_empty() {
        text += &format!("user      {}\n", sweep.user);
    }
    if sweep.priority != 0 {
        text += &format!("priority  {}\n", sweep.priority);
    }
    if !sweep.needs.is_empty() {
        let unmet = if sweep.needs_unmet { "; no worker has that" } else { "" };
        text += &format!("needs     {}{unmet}\n", sweep.needs);
    }
    if !sweep.pause_reason.is_empty() {
        text += &format!("paused    {}\n", sweep.pause_reason);
    }
    if !sweep.problem.is_empty() {
        text += &format!("problem   {}\n", sweep.problem.replace('\n', "\n          "));
    }
    for v1::FailedPoint { point, shard, attempts, error } in failed_points {
        let of_it = match progress.shards {
            ..=1 => String::new(),
            shards => format!(", shard {} of {shards},", shard + 1),
        };
        text += &format!("failed    point {point}{of_it} at attempt {attempts}: {error}\n");
    }
    let unlisted = progress.failed.saturating_sub(failed_points.len() as u64);
    if unlisted > 0 {
        text += &format!("failed    {unlisted} more; `phasegrid table {} --level tasks` has those tasks\n", sweep.id);
    }
    text
}

/// List the workers that have joined a coordinator
#[derive(Debug, Args)]
pub(super) struct Workers {
    /// csv, json, parquet or markdown
    #[arg(long, default_value = "markdown")]
    format: Format,
    #[command(flatten)]
    remote: Remote,
}

impl Workers {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let workers = self.remote.connect().await?.workers().await?;
        let columns = [
            ("id", Kind::Text),
            ("device", Kind::Text),
            ("memory_gib", Kind::Real),
            ("slots", Kind::Integer),
            ("state", Kind::Text),
            ("leased", Kind::Integer),
            ("finished", Kind::Integer),
            ("last_heartbeat_time", Kind::Text),
        ];
        let row = |worker: v1::Worker| {
            vec![
                Cell::text(worker.id),
                Cell::text(worker.device),
                memory(worker.memory_bytes),
                Cell::Integer(worker.slots.into()),
                Cell::text(if worker.draining { "draining" } else { "active" }),
                Cell::integer(worker.leased),
                Cell::integer(worker.finished),
                Cell::text(time(worker.last_heartbeat_time)),
            ]
        };
        print(&rendered(&table(&columns, workers.into_iter().map(row).collect()), self.format)?)
    }
}

/// A table of these columns and rows.
pub(super) fn table(columns: &[(&str, Kind)], rows: Vec<Vec<Cell>>) -> Table {
    let columns = columns.iter().map(|&(name, kind)| Column { name: name.to_owned(), kind }).collect();
    Table { columns, rows }
}

/// The state's name.
pub(super) fn state(sweep: &v1::Sweep) -> &'static str {
    match sweep.state() {
        v1::SweepState::Running if !sweep.problem.is_empty() => "unreadable",
        v1::SweepState::Running => "running",
        v1::SweepState::Paused => "paused",
        v1::SweepState::Completed => "completed",
        v1::SweepState::Cancelled => "cancelled",
        v1::SweepState::Unspecified => "",
    }
}

/// In GiB; missing if it is not known.
fn memory(bytes: u64) -> Cell {
    if bytes == 0 { Cell::Missing } else { Cell::real(bytes as f64 / f64::from(1 << 30)) }
}

/// To the second, in UTC.
pub(super) fn time(time: Option<prost_types::Timestamp>) -> String {
    time.map(|time| prost_types::Timestamp { nanos: 0, ..time }.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_failed_points_and_says_where_the_others_are() {
        let progress = v1::Progress { size: 9, finished: 7, failed: 2, work_done: 1.0, ..Default::default() };
        let create_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
        let sweep = v1::Sweep {
            id: "demo-1".to_owned(),
            name: "demo".to_owned(),
            state: v1::SweepState::Completed.into(),
            create_time,
            progress: Some(progress),
            ..Default::default()
        };
        let error = "the loss is not finite at step 7".to_owned();
        let failed = v1::FailedPoint { point: 4, attempts: 3, error, shard: 0 };
        let expected = "\
id        demo-1
name      demo
state     completed
created   2023-11-14T22:13:20Z
progress  7/9 finished, 2 failed, 100% of the work
failed    point 4 at attempt 3: the loss is not finite at step 7
failed    1 more; `phasegrid table demo-1 --level tasks` has those tasks
";
        assert_eq!(description(&sweep, &[failed]), expected);
    }

    #[test]
    fn a_description_says_which_shard_failed_and_why_a_sweep_is_not_leased() {
        let progress = v1::Progress { size: 8, failed: 1, pending: 7, shards: 4, ..Default::default() };
        let problem = "line 3: one\nline 4: another".to_owned();
        let state = v1::SweepState::Running.into();
        let sweep = v1::Sweep { state, progress: Some(progress), problem, ..Default::default() };
        let failed = v1::FailedPoint { point: 1, attempts: 3, error: "why".to_owned(), shard: 2 };
        let text = description(&sweep, &[failed]);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("id") && !line.starts_with("name")).collect();
        let expected = [
            "state     unreadable",
            "created   ",
            "progress  0/8 shards finished, 1 failed, no workers, 0% of the work",
            "problem   line 3: one",
            "          line 4: another",
            "failed    point 1, shard 3 of 4, at attempt 3: why",
        ];
        assert_eq!(lines, expected);
    }
}
