//! A viewer's own addresses: join, look, connect, leave. They say nothing of the session that is not to be
//! seen anyway, and open none of its addresses.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use session::reason::StoppedBy;

use super::path::Path;
use super::sessions::{Seat, address_with, ended, json};
use super::{Problem, Shared, auth, whep};
use crate::node::Node;
use crate::registry::ViewerEntry;
use crate::wire;

/// Joins a session by an invitation. The answer is that of a session, with addresses and a token of the
/// viewer's own; `role` says what it may do.
#[utoipa::path(
    post, path = "/api/v1/join", tag = "viewers", request_body = wire::Join,
    responses(
        (status = 201, body = wire::Session),
        (status = 400, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 413, body = wire::Problem), (status = 415, body = wire::Problem),
        (status = 503, body = wire::Problem, headers(("Retry-After" = u32))),
    )
)]
pub(super) async fn join(
    State(node): Shared,
    headers: HeaderMap,
    body: Result<Json<wire::Join>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::Session>), Problem> {
    let wish = json(body)?;
    let (viewer, token) = node.join(&wish.invitation)?;
    let mut session = describe(&node, &viewer, &headers)?;
    session.token = Some(token);
    session.webtransport = address(&node, &viewer, &headers)?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// How a viewer stands.
#[utoipa::path(
    get, path = "/api/v1/viewers/{id}", tag = "viewers", operation_id = "show_viewer", params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::Session),
        (status = 401, body = wire::Problem), (status = 404, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn show(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::Session>, Problem> {
    let viewer = find(&node, &id, &headers)?;
    let mut session = describe(&node, &viewer, &headers)?;
    session.webtransport = address(&node, &viewer, &headers)?;
    Ok(Json(session))
}

/// Leaves the session, which goes on.
#[utoipa::path(
    delete, path = "/api/v1/viewers/{id}", tag = "viewers", params(("id" = String, Path)),
    responses(
        (status = 204), (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn leave(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let viewer = find(&node, &id, &headers)?;
    viewer.handle.stop(StoppedBy::Client).await.map_err(|_| ended(&viewer.handle))?;
    Ok(StatusCode::NO_CONTENT)
}

/// A fresh address to connect to by WebTransport. A viewer has the newest two.
#[utoipa::path(
    post, path = "/api/v1/viewers/{id}/webtransport", tag = "viewers", operation_id = "viewer_webtransport", params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::WebTransport),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn webtransport(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::WebTransport>, Problem> {
    let viewer = find(&node, &id, &headers)?;
    let address = address(&node, &viewer, &headers)?;
    address.map(Json).ok_or_else(|| Problem::NOT_FOUND.because("this node offers no WebTransport"))
}

/// Takes a viewer's SDP offer and answers it with the codec that the session is coded in.
#[utoipa::path(
    post, path = "/api/v1/viewers/{id}/whep", tag = "viewers", operation_id = "viewer_offer", params(("id" = String, Path),
        ("nearlight-race" = Option<u32>, Header, description = "The race, as for a session.")),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, body = String, content_type = "application/sdp",
            headers(("Location" = String), ("ETag" = String), ("Accept-Patch" = String))),
        (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem), (status = 406, body = wire::Problem),
        (status = 409, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 413, body = wire::Problem), (status = 415, body = wire::Problem),
    )
)]
pub(super) async fn offer(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let viewer = find(&node, &id, &headers)?;
    whep::answer(&node, &viewer.handle, &format!("viewers/{id}"), &id, &headers, body).await
}

/// Adds candidates of a viewer (RFC 8840).
#[utoipa::path(
    patch, path = "/api/v1/viewers/{id}/whep/{connection}", tag = "viewers", operation_id = "viewer_trickle",
    params(("id" = String, Path), ("connection" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 204), (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 412, body = wire::Problem), (status = 413, body = wire::Problem),
        (status = 415, body = wire::Problem),
    )
)]
pub(super) async fn trickle(
    State(node): Shared,
    Path((id, connection)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let viewer = find(&node, &id, &headers)?;
    whep::add(&viewer.handle, connection, &headers, body).await
}

/// Ends the connection, and leaves the session, which goes on.
#[utoipa::path(
    delete, path = "/api/v1/viewers/{id}/whep/{connection}", tag = "viewers", operation_id = "viewer_close",
    params(("id" = String, Path), ("connection" = String, Path)),
    responses(
        (status = 204), (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem), (status = 412, body = wire::Problem),
    )
)]
pub(super) async fn close(
    State(node): Shared,
    Path((id, connection)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let viewer = find(&node, &id, &headers)?;
    whep::hang_up(&viewer.handle, &connection).await
}

/// The viewer that asks.
pub(super) fn find(
    node: &Node,
    id: &str,
    headers: &HeaderMap,
) -> Result<Arc<ViewerEntry>, Problem> {
    let viewer = node.registry.find_viewer(id).ok_or(Problem::UNKNOWN_VIEWER)?;
    auth::may_view(node, &viewer, headers)?;
    Ok(viewer)
}

pub(super) fn describe(
    node: &Node,
    viewer: &ViewerEntry,
    headers: &HeaderMap,
) -> Result<wire::Session, Problem> {
    let session =
        node.registry.find(viewer.session.as_str()).ok_or_else(|| ended(&viewer.handle))?;
    let seat = Seat {
        kind: "viewers",
        id: viewer.id.as_str(),
        handle: &viewer.handle,
        role: viewer.role.into(),
    };
    Ok(seat.describe(node, &session, headers))
}

pub(super) fn address(
    node: &Node,
    viewer: &ViewerEntry,
    headers: &HeaderMap,
) -> Result<Option<wire::WebTransport>, Problem> {
    let Some(offer) = node.webtransport() else { return Ok(None) };
    let ticket = node.issue_viewer_address(&viewer.id)?;
    Ok(Some(address_with(node, offer, viewer.id.as_str(), &ticket, headers)))
}
