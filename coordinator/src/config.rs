//! The coordinator's settings: defaults, below a file, below the environment, below flags.
//!
//! `deploy/coordinator.toml` is the commented sample of every key. All that is wrong is reported at once, with the key,
//! where its value comes from and what would be accepted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat, Source, Value};
use phasegrid_proto::duration::{self, DURATIONS};
use phasegrid_proto::place::{PLACES, Place};

use crate::scheduler::{Breaker, HardDeadline};
use crate::service::{self, Archiving};
use crate::store::postgres::{ADDRESSES, Address};
use crate::telemetry::LogFormat;

/// The keys, in the order of the sample.
const KEYS: [&str; 20] = [
    "listen",
    "tls_certificate",
    "tls_key",
    "data",
    "store",
    "store_ca",
    "snapshots",
    "archive",
    "seal_records",
    "lease_time",
    "heartbeat_interval",
    "max_attempts",
    "retry_backoff",
    "hard_deadline",
    "hard_deadline_least",
    "breaker_points",
    "breaker_share",
    "lease_target",
    "log",
    "log_format",
];

/// The variable that gives the database's password, as in PostgreSQL's own programs.
const PASSWORD: &str = "PGPASSWORD";

/// The folder for snapshots in the data folder.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// All settings of a coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The address on which the coordinator answers.
    pub listen: SocketAddr,
    /// The certificate with which it proves who it is, and the certificate's key.
    pub tls: Option<TlsFiles>,
    /// The folder that holds the database.
    pub data: PathBuf,
    /// The database, where it is not in a folder.
    pub store: Option<Address>,
    /// The certificate of the CA that vouches for its server.
    pub store_ca: Option<PathBuf>,
    /// Where workers keep snapshots of long tasks; `None` is beside a database in a folder, and else nowhere.
    pub snapshots: Option<Place>,
    /// Where records of finished points go; `None` is beside a database in a folder, and else nowhere.
    pub archive: Option<Place>,
    /// How many of them make a file there.
    pub seal_records: u32,
    /// How work is handed out and taken back.
    pub leasing: service::Settings,
    /// The filter of the logs.
    pub log: String,
    /// The form of the logs.
    pub log_format: LogFormat,
}

/// Where a certificate and its key lie, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            tls: None,
            data: PathBuf::from("phasegrid-data"),
            store: None,
            store_ca: None,
            snapshots: None,
            archive: None,
            seal_records: service::SEAL_RECORDS,
            leasing: service::Settings::default(),
            log: "info".to_owned(),
            log_format: LogFormat::Human,
        }
    }
}

/// Everything that is wrong with the settings, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

impl Settings {
    /// Where workers keep snapshots if the database is in `data`.
    #[must_use]
    pub fn snapshots_beside(&self, data: &Path) -> Place {
        self.snapshots.clone().unwrap_or_else(|| Place::folder(&data.join(SNAPSHOTS)))
    }

