//! What players keep of games: list, download, restore, delete; and save a game that runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host::catalogue::GameId;
use host::saves::{Listed, RestoreError, SaveError, Saved, StoreError, Version};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use session::access::TicketScope;

use super::answers::{self, OfSaves};
use super::auth::{self, Operator};
use super::path::Path;
use super::sessions::find;
use super::{Problem, Shared, blocking, carry};
use crate::node::{Node, Wished};
use crate::saves::{Begins, GameSaves, NotSaved, Player, Wish, version};
use crate::wire;

/// The header that names the player: with tokens whom the operator's program likes, in open mode a secret. Not part of
/// the address, which is logged.
pub(super) const PLAYER: &str = "nearlight-player";
/// Why nothing can be played from what is kept of a game that the catalogue has not any more, and of one that keeps nothing.
const GONE: &str = "It is not on offer here any more. What was saved of it is kept.";
const CHANGED: &str = "It keeps nothing any more. What was saved of it before is kept.";
/// Bytes of an archive that are read at a time.
const CHUNK: usize = 64 * 1024;

/// What a player keeps of a game, the newest first.
#[utoipa::path(
    get, path = "/api/v1/catalogue/{app}/saves", tag = "saves", operation_id = "list_saves",
    params(("app" = String, Path), answers::Player),
    responses((status = 200, body = wire::Saves), OfSaves)
)]
pub(super) async fn list(
    State(node): Shared,
    _: Operator,
    Path(app): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::Saves>, Problem> {
    let Theirs { saves, player, unavailable } = theirs(&node, &app, &headers).await?;
    blocking(move || {
        let listed = saves.list(&player)?;
        let playing = saves.is_played_by(&player);
        let saves = listed.iter().map(describe).collect();
        Ok(Json(wire::Saves { saves, playing, unavailable }))
    })
    .await
}

/// The games of which a player keeps something, also those that the catalogue has not any more: what is kept of those can be
/// listed, downloaded and deleted as that of others, and played once they are back.
#[utoipa::path(
    get, path = "/api/v1/saves", tag = "saves", operation_id = "list_saved_games",
    params(answers::Player),
    responses((status = 200, body = wire::SavedGames), OfSaves)
)]
pub(super) async fn games(
    State(node): Shared,
    _: Operator,
    headers: HeaderMap,
) -> Result<Json<wire::SavedGames>, Problem> {
    let player = named(&node, &headers)?;
    let Some(saves) = node.catalogue.saves() else {
        return Ok(Json(wire::SavedGames { games: Vec::new() }));
    };
    let games = blocking(move || Ok(saves.games(&player)?)).await?;
    let describe = |(game, many): (GameId, usize)| {
        let app = game.as_str().to_owned();
        let info = node.catalogue.find(&app).map(|entry| entry.app.info());
        let saves = u32::try_from(many).unwrap_or(u32::MAX);
        let (title, unavailable) = match info {
            Some(info) => (info.title, info.unavailable),
            None => (app.clone(), Some(GONE.to_owned())),
        };
        wire::SavedGame { app, title, saves, unavailable }
    };
    Ok(Json(wire::SavedGames { games: games.into_iter().map(describe).collect() }))
}

