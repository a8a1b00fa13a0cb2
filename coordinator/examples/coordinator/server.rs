//! The coordinator as a process of its own, how it is reached, and what the system says of it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use phasegrid_proto::connection::{self, Connection, Credentials};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tonic::service::interceptor::InterceptedService;

use crate::Result;

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody on this machine, in the clear.
    Open,
    /// Who has a token, over TLS.
    Secured,
}

/// Where a coordinator is, and what to show there.
#[derive(Clone)]
pub(crate) struct Way {
    url: String,
    credentials: Credentials,
}

impl Way {
    /// Connects, with the token on each call.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let endpoint = connection::endpoint(&self.url, &self.credentials)?;
        Ok(InterceptedService::new(endpoint.connect().await?, self.credentials.bearer()))
    }
}

/// A running coordinator; killed if it is not stopped.
pub(crate) struct Server {
    child: Child,
    /// The way for people.
    pub(crate) people: Way,
    /// The way for workers.
    pub(crate) workers: Way,
}

impl Server {
    /// Starts it on a data folder, and returns when it listens.
    pub(crate) fn start(data: &Path) -> Result<Self> {
        let (child, url) = serve(data, &[])?;
        let way = Way { url, credentials: Credentials::default() };
        Ok(Self { child, people: way.clone(), workers: way })
    }

    /// Starts it behind a door. The cluster's certificates are made in a folder beside `data`, as a person makes them.
    pub(crate) fn start_behind(door: Door, data: &Path, tls: &Path) -> Result<Self> {
        if door == Door::Open {
            return Self::start(data);
        }
        phasegrid(["init-cluster", "--dir"], tls, &[])?;
        let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| tls.join(name));
        let (child, url) =
            serve(data, &["--tls-certificate".as_ref(), certificate.as_ref(), "--tls-key".as_ref(), key.as_ref()])?;
        // On loopback nobody needs a token until the first is made, which is an admin's.
        let token = |role: &str, admin: Option<&str>| {
            let mut environment = vec![("PHASEGRID_COORDINATOR", url.as_str())];
            environment.extend(admin.map(|token| ("PHASEGRID_TOKEN", token)));
            phasegrid(["token", "create", "--role", role, "--ca"], &ca, &environment)
        };
        let admin = token("admin", None)?;
        let worker = token("worker", Some(&admin))?;
        let way = |token: &str| {
            let credentials = Credentials::read(Some(&ca), None, Some(token))?;
            Result::Ok(Way { url: url.clone(), credentials })
        };
        Ok(Self { people: way(&admin)?, workers: way(&worker)?, child })
    }

    /// Seconds of processor time so far, of all its threads.
    pub(crate) fn processor(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in brackets, may hold spaces; user and system time are the 12th and 13th fields after it, in hundredths.
        let fields = stat.rsplit(')').next().ok_or("no name in brackets")?.split_whitespace();
        let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }

    /// Megabytes that it had resident at its largest.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kilobytes: f64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Tells it to stop, and waits until it has closed its store.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(pid(&self.child)?, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the coordinator ended with {status}").into()) }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Starts a coordinator with these flags, and waits for its URL.
fn serve(data: &Path, flags: &[&OsStr]) -> Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--listen", "127.0.0.1:0", "--snapshots", "none", "--log", "warn", "--data"]).arg(data);
    let mut child = command.args(flags).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("the coordinator has no stdout")?;
    let mut url = String::new();
    BufReader::new(stdout).read_line(&mut url)?;
    if url.is_empty() {
        return Err("the coordinator did not start; its reason stands above".into());
    }
    Ok((child, url.trim().to_owned()))
}

/// What a command of `phasegrid` prints.
fn phasegrid<const N: usize>(arguments: [&str; N], path: &Path, environment: &[(&str, &str)]) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(arguments).arg(path).envs(environment.iter().copied()).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is left to kill where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| "no process id".into())
}

/// Lets this process, and the coordinator that it starts, have as many connections as the system allows.
pub(crate) fn raise_descriptors() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
