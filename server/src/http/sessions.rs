//! Sessions: make, list, look at, end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use session::access::TicketScope;
use session::reason::StoppedBy;
use session::tokens::Scope;

use super::auth::{self, Creator};
use super::path::Path;
use super::{Problem, Shared};
use crate::node::Node;
use crate::quic::Offer;
use crate::registry::{Entry, Handle};
use crate::wire;

/// Asks for a session. It starts at once; connect to its `whep_url` within the time that the node is
/// configured to wait. On a rented node this needs a bearer of an order (`/api/v1/lease/bearers`,
/// `/api/v1/lease/tickets/redeem`).
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions",
    request_body = wire::NewSession,
    responses(
        (status = 201, body = wire::Session, headers(("Location" = String))),
        (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem),
        (status = 413, body = wire::Problem), (status = 415, body = wire::Problem),
        (status = 503, body = wire::Problem, headers(("Retry-After" = u32))),
    )
)]
pub(super) async fn create(
    State(node): Shared,
    creator: Creator,
    headers: HeaderMap,
    body: Result<Json<wire::NewSession>, JsonRejection>,
) -> Result<Response, Problem> {
    let wish = json(body)?;
    let (entry, keys, is_guest) = match creator {
        Creator::Operator => {
            let mut wished = node.wished(wish)?;
            let begins = super::saves::check(&wished).await?;
            wished.ask_devices().await;
            let (entry, keys) = node.create_session(wished, begins)?;
            (entry, keys, false)
        }
        Creator::Tenant(claim) => {
            let (entry, keys) = super::lease::create(&node, wish, &claim).await?;
            (entry, keys, claim.scopes().is_some())
        }
    };
    let mut session = describe(&node, &entry, &headers);
    session.token = Some(keys.token);
    session.resume_ticket = Some(keys.resume);
    session.receipts_token = receipts_token(&node, &entry)?;
    // The fragment never travels: it stays out of logs and referrers.
    let base = origin(&node, &headers);
    // A guest hands on nothing.
    if !is_guest {
        session.play_url = Some(format!("{base}/#session={}&ticket={}", entry.id, keys.ticket));
    }
    session.webtransport = address_by(&node, &entry, &headers, session.token.as_deref())?;
    let location = HeaderValue::from_str(&session.url).map_err(|_| Problem::INTERNAL)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(session)).into_response())
}

/// Redeems the ticket of a `play_url`, or a `resume_ticket`, for a bearer token of the session. A ticket works once;
/// a `resume_ticket` takes the place of the token that it came with.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/redeem", tag = "sessions", params(("id" = String, Path)),
    request_body = wire::Ticket,
    responses(
        (status = 200, body = wire::Session),
        (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 413, body = wire::Problem),
        (status = 415, body = wire::Problem), (status = 503, body = wire::Problem),
    )
)]
pub(super) async fn redeem(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<wire::Ticket>, JsonRejection>,
) -> Result<Json<wire::Session>, Problem> {
    let entry = find(&node, &id)?;
    let ticket = json(body)?.ticket;
    if entry.handle.is_over() {
        return Err(ended(&entry.handle));
    }
    let (token, resume) = node.redeem(&entry.id, &ticket)?;
    let mut session = describe(&node, &entry, &headers);
    session.token = Some(token);
    session.resume_ticket = Some(resume);
    session.receipts_token = receipts_token(&node, &entry)?;
    session.webtransport = address_by(&node, &entry, &headers, session.token.as_deref())?;
    Ok(Json(session))
}

/// A fresh address to connect to by WebTransport, for a client that has used the one before or waited too
/// long. A session has the newest four.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/webtransport", tag = "sessions", params(("id" = String, Path)),
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
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Play)?;
    let address = address(&node, &entry, &headers)?;
    address.map(Json).ok_or_else(|| Problem::NOT_FOUND.because("this node offers no WebTransport"))
}

/// All sessions that have not ended, oldest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions",
    responses((status = 200, body = Vec<wire::Session>), (status = 401, body = wire::Problem))
)]
pub(super) async fn list(
    State(node): Shared,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Session>>, Problem> {
    // Open mode lets anybody play, not anybody see (and end) who else does.
    if !auth::is_operator(&node, &headers) {
        return Err(Problem::UNAUTHORIZED);
    }
    Ok(Json(node.registry.live().iter().map(|entry| describe(&node, entry, &headers)).collect()))
}

/// One session.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
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
    let entry = find(&node, &id)?;
    let may_play = auth::may_use(&node, &entry, &headers, TicketScope::Play).is_ok();
    if !may_play {
        auth::may_use(&node, &entry, &headers, TicketScope::View)?;
    }
    let mut session = describe(&node, &entry, &headers);
    // By an address somebody plays.
    if may_play {
        session.webtransport = address(&node, &entry, &headers)?;
    }
    Ok(Json(session))
}

