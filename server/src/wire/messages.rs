//! What the server says on the control channel.

use serde::Serialize;
use utoipa::ToSchema;

#[cfg(doc)]
use super::ClientMessage;
use super::{
    LeaseStatus, Role, SessionSaves, SliceReceipt, StartStep, Stats, TransportKind, Video,
};

/// What the server says on the control channel.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message.
    Hello {
        /// The session; for those who joined it, their own id.
        session: String,
        /// What the client may do.
        role: Role,
        /// The picture.
        video: Video,
        /// Encoder in use.
        encoder: String,
        /// What it codes, by its name in RTP: `H264`, `H265`, `AV1`, `VP9` or `VP8`.
        codec: String,
        /// What is to be known of it: that it does not keep up, or that pictures of their size are left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        encoder_caveat: Option<String>,
        /// Why each better encoder is not in use, one line each.
        declined: Vec<String>,
        /// Why the picture has standard range though the session was asked for in high dynamic range.
        #[serde(skip_serializing_if = "Option::is_none")]
        hdr_declined: Option<String>,
        /// Why the picture is smaller than its place (`view`): the node has no room for a larger screen now. It is asked for
        /// again every few seconds. For people.
        #[serde(skip_serializing_if = "Option::is_none")]
        screen_refused: Option<String>,
        /// What draws.
        device: String,
        /// What the session keeps; absent where that is nothing, before its game is there, and for those who joined.
        #[serde(skip_serializing_if = "Option::is_none")]
        saves: Option<SessionSaves>,
        /// What what is played makes of input; absent before it is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<InputTaken>,
        /// Whether the client may send its microphone's sound.
        microphone: MicrophoneAccess,
    },
    /// Answer at once with `pong`.
    Ping {
        /// To be returned.
        id: u32,
    },
    /// How it goes, a few times a second.
    Stats(Stats),
    /// A gamepad of the client is to rumble from now on, instead of what it did until now.
    Rumble {
        /// Which, 0 to 3.
        pad: u8,
        /// How hard with the heavy, slow motor, 0 to 65535.
        strong: u16,
        /// And with the light, fast one.
        weak: u16,
        /// Milliseconds; it ends by itself then.
        ms: u16,
    },
    /// A gamepad of the client is to look and feel like this from now on. What is absent stays as it is.
    PadEffects(PadEffects),
    /// The pointer of what is played, which is not part of the picture: to be shown over it wherever the user points.
    /// Said when it changes, and anew on each connection; never of what has none.
    Cursor(Cursor),
    /// Where the pointer is in what is played. Said to those who have no pointer of their own there: viewers, and players
    /// who [`Follow`](ClientMessage::Follow) it. Never while it is hidden.
    Pointer(Pointer),
    /// Something was copied in the game: it can be had now (`read_clipboard`). Said to the player only, where the session
    /// shares that.
    Clipboard {
        /// Counts what was copied in this session.
        number: u64,
    },
    /// What the start waits for.
    Starting {
        /// In the order of [`StartStep`].
        step: StartStep,
    },
    /// How the order stands that the session is of, and what was metered; when it changes and with each slice.
    Lease(LeaseStatus),
    /// A slice is durable: answer with `acknowledge`.
    Receipt(SliceReceipt),
    /// The session is about to end or be suspended.
    Warning {
        /// For people.
        reason: String,
        /// Milliseconds left.
        in_ms: u64,
    },
    /// The session is over; the connection closes.
    Ended {
        /// For people.
        reason: String,
        /// A code that never changes, such as `game_exited` and `game_crashed`; absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

/// What is done with input that not everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakenAs {
    /// All of it is taken.
    Itself,
    /// It is a pen with its pressure; tilt and twist are lost.
    WithPressure,
    /// It is the pointer: pressure, tilt and all fingers but one are lost.
    Pointer,
    /// Nothing of it is taken.
    Nothing,
}

/// What gamepads become in what is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PadsAs {
    /// Devices of the kernel.
    Devices,
    /// Devices that a library in the game shows it.
    Library,
    /// Nothing.
    Nothing,
}

/// What a session makes of input beyond keys, buttons and the pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InputTaken {
    /// Fingers.
    pub touch: TakenAs,
    /// Pens.
    pub pen: TakenAs,
    /// Motion and touchpads of gamepads are taken.
    pub pad_extras: bool,
    /// Text is taken.
    pub text: bool,
    /// Keys are better text than places, until the user chooses.
    pub prefers_text: bool,
    /// The pointer's place is better than its motion, for which the mouse is captured, until the user chooses.
    pub prefers_absolute: bool,
    /// Gamepads.
    pub pads: PadsAs,
    /// Why gamepads and pens are no devices of the kernel, where the game makes use of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_devices: Option<String>,
}

impl From<media::InputSupport> for InputTaken {
    fn from(support: media::InputSupport) -> Self {
        let media::InputSupport {
            touch,
            pen,
            pad_extras,
            text,
            prefers_text,
            prefers_absolute,
            pads,
            no_devices,
        } = support;
        let pads = match pads {
            media::PadsAs::Devices => PadsAs::Devices,
            media::PadsAs::Library => PadsAs::Library,
            media::PadsAs::Nothing => PadsAs::Nothing,
        };
        let taken = |as_what| match as_what {
            media::TakenAs::Itself => TakenAs::Itself,
            media::TakenAs::WithPressure => TakenAs::WithPressure,
            media::TakenAs::Pointer => TakenAs::Pointer,
            media::TakenAs::Nothing => TakenAs::Nothing,
        };
        let (touch, pen) = (taken(touch), taken(pen));
        Self { touch, pen, pad_extras, text, prefers_text, prefers_absolute, pads, no_devices }
    }
}

/// What a gamepad is to look and feel like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct PadEffects {
    /// Which, 0 to 3.
    pub pad: u8,
    /// Its colour: red, green, blue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light: Option<[u8; 3]>,
    /// A bit for each light that says which player it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players: Option<u8>,
    /// The left trigger: a mode of the DualSense, and what it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<[u8; 11]>,
    /// The same of the right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<[u8; 11]>,
}

/// A place in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pointer {
    /// Pixels of the session's picture at its full size (`hello`) from its left edge.
    pub x: i32,
    /// And from its upper one.
    pub y: i32,
}

/// Whether a client may send its microphone's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MicrophoneAccess {
    /// It may, and does so when its user wants it.
    Allowed,
    /// What is played does not listen.
    NotByGame,
    /// This node does not let it.
    NotByNode,
    /// Only the player may.
    NotByRole,
}

/// The pointer of what is played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cursor {
    /// Absent while it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<CursorLook>,
}

/// What a pointer looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CursorLook {
    /// A PNG of at most 24 kB, in base64.
    pub png: String,
    /// Pixels of the PNG, across and down: at most 128.
    pub size: [u32; 2],
    /// How much larger than the PNG it is to be shown, in pixels of the session's picture at its full size (`hello`).
    pub scale: u32,
    /// The pixel of the PNG that points, from its left and upper edges.
    pub hotspot: [u32; 2],
}

/// The transport that a client took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TransportChoice {
    /// The transport.
    pub kind: TransportKind,
    /// Why, in the client's words.
    pub reason: String,
}
