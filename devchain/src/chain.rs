//! The chain's blocks and states. Blocks whose states are kept are in memory: the best chain from 255 before the final
//! block on, as real nodes keep by default. All others are read from the store.

use std::collections::VecDeque;
use std::path::Path;

use runtime::{Header, genesis};
use sp_core::H256;
use sp_core::storage::Storage;
use sp_runtime::StateVersion;
use sp_runtime::traits::{BlakeTwo256, Header as _};
use sp_state_machine::Backend as _;
use sp_trie::{LayoutV0, LayoutV1, TrieConfiguration as _};
use thiserror::Error;

use crate::executor::{CallError, Change, Changes, Executor};
use crate::state::{Backend, Journal, Nodes};
use crate::store::{Commit, Store, StoreError, Written};

/// States that are kept up to the final one.
const KEPT: u32 = 256;

/// Why the chain does not go on, or could not be opened.
#[derive(Debug, Error)]
pub enum ChainError {
    /// What it is kept in.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it runs.
    #[error(transparent)]
    Runtime(#[from] CallError),
    /// The first state cannot be made.
    #[error("the first state: {0}")]
    Genesis(String),
    /// It was begun as another runtime.
    #[error("this chain was begun as runtime {begun}, not {wanted}")]
    Shape {
        /// As which one.
        begun: u32,
        /// As which one it was to be opened.
        wanted: u32,
    },
    /// Final blocks stay.
    #[error("only {0} blocks are not final")]
    Final(u32),
    /// What was asked for is refused.
    #[error("{0}")]
    Refused(String),
}

/// A block's extrinsics, encoded.
pub(crate) type Body = Vec<Vec<u8>>;

/// A block of the best chain whose state is kept.
#[derive(Debug)]
pub struct Block {
    /// Its hash.
    pub hash: H256,
    /// Its header.
    pub header: Header,
    /// Its extrinsics, encoded.
    pub body: Vec<Vec<u8>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) journal: Journal,
}

pub(crate) struct Chain {
    store: Store,
    nodes: Nodes,
    /// The oldest first.
    kept: VecDeque<Block>,
    finalized: u32,
    genesis: H256,
}

impl Chain {
    /// Opens the chain of a folder or begins one, temporary without a folder.
    pub(crate) fn open(folder: Option<&Path>, spec: u32) -> Result<Self, ChainError> {
        let store = Store::open(folder)?;
        match store.spec()? {
            None => Self::begin(store, spec),
            Some(begun) if begun == spec => Self::go_on(store),
            Some(begun) => Err(ChainError::Shape { begun, wanted: spec }),
        }
    }

    fn begin(mut store: Store, spec: u32) -> Result<Self, ChainError> {
        let state = genesis::state(spec).map_err(ChainError::Genesis)?;
        let mut nodes = Nodes::default();
        let root = load(&mut nodes, &state);
        let header = Header::new(0, empty_root(), root, H256::zero(), Default::default());
        let genesis = Block {
            hash: header.hash(),
            header,
            body: Vec::new(),
            changes: Vec::new(),
            journal: Journal::default(),
        };
        store.begin(spec, &genesis, &state)?;
        let hash = genesis.hash;
        Ok(Self { store, nodes, kept: [genesis].into(), finalized: 0, genesis: hash })
    }

    /// Reads what is there, and checks each block and each state.
    fn go_on(store: Store) -> Result<Self, ChainError> {
        let opened = store.read()?;
        let mut nodes = Nodes::default();
        let mut state = Storage::default();
        state.top.extend(opened.state.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let mut root = load(&mut nodes, &state);
        let mut kept: VecDeque<Block> = VecDeque::new();
        for Written { hash, header, body, changes } in opened.blocks {
            let damaged = |what: &str| {
                ChainError::Store(StoreError::Damaged(format!("block {}: {what}", header.number)))
            };
            let mut journal = Journal::default();
            match kept.back() {
                None if header.number != opened.base => return Err(damaged("not the first")),
                Some(before) if header.parent_hash != before.hash => {
                    return Err(damaged("not on the one before"));
                }
                Some(_) => {
                    let (next, added) = advance(&nodes, root, &changes);
                    journal = nodes.add(added);
                    root = next;
                }
                None => {}
            }
            if header.hash() != hash || body_root(&body) != header.extrinsics_root {
                return Err(damaged("another one than was written"));
            }
            if root != header.state_root {
                return Err(damaged("its state is another one"));
            }
            kept.push_back(Block { hash, header, body, changes, journal });
        }
        let missing = |what: &str| ChainError::Store(StoreError::Damaged(what.to_owned()));
        let genesis = store.hash_of(0)?.ok_or_else(|| missing("block 0 is missing"))?;
        let newest = kept.back().ok_or_else(|| missing("there is no block"))?.header.number;
        let finalized = opened.finalized;
        if !(opened.base..=newest).contains(&finalized) {
            return Err(missing("the final block is missing"));
        }
        Ok(Self { store, nodes, kept, finalized, genesis })
    }

    pub(crate) fn genesis(&self) -> H256 {
        self.genesis
    }

    pub(crate) fn best(&self) -> &Block {
        self.kept.back().expect("a chain has a block")
    }

    pub(crate) fn finalized(&self) -> &Block {
        self.kept_at(self.finalized).expect("the final block is kept")
    }

    fn base(&self) -> u32 {
        self.kept.front().map_or(0, |block| block.header.number)
    }

    pub(crate) fn kept_at(&self, number: u32) -> Option<&Block> {
        self.kept.get(number.checked_sub(self.base())? as usize)
    }

    /// The kept block of this hash, on the best chain.
    pub(crate) fn kept(&self, hash: H256) -> Option<&Block> {
        self.kept.iter().rev().find(|block| block.hash == hash)
    }

    /// The state after a block.
    pub(crate) fn state(&self, block: &Block) -> Backend<'_> {
        self.nodes.at(block.header.state_root)
    }

