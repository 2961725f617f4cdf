//! The operator's listener: `/metrics` (OpenMetrics) and `/healthz`; `POST /games` has the folders of games looked at again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::node::{Busy, Node};

/// The operator's router.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/games", post(games))
        .with_state(node)
}

/// Looks at the folders of games again, and says what came of it. 404 where the node has none; 409 while it is done; 403 for
/// pages of browsers, which may post here from anywhere.
async fn games(State(node): State<Arc<Node>>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match tokio::task::spawn_blocking(move || node.look_at_games()).await {
        Ok(Ok(Some(looked))) => Json(looked).into_response(),
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(Busy)) => StatusCode::CONFLICT.into_response(),
        Err(error) => {
            tracing::error!(%error, "games are not looked at");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
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
