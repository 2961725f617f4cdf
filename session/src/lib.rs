//! The core of a session, free of input and output: what happens next, who is let in, how fast to
//! send, when to draw, what each stage of a frame took, and which token may do what.
//!
//! Everything here is told the time as [`media::MediaTime`] and decides; drivers in `server` carry
//! out. This crate must never know an async runtime, a socket, a lock, a device, or the clock of the
//! system. Used wrongly (two drivers for one [`Machine`], a [`Permit`] that is thrown away instead of
//! released) a session outlives its end or its place is never given back.

pub mod access;
pub mod admission;
pub mod ahead;
pub mod clock_offset;
pub mod follow;
pub mod hands;
pub mod invitations;
pub mod lease;
pub mod ledger;
pub mod machine;
pub mod meter;
pub mod pacing;
pub mod rate;
pub mod reason;
pub mod receipts;
pub mod rental;
pub mod shares;
pub mod spaced;
pub mod tokens;
mod window;

pub use admission::{
    Admission, Capacity, Demand, Permit, PermitNumber, Refusal, Reserve, ViewerPermit,
};
pub use ahead::{Ahead, Settling};
pub use clock_offset::{ClockEstimate, ClockSync, ClockSyncConfig, PongError};
pub use follow::{Follow, KeyframeWishes};
pub use hands::Hands;
pub use invitations::{Invitation, InvitationError, Invitations, Role};
pub use ledger::{
    ClientReport, Counters, Joined, LatencyLedger, LatencySummary, LedgerConfig, LedgerStage,
    Percentiles, ReportError,
};
pub use machine::{
    Action, Decision, Drain, Event, Handled, Limits, Machine, Notice, Phase, Record, Summary,
};
pub use pacing::FramePacer;
pub use rate::{PathState, RateConfig, RateController};
pub use reason::{EndReason, StoppedBy};
pub use shares::Shares;
pub use spaced::Spaced;
pub use tokens::{Scope, TokenDigest, TokenError, Tokens, Use};
