//! Receipts as they are kept: each after the one before it, or not at all.

use rusqlite::{Connection, OptionalExtension as _, params};
use session::receipts::{Body, ChainId, Record, Signed, acknowledgement, hash};

use crate::error::LedgerError;
use crate::rows::{Fields, count, counted, damaged, fixed, narrow};

pub(crate) const TABLE: &str = "receipts";
/// Chains that are looked at together.
const PAGE: u32 = 1_000;

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

/// Names of chains and their last numbers, each found by two steps down the key's tree: no receipts between are read.
const CHAINS: &str = "
WITH RECURSIVE named(chain) AS (
    SELECT (SELECT min(chain) FROM receipts WHERE chain > ?1)
    UNION ALL
    SELECT (SELECT min(chain) FROM receipts WHERE chain > named.chain) FROM named WHERE named.chain IS NOT NULL
)
SELECT chain, (SELECT max(sequence) FROM receipts WHERE receipts.chain = named.chain)
FROM named WHERE chain IS NOT NULL LIMIT ?2";

/// Chains after one, by name.
pub(crate) fn chains(
    connection: &Connection,
    after: Option<&ChainId>,
    most: u32,
) -> Result<Vec<ChainSummary>, LedgerError> {
    let after = after.map_or(&[][..], |chain| &chain.0[..]);
    let mut statement = connection.prepare_cached(CHAINS)?;
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
    let found = follow(statement.query([])?)?;
    are_all(connection, found)
}

/// Looks at every record of chains that are open, and at the ends of those that are closed: whether what lies between is whole
/// is said when it is read.
pub(crate) fn check_ends(connection: &Connection) -> Result<(), LedgerError> {
    let mut whole = connection.prepare(&format!("{COLUMNS} WHERE chain = ?1 ORDER BY sequence"))?;
    let (mut after, mut found) = (None, 0_u64);
    loop {
        let chains = chains(connection, after.as_ref(), PAGE)?;
        let Some(last) = chains.last() else { return are_all(connection, found) };
        after = Some(last.chain);
        for chain in chains {
            found += u64::from(chain.last) + 1;
            if !chain.is_closed {
                follow(whole.query([chain.chain.0])?)?;
                continue;
            }
            for number in [0, chain.last] {
                let end = one(connection, &chain.chain, number)?.ok_or_else(out_of_order)?;
                let end = decode(&end)?;
                if (end.chain, end.sequence) != (chain.chain, number) {
                    return Err(out_of_order());
                }
            }
        }
    }
}

fn out_of_order() -> LedgerError {
    LedgerError::Damaged("receipts are missing or out of order".to_owned())
}

fn are_all(connection: &Connection, found: u64) -> Result<(), LedgerError> {
    if counted(connection, TABLE)? == found {
        Ok(())
    } else {
        Err(LedgerError::Damaged("receipts are missing".to_owned()))
    }
}

/// Follows records from the first of a chain to its last, and on to the next chain's; yields how many there are.
fn follow(mut rows: rusqlite::Rows<'_>) -> Result<u64, LedgerError> {
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
            return Err(out_of_order());
        }
        before = Some((chain, sequence, hash(&signed.bytes)));
        found += 1;
    }
    Ok(found)
}

/// What a player signs for a record.
pub(crate) fn acknowledged_text(chain: &ChainId, sequence: u32, signed: &Signed) -> Vec<u8> {
    acknowledgement(chain, sequence, &hash(&signed.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_found_without_reading_their_receipts() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::schema::open(&folder.path().join("ledger.db")).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {CHAINS}")).unwrap();
        let steps = statement.query_map(params![&[][..], 9], |row| row.get::<_, String>(3));
        let steps: Vec<_> = steps.unwrap().map(Result::unwrap).collect();
        let of_receipts: Vec<_> = steps.iter().filter(|it| it.contains("receipts")).collect();
        assert_eq!(of_receipts.len(), 3, "{steps:?}");
        assert!(of_receipts.iter().all(|it| it.starts_with("SEARCH")), "{steps:?}");
    }
}
