//! Who is let in, over real connections with real TLS.

use std::time::Duration;

use http::uri::PathAndQuery;
use phasegrid_proto::connection::{self, Credentials, Obstacle};
use phasegrid_proto::place::Place;
use phasegrid_proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::service::Interceptor as _;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::secured::{Secured, certificates, wish};
use crate::access::Role;
use crate::certificates::Cluster;
use crate::rpc::roles::{METHODS, METRICS, Method, Rule};
use crate::rpc::server::{Server, ServerError};
use crate::rpc::tls::Tls;
use crate::service::{Coordinator, Settings, TokenWish};

/// Calls a method with an empty message, and waits for the first word of the answer.
async fn call(channel: &Channel, method: &Method, token: Option<&str>) -> Code {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut bearer = Credentials::read(None, None, token).unwrap().bearer();
    let request = bearer.call(Request::new(())).unwrap();
    let path = PathAndQuery::from_static(method.path);
    let answered = match grpc.server_streaming(request, path, ProstCodec::<(), ()>::default()).await {
        Ok(mut answers) => answers.get_mut().message().await.map(drop),
        Err(status) => Err(status),
    };
    answered.map_or_else(|status| status.code(), |()| Code::Ok)
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says_and_nothing_else() {
    let secured = Secured::start().await;
    let channel = secured.clients(None).await.channel;
    for method in METHODS.iter().filter(|method| method.path != METRICS) {
        for role in Role::ALL {
            let token = secured.token(role).await;
            let code = call(&channel, method, Some(&token)).await;
            let may = match method.rule {
                Rule::Open => true,
                Rule::Roles(roles) => roles.contains(&role),
            };
            assert_ne!(code, Code::Unauthenticated, "{role} calls {}", method.path);
            assert_eq!(code != Code::PermissionDenied, may, "{role} calls {}: {code:?}", method.path);
        }
        let open = method.rule == Rule::Open;
        let code = call(&channel, method, None).await;
        assert_eq!(code != Code::Unauthenticated, open, "nobody calls {}: {code:?}", method.path);
    }
}

#[tokio::test]
async fn what_stands_in_no_table_is_allowed_to_nobody() {
    let secured = Secured::start().await;
    let channel = secured.clients(None).await.channel;
    let method = Method { path: "/phasegrid.v1.SweepService/DropEverything", rule: Rule::Open };
    assert_eq!(call(&channel, &method, Some(&secured.admin)).await, Code::PermissionDenied);
}

#[tokio::test]
async fn who_shows_no_token_or_a_wrong_one_is_told_what_to_do() {
    let secured = Secured::start().await;
    let other = Secured::start().await;
    let cases = [
        (None, "--token-file or PHASEGRID_TOKEN_FILE"),
        (Some("letmein"), "what was sent as a token is none"),
        (Some(&*other.admin), "not known to this coordinator"),
    ];
    for (token, expected) in cases {
        let refusal = secured.clients(token).await.list().await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unauthenticated);
        assert!(refusal.message().contains(expected), "{refusal}");
    }
    let admin = secured.admin.clone();
    secured.clients(Some(&admin)).await.list().await.unwrap();
}

#[tokio::test]
async fn a_token_that_has_expired_or_was_revoked_or_is_used_up_opens_nothing() {
    let secured = Secured::start().await;
    let expected = |refusal: Status, why: &str| {
        assert_eq!(refusal.code(), Code::Unauthenticated, "{refusal}");
        assert!(refusal.message().contains(why) && refusal.message().contains("phasegrid token create"), "{refusal}");
    };
    let short = TokenWish { lifetime: Some(Duration::from_micros(1)), ..wish(Role::Read) };
    let (token, _) = secured.token_with(short).await;
    expected(secured.clients(Some(&token)).await.list().await.unwrap_err(), "has expired");

    let (token, _) = secured.token_with(TokenWish { uses: Some(2), ..wish(Role::Submit) }).await;
    let mut clients = secured.clients(Some(&token)).await;
    clients.list().await.unwrap();
    clients.list().await.unwrap();
    expected(clients.list().await.unwrap_err(), "is used up");

    let (token, id) = secured.token_with(wish(Role::Read)).await;
    let mut clients = secured.clients(Some(&token)).await;
    clients.list().await.unwrap();
    let mut admin = secured.clients(Some(&secured.admin)).await;
    let revoked = admin.tokens.revoke_token(v1::RevokeTokenRequest { id: id.clone() }).await.unwrap().into_inner();
    assert!(revoked.token.unwrap().revoke_time.is_some());
    expected(clients.list().await.unwrap_err(), "was revoked");
    let request = v1::RevokeTokenRequest { id: "no such token".to_owned() };
    assert_eq!(admin.tokens.revoke_token(request).await.unwrap_err().code(), Code::NotFound);
    let listed = admin.tokens.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner().tokens;
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().any(|token| token.id == id && token.role() == v1::Role::Read));
}