/// Ends a session; it has ended, and everything is freed, when the answer comes.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses(
        (status = 204), (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn end(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Stop)?;
    let by =
        if auth::is_operator(&node, &headers) { StoppedBy::Operator } else { StoppedBy::Client };
    entry.handle.stop(by).await.map_err(|_| ended(&entry.handle))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session of this id, live or lately ended.
pub(super) fn find(node: &Node, id: &str) -> Result<Arc<Entry>, Problem> {
    node.registry.find(id).ok_or(Problem::UNKNOWN_SESSION)
}

/// Says why a session, or a viewer's part in it, is over.
pub(super) fn ended(handle: &Handle) -> Problem {
    match handle.status().over {
        Some(over) => Problem::ENDED_SESSION.because(over.reason).code(over.code),
        None => Problem::ENDED_SESSION,
    }
}

/// The body, or a problem that says what is wrong with it.
pub(super) fn json<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::MEDIA_TYPE.because("send application/json"),
        _ => Problem::BAD_REQUEST.because(rejection.body_text()),
    })
}

pub(super) fn describe(node: &Node, entry: &Entry, headers: &HeaderMap) -> wire::Session {
    let seat = Seat {
        kind: "sessions",
        id: entry.id.as_str(),
        handle: &entry.handle,
        role: wire::Role::Player,
    };
    let saves = entry.keep.as_ref().and_then(|keep| keep.told());
    let sharing = entry.share.as_ref().map(|share| share.told());
    let attempts = entry.told.attempts.get().map_or_else(Vec::new, |attempts| {
        let made = attempts.made().map(|(what, count)| wire::Attempts { what: what.into(), count });
        made.collect()
    });
    wire::Session { attempts, saves, sharing, ..seat.describe(node, entry, headers) }
}

/// A place in a session: the player's, or a viewer's.
pub(super) struct Seat<'a> {
    /// What its address is below.
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) handle: &'a Handle,
    pub(super) role: wire::Role,
}

impl Seat<'_> {
    /// The session as it is seen from here, without what opens anything.
    pub(super) fn describe(
        self,
        node: &Node,
        session: &Entry,
        headers: &HeaderMap,
    ) -> wire::Session {
        let Self { kind, id, handle, role } = self;
        let status = handle.status();
        let (source, encoder) = session.audience.counts();
        let size = session.audience.stream().borrow().size;
        let url = format!("{}/api/v1/{kind}/{id}", origin(node, headers));
        wire::Session {
            id: id.to_owned(),
            app: session.app.clone(),
            state: status.state,
            starting: status.starting,
            start: session.told.kind.get().copied(),
            reason: status.over.map(|over| over.reason),
            video: wire::Video { width: size.width, height: size.height, ..session.video.clone() },
            whep_url: format!("{url}/whep"),
            socket_url: node.config.websocket.enabled.then(|| format!("{url}/socket")),
            url,
            webtransport: None,
            token: None,
            play_url: None,
            resume_ticket: None,
            receipts_token: None,
            ice_servers: node.ice_servers(id),
            transport: status.transport,
            role,
            viewers: session.audience.present(),
            frames: wire::FrameCounts::of(&source, &encoder),
            attempts: Vec::new(),
            saves: None,
            sharing: None,
        }
    }
}

/// What reads the receipts of a session, where the node is rented.
pub(super) fn receipts_token(node: &Node, entry: &Entry) -> Result<Option<String>, Problem> {
    Ok(node.rented()?.map(|rented| rented.receipts_token(&entry.id)))
}

/// Where a client that reached us like this has the session by WebTransport, if the node offers that.
pub(super) fn address(
    node: &Node,
    entry: &Entry,
    headers: &HeaderMap,
) -> Result<Option<wire::WebTransport>, Problem> {
    let Some(offer) = node.webtransport() else { return Ok(None) };
    let ticket = node.issue_address(&entry.id)?;
    Ok(Some(address_with(node, offer, entry.id.as_str(), &ticket, headers)))
}

/// The same for whoever has this token, if it is one to play with.
fn address_by(
    node: &Node,
    entry: &Entry,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<Option<wire::WebTransport>, Problem> {
    let needed = Scope::Part(entry.id.clone(), TicketScope::Play);
    let may_play = token.is_some_and(|token| node.check_token(token, &needed).is_ok());
    if may_play { address(node, entry, headers) } else { Ok(None) }
}

/// The address of whoever has this id, with a ticket.
pub(super) fn address_with(
    node: &Node,
    offer: &Offer,
    id: &str,
    ticket: &str,
    headers: &HeaderMap,
) -> wire::WebTransport {
    let listen = node.config.server.listen.ip();
    let url = offer.url(&origin(node, headers), listen, id, ticket);
    let hashes = offer.hashes();
    let certificate_hashes = hashes.iter().map(|hash| BASE64_STANDARD.encode(hash)).collect();
    wire::WebTransport { url, certificate_hashes }
}

/// The origin that the client reached us by, for absolute addresses in answers.
pub(super) fn origin(node: &Node, headers: &HeaderMap) -> String {
    let configured = node.config.server.public_url.trim_end_matches('/');
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let scheme = if node.config.secure() { "https" } else { "http" };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        // The host goes into addresses that a client follows: nothing but a host and a port may.
        .filter(|host| {
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
        })
        .map_or_else(|| node.config.server.listen.to_string(), ToOwned::to_owned);
    format!("{scheme}://{host}")
}
