//! What one operation does to the database, and what is looked at when a file is opened.

use rusqlite::Connection;

use crate::error::LedgerError;
use crate::rows::counted;
use crate::writer::Op;
use crate::{accounts, outbox, receipts, uses};

/// Tables that grow with sessions and calls, not with the time that is played.
const SMALL: [&str; 7] = ["tickets", "trials", "outbox", "entries", "accounts", "states", "counts"];

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

/// Looks at the pages as SQLite knows them, then at every row as we do. Of more receipts than `whole` it looks at those of open
/// chains and at the ends of closed ones, and at the pages of the other tables.
pub(crate) fn check(connection: &Connection, whole: u64) -> Result<(), LedgerError> {
    let pages = |which: &str| {
        let asked = format!("PRAGMA integrity_check({which})");
        let found: String = connection.query_row(&asked, [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(LedgerError::Damaged(found)) }
    };
    if counted(connection, receipts::TABLE)? <= whole {
        pages("1")?;
        receipts::check(connection)?;
    } else {
        SMALL.into_iter().try_for_each(pages)?;
        receipts::check_ends(connection)?;
    }
    accounts::check(connection)?;
    uses::check(connection)?;
    outbox::all(connection).map(|_| ())
}
