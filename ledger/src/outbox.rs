//! Calls to the chain that are on their way: the exact bytes that were signed, before they are sent, so that a retry after a
//! crash sends those and signs nothing anew.

use rusqlite::{Connection, OptionalExtension as _, params};
use session::rental::{AccountId, BlockNumber};

use crate::error::LedgerError;
use crate::rows::{Fields, count, damaged, fixed, narrow, unsigned};
use crate::uses::whole;

const TABLE: &str = "outbox";

/// How far a call is.
///
/// ```text
///  Signed ──▶ Sent ──▶ Included (with success or without)
///     └────────┼─────▶ Dropped: finalized state shows that its era passed, or that its nonce was taken
///              └─────▶ Unproven: what would show it is gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutgoingState {
    /// Durable, perhaps sent.
    Signed,
    /// A node took it.
    Sent,
    /// It is in a finalized block.
    Included,
    /// It never will be.
    Dropped,
    /// Nobody can tell any more.
    Unproven,
}

impl OutgoingState {
    const ALL: [Self; 5] =
        [Self::Signed, Self::Sent, Self::Included, Self::Dropped, Self::Unproven];

    /// Whether nothing comes after it.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Included | Self::Dropped | Self::Unproven)
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The hash of the bytes, as the chain names it.
    pub id: [u8; 32],
    /// Who signed it.
    pub account: AccountId,
    /// Its nonce.
    pub nonce: u32,
    /// The block that its era begins with.
    pub born: BlockNumber,
    /// The block from which on it cannot be included.
    pub dies: BlockNumber,
    /// What it is for, as whoever made it understands: `rent`, `confirm/77`.
    pub purpose: String,
    /// The signed bytes.
    pub bytes: Vec<u8>,
    /// How far it is.
    pub state: OutgoingState,
}

fn fields(call: &Outgoing) -> Fields {
    Fields::of(TABLE)
        .bytes(&call.id)
        .bytes(&call.account.0)
        .number(call.nonce.into())
        .number(call.born.0.into())
        .number(call.dies.0.into())
        .bytes(call.purpose.as_bytes())
        .bytes(&call.bytes)
        .number(call.state as u64)
}

/// Writes a call that was signed; the same one again changes nothing. No two calls of an account that may yet be included have one
/// nonce.
pub(crate) fn put(connection: &Connection, call: &Outgoing) -> Result<(), LedgerError> {
    if call.state != OutgoingState::Signed {
        return Err(LedgerError::Outgoing("a new call is signed and nothing else"));
    }
    if let Some(there) = one(connection, &call.id)? {
        let is_same = Outgoing { state: OutgoingState::Signed, ..there } == *call;
        return if is_same {
            Ok(())
        } else {
            Err(LedgerError::Outgoing("another call has its hash"))
        };
    }
    let taken = all(connection)?.into_iter().any(|there| {
        (there.account, there.nonce) == (call.account, call.nonce)
            && there.state != OutgoingState::Dropped
    });
    if taken {
        return Err(LedgerError::Outgoing("its nonce is another call's"));
    }
    count(connection, TABLE)?;
    write(connection, call)
}

/// Says how far a call is. What is over stays so.
pub(crate) fn advance(
    connection: &Connection,
    id: &[u8; 32],
    state: OutgoingState,
) -> Result<(), LedgerError> {
    let there = one(connection, id)?.ok_or(LedgerError::Outgoing("there is no such call"))?;
    if there.state == state {
        return Ok(());
    }
    if there.state.is_last() || state == OutgoingState::Signed {
        return Err(LedgerError::Outgoing("it is further already"));
    }
    write(connection, &Outgoing { state, ..there })
}

fn write(connection: &Connection, call: &Outgoing) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO outbox (id, account, nonce, born, dies, purpose, bytes, state, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            call.id,
            call.account.0,
            call.nonce,
            call.born.0,
            call.dies.0,
            call.purpose,
            call.bytes,
            call.state as i64,
            fields(call).digest()
        ])?;
    Ok(())
}

const COLUMNS: &str =
    "SELECT id, account, nonce, born, dies, purpose, bytes, state, digest FROM outbox";

struct Row {
    id: Vec<u8>,
    account: Vec<u8>,
    numbers: [i64; 4],
    purpose: String,
    bytes: Vec<u8>,
    digest: Vec<u8>,
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        account: row.get(1)?,
        numbers: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(7)?],
        purpose: row.get(5)?,
        bytes: row.get(6)?,
        digest: row.get(8)?,
    })
}

fn checked(row: Row) -> Result<Outgoing, LedgerError> {
    let [nonce, born, dies, state] = row.numbers;
    let state =
        usize::try_from(unsigned(state)).ok().and_then(|state| OutgoingState::ALL.get(state));
    let call = Outgoing {
        id: fixed(&row.id, TABLE)?,
        account: AccountId(fixed(&row.account, TABLE)?),
        nonce: narrow(nonce, TABLE)?,
        born: BlockNumber(narrow(born, TABLE)?),
        dies: BlockNumber(narrow(dies, TABLE)?),
        purpose: row.purpose,
        bytes: row.bytes,
        state: *state.ok_or_else(|| damaged(TABLE))?,
    };
    fields(&call).check(&row.digest, TABLE)?;
    Ok(call)
}

fn one(connection: &Connection, id: &[u8; 32]) -> Result<Option<Outgoing>, LedgerError> {
    let found = connection
        .prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?
        .query_row([id], row)
        .optional()?;
    found.map(checked).transpose()
}

/// All calls by account and nonce. A node makes a handful a day.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Outgoing>, LedgerError> {
    let mut statement =
        connection.prepare_cached(&format!("{COLUMNS} ORDER BY account, nonce, id"))?;
    let rows = statement.query_map([], row)?;
    let calls = rows.map(|row| checked(row?)).collect::<Result<Vec<_>, _>>()?;
    whole(connection, TABLE, calls)
}
