//! The operator's listener: `/metrics` (OpenMetrics) and `/healthz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::node::Node;

/// The operator's router.
pub fn router(node: Arc<Node>) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(health)).with_state(node)
}

async fn metrics(State(node): State<Arc<Node>>) -> Response {
    node.observe();
    match node.metrics.encode() {
        Ok(text) => (
            [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 while new sessions can start, 503 with the reason while they cannot.
async fn health(State(node): State<Arc<Node>>) -> Response {
    match node.unhealthy() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
