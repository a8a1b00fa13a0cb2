//! A coordinator behind TLS that asks for tokens, and clients that come with credentials of their own.

use std::net::SocketAddr;

use phasegrid_proto::connection::{self, Connection, Credentials};
use phasegrid_proto::place::Place;
use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use phasegrid_proto::v1::token_service_client::TokenServiceClient;
use phasegrid_proto::v1::worker_service_client::WorkerServiceClient;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

use crate::access::{Role, Secret};
use crate::certificates::Cluster;
use crate::clock;
use crate::rpc::server::{Server, ServerError};
use crate::rpc::tls::Tls;
use crate::service::{Coordinator, Settings, TokenWish};
use crate::stopping::Stopper;

/// A running coordinator with TLS and tokens, and the token of an admin.
pub(super) struct Secured {
    pub(super) coordinator: Coordinator,
    pub(super) url: String,
    pub(super) ca: String,
    pub(super) admin: String,
    pub(super) stopper: Stopper,
    pub(super) serving: JoinHandle<Result<(), ServerError>>,
    pub(super) folder: TempDir,
}

/// All clients of one caller.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) channel: Channel,
    pub(super) sweeps: SweepServiceClient<Connection>,
    pub(super) workers: WorkerServiceClient<Connection>,
    pub(super) tokens: TokenServiceClient<Connection>,
}

/// Certificates for this machine in a folder.
pub(super) fn certificates(folder: &TempDir) -> (Cluster, Tls) {
    let hosts = ["localhost", "127.0.0.1"].map(str::to_owned);
    let cluster = Cluster::new(&hosts, clock::now()).unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    std::fs::write(&certificate, &cluster.certificate).unwrap();
    std::fs::write(&key, &cluster.key).unwrap();
    let tls = Tls::read(&certificate, &key).unwrap();
    (cluster, tls)
}

impl Secured {
    pub(super) async fn start() -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(super) async fn on(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cluster, tls) = certificates(&folder);
        let coordinator =
            Coordinator::open(&folder.path().join("data"), &Place::Nowhere, Settings::default()).await.unwrap();
        let server = Server::bind(address, Some(tls)).await.unwrap();
        let url = server.url();
        let (stopper, stopping) = Stopper::new();
        let serving = tokio::spawn(server.run(coordinator.clone(), stopping.wait()));
        let secret = Secret::random().unwrap();
        coordinator.create_token(&secret, wish(Role::Admin)).await.unwrap();
        let (ca, admin) = (cluster.ca, secret.reveal());
        Self { coordinator, url, ca, admin, stopper, serving, folder }
    }

    /// A token of this role, without limits.
    pub(super) async fn token(&self, role: Role) -> String {
        self.token_with(wish(role)).await.0
    }

    /// A token and its id.
    pub(super) async fn token_with(&self, wish: TokenWish) -> (String, String) {
        let secret = Secret::random().unwrap();
        self.coordinator.create_token(&secret, wish).await.unwrap();
        (secret.reveal(), secret.id().to_string())
    }

    pub(super) async fn clients(&self, token: Option<&str>) -> Clients {
        let credentials = Credentials { ca: Some(self.ca.clone()), ..Credentials::read(None, None, token).unwrap() };
        let channel = connection::endpoint(&self.url, &credentials).unwrap().connect().await.unwrap();
        let bearer = credentials.bearer();
        Clients {
            sweeps: SweepServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            workers: WorkerServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            tokens: TokenServiceClient::with_interceptor(channel.clone(), bearer),
            channel,
        }
    }

    pub(super) async fn clients_of(&self, role: Role) -> Clients {
        self.clients(Some(&self.token(role).await)).await
    }
}

impl Clients {
    /// A call that the roles read, submit and admin may make.
    pub(super) async fn list(&mut self) -> Result<(), Status> {
        self.sweeps.list_sweeps(v1::ListSweepsRequest::default()).await.map(drop)
    }
}

pub(super) fn wish(role: Role) -> TokenWish {
    TokenWish { role, name: String::new(), lifetime: None, uses: None }
}
