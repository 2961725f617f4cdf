//! Transactions that wait for a block, and those who wait for them.

use std::collections::HashMap;

use codec::{Decode, Encode};
use runtime::UncheckedExtrinsic;
use serde::Serialize;
use sp_core::H256;
use sp_runtime::AccountId32;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use sp_runtime::transaction_validity::{
    InvalidTransaction, TransactionSource, TransactionValidity, TransactionValidityError,
    UnknownTransaction,
};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::executor::{CallError, Executor};

/// Transactions that wait at most.
const MOST: usize = 8_192;
/// What can be told of one transaction before anybody listens.
const TOLD: usize = 16;

/// Where a transaction is, in the words of Substrate's RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Waits for another one with a lower nonce.
    Future,
    /// Waits for a block.
    Ready,
    /// In a block.
    InBlock(H256),
    /// Its block was replaced.
    Retracted(H256),
    /// In a final block.
    Finalized(H256),
    /// Another one took its nonce.
    Usurped(H256),
    /// Will be in no block: nobody takes it up again.
    Dropped,
    /// Will be in no block: it is not valid any more.
    Invalid,
}

impl Status {
    /// Whether nothing comes after it.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Finalized(_) | Self::Usurped(_) | Self::Dropped | Self::Invalid)
    }
}

/// Why a transaction is not taken.
#[derive(Debug, Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error("{0}")]
    Form(String),
    /// The runtime says no.
    #[error("{}", reason(.0))]
    Invalid(TransactionValidityError),
    /// The runtime panicked.
    #[error(transparent)]
    Runtime(#[from] CallError),
    /// It waits already.
    #[error("the transaction is in the pool already")]
    Known,
    /// Another one with this nonce waits, and has a priority that is not lower.
    #[error("({} vs {})", .old, .new)]
    Priority {
        /// Its priority.
        old: u64,
        /// This one's.
        new: u64,
    },
    /// Too many wait.
    #[error("the pool is full")]
    Full,
}

/// In Substrate's words.
fn reason(error: &TransactionValidityError) -> &'static str {
    match error {
        TransactionValidityError::Invalid(error) => (*error).into(),
        TransactionValidityError::Unknown(error) => (*error).into(),
    }
}

#[derive(Debug)]
struct Waiting {
    hash: H256,
    bytes: Vec<u8>,
    provides: Vec<Vec<u8>>,
    priority: u64,
}

/// A transaction that was taken.
pub(crate) struct Taken {
    pub(crate) hash: H256,
    /// Whether the next block can have it.
    pub(crate) is_ready: bool,
    /// Where it is, for those who watch it.
    pub(crate) statuses: Option<mpsc::Receiver<Status>>,
}

#[derive(Debug, Default)]
pub(crate) struct Pool {
    waiting: Vec<Waiting>,
    watchers: HashMap<H256, Vec<mpsc::Sender<Status>>>,
}

/// A transaction's hash.
pub(crate) fn hash_of(bytes: &[u8]) -> H256 {
    BlakeTwo256::hash(bytes)
}

