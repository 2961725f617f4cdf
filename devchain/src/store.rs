//! The chain on disk, or in memory where it is temporary: all blocks, the oldest state that is kept, and what each later block
//! of the best chain changed. One transaction for whatever is announced together, durable when it returns.

use std::path::Path;

use codec::{Decode, Encode};
use runtime::Header;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use sp_core::H256;
use sp_core::storage::Storage;
use thiserror::Error;

use crate::chain::{Block, Body};
use crate::executor::Change;

const FORM: u32 = 1;

const TABLES: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE block(hash BLOB PRIMARY KEY, header BLOB NOT NULL, body BLOB NOT NULL);
    CREATE TABLE line(number INTEGER PRIMARY KEY, hash BLOB NOT NULL, changes BLOB);
    CREATE TABLE state(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
";

/// Why a chain cannot be kept or opened.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite's words.
    #[error("the chain's file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be made.
    #[error("the chain's folder: {0}")]
    Folder(#[from] std::io::Error),
    /// What was read is not what was written.
    #[error("the chain's file is damaged: {0}")]
    Damaged(String),
    /// It is of another program.
    #[error("the chain's file has form {0}, and this program knows form {FORM}")]
    Form(u32),
}

impl From<codec::Error> for StoreError {
    fn from(error: codec::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// What is written together.
pub(crate) struct Commit<'a> {
    /// Blocks that are new.
    pub(crate) blocks: &'a [&'a Block],
    /// Numbers from here on are other blocks' than before.
    pub(crate) replaced_from: u32,
    /// Which block is final.
    pub(crate) finalized: u32,
    /// The oldest block whose state is kept, and what led there from the one that was.
    pub(crate) base: u32,
    pub(crate) to_base: &'a [&'a [Change]],
}

/// What was there.
pub(crate) struct Opened {
    pub(crate) finalized: u32,
    pub(crate) base: u32,
    pub(crate) state: Vec<Change>,
    /// From the base on, with what each changed.
    pub(crate) blocks: Vec<Written>,
}

/// A block as it was written.
pub(crate) struct Written {
    pub(crate) hash: H256,
    pub(crate) header: Header,
    pub(crate) body: Body,
    pub(crate) changes: Vec<Change>,
}

pub(crate) struct Store {
    file: Connection,
}

