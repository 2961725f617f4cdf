//! Files that go between a session's game and its player's own machine.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host::exchange::{ExchangeError, FileName, Upload};
use tokio::io::AsyncReadExt as _;

use super::clipboard::share;
use super::path::Path;
use super::{Problem, Shared, blocking, carry};
use crate::sharing::{Share, Way, What};
use crate::wire;

/// Bytes of a file that are read at a time.
const CHUNK: usize = 64 * 1024;

/// The files of the session's folder, by name. Of the player only, as all that follow.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/files", tag = "sharing", operation_id = "list_files",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::SessionFiles),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn list(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::SessionFiles>, Problem> {
    let (exchange, _) = share(&node, &id, &headers)?.files(None)?;
    let (files, left) = blocking(move || Ok(exchange.list()?)).await?;
    let files = files.into_iter().map(|file| wire::SessionFile {
        name: file.name.as_str().to_owned(),
        bytes: file.bytes,
        changed_at: u64::try_from(file.changed.as_millis()).unwrap_or(u64::MAX),
    });
    Ok(Json(wire::SessionFiles { files: files.collect(), left }))
}

/// Brings a file, in place of one of this name. The game sees it when all of it has come; nothing is left of one that
/// is cut off.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/files/{name}", tag = "sharing", operation_id = "upload_file",
    params(("id" = String, Path), ("name" = String, Path)),
    request_body(content = [u8], content_type = "application/octet-stream"),
    responses(
        (status = 204), (status = 400, body = wire::Problem),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 413, body = wire::Problem),
        (status = 507, body = wire::Problem),
    )
)]
pub(super) async fn upload(
    State(node): Shared,
    Path((id, name)): Path<(String, String)>,
    line: carry::Line,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let share = share(&node, &id, &headers)?;
    let (exchange, over) = share.files(Some(Way::ToGame))?;
    let _carried = carry::begin(&line);
    let most = exchange.limits().file;
    let mut chunks = body.into_data_stream();
    let taken = async {
        let name = parse(&name)?;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse().ok());
        let upload = blocking(move || Ok(exchange.upload(name, length)?)).await?;
        take(upload, &mut chunks, Coming { share, bytes: 0, whole: false }).await
    };
    let taken = tokio::select! {
        taken = taken => taken,
        () = over.cancelled() => return Err(Problem::CONFLICT.because("the game is over")),
    };
    if taken.is_err() {
        carry::discard(&mut chunks, most).await;
    }
    taken.map(|()| StatusCode::NO_CONTENT)
}

/// An upload that is under way. What has come of it is noted however it ends.
struct Coming {
    share: Arc<Share>,
    bytes: u64,
    whole: bool,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.share.went(What::File, Way::ToGame, self.bytes, self.whole);
    }
}

/// Takes all of a body, a chunk at a time.
async fn take(
    mut upload: Upload,
    chunks: &mut BodyDataStream,
    mut coming: Coming,
) -> Result<(), Problem> {
    while let Some(chunk) = carry::next(chunks).await? {
        let length = chunk.len() as u64;
        upload = blocking(move || {
            upload.write(&chunk)?;
            Ok(upload)
        })
        .await?;
        coming.bytes += length;
    }
    blocking(move || Ok(upload.finish().map(drop)?)).await?;
    coming.whole = true;
    Ok(())
}

/// A file, as it is now.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/files/{name}", tag = "sharing", operation_id = "download_file",
    params(("id" = String, Path), ("name" = String, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = [u8]),
        (status = 400, body = wire::Problem), (status = 401, body = wire::Problem),
        (status = 403, body = wire::Problem), (status = 404, body = wire::Problem),
        (status = 409, body = wire::Problem), (status = 410, body = wire::Problem),
        (status = 413, body = wire::Problem),
    )
)]
pub(super) async fn download(
    State(node): Shared,
    Path((id, name)): Path<(String, String)>,
    line: carry::Line,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let share = share(&node, &id, &headers)?;
    let (exchange, over) = share.files(Some(Way::FromGame))?;
    let name = parse(&name)?;
    let disposition = disposition(&name)?;
    let (file, bytes) = blocking(move || Ok(exchange.read(&name)?)).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, bytes.into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    let going = Going { file: tokio::fs::File::from_std(file), left: bytes, bytes, share };
    let chunks = futures::stream::try_unfold(going, Going::next);
    Ok((headers, carry::body(chunks, over, carry::begin(&line))).into_response())
}

/// A download that is under way. What has gone of it is noted however it ends.
struct Going {
    file: tokio::fs::File,
    bytes: u64,
    left: u64,
    share: Arc<Share>,
}

impl Going {
    async fn next(mut self) -> std::io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
        let mut chunk = Vec::with_capacity(most);
        let read = (&mut self.file).take(most as u64).read_buf(&mut chunk).await? as u64;
        if read == 0 {
            // The game made it shorter; what was promised cannot be kept.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(Some((chunk.into(), self)))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let gone = self.bytes - self.left;
        self.share.went(What::File, Way::FromGame, gone, self.left == 0);
    }
}

/// Deletes a file. Needs the way to the game.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/files/{name}", tag = "sharing", operation_id = "delete_file",
    params(("id" = String, Path), ("name" = String, Path)),
    responses(
        (status = 204), (status = 400, body = wire::Problem),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem),
    )
)]
pub(super) async fn delete(
    State(node): Shared,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let share = share(&node, &id, &headers)?;
    let (exchange, _) = share.files(Some(Way::ToGame))?;
    let name = parse(&name)?;
    blocking(move || Ok(exchange.remove(&name)?)).await?;
    tracing::info!(session = id.get(..8), "file deleted");
    Ok(StatusCode::NO_CONTENT)
}

fn parse(name: &str) -> Result<FileName, Problem> {
    FileName::parse(name).map_err(|why| Problem::BAD_REQUEST.because(why))
}

/// Names the file to be stored (RFC 6266 with RFC 8187: all but plain characters are written in hexadecimal).
fn disposition(name: &FileName) -> Result<HeaderValue, Problem> {
    let mut text = String::from("attachment; filename*=UTF-8''");
    for byte in name.as_str().bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                text.push(byte.into());
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&text).map_err(|_| Problem::INTERNAL)
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        let why = error.to_string();
        match error {
            ExchangeError::Absent => Self::NOT_FOUND.because(why),
            ExchangeError::TooLarge { .. } => Self::TOO_LARGE.because(why),
            ExchangeError::Full { .. } | ExchangeError::TooMany { .. } | ExchangeError::NoRoom => {
                Self::NO_ROOM_FOR_FILE.because(why)
            }
            ExchangeError::Busy => Self::CONFLICT.because(why).retry_after(1),
            ExchangeError::Replaced(_) => Self::CONFLICT.because(why),
            error => {
                tracing::warn!(%error, "files of a session");
                Self::INTERNAL
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_in_a_header_whatever_is_in_them() {
        let named = |text| disposition(&FileName::parse(text).unwrap()).unwrap();
        assert_eq!(named("a-1.txt"), "attachment; filename*=UTF-8''a-1.txt");
        assert_eq!(named("ü\";'x"), "attachment; filename*=UTF-8''%C3%BC%22%3B%27x");
    }
}
