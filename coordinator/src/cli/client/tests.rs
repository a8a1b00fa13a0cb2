//! Coordinators that answer, and such that do not.

use std::net::SocketAddr;

use phasegrid_proto::place::Place;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::access::{Role, Secret};
use crate::certificates::Cluster;
use crate::cli::exit::Exit;
use crate::cli::progress::View;
use crate::cli::watch::Events;
use crate::rpc::server::Server;
use crate::rpc::tls::Tls;
use crate::service::{Coordinator, Settings, TokenWish};

const SWEEP: &str = r#"
name = "tiny"
[task]
data = { kind = "modular", operation = "add", modulus = 5, train_fraction = 0.5 }
model = { kind = "quadratic", width = 4 }
train = { optimizer = "sgd", learning_rate = 0.1, batch_size = "full", steps = 10, loss = "mse" }
checkpoints = { every = 10 }
"#;

/// A coordinator that answers.
struct Answering {
    coordinator: Coordinator,
    url: String,
    _data: TempDir,
}

impl Answering {
    async fn start(tls: Option<Tls>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(data.path(), &Place::Nowhere, Settings::default()).await.unwrap();
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), tls).await.unwrap();
        let url = server.url();
        tokio::spawn(server.run(coordinator.clone(), std::future::pending()));
        Self { coordinator, url, _data: data }
    }

    async fn token(&self, role: Role) -> (String, Credentials) {
        let secret = Secret::random().unwrap();
        let wish = TokenWish { role, name: String::new(), lifetime: None, uses: None };
        self.coordinator.create_token(&secret, wish).await.unwrap();
        (secret.id().to_string(), Credentials::read(None, None, Some(&secret.reveal())).unwrap())
    }
}

/// One that is frozen: the system accepts connections, and nobody reads what is sent.
async fn frozen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn client(urls: &str, answer_time: Duration) -> Client {
    Client { answer_time, ..Client::connect(urls, &Credentials::default()).await.unwrap() }
}

#[tokio::test]
async fn one_that_is_frozen_is_not_waited_for_without_end() {
    let (_frozen, url) = frozen().await;
    let mut client = client(&url, Duration::from_millis(50)).await;
    for failure in [client.list().await.unwrap_err(), client.resume("x").await.unwrap_err()] {
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("has not answered"), "{failure}");
    }
}

#[tokio::test]
async fn one_that_lives_says_so_without_a_token() {
    let answering = Answering::start(None).await;
    answering.token(Role::Admin).await;
    let mut client = client(&answering.url, ANSWER_TIME).await;
    assert_eq!(client.list().await.unwrap_err().exit(), Exit::Denied);
    assert_eq!(client.ping().await.unwrap(), answering.url);
}

#[tokio::test]
async fn of_several_the_next_is_asked_when_one_is_frozen() {
    let ((_frozen, url), answering) = (frozen().await, Answering::start(None).await);
    let urls = format!("{url},{}", answering.url);
    assert!(client(&urls, Duration::from_secs(3)).await.list().await.unwrap().is_empty());
    let request = v1::PauseSweepRequest { id: "x".to_owned() };
    let once = async |way: &mut Way| way.sweeps.pause_sweep(request).await;
    let refused = client(&urls, Duration::from_secs(3)).await.ask_once(once).await.unwrap_err();
    assert_eq!(refused.exit(), Exit::Refused, "{refused}");
}

#[tokio::test]
async fn none_is_looked_for_where_none_can_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = [(); 2].map(|()| Cluster::new(&["127.0.0.1".to_owned()], clock::now()).unwrap());
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    std::fs::write(&certificate, &theirs.certificate).unwrap();
    std::fs::write(&key, &theirs.key).unwrap();
    let tls = || Some(Tls::read(&certificate, &key).unwrap());
    let (first, second) = (Answering::start(tls()).await, Answering::start(tls()).await);
    let credentials = Credentials { ca: Some(ours.ca), token: None };
    let mut client = Client::connect(&format!("{},{}", first.url, second.url), &credentials).await.unwrap();
    let (asked, mut once) = (Cell::new(0), v1::ListSweepsRequest::default());
    once.page_size = 1;
    let answer = client.ask(async |way| {
        asked.set(asked.get() + 1);
        way.sweeps.list_sweeps(once.clone()).await
    });
    let failure = answer.await.unwrap_err();
    assert!(matches!(failure, Failure::Untrusted { .. }), "{failure}");
    assert_eq!(asked.get(), 2, "each was asked once");
}

#[tokio::test]
async fn a_watch_ends_with_the_right_to_watch() {
    let answering = Answering::start(None).await;
    let (_, admin) = answering.token(Role::Admin).await;
    let (token, reader) = answering.token(Role::Read).await;
    let mut client = Client::connect(&answering.url, &admin).await.unwrap();
    let request =
        v1::CreateSweepRequest { request_id: "wish".to_owned(), source: SWEEP.to_owned(), ..Default::default() };
    let created = client.ask(async |way| way.sweeps.create_sweep(request.clone()).await).await.unwrap();
    let id = created.sweep.unwrap().id;
    let mut events = Events::of(Client::connect(&answering.url, &reader).await.unwrap(), &id).await.unwrap();
    let view = View::new();
    events.next(&view).await.unwrap();
    answering.coordinator.revoke_token(&token).await.unwrap();
    answering.coordinator.cancel(&id).await.unwrap();
    let failure = events.next(&view).await.unwrap_err();
    assert!(matches!(failure, Failure::Denied { .. }), "{failure}");
}
