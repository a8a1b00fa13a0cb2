//! A coordinator and its workers, or several coordinators on one database.

use std::cell::Cell;
use std::process::Command;

use phasegrid_proto::v1;
use tonic::Code;

use crate::client::Client;
use crate::{Call, Folder, Process, binaries, wait};

/// Coordinators on a data folder or a database, and ports of their own. Workers join with [`Cluster::worker`].
pub struct Cluster {
    coordinators: Vec<Process>,
    client: Client,
    urls: Vec<String>,
    /// All of them, with commas.
    url: String,
    /// The flag that names the database, and its value.
    store: [String; 2],
    settings: Vec<(&'static str, &'static str)>,
    starts: Cell<u32>,
    // Last, so that it outlives those who write to it.
    folder: Folder,
}

impl Cluster {
    /// A cluster in which a lease that nobody gives back outlives every test: whatever becomes free again, was given back.
    #[must_use]
    pub fn start() -> Self {
        Self::with_lease_time("1h")
    }

    /// A cluster that gives a worker's work to others when it was silent for so long.
    #[must_use]
    pub fn with_lease_time(lease_time: &'static str) -> Self {
        Self::with_settings([("LEASE_TIME", lease_time)])
    }

    /// A cluster with these settings of the coordinator, by the names that they have in the environment.
    #[must_use]
    pub fn with_settings<const N: usize>(settings: [(&'static str, &'static str); N]) -> Self {
        let folder = Folder::new();
        let store = ["--data".to_owned(), folder.at("data")];
        Self::of(1, folder, store, settings.to_vec())
    }

    /// A coordinator on data that are there already, with leases of workers that are not.
    #[must_use]
    pub fn on_folder(data: String, lease_time: &'static str) -> Self {
        Self::of(1, Folder::new(), ["--data".to_owned(), data], vec![("LEASE_TIME", lease_time)])
    }

    /// Two coordinators on a PostgreSQL database, the first of which leads.
    #[must_use]
    pub fn of_two_on(database: &str, lease_time: &'static str) -> Self {
        Self::of_two_with_settings(database, [("LEASE_TIME", lease_time)])
    }

    /// Two coordinators on a PostgreSQL database, with these settings.
    #[must_use]
    pub fn of_two_with_settings<const N: usize>(database: &str, settings: [(&'static str, &'static str); N]) -> Self {
        let store = ["--store".to_owned(), database.to_owned()];
        Self::of(2, Folder::new(), store, settings.to_vec())
    }

    fn of(count: u32, folder: Folder, store: [String; 2], settings: Vec<(&'static str, &'static str)>) -> Self {
        let (mut coordinators, mut urls) = (Vec::new(), Vec::new());
        for number in 1..=count {
            // Whoever is started later is numbered from 1.
            let name = format!("first-coordinator-{number}");
            let mut coordinator = serve(&folder, &store, "127.0.0.1:0", &settings, &name);
            urls.push(url(&mut coordinator));
            coordinators.push(coordinator);
        }
        let (client, url, starts) = (Client::new(&urls), urls.join(","), Cell::new(0));
        Self { coordinators, client, urls, url, store, settings, starts, folder }
    }

    /// What clients connect to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The coordinator's data folder.
    #[must_use]
    pub fn data(&self) -> String {
        self.folder.at("data")
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The coordinator's process; of several, that of the first.
    pub fn coordinator(&mut self) -> &mut Process {
        &mut self.coordinators[0]
    }

    /// The processes of all coordinators.
    pub fn coordinators(&mut self) -> &mut [Process] {
        &mut self.coordinators
    }

    /// The process of the coordinator that leads, when one does.
    pub fn leader(&mut self) -> &mut Process {
        let leader = wait::until("a coordinator leads", || self.client.serving());
        &mut self.coordinators[leader]
    }

    /// Starts those coordinators again that do not run, on the same data and the same port.
    ///
    /// # Panics
    /// If all of them run.
    pub fn restart_coordinator(&mut self) {
        let mut restarted = 0;
        for number in 0..self.urls.len() {
            if !self.coordinators[number].is_running() {
                let listen = self.urls[number].trim_start_matches("http://");
                let name = self.name("coordinator");
                let mut coordinator = serve(&self.folder, &self.store, listen, &self.settings, &name);
                assert_eq!(url(&mut coordinator), self.urls[number]);
                self.coordinators[number] = coordinator;
                restarted += 1;
            }
        }
        assert!(restarted > 0, "the coordinator still runs");
    }

    /// A worker with one slot joins, under the name `worker-N`.
    #[must_use]
    pub fn worker(&self) -> Process {
        self.worker_with([])
    }

    /// A worker like any other, that has also been given these arguments.
    #[must_use]
    pub fn worker_with<const N: usize>(&self, arguments: [&str; N]) -> Process {
        self.worker_through(&self.url, arguments)
    }

    /// A worker that reaches the coordinator at another URL.
    #[must_use]
    pub fn worker_through<const N: usize>(&self, url: &str, arguments: [&str; N]) -> Process {
        let name = self.name("worker");
        let mut command = Command::new(binaries::path("phasegrid-worker"));
        command.args(["--coordinator", url, "--device", "cpu", "--slots", "1", "--name", &name]);
        command.args(arguments);
        Process::start(command, &name, self.folder.path())
    }

    /// A call of the command line that speaks to this coordinator.
    #[must_use]
    pub fn call<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        Call::new(arguments).env("PHASEGRID_COORDINATOR", &self.url)
    }

