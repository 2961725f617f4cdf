//! DeepBrain Chain as [`session::rental::RentalChain`], by `subxt`: the only crate that sees SCALE.
//!
//! ```text
//!  addresses ──▶ watch: one link at a time, the next one where it fails ──▶ heads (newest only)
//!                              │
//!  reads ───────▶ block: at its hash, by the names in its metadata ──▶ items
//!  calls ──▶ predict ──▶ ceiling ──▶ sign ──▶ outbox (durable) ──▶ keeper: send, send again, find in final blocks ──▶ proof
//! ```
//!
//! Everything is read by the names of pallets and fields out of the metadata of the very block, so that one program runs
//! on runtimes 400 to 411 and through an upgrade. Items that are needed are looked for when a runtime is first met; a
//! missing one is an error by name, and one that came with a later runtime has a default that
//! [`session::rental::ChainIdentity::defaults`] lists. Typed runtime APIs and custom methods are not used: the chain's
//! metadata (version 14) does not have the former and not every node the latter.
//!
//! Reads and sendings are repeated on another node when one fails. A call is answered from finalized blocks alone.
//! This crate must never know a session, a lease or the HTTP interface. Used wrongly (two processes with one account and two
//! outboxes) both sign with one nonce, and one of the two calls is not included.

mod block;
mod call;
mod client;
mod era;
mod items;
mod keeper;
mod link;
#[cfg(test)]
mod made;
mod options;
mod paid;
mod plans;
mod proof;
mod reads;
mod shape;
mod signing;
mod wallet;
mod watch;

pub use client::Chain;
pub use keeper::Resumed;
pub use options::Options;
pub use wallet::{Wallet, WalletError};
