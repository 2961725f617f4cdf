//! What players keep.

use serde::Serialize;
use utoipa::ToSchema;

/// What a player keeps of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Saves {
    /// Versions, the newest first.
    pub saves: Vec<Save>,
    /// A session of the player plays the game now: at its end it adds a version, where it changed something.
    pub playing: bool,
    /// Why nothing can be played from them now: the game cannot, or is not on offer any more. For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// The games of which a player keeps something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SavedGames {
    /// By their ids, in order.
    pub games: Vec<SavedGame>,
}

/// A game of which a player keeps something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SavedGame {
    /// Its id in the catalogue, now or once.
    pub app: String,
    /// Its title; the id where the catalogue has it not any more.
    pub title: String,
    /// How many versions there are.
    pub saves: u32,
    /// Why nothing can be played from them now. For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// A version of what a player keeps of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Save {
    /// Names it among those of its player and game; later ones have higher numbers.
    pub id: String,
    /// When it was made, in milliseconds since 1970 UTC; absent where it is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<u64>,
    /// Bytes of its files; absent where it is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Files in it.
    pub files: u32,
    /// What was left out of it: links, and what is neither a file nor a folder.
    pub left_out: u64,
    /// Why it cannot be played from. What of its files is damaged shows when it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
    /// It is kept however many newer ones come.
    pub pinned: bool,
}

/// What came of saving a game that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SaveResult {
    /// The version that was made, or that is the same already; absent where nothing is there that could be kept, or
    /// nothing changed since the session began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save: Option<String>,
    /// A version was made.
    pub made: bool,
}

/// What a session keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionSaves {
    /// The version that it began with; absent where it began afresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<String>,
    /// Versions that it did not begin with because they are damaged. They are kept as they are.
    pub refused: Vec<RefusedSave>,
    /// The version that it made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// Why the last try to save made none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A version that a session did not begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusedSave {
    /// Which.
    pub id: String,
    /// Why.
    pub reason: String,
}
