//! `serve`: a coordinator, until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::{Role, Secret};
use crate::config::Settings;
use crate::rpc::server::{Server, ServerError};
use crate::rpc::tls::Tls;
use crate::service::{Coordinator, TokenWish};
use crate::telemetry;

use super::Global;
use super::failure::Failure;
use super::output::{print_line, talk, write_secret};

/// Start a coordinator; prints its URL when it listens
///
/// Whatever it acknowledged is durable: it may be stopped or killed at any time and started again on the same data.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  phasegrid serve --data ~/phasegrid\n  phasegrid serve --store postgres://phasegrid@127.0.0.1/phasegrid\n  \
    phasegrid serve --config coordinator.toml\n  \
    PHASEGRID_LEASE_TIME=2m phasegrid serve\n\n\
    Settings: defaults, below --config FILE (deploy/coordinator.toml names every key), below PHASEGRID_*, below flags.\n\
    Stop it with Ctrl-C or SIGTERM; workers wait for it to come back. Several coordinators may share one --store: one leads, \
    and another takes over within seconds of its end."
)]
pub(super) struct Serve {
    /// The file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on; one that other machines can reach takes TLS [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The certificate for TLS, as `phasegrid init-cluster` makes it
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// The certificate's key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// The folder that holds the database [default: phasegrid-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The PostgreSQL database to use instead, as postgres://USER@HOST[:PORT]/DATABASE; its password is taken from PGPASSWORD
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    store: Option<String>,
    /// The certificate of the CA that vouches for the database's server: the connection is TLS then. A database on another
    /// machine takes it, unless its URL ends in ?sslmode=disable
    #[arg(long, value_name = "FILE")]
    store_ca: Option<String>,
    /// Where workers keep snapshots of long tasks: a folder, file:///FOLDER, s3://BUCKET/PREFIX or none [default: snapshots
    /// in the data folder; none with --store]
    #[arg(long, value_name = "PLACE")]
    snapshots: Option<String>,
    /// Where the records of finished points go: a folder, file:///FOLDER, s3://BUCKET/PREFIX or none [default: archive in
    /// the data folder; none with --store]
    #[arg(long, value_name = "PLACE")]
    archive: Option<String>,
    /// How many of these records make a file [default: 65536]
    #[arg(long, value_name = "N")]
    seal_records: Option<String>,
    /// How long a worker may be silent before its work is given to others [default: 1m]
    #[arg(long, value_name = "DURATION")]
    lease_time: Option<String>,
    /// How often a worker is asked to be heard from [default: 10s, at most a fifth of the lease time]
    #[arg(long, value_name = "DURATION")]
    heartbeat_interval: Option<String>,
    /// How many times a point may be started before it is set aside as failed [default: 3]
    #[arg(long, value_name = "N")]
    max_attempts: Option<String>,
    /// How long a point waits after its first attempt that failed, and twice as long after each further one; or off [default:
    /// 1s]
    #[arg(long, value_name = "DURATION")]
    retry_backoff: Option<String>,
    /// Take work from a worker that lives and makes no progress for so many times as long as its work should take; or off
    /// [default: 10]
    #[arg(long, value_name = "TIMES")]
    hard_deadline: Option<String>,
    /// How long a worker may make no progress at least [default: 10m]
    #[arg(long, value_name = "DURATION")]
    hard_deadline_least: Option<String>,
    /// Pause a sweep once so many of its points failed, and more than --breaker-share of those that ended; or off [default: 20]
    #[arg(long, value_name = "N")]
    breaker_points: Option<String>,
    /// The share of failed points above which a sweep is paused [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    breaker_share: Option<String>,
    /// How much work a worker is given at once, in time [default: 5s]
    #[arg(long, value_name = "DURATION")]
    lease_target: Option<String>,
    /// Write a new admin's token to admin.token in the data folder, whatever tokens there are: where the old one was lost.
    /// Of several coordinators it is the one that leads, or when it leads, that does so, once
    #[arg(long)]
    new_admin_token: bool,
}

