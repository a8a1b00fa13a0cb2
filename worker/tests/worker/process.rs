//! The real binary: signals and exit codes.

use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use phasegrid_proto::v1::ReleaseResponse;
use tonic::Status;

use crate::harness::*;

/// A running binary, ended with the test.
pub(crate) struct Process(std::process::Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With further variables in its environment.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phasegrid-worker"));
        command.args(arguments).env_remove("PHASEGRID_COORDINATOR").envs(environment.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the binary is built"))
    }

    fn of(coordinator: &Coordinator) -> Self {
        Self::start(&["--coordinator", coordinator.url(), "--name", NAME, "--slots", "1", "--device", "cpu"])
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(kill.expect("there is a kill command").success());
    }

    /// How it ended, what it wrote on stdout, and on stderr.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String, String) {
        let read = tokio::task::spawn_blocking(move || {
            let (mut out, mut err) = (String::new(), String::new());
            self.0.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
            self.0.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
            (self.0.wait().expect("it was started"), out, err)
        });
        tokio::time::timeout(PATIENCE, read).await.expect("the process stays").expect("no panic")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_terminated_worker_gives_back_its_lease_and_exits_with_0() {
    let mut coordinator = Coordinator::start().await;
    let process = Process::of(&coordinator);
    coordinator.register().await.answer(terms(NEVER));
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    coordinator.reports().await.acknowledge(&[0]).await;
    process.signal("TERM");
    coordinator.release().await.answer(ReleaseResponse {});
    let (status, out, err) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{status:?} {err}");
    assert_eq!(out, "", "stdout is for data, and a worker has none");
}

#[tokio::test]
async fn a_second_signal_ends_the_worker_at_once() {
    let mut coordinator = Coordinator::start().await;
    let process = Process::of(&coordinator);
    coordinator.register().await.answer(terms(NEVER));
    coordinator.lease().await.answer(lease("a", 0, [endless(0)]));
    coordinator.reports().await.acknowledge(&[0]).await;
    process.signal("INT");
    let _unanswered = coordinator.release().await;
    process.signal("INT");
    let (status, _, err) = process.ended().await;
    assert_eq!(status.code(), Some(130), "{status:?} {err}");
}

#[tokio::test]
async fn wrong_settings_are_told_and_exit_with_2() {
    let (status, out, err) = Process::start(&["--device", "gpu", "--slots", "0"]).ended().await;
    assert_eq!((status.code(), out.as_str()), (Some(2), ""));
    assert!(err.contains("phasegrid-worker: device: ") && err.contains("phasegrid-worker: slots: "), "{err}");
}

#[tokio::test]
async fn an_unwelcome_worker_says_why_and_exits_with_3() {
    let mut coordinator = Coordinator::start().await;
    let process = Process::of(&coordinator);
    coordinator.register().await.refuse(Status::failed_precondition("numerics version 1; accepted: 2"));
    let (status, _, err) = process.ended().await;
    assert_eq!(status.code(), Some(3), "{err}");
    assert!(err.contains("refuses this worker: numerics version 1; accepted: 2"), "{err}");
}

#[tokio::test]
async fn a_worker_without_a_coordinator_says_so_and_waits_until_it_is_told_to_leave() {
    // Nobody listens on the discard port of the loopback address.
    let mut process = Process::start(&["--coordinator", "http://127.0.0.1:9", "--device", "cpu"]);
    let mut said = std::io::BufReader::new(process.0.stderr.take().unwrap());
    let (send, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while !line.contains("does not answer") {
            line.clear();
            assert_ne!(std::io::BufRead::read_line(&mut said, &mut line).unwrap(), 0, "the worker ended");
        }
        send.send(line).unwrap();
        std::io::copy(&mut said, &mut std::io::sink()).unwrap();
    });
    let line = tokio::time::timeout(PATIENCE, told).await.expect("nothing is said").unwrap();
    assert!(line.contains("http://127.0.0.1:9") && line.contains("refused"), "{line}");
    process.signal("TERM");
    let status = tokio::task::spawn_blocking(move || process.0.wait().unwrap());
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), status).await.unwrap().unwrap().code(), Some(0));
}
