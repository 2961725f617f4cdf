//! What can be played, and on what.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use serde::Deserialize;

use super::path::Path;
use super::sessions::origin;
use super::{Problem, Shared};
use crate::wire;

/// What can be played.
#[utoipa::path(
    get, path = "/api/v1/catalogue", tag = "catalogue",
    params(("q" = Option<String>, Query, description = "Words that all stand in an entry's title, genre or summary.")),
    responses((status = 200, body = wire::Catalogue), (status = 400, body = wire::Problem))
)]
pub(super) async fn catalogue(
    State(node): Shared,
    search: Result<Query<Search>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<wire::Catalogue>, Problem> {
    let Query(Search { q }) =
        search.map_err(|rejection| Problem::BAD_REQUEST.because(rejection.body_text()))?;
    if q.len() > LONGEST_SEARCH {
        return Err(Problem::BAD_REQUEST.because(format!("q has more than {LONGEST_SEARCH} bytes")));
    }
    let base = origin(&node, &headers);
    Ok(Json(wire::Catalogue { entries: node.catalogue.describe(&base, &q) }))
}

/// Bytes of a search.
const LONGEST_SEARCH: usize = 200;

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// A still picture of one entry.
#[utoipa::path(
    get, path = "/api/v1/catalogue/{app}/poster", tag = "catalogue", params(("app" = String, Path)),
    responses(
        (status = 200, content_type = "image/jpeg", body = [u8]), (status = 304),
        (status = 404, body = wire::Problem),
    )
)]
pub(super) async fn poster(
    State(node): Shared,
    Path(app): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entry = node.catalogue.find(&app).ok_or(Problem::UNKNOWN_APP)?;
    let poster = entry.poster().await.ok_or(Problem::NOT_FOUND)?;
    let same = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|seen| seen.as_bytes() == poster.tag.as_bytes());
    let tag = HeaderValue::from_str(&poster.tag).map_err(|_| Problem::INTERNAL)?;
    let kept =
        [(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")), (header::ETAG, tag)];
    if same {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(poster.media_type))];
    Ok((kept, kind, poster.bytes).into_response())
}

/// What the node is and can do.
#[utoipa::path(
    get, path = "/api/v1/node", tag = "catalogue", responses((status = 200, body = wire::Node))
)]
pub(super) async fn node(State(node): Shared) -> Json<wire::Node> {
    Json(node.describe())
}
