//! The tables, by version, and how a file is opened.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::LedgerError;

/// "NLgt": tells our databases from others.
const APPLICATION: u32 = 0x4e4c_6774;
/// Each brings a file from the version before to the next.
const STEPS: [&str; 1] = [V1];

/// Every table has its key in front and a digest of the row at the end. Without rowids and further indices there is one copy
/// of each key.
const V1: &str = "
CREATE TABLE receipts (
    chain BLOB NOT NULL, sequence INTEGER NOT NULL, bytes BLOB NOT NULL, signature BLOB NOT NULL,
    acknowledged BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (chain, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE tickets (
    id BLOB NOT NULL PRIMARY KEY, rent INTEGER NOT NULL, uses INTEGER NOT NULL,
    revoked INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE trials (
    rent INTEGER NOT NULL PRIMARY KEY, renter BLOB NOT NULL, day INTEGER NOT NULL,
    used_ms INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    id BLOB NOT NULL PRIMARY KEY, account BLOB NOT NULL, nonce INTEGER NOT NULL, born INTEGER NOT NULL,
    dies INTEGER NOT NULL, purpose TEXT NOT NULL, bytes BLOB NOT NULL, state INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
    number INTEGER NOT NULL PRIMARY KEY, key TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, kind TEXT NOT NULL,
    lines BLOB NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE TABLE accounts (
    name TEXT NOT NULL PRIMARY KEY, debits BLOB NOT NULL, credits BLOB NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE states (
    key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE counts (
    name TEXT NOT NULL PRIMARY KEY, rows INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Opens a file, makes it if it is not there, and brings it to the newest version.
pub(crate) fn open(path: &Path) -> Result<Connection, LedgerError> {
    let unopened = |why: String| LedgerError::Unopened { path: path.to_owned(), why };
    make(path).map_err(|error| unopened(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| unopened(error.to_string()))?;
    // Alone: no index of the log in shared memory, which on a full disk would end the process.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    let application: u32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (tables > 0 || application != 0) {
        return Err(LedgerError::Foreign);
    }
    let known = STEPS.len() as u32;
    if version > known {
        return Err(LedgerError::TooNew { found: version, known });
    }
    tighten(path).map_err(|error| unopened(error.to_string()))?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(unopened(format!("its journal is {mode} and cannot be wal")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    if version < known {
        let transaction = connection.transaction()?;
        for step in STEPS.iter().skip(version as usize) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Read and written by its owner, since who played when is in it.
const MODE: u32 = 0o600;

/// Makes a file that is not there. SQLite gives the log beside it the same permissions.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes from others what an earlier version, or somebody's hand, let them read: of the file and of a log that a crash left.
fn tighten(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::metadata(&name) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                fs::set_permissions(&name, Permissions::from_mode(MODE))?;
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
