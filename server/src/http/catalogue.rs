//! What can be played, and on what.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::path::Path;
use super::sessions::origin;
use super::{Problem, Shared};
use crate::wire;

/// What can be played.
#[utoipa::path(
    get, path = "/api/v1/catalogue", tag = "catalogue",
    responses((status = 200, body = wire::Catalogue))
)]
pub(super) async fn catalogue(State(node): Shared, headers: HeaderMap) -> Json<wire::Catalogue> {
    let base = origin(&node, &headers);
    Json(wire::Catalogue { entries: node.catalogue.describe(&base) })
}

/// A still picture of one entry.
#[utoipa::path(
    get, path = "/api/v1/catalogue/{app}/poster", tag = "catalogue", params(("app" = String, Path)),
    responses(
        (status = 200, content_type = "image/jpeg", body = [u8]),
        (status = 404, body = wire::Problem),
    )
)]
pub(super) async fn poster(
    State(node): Shared,
    Path(app): Path<String>,
) -> Result<Response, Problem> {
    let entry = node.catalogue.find(&app).ok_or(Problem::UNKNOWN_APP)?;
    let poster = entry.poster().await.ok_or(Problem::NOT_FOUND)?;
    Ok((
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
            (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
        ],
        poster,
    )
        .into_response())
}

/// What the node is and can do.
#[utoipa::path(
    get, path = "/api/v1/node", tag = "catalogue", responses((status = 200, body = wire::Node))
)]
pub(super) async fn node(State(node): Shared) -> Json<wire::Node> {
    Json(node.describe())
}