#[tokio::test]
async fn a_watch_ends_with_the_right_to_watch() {
    let secured = Secured::start().await;
    let mut submitter = secured.clients_of(Role::Submit).await;
    let (request_id, source) = ("wish".to_owned(), super::SWEEP.to_owned());
    let request = v1::CreateSweepRequest { request_id, source, ..Default::default() };
    let id = submitter.sweeps.create_sweep(request).await.unwrap().into_inner().sweep.unwrap().id;
    let (token, token_id) = secured.token_with(wish(Role::Read)).await;
    let mut watcher = secured.clients(Some(&token)).await;
    let request = v1::WatchSweepRequest { id: id.clone(), after_sequence: 0 };
    let mut events = watcher.sweeps.watch_sweep(request).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    secured.coordinator.revoke_token(&token_id).await.unwrap();
    submitter.sweeps.cancel_sweep(v1::CancelSweepRequest { id }).await.unwrap();
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_token_that_makes_no_sense_is_refused_by_its_field() {
    let secured = Secured::start().await;
    let mut admin = secured.clients(Some(&secured.admin)).await;
    let whole = v1::CreateTokenRequest { role: v1::Role::Read.into(), ..Default::default() };
    let days = |days: i64| Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 });
    for (request, field) in [
        (v1::CreateTokenRequest { role: 0, ..whole.clone() }, "role: "),
        (v1::CreateTokenRequest { name: "x".repeat(101), ..whole.clone() }, "name: up to 100 characters"),
        (v1::CreateTokenRequest { name: "a\nb".to_owned(), ..whole.clone() }, "name: "),
        (v1::CreateTokenRequest { lifetime: days(0), ..whole.clone() }, "lifetime: "),
        (v1::CreateTokenRequest { lifetime: days(-1), ..whole.clone() }, "lifetime: "),
        (v1::CreateTokenRequest { lifetime: days(3651), ..whole.clone() }, "lifetime: above zero and up to 3650 days"),
        (v1::CreateTokenRequest { uses: u64::MAX, ..whole.clone() }, "uses: "),
    ] {
        let refusal = admin.tokens.create_token(request).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        assert!(refusal.message().starts_with(field), "{refusal}");
    }
    assert!(admin.tokens.create_token(whole).await.is_ok());
}

#[tokio::test]
async fn a_coordinator_without_tokens_is_open_until_the_first_which_is_an_admins() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::open(folder.path(), &Place::Nowhere, Settings::default()).await.unwrap();
    assert!(!coordinator.requires_tokens());
    let secret = crate::access::Secret::random().unwrap();
    let refusal = coordinator.create_token(&secret, wish(Role::Worker)).await.unwrap_err();
    assert!(refusal.to_string().contains("--role admin"), "{refusal}");
    coordinator.create_token(&secret, wish(Role::Admin)).await.unwrap();
    assert!(coordinator.requires_tokens());
    coordinator.shutdown().await;
    let coordinator = Coordinator::open(folder.path(), &Place::Nowhere, Settings::default()).await.unwrap();
    assert!(coordinator.requires_tokens() && coordinator.has_admin());
    assert!(coordinator.identify(Some(&secret.reveal())).is_ok());
}

#[tokio::test]
async fn an_address_that_others_can_reach_asks_for_tokens_though_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, tls) = certificates(&folder);
    let coordinator =
        Coordinator::open(&folder.path().join("data"), &Place::Nowhere, Settings::default()).await.unwrap();
    let server = Server::bind("0.0.0.0:0".parse().unwrap(), Some(tls)).await.unwrap();
    let url = server.url();
    assert!(url.starts_with("https://localhost:"), "{url}");
    // Others could not reach it by that name.
    let (elsewhere, name) = (server.url_elsewhere(), crate::rpc::server::host_name().unwrap());
    assert_eq!(elsewhere, url.replace("localhost", &name));
    let serving = tokio::spawn(server.run(coordinator, std::future::pending()));
    let credentials = Credentials { ca: Some(cluster.ca), token: None };
    let channel = connection::endpoint(&url, &credentials).unwrap().connect().await.unwrap();
    for method in METHODS.iter().filter(|method| method.rule != Rule::Open && method.path != METRICS) {
        assert_eq!(call(&channel, method, None).await, Code::Unauthenticated, "{}", method.path);
    }
    serving.abort();
}

