//! The WebSocket of a session, or of a viewer: where it is, and its handshake. What travels on it is the transport's.

use std::future::ready;

use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Axum, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures::{SinkExt as _, StreamExt as _};
use media::websocket::MESSAGE_LIMIT;
use media::webtransport::ConnectPath;
use session::tokens::Scope;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;
use transport::Decodes;
use transport::websocket::{Message, Request, Socket, SocketError};

use session::access::TicketScope;

use super::path::Path;
use super::sessions::{ended, find, origin};
use super::{Problem, Shared, auth, viewers};
use crate::caller::{Caller, Refused};
use crate::node::Node;
use crate::registry::{Asked, Handle};
use crate::wire;

/// Bytes of a client that are read at once. Its messages are small.
const READ: usize = 8 * 1024;

/// A fresh address to connect to by WebSocket. It works once, for a short time; a session has the newest four of all
/// transports.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/socket", tag = "sessions", operation_id = "socket", params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::WebSocket),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn address(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::WebSocket>, Problem> {
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Play)?;
    let ticket = issue(&node, || node.issue_address(&entry.id))?;
    Ok(Json(address_with(&node, &format!("sessions/{id}"), &ticket, &headers)))
}

/// The same for a viewer, which has the newest two.
#[utoipa::path(
    post, path = "/api/v1/viewers/{id}/socket", tag = "viewers", operation_id = "viewer_socket", params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::WebSocket),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn viewer_address(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::WebSocket>, Problem> {
    let viewer = viewers::find(&node, &id, &headers)?;
    let ticket = issue(&node, || node.issue_viewer_address(&viewer.id))?;
    Ok(Json(address_with(&node, &format!("viewers/{id}"), &ticket, &headers)))
}

/// Plays a session by WebSocket (RFC 6455), at an address with a ticket. Clients append `&decodes=` with the codecs
/// that they decode, by the names of RTP and with commas between, and `&decodes10=` with those that they decode in 10
/// bits a sample. Whoever is served by another connection is served by this one from then on, unless both say that they
/// are of one race (`&race=`, any number of 32 bits): the first of a race that is connected stays, and what comes after it
/// is refused. What travels stands in the module `media::websocket`; a close with the code 4000 says why a client is not
/// served.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/socket", tag = "sessions", operation_id = "connect_socket",
    params(("id" = String, Path), ("ticket" = String, Query), ("decodes" = Option<String>, Query), ("decodes10" = Option<String>, Query), ("race" = Option<u32>, Query)),
    responses(
        (status = 101), (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 426, body = wire::Problem), (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn connect(
    State(node): Shared,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let entry = counted(&node, find(&node, &id))?;
    let scope = Scope::Connect(entry.id.clone());
    let admitted = admit(&node, (&id, &entry.handle), &scope, query, &headers, upgrade);
    let (asked, upgrade) = counted(&node, admitted)?;
    Ok(take(upgrade, move |caller| entry.handle.take(caller, asked)))
}

/// The same for a viewer.
#[utoipa::path(
    get, path = "/api/v1/viewers/{id}/socket", tag = "viewers", operation_id = "connect_viewer_socket",
    params(("id" = String, Path), ("ticket" = String, Query), ("decodes" = Option<String>, Query), ("decodes10" = Option<String>, Query), ("race" = Option<u32>, Query)),
    responses(
        (status = 101), (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 426, body = wire::Problem), (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn connect_viewer(
    State(node): Shared,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let viewer = node.registry.find_viewer(&id).ok_or(Problem::UNKNOWN_VIEWER);
    let viewer = counted(&node, viewer)?;
    let scope = Scope::ConnectViewer(viewer.id.clone());
    let admitted = admit(&node, (&id, &viewer.handle), &scope, query, &headers, upgrade);
    let (asked, upgrade) = counted(&node, admitted)?;
    Ok(take(upgrade, move |caller| viewer.handle.take(caller, asked)))
}

/// A ticket, where there is something to use it for.
fn issue(node: &Node, ticket: impl FnOnce() -> Result<String, Problem>) -> Result<String, Problem> {
    if !node.config.websocket.enabled {
        return Err(Problem::NOT_FOUND.because("this node offers no WebSocket"));
    }
    ticket()
}

/// The address of whoever is found at this path below the API's.
fn address_with(node: &Node, path: &str, ticket: &str, headers: &HeaderMap) -> wire::WebSocket {
    let origin = origin(node, headers);
    // Those of the two schemes differ in nothing else.
    let rest = origin.strip_prefix("http").unwrap_or(&origin);
    wire::WebSocket { url: format!("ws{rest}/api/v1/{path}/socket?ticket={ticket}") }
}

/// A handshake, and the place of the socket that comes of it.
struct Upgrade {
    upgrade: WebSocketUpgrade,
    place: OwnedSemaphorePermit,
}

/// Counts what is refused.
fn counted<T>(node: &Node, admitted: Result<T, Problem>) -> Result<T, Problem> {
    admitted.inspect_err(|problem| {
        node.metrics.websocket_forbidden.inc();
        tracing::info!(why = problem.reason(), "WebSocket refused");
    })
}

/// What a client asks for that may connect. Its ticket is used then.
fn admit(
    node: &Node,
    (id, handle): (&str, &Handle),
    scope: &Scope,
    query: Option<String>,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<(Asked, Upgrade), Problem> {
    if !node.config.websocket.enabled {
        return Err(Problem::NOT_FOUND.because("this node offers no WebSocket"));
    }
    // Clients that are no browsers name none; a page cannot leave it out.
    if let Some(page) = headers.get(header::ORIGIN) {
        let page = page.to_str().unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        if !auth::is_allowed_origin(node, page, host.unwrap_or_default()) {
            return Err(Problem::FOREIGN_ORIGIN);
        }
    }
    if handle.is_over() {
        return Err(ended(handle));
    }
    let query = query.unwrap_or_default();
    let asked = ConnectPath::with_query(id, &query)
        .map_err(|_| Problem::BAD_REQUEST.because("ask with ?ticket=TICKET&decodes=CODECS"))?;
    let upgrade = upgrade.map_err(|rejection| Problem::UPGRADE.because(rejection.body_text()))?;
    // Whoever is served is not closed for those that come after: a refusal is for the newest.
    let place = handle.socket().ok_or_else(|| {
        Problem::REFUSED.because("too many WebSockets are open here").retry_after(1)
    })?;
    node.check_token(&asked.ticket, scope)
        .map_err(|why| Problem::UNAUTHORIZED.because(why.to_string()))?;
    let decodes = Decodes { eight: asked.eight, ten: asked.ten };
    Ok((Asked { decodes, race: asked.race }, Upgrade { upgrade, place }))
}

/// Shakes hands, and passes the client on to whom it may connect to.
fn take(
    Upgrade { upgrade, place }: Upgrade,
    pass_on: impl FnOnce(Caller) -> Result<(), Caller> + Send + 'static,
) -> Response {
    upgrade
        .read_buffer_size(READ)
        // Each message goes to the kernel by itself: what waits here could not be overtaken.
        .write_buffer_size(0)
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .on_upgrade(|socket| {
            let passed = pass_on(Caller::WebSocket(Request::new(adapt(socket, place))));
            async move {
                if let Err(caller) = passed {
                    tracing::info!("WebSocket refused: the session is busy or over");
                    caller.refuse(Refused::Busy, "the session is busy or over".into()).await;
                }
            }
            .in_current_span()
        })
}

/// A socket of axum's as the transport knows it. It holds its place until it is dropped.
fn adapt(socket: WebSocket, place: OwnedSemaphorePermit) -> impl Socket {
    let failed = |error: axum::Error| SocketError(error.to_string());
    socket
        .sink_map_err(failed)
        .with(|message| {
            ready(Ok::<_, SocketError>(match message {
                Message::Binary(bytes) => Axum::Binary(bytes),
                Message::Text => return ready(Err(SocketError("text is not sent".to_owned()))),
                Message::Ping(bytes) => Axum::Ping(bytes),
                Message::Pong(bytes) => Axum::Pong(bytes),
                Message::Close { code, reason } => {
                    Axum::Close(Some(CloseFrame { code, reason: reason.into() }))
                }
            }))
        })
        .map(move |message| {
            let _held = &place;
            Ok(match message.map_err(failed)? {
                Axum::Binary(bytes) => Message::Binary(bytes),
                Axum::Text(_) => Message::Text,
                Axum::Ping(bytes) => Message::Ping(bytes),
                Axum::Pong(bytes) => Message::Pong(bytes),
                Axum::Close(why) => {
                    let (code, reason) = why
                        .map_or((1_005, String::new()), |why| (why.code, why.reason.to_string()));
                    Message::Close { code, reason }
                }
            })
        })
}
