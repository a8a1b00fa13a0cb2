//! The worker's settings: defaults ← file ← environment ← flags.
//!
//! `deploy/worker.toml` is the commented sample of every key. A key that does not exist or a value that makes no sense is
//! refused before anything runs; all problems are reported at once, each with its key and what is accepted.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use config::{Environment, File, FileFormat, Value};
use phasegrid_proto::task::Problem;
use tonic::transport::Uri;

use crate::identity;

/// The flags, which win over the environment and the file.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(
    name = "phasegrid-worker",
    version,
    about = "Pulls tasks from a phasegrid coordinator, trains the networks and estimates their local learning coefficients",
    after_help = "\
Settings are taken from the file, then the environment, then the flags; the later wins.
Environment: PHASEGRID_COORDINATOR, and PHASEGRID_WORKER_DEVICE, _SLOTS, _NAME, _LOG, _LOG_FORMAT.

A worker may be started before its coordinator and rides out the coordinator's absence. SIGTERM or ctrl-c makes it \
stop its tasks, give back what it holds and leave; a second one ends it at once. `phasegrid drain` makes it finish \
what it holds and leave.

Exit codes:
  0    it left as it was asked to
  1    the coordinator refused a call, or the system failed
  2    wrong settings
  3    the coordinator refuses this worker, for instance one of another version
  130  ended by a second signal"
)]
pub struct Args {
    /// Settings file (TOML; deploy/worker.toml is a sample of every key)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the coordinator listens [default: http://127.0.0.1:7700]
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    /// Where to compute: auto, cpu or cuda:N; auto is cuda:0 if there is one, else cpu [default: auto]
    #[arg(long)]
    pub device: Option<String>,
    /// Points to advance at once; on cpu no more than cores [default: the number of cores on cpu, 1 on cuda]
    #[arg(long, value_name = "N")]
    pub slots: Option<String>,
    /// The worker's id at the coordinator, unique to the process [default: HOST-PID-RANDOM]
    #[arg(long)]
    pub name: Option<String>,
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
    /// Where the coordinator listens, as `http://HOST:PORT`.
    pub coordinator: String,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Points to advance at once; `None` is what suits the device.
    pub slots: Option<u32>,
    /// The worker's id at the coordinator.
    pub name: String,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// Where to compute, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU and no other.
    Cuda(usize),
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
    /// Reads the settings, given the flags and the environment's variables.
    ///
    /// # Errors
    /// If the file cannot be read, or else all that is wrong, at once.
    pub fn load(args: Args, environment: HashMap<String, String>) -> Result<Self, SettingsError> {
        let shared = environment.get("PHASEGRID_COORDINATOR").cloned();
        let mut builder = config::Config::builder();
        if let Some(path) = args.config {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        if let Some(coordinator) = shared {
            let shared = HashMap::from([("PHASEGRID_COORDINATOR".to_owned(), coordinator)]);
            builder = builder.add_source(Environment::with_prefix("PHASEGRID").source(Some(shared)));
        }
        let values = builder
            .add_source(Environment::with_prefix("PHASEGRID_WORKER").source(Some(environment)))
            .set_override_option("coordinator", args.coordinator)?
            .set_override_option("device", args.device)?
            .set_override_option("slots", args.slots)?
            .set_override_option("name", args.name)?
            .set_override_option("log", args.log)?
            .set_override_option("log_format", args.log_format)?
            .build()?
            .cache
            .into_table()?;

        let mut keys = Keys { values, problems: Vec::new() };
        let settings = Self {
            coordinator: keys
                .read("coordinator", "http://HOST:PORT", coordinator, || "http://127.0.0.1:7700".to_owned()),
            device: keys.read("device", "auto, cpu or cuda:N", |text| text.parse().ok(), || DeviceChoice::Auto),
            slots: keys.read("slots", "1 to 65536", slots, || None),
            name: keys.read("name", "1 to 100 characters of A-Z a-z 0-9 . _ -", name, identity::default_name),
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
            let message = "there is no such key; accepted: coordinator, device, slots, name, log, log_format";
            Problem::new(key, format!("{message} (it stands {})", origin(value)))
        }));
        if self.problems.is_empty() { Ok(settings) } else { Err(SettingsError::Refused(self.problems)) }
    }
}

/// Where a value came from, for its author.
fn origin(value: &Value) -> String {
    value.origin().map_or("among the flags".to_owned(), |origin| format!("in {origin}"))
}