    /// Submits a sweep file, and returns the sweep's id.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn submit(&self, source: &str) -> String {
        let path = self.folder.file("sweep.toml", source);
        let stdout = self.call(["submit", &path]).output().success();
        stdout.trim_end().to_owned()
    }

    /// Creates a sweep under a request id of the caller's, and returns the sweep's id.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn create_sweep(&self, request_id: &str, source: &str) -> String {
        // Sent again until it is answered: that this is safe is what a request id is for.
        wait::until("the coordinator takes the sweep", || match self.client.create_sweep(request_id, source) {
            Ok(sweep) => Some(sweep.id),
            Err(status) => {
                assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status}");
                None
            }
        })
    }

    /// How far a sweep is; `None` while the coordinator cannot be asked.
    #[must_use]
    pub fn progress(&self, sweep: &str) -> Option<v1::Progress> {
        self.client.sweep(sweep).ok()?.progress
    }

    /// The workers that the coordinator knows; none while it cannot be asked.
    #[must_use]
    pub fn workers(&self) -> Vec<v1::Worker> {
        self.client.workers().unwrap_or_default()
    }

    /// Waits until so many points at least are finished while others are still under way.
    ///
    /// # Panics
    /// If the sweep ends before that is seen.
    pub fn until_finished(&self, sweep: &str, points: u64) {
        wait::until(&format!("{points} points are finished"), || {
            let progress = self.progress(sweep)?;
            let left = progress.leased + progress.pending;
            assert!(left > 0, "the sweep was to be seen under way, but it has ended: {progress:?}");
            (progress.finished >= points && progress.leased > 0).then_some(())
        });
    }

    /// Waits until the sweep has ended, with every point finished.
    ///
    /// # Panics
    /// If a point failed.
    pub fn until_complete(&self, sweep: &str) {
        let ended = |progress: &v1::Progress| progress.leased + progress.pending == 0;
        let progress = wait::until("the sweep is complete", || self.progress(sweep).filter(ended));
        assert_eq!(progress.finished, progress.size, "points have failed: {progress:?}");
    }

    /// A table of a sweep, as CSV.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn table(&self, sweep: &str, level: &str) -> String {
        self.call(["table", sweep, "--format", "csv", "--level", level]).output().success()
    }

    /// How many files of sealed records there are of a sweep.
    #[must_use]
    pub fn segments(&self, sweep: &str) -> usize {
        let beside =
            if self.store[0] == "--data" { format!("{}/archive", self.store[1]) } else { self.folder.at("archive") };
        // Until the first there is no folder.
        let files = std::fs::read_dir(format!("{beside}/{sweep}")).into_iter().flatten().flatten();
        files.filter(|file| file.file_name().to_string_lossy().ends_with(".parquet")).count()
    }

    fn name(&self, role: &str) -> String {
        self.starts.set(self.starts.get() + 1);
        format!("{role}-{}", self.starts.get())
    }
}

fn serve(
    folder: &Folder,
    store: &[String; 2],
    listen: &str,
    settings: &[(&'static str, &'static str)],
    name: &str,
) -> Process {
    let mut command = Command::new(binaries::path("phasegrid"));
    command.arg("serve").args(["--listen", listen]).args(store);
    // Short leases and frequent heartbeats: several workers share even a sweep of a second.
    let leasing = [("HEARTBEAT_INTERVAL", "200ms"), ("LEASE_TARGET", "200ms")];
    command.envs(leasing.iter().chain(settings).map(|(key, value)| (format!("PHASEGRID_{key}"), value)));
    if store[0] == "--store" {
        command.env("PHASEGRID_ARCHIVE", folder.at("archive"));
    }
    Process::start(command, name, folder.path())
}

/// The URL that a coordinator prints when it listens.
fn url(coordinator: &mut Process) -> String {
    wait::until("the coordinator prints its URL", || {
        let running = coordinator.is_running();
        let stdout = coordinator.stdout();
        assert!(running || !stdout.is_empty(), "the coordinator ended: {}", coordinator.stderr());
        stdout.split_once('\n').map(|(url, _)| url.to_owned())
    })
}
