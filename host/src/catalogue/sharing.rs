//! What an entry shares with its player's own machine.

use serde::{Deserialize, Serialize};

use crate::saves::HomePath;

/// Which ways something may go between a player and a game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// From the player to the game.
    pub to_game: bool,
    /// From the game to the player.
    pub from_game: bool,
}

impl Ways {
    /// Those that are in both.
    pub const fn and(self, other: Self) -> Self {
        Self {
            to_game: self.to_game && other.to_game,
            from_game: self.from_game && other.from_game,
        }
    }

    /// Whether there is one.
    pub const fn any(self) -> bool {
        self.to_game || self.from_game
    }
}

/// Ways of the clipboard as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ClipboardWays {
    #[default]
    None,
    ToGame,
    FromGame,
    Both,
}

/// Ways of files as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileWays {
    #[default]
    None,
    Upload,
    Download,
    Both,
}

impl From<ClipboardWays> for Ways {
    fn from(ways: ClipboardWays) -> Self {
        use ClipboardWays::{Both, FromGame, ToGame};
        Self { to_game: matches!(ways, ToGame | Both), from_game: matches!(ways, FromGame | Both) }
    }
}

impl From<FileWays> for Ways {
    fn from(ways: FileWays) -> Self {
        use FileWays::{Both, Download, Upload};
        Self { to_game: matches!(ways, Upload | Both), from_game: matches!(ways, Download | Both) }
    }
}

/// See the module. The node may allow less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The clipboard.
    pub clipboard: Ways,
    /// Files.
    pub files: Ways,
    /// Where they lie, below the home.
    pub folder: HomePath,
}
