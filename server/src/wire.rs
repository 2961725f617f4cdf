//! What travels as JSON: the HTTP API's bodies and the messages of the control channel.
//!
//! The client's types are generated from these through the OpenAPI document; nothing is typed twice.
//! Times of the client are microseconds of `performance.timeOrigin + performance.now()`; times of the
//! server are microseconds of its media clock. Lengths are milliseconds.

mod catalogue;
mod lease;
mod messages;
mod node;
mod saves;
mod session;
mod sharing;
mod stats;
mod viewers;

pub use catalogue::{Catalogue, CatalogueEntry, ControlHint, EntryKind, KeyboardMode};
pub use lease::{
    Acknowledgement, Bearer, BearerRequest, BearerRole, Challenge, Lease, LeaseCards, LeaseOrder,
    LeasePrice, LeaseStatus, LedgerEntry, LedgerLine, Multisig, MultisigSignature, NewChallenge,
    OrderAccount, PlayerKey, PlayerKeyKind, ReceiptRecord, Receipts, ReceiptsFile, ReceiptsFormat,
    SliceReceipt, TicketUse,
};
pub use messages::{
    ClientMessage, Cursor, CursorLook, FrameReport, InputTaken, MicrophoneAccess, PadEffects,
    PadsAs, Pointer, ServerMessage, TakenAs, TransportChoice, TransportKind,
};
pub use node::{EncoderReport, Node, Problem, Room};
pub use saves::{RefusedSave, Save, SaveResult, SavedGame, SavedGames, Saves, SessionSaves};
pub use session::{
    AttemptKind, Attempts, IceServer, NewSession, Quality, Session, SessionState, StartKind,
    StartStep, Ticket, Video, VideoWish, View, WebSocket, WebTransport,
};
pub use sharing::{ClipboardRules, FileRules, SessionFile, SessionFiles, SessionSharing, Transfer};
pub use stats::{
    AudioStats, MicrophoneStats, PathCondition, Percentiles, RateLimit, RateStats, StageStat, Stats,
};
pub use viewers::{
    FrameCounts, Invitation, InvitedRole, Join, NewInvitation, Role, Viewer, Viewers,
};
