//! `run`: a whole sweep on this machine, from its file to the phase diagram.
//!
//! An embedded coordinator keeps its database in the output folder, so that the same command goes on where an earlier one
//! was interrupted; everything else goes through gRPC, as on a cluster. `crew` keeps worker processes going, `folder`
//! knows the output folder, [`tether`] ties a worker's life to ours.

mod crew;
mod embedded;
mod folder;
pub(super) mod tether;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use clap::Args;
use phasegrid_proto::connection::Credentials;
use phasegrid_proto::v1;

use crate::plot;
use crate::results::{Layout, Level};
use crate::spec::Spec;

use super::client::Client;
use super::failure::Failure;
use super::input::SweepFile;
use super::output::{print, takes_colour, talk};
use super::progress::{View, ticks};
use super::serve::{environment, stop_signal};
use super::text::counted;
use super::watch::{End, Events, Paused};
use crew::Crew;
use embedded::Embedded;
pub(super) use folder::Folder;
use folder::Tables;

/// Run a whole sweep on this machine and leave tables and diagrams in a folder
///
/// The phase table goes to stdout. Interrupted or killed, the same command goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid run sweeps/demo.toml\n  \
    phasegrid run sweeps/demo.toml --set axes.seed.count=1 --workers 1 --out quick\n\n\
    Leaves in DIR: cells.csv, tasks.csv, records.parquet, diagram.svg, diagram.png, sweep.toml\n\
    with all defaults filled in, the workers' logs and, in DIR/.phasegrid, the database.")]
pub(super) struct Run {
    #[command(flatten)]
    file: SweepFile,
    #[command(flatten)]
    here: Here,
}

/// A sweep that is run on this machine.
pub(super) struct Local<'a> {
    pub(super) file: &'a SweepFile,
    pub(super) source: String,
    pub(super) spec: &'a Spec,
}

/// How and where it is run.
#[derive(Debug, Args)]
pub(super) struct Here {
    /// Worker processes, which share the GPUs, or else the cores [default: 1 with a GPU or on a single core, else 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// The folder for results [default: phasegrid-out/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Throw away what an earlier run left in the folder and start anew
    #[arg(long)]
    force: bool,
    /// Give points that failed in an earlier run another go
    #[arg(long)]
    retry: bool,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let source = self.file.read()?;
        let spec = self.file.parse(&source)?;
        let local = Local { file: &self.file, source, spec: &spec };
        let report =
            async |client: &mut Client, id: &str, folder: &Arc<Folder>| report(client, id, &spec, folder).await;
        let ((), end, folder) = self.here.run(local, report).await?;
        let tasks = folder.path().join("tasks.csv");
        end.into_result(&format!("{} has the errors, `--retry` gives them another go", tasks.display()))
    }
}

impl Here {
    /// Runs a sweep to its end, and has its results reported.
    pub(super) async fn run<T>(
        &self,
        sweep: Local<'_>,
        report: impl AsyncFnOnce(&mut Client, &str, &Arc<Folder>) -> Result<T, Failure>,
    ) -> Result<(T, End, Arc<Folder>), Failure> {
        let settings = Embedded::settings(environment())?;
        let worker = crew::worker_binary()?;
        // From here on a signal means: leave in order.
        let mut stop = pin!(stop_signal()?);
        let folder = Folder::open(self.out.clone().unwrap_or_else(|| folder::default_path(sweep.spec.name())))?;
        let folder = Arc::new(folder);
        if self.force {
            folder.clear()?;
        }
        let coordinator = Embedded::start(&folder.data(), settings).await?;
        let crew = Crew::new(worker, coordinator.url().to_owned(), self.workers, folder.path());
        let ended = async {
            let mut client = Client::connect(coordinator.url(), &Credentials::default()).await?;
            let id = self.sweep(&mut client, sweep, &folder).await?;
            let end = follow(client.clone(), &id, crew, stop.as_mut()).await?;
            let reported = tokio::select! {
                reported = report(&mut client, &id, &folder) => reported?,
                () = stop => return Err(Failure::Interrupted("the same command writes the results".to_owned())),
            };
            Ok::<_, Failure>((reported, end))
        };
        // Whatever happened, what was acknowledged is made durable; what happened first is what is told.
        let ended = ended.await;
        let stopped = coordinator.stop().await;
        let (reported, end) = ended?;
        stopped?;
        if end.is_complete() {
            folder.clear_snapshots()?;
        }
        Ok((reported, end, folder))
    }