/// What stands between a client with this CA and the coordinator, be it told on connecting or on the first call.
async fn obstacle(url: &str, ca: Option<String>) -> Obstacle {
    let credentials = Credentials { ca, token: None };
    let channel = match connection::endpoint(url, &credentials).unwrap().connect().await {
        Ok(channel) => channel,
        Err(error) => return connection::obstacle(&error, url),
    };
    let mut sweeps = v1::sweep_service_client::SweepServiceClient::new(channel);
    let status = sweeps.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap_err();
    connection::obstacle(&status, url)
}

#[tokio::test]
async fn a_client_is_told_what_is_wrong_with_its_way_to_the_coordinator() {
    let secured = Secured::start().await;
    let port = secured.url.rsplit(':').next().unwrap();
    let foreign = certificates(&tempfile::tempdir().unwrap()).0.ca;
    let wrong_ca = obstacle(&secured.url, Some(foreign)).await;
    assert!(wrong_ca.lasts && wrong_ca.reason.contains("not of the CA"), "{wrong_ca:?}");
    let wrong_name = obstacle(&format!("https://[::ffff:127.0.0.1]:{port}"), Some(secured.ca.clone())).await;
    assert!(wrong_name.lasts && wrong_name.reason.contains("init-cluster --host"), "{wrong_name:?}");
    let plain = obstacle(&secured.url.replace("https", "http"), None).await;
    assert!(!plain.lasts && plain.reason.contains("use https:// and its CA"), "{plain:?}");

    let open = super::Running::start().await;
    let tls = obstacle(&open.url.replace("http", "https"), Some(secured.ca.clone())).await;
    assert!(tls.reason.contains("does not speak TLS"), "{tls:?}");
}

#[tokio::test]
async fn a_coordinator_with_a_further_certificate_of_the_ca_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, _) = certificates(&folder);
    let hosts = ["127.0.0.1".to_owned()];
    let further = Cluster::with_ca(cluster.ca.clone(), &cluster.ca_key, &hosts, crate::clock::now()).unwrap();
    let (certificate, key) = (folder.path().join("further.pem"), folder.path().join("further.key"));
    std::fs::write(&certificate, &further.certificate).unwrap();
    std::fs::write(&key, &further.key).unwrap();
    let coordinator = Coordinator::open(&folder.path().join("data"), &Place::Nowhere, Settings::default()).await;
    let tls = Tls::read(&certificate, &key).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    let url = server.url();
    let serving = tokio::spawn(server.run(coordinator.unwrap(), std::future::pending()));
    let credentials = Credentials { ca: Some(cluster.ca), token: None };
    let channel = connection::endpoint(&url, &credentials).unwrap().connect().await.unwrap();
    let mut sweeps = v1::sweep_service_client::SweepServiceClient::new(channel);
    sweeps.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap();
    serving.abort();
}

#[tokio::test]
async fn a_certificate_that_is_none_or_another_keys_is_refused_at_the_start() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(&folder);
    certificates(&other);
    let at = |folder: &tempfile::TempDir, name: &str| folder.path().join(name);
    let missing = Tls::read(&at(&folder, "no.pem"), &at(&folder, "server.key")).err().unwrap().to_string();
    assert!(missing.contains("no.pem") && missing.contains("phasegrid init-cluster"), "{missing}");
    for (certificate, key) in [
        (at(&folder, "server.pem"), at(&other, "server.key")),
        (at(&folder, "server.key"), at(&folder, "server.key")),
        (at(&folder, "server.pem"), at(&folder, "server.pem")),
    ] {
        let tls = Tls::read(&certificate, &key).unwrap();
        let refusal = Server::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap_err();
        assert!(matches!(refusal, ServerError::Certificate { .. }), "{refusal}");
    }
}

#[tokio::test]
async fn one_who_shakes_no_hands_keeps_nobody_else_out() {
    let secured = Secured::start().await;
    let address = secured.url.strip_prefix("https://").unwrap();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut babbling = tokio::net::TcpStream::connect(address).await.unwrap();
    babbling.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    secured.clients(Some(&secured.admin)).await.list().await.unwrap();
    let mut said = Vec::new();
    // Nothing but a TLS alert, and then the end.
    let _ = babbling.read_to_end(&mut said).await;
    assert!(said.len() < 16, "{said:?}");
    silent.shutdown().await.unwrap();
}
