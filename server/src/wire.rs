//! What travels as JSON: the HTTP API's bodies and the messages of the control channel.
//!
//! The client's types are generated from these through the OpenAPI document; nothing is typed twice.
//! Times of the client are microseconds of `performance.timeOrigin + performance.now()`; times of the
//! server are microseconds of its media clock. Lengths are milliseconds.

mod catalogue;
mod lease;
mod messages;
mod node;
mod said;
mod saves;
mod session;
mod sharing;
mod stats;
mod viewers;
mod wishes;

pub use catalogue::{Catalogue, CatalogueEntry, ControlHint, EntryKind, KeyboardMode};
pub use lease::{
    Acknowledgement, Bearer, BearerRequest, BearerRole, Challenge, Lease, LeaseCards, LeaseOrder,
    LeasePrice, LeaseStatus, LedgerEntry, LedgerLine, Multisig, MultisigSignature, NewChallenge,
    OrderAccount, PlayerKey, PlayerKeyKind, ReceiptRecord, Receipts, ReceiptsFile, ReceiptsFormat,
    SliceReceipt, TicketUse,
};
pub use messages::{
    Cursor, CursorLook, InputTaken, MicrophoneAccess, PadEffects, PadsAs, Pointer, ServerMessage,
    TakenAs, TransportChoice,
};
pub use node::{EncoderReport, Node, Problem, Room};
pub use said::{
    ClientMessage, FrameReport, LONGEST, LONGEST_REASON, MOST_REPORTS, Quality, Refused,
    TransportKind, View,
};
pub use saves::{RefusedSave, Save, SaveResult, SavedGame, SavedGames, Saves, SessionSaves};
pub use session::{
    AttemptKind, Attempts, IceServer, Session, SessionState, StartKind, StartStep, Video,
    WebSocket, WebTransport,
};
pub use sharing::{ClipboardRules, FileRules, SessionFile, SessionFiles, SessionSharing, Transfer};
pub use stats::{
    AudioStats, MicrophoneStats, PathCondition, Percentiles, RateLimit, RateStats, StageStat, Stats,
};
pub use viewers::{FrameCounts, Invitation, Role, Viewer, Viewers};
pub use wishes::{InvitedRole, Join, NewInvitation, NewSession, Ticket, VideoWish};
