//! Uses of tickets and trials, and small states by name. Counts go up and revocations stay.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use session::access::{TicketId, TicketRecord};
use session::lease::TrialUse;
use session::rental::{AccountId, RentId};

use crate::error::LedgerError;
use crate::rows::{Fields, count, counted, fixed, narrow, signed, unsigned};

const TICKETS: &str = "tickets";
const TRIALS: &str = "trials";
const STATES: &str = "states";
/// Bytes of a state at most.
const MOST_STATE: usize = 1 << 20;

fn ticket_fields(ticket: &TicketRecord) -> Fields {
    Fields::of(TICKETS)
        .bytes(&ticket.id.0)
        .number(ticket.rent_id.0)
        .number(ticket.uses.into())
        .number(ticket.revoked.into())
}

/// Writes how often a ticket was used and whether it was revoked.
pub(crate) fn put_ticket(
    connection: &Connection,
    ticket: &TicketRecord,
) -> Result<(), LedgerError> {
    let there = connection
        .prepare_cached("SELECT id, rent, uses, revoked, digest FROM tickets WHERE id = ?1")?
        .query_row([ticket.id.0], ticket_row)
        .optional()?;
    match there.map(checked_ticket).transpose()? {
        None => {
            count(connection, TICKETS)?;
        }
        Some(there) if there.rent_id != ticket.rent_id => {
            return Err(LedgerError::Use("the ticket is of another order"));
        }
        // To take it back again is no use.
        Some(there)
            if there.uses > ticket.uses || (there.uses == ticket.uses && !ticket.revoked) =>
        {
            return Err(LedgerError::Use("it was used more often already"));
        }
        Some(there) if there.revoked && !ticket.revoked => {
            return Err(LedgerError::Use("the ticket is revoked"));
        }
        Some(_) => {}
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO tickets (id, rent, uses, revoked, digest) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            ticket.id.0,
            signed(ticket.rent_id.0),
            ticket.uses,
            ticket.revoked,
            ticket_fields(ticket).digest()
        ])?;
    Ok(())
}

type TicketRow = (Vec<u8>, i64, i64, i64, Vec<u8>);

fn ticket_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<TicketRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn checked_ticket(
    (id, rent, uses, revoked, digest): TicketRow,
) -> Result<TicketRecord, LedgerError> {
    let ticket = TicketRecord {
        id: TicketId(fixed(&id, TICKETS)?),
        rent_id: RentId(unsigned(rent)),
        uses: narrow(uses, TICKETS)?,
        revoked: revoked != 0,
    };
    ticket_fields(&ticket).check(&digest, TICKETS)?;
    Ok(ticket)
}

/// All tickets that are known.
pub(crate) fn tickets(connection: &Connection) -> Result<Vec<TicketRecord>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT id, rent, uses, revoked, digest FROM tickets ORDER BY id")?;
    let rows = statement.query_map([], ticket_row)?;
    let tickets = rows.map(|row| checked_ticket(row?)).collect::<Result<Vec<_>, _>>()?;
    whole(connection, TICKETS, tickets)
}

fn trial_fields(trial: &TrialUse) -> Fields {
    Fields::of(TRIALS)
        .number(trial.rent_id.0)
        .bytes(&trial.renter.0)
        .number(trial.day.into())
        .number(trial.used.as_millis() as u64)
}

/// Writes how long an order was tried. That may go back, when a trial ended before its time.
pub(crate) fn put_trial(connection: &Connection, trial: &TrialUse) -> Result<(), LedgerError> {
    let there = connection
        .prepare_cached("SELECT rent, renter, day, used_ms, digest FROM trials WHERE rent = ?1")?
        .query_row([signed(trial.rent_id.0)], trial_row)
        .optional()?;
    match there.map(checked_trial).transpose()? {
        None => {
            count(connection, TRIALS)?;
        }
        Some(there) if (there.renter, there.day) != (trial.renter, trial.day) => {
            return Err(LedgerError::Use("the trial is another renter's or of another day"));
        }
        Some(_) => {}
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO trials (rent, renter, day, used_ms, digest) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            signed(trial.rent_id.0),
            trial.renter.0,
            trial.day,
            signed(trial.used.as_millis() as u64),
            trial_fields(trial).digest()
        ])?;
    Ok(())
}

type TrialRow = (i64, Vec<u8>, i64, i64, Vec<u8>);

fn trial_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<TrialRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn checked_trial((rent, renter, day, used, digest): TrialRow) -> Result<TrialUse, LedgerError> {
    let trial = TrialUse {
        rent_id: RentId(unsigned(rent)),
        renter: AccountId(fixed(&renter, TRIALS)?),
        day: narrow(day, TRIALS)?,
        used: Duration::from_millis(unsigned(used)),
    };
    trial_fields(&trial).check(&digest, TRIALS)?;
    Ok(trial)
}

/// All trials that are known.
pub(crate) fn trials(connection: &Connection) -> Result<Vec<TrialUse>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT rent, renter, day, used_ms, digest FROM trials ORDER BY rent")?;
    let rows = statement.query_map([], trial_row)?;
    let trials = rows.map(|row| checked_trial(row?)).collect::<Result<Vec<_>, _>>()?;
    whole(connection, TRIALS, trials)
}

fn state_fields(key: &str, value: &[u8]) -> Fields {
    Fields::of(STATES).bytes(key.as_bytes()).bytes(value)
}

/// Keeps bytes under a name, in place of those that were there.
pub(crate) fn put_state(
    connection: &Connection,
    key: &str,
    value: &[u8],
) -> Result<(), LedgerError> {
    if value.len() > MOST_STATE {
        return Err(LedgerError::Use("the state is above a mebibyte"));
    }
    if state(connection, key)?.is_none() {
        count(connection, STATES)?;
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO states (key, value, digest) VALUES (?1, ?2, ?3)")?
        .execute(params![key, value, state_fields(key, value).digest()])?;
    Ok(())
}

/// What is kept under a name.
pub(crate) fn state(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    let row = connection
        .prepare_cached("SELECT value, digest FROM states WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((value, digest)) = row else { return Ok(None) };
    state_fields(key, &value).check(&digest, STATES)?;
    Ok(Some(value))
}

/// What is kept under names that begin so, by name.
pub(crate) fn states(
    connection: &Connection,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
    let begins =
        "SELECT key, value, digest FROM states WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
    let mut statement = connection.prepare_cached(begins)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows = statement.query_map([prefix], row)?;
    let checked = |row: rusqlite::Result<(String, Vec<u8>, Vec<u8>)>| {
        let (key, value, digest) = row?;
        state_fields(&key, &value).check(&digest, STATES)?;
        Ok((key, value))
    };
    rows.map(checked).collect()
}

/// Looks at all of them.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    tickets(connection)?;
    trials(connection)?;
    let mut statement = connection.prepare_cached("SELECT key FROM states")?;
    let keys = statement.query_map([], |row| row.get::<_, String>(0))?;
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    for key in &keys {
        state(connection, key)?;
    }
    whole(connection, STATES, keys).map(|_| ())
}

/// As many rows as were written.
pub(crate) fn whole<T>(
    connection: &Connection,
    table: &str,
    rows: Vec<T>,
) -> Result<Vec<T>, LedgerError> {
    if counted(connection, table)? == rows.len() as u64 {
        Ok(rows)
    } else {
        Err(LedgerError::Damaged(format!("rows of {table} are missing")))
    }
}
