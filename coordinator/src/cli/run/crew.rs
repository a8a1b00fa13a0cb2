//! The worker processes of one `phasegrid run`: started, started again when they die, told to leave at the end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::failure::Failure;
use super::super::progress::View;
use super::tether;
use crate::stopping::{Stopper, Stopping};

/// Deaths in a row, without a point ending in between, after which starting workers again is of no use.
const DEATHS: u32 = 5;
/// The wait before a worker is started again, for each death in a row.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a worker that was told to leave may take to give back what it holds.
const GRACE: Duration = Duration::from_secs(10);
/// Lines of a worker's log that are shown when it is given up.
const TAIL: usize = 12;
/// The worker's exit codes that mean that it would end the same way again: its settings, or itself, are refused.
const HOPELESS: [i32; 2] = [2, 3];

/// Worker processes. Dropped, it kills them.
pub(super) struct Crew {
    binary: PathBuf,
    url: String,
    folder: PathBuf,
    size: u32,
    /// The GPUs of this machine, as CUDA_VISIBLE_DEVICES names them.
    gpus: Vec<String>,
    lives: JoinSet<Death>,
    stopper: Stopper,
    stopping: Stopping,
    /// Deaths since a point last ended, and how many had ended then.
    deaths: u32,
    ended_points: u64,
}

/// The end of one worker process.
pub(super) struct Death {
    number: u32,
    how: io::Result<ExitStatus>,
}

impl Crew {
    /// Workers for the coordinator at `url`, none of them started; their logs go to `folder`.
    pub(super) fn new(binary: PathBuf, url: String, size: Option<u32>, folder: &Path) -> Self {
        let (stopper, stopping) = Stopper::new();
        let gpus = gpus();
        // A worker drives all GPUs by itself.
        let size = size.unwrap_or(if gpus.is_empty() { cores().min(2) } else { 1 });
        let folder = folder.to_owned();
        Self { binary, url, folder, size, gpus, lives: JoinSet::new(), stopper, stopping, deaths: 0, ended_points: 0 }
    }

    /// Starts all workers.
    pub(super) fn start(&mut self) {
        for number in 1..=self.size {
            self.launch(number, Duration::ZERO);
        }
    }

    /// Takes note of how many points have ended: as long as some do, deaths are not in a row.
    pub(super) fn on_progress(&mut self, ended_points: u64) {
        if ended_points > self.ended_points {
            self.ended_points = ended_points;
            self.deaths = 0;
        }
    }

    /// The next death; never, if no worker lives.
    pub(super) async fn death(&mut self) -> Death {
        loop {
            match self.lives.join_next().await {
                Some(Ok(death)) => return death,
                // A life that panicked or was cut off has nobody left to start again.
                Some(Err(error)) => tracing::error!(%error, "lost sight of a worker"),
                None => std::future::pending().await,
            }
        }
    }

    /// Starts the worker again, unless that is of no use.
    pub(super) fn on_death(&mut self, death: Death, view: &View) -> Result<(), Failure> {
        let Death { number, how } = death;
        let hopeless = match &how {
            Ok(status) if status.success() && self.lives.is_empty() => {
                let left = "all workers were told to leave before the sweep's end; the same command goes on";
                return Err(Failure::Worker(left.to_owned()));
            }
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.code().is_some_and(|code| HOPELESS.contains(&code)),
            Err(_) => true,
        };
        self.deaths += 1;
        let how =
            how.map_or_else(|error| format!("could not be started: {error}"), |status| format!("died ({status})"));
        let log = self.log(number);
        if hopeless || self.deaths > DEATHS {
            return Err(Failure::Worker(format!("worker {number} {how}; {}", last_words(&log))));
        }
        view.say(&format!("worker {number} {how} and is started again; its log is {}", log.display()));
        self.launch(number, PAUSE * self.deaths);
        Ok(())
    }

    /// Tells all workers to leave and waits until they have.
    pub(super) async fn stop(mut self) {
        self.stopper.stop();
        while self.lives.join_next().await.is_some() {}
    }

    fn launch(&mut self, number: u32, pause: Duration) {
        let (worker, stopping) = (self.worker(number), self.stopping.clone());
        self.lives.spawn(async move {
            tokio::select! {
                () = sleep(pause) => {}
                () = stopping.clone().wait() => return Death { number, how: Ok(ExitStatus::default()) },
            }
            let how = match worker.and_then(|mut command| command.spawn()) {
                Ok(child) => live(child, stopping).await,
                Err(error) => Err(error),
            };
            Death { number, how }
        });
    }

    fn worker(&self, number: u32) -> io::Result<tokio::process::Command> {
        let log = File::options().create(true).append(true).open(self.log(number))?;
        let mut command = tether::command(&self.binary)?;
        command.args(["--coordinator", &self.url]);
        match share(number, self.size, &self.gpus) {
            // It knows best how many points suit the machine.
            Share::Machine => {}
            Share::Cores(slots) => {
                command.args(["--slots", &slots.to_string()]);
            }
            Share::Gpus(gpus) => {
                command.env("CUDA_VISIBLE_DEVICES", gpus);
            }
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Ctrl-C in the terminal is for us alone: workers are told to leave once, and by us.
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    fn log(&self, number: u32) -> PathBuf {
        self.folder.join(format!("worker-{number}.log"))
    }
}

/// Waits for a worker's end, which it is asked for when the crew stops.
async fn live(mut child: Child, stopping: Stopping) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = stopping.wait() => {}
    }
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
        tracing::debug!(%error, "a worker ended before it was told to");
    }
    match timeout(GRACE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.kill().await?;
            child.wait().await
        }
    }
}

