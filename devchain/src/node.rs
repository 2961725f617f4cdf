//! The node: makes blocks of what waits, and tells of them. What is announced is durable.

use std::path::Path;
use std::sync::Arc;

use codec::Encode as _;
use parking_lot::{FairMutex, FairMutexGuard};
use runtime::pallets::online_profile::Registration;
use runtime::pallets::{dbc_price, online_profile};
use runtime::{Header, Runtime, RuntimeCall, UncheckedExtrinsic};
use sp_core::H256;
use sp_runtime::traits::Header as _;
use sp_runtime::{AccountId32, ApplyExtrinsicResult};
use tokio::sync::{broadcast, mpsc};

use crate::chain::{Block, Chain, ChainError};
use crate::executor::{CallError, Change, Executor};
use crate::pool::{Pool, Refusal, Status, Taken, hash_of};

/// The real chain's time from block to block.
pub const SLOT_MS: u64 = 6_000;
/// Blocks that are written together.
const BATCH: u32 = 32;
/// Heads that wait for a listener at most.
const HEADS: usize = 1_024;

/// Tells milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// When blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// With each transaction.
    Instant,
    /// When the development RPC says.
    Manual,
    /// Every so many milliseconds.
    Every(u64),
}

/// What happened to the chain.
#[derive(Clone, Debug)]
pub enum ChainEvent {
    /// A block is the best one now.
    Best(Header),
    /// A block is final.
    Finalized(Header),
}

/// What the development RPC has the next block begin with.
#[derive(Clone, Debug)]
pub enum Action {
    /// Writes storage.
    SetStorage(Vec<Change>),
    /// Sets what a DBC is worth, in millionths of a dollar.
    SetDbcPrice(Option<u64>),
    /// Forces a machine out.
    MachineExit(String),
    /// Registers a machine.
    Register(Registration<AccountId32>),
}

pub(crate) struct Inner {
    pub(crate) chain: Chain,
    pub(crate) pool: Pool,
    actions: Vec<Action>,
    /// How many events were told: those that come are of what is not yet seen where they have a higher number.
    pub(crate) told: u64,
    held: bool,
    stalled: bool,
}

/// A development chain.
pub struct Node {
    /// Fair, so that whoever reads gets its turn between two batches of blocks.
    inner: FairMutex<Inner>,
    heads: broadcast::Sender<(u64, ChainEvent)>,
    seal: Seal,
    clock: Clock,
}

impl Node {
    /// Opens the chain of a folder or begins one, temporary without a folder. One that was just begun has block 1, whose
    /// time is now.
    ///
    /// # Errors
    /// Where the chain is another one, damaged, in use, or cannot be kept.
    pub fn open(
        folder: Option<&Path>,
        spec: u32,
        seal: Seal,
        clock: Clock,
    ) -> Result<Self, ChainError> {
        let chain = Chain::open(folder, spec)?;
        let is_new = chain.best().header.number == 0;
        let (heads, _) = broadcast::channel(HEADS);
        let inner = Inner {
            chain,
            pool: Pool::default(),
            actions: Vec::new(),
            told: 0,
            held: false,
            stalled: false,
        };
        let node = Self { inner: FairMutex::new(inner), heads, seal, clock };
        if is_new {
            node.new_blocks(1)?;
        }
        Ok(node)
    }

    pub(crate) fn lock(&self) -> FairMutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// When blocks are made.
    pub fn seal(&self) -> Seal {
        self.seal
    }

    /// The hash of block 0.
    pub fn genesis(&self) -> H256 {
        self.lock().chain.genesis()
    }

    /// The runtime's version in the best block.
    ///
    /// # Errors
    /// Where the runtime does not say.
    pub fn spec_version(&self) -> Result<u32, ChainError> {
        let inner = self.lock();
        Ok(inner.chain.executor(inner.chain.best()).version()?.spec_version)
    }

    /// What the runtime's own code says of the best block's state.
    ///
    /// # Errors
    /// Where it panics.
    pub fn read<R>(&self, function: impl FnOnce() -> R) -> Result<R, CallError> {
        let inner = self.lock();
        inner.chain.executor(inner.chain.best()).run(function)
    }

    /// The number and hash of the best block and of the final one.
    pub fn heads(&self) -> [(u32, H256); 2] {
        let inner = self.lock();
        [head(inner.chain.best()), head(inner.chain.finalized())]
    }

    /// The best block's extrinsics, encoded.
    pub fn body(&self) -> Vec<Vec<u8>> {
        self.lock().chain.best().body.clone()
    }

    /// What happens from now on, numbered.
    pub(crate) fn events(&self) -> broadcast::Receiver<(u64, ChainEvent)> {
        self.heads.subscribe()
    }

