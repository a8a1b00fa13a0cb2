//! The worker's settings: defaults ← file ← environment ← flags.
//!
//! `deploy/worker.toml` is the commented sample of every key. A key that does not exist or a value that makes no sense is
//! refused before anything runs; all problems are reported at once, each with its key and what is accepted.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use config::{Environment, File, FileFormat, Value};
use phasegrid_proto::connection::{self, ConnectionError, Credentials, URLS};
use phasegrid_proto::duration::{self, DURATIONS};
use phasegrid_proto::place::{PLACES, Place};
use phasegrid_proto::task::Problem;

use crate::cuda::{DEVICES, DeviceChoice};
use crate::identity;
use crate::runner::SpoolSettings;
use crate::snapshots::SnapshotSettings;

/// Everything that can be set.
const KEYS: &str = "coordinator, ca, token_file, device, slots, name, snapshots, snapshot_interval, spool, spool_gib, log, \
                    log_format";

/// The flags, which win over the environment and the file.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(
    name = "phasegrid-worker",
    version,
    about = "Pulls tasks from a phasegrid coordinator, trains the networks and estimates their local learning coefficients",
    after_help = "\
Settings are taken from the file, then the environment, then the flags; the later wins.
Environment: PHASEGRID_COORDINATOR, _CA and _TOKEN_FILE, or PHASEGRID_TOKEN with the token itself; and PHASEGRID_WORKER_DEVICE, _SLOTS, _NAME, _SNAPSHOTS, _SNAPSHOT_INTERVAL, _SPOOL, \
_SPOOL_GIB, _LOG, _LOG_FORMAT. CUDA_VISIBLE_DEVICES chooses and numbers the GPUs that there are. Snapshots in s3:// take endpoint, region \
and credentials from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and their like.

A worker may be started before its coordinator and rides out the coordinator's absence. SIGTERM or ctrl-c makes it \
stop its tasks, give back what it holds and leave; a second one ends it at once. `phasegrid drain` makes it finish \
what it holds and leave.

Exit codes:
  0    it left as it was asked to
  1    the coordinator refused a call, or the system failed
  2    wrong settings
  3    the coordinator refuses this worker, for instance one of another version or without a token, or is not the one that
       was meant
  130  ended by a second signal"
)]
pub struct Args {
    /// Settings file (TOML; deploy/worker.toml is a sample of every key)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the coordinator listens; of several on one database all, with commas [default: http://127.0.0.1:7700]
    #[arg(long, value_name = "URL[,URL]…")]
    pub coordinator: Option<String>,
    /// The certificate of the CA that vouches for a coordinator at https://
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The file that holds the token to show; PHASEGRID_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda (every GPU) or cuda:N,…; auto is every GPU, or cpu if there is none [default: auto]
    #[arg(long)]
    pub device: Option<String>,
    /// Points to advance at once, on all devices together [default: the number of cores on cpu, 64 a GPU]
    #[arg(long, value_name = "N")]
    pub slots: Option<String>,
    /// The worker's id at the coordinator, unique to the process; under the same one it is no further use of its token when it
    /// is started again [default: HOST-PID-RANDOM]
    #[arg(long)]
    pub name: Option<String>,
    /// Where to keep snapshots of long tasks: a folder, file:///FOLDER, s3://BUCKET/PREFIX or none [default: where the
    /// coordinator says]
    #[arg(long, value_name = "PLACE")]
    pub snapshots: Option<String>,
    /// Time between two snapshots of a task, at least; 0 is one a checkpoint [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub snapshot_interval: Option<String>,
    /// A folder for records that wait for the coordinator and do not fit into memory [default: the system's for temporary files]
    #[arg(long, value_name = "FOLDER")]
    pub spool: Option<PathBuf>,
    /// How much may wait, in GiB: then tasks wait too [default: 4]
    #[arg(long, value_name = "GIB")]
    pub spool_gib: Option<String>,
    /// What to log on stderr, as LEVEL or MODULE=LEVEL,… [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log: human or json [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Everything that a worker can be told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the coordinator listens, as `http://HOST:PORT` or `https://HOST:PORT`; of several all, with commas.
    pub coordinator: String,
    /// The file with the CA's certificate.
    pub ca: Option<PathBuf>,
    /// Where the token is.
    pub token: TokenSource,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Points to advance at once; `None` is what suits the device.
    pub slots: Option<u32>,
    /// The worker's id at the coordinator.
    pub name: String,
    /// Where snapshots are kept, and how often one is taken.
    pub snapshots: SnapshotSettings,
    /// Where records wait, and how many.
    pub spool: SpoolSettings,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// Where the token is. What it is, is read when it is shown, and logged nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// There is none.
    #[default]
    None,
    /// In a file.
    File(PathBuf),
    /// It came in the environment.
    Environment(String),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Environment(_) => f.write_str("Environment(…)"),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the settings are of no use.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is missing, or is not TOML.
    #[error("the settings cannot be read: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// Everything that is wrong in them.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Problem>),
}

