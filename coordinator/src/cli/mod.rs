//! The command line. It speaks to coordinators through gRPC alone; stdout is data, stderr is talk.
//!
//! One file a command: `run`, `plan` and `calibrate` take a sweep file and need no coordinator; `serve` is one, and `backup`
//! copies its data; `submit`, `list` (`show`, `workers`), `control` (`cancel`, `pause`, `resume`, `priority`, `retry`,
//! `drain`), `watch`, `explain`, `table`, `plot` and `token` are clients of one, and `init_cluster` makes its certificates.
//! They share `client` (the connection), `progress` (what a person sees of it), `input` and `output` (files and streams),
//! `failure` and [`exit`] (how it ends).

mod backup;
mod calibrate;
mod client;
mod control;
pub mod exit;
mod explain;
mod failure;
mod init_cluster;
mod input;
mod list;
mod output;
mod plan;
mod plot;
mod progress;
mod run;
mod serve;
mod submit;
mod table;
mod text;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::telemetry::{self, LogFormat};
use exit::Exit;
use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  phasegrid plan sweeps/demo.toml      what would run, and how long it would take
  phasegrid run sweeps/demo.toml       all of it on this machine
  phasegrid calibrate sweeps/demo.toml  which sampler its LLC can be estimated with

  phasegrid serve --data ~/phasegrid   a coordinator; `phasegrid-worker` joins it
  ID=$(phasegrid submit sweeps/demo.toml)
  phasegrid watch $ID
  phasegrid table $ID --level cells --format csv
  phasegrid plot $ID --output diagram.svg
";

/// Sweeps over neural networks, with their local learning coefficients, as phase diagrams.
#[derive(Debug, Parser)]
#[command(name = "phasegrid", version, after_help = format!("{EXAMPLES}\n{}", Exit::help()))]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// What to log, as in "info" or "warn,phasegrid_coordinator=debug" [default: info for serve, else warn]
    #[arg(long, global = true, value_name = "FILTER", env = "PHASEGRID_LOG", value_parser = filter)]
    log: Option<String>,
    /// The form of the logs: human, or json with one object a line
    #[arg(long, global = true, value_name = "FORMAT", env = "PHASEGRID_LOG_FORMAT", hide_possible_values = true)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Plan(plan::Plan),
    Calibrate(calibrate::Calibrate),
    Serve(Box<serve::Serve>),
    Backup(backup::Backup),
    Submit(submit::Submit),
    List(list::List),
    Show(list::Show),
    Watch(watch::Watch),
    Explain(explain::Explain),
    Cancel(control::Cancel),
    Pause(control::Pause),
    Resume(control::Resume),
    Priority(control::Priority),
    Retry(control::Retry),
    Table(table::Table),
    Plot(plot::Plot),
    Workers(list::Workers),
    Drain(control::Drain),
    Token(token::Token),
    InitCluster(init_cluster::InitCluster),
    #[command(hide = true)]
    Tether(run::tether::Tether),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, Command::Serve(_)) {
        let filter = cli.global.log.as_deref().unwrap_or("warn");
        telemetry::start(filter, cli.global.log_format.unwrap_or(LogFormat::Human));
    }
    match start(cli) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            output::talk(&format!("error: {failure}"));
            failure.exit().into()
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("cannot start threads: {error}"))?;
    let global = &cli.global;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(run) => run.run().await,
            Command::Plan(plan) => plan.run().await,
            Command::Calibrate(calibrate) => calibrate.run().await,
            Command::Serve(serve) => serve.run(global).await,
            Command::Backup(backup) => backup.run(),
            Command::Submit(submit) => submit.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Watch(watch) => watch.run().await,
            Command::Explain(explain) => explain.run().await,
            Command::Cancel(cancel) => cancel.run().await,
            Command::Pause(pause) => pause.run().await,
            Command::Resume(resume) => resume.run().await,
            Command::Priority(priority) => priority.run().await,
            Command::Retry(retry) => retry.run().await,
            Command::Table(table) => table.run().await,
            Command::Plot(plot) => plot.run().await,
            Command::Workers(workers) => workers.run().await,
            Command::Drain(drain) => drain.run().await,
            Command::Token(token) => token.run().await,
            Command::InitCluster(init) => init.run(),
            Command::Tether(tether) => tether.run(),
        }
    });
    // Nothing that still waits, such as a connection being closed, may delay the end.
    runtime.shutdown_background();
    ended
}

fn filter(text: &str) -> Result<String, String> {
    let accepted = "a filter as in \"info\" or \"warn,phasegrid_coordinator=debug\" is accepted";
    if telemetry::is_filter(text) { Ok(text.to_owned()) } else { Err(accepted.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_design_is_there_and_explains_itself() {
        let cli = Cli::command();
        let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
        let names: Vec<_> = shown.map(|command| command.get_name().to_owned()).collect();
        let design = [
            "run",
            "plan",
            "calibrate",
            "serve",
            "backup",
            "submit",
            "list",
            "show",
            "watch",
            "explain",
            "cancel",
            "pause",
            "resume",
            "priority",
            "retry",
            "table",
            "plot",
            "workers",
            "drain",
            "token",
            "init-cluster",
        ];
        assert_eq!(names, design);
        assert!(cli.get_subcommands().all(|command| command.get_about().is_some()));
    }

    #[test]
    fn commands_that_ask_no_coordinator_take_none() {
        let takes = |words: [&str; 2]| Cli::try_parse_from(["phasegrid", words[0], words[1], "--coordinator=there:1"]);
        assert!(takes(["show", "ID"]).is_ok());
        for words in [["run", "x.toml"], ["calibrate", "x.toml"], ["serve", "--data=x"]] {
            assert_eq!(takes(words).unwrap_err().exit_code(), i32::from(Exit::Usage.code()));
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_a_usage_error() {
        let error = Cli::try_parse_from(["phasegrid", "list", "--log", "warn,=,"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    }
}
