//! Who watches and plays along.

use serde::Serialize;
use utoipa::ToSchema;

use super::{InvitedRole, SessionState, TransportChoice};

/// What somebody does in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Plays; size, rate and range are made for it.
    Player,
    /// Sees and hears what the player does, and plays too.
    CoPlayer,
    /// Sees and hears.
    Spectator,
}

impl From<session::Role> for Role {
    fn from(role: session::Role) -> Self {
        match role {
            session::Role::Player => Self::Player,
            session::Role::CoPlayer => Self::CoPlayer,
            session::Role::Spectator => Self::Spectator,
        }
    }
}

impl From<InvitedRole> for session::Role {
    fn from(role: InvitedRole) -> Self {
        match role {
            InvitedRole::CoPlayer => Self::CoPlayer,
            InvitedRole::Spectator => Self::Spectator,
        }
    }
}

/// Viewers of a session that are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[allow(missing_docs)]
pub struct Viewers {
    pub co_players: u32,
    pub spectators: u32,
}

/// How often each step was taken for a session's pictures, in all. However many watch, it is once a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct FrameCounts {
    /// Pictures drawn or grabbed.
    pub captured: u64,
    /// Pictures brought into the encoder's layout: where they are drawn, or after it where they come in RGB.
    pub converted: u64,
    /// Units coded.
    pub encoded: u64,
    /// Keyframes among them.
    pub keyframes: u64,
}

impl FrameCounts {
    /// From the counters of a session's threads.
    pub(crate) fn of(source: &crate::drive::SourceCounts, encoder: &encoder::WorkerStats) -> Self {
        // A source makes its pictures in the encoder's layout, or all of them in RGB.
        let converted = if encoder.converted > 0 { encoder.converted } else { source.frames };
        Self {
            captured: source.frames,
            converted,
            encoded: encoder.encoded,
            keyframes: encoder.keyframes,
        }
    }
}

/// A link that lets others join a session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    /// Names it within the node.
    pub id: u64,
    /// Absolute address of the page that joins by it. Only in the answer that made it: the node keeps a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it lets people do.
    pub role: Role,
    /// When it stops to let anybody in, in milliseconds since 1970 UTC.
    pub expires_at: u64,
    /// How many may still join by it; absent where that is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u32>,
    /// How many joined by it and have not left.
    pub viewers: u32,
}

/// Somebody who joined a session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Viewer {
    /// Tells viewers of a node apart.
    pub number: u64,
    /// What it may do.
    pub role: Role,
    /// The invitation that it came by.
    pub invitation: u64,
    /// `live` while it is connected, `suspended` while its place is kept for it.
    pub state: SessionState,
    /// What it came by, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportChoice>,
    /// Units that were given to its transport.
    pub units_sent: u64,
    /// Units that it was not given: it could not have decoded them, or took less than the stream has.
    pub units_skipped: u64,
    /// Input of a spectator, or more than is taken.
    pub input_refused: u64,
}