    /// Takes a transaction, encoded as in a block's body.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn submit(&self, bytes: Vec<u8>) -> Result<H256, Refusal> {
        Ok(self.take(bytes, false)?.hash)
    }

    /// Takes a transaction and tells where it is.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn submit_and_watch(&self, bytes: Vec<u8>) -> Result<mpsc::Receiver<Status>, Refusal> {
        self.take(bytes, true)?.statuses.ok_or(Refusal::Full)
    }

    fn take(&self, bytes: Vec<u8>, watch: bool) -> Result<Taken, Refusal> {
        let mut inner = self.lock();
        let Inner { chain, pool, .. } = &mut *inner;
        let best = chain.best();
        let taken = pool.submit(bytes, &mut chain.executor(best), best.hash, watch)?;
        if taken.is_ready {
            self.seal_at_once(&mut inner);
        }
        Ok(taken)
    }

    fn seal_at_once(&self, inner: &mut Inner) {
        if self.seal != Seal::Instant || inner.stalled {
            return;
        }
        if let Err(error) = self.make(inner, 1) {
            tracing::error!("no block: {error}");
        }
    }

    /// Makes a block, unless the chain is stalled: for a timer.
    pub fn tick(&self) {
        let mut inner = self.lock();
        if !inner.stalled
            && let Err(error) = self.make(&mut inner, 1)
        {
            tracing::error!("no block: {error}");
        }
    }

    /// Makes so many blocks, what waits in the first of them.
    ///
    /// # Errors
    /// Where the runtime panics outside of transactions, or a block cannot be written; blocks before that stay.
    pub fn new_blocks(&self, count: u32) -> Result<(u32, H256), ChainError> {
        let mut left = count;
        while left > 0 {
            let some = left.min(BATCH);
            self.make(&mut self.lock(), some)?;
            left -= some;
        }
        Ok(head(self.lock().chain.best()))
    }

    /// Whether blocks become final from now on. When they do again, the best one is.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn hold_finality(&self, hold: bool) -> Result<(), ChainError> {
        let mut inner = self.lock();
        inner.held = hold;
        let next = inner.chain.best().header.number + 1;
        self.settle(&mut inner, next)
    }

    /// Whether no more blocks are made.
    pub fn stall(&self, stalled: bool) {
        let mut inner = self.lock();
        inner.stalled = stalled;
        if !stalled && inner.pool.pending().next().is_some() {
            self.seal_at_once(&mut inner);
        }
    }

    /// Another branch, empty and one block longer, takes the place of the last blocks.
    ///
    /// # Errors
    /// Where they are final.
    pub fn reorganise(&self, depth: u32) -> Result<(u32, H256), ChainError> {
        let mut inner = self.lock();
        let (best, finalized) =
            (inner.chain.best().header.number, inner.chain.finalized().header.number);
        if depth > best - finalized {
            return Err(ChainError::Final(best - finalized));
        }
        let from = best - depth + 1;
        let gone = inner.chain.cut(from);
        // Other hashes than those that are replaced have.
        let made = (0..=depth).try_for_each(|_| self.push(&mut inner, &mut Pool::default(), 1));
        if let Err(error) = made.and_then(|()| self.settle(&mut inner, from)) {
            let failed = inner.chain.cut(from);
            inner.chain.forget(&failed);
            inner.chain.put_back(gone);
            return Err(error);
        }
        for block in &gone {
            for hash in block.body.iter().map(|bytes| hash_of(bytes)) {
                inner.pool.tell(hash, Status::Retracted(block.hash));
                inner.pool.tell(hash, Status::Dropped);
            }
        }
        inner.chain.forget(&gone);
        Ok(head(inner.chain.best()))
    }

    /// Has the next block begin with this, and makes it with instant seal.
    ///
    /// # Errors
    /// Where it is refused; nothing is done then.
    pub fn act(&self, action: Action) -> Result<(u32, H256), ChainError> {
        let mut inner = self.lock();
        perform(&mut inner.chain.executor(inner.chain.best()), &action)?;
        inner.actions.push(action);
        if self.seal == Seal::Instant && !inner.stalled {
            self.make(&mut inner, 1)?;
        }
        Ok(head(inner.chain.best()))
    }

    /// Makes blocks, writes them together, and tells of them.
    fn make(&self, inner: &mut Inner, count: u32) -> Result<(), ChainError> {
        let from = inner.chain.best().header.number + 1;
        let mut pool = std::mem::take(&mut inner.pool);
        let made = (0..count).try_for_each(|_| self.push(inner, &mut pool, 0));
        inner.pool = pool;
        let settled = self.settle(inner, from);
        if settled.is_err() {
            let failed = inner.chain.cut(from);
            // Without what is in every block.
            let waiting = failed.iter().flat_map(|block| block.body.iter().skip(1).cloned());
            inner.pool.restore(waiting.collect());
            inner.chain.forget(&failed);
        }
        settled.and(made)
    }

    /// Executes a block on the best one, in memory.
    fn push(&self, inner: &mut Inner, pool: &mut Pool, later: u64) -> Result<(), ChainError> {
        let parent = inner.chain.best();
        let mut runtime = inner.chain.executor(parent);
        let time = self.time_after(&mut runtime, later)?;
        runtime.begin(&begun(parent))?;
        for action in inner.actions.drain(..) {
            if let Err(error) = perform(&mut runtime, &action) {
                tracing::warn!("{action:?}: {error}");
            }
        }
        let set = RuntimeCall::Timestamp(pallet_timestamp::Call::set { now: time });
        let inherent = UncheckedExtrinsic::new_bare(set).encode();
        match runtime.apply(&inherent)? {
            Ok(Ok(())) => {}
            other => return Err(ChainError::Refused(format!("the block's time: {other:?}"))),
        }
        let mut body = vec![inherent];
        body.extend(pool.fill(&mut runtime));
        match runtime.finish() {
            Ok((header, changes)) => {
                inner.chain.push(header, body, changes);
                Ok(())
            }
            Err(error) => {
                pool.restore(body.split_off(1));
                Err(error.into())
            }
        }
    }

    /// What would become of a transaction in a block on this one.
    pub(crate) fn dry_run(
        &self,
        runtime: &mut Executor<'_>,
        parent: &Block,
        bytes: &[u8],
    ) -> Result<ApplyExtrinsicResult, ChainError> {
        runtime.begin(&begun(parent))?;
        Ok(runtime.apply(bytes)?)
    }

    /// A slot after the block before, or now where that is later.
    fn time_after(&self, runtime: &mut Executor<'_>, later: u64) -> Result<u64, ChainError> {
        let before = runtime.run(pallet_timestamp::Pallet::<Runtime>::get)?;
        Ok((before + SLOT_MS).max((self.clock)()) + later)
    }

    /// Writes the blocks from a number on, makes them final unless that is held, and tells.
    fn settle(&self, inner: &mut Inner, from: u32) -> Result<(), ChainError> {
        let best = inner.chain.best().header.number;
        let before = inner.chain.finalized().header.number;
        let finalized = if inner.held { before } else { best };
        inner.chain.settle(from, finalized)?;
        for number in from..=best {
            self.tell(inner, number, Status::InBlock, ChainEvent::Best);
        }
        for number in before + 1..=finalized {
            self.tell(inner, number, Status::Finalized, ChainEvent::Finalized);
        }
        Ok(())
    }

    fn tell(
        &self,
        inner: &mut Inner,
        number: u32,
        status: impl Fn(H256) -> Status,
        event: impl Fn(Header) -> ChainEvent,
    ) {
        // Where finality was held for long, a block's state may be gone, and it is in the store only.
        let found = inner.chain.hash_of(number).ok().flatten();
        let found = found.and_then(|hash| inner.chain.block(hash).ok().flatten());
        let Some((header, body)) = found else { return };
        let hash = header.hash();
        body.iter().for_each(|bytes| inner.pool.tell(hash_of(bytes), status(hash)));
        // Nobody may listen.
        inner.told += 1;
        let _ = self.heads.send((inner.told, event(header)));
    }
}

/// The header that a block on this one begins with.
fn begun(parent: &Block) -> Header {
    let none = H256::zero();
    Header::new(parent.header.number + 1, none, none, parent.hash, Default::default())
}

fn head(block: &Block) -> (u32, H256) {
    (block.header.number, block.hash)
}

fn perform(runtime: &mut Executor<'_>, action: &Action) -> Result<(), ChainError> {
    match action {
        Action::SetStorage(changes) => {
            changes.iter().for_each(|(key, value)| runtime.set(key.clone(), value.clone()));
            Ok(())
        }
        Action::SetDbcPrice(price) => {
            Ok(runtime.run(|| dbc_price::Pallet::<Runtime>::set_mean(*price))?)
        }
        Action::MachineExit(id) => {
            let left = runtime
                .run(|| online_profile::Pallet::<Runtime>::exit(&id.clone().into_bytes()))?;
            left.map_err(|error| ChainError::Refused(format!("{error:?}")))
        }
        Action::Register(machine) => {
            let registered =
                runtime.run(|| online_profile::Pallet::<Runtime>::register(machine.clone()))?;
            registered.map_err(|error| ChainError::Refused(error.to_owned()))
        }
    }
}
