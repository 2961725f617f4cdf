//! What one operation does to the database, and what is looked at when a file is opened.

use rusqlite::Connection;

use crate::error::LedgerError;
use crate::writer::Op;
use crate::{accounts, outbox, receipts, uses};

/// Applies an operation within the transaction that is open.
pub(crate) fn apply(connection: &Connection, op: &Op) -> Result<(), LedgerError> {
    match op {
        Op::Receipt(receipt) => receipts::append(connection, receipt),
        Op::Acknowledge(chain, sequence, signature) => {
            receipts::acknowledge(connection, chain, *sequence, signature)
        }
        Op::Ticket(ticket) => uses::put_ticket(connection, ticket),
        Op::Trial(trial) => uses::put_trial(connection, trial),
        Op::Sign(call) => outbox::put(connection, call),
        Op::Advance(id, state) => outbox::advance(connection, id, *state),
        Op::Post(entry) => accounts::post(connection, entry),
        Op::State(key, value) => uses::put_state(connection, key, value),
    }
}

/// Looks at the pages as SQLite knows them, then at every row as we do.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(LedgerError::Damaged(found));
    }
    receipts::check(connection)?;
    accounts::check(connection)?;
    uses::check(connection)?;
    outbox::all(connection).map(|_| ())
}