    /// Where workers keep snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Place {
        self.unless_shared(self.snapshots.as_ref(), self.snapshots_beside(&self.data))
    }

    /// Where records of finished points go if the database is in `data`.
    #[must_use]
    pub fn archive_beside(&self, data: &Path) -> Archiving {
        let place = self.archive.clone().unwrap_or_else(|| Place::folder(&data.join(service::ARCHIVE)));
        Archiving { place, seal_records: self.seal_records }
    }

    /// Where records of finished points go.
    #[must_use]
    pub fn archive(&self) -> Archiving {
        let beside = self.archive_beside(&self.data);
        Archiving { place: self.unless_shared(self.archive.as_ref(), beside.place), ..beside }
    }

    /// What was set, or what is beside a database in a folder: coordinators that share one have no folder in common that
    /// we know of.
    fn unless_shared(&self, set: Option<&Place>, beside: Place) -> Place {
        if set.is_none() && self.store.is_some() { Place::Nowhere } else { beside }
    }

    /// Reads the settings: defaults, `file`, the variables `PHASEGRID_*` of `environment`, and `flags` (key and value).
    ///
    /// Variables that are no setting are left alone: workers and cluster managers share the prefix.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, or a value is not acceptable.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, ConfigError> {
        let known = |name: &str| KEYS.iter().any(|key| name == format!("PHASEGRID_{}", key.to_ascii_uppercase()));
        let environment: HashMap<_, _> = environment.into_iter().collect();
        let password = environment.get(PASSWORD).cloned();
        let environment = environment.into_iter().filter(|(name, _)| known(name)).collect();
        let mut layers = Config::builder();
        if let Some(path) = file {
            layers = layers.add_source(File::from(path).format(FileFormat::Toml));
        }
        layers = layers.add_source(Environment::with_prefix("PHASEGRID").source(Some(environment)));
        let unreadable = |error: config::ConfigError| ConfigError(vec![error.to_string()]);
        for (key, value) in flags {
            layers = layers.set_override(key, value).map_err(unreadable)?;
        }
        let values = layers.build().and_then(|merged| merged.collect()).map_err(unreadable)?;
        let mut settings = Self::from_values(values.into_iter().collect())?;
        if let Some(password) = password {
            settings.store = settings.store.map(|store| store.with_password(&password));
        }
        Ok(settings)
    }

    /// Checks the merged values.
    fn from_values(values: HashMap<String, Value>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut keys = Keys { values, problems: vec![] };
        let store = keys.store();
        let address = |text: &str| text.parse().ok();
        let above_zero = |text: &str| text.parse().ok().filter(|number: &u32| *number > 0);
        let lease_time = keys.duration("lease_time", default.leasing.lease_time);
        // Where it is not given, it fits the lease time, whatever that is.
        let heartbeat_interval = default.leasing.heartbeat_interval.min(lease_time / 5);
        let path = |text: &str| (!text.is_empty()).then(|| Some(PathBuf::from(text)));
        let store_ca = keys.take("store_ca", None, "a file", path);
        let certificate = keys.take("tls_certificate", None, "a file", path);
        let key = keys.take("tls_key", None, "a file", path);
        let settings = Self {
            tls: keys.both(certificate, key),
            listen: keys.take("listen", default.listen, "an address and port as in \"127.0.0.1:7700\"", address),
            data: keys.take("data", default.data, "a folder", |text| (!text.is_empty()).then(|| text.into())),
            store,
            store_ca,
            snapshots: keys.take("snapshots", default.snapshots, PLACES, |text| text.parse().ok().map(Some)),
            archive: keys.take("archive", default.archive, PLACES, |text| text.parse().ok().map(Some)),
            seal_records: keys.take("seal_records", default.seal_records, "a number from 1", above_zero),
            leasing: service::Settings {
                lease_time,
                heartbeat_interval: keys.duration("heartbeat_interval", heartbeat_interval),
                max_attempts: keys.take("max_attempts", default.leasing.max_attempts, "a number from 1", above_zero),
                retry_backoff: keys.duration_or_off("retry_backoff", default.leasing.retry_backoff),
                hard_deadline: keys.hard_deadline(default.leasing.hard_deadline),
                breaker: keys.breaker(default.leasing.breaker),
                lease_target: keys.duration("lease_target", default.leasing.lease_target),
            },
            log: keys.take(
                "log",
                default.log,
                "a filter as in \"info\" or \"warn,phasegrid_coordinator=debug\"",
                |text| crate::telemetry::is_filter(text).then(|| text.to_owned()),
            ),
            log_format: keys.take("log_format", default.log_format, "\"human\" or \"json\"", |text| text.parse().ok()),
        };
        keys.finish()?;
        if settings.store_ca.is_some() && settings.store.is_none() {
            let problem = "store_ca: there is no store whose server it could vouch for; name one, or leave it out";
            return Err(ConfigError(vec![problem.to_owned()]));
        }
        if settings.leasing.heartbeat_interval * 2 > settings.leasing.lease_time {
            let problem =
                "heartbeat_interval: at most half of lease_time is accepted, or one late heartbeat loses the lease";
            return Err(ConfigError(vec![problem.to_owned()]));
        }
        Ok(settings)
    }
}

/// The merged values not yet read, and what was wrong with those that were.
struct Keys {
    values: HashMap<String, Value>,
    problems: Vec<String>,
}

impl Keys {
    fn take<T>(&mut self, key: &str, default: T, accepted: &str, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let Some(value) = self.values.remove(key) else { return default };
        let text = value.clone().into_string().ok();
        text.as_deref().and_then(parse).unwrap_or_else(|| {
            let found = text.map_or_else(|| "what stands".to_owned(), |text| format!("{text:?}"));
            self.problems.push(format!("{key}: {found} {} is not accepted; it takes {accepted}", origin(&value)));
            default
        })
    }

    fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.take(key, default, &durations(), |text| parse_duration(text).ok())
    }

    /// The database. Its value may hold a password: it is never shown, and not taken from where everybody can read it.
    fn store(&mut self) -> Option<Address> {
        let value = self.values.remove("store")?;
        let origin = origin(&value);
        let problem = match value.clone().into_string().ok().map(|text| text.parse::<Address>()) {
            Some(Ok(address)) if address.has_password() && value.origin().is_none() => {
                format!(
                    "a command line can be read by everybody here: leave the password out, and give it in {PASSWORD}"
                )
            }
            Some(Ok(_)) if self.values.contains_key("data") => {
                "data is set as well, and there is one database: leave one of them out".to_owned()
            }
            Some(Ok(address)) => return Some(address),
            _ => format!("what stands {origin} is not accepted; it takes {ADDRESSES}"),
        };
        self.problems.push(format!("store: {problem}"));
        None
    }

    /// A certificate is of no use without its key, and the other way round.
    fn both(&mut self, certificate: Option<PathBuf>, key: Option<PathBuf>) -> Option<TlsFiles> {
        let (missing, there) = match (certificate, key) {
            (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
            (None, None) => return None,
            (Some(_), None) => ("tls_key", "tls_certificate"),
            (None, Some(_)) => ("tls_certificate", "tls_key"),
        };
        self.problems
            .push(format!("{missing}: missing; where there is a {there}, it takes the file that goes with it"));
        None
    }

    /// Zero if it is off.
    fn duration_or_off(&mut self, key: &str, default: Duration) -> Duration {
        let accepted = format!("{}, or \"off\"", durations());
        self.take(key, default, &accepted, |text| match text {
            "off" => Some(Duration::ZERO),
            text => parse_duration(text).ok(),
        })
    }

    fn hard_deadline(&mut self, default: Option<HardDeadline>) -> Option<HardDeadline> {
        let HardDeadline { factor, least } =
            default.unwrap_or(HardDeadline { factor: 0.0, least: Duration::from_secs(1) });
        let factor =
            self.take("hard_deadline", factor, "a number from 1 as in \"10\", or \"off\"", |text| match text {
                "off" => Some(0.0),
                text => text.parse().ok().filter(|factor: &f64| (1.0..f64::INFINITY).contains(factor)),
            });
        let least = self.duration("hard_deadline_least", least);
        (factor > 0.0).then_some(HardDeadline { factor, least })
    }

    fn breaker(&mut self, default: Option<Breaker>) -> Option<Breaker> {
        let default = default.unwrap_or(Breaker { points: 0, share: 0.0 });
        let points = self.take("breaker_points", default.points, "a number from 1, or \"off\"", |text| match text {
            "off" => Some(0),
            text => text.parse().ok().filter(|points| *points > 0),
        });
        let share = self.take("breaker_share", default.share, "a share from 0 to below 1 as in \"0.5\"", |text| {
            text.parse().ok().filter(|share| (0.0..1.0).contains(share))
        });
        (points > 0).then_some(Breaker { points, share })
    }

    /// Whatever was not taken is unknown.
    fn finish(mut self) -> Result<(), ConfigError> {
        let mut unknown: Vec<_> = self.values.iter().collect();
        unknown.sort_unstable_by_key(|(key, _)| key.as_str());
        let problem = |(key, value)| format!("{key}: unknown key {}; accepted are {}", origin(value), KEYS.join(", "));
        self.problems.extend(unknown.into_iter().map(problem));
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }
}

/// Where a value stands.
fn origin(value: &Value) -> String {
    value.origin().map_or("among the flags".to_owned(), |origin| format!("in {origin}"))
}

/// Reads a duration above zero.
///
/// # Errors
/// What is accepted, if `text` is something else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).filter(|duration| !duration.is_zero()).ok_or_else(|| format!("it takes {}", durations()))
}

/// What [`parse_duration`] takes.
fn durations() -> String {
    format!("a duration above zero and {DURATIONS}")
}

#[cfg(test)]
mod tests;
