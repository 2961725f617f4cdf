//! Who may do what: the operator's tokens, a session's own token, and pages of other sites.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use session::access::{AccessError, TicketScope};
use session::tokens::{Scope, TokenDigest, TokenError};

use super::Problem;
use crate::node::Node;
use crate::rented::Claim;
use crate::tcp::Peer;
use crate::tls;

/// Who may create sessions: on a rented node a bearer of an order, else an [`Operator`].
pub(super) enum Creator {
    Operator,
    Tenant(Claim),
}

impl FromRequestParts<Arc<Node>> for Creator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        match node.rented()? {
            None => Operator::from_request_parts(parts, node).await.map(|_| Self::Operator),
            Some(rented) => {
                let token = bearer(&parts.headers).ok_or(Problem::RENTED)?;
                rented.claim(token).map(Self::Tenant)
            }
        }
    }
}

/// A caller that may list sessions, and create them unless the node is rented: anybody in open mode, else a bearer of an
/// operator's token.
pub(super) struct Operator;

impl FromRequestParts<Arc<Node>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        if node.config.access.open {
            return Ok(Self);
        }
        // Who sent a token is told what is wrong with it.
        let token = bearer(&parts.headers).ok_or(Problem::UNAUTHORIZED)?;
        let checked = node.check_token(token, &Scope::Operator);
        checked.map_err(|why| Problem::UNAUTHORIZED.because(why.to_string()))?;
        Ok(Self)
    }
}

/// Whether the request carries an operator's token.
pub(super) fn is_operator(node: &Node, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|token| node.check_token(token, &Scope::Operator).is_ok())
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A connection is of whoever's token it has shown last. An operator's, and the WebSocket of a session or viewer, whose address has
/// a ticket, give way to no newer ones.
pub(super) async fn tell_known_ones(
    State(node): State<Arc<Node>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Arc<Peer>>();
    let Some(peer) = peer.filter(|peer| !peer.is_to_stay()).cloned() else {
        return next.run(request).await;
    };
    // At once: what is asked for may take its time.
    if let Some(token) = bearer(request.headers()).filter(|token| node.knows(token)) {
        if is_operator(&node, request.headers()) {
            peer.stays();
        } else {
            peer.shows(TokenDigest::of(token));
        }
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        peer.stays();
    }
    response
}

/// Refuses state changes that a page of another site asks for, unless it is allowed by name: in open
/// mode there is no token that such a page would lack.
pub(super) async fn refuse_foreign_origins(
    State(node): State<Arc<Node>>,
    request: Request,
    next: Next,
) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !is_own_origin(&node, origin, request.headers())
            && !node.config.server.allowed_origins.iter().any(|allowed| allowed == origin)
        {
            return Problem::FOREIGN_ORIGIN.because(format!("origin {origin:?}")).into_response();
        }
    }
    next.run(request).await
}

