//! The door: every call passes here, and is let in by the table of [`roles`](super::roles) or refused.
//!
//! Where no tokens are asked for (loopback, and none was ever made) everybody is let in. A handler learns from
//! [`caller`] on whose behalf it acts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::roles::{self, METRICS, Rule};
use crate::access::{Caller, Denied};
use crate::service::{Coordinator, Refusal};

/// Makes a service one that asks at the door.
#[derive(Clone)]
pub(super) struct Authorisation {
    coordinator: Arc<Coordinator>,
}

/// A service that asks at the door.
#[derive(Clone)]
pub(super) struct Authorised<S> {
    inner: S,
    coordinator: Arc<Coordinator>,
}

impl Authorisation {
    pub(super) fn new(coordinator: Coordinator) -> Self {
        Self { coordinator: Arc::new(coordinator) }
    }
}

impl<S> Layer<S> for Authorisation {
    type Service = Authorised<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorised { inner, coordinator: Arc::clone(&self.coordinator) }
    }
}

impl<S> Service<http::Request<Body>> for Authorised<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let coordinator = Arc::clone(&self.coordinator);
        // The one that is ready is called; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let path = request.uri().path();
            let sent = request.headers().get(AUTHORIZATION).map(token);
            match admit(&coordinator, path, sent).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(refusal) => {
                    // Whoever stands by refuses all the time.
                    match &refusal {
                        Refusal::Unavailable(reason) => tracing::debug!(path, reason, "a call was refused at the door"),
                        denied => tracing::info!(path, reason = %denied, "a call was refused at the door"),
                    }
                    Ok(answer(path, refusal))
                }
            }
        })
    }
}

/// On whose behalf a handler acts. Nobody passes by the door: a request without a caller is a defect.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::internal("the call came past the door; this is a defect of phasegrid"))
}

/// Refuses a call whose token was revoked, or has expired, since it came to the door: a body may come long after its headers.
pub(super) fn still_may<T>(coordinator: &Coordinator, request: &tonic::Request<T>) -> Result<(), Status> {
    Ok(coordinator.check_again(&caller(request)?).map_err(Refusal::from)?)
}

/// Who calls, if they may.
async fn admit(coordinator: &Coordinator, path: &str, sent: Option<&str>) -> Result<Caller, Refusal> {
    let method = roles::find(path);
    if method.is_some_and(|method| method.rule == Rule::Open) {
        return Ok(Caller::Anyone);
    }
    coordinator.check_serving()?;
    if !coordinator.requires_tokens() {
        return Ok(Caller::Anyone);
    }
    let method = method.ok_or_else(|| Denied::NoRole(path.to_owned()))?;
    let caller = coordinator.identify(sent)?;
    if let Caller::Holder(_, role) = caller {
        method.check(role)?;
    }
    coordinator.take_use(&caller).await?;
    Ok(caller)
}

/// The token in "Bearer TOKEN"; what is no such header is no token either.
fn token(header: &HeaderValue) -> &str {
    let text = header.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// A refusal, in the language of who asked.
fn answer(path: &str, refusal: Refusal) -> http::Response<Body> {
    let status = Status::from(refusal);
    if path != METRICS {
        return status.into_http();
    }
    let mut response = http::Response::new(Body::new(status.message().to_owned() + "\n"));
    *response.status_mut() = match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
