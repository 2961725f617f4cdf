//! What travels as JSON: the HTTP API's bodies and the messages of the control channel.
//!
//! The client's types are generated from these through the OpenAPI document; nothing is typed twice.
//! Times of the client are microseconds of `performance.timeOrigin + performance.now()`; times of the
//! server are microseconds of its media clock. Lengths are milliseconds.

mod lease;
mod saves;
mod sharing;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use lease::{
    Acknowledgement, Bearer, BearerRequest, BearerRole, Challenge, Lease, LeaseOrder, LeaseStatus,
    Multisig, MultisigSignature, NewChallenge, PlayerKey, PlayerKeyKind, ReceiptRecord, Receipts,
    ReceiptsFile, ReceiptsFormat, SliceReceipt, TicketUse,
};
pub use saves::{RefusedSave, Save, SaveResult, Saves, SessionSaves};
pub use sharing::{ClipboardRules, FileRules, SessionFile, SessionFiles, SessionSharing, Transfer};

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

/// Asks for a session.
#[derive(Debug, Clone, Deserialize, ToSchema)]
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
    /// tells in [`Session::saves`], and takes the newest whole one before it.
    #[serde(default)]
    pub save: Option<String>,
    /// On a rented node: what the player acknowledges receipts with. Without it they say that nobody does.
    #[serde(default)]
    pub player_key: Option<PlayerKey>,
}

/// What a user wants at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Kilobits per second; absent for all that was granted.
    pub max_kbps: Option<u32>,
    /// Frames per second; absent for all that was granted.
    pub fps: Option<u32>,
}

/// The place that a client shows the picture in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Device pixels across.
    pub width: u32,
    /// Device pixels down.
    pub height: u32,
    /// Dots an inch that what is played should count on: 96 times the device pixels in a CSS pixel.
    pub dpi: u32,
}

/// Wishes for the picture; what the node grants stands in [`Session::video`].
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
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

/// The picture that a session has.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Video {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Most kilobits per second.
    pub max_kbps: u32,
    /// High dynamic range (HDR10); of a session, for clients that decode it.
    pub hdr: bool,
}

/// A session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Session {
    /// Unique across nodes.
    pub id: String,
    /// Catalogue id.
    pub app: String,
    /// Where it is in its life.
    pub state: SessionState,
    /// What its start waits for; absent once it has a picture, and of what tells nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting: Option<StartStep>,
    /// How it began; absent until that is known, and of what is never started ahead of its players.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<StartKind>,
    /// Why it is there, for people: present once refused, ending or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The picture.
    pub video: Video,
    /// Absolute address of this resource.
    pub url: String,
    /// Absolute address to POST an SDP offer to (WHEP).
    pub whep_url: String,
    /// Where the session can be had by WebTransport; absent where the node does not offer it, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webtransport: Option<WebTransport>,
    /// Absolute address to POST to for one to connect to by WebSocket; absent where the node does not offer it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_url: Option<String>,
    /// Bearer token for this session's addresses; only in the answer that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Absolute address of the page that plays this session; it carries a ticket that works once,
    /// for handing the session to a player. Only in the answer that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub play_url: Option<String>,
    /// Ticket that works once, to be redeemed for another token in place of this one: for a page that is loaded
    /// again. Only in answers with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_ticket: Option<String>,
    /// STUN and TURN servers for the client.
    pub ice_servers: Vec<IceServer>,
    /// What the client took, once one that tells is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportChoice>,
    /// What whoever holds the token of this answer does in the session.
    pub role: Role,
    /// Those who joined by invitations and are connected.
    pub viewers: Viewers,
    /// What its pictures cost, whoever watches.
    pub frames: FrameCounts,
    /// What it keeps; absent where that is nothing, before its game is there, and for those who joined it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saves: Option<SessionSaves>,
    /// What it may share with its player's own machine; absent where that is nothing, and for those who joined it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<SessionSharing>,
}

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

/// A role that an invitation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitedRole {
    /// Sees, hears and plays.
    CoPlayer,
    /// Sees and hears.
    Spectator,
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

/// Asks for a link that lets others join a session.
#[derive(Debug, Clone, Deserialize, ToSchema)]
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

/// What an invitation's link carries.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// From the fragment of an invitation's `url`.
    pub invitation: String,
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