impl Store {
    /// Opens the chain of a folder, or a temporary one.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, StoreError> {
        let Some(folder) = folder else {
            let file = Connection::open_in_memory()?;
            file.execute_batch(TABLES)?;
            return Ok(Self { file });
        };
        std::fs::create_dir_all(folder)?;
        let file = Connection::open(folder.join("chain.sqlite"))?;
        // One process; durable with each commit.
        file.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
        )?;
        let form: u32 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match form {
            0 => file
                .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {FORM}; COMMIT"))?,
            FORM => check(&file)?,
            other => return Err(StoreError::Form(other)),
        }
        Ok(Self { file })
    }

    /// A number that the chain was begun with, or none where it is new.
    pub(crate) fn spec(&self) -> Result<Option<u32>, StoreError> {
        self.meta("spec")
    }

    fn meta(&self, key: &str) -> Result<Option<u32>, StoreError> {
        let mut query = self.file.prepare_cached("SELECT value FROM meta WHERE key = ?")?;
        Ok(query.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Begins a chain with its first block and state.
    pub(crate) fn begin(
        &mut self,
        spec: u32,
        genesis: &Block,
        state: &Storage,
    ) -> Result<(), StoreError> {
        let transaction = self.file.transaction()?;
        set_meta(&transaction, "spec", spec)?;
        for (key, value) in &state.top {
            transaction.execute("INSERT INTO state VALUES (?, ?)", params![key, value])?;
        }
        write(
            &transaction,
            &Commit { blocks: &[genesis], replaced_from: 0, finalized: 0, base: 0, to_base: &[] },
        )?;
        Ok(transaction.commit()?)
    }

    /// Writes all of it, or nothing.
    pub(crate) fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let transaction = self.file.transaction()?;
        write(&transaction, commit)?;
        Ok(transaction.commit()?)
    }

    /// What is there.
    pub(crate) fn read(&self) -> Result<Opened, StoreError> {
        let meta = |key| {
            let found = self.meta(key)?;
            found.ok_or_else(|| StoreError::Damaged(format!("it does not say its {key}")))
        };
        let base = meta("base")?;
        let mut query = self.file.prepare("SELECT key, value FROM state")?;
        let state = query.query_map([], |row| Ok((row.get(0)?, Some(row.get(1)?))))?;
        let state = state.collect::<Result<_, _>>()?;
        let mut query = self.file.prepare(
            "SELECT line.hash, header, body, changes FROM line LEFT JOIN block USING (hash)
                WHERE number >= ? ORDER BY number",
        )?;
        let mut rows = query.query([base])?;
        let mut blocks = Vec::new();
        while let Some(row) = rows.next()? {
            let missing = || StoreError::Damaged("a block is missing".to_owned());
            let bytes = |column| row.get::<_, Option<Vec<u8>>>(column)?.ok_or_else(missing);
            let changes = match blocks.is_empty() {
                true => Vec::new(),
                false => Decode::decode(&mut bytes(3)?.as_slice())?,
            };
            blocks.push(Written {
                hash: hash(&bytes(0)?)?,
                header: Decode::decode(&mut bytes(1)?.as_slice())?,
                body: Decode::decode(&mut bytes(2)?.as_slice())?,
                changes,
            });
        }
        Ok(Opened { finalized: meta("finalized")?, base, state, blocks })
    }

    /// The best chain's block of a number.
    pub(crate) fn hash_of(&self, number: u32) -> Result<Option<H256>, StoreError> {
        let mut query = self.file.prepare_cached("SELECT hash FROM line WHERE number = ?")?;
        let found: Option<Vec<u8>> = query.query_row([number], |row| row.get(0)).optional()?;
        found.map(|bytes| hash(&bytes)).transpose()
    }

    /// A block of any branch.
    pub(crate) fn block(&self, hash: H256) -> Result<Option<(Header, Body)>, StoreError> {
        let mut query =
            self.file.prepare_cached("SELECT header, body FROM block WHERE hash = ?")?;
        let row = query.query_row([hash.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let Some((header, body)) = row.optional()? else { return Ok(None) };
        let header = Header::decode(&mut header.as_slice())?;
        if header.hash() != hash {
            return Err(StoreError::Damaged(format!("block {hash:?} is another one")));
        }
        Ok(Some((header, Decode::decode(&mut body.as_slice())?)))
    }
}

fn write(transaction: &Transaction<'_>, commit: &Commit<'_>) -> Result<(), StoreError> {
    let mut cut = transaction.prepare_cached("DELETE FROM line WHERE number >= ?")?;
    cut.execute([commit.replaced_from])?;
    let mut block = transaction.prepare_cached("INSERT OR IGNORE INTO block VALUES (?, ?, ?)")?;
    let mut line = transaction.prepare_cached("INSERT INTO line VALUES (?, ?, ?)")?;
    for new in commit.blocks {
        let hash = new.hash.as_bytes();
        block.execute(params![hash, new.header.encode(), new.body.encode()])?;
        line.execute(params![new.header.number, hash, new.changes.encode()])?;
    }
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO state VALUES (?, ?)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM state WHERE key = ?")?;
    for (key, value) in commit.to_base.iter().copied().flatten() {
        match value {
            Some(value) => put.execute(params![key, value])?,
            None => delete.execute([key])?,
        };
    }
    transaction
        .prepare_cached(
            "UPDATE line SET changes = NULL WHERE number <= ? AND changes NOT NULL AND number > ?",
        )?
        .execute([commit.base, commit.base.saturating_sub(commit.to_base.len() as u32)])?;
    set_meta(transaction, "finalized", commit.finalized)?;
    set_meta(transaction, "base", commit.base)
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: u32) -> Result<(), StoreError> {
    let mut query = transaction.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?;
    query.execute(params![key, value])?;
    Ok(())
}

/// SQLite's own look at its structure.
fn check(file: &Connection) -> Result<(), StoreError> {
    let answer: String = file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer != "ok" {
        return Err(StoreError::Damaged(answer));
    }
    Ok(())
}

fn hash(bytes: &[u8]) -> Result<H256, StoreError> {
    match bytes.len() {
        32 => Ok(H256::from_slice(bytes)),
        _ => Err(StoreError::Damaged("a hash is none".to_owned())),
    }
}
