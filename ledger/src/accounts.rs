//! Accounts in double entry. An entry moves amounts between accounts: what is debited is what is credited, to the last planck.
//! An entry has a key; the same entry under the same key is written once, however often it is handed in, and another
//! one under that key is refused.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use session::rental::{Planck, UnixMillis};
use thiserror::Error;

use crate::error::LedgerError;
use crate::rows::{Fields, count, counted, damaged, fixed, signed, unsigned};

const ENTRIES: &str = "entries";
const ACCOUNTS: &str = "accounts";
/// Lines of an entry at most.
const MOST_LINES: usize = 64;
/// Letters of an account's name, a key or a kind at most.
const MOST_NAME: usize = 128;

/// Where an amount stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// On the left: what there is, and what it cost.
    Debit,
    /// On the right: where it came from.
    Credit,
}

/// An amount of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Such as `prepaid/77`: letters, digits, `-`, `_`, `.`, `:` and `/`.
    pub account: String,
    /// Which side.
    pub side: Side,
    /// How much; not nothing.
    pub amount: Planck,
}

/// Amounts that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: String,
    kind: String,
    time: UnixMillis,
    lines: Vec<Line>,
}

/// Why an entry is none, or not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Debits and credits differ, or there are none.
    #[error("an entry's debits and credits are the same and not nothing")]
    Unbalanced,
    /// A sum does not fit into 128 bits.
    #[error("a sum is above 2^128 planck")]
    Overflow,
    /// A line of nothing, too many lines, or a name that is empty, long or odd.
    #[error(
        "an entry has 2 to {MOST_LINES} lines of more than nothing, and plain names of at most {MOST_NAME} letters"
    )]
    Malformed,
    /// Another entry has its key.
    #[error("another entry is under the key {0:?}")]
    Conflict(String),
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    (1..=MOST_NAME).contains(&text.len()) && text.bytes().all(is_plain)
}

impl Entry {
    /// Of lines that balance.
    ///
    /// # Errors
    /// Every [`EntryError`] but `Conflict`.
    pub fn new(
        key: &str,
        kind: &str,
        time: UnixMillis,
        lines: Vec<Line>,
    ) -> Result<Self, EntryError> {
        let is_sound = |line: &Line| is_name(&line.account) && line.amount > Planck::ZERO;
        let count = (2..=MOST_LINES).contains(&lines.len());
        if !count || !is_name(key) || !is_name(kind) || !lines.iter().all(is_sound) {
            return Err(EntryError::Malformed);
        }
        let sum = |side| {
            let amounts = lines.iter().filter(|line| line.side == side).map(|line| line.amount);
            amounts.into_iter().try_fold(Planck::ZERO, Planck::checked_add)
        };
        let debits = sum(Side::Debit).ok_or(EntryError::Overflow)?;
        if sum(Side::Credit).ok_or(EntryError::Overflow)? != debits {
            return Err(EntryError::Unbalanced);
        }
        Ok(Self { key: key.to_owned(), kind: kind.to_owned(), time, lines })
    }

    /// From one account to another.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn transfer(
        key: &str,
        kind: &str,
        time: UnixMillis,
        from: &str,
        to: &str,
        amount: Planck,
    ) -> Result<Self, EntryError> {
        let line = |account: &str, side| Line { account: account.to_owned(), side, amount };
        Self::new(key, kind, time, vec![line(to, Side::Debit), line(from, Side::Credit)])
    }

    /// What it is known by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What sort it is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// When, by the chain's clock.
    pub fn time(&self) -> UnixMillis {
        self.time
    }

    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn encode_lines(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for line in &self.lines {
            out.push((line.side == Side::Credit).into());
            out.extend(line.amount.to_bytes());
            out.push(line.account.len() as u8);
            out.extend(line.account.as_bytes());
        }
        out
    }
}

fn decode_lines(mut bytes: &[u8]) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<18>() {
        let side = if head[0] == 0 { Side::Debit } else { Side::Credit };
        let (amount, name) = (head.get(1..17)?, rest.split_at_checked(usize::from(head[17]))?);
        let account = std::str::from_utf8(name.0).ok()?.to_owned();
        lines.push(Line { account, side, amount: Planck::from_bytes(amount.try_into().ok()?) });
        bytes = name.1;
    }
    bytes.is_empty().then_some(lines)
}

/// An entry as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Counts from one.
    pub number: u64,
    /// The entry.
    pub entry: Entry,
}

/// What is on both sides of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    /// Its name.
    pub account: String,
    /// All that was ever debited.
    pub debits: Planck,
    /// All that was ever credited.
    pub credits: Planck,
}

impl AccountBalance {
    /// How much one side is above the other.
    pub fn balance(&self) -> (Side, Planck) {
        match self.debits.checked_sub(self.credits) {
            Some(over) => (Side::Debit, over),
            None => (Side::Credit, Planck(self.credits.0 - self.debits.0)),
        }
    }

    fn fields(&self) -> Fields {
        Fields::of(ACCOUNTS)
            .bytes(self.account.as_bytes())
            .bytes(&self.debits.to_bytes())
            .bytes(&self.credits.to_bytes())
    }

    fn with(mut self, line: &Line) -> Option<Self> {
        let side = match line.side {
            Side::Debit => &mut self.debits,
            Side::Credit => &mut self.credits,
        };
        *side = side.checked_add(line.amount)?;
        Some(self)
    }
}

