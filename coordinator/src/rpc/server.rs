//! The listening socket, its limits, and how the server stops.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use phasegrid_proto::v1::sweep_service_server::SweepServiceServer;
use phasegrid_proto::v1::token_service_server::TokenServiceServer;
use phasegrid_proto::v1::worker_service_server::WorkerServiceServer;
use tokio::net::TcpListener;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tonic::transport;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::MESSAGE_LIMIT;
use super::authorisation::Authorisation;
use super::guests::Guests;
use super::metering::Metering;
use super::pages::with_pages;
use super::streams::{MOST_CALLS, Streams};
use super::sweeps::Sweeps;
use super::tls::{Tls, TlsError};
use super::tokens::Tokens;
use super::workers::Workers;
use crate::service::Coordinator;
use crate::stopping::{Stopper, Stopping};

/// How long the answers that are under way when the server is told to stop may still take.
const GRACE: Duration = Duration::from_secs(2);
/// How long a connection may be silent before it is asked whether anybody is there, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why the server does not listen, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Others could reach the address, and read all that is said.
    #[error(
        "{0} can be reached from other machines, and that takes TLS: make certificates with `phasegrid init-cluster --host \
         NAME` and name them with --tls-certificate and --tls-key; or listen on 127.0.0.1 and reach it through an SSH tunnel \
         (ssh -L 7700:127.0.0.1:7700 HOST)"
    )]
    NotLoopback(SocketAddr),
    /// A certificate or its key cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// They are there, and do not fit.
    #[error("the certificate {} cannot be used with the key {}: {reason}", .certificate.display(), .key.display())]
    Certificate {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of its key.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Someone else listens there.
    #[error("the address {0} is in use, perhaps by another coordinator: stop it, or choose another with --listen")]
    AddressInUse(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// What the services say of themselves makes no sense.
    #[error("the services cannot be described: {0}")]
    Descriptors(#[from] tonic_reflection::server::Error),
    /// The transport gave up.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A server that has its address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    builder: transport::Server,
    encrypts: bool,
}

impl Server {
    /// Takes the address; port 0 takes any that is free.
    ///
    /// # Errors
    /// The address is not a loopback one and there is no TLS, the certificate is of no use, or the address is in use or
    /// not to be had.
    pub async fn bind(listen: SocketAddr, tls: Option<Tls>) -> Result<Self, ServerError> {
        if !listen.ip().is_loopback() && tls.is_none() {
            return Err(ServerError::NotLoopback(listen));
        }
        let encrypts = tls.is_some();
        // Metrics are asked for in HTTP/1.1 too.
        let mut builder = transport::Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(MOST_CALLS)
            // Whoever lost its power does not say so.
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE));
        if let Some(Tls { config, certificate, key }) = tls {
            let unfit = |error: transport::Error| {
                let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                ServerError::Certificate { certificate, key, reason }
            };
            builder = builder.tls_config(config).map_err(unfit)?;
        }
        let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ServerError::AddressInUse(listen),
            _ => ServerError::Listen(listen, error),
        })?;
        let address = listener.local_addr().map_err(|error| ServerError::Listen(listen, error))?;
        Ok(Self { listener, address, builder, encrypts })
    }

    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client of this machine is told to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at("localhost".to_owned())
    }

    /// What a client of another machine is told to connect to: by the machine's name, where it listens on all addresses.
    #[must_use]
    pub fn url_elsewhere(&self) -> String {
        self.url_at(host_name().unwrap_or_else(|| "localhost".to_owned()))
    }

    fn url_at(&self, host: String) -> String {
        let scheme = if self.encrypts { "https" } else { "http" };
        if self.address.ip().is_unspecified() {
            return format!("{scheme}://{host}:{}", self.address.port());
        }
        format!("{scheme}://{}", self.address)
    }

    /// Answers until `stop` returns, then closes the coordinator: whatever was acknowledged by then is durable. On an
    /// address that others can reach nobody is answered without a token.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn run(self, coordinator: Coordinator, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        if !self.address.ip().is_loopback() {
            coordinator.require_tokens();
        }
        let (stopper, stopping) = Stopper::new();
        let (routes, reporter) = routes(&coordinator, &stopping).await?;
        // The builder's own nodelay is ignored when it is handed connections.
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let guests = Guests::as_many_as_fit();
        let incoming = incoming.filter_map(move |accepted| std::future::ready(guests.admit(accepted)));
        let serving = self
            .builder
            .layer(Metering::new(coordinator.clone()))
            .layer(Authorisation::new(coordinator.clone()))
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, stopping.wait());
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => ended?,
            never = report_health(&coordinator, &reporter) => match never {},
            () = stop => {
                stopper.stop();
                coordinator.shutdown().await;
                // Clients that hold their connection open without a call under way cannot delay the end.
                if let Ok(ended) = tokio::time::timeout(GRACE, serving).await {
                    ended?;
                }
            }
        }
        Ok(())
    }
}

/// This machine's name, if it has one.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Everything that is answered.
pub(super) async fn routes(
    coordinator: &Coordinator,
    stopping: &Stopping,
) -> Result<(Routes, HealthReporter), ServerError> {
    let streams = Streams::default();
    let sweeps = SweepServiceServer::new(Sweeps::new(coordinator.clone(), stopping.clone(), streams.clone()))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let workers = WorkerServiceServer::new(Workers::new(coordinator.clone(), stopping.clone(), streams))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, coordinator.check_serving().is_ok()).await;
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(phasegrid_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::default()
        .add_service(sweeps)
        .add_service(workers)
        .add_service(TokenServiceServer::new(Tokens::new(coordinator.clone())))
        .add_service(health)
        .add_service(described().build_v1()?)
        // Older tools still ask in this version.
        .add_service(described().build_v1alpha()?);
    let router = routes.axum_router_mut();
    *router = with_pages(std::mem::take(router), coordinator.clone());
    Ok((routes, reporter))
}

/// Lets the health of each service say whether this coordinator serves or stands by. That of the process, which has no name,
/// says that it lives.
async fn report_health(coordinator: &Coordinator, reporter: &HealthReporter) -> Infallible {
    loop {
        let serves = coordinator.check_serving().is_ok();
        report(reporter, serves).await;
        if !coordinator.until_serving(!serves).await {
            return std::future::pending().await;
        }
    }
}

async fn report(reporter: &HealthReporter, serves: bool) {
    let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
    let services =
        [SweepServiceServer::<Sweeps>::NAME, WorkerServiceServer::<Workers>::NAME, TokenServiceServer::<Tokens>::NAME];
    for service in services {
        reporter.set_service_status(service, status).await;
    }
}