/// Whether a page of this origin came from this node.
fn is_own_origin(node: &Node, origin: &str, headers: &HeaderMap) -> bool {
    if !node.config.server.public_url.is_empty()
        && origin == node.config.server.public_url.trim_end_matches('/')
    {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    // In open mode a name of somebody else's that leads here (DNS rebinding) would do: its pages send it as Host too.
    host.is_some() && host == authority && (!node.config.access.open || is_own_name(origin))
}

/// Whether a page of this origin may connect by another port of this node, which it reached as `authority`.
///
/// Scheme and port are not compared: what is served on another port of this machine may still be ours. The
/// client's ticket is what lets it in.
pub(crate) fn is_allowed_origin(node: &Node, origin: &str, authority: &str) -> bool {
    let server = &node.config.server;
    if !server.public_url.is_empty() && origin == server.public_url.trim_end_matches('/')
        || server.allowed_origins.iter().any(|allowed| allowed == origin)
    {
        return true;
    }
    let Some(page) = tls::host_of(origin) else { return false };
    let authority = format!("https://{authority}");
    // Answers name an address in place of localhost.
    let is_local =
        |host: &str| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let same = tls::host_of(&authority)
        .is_some_and(|host| host.eq_ignore_ascii_case(page) || is_local(host) && is_local(page));
    same && (!node.config.access.open || is_own_name(origin))
}

/// Whether an origin names this machine in a way that nobody else can have given it.
fn is_own_name(origin: &str) -> bool {
    let Some(host) = tls::host_of(origin) else { return false };
    host.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host.ends_with(".localhost")
        || tls::hostname().is_some_and(|own| {
            let host = host.strip_suffix(".local").unwrap_or(host);
            host.eq_ignore_ascii_case(&own)
        })
}

/// Proof that the request may do one sort of things with a session: the session's own token, an operator's, or open mode
/// and an id that cannot be guessed. On a rented node operators look at sessions and end them, and nothing else.
pub(super) fn may_use(
    node: &Node,
    session: &crate::registry::Entry,
    headers: &HeaderMap,
    what: TicketScope,
) -> Result<(), Problem> {
    let is_rented = node.config.chain.enabled;
    if is_rented
        && !matches!(what, TicketScope::View | TicketScope::Stop)
        && is_operator(node, headers)
    {
        return Err(Problem::from(AccessError::RenterOnly));
    }
    check(node, session, headers, &Scope::Part(session.id.clone(), what))
}

/// Proof that the request comes from whose session it is, who alone lets others in.
pub(super) fn owns(
    node: &Node,
    session: &crate::registry::Entry,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if node.config.chain.enabled && is_operator(node, headers) {
        return Err(Problem::from(AccessError::RenterOnly));
    }
    check(node, session, headers, &Scope::Session(session.id.clone()))
}

fn check(
    node: &Node,
    session: &crate::registry::Entry,
    headers: &HeaderMap,
    needed: &Scope,
) -> Result<(), Problem> {
    if session.handle.is_over() {
        // Its tokens are forgotten; that it is over is all that anybody learns.
        return Err(super::sessions::ended(&session.handle));
    }
    match bearer(headers) {
        // A wrong token is wrong in open mode too.
        Some(token) => node.check_token(token, needed).map_err(|why| {
            let is_guest = |scope: TicketScope| {
                node.check_token(token, &Scope::Part(session.id.clone(), scope)).is_ok()
            };
            match (why, needed) {
                (TokenError::WrongScope, Scope::Session(_))
                    if TicketScope::ALL.into_iter().any(is_guest) =>
                {
                    Problem::from(AccessError::RenterOnly)
                }
                (TokenError::WrongScope, _) if TicketScope::ALL.into_iter().any(is_guest) => {
                    Problem::from(AccessError::OutOfScope)
                }
                _ => Problem::UNAUTHORIZED.because(why.to_string()),
            }
        }),
        None if node.config.access.open => Ok(()),
        None => Err(Problem::UNAUTHORIZED),
    }
}

/// Proof that the request comes from a viewer: its token, or an operator's. Also in open mode: nothing of a
/// session follows from watching it.
pub(super) fn may_view(
    node: &Node,
    viewer: &crate::registry::ViewerEntry,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if viewer.handle.is_over() {
        return Err(super::sessions::ended(&viewer.handle));
    }
    let token = bearer(headers).ok_or(Problem::UNAUTHORIZED)?;
    let checked = node.check_token(token, &Scope::Viewer(viewer.id.clone()));
    checked.map_err(|why| Problem::UNAUTHORIZED.because(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_else_can_give_are_our_own() {
        for own in [
            "http://127.0.0.1:8080",
            "https://[::1]:8443",
            "http://192.168.1.5",
            "http://localhost:8080",
        ] {
            assert!(is_own_name(own), "{own}");
        }
        for foreign in [
            "http://evil.test:8080",
            "http://localhost.evil.test",
            "null",
            "",
            "http://127.0.0.1.evil.test",
        ] {
            assert!(!is_own_name(foreign), "{foreign}");
        }
        let hostname = tls::hostname().unwrap();
        assert!(is_own_name(&format!("http://{hostname}:8080")));
        assert!(is_own_name(&format!("http://{}.local", hostname.to_uppercase())));
    }
}
