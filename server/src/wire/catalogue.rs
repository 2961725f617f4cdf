//! What can be played.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What can be played.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Catalogue {
    /// Entries in the order in which they are shown.
    pub entries: Vec<CatalogueEntry>,
}

/// One thing that can be played.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CatalogueEntry {
    /// What `POST /api/v1/sessions` takes as `app`.
    pub id: String,
    /// For people.
    pub title: String,
    /// One or two sentences for people.
    pub summary: String,
    /// What it is.
    pub kind: EntryKind,
    /// What kind of game it is, such as `puzzle`; absent of what is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// For people: under which licences it may be hosted; absent where nobody says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Absolute address of a still picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poster_url: Option<String>,
    /// What keys are to it, until the player chooses otherwise.
    pub keyboard: KeyboardMode,
    /// How to play, one line each, such as `WASD` and `walk`.
    pub controls: Vec<ControlHint>,
    /// Why it cannot be played now; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// The node keeps what a player saves in it.
    pub saves: bool,
    /// It listens to its player's microphone, where the player and the node allow that.
    pub microphone: bool,
}

/// What keys are to what is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyboardMode {
    /// Places, whatever the player's layout has there.
    Places,
    /// The text that the player's layout makes of them.
    Text,
}

/// A line of help.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ControlHint {
    /// The key or gesture.
    pub input: String,
    /// What it does.
    pub action: String,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A scene that the node renders.
    Scene,
    /// A game, or another program, that the node hosts.
    Game,
    /// A synthetic moving picture, to measure with.
    Synthetic,
}
