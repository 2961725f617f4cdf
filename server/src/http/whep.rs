//! Signalling: WebRTC-HTTP egress (draft-ietf-wish-whep), with trickle ICE as in RFC 9725 §4.3.
//!
//! The viewer offers, the node answers. One connection a session: that of a new offer takes the place of the
//! old one once it is connected, which is how a client resumes.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use session::access::TicketScope;
use session::reason::StoppedBy;

use super::path::Path;
use super::sessions::{ended, find, origin};
use super::{Problem, Shared, auth};
use crate::node::Node;
use crate::registry::{ConnectError, Handle, TrickleError};
use crate::wire;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// The header that says which race an offer takes part in.
pub(super) const RACE: &str = "nearlight-race";

/// Takes an SDP offer and answers it. A client that tries several transports at once says with all of them that they are of
/// one race: the first that is connected stays, and what comes after it is refused with 409.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/whep", tag = "whep", params(("id" = String, Path),
        ("nearlight-race" = Option<u32>, Header, description = "The race, as in `race` of the other transports' addresses.")),
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
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Play)?;
    answer(&node, &entry.handle, &format!("sessions/{id}"), &id, &headers, body).await
}

/// Answers the offer of whoever the handle leads to; `path` is below the API's, `client` the id that TURN
/// credentials are made of.
pub(super) async fn answer(
    node: &Node,
    handle: &Handle,
    path: &str,
    client: &str,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let offer = text(headers, SDP, body)?;
    let answer = handle.connect(offer, race(headers)?).await.map_err(|error| match error {
        ConnectError::Ended => ended(handle),
        ConnectError::Busy => {
            Problem::CONFLICT.because("another offer is being answered").retry_after(1)
        }
        ConnectError::Outrun => Problem::CONFLICT.because(error.to_string()),
        ConnectError::Malformed(why) => Problem::BAD_OFFER.because(why),
        ConnectError::Unusable(why) => Problem::UNUSABLE_OFFER.because(why),
        ConnectError::Failed(why) => Problem::INTERNAL.because(why),
    })?;
    let location = format!("{}/api/v1/{path}/whep/{}", origin(node, headers), answer.connection);
    let mut response = (StatusCode::CREATED, answer.sdp).into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    out.insert(header::LOCATION, HeaderValue::from_str(&location).map_err(|_| Problem::INTERNAL)?);
    out.insert(
        header::ETAG,
        HeaderValue::from_str(&format!("\"{}\"", answer.connection))
            .map_err(|_| Problem::INTERNAL)?,
    );
    out.insert(HeaderName::from_static("accept-patch"), HeaderValue::from_static(FRAGMENT));
    for server in node.ice_servers(client) {
        for link in links(&server) {
            out.append(header::LINK, link);
        }
    }
    Ok(response)
}

/// Says what signalling addresses take (draft-ietf-wish-whep §4.2): CORS answers every OPTIONS itself, so no route
/// ever sees one.
pub(super) async fn say_what_is_taken(request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS && request.uri().path().ends_with("/whep");
    let mut response = next.run(request).await;
    if asked {
        let name = HeaderName::from_static("accept-post");
        response.headers_mut().insert(name, HeaderValue::from_static(SDP));
    }
    response
}

/// Adds candidates of the client (RFC 8840).
#[utoipa::path(
    patch, path = "/api/v1/sessions/{id}/whep/{connection}", tag = "whep",
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
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<StatusCode, Problem> {
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Play)?;
    add(&entry.handle, connection, &headers, body).await
}

/// Adds candidates of whoever the handle leads to.
pub(super) async fn add(
    handle: &Handle,
    connection: String,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<StatusCode, Problem> {
    let fragment = text(headers, FRAGMENT, body)?;
    if let Some(tag) = headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok())
        && tag != "*"
        && tag.trim_matches('"') != connection
    {
        return Err(Problem::PRECONDITION);
    }
    handle.trickle(connection, fragment).await.map_err(|error| match error {
        TrickleError::Ended => ended(handle),
        TrickleError::OtherConnection => Problem::PRECONDITION,
        TrickleError::Malformed(why) => Problem::BAD_REQUEST.because(why),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the connection and, since a plain WHEP player knows no other address, the session with it.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/whep/{connection}", tag = "whep",
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
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Stop)?;
    hang_up(&entry.handle, &connection).await
}

/// Ends what the handle leads to, if this is its connection.
pub(super) async fn hang_up(handle: &Handle, connection: &str) -> Result<StatusCode, Problem> {
    if handle.status().connection.as_deref() != Some(connection) {
        // An old page must not end the session that a new one took over.
        return Err(Problem::PRECONDITION);
    }
    handle.stop(StoppedBy::Client).await.map_err(|_| ended(handle))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The race that an offer takes part in.
fn race(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(value) = headers.get(RACE) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Problem::BAD_REQUEST.because(format!("{RACE} is a number of 32 bits"));
    number.map(Some).ok_or_else(wrong)
}

fn text(
    headers: &HeaderMap,
    kind: &str,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<String, Problem> {
    let sent =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = sent.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case(kind) {
        return Err(Problem::MEDIA_TYPE.because(format!("send {kind}")));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::TOO_LARGE.because(format!("the most is {} bytes", super::BODY_LIMIT))
        }
        _ => Problem::BAD_REQUEST.because(rejection.body_text()),
    })?;
    String::from_utf8(body.to_vec())
        .map_err(|_| Problem::BAD_REQUEST.because("the body is not UTF-8"))
}

/// `Link` headers for one ICE server (RFC 9725 §4.6).
fn links(server: &wire::IceServer) -> Vec<HeaderValue> {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    server
        .urls
        .iter()
        .filter_map(|url| {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(name), Some(secret)) = (&server.username, &server.credential) {
                link += &format!(
                    "; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    quote(name),
                    quote(secret)
                );
            }
            HeaderValue::from_str(&link).ok()
        })
        .collect()
}
