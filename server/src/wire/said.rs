//! What a client says on the control channel, and how it is read. This file and `wishes` know nothing of the server, so that
//! they can be fuzzed without it.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// Longest message that is parsed, in bytes: 64 frame reports have about 6 kB.
pub const LONGEST: usize = 16 * 1024;
/// Most frame reports in a message.
pub const MOST_REPORTS: usize = 64;
/// Characters of a client's reason that are kept.
pub const LONGEST_REASON: usize = 200;

/// Why a message is refused.
#[derive(Debug, Error)]
pub enum Refused {
    /// It is too long to be looked at.
    #[error("a control message has {0} bytes, more than {LONGEST}")]
    Long(usize),
    /// It is none.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// It reports on too many frames.
    #[error("a message reports on {0} frames, more than {MOST_REPORTS}")]
    Reports(usize),
}

/// What the client says on the control channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Answer to `ping`.
    Pong {
        /// Of the ping.
        id: u32,
        /// The client's clock, microseconds.
        client_us: u64,
    },
    /// When frames were decoded and presented; at most 64 a message, about ten messages a second.
    Frames {
        /// Reports.
        frames: Vec<FrameReport>,
    },
    /// Whether the page can be seen.
    Visibility {
        /// It can.
        visible: bool,
    },
    /// The picture is shown in a place of this size from now on. What is played follows it where it can, up to its
    /// largest screen, and where the node has room for that (`screen_refused`); each change costs a keyframe. Of the player
    /// only.
    View(View),
    /// The user wants no more than this from now on, within what the session was granted. Of the player only.
    Quality(Quality),
    /// Whether the client is to be told where the pointer is: one without a mouse is. Viewers are told anyway.
    Follow {
        /// It is.
        pointer: bool,
    },
    /// The client plays sound in so many channels from now on: two before it says so on a connection. It is sent 5.1 where it
    /// has six, and 7.1 where it has eight, while what is played has as many: `channels` of the statistics' `audio` says what
    /// is sent. What the player has decides what games are offered. A client whose browser plays WebRTC's track itself has two.
    Sound {
        /// Channels.
        channels: u8,
    },
    /// Nothing can be shown before a keyframe comes: the decoder failed, or frames refer to what never came.
    // Without braces serde would take any field of it.
    Keyframe {},
    /// Which transport the client took, and why.
    Transport {
        /// The transport.
        kind: TransportKind,
        /// For people; the first 200 characters are kept.
        reason: String,
    },
    /// The player acknowledges a slice.
    Acknowledge {
        /// Of the receipt.
        chain: String,
        /// Of the receipt.
        sequence: u32,
        /// Of the session key, over what `docs/receipts.md` says; 128 hexadecimal digits.
        signature: String,
    },
    /// The user left.
    Bye {},
}

impl ClientMessage {
    /// Reads a message. What it holds is bounded: [`MOST_REPORTS`], and a line of [`LONGEST_REASON`] characters.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn read(message: &[u8]) -> Result<Self, Refused> {
        if message.len() > LONGEST {
            return Err(Refused::Long(message.len()));
        }
        Ok(match serde_json::from_slice(message)? {
            Self::Frames { frames } if frames.len() > MOST_REPORTS => {
                return Err(Refused::Reports(frames.len()));
            }
            Self::Transport { kind, reason } => {
                // It goes to whoever looks at the sessions: one line, and no long one.
                let line = reason.chars().filter(|each| !each.is_control()).take(LONGEST_REASON);
                Self::Transport { kind, reason: line.collect() }
            }
            read => read,
        })
    }
}

/// How a session reaches its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TransportKind {
    WebRtc,
    WebTransport,
    WebSocket,
}

/// What the client saw of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FrameReport {
    /// The frame's RTP timestamp.
    pub rtp: u32,
    /// When it was whole in front of the decoder, the client's clock, microseconds; absent where the browser
    /// does not tell.
    pub received_us: Option<u64>,
    /// When the decoder returned it, the client's clock, microseconds.
    pub decoded_us: u64,
    /// When it was drawn, the client's clock, microseconds.
    pub presented_us: u64,
}

/// What a user wants at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Kilobits per second; absent for all that was granted.
    pub max_kbps: Option<u32>,
    /// Frames per second; absent for all that was granted.
    pub fps: Option<u32>,
}

/// The place that a client shows the picture in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Device pixels across.
    pub width: u32,
    /// Device pixels down.
    pub height: u32,
    /// Dots an inch that what is played should count on: 96 times the device pixels in a CSS pixel.
    pub dpi: u32,
}
