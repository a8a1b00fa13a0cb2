//! The services without a socket: a call's message goes in as bytes, past the door, and its status comes out.

use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Layer as _, ServiceExt as _};

use super::authorisation::{Authorisation, Authorised};
use super::roles::{METHODS, METRICS, Method, Rule};
use super::server::routes;
use crate::access::{Role, Secret};
use crate::service::Coordinator;
use crate::stopping::Stopper;

/// All methods of a coordinator.
pub(crate) struct Exchange {
    service: Authorised<Routes>,
    _stopper: Stopper,
}

impl Exchange {
    pub(crate) async fn new(coordinator: &Coordinator) -> Self {
        let (stopper, stopping) = Stopper::new();
        let (routes, _) = routes(coordinator, &stopping).await.expect("the services can be described");
        Self { service: Authorisation::new(coordinator.clone()).layer(routes), _stopper: stopper }
    }

    /// The paths of all methods.
    pub(crate) fn paths() -> Vec<&'static str> {
        METHODS.iter().map(|method| method.path).filter(|path| *path != METRICS).collect()
    }

    /// The role of a token for a method.
    pub(crate) fn role(path: &str) -> Role {
        let method = METHODS.iter().find(|method| method.path == path);
        match method.map(|Method { rule, .. }| *rule) {
            Some(Rule::Roles(roles)) if roles == [Role::Worker] => Role::Worker,
            _ => Role::Admin,
        }
    }

    /// Sends one message, and returns what the call came to, which is OK as soon as a stream begins that has no end.
    pub(crate) async fn call(&self, path: &str, token: &Secret, message: &[u8]) -> Status {
        let length = u32::try_from(message.len()).expect("a message is of some length");
        let frame = [&[0], &length.to_be_bytes()[..], message].concat();
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", token.reveal()))
            .body(Body::new(Full::from(frame)))
            .expect("the parts of a request are good ones");
        let answer = self.service.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if let Some(status) = Status::from_header_map(answer.headers()) {
            return status;
        }
        let endless = path.contains("/Watch");
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) if endless && frame.is_data() => break,
                Ok(frame) => {
                    if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                        return status;
                    }
                }
                Err(status) => return status,
            }
        }
        Status::new(Code::Ok, "")
    }
}
