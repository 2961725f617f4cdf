//! Receipts as they are kept: each after the one before it, or not at all.

use rusqlite::{Connection, OptionalExtension as _, params};
use session::receipts::{Body, ChainId, Record, Signed, acknowledgement, hash};

use crate::error::LedgerError;
use crate::rows::{Fields, count, counted, damaged, fixed, narrow};

const TABLE: &str = "receipts";

/// A record and the machine's signature of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// [`Record::encode`].
    pub bytes: Vec<u8>,
    /// The machine's. It is not checked here: whoever hands it in made it.
    pub signature: [u8; 64],
}

/// How far a chain of receipts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainSummary {
    /// Which.
    pub chain: ChainId,
    /// The number of its last record.
    pub last: u32,
    /// Whether that is a closing one.
    pub is_closed: bool,
}

fn fields(chain: &ChainId, sequence: u32, signed: &Signed) -> Fields {
    let acknowledged = signed.acknowledged.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    Fields::of(TABLE)
        .bytes(&chain.0)
        .number(sequence.into())
        .bytes(&signed.bytes)
        .bytes(&signed.signature)
        .bytes(acknowledged)
}

/// Writes a receipt behind the last one of its chain; the same one again changes nothing.
pub(crate) fn append(connection: &Connection, receipt: &Receipt) -> Result<(), LedgerError> {
    let record = Record::decode(&receipt.bytes);
    let record = record.map_err(|_| LedgerError::Receipt("it cannot be read"))?;
    if let Some(there) = one(connection, &record.chain, record.sequence)? {
        return if there.bytes == receipt.bytes {
            Ok(())
        } else {
            Err(LedgerError::Receipt("another one has its number: that would be a fork"))
        };
    }
    if let Some(before) = record.sequence.checked_sub(1) {
        let before = one(connection, &record.chain, before)?;
        let before = before.ok_or(LedgerError::Receipt("the one before it is missing"))?;
        if hash(&before.bytes) != record.previous {
            return Err(LedgerError::Receipt("it follows another one than the last"));
        }
        if matches!(decode(&before)?.body, Body::Close(..)) {
            return Err(LedgerError::Receipt("its chain is closed"));
        }
    }
    let signed =
        Signed { bytes: receipt.bytes.clone(), signature: receipt.signature, acknowledged: None };
    count(connection, TABLE)?;
    write(connection, &record.chain, record.sequence, &signed)
}

/// Adds a player's acknowledgement, which the caller has checked; a second one changes nothing.
pub(crate) fn acknowledge(
    connection: &Connection,
    chain: &ChainId,
    sequence: u32,
    signature: &[u8; 64],
) -> Result<(), LedgerError> {
    let there = one(connection, chain, sequence)?;
    let mut signed = there.ok_or(LedgerError::Receipt("there is none of that number"))?;
    if signed.acknowledged.is_none() {
        signed.acknowledged = Some(*signature);
        write(connection, chain, sequence, &signed)?;
    }
    Ok(())
}

fn write(
    connection: &Connection,
    chain: &ChainId,
    sequence: u32,
    signed: &Signed,
) -> Result<(), LedgerError> {
    let acknowledged = signed.acknowledged.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO receipts (chain, sequence, bytes, signature, acknowledged, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            chain.0,
            sequence,
            signed.bytes,
            signed.signature,
            acknowledged,
            fields(chain, sequence, signed).digest()
        ])?;
    Ok(())
}

type Row = (Vec<u8>, i64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn stored(row: Row) -> Result<(ChainId, u32, Signed), LedgerError> {
    let (chain, sequence, bytes, signature, acknowledged, digest) = row;
    let chain = ChainId(fixed(&chain, TABLE)?);
    let sequence = narrow(sequence, TABLE)?;
    let acknowledged = match acknowledged.len() {
        0 => None,
        _ => Some(fixed(&acknowledged, TABLE)?),
    };
    let signed = Signed { bytes, signature: fixed(&signature, TABLE)?, acknowledged };
    fields(&chain, sequence, &signed).check(&digest, TABLE)?;
    Ok((chain, sequence, signed))
}

fn decode(signed: &Signed) -> Result<Record, LedgerError> {
    Record::decode(&signed.bytes).map_err(|_| damaged(TABLE))
}

const COLUMNS: &str =
    "SELECT chain, sequence, bytes, signature, acknowledged, digest FROM receipts";

/// A record of a chain.
pub(crate) fn one(
    connection: &Connection,
    chain: &ChainId,
    sequence: u32,
) -> Result<Option<Signed>, LedgerError> {
    let found = connection
        .prepare_cached(&format!("{COLUMNS} WHERE chain = ?1 AND sequence = ?2"))?
        .query_row(params![chain.0, sequence], row)
        .optional()?;
    found.map(|row| stored(row).map(|(_, _, signed)| signed)).transpose()
}

/// Records of a chain from a number on, in order.
pub(crate) fn of_chain(
    connection: &Connection,
    chain: &ChainId,
    from: u32,
    most: u32,
) -> Result<Vec<Signed>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE chain = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![chain.0, from, most], row)?;
    rows.map(|row| stored(row?).map(|(_, _, signed)| signed)).collect()
}

/// Chains after one, by name.
pub(crate) fn chains(
    connection: &Connection,
    after: Option<&ChainId>,
    most: u32,
) -> Result<Vec<ChainSummary>, LedgerError> {
    let after = after.map_or(&[][..], |chain| &chain.0[..]);
    let mut statement = connection.prepare_cached(
        "SELECT chain, max(sequence) FROM receipts WHERE chain > ?1 GROUP BY chain ORDER BY chain LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after, most], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
    })?;
    let mut chains = Vec::new();
    for row in rows {
        let (chain, last) = row?;
        let (chain, last) = (ChainId(fixed(&chain, TABLE)?), narrow(last, TABLE)?);
        let newest = one(connection, &chain, last)?.ok_or_else(|| damaged(TABLE))?;
        let is_closed = matches!(decode(&newest)?.body, Body::Close(..));
        chains.push(ChainSummary { chain, last, is_closed });
    }
    Ok(chains)
}

/// Looks at every record, and at how each follows the one before.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let mut statement = connection.prepare(&format!("{COLUMNS} ORDER BY chain, sequence"))?;
    let mut rows = statement.query([])?;
    let (mut before, mut found) = (None, 0_u64);
    while let Some(next) = rows.next()? {
        let (chain, sequence, signed) = stored(row(next)?)?;
        let record = decode(&signed)?;
        let expected = match before {
            Some((last, number, previous)) if last == chain => (number + 1, previous),
            _ => (0, [0; 32]),
        };
        if record.chain != chain
            || (record.sequence, record.previous) != expected
            || sequence != record.sequence
        {
            return Err(LedgerError::Damaged("receipts are missing or out of order".to_owned()));
        }
        before = Some((chain, sequence, hash(&signed.bytes)));
        found += 1;
    }
    if counted(connection, TABLE)? == found {
        Ok(())
    } else {
        Err(LedgerError::Damaged("receipts are missing".to_owned()))
    }
}

/// What a player signs for a record.
pub(crate) fn acknowledged_text(chain: &ChainId, sequence: u32, signed: &Signed) -> Vec<u8> {
    acknowledgement(chain, sequence, &hash(&signed.bytes))
}
