//! Errors as `application/problem+json` (RFC 9457). Each kind has a stable name that clients match on.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::wire;

/// An error as a client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: Option<String>,
    retry_after: Option<u32>,
    room: Option<Box<wire::Room>>,
    code: Option<&'static str>,
}

impl Problem {
    pub(crate) const fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        Self { status, kind, title, detail: None, retry_after: None, room: None, code: None }
    }
    /// There is no such address.
    pub const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing at this address");
    /// There is no such session.
    pub const UNKNOWN_SESSION: Self =
        Self::new(StatusCode::NOT_FOUND, "unknown-session", "There is no such session");
    /// The session is over.
    pub const ENDED_SESSION: Self =
        Self::new(StatusCode::GONE, "ended-session", "The session is over");
    /// The catalogue has no such entry.
    pub const UNKNOWN_APP: Self =
        Self::new(StatusCode::NOT_FOUND, "unknown-app", "The catalogue has no such entry");
    /// The body is not what this address takes.
    pub const BAD_REQUEST: Self =
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood");
    /// The offer cannot be answered.
    pub const BAD_OFFER: Self =
        Self::new(StatusCode::BAD_REQUEST, "bad-offer", "The SDP offer cannot be answered");
    /// The offer has no codec or medium that the node sends.
    pub const UNUSABLE_OFFER: Self = Self::new(
        StatusCode::NOT_ACCEPTABLE,
        "unusable-offer",
        "The SDP offer asks for what this node does not send",
    );
    /// The body has the wrong media type.
    pub const MEDIA_TYPE: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "media-type",
        "The body has the wrong media type",
    );
    /// The body is too large.
    pub const TOO_LARGE: Self =
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large");
    /// The request is no handshake of a WebSocket.
    pub const UPGRADE: Self = Self::new(
        StatusCode::UPGRADE_REQUIRED,
        "upgrade",
        "This address takes nothing but the handshake of a WebSocket",
    );
    /// The method is not for this address.
    pub const METHOD: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "This address does not take that method",
    );
    /// No token, or a wrong one.
    pub const UNAUTHORIZED: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "This needs a bearer token that is valid here",
    );
    /// On a rented node: no bearer of an order, or a wrong one.
    pub const RENTED: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "rented",
        "This machine is rented: prove that you rent it",
    );
    /// An invitation that lets nobody in: forged, expired, revoked or used up.
    pub const INVITATION: Self =
        Self::new(StatusCode::FORBIDDEN, "invitation", "The invitation does not let you in");
    /// There is no such viewer.
    pub const UNKNOWN_VIEWER: Self =
        Self::new(StatusCode::NOT_FOUND, "unknown-viewer", "There is no such viewer");
    /// The session, or the node, takes no more viewers.
    pub const NO_PLACE: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "refused", "There is no room for more viewers");
    /// The request came from a page of another site.
    pub const FOREIGN_ORIGIN: Self = Self::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "Pages of that origin may not use this node",
    );
    /// The session is not in a state for this.
    pub const CONFLICT: Self =
        Self::new(StatusCode::CONFLICT, "conflict", "The session is not in a state for this");
    /// The resource changed since the client saw it.
    pub const PRECONDITION: Self = Self::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition",
        "The connection is not the one that the request means",
    );
    /// The player has no such save.
    pub const UNKNOWN_SAVE: Self =
        Self::new(StatusCode::NOT_FOUND, "unknown-save", "There is no such save");
    /// The save is damaged.
    pub const DAMAGED_SAVE: Self =
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "damaged-save", "The save is damaged");
    /// There is no room for what was to be saved.
    pub const NO_ROOM_FOR_SAVE: Self =
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "not-saved", "There is no room for this save");
    /// The session does not share this, or not this way.
    pub const NOT_SHARED: Self =
        Self::new(StatusCode::FORBIDDEN, "not-shared", "The session does not share this");
    /// There is no room for what was brought.
    pub const NO_ROOM_FOR_FILE: Self =
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", "There is no room for this file");
    /// The node is full, or cannot play this.
    pub const REFUSED: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "refused", "The node cannot take this session");
    /// Our bug.
    pub const INTERNAL: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The node failed");

    /// The same with what happened here.
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What happened here, for the log.
    pub(crate) fn reason(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.title)
    }

    /// The same with a hint when to try again, in seconds.
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same with why a session is over, for programs.
    pub(crate) const fn code(mut self, code: Option<&'static str>) -> Self {
        self.code = code;
        self
    }

    /// The same with what there is no room in.
    pub(crate) fn room(mut self, room: Option<wire::Room>) -> Self {
        self.room = room.map(Box::new);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = wire::Problem {
            kind: format!("/problems/{}", self.kind),
            title: self.title.into(),
            status: self.status.as_u16(),
            detail: self.detail,
            retry_after: self.retry_after,
            room: self.room.map(|room| *room),
            code: self.code.map(ToOwned::to_owned),
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
