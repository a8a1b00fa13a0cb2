//! Counts calls by method and code, refused ones too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body_util::BodyExt as _;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::roles::{self, METRICS};
use crate::service::Coordinator;

/// Paths that nothing answers share a name, so that strangers cannot make up metrics.
const OTHER: &str = "other";

/// Makes a service one whose calls are counted.
#[derive(Clone)]
pub(super) struct Metering {
    coordinator: Arc<Coordinator>,
}

/// A service whose calls are counted.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    coordinator: Arc<Coordinator>,
}

impl Metering {
    pub(super) fn new(coordinator: Coordinator) -> Self {
        Self { coordinator: Arc::new(coordinator) }
    }
}

impl<S> Layer<S> for Metering {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, coordinator: Arc::clone(&self.coordinator) }
    }
}

impl<S> Service<http::Request<Body>> for Counted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = roles::find(request.uri().path()).map_or(OTHER, |method| method.path);
        let coordinator = Arc::clone(&self.coordinator);
        let called = self.inner.call(request);
        Box::pin(async move {
            let response = called.await?;
            // A refusal says so at once; whatever has an answer says how it ended behind that, unless its client has left.
            match code(response.headers()) {
                None if method == METRICS => Ok(response),
                None => Ok(response.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        if let Some(code) = frame.trailers_ref().and_then(code) {
                            coordinator.metrics().on_request(method, code);
                        }
                        frame
                    }))
                })),
                Some(code) => {
                    coordinator.metrics().on_request(method, code);
                    Ok(response)
                }
            }
        })
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}