fn coordinator(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
    (plain && uri.host().is_some_and(|host| !host.is_empty())).then(|| text.to_owned())
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

impl FromStr for DeviceChoice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            text => text.strip_prefix("cuda:").and_then(|n| n.parse().ok()).map(Self::Cuda).ok_or(()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
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
mod tests {
    use std::io::Write as _;

    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], args: Args) -> Result<Settings, SettingsError> {
        let mut settings = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        settings.write_all(file.as_bytes()).unwrap();
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::load(Args { config: Some(settings.path().to_owned()), ..args }, environment)
    }

    fn problems(file: &str, environment: &[(&str, &str)]) -> String {
        load(file, environment, Args::default()).unwrap_err().to_string()
    }

    #[test]
    fn nothing_set_is_a_worker_of_this_machine() {
        let settings = Settings::load(Args::default(), HashMap::new()).unwrap();
        assert_eq!(settings.coordinator, "http://127.0.0.1:7700");
        assert_eq!((settings.device, settings.slots), (DeviceChoice::Auto, None));
        assert!(identity::is_name(&settings.name));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = "slots = 1\ndevice = \"cuda:1\"\nname = \"file\"\nlog = \"debug\"\n";
        let environment = [
            ("PHASEGRID_WORKER_SLOTS", "2"),
            ("PHASEGRID_WORKER_NAME", "environment"),
            ("PHASEGRID_COORDINATOR", "http://there:1"),
            ("PHASEGRID_SOMETHING_ELSE", "is not the worker's"),
        ];
        let args = Args { slots: Some("3".into()), log_format: Some("json".into()), ..Args::default() };
        let settings = load(file, &environment, args).unwrap();
        let expected = Settings {
            coordinator: "http://there:1".into(),
            device: DeviceChoice::Cuda(1),
            slots: Some(3),
            name: "environment".into(),
            log: "debug".into(),
            log_format: LogFormat::Json,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn the_sample_names_every_key_with_its_default() {
        let sample = include_str!("../../deploy/worker.toml");
        assert!(load(sample, &[], Args::default()).is_ok());
        // Keys whose default depends on the machine are commented out.
        let uncommented: String =
            sample.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let settings = load(&uncommented, &[], Args::default()).unwrap();
        let defaults = Settings::load(Args::default(), HashMap::new()).unwrap();
        assert_eq!(Settings { slots: None, name: defaults.name.clone(), ..settings }, defaults);
        for key in ["coordinator", "device", "slots", "name", "log", "log_format"] {
            assert!(uncommented.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
    }

    #[test]
    fn all_problems_are_named_at_once_with_key_origin_and_what_is_accepted() {
        let file = "slots = 0\ndevice = \"gpu\"\ncoordinator = [1]\nslot = 1\nlog = \"a=b=c\"\n";
        let problems = problems(file, &[("PHASEGRID_WORKER_LOG_FORMAT", "xml"), ("PHASEGRID_WORKER_SPEED", "1")]);
        for part in [
            "coordinator: this in ",
            "device: \"gpu\" in ",
            "accepted: auto, cpu or cuda:N",
            "slots: \"0\" in ",
            "accepted: 1 to 65536",
            "log: \"a=b=c\"",
            "log_format: \"xml\" in the environment is not accepted; accepted: human or json",
            "slot: there is no such key; accepted: coordinator, device,",
            "speed: there is no such key",
        ] {
            assert!(problems.contains(part), "{part:?} is missing in:\n{problems}");
        }
    }

    #[test]
    fn only_plain_urls_with_a_host_are_coordinators() {
        for url in ["", "localhost:7700", "https://host:1", "http://", "http://host/path", "ftp://host", "http://a b"] {
            assert_eq!(coordinator(url), None, "{url:?}");
        }
        assert!(coordinator("http://[::1]:7700").is_some());
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = Args { config: Some("no-such-file.toml".into()), ..Args::default() };
        assert!(Settings::load(args, HashMap::new()).unwrap_err().to_string().contains("no-such-file.toml"));
    }

    #[test]
    fn help_explains_every_flag() {
        let help = <Args as clap::CommandFactory>::command().render_long_help().to_string();
        for flag in
            ["--config", "--coordinator", "--device", "--slots", "--name", "--log", "--log-format", "Exit codes"]
        {
            assert!(help.contains(flag), "{flag}");
        }
    }
}