    /// The folder's sweep: a new one, or the same that an earlier run began.
    async fn sweep(&self, client: &mut Client, sweep: Local<'_>, folder: &Folder) -> Result<String, Failure> {
        let Local { file, source, spec } = sweep;
        let path = folder.path().display();
        let Some(sweep) = client.list().await?.pop() else {
            talk(&format!("{}: {}, into {path}", spec.name(), extent(spec)));
            let wish = v1::CreateSweepRequest { request_id: "run".to_owned(), source, ..Default::default() };
            return Ok(client.create(file, wish).await?.id);
        };
        let (sweep, _) = client.sweep(&sweep.id).await?;
        let way_out = "choose another folder with --out, or throw it away with --force";
        if Spec::parse(&sweep.resolved_source, &[]).ok().as_ref() != Some(spec) {
            return Err(Failure::Refused(format!("{path} holds another sweep, {}: {way_out}", sweep.name)));
        }
        if sweep.state() == v1::SweepState::Cancelled {
            return Err(Failure::Refused(format!("the sweep in {path} was cancelled: {way_out}")));
        }
        talk(&format!("{}: {}, going on in {path}", spec.name(), extent(spec)));
        if sweep.state() == v1::SweepState::Paused {
            let because = if sweep.pause_reason.is_empty() { "" } else { ": " };
            talk(&format!("it was paused and goes on{because}{}", sweep.pause_reason));
            client.resume(&sweep.id).await?;
        }
        if self.retry {
            client.retry(&sweep.id).await?;
        }
        Ok(sweep.id)
    }
}

/// How large a sweep is.
fn extent(spec: &Spec) -> String {
    let points = counted(spec.size(), "point");
    match spec.shards() {
        shards if shards.of_each() == 1 => points,
        shards => format!("{points} in {} shards", shards.count()),
    }
}

/// Lets the crew work until the sweep has ended, or we are told to stop. No worker is left when this returns.
async fn follow(client: Client, id: &str, mut crew: Crew, stop: impl Future<Output = ()>) -> Result<End, Failure> {
    let mut stop = pin!(stop);
    let mut view = View::new();
    let mut events = Events::of(client, id).await?;
    let (mut ticks, mut started) = (ticks(), false);
    let ended = loop {
        tokio::select! {
            event = events.next(&view) => match event {
                Ok(event) => {
                    let progress = event.progress.unwrap_or_default();
                    view.show(&progress);
                    crew.on_progress(progress.finished + progress.failed);
                    if let Some(end) = End::of(&event) {
                        break Ok(end);
                    }
                    if let Some(paused) = Paused::of(&event, id) {
                        let next = "the same command goes on, with --retry with what failed as well";
                        break Err(Failure::Paused(format!("the sweep was paused{}; {next}", paused.because())));
                    }
                    if !event.unmet.is_empty() {
                        let why = format!("the sweep needs {}, which no worker of this machine has", event.unmet);
                        let next = "change [resources], or give it to a cluster with `phasegrid submit`";
                        break Err(Failure::Worker(format!("{why}; {next}")));
                    }
                    if !started {
                        crew.start();
                        started = true;
                    }
                }
                Err(failure) => break Err(failure),
            },
            death = crew.death() => if let Err(failure) = crew.on_death(death, &view) {
                break Err(failure);
            },
            _ = ticks.tick() => view.on_tick(),
            () = &mut stop => break Err(Failure::Interrupted("the same command goes on where it was".to_owned())),
        }
    };
    crew.stop().await;
    ended
}

/// Leaves the results in the folder, the phase table on stdout, and says where they are.
async fn report(client: &mut Client, id: &str, spec: &Spec, folder: &Arc<Folder>) -> Result<(), Failure> {
    let tables = Tables {
        cells: client.table(id, Level::Cells).await?,
        tasks: client.table(id, Level::Tasks).await?,
        records: client.table(id, Level::Records).await?,
    };
    let (place, sweep) = (Arc::clone(folder), spec.clone());
    // On a thread of its own: drawing and writing take a while, in which we may be told to stop.
    let written = tokio::task::spawn_blocking(move || place.write(&sweep, &tables).map(|()| tables));
    let tables = written.await.map_err(anyhow::Error::new)??;
    print(plot::terminal(&Layout::of(spec), &tables.cells, takes_colour(&std::io::stdout())).as_bytes())?;
    let path = folder.path().display();
    talk(&format!("{path} holds cells.csv, tasks.csv, records.parquet, diagram.svg, diagram.png and sweep.toml"));
    Ok(())
}
