//! Rows with a digest of themselves, and how many of them there are: what SQLite does not notice, these do.

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::error::LedgerError;

/// Of a row.
pub(crate) type RowDigest = [u8; 16];

/// Fields of a row, each with its length, so that none runs into the next.
pub(crate) struct Fields(Sha256);

impl Fields {
    pub(crate) fn of(table: &str) -> Self {
        Self(Sha256::new()).bytes(table.as_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn digest(self) -> RowDigest {
        let whole: [u8; 32] = self.0.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        half
    }

    /// Compares with what the row carries.
    pub(crate) fn check(self, found: &[u8], table: &str) -> Result<(), LedgerError> {
        if self.digest() == found { Ok(()) } else { Err(damaged(table)) }
    }
}

pub(crate) fn damaged(table: &str) -> LedgerError {
    LedgerError::Damaged(format!("a row of {table} is not what was written"))
}

/// Bytes of a fixed number.
pub(crate) fn fixed<const N: usize>(bytes: &[u8], table: &str) -> Result<[u8; N], LedgerError> {
    bytes.try_into().map_err(|_| damaged(table))
}

/// SQLite's integers are signed; the bits are kept.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The same way back.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// A number of 32 bits.
pub(crate) fn narrow(number: i64, table: &str) -> Result<u32, LedgerError> {
    u32::try_from(number).map_err(|_| damaged(table))
}

/// How many rows a table should have.
pub(crate) fn counted(connection: &Connection, table: &str) -> Result<u64, LedgerError> {
    let row = connection
        .prepare_cached("SELECT rows, digest FROM counts WHERE name = ?1")?
        .query_row([table], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((rows, digest)) = row else { return Ok(0) };
    count_fields(table, unsigned(rows)).check(&digest, "counts")?;
    Ok(unsigned(rows))
}

/// One row more.
pub(crate) fn count(connection: &Connection, table: &str) -> Result<u64, LedgerError> {
    let rows = counted(connection, table)? + 1;
    let digest = count_fields(table, rows).digest();
    connection
        .prepare_cached("INSERT OR REPLACE INTO counts (name, rows, digest) VALUES (?1, ?2, ?3)")?
        .execute(params![table, signed(rows), digest])?;
    Ok(rows)
}

fn count_fields(table: &str, rows: u64) -> Fields {
    Fields::of("counts").bytes(table.as_bytes()).number(rows)
}