/// Writes an entry, unless it is there.
pub(crate) fn post(connection: &Connection, entry: &Entry) -> Result<(), LedgerError> {
    if let Some(stored) = by_key(connection, &entry.key)? {
        let conflict = || EntryError::Conflict(entry.key.clone()).into();
        return if stored.entry == *entry { Ok(()) } else { Err(conflict()) };
    }
    let number = count(connection, ENTRIES)?;
    let lines = entry.encode_lines();
    let digest = entry_fields(number, entry, &lines).digest();
    connection
        .prepare_cached(
            "INSERT INTO entries (number, key, time, kind, lines, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            signed(number),
            entry.key,
            signed(entry.time.0),
            entry.kind,
            lines,
            digest
        ])?;
    for line in &entry.lines {
        let before = balance(connection, &line.account)?;
        let is_new = before.is_none();
        let before = before.unwrap_or(AccountBalance {
            account: line.account.clone(),
            debits: Planck::ZERO,
            credits: Planck::ZERO,
        });
        let after = before.with(line).ok_or(EntryError::Overflow)?;
        if is_new {
            count(connection, ACCOUNTS)?;
        }
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO accounts (name, debits, credits, digest) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                after.account,
                after.debits.to_bytes(),
                after.credits.to_bytes(),
                after.fields().digest()
            ])?;
    }
    Ok(())
}

fn entry_fields(number: u64, entry: &Entry, lines: &[u8]) -> Fields {
    Fields::of(ENTRIES)
        .number(number)
        .bytes(entry.key.as_bytes())
        .number(entry.time.0)
        .bytes(entry.kind.as_bytes())
        .bytes(lines)
}

type EntryRow = (i64, String, i64, String, Vec<u8>, Vec<u8>);

fn entry_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn stored((number, key, time, kind, lines, digest): EntryRow) -> Result<StoredEntry, LedgerError> {
    let decoded = decode_lines(&lines).ok_or_else(|| damaged(ENTRIES))?;
    let (number, time) = (unsigned(number), UnixMillis(unsigned(time)));
    let entry = Entry { key, kind, time, lines: decoded };
    entry_fields(number, &entry, &lines).check(&digest, ENTRIES)?;
    Ok(StoredEntry { number, entry })
}

const COLUMNS: &str = "SELECT number, key, time, kind, lines, digest FROM entries";

fn by_key(connection: &Connection, key: &str) -> Result<Option<StoredEntry>, LedgerError> {
    let row = connection
        .prepare_cached(&format!("{COLUMNS} WHERE key = ?1"))?
        .query_row([key], entry_row)
        .optional()?;
    row.map(stored).transpose()
}

/// Entries after a number, oldest first.
pub(crate) fn entries(
    connection: &Connection,
    after: u64,
    most: u32,
) -> Result<Vec<StoredEntry>, LedgerError> {
    let mut statement = connection
        .prepare_cached(&format!("{COLUMNS} WHERE number > ?1 ORDER BY number LIMIT ?2"))?;
    let rows = statement.query_map(params![signed(after), most], entry_row)?;
    rows.map(|row| stored(row?)).collect()
}

type BalanceRow = (String, Vec<u8>, Vec<u8>, Vec<u8>);

fn balance_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<BalanceRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn checked((account, debits, credits, digest): BalanceRow) -> Result<AccountBalance, LedgerError> {
    let debits = Planck::from_bytes(fixed(&debits, ACCOUNTS)?);
    let credits = Planck::from_bytes(fixed(&credits, ACCOUNTS)?);
    let balance = AccountBalance { account, debits, credits };
    balance.fields().check(&digest, ACCOUNTS)?;
    Ok(balance)
}

/// What is on an account; none if no entry ever named it.
pub(crate) fn balance(
    connection: &Connection,
    account: &str,
) -> Result<Option<AccountBalance>, LedgerError> {
    let row = connection
        .prepare_cached("SELECT name, debits, credits, digest FROM accounts WHERE name = ?1")?
        .query_row([account], balance_row)
        .optional()?;
    row.map(checked).transpose()
}

/// All accounts by name.
pub(crate) fn balances(connection: &Connection) -> Result<Vec<AccountBalance>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT name, debits, credits, digest FROM accounts ORDER BY name")?;
    let rows = statement.query_map([], balance_row)?;
    rows.map(|row| checked(row?)).collect()
}

/// Computes every account anew from the entries, and compares.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let mut computed: BTreeMap<String, AccountBalance> = BTreeMap::new();
    let mut last = 0;
    loop {
        let entries = entries(connection, last, 1_000)?;
        let Some(newest) = entries.last() else { break };
        last = newest.number;
        for line in entries.iter().flat_map(|stored| &stored.entry.lines) {
            let account = line.account.clone();
            let before = computed.remove(&account).unwrap_or(AccountBalance {
                account: account.clone(),
                debits: Planck::ZERO,
                credits: Planck::ZERO,
            });
            let after = before.with(line).ok_or_else(|| damaged(ENTRIES))?;
            computed.insert(account, after);
        }
    }
    if counted(connection, ENTRIES)? != last {
        return Err(LedgerError::Damaged("entries are missing".to_owned()));
    }
    let accounts = balances(connection)?;
    let is_same = accounts.iter().eq(computed.values());
    if !is_same || counted(connection, ACCOUNTS)? != accounts.len() as u64 {
        return Err(LedgerError::Damaged("accounts are not what their entries sum to".to_owned()));
    }
    Ok(())
}
