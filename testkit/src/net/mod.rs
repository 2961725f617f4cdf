//! Networks that are made: links with scripted rates, losses and outages, the scenarios that figures
//! are taken over, and flows that compete for them.
//!
//! ```text
//!             scenarios ── Script ──┐
//!                                   ▼
//!  sender ── packets ──▶ Link (loss, queue, bottleneck, delay) ──▶ receiver
//!         ◀── reports ── Link (the way back)                  ◀──
//! ```
//!
//! Everything but the relay is pure and told the time: minutes of traffic are over in milliseconds, the
//! same on every machine.

mod link;
mod loss;
mod path;
mod pipe;
mod relay;
pub mod scenarios;
mod script;
mod sdp;
mod tcp;

pub use link::{Arrival, Fate, Link, LinkConfig, LinkCounts, Queue};
pub use loss::Loss;
pub use path::Receiver;
pub use relay::{Passage, Relay, RelayCounts};
pub use scenarios::Scenario;
pub use script::Script;
pub use sdp::{through, without_candidates};
pub use tcp::{TcpFlow, TcpKind};