impl Serve {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let settings = self.settings(global)?;
        telemetry::start(&settings.log, settings.log_format);
        // The address first: two coordinators started alike by mistake are told so before either touches the data.
        let tls = settings.tls.as_ref().map(|files| Tls::read(&files.certificate, &files.key)).transpose();
        let server = Server::bind(settings.listen, tls.map_err(ServerError::from)?).await?;
        let (url, announced) = (server.url(), server.url_elsewhere());
        let (snapshots, archive) = (settings.snapshots(), settings.archive());
        let coordinator = match &settings.store {
            None => Coordinator::open(&settings.data, &archive, settings.leasing).await?,
            Some(store) => {
                let store = store.clone().guarded(settings.store_ca.as_deref())?;
                Coordinator::join(&store, &announced, &archive, settings.leasing).await?
            }
        };
        let coordinator = coordinator.with_snapshots(&snapshots)?;
        let stop = stop_signal()?;
        if !server.address().ip().is_loopback() {
            coordinator.require_tokens();
        }
        let mut admins = Admins { data: settings.data.clone(), wanted: self.new_admin_token };
        // One that stands by knows no tokens: it sees to them when it leads.
        if coordinator.check_serving().is_ok() {
            admins.see_to_one(&coordinator).await?;
        }
        let minding = tokio::spawn(admins.mind(coordinator.clone()));
        let data = settings.store.map_or_else(|| settings.data.display().to_string(), |store| store.to_string());
        tracing::info!(url, data, %snapshots, %archive, "listening");
        print_line(&url)?;
        let ended = server.run(coordinator, stop).await;
        minding.abort();
        ended?;
        tracing::info!("stopped");
        Ok(())
    }

    fn settings(&self, global: &Global) -> Result<Settings, Failure> {
        let text = |value: &Option<String>| value.clone();
        let format = global.log_format.map(|format| format.to_string());
        let flags = [
            ("listen", text(&self.listen)),
            ("tls_certificate", text(&self.tls_certificate)),
            ("tls_key", text(&self.tls_key)),
            ("data", text(&self.data)),
            ("store", text(&self.store)),
            ("store_ca", text(&self.store_ca)),
            ("snapshots", text(&self.snapshots)),
            ("archive", text(&self.archive)),
            ("seal_records", text(&self.seal_records)),
            ("lease_time", text(&self.lease_time)),
            ("heartbeat_interval", text(&self.heartbeat_interval)),
            ("max_attempts", text(&self.max_attempts)),
            ("retry_backoff", text(&self.retry_backoff)),
            ("hard_deadline", text(&self.hard_deadline)),
            ("hard_deadline_least", text(&self.hard_deadline_least)),
            ("breaker_points", text(&self.breaker_points)),
            ("breaker_share", text(&self.breaker_share)),
            ("lease_target", text(&self.lease_target)),
            ("log", text(&global.log)),
            ("log_format", format),
        ];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(Settings::load(self.config.as_deref(), environment(), flags)?)
    }
}

/// The file in the data folder that holds the token of the first admin.
const ADMIN_TOKEN: &str = "admin.token";
/// And before it is known to open anything.
const NEW_ADMIN_TOKEN: &str = "admin.token.new";

/// Sees to it that somebody can make tokens, where they are asked for.
struct Admins {
    data: PathBuf,
    /// A new one is wanted, whoever there is.
    wanted: bool,
}

impl Admins {
    /// Sees to it whenever this coordinator begins to serve. Which of several leads, and when, nobody knows before.
    async fn mind(mut self, coordinator: Coordinator) {
        while coordinator.until_serving(true).await {
            if let Err(error) = self.see_to_one(&coordinator).await {
                tracing::error!(%error, "there is no admin's token; `phasegrid serve --new-admin-token` tries again");
            }
            if !coordinator.until_serving(false).await {
                return;
            }
        }
    }

    /// A coordinator serves, and knows its tokens.
    async fn see_to_one(&mut self, coordinator: &Coordinator) -> Result<(), Failure> {
        if self.wanted || coordinator.requires_tokens() && !coordinator.has_admin() {
            make_admin(coordinator, &self.data).await?;
            if self.wanted {
                talk(
                    "what the old one was still opens: `phasegrid token list` shows it, `phasegrid token revoke ID` ends it",
                );
            }
            self.wanted = false;
        }
        Ok(())
    }
}