    /// The runtime on the state after a block.
    pub(crate) fn executor(&self, block: &Block) -> Executor<'_> {
        Executor::new(self.state(block))
    }

    /// The best chain's block of a number.
    pub(crate) fn hash_of(&self, number: u32) -> Result<Option<H256>, StoreError> {
        match self.kept_at(number) {
            Some(block) => Ok(Some(block.hash)),
            None => self.store.hash_of(number),
        }
    }

    /// A block of any branch.
    pub(crate) fn block(&self, hash: H256) -> Result<Option<(Header, Body)>, StoreError> {
        match self.kept(hash) {
            Some(block) => Ok(Some((block.header.clone(), block.body.clone()))),
            None => self.store.block(hash),
        }
    }

    /// Puts a block on the best one, in memory only: [`Chain::settle`] writes it.
    pub(crate) fn push(&mut self, header: Header, body: Body, changes: Changes) {
        let journal = self.nodes.add(changes.nodes);
        let hash = header.hash();
        self.kept.push_back(Block { hash, header, body, changes: changes.storage, journal });
    }

    /// Takes the blocks from a number on away, in memory only.
    pub(crate) fn cut(&mut self, from: u32) -> Vec<Block> {
        let index = from.saturating_sub(self.base()) as usize;
        self.kept.split_off(index.min(self.kept.len())).into()
    }

    /// Forgets the states of blocks that were cut.
    pub(crate) fn forget(&mut self, blocks: &[Block]) {
        blocks.iter().for_each(|block| self.nodes.undo(&block.journal));
    }

    /// Puts blocks back that were cut from where the best chain ends now.
    pub(crate) fn put_back(&mut self, blocks: Vec<Block>) {
        self.kept.extend(blocks);
    }

    /// Writes the blocks from a number on, which may replace others, and which block is final. After an error the
    /// store is as it was, and the caller cuts the blocks off again.
    pub(crate) fn settle(&mut self, from: u32, finalized: u32) -> Result<(), StoreError> {
        let base = self.base();
        let next_base = base.max((finalized + 1).saturating_sub(KEPT));
        let index = |number: u32| (number - base) as usize;
        let new: Vec<&Block> = self.kept.iter().skip(index(from)).collect();
        let to_base: Vec<&[Change]> = (base + 1..=next_base)
            .filter_map(|number| self.kept.get(index(number)))
            .map(|block| block.changes.as_slice())
            .collect();
        self.store.commit(&Commit {
            blocks: &new,
            replaced_from: from,
            finalized,
            base: next_base,
            to_base: &to_base,
        })?;
        self.finalized = finalized;
        for _ in base..next_base {
            self.kept.pop_front();
            if let Some(oldest) = self.kept.front_mut() {
                self.nodes.forget_before(&mut oldest.journal);
                oldest.changes = Vec::new();
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

fn load(nodes: &mut Nodes, state: &Storage) -> H256 {
    let changes: Vec<Change> =
        state.top.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let (root, added) =
        advance(nodes, sp_trie::empty_trie_root::<LayoutV1<BlakeTwo256>>(), &changes);
    nodes.add(added);
    root
}

fn advance(
    nodes: &Nodes,
    root: H256,
    changes: &[Change],
) -> (H256, sp_state_machine::BackendTransaction<BlakeTwo256>) {
    let delta = changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
    nodes.at(root).storage_root(delta, StateVersion::V1)
}

fn empty_root() -> H256 {
    body_root(&[])
}

/// What a header says of its block's extrinsics.
fn body_root(body: &[Vec<u8>]) -> H256 {
    LayoutV0::<BlakeTwo256>::ordered_trie_root(body)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Node, Seal};

    #[test]
    fn states_go_when_they_are_old_and_when_their_branch_is() {
        let node = Node::open(None, 411, Seal::Manual, Arc::new(|| 0)).expect("a chain");
        // Until the system pallet forgets a block's hash with each new one.
        node.new_blocks(2_800).expect("blocks");
        let nodes = || node.lock().chain.nodes();
        let before = nodes();
        node.new_blocks(600).expect("blocks");
        let after = nodes();
        assert!(after < before + before / 10, "{before} nodes, then {after}");
        node.hold_finality(true).expect("held");
        for _ in 0..50 {
            node.reorganise(0).expect("a block");
            node.reorganise(1).expect("a branch");
        }
        let branched = nodes();
        for _ in 0..50 {
            node.reorganise(100).expect("a branch");
        }
        let again = nodes();
        assert!(again < branched + branched / 5, "{branched} nodes, then {again}");
    }
}
