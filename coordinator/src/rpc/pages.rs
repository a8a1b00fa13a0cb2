//! What is answered to plain HTTP on the same port: the page of metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use super::roles::METRICS;
use crate::metrics;
use crate::service::Coordinator;

/// The pages, beside what is there already.
pub(super) fn with_pages(router: axum::Router, coordinator: Coordinator) -> axum::Router {
    router.merge(axum::Router::new().route(METRICS, get(page)).with_state(Arc::new(coordinator)))
}

async fn page(
    State(coordinator): State<Arc<Coordinator>>,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let census = coordinator.census().await;
    let census = census.map_err(|refusal| (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")))?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], coordinator.metrics().page(&census)))
}
