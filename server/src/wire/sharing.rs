//! What goes between a session's game and its player's own machine.

use serde::Serialize;
use utoipa::ToSchema;

/// What a session may share with its player's own machine, as its entry and the node allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionSharing {
    /// The clipboard; absent where it is not shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipboard: Option<ClipboardRules>,
    /// Files; absent where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FileRules>,
}

/// How a session's clipboard is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClipboardRules {
    /// What the player copies elsewhere may be pasted in the game.
    pub to_game: bool,
    /// What is copied in the game may be had by the player.
    pub from_game: bool,
    /// Most bytes of text, in UTF-8.
    pub text_bytes: u64,
    /// Most bytes of an image, which is a PNG.
    pub image_bytes: u64,
}

/// How a session's files are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileRules {
    /// The player may bring files, and delete them.
    pub upload: bool,
    /// The player may have files.
    pub download: bool,
    /// Most bytes of a file.
    pub file_bytes: u64,
    /// Where the game finds them, below its home.
    pub folder: String,
}

/// The files of a session's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionFiles {
    /// By name. What is no regular file, or has a name that cannot be shown, is left out.
    pub files: Vec<SessionFile>,
    /// Bytes that may still come.
    pub left: u64,
}

/// A file of a session's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionFile {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was changed, in milliseconds since 1970 UTC.
    pub changed_at: u64,
}

/// Something that went between a game and its player's own machine. What was in it is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Transfer {
    /// When it had gone, in milliseconds since 1970 UTC.
    pub at: u64,
    /// `text` or `image`, of the clipboard, or `file`.
    pub what: String,
    /// `to_game` or `from_game`.
    pub way: String,
    /// Bytes that went.
    pub bytes: u64,
    /// All of it did.
    pub whole: bool,
}
