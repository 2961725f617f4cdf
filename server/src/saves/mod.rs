//! What players keep of hosted games: from the store ([`host::saves`]) into a game's home before it starts, and back
//! when it is over.
//!
//! ```text
//!  POST sessions {player, save} ──▶ Keep ──▶ source thread: sandbox ─▶ entry's files ─▶ restore ─▶ launch
//!  POST sessions/ID/save ─────────▶ Keep::save: halt ─▶ read ─▶ let go ─▶ write
//!  game over, however ────────────▶ thread "game-end": Keep::end: read ─▶ write
//! ```
//! The last state is saved by a thread that waits for the sandbox's end and for nothing else: no source, driver or
//! client that hangs keeps it from that. A node that shuts down waits for it too.
//!
//! A player is whoever the caller says: with tokens, that is the operator's program; in open mode anybody, so there a
//! player's id is long, random and a secret.

mod keep;
mod player;

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::catalogue::{Entry, GameId};
use host::saves::{
    HomePath, Listed, Manifest, Owner, RestoreError, SaveLimits, Saved, State, Store, StoreError,
    Version,
};

pub use keep::{Keep, NotSaved};
pub(crate) use player::version;
pub use player::{Player, Wish};

use crate::config::Config;

/// Folder of the store, below `server.state_dir`.
const FOLDER: &str = "saves";
/// How long a game that was killed at shutdown may take to be gone and saved.
const KILLED: Duration = Duration::from_secs(5);
/// How long a start waits for the last state of a session before it, of the same player and game.
const FORMER: Duration = Duration::from_secs(15);
/// Whoever waits looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The saves of a node.
#[derive(Debug)]
pub struct Saves {
    store: Store,
    /// Those whose game runs, or whose last state is not saved yet.
    live: Mutex<Vec<Arc<Keep>>>,
    /// One of them ends, or has ended.
    changed: Condvar,
}

impl Saves {
    /// Opens the store; none where saves are off, or where it cannot be opened, which is logged.
    pub(crate) fn open(config: &Config) -> Option<Arc<Self>> {
        let saves = &config.saves;
        if !saves.enabled {
            return None;
        }
        let limits = SaveLimits {
            bytes: saves.version_size.bytes(),
            keep: saves.versions as usize,
            together: saves.player_size.bytes(),
            total: saves.total_size.bytes(),
            ..SaveLimits::default()
        };
        let folder = config.server.state_dir.join(FOLDER);
        match Store::open(&folder, limits) {
            Ok(store) => {
                tracing::info!(folder = %folder.display(), bytes = store.used(), "saves");
                Some(Arc::new(Self { store, live: Mutex::default(), changed: Condvar::new() }))
            }
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "games keep nothing: no store");
                None
            }
        }
    }

    /// Whether anybody has ever kept anything on this node.
    pub(crate) fn is_there(config: &Config) -> bool {
        config.server.state_dir.join(FOLDER).is_dir()
    }

    /// The games of which a player has versions, whatever the catalogue has of them by now, and how many. Reads, and takes as
    /// long as the disk takes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn games(&self, player: &Player) -> Result<Vec<(GameId, usize)>, StoreError> {
        self.store.games(player.as_str())
    }

    /// Waits until every game is over and saved, at most for `limit`; what then still runs is killed and saved.
    pub fn finish(&self, limit: Duration) {
        if self.wait_until(limit, Vec::is_empty) {
            return;
        }
        let live = self.live().clone();
        for keep in live {
            tracing::warn!(game = keep.game(), "the game does not end in time and is killed");
            keep.kill();
        }
        if !self.wait_until(KILLED, Vec::is_empty) {
            tracing::error!(games = self.live().len(), "the last state of games is not saved");
        }
    }

    /// Whether this came about within the limit.
    fn wait_until(&self, limit: Duration, is_so: impl Fn(&Vec<Arc<Keep>>) -> bool) -> bool {
        let live = self.live();
        let waited = self.changed.wait_timeout_while(live, limit, |live| !is_so(live));
        is_so(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Keep>>> {
        // Every change is one push or one removal.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a session begins with what its player saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// There is nothing, or it is not wanted.
    Afresh,
    /// There is, or may be by then.
    WithSaves,
}

/// The saves of one game.
#[derive(Debug)]
pub struct GameSaves {
    saves: Arc<Saves>,
    game: GameId,
    paths: Vec<HomePath>,
}

impl GameSaves {
    /// Those of this entry; none where it names nothing to keep.
    pub(crate) fn of(saves: &Arc<Saves>, entry: &Entry) -> Option<Arc<Self>> {
        let (game, paths) = (entry.id.clone(), entry.saves.clone());
        (!paths.is_empty()).then(|| Arc::new(Self { saves: saves.clone(), game, paths }))
    }

    /// Those of a game that the catalogue has not any more: nothing is played with them.
    pub(crate) fn left(saves: &Arc<Saves>, game: GameId) -> Self {
        Self { saves: saves.clone(), game, paths: Vec::new() }
    }

    /// The node's.
    pub fn all(&self) -> &Arc<Saves> {
        &self.saves
    }

    /// All versions of a player, the newest first. This and what follows read and write, and take as long as the
    /// disk takes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn list(&self, player: &Player) -> Result<Vec<Listed>, StoreError> {
        self.saves.store.list(self.owner(player))
    }

    /// Deletes a version.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn delete(&self, player: &Player, version: Version) -> Result<(), StoreError> {
        self.saves.store.delete(self.owner(player), version)
    }

    /// Keeps a version however old it becomes, or no longer.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn pin(&self, player: &Player, version: Version, pinned: bool) -> Result<(), StoreError> {
        self.saves.store.pin(self.owner(player), version, pinned)
    }

    /// A version that has been checked, with its tar file.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn read(
        &self,
        player: &Player,
        version: Version,
    ) -> Result<(Manifest, File), RestoreError> {
        self.saves.store.read(self.owner(player), version)
    }

    /// Makes a version the newest again, with which the next start begins.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn renew(&self, player: &Player, version: Version) -> Result<Saved, RestoreError> {
        self.saves.store.renew(self.owner(player), version, now().map_err(RestoreError::Store)?)
    }

    /// What lies at the game's paths in a home now.
    ///
    /// # Errors
    /// What cannot be read, for people.
    pub(crate) fn state(&self, home: BorrowedFd<'_>) -> Result<State, String> {
        self.saves.store.state(home, &self.paths).map_err(|error| error.to_string())
    }

    /// Whether a session of this player plays it now, or is being saved.
    pub fn is_played_by(&self, player: &Player) -> bool {
        self.saves.live().iter().any(|keep| keep.is_of(&self.game, player))
    }

    fn owner<'a>(&'a self, player: &'a Player) -> Owner<'a> {
        Owner { player: player.as_str(), game: &self.game }
    }
}

/// Now, since 1970.
fn now() -> io::Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)
}
