//! The clipboard of a session's game: what is copied there, and what is pasted; and what went between game and player.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host::display::clipboard::{Clip, ClipError, ClipKind};

use session::access::TicketScope;

use super::path::Path;
use super::sessions::find;
use super::{Problem, Shared, auth, blocking, carry};
use crate::node::Node;
use crate::sharing::{NotShared, Share, Way, What};
use crate::wire;

const TEXT: &str = "text/plain;charset=utf-8";
const IMAGE: &str = "image/png";
/// Bytes of a clip that are sent at a time.
const CHUNK: usize = 64 * 1024;
/// How long all of a clip may take to come.
const COMES: Duration = Duration::from_secs(120);

/// What was copied last in the session's game: text where there is any, else an image. The game is asked for it now. Of
/// the player only. The control channel says `clipboard` when something new is there.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/clipboard", tag = "sharing", operation_id = "read_clipboard",
    params(("id" = String, Path)),
    responses(
        (status = 200, content((String = "text/plain"), ([u8] = "image/png"))),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 413, body = wire::Problem),
    )
)]
pub(super) async fn read(
    State(node): Shared,
    Path(id): Path<String>,
    line: carry::Line,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let share = share(&node, &id, &headers)?;
    let (clipboard, over) = share.clipboard(Way::FromGame)?;
    // Until the last of it is sent: each lies in memory.
    let one = share.reading.clone().try_lock_owned();
    let one = one.map_err(|_| Problem::from(ClipError::Busy))?;
    let clip = blocking(move || Ok(clipboard.take()?)).await?;
    let bytes = clip.bytes().clone();
    share.went(What::Clip(clip.kind()), Way::FromGame, bytes.len() as u64, true);
    let kind = match clip.kind() {
        ClipKind::Text => TEXT,
        ClipKind::Image => IMAGE,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_LENGTH, bytes.len().into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Wherever it is opened, it is nothing but data.
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    let chunks = futures::stream::unfold((bytes, one), async |(mut rest, one)| {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        (!chunk.is_empty()).then_some((Ok(chunk), (rest, one)))
    });
    Ok((headers, carry::body(chunks, over, carry::begin(&line))).into_response())
}

/// Puts text (`text/plain`, UTF-8) or an image (`image/png`) into the clipboard of the session's game, in place of what
/// was there; it can be pasted when the answer comes. Of the player only.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/clipboard", tag = "sharing", operation_id = "write_clipboard",
    params(("id" = String, Path)),
    request_body(content((String = "text/plain"), ([u8] = "image/png"))),
    responses(
        (status = 204), (status = 400, body = wire::Problem),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 413, body = wire::Problem),
        (status = 415, body = wire::Problem),
    )
)]
pub(super) async fn write(
    State(node): Shared,
    Path(id): Path<String>,
    line: carry::Line,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let share = share(&node, &id, &headers)?;
    let (clipboard, _) = share.clipboard(Way::ToGame)?;
    let kind = kind(&headers)
        .ok_or_else(|| Problem::MEDIA_TYPE.because("send text/plain in UTF-8, or image/png"))?;
    let _one = share.filling.try_lock().map_err(|_| Problem::from(ClipError::Busy))?;
    let _carried = carry::begin(&line);
    let bytes = all(body, share.most_of_clip(kind)).await?;
    let length = bytes.len() as u64;
    let clip =
        Clip::new(kind, bytes).map_err(|bad| Problem::BAD_REQUEST.because(bad.to_string()))?;
    blocking(move || Ok(clipboard.offer(clip)?)).await?;
    share.went(What::Clip(kind), Way::ToGame, length, true);
    Ok(StatusCode::NO_CONTENT)
}

/// What went between the session's game and its player's own machine by clipboard and files: the newest 256, the oldest
/// of them first, without what was in them.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/transfers", tag = "sharing", operation_id = "list_transfers",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Vec<wire::Transfer>),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn transfers(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Vec<wire::Transfer>>, Problem> {
    Ok(Json(share(&node, &id, &headers)?.transfers()))
}

/// What a session shares, for whoever plays it.
pub(super) fn share(node: &Node, id: &str, headers: &HeaderMap) -> Result<Arc<Share>, Problem> {
    let entry = find(node, id)?;
    auth::may_use(node, &entry, headers, TicketScope::Files)?;
    entry.share.clone().ok_or(Problem::NOT_SHARED)
}

/// What the body is said to be.
fn kind(headers: &HeaderMap) -> Option<ClipKind> {
    let said = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = said.split_once(';').unwrap_or((said, ""));
    let utf_8 = |parameters: &str| {
        let (name, value) = parameters.split_once('=').unwrap_or((parameters, "utf-8"));
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        name.is_empty()
            || name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
    };
    match kind.trim() {
        kind if kind.eq_ignore_ascii_case("text/plain") => {
            utf_8(parameters).then_some(ClipKind::Text)
        }
        kind if kind.eq_ignore_ascii_case(IMAGE) => Some(ClipKind::Image),
        _ => None,
    }
}

/// All of a body of at most so many bytes.
async fn all(body: Body, most: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let come = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = carry::next(&mut chunks).await? {
            if bytes.len() + chunk.len() > most {
                return Err(ClipError::TooLarge { most }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    };
    let come = tokio::time::timeout(COMES, come)
        .await
        .unwrap_or_else(|_| Err(Problem::BAD_REQUEST.because("the body did not come in time")));
    if come.is_err() {
        carry::discard(&mut chunks, most as u64).await;
    }
    come
}

impl From<NotShared> for Problem {
    fn from(why: NotShared) -> Self {
        match why {
            NotShared::Forbidden => Self::NOT_SHARED,
            NotShared::NoGame => Self::CONFLICT.because("the game is not there"),
        }
    }
}

impl From<ClipError> for Problem {
    fn from(error: ClipError) -> Self {
        let why = error.to_string();
        match error {
            ClipError::Nothing => Self::NOT_FOUND.because(why),
            ClipError::TooLarge { .. } => Self::TOO_LARGE.because(why),
            ClipError::Busy | ClipError::Changed => Self::CONFLICT.because(why).retry_after(1),
            _ => Self::CONFLICT.because(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_what_they_are_said_to_be() {
        let said = |value: &'static str| {
            kind(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        for text in
            ["text/plain", "Text/Plain; charset=UTF-8", "text/plain;charset=\"utf-8\"", TEXT]
        {
            assert_eq!(said(text), Some(ClipKind::Text), "{text}");
        }
        assert_eq!(said("image/png"), Some(ClipKind::Image));
        for other in
            ["text/html", "text/plain;charset=latin1", "image/jpeg", "", "multipart/form-data"]
        {
            assert_eq!(said(other), None, "{other}");
        }
        assert_eq!(kind(&HeaderMap::new()), None);
    }
}