/// Finds the worker binary: `PHASEGRID_WORKER`, else beside this one, else in `PATH`.
pub(super) fn worker_binary() -> Result<PathBuf, Failure> {
    const NAME: &str = "phasegrid-worker";
    let found = |path: PathBuf| path.is_file().then_some(path);
    if let Some(path) = std::env::var_os("PHASEGRID_WORKER").map(PathBuf::from) {
        let missing = format!("PHASEGRID_WORKER names {}, which is no file", path.display());
        return found(path).ok_or(Failure::Worker(missing));
    }
    let here = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).find_map(|folder| found(folder.join(NAME)));
    found(here.join(NAME)).or_else(in_path).ok_or_else(|| {
        Failure::Worker(format!(
            "there is no {NAME} in {}, beside this program, nor in PATH: build it with `cargo build --release -p {NAME}`, or \
             name it in PHASEGRID_WORKER",
            here.display()
        ))
    })
}

/// What one of several workers takes of the machine.
#[derive(Debug, PartialEq, Eq)]
enum Share {
    /// All of it.
    Machine,
    /// So many cores.
    Cores(u32),
    /// These GPUs, as CUDA_VISIBLE_DEVICES names them. Workers that are built for the CPU alone do not ask for them, and then
    /// each takes all cores.
    Gpus(String),
}

/// The share of worker `number`, counted from 1, of `size`. Where there are more workers than GPUs, some share one.
fn share(number: u32, size: u32, gpus: &[String]) -> Share {
    let (number, workers) = (number as usize - 1, size as usize);
    match gpus.len() {
        _ if size == 1 => Share::Machine,
        0 => Share::Cores((cores() / size).max(1)),
        count if count < workers => Share::Gpus(gpus[number % count].clone()),
        _ => Share::Gpus(gpus.iter().skip(number).step_by(workers).cloned().collect::<Vec<_>>().join(",")),
    }
}

/// The GPUs that workers may use: those that CUDA_VISIBLE_DEVICES names, or else those that NVIDIA's driver shows.
fn gpus() -> Vec<String> {
    if let Ok(visible) = std::env::var("CUDA_VISIBLE_DEVICES") {
        return named(&visible);
    }
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_gpu = |name: &str| name.strip_prefix("nvidia").is_some_and(|number| number.parse::<u32>().is_ok());
    let count = devices.filter(|device| device.file_name().to_str().is_some_and(is_gpu)).count();
    // CUDA counts those that it sees, whatever the driver's numbers.
    (0..count).map(|number| number.to_string()).collect()
}

/// The GPUs of a list. As for CUDA, -1 hides it and all that come after it.
fn named(visible: &str) -> Vec<String> {
    let gpus = visible.split(',').map(str::trim);
    gpus.take_while(|gpu| !gpu.is_empty() && *gpu != "-1").map(str::to_owned).collect()
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// The last lines of a log, as far as it can be read.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
    match &lines[lines.len().saturating_sub(TAIL)..] {
        [] => format!("it left no word in {}", log.display()),
        tail => format!("the end of {}:\n{}", log.display(), tail.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn crew(folder: &Path) -> Crew {
        Crew::new("/nonexistent".into(), "http://127.0.0.1:1".to_owned(), Some(2), folder)
    }

    fn died(code: i32) -> Death {
        Death { number: 1, how: Ok(ExitStatus::from_raw(code << 8)) }
    }

    #[test]
    fn workers_share_the_gpus_and_else_the_cores_and_one_alone_takes_the_machine() {
        let gpus = |visible| named(visible);
        let shares = |size, visible| (1..=size).map(|number| share(number, size, &gpus(visible))).collect::<Vec<_>>();
        let of = |gpus: &str| Share::Gpus(gpus.to_owned());
        assert_eq!(shares(1, ""), [Share::Machine]);
        assert_eq!(shares(1, "0,1"), [Share::Machine]);
        let half = Share::Cores((cores() / 2).max(1));
        assert_eq!(shares(2, "-1,0"), [half, Share::Cores((cores() / 2).max(1))]);
        assert_eq!(shares(2, "0, GPU-8932f937,5"), [of("0,5"), of("GPU-8932f937")]);
        assert_eq!(shares(3, "0,1"), [of("0"), of("1"), of("0")]);
    }

    #[tokio::test]
    async fn a_worker_that_dies_is_started_again_until_it_dies_too_often_in_a_row() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("worker-1.log"), "the last words\n").unwrap();
        let (mut crew, view) = (crew(folder.path()), View::new());
        for _ in 0..DEATHS {
            crew.on_death(died(1), &view).unwrap();
        }
        crew.on_progress(1);
        for _ in 0..DEATHS {
            crew.on_death(died(1), &view).unwrap();
        }
        crew.on_progress(1);
        let failure = crew.on_death(died(1), &view).unwrap_err().to_string();
        assert!(failure.starts_with("worker 1 died (exit status: 1); the end of "), "{failure}");
        assert!(failure.ends_with("worker-1.log:\n  the last words"), "{failure}");
    }

    #[tokio::test]
    async fn a_worker_that_is_refused_is_given_up_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(crew(folder.path()).on_death(died(3), &View::new()).is_err());
    }

    #[tokio::test]
    async fn nobody_is_left_when_the_last_worker_was_told_to_leave() {
        let folder = tempfile::tempdir().unwrap();
        let failure = crew(folder.path()).on_death(died(0), &View::new()).unwrap_err().to_string();
        assert!(failure.starts_with("all workers were told to leave"), "{failure}");
    }
}