impl Settings {
    /// What is shown to the coordinator, and what is trusted.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn credentials(&self) -> Result<Credentials, ConnectionError> {
        let (file, token) = match &self.token {
            TokenSource::None => (None, None),
            TokenSource::File(path) => (Some(path.as_path()), None),
            TokenSource::Environment(token) => (None, Some(token.as_str())),
        };
        Credentials::read(self.ca.as_deref(), file, token)
    }

    /// Reads the settings, given the flags and the environment's variables.
    ///
    /// # Errors
    /// If the file cannot be read, or else all that is wrong, at once.
    pub fn load(args: Args, environment: HashMap<String, String>) -> Result<Self, SettingsError> {
        // What all programs of a cluster share has no WORKER in its name.
        let shared = ["PHASEGRID_COORDINATOR", "PHASEGRID_CA", "PHASEGRID_TOKEN_FILE"];
        let shared = shared.into_iter().filter_map(|name| Some((name.to_owned(), environment.get(name)?.clone())));
        let shared = shared.collect();
        let token = environment.get("PHASEGRID_TOKEN").cloned();
        let mut builder = config::Config::builder();
        if let Some(path) = args.config {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        let values = builder
            .add_source(Environment::with_prefix("PHASEGRID").source(Some(shared)))
            .add_source(Environment::with_prefix("PHASEGRID_WORKER").source(Some(environment)))
            .set_override_option("coordinator", args.coordinator)?
            .set_override_option("ca", args.ca.as_deref().map(text))?
            .set_override_option("token_file", args.token_file.as_deref().map(text))?
            .set_override_option("device", args.device)?
            .set_override_option("slots", args.slots)?
            .set_override_option("name", args.name)?
            .set_override_option("snapshots", args.snapshots)?
            .set_override_option("snapshot_interval", args.snapshot_interval)?
            .set_override_option("spool", args.spool.as_deref().map(text))?
            .set_override_option("spool_gib", args.spool_gib)?
            .set_override_option("log", args.log)?
            .set_override_option("log_format", args.log_format)?
            .build()?
            .cache
            .into_table()?;

        let mut keys = Keys { values, problems: Vec::new() };
        let spool = SpoolSettings::default();
        let settings = Self {
            coordinator: keys.read("coordinator", &format!("{URLS}; of several all, with commas"), coordinator, || {
                "http://127.0.0.1:7700".to_owned()
            }),
            ca: keys.read("ca", "a file", file, || None),
            token: keys
                .read("token_file", "a file", file, || None)
                .map_or_else(|| token.map_or(TokenSource::None, TokenSource::Environment), TokenSource::File),
            device: keys.read("device", DEVICES, |text| text.parse().ok(), || DeviceChoice::Auto),
            slots: keys.read("slots", "1 to 65536", slots, || None),
            name: keys.read("name", "1 to 100 characters of A-Z a-z 0-9 . _ -", name, identity::default_name),
            snapshots: SnapshotSettings {
                place: keys.read("snapshots", PLACES, |text| text.parse::<Place>().ok().map(Some), || None),
                interval: keys.read("snapshot_interval", &format!("a duration {DURATIONS}"), duration::parse, || {
                    Duration::from_secs(10)
                }),
            },
            spool: SpoolSettings {
                folder: keys.read("spool", "a folder", file, || None),
                all: keys.read("spool_gib", "a number of GiB from 0.0625 to 1048576", gib, || spool.all),
                ..spool
            },
            log: keys.read(
                "log",
                "LEVEL or MODULE=LEVEL,… with LEVEL off, error, warn, info, debug or trace",
                log,
                || "info".to_owned(),
            ),
            log_format: keys.read("log_format", "human or json", |text| text.parse().ok(), || LogFormat::Human),
        };
        keys.finish(settings)
    }
}

/// The keys that were set, taken one by one; what is left at the end does not exist.
struct Keys {
    values: HashMap<String, Value>,
    problems: Vec<Problem>,
}

impl Keys {
    fn read<T>(
        &mut self,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        default: impl FnOnce() -> T,
    ) -> T {
        let Some(value) = self.values.remove(key) else { return default() };
        let origin = origin(&value);
        let text = value.into_string().ok();
        text.as_deref().and_then(parse).unwrap_or_else(|| {
            let found = text.map_or("this".to_owned(), |text| format!("{text:?}"));
            self.problems.push(Problem::new(key, format!("{found} {origin} is not accepted; accepted: {accepted}")));
            default()
        })
    }

    fn finish(mut self, settings: Settings) -> Result<Settings, SettingsError> {
        let mut unknown: Vec<_> = self.values.iter().collect();
        unknown.sort_by_key(|(key, _)| key.as_str());
        self.problems.extend(unknown.into_iter().map(|(key, value)| {
            Problem::new(key, format!("there is no such key; accepted: {KEYS} (it stands {})", origin(value)))
        }));
        if self.problems.is_empty() { Ok(settings) } else { Err(SettingsError::Refused(self.problems)) }
    }
}

/// Where a value came from, for its author.
fn origin(value: &Value) -> String {
    value.origin().map_or("among the flags".to_owned(), |origin| format!("in {origin}"))
}

fn coordinator(text: &str) -> Option<String> {
    text.split(',').all(connection::is_url).then(|| text.to_owned())
}

fn file(text: &str) -> Option<Option<PathBuf>> {
    (!text.is_empty()).then(|| Some(text.into()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Bytes. Less than what may be in memory would be no limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds, and whole bytes will do")]
fn gib(text: &str) -> Option<u64> {
    let gib: f64 = text.parse().ok()?;
    (0.0625..=1_048_576.0).contains(&gib).then(|| (gib * f64::from(1 << 30)) as u64)
}

fn slots(text: &str) -> Option<Option<u32>> {
    text.parse().ok().filter(|slots| (1..=65_536).contains(slots)).map(Some)
}

fn name(text: &str) -> Option<String> {
    identity::is_name(text).then(|| text.to_owned())
}

fn log(text: &str) -> Option<String> {
    tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests;
