//! What one session keeps.
//!
//! ```text
//!              restore, begin              ending             end
//!  Opening ───────────────────▶ Playing ──────────▶ Ending ─────────▶ Over
//!     │                            └───────────────────end──────────────▲
//!     └───────────────── where the start fails: nothing is saved        │
//! ```

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::catalogue::GameId;
use host::saves::{Listed, RestoreError, SaveError, Saved, Snapshot, State, StoreError, Version};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::player::Wish;
use super::{FORMER, GameSaves, LOOK, Player, now};
use crate::games::Hosted;
use crate::wire;

/// The saves of one session: what it began with, and what became of it. Shared by its source, by HTTP, and by the thread
/// that waits for the game's end.
#[derive(Debug)]
pub struct Keep {
    saves: Arc<GameSaves>,
    player: Player,
    wish: Wish,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    stage: Stage,
    /// What clients are told.
    told: wire::SessionSaves,
}

#[derive(Debug, Default)]
enum Stage {
    /// The game is not there yet.
    #[default]
    Opening,
    /// It runs. With what it began with, until something of it was saved.
    Playing(Arc<Hosted>, Option<State>),
    /// It was asked to end, or has ended.
    Ending(Arc<Hosted>, Option<State>),
    /// Everything is saved that will be.
    Over,
}

/// Why nothing was saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotSaved {
    /// There is no game.
    #[error("the game does not run")]
    NotPlaying,
    /// The game's state could not be read or kept.
    #[error(transparent)]
    Store(#[from] SaveError),
}

impl Keep {
    /// For a session that is about to start.
    pub fn new(saves: Arc<GameSaves>, player: Player, wish: Wish) -> Arc<Self> {
        Arc::new(Self { saves, player, wish, kept: Mutex::default() })
    }

    /// What clients are told of it, from when its game is there.
    pub fn told(&self) -> Option<wire::SessionSaves> {
        let kept = self.kept();
        (!matches!(kept.stage, Stage::Opening)).then(|| kept.told.clone())
    }

