//! What clients ask for in the bodies of their requests, but for those of rentals (`lease`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[cfg(doc)]
use super::Session;
use super::{PlayerKey, View};

/// Asks for a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// Catalogue id.
    #[schema(example = "demo")]
    pub app: String,
    /// Wishes for the picture.
    #[serde(default)]
    pub video: VideoWish,
    /// Where the picture is shown. A game begins with a screen of this size, as far as its entry allows, and where it can
    /// has another one whenever the client says so on the control channel; unless `video` says a width or a height.
    pub view: Option<View>,
    /// How many channels the player's device has for sound, so that a game begins with as many: 6 for 5.1, 8 for 7.1. Two where
    /// nothing is said. Clients say it on the control channel in any case, when they connect.
    #[serde(default)]
    pub channels: Option<u8>,
    /// Draws the machine-readable strip (frame id, input number) into the picture.
    #[serde(default)]
    pub barcode: bool,
    /// Who plays, of 1 to 128 ASCII letters, digits, `-`, `_`, `.` and `@`: what is saved in the game is kept for this
    /// player, and nothing is where none is named. Whoever holds an operator's token names whom it likes. On an open
    /// node, which anybody may ask, the name itself is what opens the saves: at least 22 characters, which should be 128
    /// random bits or more. On a rented node it is one of the renter's own, `renter` where none is named.
    #[serde(default)]
    pub player: Option<String>,
    /// The save to begin with, by its `id`, or `none` to begin afresh; without it the newest. Of a damaged one the node
    /// tells in [`Session::saves`], and takes the newest whole one.
    #[serde(default)]
    pub save: Option<String>,
    /// On a rented node: what the player acknowledges receipts with. Without it they say that nobody does.
    #[serde(default)]
    pub player_key: Option<PlayerKey>,
}

/// Wishes for the picture; what the node grants stands in [`Session::video`]. Whoever says no width, height or rate has
/// those of the game's entry, else of the node's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoWish {
    /// Pixels across, even.
    pub width: Option<u32>,
    /// Pixels down, even.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Option<u32>,
    /// Most kilobits per second.
    pub max_kbps: Option<u32>,
    /// High dynamic range (HDR10: 10 bits a sample, BT.2020, PQ). Refused where the entry does not draw it or
    /// no encoder of the node takes it. A client that does not decode it is shown standard range: the session's
    /// greeting says why.
    #[serde(default)]
    pub hdr: bool,
}

/// A ticket to be redeemed for a session's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// From the fragment of a `play_url`.
    pub ticket: String,
}

/// Asks for a link that lets others join a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// What they may do.
    pub role: InvitedRole,
    /// Seconds until it lets nobody in any more, at least 1; at most as long as a session may be, which is also
    /// the default.
    pub expires_in: Option<u32>,
    /// How many may join by it, at least 1; without it as many as there is room for.
    pub uses: Option<u32>,
}

/// A role that an invitation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitedRole {
    /// Sees, hears and plays.
    CoPlayer,
    /// Sees and hears.
    Spectator,
}

/// What an invitation's link carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// From the fragment of an invitation's `url`.
    pub invitation: String,
}
