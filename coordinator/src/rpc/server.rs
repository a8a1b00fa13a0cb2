//! The listening socket, its limits, and how the server stops.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use phasegrid_proto::v1::sweep_service_server::SweepServiceServer;
use phasegrid_proto::v1::worker_service_server::WorkerServiceServer;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use super::MESSAGE_LIMIT;
use super::sweeps::Sweeps;
use super::workers::Workers;
use crate::service::Coordinator;
use crate::stopping::Stopper;

/// How long the answers that are under way when the server is told to stop may still take.
const GRACE: Duration = Duration::from_secs(2);

/// Why the server does not listen, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Anyone could reach the address, and nothing would ask who they are.
    #[error(
        "{0} can be reached from other machines, and there is no TLS and are no credentials yet: listen on 127.0.0.1 and \
         reach it through an SSH tunnel (ssh -L 7700:127.0.0.1:7700 HOST)"
    )]
    NotLoopback(SocketAddr),
    /// Someone else listens there.
    #[error("the address {0} is in use, perhaps by another coordinator: stop it, or choose another with --listen")]
    AddressInUse(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The transport gave up.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A server that has its address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address; port 0 takes any that is free.
    ///
    /// # Errors
    /// The address is not a loopback one, is in use, or is not to be had.
    pub async fn bind(listen: SocketAddr) -> Result<Self, ServerError> {
        if !listen.ip().is_loopback() {
            return Err(ServerError::NotLoopback(listen));
        }
        let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ServerError::AddressInUse(listen),
            _ => ServerError::Listen(listen, error),
        })?;
        let address = listener.local_addr().map_err(|error| ServerError::Listen(listen, error))?;
        Ok(Self { listener, address })
    }

    /// The address, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is told to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers until `stop` returns, then closes the coordinator: whatever was acknowledged by then is durable.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn run(self, coordinator: Coordinator, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let (stopper, stopping) = Stopper::new();
        let sweeps = SweepServiceServer::new(Sweeps::new(coordinator.clone(), stopping.clone()))
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let workers = WorkerServiceServer::new(Workers::new(coordinator.clone(), stopping.clone()))
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        // The builder's own nodelay is ignored when it is handed connections.
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serving = tonic::transport::Server::builder()
            .add_service(sweeps)
            .add_service(workers)
            .serve_with_incoming_shutdown(incoming, stopping.wait());
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => ended?,
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
