//! A session: what is granted, how it goes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FrameCounts, Role, SessionSaves, SessionSharing, TransportChoice, Viewers};

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
    /// Bearer token for the receipts of this session alone (`/api/v1/lease/receipts`), also when it is over. Only in answers
    /// with a token of a player of a rented node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts_token: Option<String>,
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
    /// What its game tried that its sandbox refuses; absent where that is nothing, and for those who joined it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempts>,
    /// What it keeps; absent where that is nothing, before its game is there, and for those who joined it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saves: Option<SessionSaves>,
    /// What it may share with its player's own machine; absent where that is nothing, and for those who joined it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharing: Option<SessionSharing>,
}

/// What a game tried that its sandbox refuses: it was noticed, and came to nothing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempts {
    /// What it tried.
    pub what: AttemptKind,
    /// How often.
    pub count: u64,
}

/// What a game may try in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// To change what is mounted.
    Mounts,
    /// To make or enter namespaces.
    Namespaces,
    /// To look into other processes.
    Processes,
    /// To reach keys of the kernel.
    Keys,
    /// To use sockets that reach past the network.
    Sockets,
    /// To change the machine, or to load programs into its kernel.
    Machine,
    /// To connect or send to where nothing is that it may reach.
    Network,
    /// To open what the node keeps to itself.
    Files,
}

impl From<host::confine::Attempt> for AttemptKind {
    fn from(attempt: host::confine::Attempt) -> Self {
        use host::confine::Attempt;
        match attempt {
            Attempt::Mounts => Self::Mounts,
            Attempt::Namespaces => Self::Namespaces,
            Attempt::Processes => Self::Processes,
            Attempt::Keys => Self::Keys,
            Attempt::Sockets => Self::Sockets,
            Attempt::Machine => Self::Machine,
            Attempt::Network => Self::Network,
            Attempt::Files => Self::Files,
        }
    }
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
