//! What can go wrong with a ledger. Nothing is half written, whatever it is.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::accounts::EntryError;

/// Why nothing was written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The disk has no room.
    #[error("the disk of the ledger is full")]
    DiskFull,
    /// The disk failed, or the file may not grow.
    #[error("the disk of the ledger failed: {0}")]
    Disk(String),
    /// The file is not what was written into it.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// Another process has it open.
    #[error("the ledger is open in another process")]
    Locked,
    /// It cannot be opened at all.
    #[error("the ledger {} cannot be opened: {why}", path.display())]
    Unopened {
        /// Where it is.
        path: PathBuf,
        /// What SQLite or the system said.
        why: String,
    },
    /// It was written by a later version of this program.
    #[error("the ledger is of version {found}, and this program knows versions up to {known}")]
    TooNew {
        /// The file's.
        found: u32,
        /// The program's.
        known: u32,
    },
    /// The file is a database of something else.
    #[error("the file is a database, but no ledger of this program")]
    Foreign,
    /// A receipt does not follow the one before, or is another one in its place.
    #[error("the receipt does not fit its chain: {0}")]
    Receipt(&'static str),
    /// A count would go back, or a revocation be taken back.
    #[error("the record of this use would take something back: {0}")]
    Use(&'static str),
    /// A call to the chain does not fit those that are there.
    #[error("the call does not fit those that are on their way: {0}")]
    Outgoing(&'static str),
    /// An entry does not balance, or is another one under the same key.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// The queue is full: more than it can write is asked for.
    #[error("the ledger has more to write than it can")]
    Busy,
}

impl LedgerError {
    /// Whether a single operation was refused, as against the file or the disk having failed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Receipt(_) | Self::Use(_) | Self::Outgoing(_) | Self::Entry(_))
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            // What the schema does not allow was never written by this program.
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                Self::Damaged(error.to_string())
            }
            Some(_) => Self::Disk(error.to_string()),
            None => Self::Damaged(error.to_string()),
        }
    }
}
