//! What must survive: receipts, uses of tickets and trials, calls to the chain that are on their way, and accounts in
//! double entry. The only place in the workspace that knows a database (SQLite, compiled in).
//!
//! ```text
//!  sessions ──▶ bounded queue ──▶ one thread ──▶ one transaction for all that wait ──▶ disk
//!     ▲                                                        │
//!     └────────────── answered when it is durable ◀────────────┘
//! ```
//!
//! A [`Batch`] is written whole or not at all, and [`Ledger::commit`] answers when it is on the disk: the database is in
//! WAL mode and synchronised in full. Each row carries a digest of itself, and all of them are looked at when the file is
//! opened, so that damage is an error and never another number. Amounts are 16 bytes of big-endian; sums are made here, checked,
//! and never by SQL, whose integers end at 9,223 DBC.
//!
//! The file is this process's alone while it is open. This crate must never know a chain, a session or the clock.
//! Used wrongly (an answer that is not waited for) something is used that nobody pays.

mod accounts;
mod error;
mod export;
mod outbox;
mod receipts;
mod rows;
mod schema;
mod store;
mod uses;
mod verify;
mod writer;

pub use accounts::{AccountBalance, Entry, EntryError, Line, Side, StoredEntry};
pub use error::LedgerError;
pub use export::{Export, Exported, entries_csv, entries_json, receipts_csv};
pub use outbox::{Outgoing, OutgoingState};
pub use receipts::{ChainSummary, Receipt};
pub use verify::{Keys, verify};
pub use writer::{Batch, Ledger, Op, Options};