/// A version's files as a tar archive, with folders and names as in the game's home. It is checked before it is sent.
#[utoipa::path(
    get, path = "/api/v1/catalogue/{app}/saves/{save}", tag = "saves", operation_id = "download_save",
    params(("app" = String, Path), ("save" = String, Path), answers::Player),
    responses(
        (status = 200, content_type = "application/x-tar", body = [u8]), OfSaves,
        (status = 422, body = wire::Problem),
    )
)]
pub(super) async fn download(
    State(node): Shared,
    _: Operator,
    Path((app, save)): Path<(String, String)>,
    line: carry::Line,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Theirs { saves, player, .. } = theirs(&node, &app, &headers).await?;
    let version = parse(&save)?;
    let (manifest, archive) =
        blocking(move || saves.read(&player, version).map_err(Problem::from)).await?;
    let name = format!("attachment; filename=\"{app}-{}.tar\"", version.0);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar")),
        (header::CONTENT_LENGTH, manifest.archive_bytes.into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(|_| Problem::INTERNAL)?),
    ];
    let file = tokio::fs::File::from_std(archive);
    let chunks = futures::stream::try_unfold(file, async |mut file| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        std::io::Result::Ok((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    let body = carry::body(chunks, CancellationToken::new(), carry::begin(&line));
    Ok((headers, body).into_response())
}

/// Makes a version the newest again, with which the next session of the player begins; those after it are kept.
/// Refused while a session of the player plays the game: what that saves at its end would be newer still.
#[utoipa::path(
    post, path = "/api/v1/catalogue/{app}/saves/{save}/restore", tag = "saves", operation_id = "restore_save",
    params(("app" = String, Path), ("save" = String, Path), answers::Player),
    responses(
        (status = 200, body = wire::SaveResult), OfSaves, (status = 403, body = wire::Problem),
        (status = 409, body = wire::Problem), (status = 422, body = wire::Problem),
        (status = 507, body = wire::Problem),
    )
)]
pub(super) async fn restore(
    State(node): Shared,
    _: Operator,
    Path((app, save)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<wire::SaveResult>, Problem> {
    let Theirs { saves, player, .. } = theirs(&node, &app, &headers).await?;
    let version = parse(&save)?;
    blocking(move || {
        if saves.is_played_by(&player) {
            let why =
                "a session of this player plays the game: end it first, or start one with `save`";
            return Err(Problem::CONFLICT.because(why));
        }
        let renewed = saves.renew(&player, version)?;
        tracing::info!(app, from = version.0, ?renewed, "save made the newest");
        Ok(Json(result(renewed)))
    })
    .await
}

/// Deletes a version.
#[utoipa::path(
    delete, path = "/api/v1/catalogue/{app}/saves/{save}", tag = "saves", operation_id = "delete_save",
    params(("app" = String, Path), ("save" = String, Path), answers::Player),
    responses((status = 204), OfSaves, (status = 403, body = wire::Problem))
)]
pub(super) async fn delete(
    State(node): Shared,
    _: Operator,
    Path((app, save)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Theirs { saves, player, .. } = theirs(&node, &app, &headers).await?;
    let version = parse(&save)?;
    blocking(move || {
        saves.delete(&player, version)?;
        tracing::info!(app, version = version.0, "save deleted");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Keeps a version however many newer ones come. As many as may be kept so are few.
#[utoipa::path(
    put, path = "/api/v1/catalogue/{app}/saves/{save}/pin", tag = "saves", operation_id = "pin_save",
    params(("app" = String, Path), ("save" = String, Path), answers::Player),
    responses(
        (status = 204), OfSaves, (status = 403, body = wire::Problem),
        (status = 409, body = wire::Problem),
    )
)]
pub(super) async fn pin(
    State(node): Shared,
    _: Operator,
    Path(which): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    set_pinned(&node, which, &headers, true).await
}

/// Lets a version go with the others again.
#[utoipa::path(
    delete, path = "/api/v1/catalogue/{app}/saves/{save}/pin", tag = "saves", operation_id = "unpin_save",
    params(("app" = String, Path), ("save" = String, Path), answers::Player),
    responses((status = 204), OfSaves, (status = 403, body = wire::Problem))
)]
pub(super) async fn unpin(
    State(node): Shared,
    _: Operator,
    Path(which): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    set_pinned(&node, which, &headers, false).await
}