/// Where a session can be had by WebTransport.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebTransport {
    /// Address to connect to. It carries a ticket that works once, for as long as `sessions.connect` says; a
    /// client appends `&decodes=H264,VP9` with the codecs that it decodes (of `H264`, `H265`, `VP8`, `VP9`,
    /// `AV1`), and `&decodes10=` with those that it decodes in 10 bits a sample.
    pub url: String,
    /// SHA-256 of the certificates that the node may show, in base64, for `serverCertificateHashes`; empty
    /// where browsers know its issuer.
    pub certificate_hashes: Vec<String>,
}

/// Where a session can be had by WebSocket.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WebSocket {
    /// Works once, and for a short time; append `&decodes=` with codecs.
    pub url: String,
}

/// A ticket to be redeemed for a session's token.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// From the fragment of a `play_url`.
    pub ticket: String,
}

/// A STUN or TURN server as `RTCIceServer` wants it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// Addresses.
    pub urls: Vec<String>,
    /// User name of TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password of TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Where a session is in its life (see ARCHITECTURE.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SessionState {
    Requested,
    Admitted,
    Starting,
    Live,
    Suspended,
    Ending,
    Ended,
}

/// What the start of a game waits for, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    /// The sandbox that it runs in.
    Sandbox,
    /// Its display.
    Display,
    /// Its files, and its program.
    Game,
    /// The first picture that it draws.
    Picture,
}

/// How a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartKind {
    /// It was started ahead of its player, and went on.
    Warm,
    /// It was started for its player.
    Cold,
}

/// What the node is and can do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Node {
    /// Version of the server.
    pub version: String,
    /// Whether sessions can be had without a token.
    pub open: bool,
    /// The graphics device.
    pub device: String,
    /// Encoders in order of preference, with the reason why one is not used.
    pub encoders: Vec<EncoderReport>,
}

/// One row of the encoder table.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EncoderReport {
    /// Candidate.
    pub name: String,
    /// Codec.
    pub codec: String,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// `ok`, or why it is not used, or is used although it does not keep up; for a session of the configured size and
    /// frame rate.
    pub verdict: String,
    /// Whether such a session uses it.
    pub chosen: bool,
    /// Microseconds that it takes for a million pixels of eight bits with the configured preset, measured on this
    /// machine; only where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us_per_megapixel: Option<u32>,
    /// The same for HDR10; only where it codes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us_per_megapixel_hdr: Option<u32>,
}

/// An error (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem, such as `/problems/unknown-session`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This occurrence in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When to try again, in seconds, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// What there is no room in: present where a session or a viewer was refused for the want of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
}

/// A sum of the node in which there is no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Room {
    /// `sessions`, `viewers`, `render`, `cpu`, `encoder`, `memory` or `egress`.
    pub sum: String,
    /// What it is counted in.
    pub unit: String,
    /// What was asked for.
    pub asked: u64,
    /// What is left.
    pub left: u64,
    /// When somebody is expected to leave, in seconds, by how long sessions usually last here; null where that is
    /// unknown.
    pub expected_wait: Option<u32>,
}

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
    },
}

/// What is done with input that not everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TakenAs {
    /// All of it is taken.
    Itself,
    /// It is the pointer: pressure, tilt and all fingers but one are lost.
    Pointer,
    /// Nothing of it is taken.
    Nothing,
}

/// What a session makes of input beyond keys, buttons and the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
}

impl From<media::InputSupport> for InputTaken {
    fn from(support: media::InputSupport) -> Self {
        let media::InputSupport { touch, pen, pad_extras, text, prefers_text } = support;
        let taken = |as_what| match as_what {
            media::TakenAs::Itself => TakenAs::Itself,
            media::TakenAs::Pointer => TakenAs::Pointer,
            media::TakenAs::Nothing => TakenAs::Nothing,
        };
        Self { touch: taken(touch), pen: taken(pen), pad_extras, text, prefers_text }
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
    /// Pixels of the session's picture from its left edge.
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
    /// How much larger than the PNG it is to be shown, in pixels of the session's picture.
    pub scale: u32,
    /// The pixel of the PNG that points, from its left and upper edges.
    pub hotspot: [u32; 2],
}

/// How a session goes, over the last second.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Stats {
    /// Frames encoded a second.
    pub fps: f64,
    /// Kilobits a second sent.
    pub kbps: u32,
    /// Kilobits a second that the encoder aims at.
    pub target_kbps: u32,
    /// Size of the coded picture.
    pub coded: [u32; 2],
    /// Size that is drawn before scaling to the coded size.
    pub internal: [u32; 2],
    /// Round trip of the control channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Half width of the interval that the clock offset lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_error_ms: Option<f64>,
    /// Frames that were not encoded because nothing changed, in all.
    pub unchanged: u64,
    /// Frames dropped before the encoder, in all.
    pub dropped: u64,
    /// Keyframes, in all.
    pub keyframes: u64,
    /// Input events of this client that were dropped, since it sent more than is taken, in all.
    pub input_dropped: u64,
    /// Those who watch and play along.
    pub viewers: Viewers,
    /// What the rate follows.
    pub rate: RateStats,
    /// The sound; absent where the session has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioStats>,
    /// The player's microphone; absent where the client may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microphone: Option<MicrophoneStats>,
    /// Stages in order; they sum to the whole.
    pub stages: Vec<StageStat>,
    /// Mean from capture to presentation, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_total: Option<f64>,
    /// From capture to presentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Percentiles>,
}