/// Makes an admin's token for whoever can read the data folder. It is in a file before it is known: a token that nobody has
/// would keep another from being made. And the file takes the place of an earlier one when it opens something.
async fn make_admin(coordinator: &Coordinator, data: &Path) -> Result<(), Failure> {
    let (path, new) = (data.join(ADMIN_TOKEN), data.join(NEW_ADMIN_TOKEN));
    // With a database elsewhere the folder holds nothing but this.
    std::fs::create_dir_all(data).map_err(Failure::file("make", data))?;
    let secret = Secret::random().map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
    // What an attempt left that was broken off.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::file("replace", &new)(error));
        }
        _ => {}
    }
    write_secret(&new, &(secret.reveal() + "\n"))?;
    let wish = TokenWish { role: Role::Admin, name: "made by serve".to_owned(), lifetime: None, uses: None };
    coordinator.create_token(&secret, wish).await.map_err(|refusal| Failure::Refused(refusal.to_string()))?;
    std::fs::rename(&new, &path).map_err(Failure::file("replace", &path))?;
    talk(&format!(
        "nobody is answered without a token; that of an admin is in {0}: `phasegrid token create --token-file {0} --role worker` \
         makes one for workers",
        path.display()
    ));
    Ok(())
}

/// The environment, as far as it is text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Returns at Ctrl-C or SIGTERM. From here on neither ends the process by itself.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let catch = |kind| signal(kind).map_err(|error| anyhow::anyhow!("cannot listen for signals: {error}"));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::place::Place;
    use phasegrid_tests::Postgres;

    use super::*;
    use crate::access::Caller;
    use crate::service::Settings;

    async fn open(folder: &tempfile::TempDir) -> Coordinator {
        Coordinator::open(&folder.path().join("data"), &Place::Nowhere, Settings::default()).await.unwrap()
    }

    fn written(folder: &tempfile::TempDir) -> Option<String> {
        std::fs::read_to_string(folder.path().join("tokens").join(ADMIN_TOKEN)).ok()
    }

    #[tokio::test]
    async fn an_admins_token_is_made_where_there_is_none_or_another_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = open(&folder).await;
        let mut admins = Admins { data: folder.path().join("tokens"), wanted: false };
        admins.see_to_one(&coordinator).await.unwrap();
        assert_eq!(written(&folder), None, "nobody asks for tokens");
        coordinator.require_tokens();
        admins.see_to_one(&coordinator).await.unwrap();
        let first = written(&folder).unwrap();
        admins.see_to_one(&coordinator).await.unwrap();
        assert_eq!(written(&folder).as_ref(), Some(&first), "there is one");
        admins.wanted = true;
        admins.see_to_one(&coordinator).await.unwrap();
        let second = written(&folder).unwrap();
        assert!(second != first && !admins.wanted);
        for token in [first, second] {
            let caller = coordinator.identify(Some(token.trim_end()));
            assert!(matches!(caller, Ok(Caller::Holder(_, Role::Admin))), "{caller:?}");
        }
    }

    #[tokio::test]
    async fn one_that_begins_to_lead_later_makes_the_token_then() {
        let database = tokio::task::spawn_blocking(|| Postgres::shared().database("begins_to_lead")).await.unwrap();
        let database = database.parse().unwrap();
        let join =
            async || Coordinator::join(&database, "http://127.0.0.1:1", &Place::Nowhere, Settings::default()).await;
        let first = join().await.unwrap();
        assert!(first.until_serving(true).await);
        let second = join().await.unwrap();
        second.require_tokens();
        let folder = tempfile::tempdir().unwrap();
        let admins = Admins { data: folder.path().join("tokens"), wanted: false };
        let minding = tokio::spawn(admins.mind(second.clone()));
        first.shutdown().await;
        while written(&folder).is_none() {
            tokio::task::yield_now().await;
        }
        assert!(second.identify(written(&folder).unwrap().lines().next()).is_ok());
        minding.abort();
    }
}