async fn set_pinned(
    node: &Node,
    (app, save): (String, String),
    headers: &HeaderMap,
    pinned: bool,
) -> Result<StatusCode, Problem> {
    let Theirs { saves, player, .. } = theirs(node, &app, headers).await?;
    let version = parse(&save)?;
    blocking(move || {
        saves.pin(&player, version, pinned)?;
        tracing::info!(app, version = version.0, pinned, "save pinned");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Saves a session's game as it is now. The game stands still while it is read, and goes on.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/save", tag = "saves", operation_id = "save_session",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = wire::SaveResult),
        (status = 401, body = wire::Problem), (status = 403, body = wire::Problem),
        (status = 404, body = wire::Problem), (status = 409, body = wire::Problem),
        (status = 410, body = wire::Problem), (status = 507, body = wire::Problem),
    )
)]
pub(super) async fn save(
    State(node): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<wire::SaveResult>, Problem> {
    let entry = find(&node, &id)?;
    auth::may_use(&node, &entry, &headers, TicketScope::Play)?;
    let keep = entry
        .keep
        .clone()
        .ok_or_else(|| Problem::CONFLICT.because("nothing is kept of this session"))?;
    blocking(move || Ok(Json(result(keep.save()?)))).await
}

fn result(saved: Saved) -> wire::SaveResult {
    let (save, made) = match saved {
        Saved::Made { version, .. } => (Some(version), true),
        Saved::Unchanged(version) => (Some(version), false),
        Saved::Untouched | Saved::Nothing => (None, false),
    };
    wire::SaveResult { save: save.map(|version| version.0.to_string()), made }
}

/// Checks that what a new session is to begin with is there, and says whether that is anything: `Node::create_session`
/// does not wait for disks.
pub(super) async fn check(wished: &Wished) -> Result<Begins, Problem> {
    let Some(keep) = wished.keep().cloned() else { return Ok(Begins::Afresh) };
    blocking(move || match keep.wish() {
        Wish::Version(wished) if !keep.has(wished)? => Err(Problem::UNKNOWN_SAVE),
        Wish::Version(_) => Ok(Begins::WithSaves),
        Wish::Newest | Wish::Fresh if keep.begins_afresh()? => Ok(Begins::Afresh),
        Wish::Newest | Wish::Fresh => Ok(Begins::WithSaves),
    })
    .await
}

/// The saves of a game, and the player whose they are.
struct Theirs {
    saves: Arc<GameSaves>,
    player: Player,
    /// Why nothing can be played from them.
    unavailable: Option<String>,
}

async fn theirs(node: &Node, app: &str, headers: &HeaderMap) -> Result<Theirs, Problem> {
    let player = named(node, headers);
    let entry = node.catalogue.find(app);
    if let Some(entry) = &entry
        && let Some(saves) = entry.app.saves()
    {
        return Ok(Theirs { saves, player: player?, unavailable: entry.app.info().unavailable });
    }
    // What somebody has kept stays theirs, whatever has become of the entry.
    let absent = match entry {
        Some(_) => Problem::NOT_FOUND.because(format!("nothing is kept of {app:?}")),
        None => Problem::UNKNOWN_APP,
    };
    let (Some(all), Some(game), Ok(player)) = (node.catalogue.saves(), GameId::parse(app), player)
    else {
        return Err(absent);
    };
    let unavailable = Some(if entry.is_some() { CHANGED } else { GONE }.to_owned());
    blocking(move || {
        let saves = Arc::new(GameSaves::left(&all, game));
        if saves.list(&player)?.is_empty() {
            return Err(absent);
        }
        Ok(Theirs { saves, player, unavailable })
    })
    .await
}

/// Who is meant.
fn named(node: &Node, headers: &HeaderMap) -> Result<Player, Problem> {
    let player = headers.get(PLAYER).and_then(|value| value.to_str().ok()).ok_or_else(|| {
        Problem::BAD_REQUEST.because("the header Nearlight-Player says whose saves are meant")
    })?;
    Player::parse(player, node.config.access.open).map_err(|why| Problem::BAD_REQUEST.because(why))
}

fn parse(save: &str) -> Result<Version, Problem> {
    version(save).ok_or(Problem::UNKNOWN_SAVE)
}

fn describe(listed: &Listed) -> wire::Save {
    let manifest = listed.manifest.as_ref();
    let millis = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    wire::Save {
        id: listed.version.0.to_string(),
        saved_at: manifest.ok().map(|manifest| millis(manifest.saved_at)),
        bytes: manifest.ok().map(host::saves::Manifest::bytes),
        files: manifest
            .map_or(0, |manifest| u32::try_from(manifest.files.len()).unwrap_or(u32::MAX)),
        left_out: manifest.map_or(0, |manifest| manifest.skipped.total()),
        damaged: manifest.err().cloned(),
        pinned: listed.pinned,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Absent => Self::UNKNOWN_SAVE,
            StoreError::Pinned { .. } => Self::CONFLICT.because(error.to_string()),
            error => failed(&error),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Absent => Self::UNKNOWN_SAVE,
            RestoreError::Damaged(why) => Self::DAMAGED_SAVE.because(why),
            RestoreError::Save(error) => error.into(),
            error => failed(&error),
        }
    }
}

impl From<NotSaved> for Problem {
    fn from(error: NotSaved) -> Self {
        match error {
            NotSaved::Store(error) => error.into(),
            error => Self::CONFLICT.because(error.to_string()),
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        let why = error.to_string();
        match error {
            SaveError::Full { .. }
            | SaveError::TooLarge { .. }
            | SaveError::TooMany { .. }
            | SaveError::TooDeep { .. }
            | SaveError::TooLong { .. } => Self::NO_ROOM_FOR_SAVE.because(why),
            SaveError::Changing { .. } | SaveError::Hold(_) | SaveError::Read { .. } => {
                Self::CONFLICT.because(why)
            }
            error => failed(&error),
        }
    }
}

/// What is wrong with the node's own disk is for its log.
fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "saves");
    Problem::INTERNAL
}