    /// Whether there is this version, damaged or not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn has(&self, version: Version) -> Result<bool, StoreError> {
        Ok(self.saves.list(&self.player)?.iter().any(|each| each.version == version))
    }

    /// What the session is to begin with.
    pub(crate) fn wish(&self) -> Wish {
        self.wish
    }

    /// Whether there is nothing to restore, nor will be while somebody still plays or is being saved.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn begins_afresh(&self) -> Result<bool, StoreError> {
        match self.wish {
            Wish::Fresh => Ok(true),
            _ if self.saves.is_played_by(&self.player) => Ok(false),
            _ => Ok(self.saves.list(&self.player)?.is_empty()),
        }
    }

    /// The game's id.
    pub(super) fn game(&self) -> &str {
        self.saves.game.as_str()
    }

    pub(super) fn is_of(&self, game: &GameId, player: &Player) -> bool {
        self.saves.game == *game && self.player == *player
    }

    /// Puts into a new home what the session begins with: the version that is wished for, or where it is damaged the
    /// newest whole one. Yields what lies at the game's paths then.
    ///
    /// # Errors
    /// What cannot be read or written, for people: the game must not be started then.
    pub(crate) fn restore(
        &self,
        home: BorrowedFd<'_>,
        cancel: &CancellationToken,
    ) -> Result<State, String> {
        self.wait_for_former(cancel);
        let store = &self.saves.saves.store;
        let listed = match self.wish {
            Wish::Fresh => Vec::new(),
            _ => self.saves.list(&self.player).map_err(|error| error.to_string())?,
        };
        for Listed { version, .. } in self.candidates(&listed)? {
            match store.restore(self.saves.owner(&self.player), *version, home) {
                Ok(manifest) => {
                    tracing::info!(version = version.0, bytes = manifest.bytes(), "save restored");
                    self.kept().told.restored = Some(version.0.to_string());
                    // A catalogue that changed keeps other paths than this version was made of.
                    if manifest.paths == self.saves.paths {
                        return Ok(manifest.state());
                    }
                    break;
                }
                Err(error @ (RestoreError::Damaged(_) | RestoreError::Unpack(_))) => {
                    let reason = error.to_string();
                    tracing::warn!(version = version.0, reason, "save refused");
                    let refused = wire::RefusedSave { id: version.0.to_string(), reason };
                    self.kept().told.refused.push(refused);
                }
                // Removed since the list was made.
                Err(RestoreError::Absent) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        store.state(home, &self.saves.paths).map_err(|error| error.to_string())
    }

    /// The versions that come into question, the best first.
    fn candidates<'a>(&self, listed: &'a [Listed]) -> Result<Vec<&'a Listed>, String> {
        match self.wish {
            Wish::Fresh => Ok(Vec::new()),
            Wish::Newest => Ok(listed.iter().collect()),
            Wish::Version(wished) => {
                let is_it = |each: &&Listed| each.version == wished;
                let (mut best, others): (Vec<_>, Vec<_>) = listed.iter().partition(is_it);
                if best.is_empty() {
                    return Err(RestoreError::Absent.to_string());
                }
                best.extend(others);
                Ok(best)
            }
        }
    }

    /// Waits for the last state of a session of the same player and game that is ending.
    fn wait_for_former(&self, cancel: &CancellationToken) {
        let saves = &self.saves.saves;
        let mut left = FORMER;
        let is_former = |keep: &Arc<Self>| {
            keep.is_of(&self.saves.game, &self.player)
                && matches!(keep.kept().stage, Stage::Ending(..))
        };
        while !left.is_zero() {
            let is_over = saves.wait_until(LOOK, |live| !live.iter().any(is_former));
            if is_over || cancel.is_cancelled() {
                return;
            }
            left = left.saturating_sub(LOOK);
        }
        tracing::warn!("the last state of the session before is not waited for any longer");
    }

    /// The game is about to be launched, with this in its home.
    pub(crate) fn begin(self: &Arc<Self>, hosted: &Arc<Hosted>, base: State) {
        self.kept().stage = Stage::Playing(hosted.clone(), Some(base));
        self.saves.saves.live().push(self.clone());
    }

    /// The game is asked to end: who starts it anew waits for its last state.
    pub(crate) fn ending(&self) {
        let mut kept = self.kept();
        kept.stage = match std::mem::replace(&mut kept.stage, Stage::Over) {
            Stage::Playing(hosted, base) => Stage::Ending(hosted, base),
            stage => stage,
        };
    }

    /// Ends the game at once.
    pub(super) fn kill(&self) {
        if let Stage::Playing(hosted, _) | Stage::Ending(hosted, _) = &self.kept().stage {
            hosted.kill();
        }
    }

    /// Saves the game as it is now. It stands still while it is read.
    ///
    /// # Errors
    /// See [`NotSaved`]; all versions are as they were.
    pub fn save(&self) -> Result<Saved, NotSaved> {
        let (hosted, base) = match &self.kept().stage {
            Stage::Playing(hosted, base) => (hosted.clone(), base.clone()),
            _ => return Err(NotSaved::NotPlaying),
        };
        let saved = self.keep(&hosted, base.as_ref(), true);
        if let (Ok(Saved::Made { .. }), Stage::Playing(_, base)) = (&saved, &mut self.kept().stage)
        {
            // From now on the newest version is what is compared with: the game may come to be as it was at first.
            *base = None;
        }
        Ok(saved?)
    }

    /// Saves the last state of a game that is over.
    pub(crate) fn end(&self) {
        // Also where saving panics.
        let over = Over(self);
        self.ending();
        let stage = match &self.kept().stage {
            Stage::Ending(hosted, base) => Some((hosted.clone(), base.clone())),
            Stage::Opening | Stage::Playing(..) | Stage::Over => None,
        };
        if let Some((hosted, base)) = stage
            && let Err(error) = self.keep(&hosted, base.as_ref(), false)
        {
            tracing::error!(%error, "the last state of the game is not saved");
        }
        drop(over);
    }

    /// Nothing is saved of it any more.
    pub(crate) fn over(&self) {
        self.kept().stage = Stage::Over;
        let saves = &self.saves.saves;
        saves.live().retain(|keep| !std::ptr::eq(&**keep, self));
        saves.changed.notify_all();
    }

    fn keep(&self, hosted: &Hosted, base: Option<&State>, halt: bool) -> Result<Saved, SaveError> {
        let Some(home) = hosted.home() else { return Ok(Saved::Nothing) };
        let snapshot = Snapshot {
            home: home.as_fd(),
            paths: &self.saves.paths,
            now: now().map_err(SaveError::Write)?,
            game_version: "",
            base,
        };
        let hold = || halt.then(|| hosted.halt()).transpose();
        let saved =
            self.saves.saves.store.save_while(self.saves.owner(&self.player), &snapshot, hold);
        let told = &mut self.kept().told;
        match &saved {
            Ok(Saved::Made { version, skipped }) => {
                tracing::info!(version = version.0, left_out = skipped.total(), "saved");
                told.saved = Some(version.0.to_string());
                told.failed = None;
            }
            Ok(saved) => tracing::debug!(?saved, "nothing to save"),
            Err(error) => told.failed = Some(error.to_string()),
        }
        saved
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below is one assignment.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Over<'a>(&'a Keep);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}