/// A session's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AudioStats {
    /// What codes it.
    pub codec: String,
    /// Kilobits a second, over the last second.
    pub kbps: u32,
    /// Kilobits a second that the encoder aims at.
    pub target_kbps: u32,
    /// There is nothing to hear, and next to nothing is sent.
    pub silent: bool,
    /// Percentage of loss that packets make up for by what they say of those before them.
    pub expected_loss: u32,
    /// Packets that found the queue of somebody who listens full, in all.
    pub refused: u64,
    /// Why there is no sound any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What came of a player's microphone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MicrophoneStats {
    /// Something came lately.
    pub on: bool,
    /// What is played records it, be it on or not.
    pub recorded: bool,
    /// Kilobits a second, over the last second.
    pub kbps: u32,
    /// Packets that came, in all.
    pub packets: u64,
    /// Packets that did not come, in all.
    pub lost: u64,
    /// Of them, those right before a packet that came, which says something of them where the browser expects losses.
    pub recovered: u64,
    /// Packets that came too late, were none, or found the decoder's queue full, in all.
    pub refused: u64,
    /// Milliseconds of it that wait to be recorded.
    pub buffer_ms: u32,
    /// Milliseconds of it that were left out, since they were too much or too late, in all.
    pub dropped_ms: u32,
    /// Why nothing is heard any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// What a session's rate follows.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct RateStats {
    /// What the path is like.
    pub path: PathCondition,
    /// What keeps the session from more.
    pub limited_by: RateLimit,
    /// How long the newest packet that is known of waited on its way, in milliseconds.
    pub queue_ms: f64,
    /// Kilobits a second that arrive.
    pub arrives_kbps: u32,
    /// Part of the frame rate that pictures are made at, at most 1.
    pub frame_rate: f64,
    /// Part of both edges of the size that they are coded at, at most 1.
    pub size: f64,
    /// How often that changed in this session. Each change is a keyframe; two are at least 5 s apart.
    pub size_changes: u32,
}

/// What a path is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathCondition {
    /// There is room.
    Clear,
    /// A queue has begun to stand.
    Filling,
    /// More is sent than passes.
    Overused,
    /// Others fill the queue.
    Contended,
}

/// What keeps a session from more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateLimit {
    /// What the path takes.
    Link,
    /// The client does not keep up.
    Client,
    /// The most that the session may have.
    Ceiling,
    /// The source has no more to show.
    Source,
}

/// One stage of the latency ledger.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StageStat {
    /// Its name; `network` stands for network, jitter buffer and decoder together where there is no `decode`.
    pub stage: String,
    /// Its length.
    pub ms: Percentiles,
    /// Its mean length in milliseconds over the frames whose whole way is known; of all stages they add up to
    /// [`Stats::mean_total`], which percentiles do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// What the client says on the control channel.
#[derive(Debug, Clone, Deserialize, ToSchema)]
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
    /// largest screen; each change costs a keyframe. Of the player only.
    View(View),
    /// The user wants no more than this from now on, within what the session was granted. Of the player only.
    Quality(Quality),
    /// Whether the client is to be told where the pointer is: one without a mouse is. Viewers are told anyway.
    Follow {
        /// It is.
        pointer: bool,
    },
    /// Nothing can be shown before a keyframe comes: the decoder failed, or frames refer to what never came.
    Keyframe,
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
    Bye,
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

/// The transport that a client took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TransportChoice {
    /// The transport.
    pub kind: TransportKind,
    /// Why, in the client's words.
    pub reason: String,
}

/// What the client saw of one frame.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
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