impl Pool {
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.waiting.iter().map(|waiting| &waiting.bytes)
    }

    /// Takes a transaction that the runtime finds valid on the best block's state.
    pub(crate) fn submit(
        &mut self,
        bytes: Vec<u8>,
        runtime: &mut Executor<'_>,
        best: H256,
        watch: bool,
    ) -> Result<Taken, Refusal> {
        let form = |error: codec::Error| Refusal::Form(error.to_string());
        let mut rest = bytes.as_slice();
        let extrinsic = UncheckedExtrinsic::decode(&mut rest).map_err(form)?;
        if !rest.is_empty() {
            return Err(Refusal::Form("there is something after the transaction".to_owned()));
        }
        let hash = hash_of(&bytes);
        if self.waiting.iter().any(|waiting| waiting.hash == hash) {
            return Err(Refusal::Known);
        }
        if self.waiting.len() == MOST {
            return Err(Refusal::Full);
        }
        let arguments = (TransactionSource::External, extrinsic, best);
        let validity: TransactionValidity =
            runtime.call("TaggedTransactionQueue_validate_transaction", &arguments)?;
        let valid = validity.map_err(Refusal::Invalid)?;
        self.usurp(hash, &valid.provides, valid.priority)?;
        let is_ready = valid.requires.iter().all(|tag| self.provides(tag));
        let statuses = watch.then(|| {
            let (sender, receiver) = mpsc::channel(TOLD);
            self.watchers.entry(hash).or_default().push(sender);
            receiver
        });
        let (provides, priority) = (valid.provides, valid.priority);
        self.waiting.push(Waiting { hash, bytes, provides, priority });
        self.tell(hash, if is_ready { Status::Ready } else { Status::Future });
        Ok(Taken { hash, is_ready, statuses })
    }

    /// The nonce after those that wait, if the state's next one is this.
    pub(crate) fn next_nonce(&self, account: &AccountId32, nonce: u32) -> u32 {
        let waits = |nonce: &u32| self.provides(&(account, nonce).encode());
        (nonce..).find(|nonce| !waits(nonce)).unwrap_or(nonce)
    }

    fn provides(&self, tag: &Vec<u8>) -> bool {
        self.waiting.iter().any(|waiting| waiting.provides.contains(tag))
    }

    /// Makes room for one that provides the same as others, if its priority is higher.
    fn usurp(&mut self, by: H256, provides: &[Vec<u8>], new: u64) -> Result<(), Refusal> {
        let same = |waiting: &Waiting| waiting.provides.iter().any(|tag| provides.contains(tag));
        let old = self.waiting.iter().filter(|waiting| same(waiting));
        if let Some(old) = old.map(|waiting| waiting.priority).max().filter(|old| *old >= new) {
            return Err(Refusal::Priority { old, new });
        }
        let usurped: Vec<H256> =
            self.waiting.extract_if(.., |waiting| same(waiting)).map(|gone| gone.hash).collect();
        usurped.into_iter().for_each(|hash| self.tell(hash, Status::Usurped(by)));
        Ok(())
    }

    /// Puts into a block what is valid there; yields it. What can only be valid later stays, all else goes.
    pub(crate) fn fill(&mut self, runtime: &mut Executor<'_>) -> Vec<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let before = body.len();
            let mut gone = Vec::new();
            self.waiting.retain(|waiting| match runtime.apply(&waiting.bytes) {
                // Also one whose call failed: it is in the block, and paid its fee.
                Ok(Ok(_)) => {
                    body.push(waiting.bytes.clone());
                    false
                }
                Ok(Err(error)) if is_later(error) => true,
                Ok(Err(_)) | Err(_) => {
                    gone.push(waiting.hash);
                    false
                }
            });
            gone.into_iter().for_each(|hash| self.tell(hash, Status::Invalid));
            // One that was applied may let another one.
            if body.len() == before {
                return body;
            }
        }
    }

    /// Puts transactions back that a block had which could not be written.
    pub(crate) fn restore(&mut self, bodies: Vec<Vec<u8>>) {
        let again = bodies.into_iter().map(|bytes| Waiting {
            hash: hash_of(&bytes),
            bytes,
            provides: Vec::new(),
            priority: 0,
        });
        self.waiting.splice(0..0, again);
    }

    /// Tells those who watch a transaction; whoever has not taken what was told before hears no more.
    pub(crate) fn tell(&mut self, hash: H256, status: Status) {
        let Some(watchers) = self.watchers.get_mut(&hash) else { return };
        watchers.retain(|watcher| watcher.try_send(status).is_ok());
        if status.is_last() || watchers.is_empty() {
            self.watchers.remove(&hash);
        }
    }
}

/// Whether a transaction can be valid in a later block.
fn is_later(error: TransactionValidityError) -> bool {
    use InvalidTransaction::{ExhaustsResources, Future};
    matches!(
        error,
        TransactionValidityError::Invalid(Future | ExhaustsResources)
            | TransactionValidityError::Unknown(UnknownTransaction::CannotLookup)
    )
}
