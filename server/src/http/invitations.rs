//! Invitations to a session, and those who came by them: for its owner.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};

use super::path::Path;
use super::sessions::{find, json, origin};
use super::{Problem, Shared, auth};
use crate::node::Node;
use crate::registry::ViewerEntry;
use crate::wire;

/// Makes a link by which others join the session, each with a connection of its own. A session has at most 16
/// that let somebody in.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/invitations", tag = "viewers", params(("id" = String, Path)),
    request_body = wire::NewInvitation,
    responses(
        (status = 201, body = wire::Invitation),
        (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem),
        (status = 409, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 413, body = wire::Problem), (status = 415, body = wire::Problem),
    )
)]
pub(super) async fn invite(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<wire::NewInvitation>, JsonRejection>,
) -> Result<(StatusCode, Json<wire::Invitation>), Problem> {
    let entry = find(&node, &id)?;
    auth::owns(&node, &entry, &headers)?;
    let wish = json(body)?;
    let (invitation, text) = node.invite(&entry.id, &wish)?;
    let mut made = describe(&node, &invitation, &[]);
    // The fragment never travels: it stays out of logs and referrers.
    made.url = Some(format!("{}/#join={text}", origin(&node, &headers)));
    Ok((StatusCode::CREATED, Json(made)))
}

/// The invitations of the session that let somebody in, oldest first. Their links are not told again.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/invitations", tag = "viewers", operation_id = "list_invitations", params(("id" = String, Path)),
    responses(
        (status = 200, body = Vec<wire::Invitation>), (status = 401, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn list(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Invitation>>, Problem> {
    let entry = find(&node, &id)?;
    auth::owns(&node, &entry, &headers)?;
    let viewers = node.registry.viewers_of(&entry.id);
    let all = node.invitations_of(&entry.id);
    Ok(Json(all.iter().map(|each| describe(&node, each, &viewers)).collect()))
}

/// Takes an invitation back. Those who came by it are disconnected, and told why, when the answer comes.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/invitations/{invitation}", tag = "viewers",
    params(("id" = String, Path), ("invitation" = u64, Path)),
    responses(
        (status = 204), (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn revoke(
    State(node): Shared,
    Path((id, invitation)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let entry = find(&node, &id)?;
    auth::owns(&node, &entry, &headers)?;
    let unknown = || Problem::NOT_FOUND.because("the session has no such invitation");
    let invitation = invitation.parse().map_err(|_| unknown())?;
    node.revoke_invitation(&entry.id, invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Those who joined the session and have not left, oldest first.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/viewers", tag = "viewers", params(("id" = String, Path)),
    responses(
        (status = 200, body = Vec<wire::Viewer>), (status = 401, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn viewers(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Viewer>>, Problem> {
    let entry = find(&node, &id)?;
    auth::owns(&node, &entry, &headers)?;
    let viewers = node.registry.viewers_of(&entry.id);
    Ok(Json(viewers.iter().map(|viewer| describe_viewer(viewer)).collect()))
}

fn describe(
    node: &Node,
    invitation: &session::Invitation,
    viewers: &[std::sync::Arc<ViewerEntry>],
) -> wire::Invitation {
    let came = viewers.iter().filter(|viewer| viewer.invitation == invitation.id).count();
    let left = invitation.expires.since(node.clock.now());
    let expires = (SystemTime::now() + left).duration_since(UNIX_EPOCH).unwrap_or_default();
    wire::Invitation {
        id: invitation.id,
        url: None,
        role: invitation.role.into(),
        expires_at: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        uses_left: invitation.uses_left,
        viewers: u32::try_from(came).unwrap_or(u32::MAX),
    }
}

fn describe_viewer(viewer: &ViewerEntry) -> wire::Viewer {
    let status = viewer.handle.status();
    let counts = &viewer.counts;
    wire::Viewer {
        number: viewer.who,
        role: viewer.role.into(),
        invitation: viewer.invitation,
        state: status.state,
        transport: status.transport,
        units_sent: counts.sent.load(Ordering::Relaxed),
        units_skipped: counts.skipped.load(Ordering::Relaxed),
        input_refused: counts.input_refused.load(Ordering::Acquire),
    }
}
