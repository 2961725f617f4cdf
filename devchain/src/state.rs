//! States as nodes of one trie: a block's state is a root, and what the block changed is added beside what was there.
//! Nodes that a state has lost go when that state does.

use std::collections::HashMap;

use sp_core::H256;
use sp_runtime::traits::BlakeTwo256;
use sp_state_machine::{BackendTransaction, TrieBackend, TrieBackendBuilder, TrieBackendStorage};
use sp_trie::{DBValue, prefixed_key};

/// A state to read and to build on.
pub(crate) type Backend<'a> = TrieBackend<&'a Nodes, BlakeTwo256>;

/// What a block did to the nodes.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    added: Vec<Vec<u8>>,
    dropped: Vec<Vec<u8>>,
}

/// The nodes of all states that are kept, with the number of those that have them.
#[derive(Debug, Default)]
pub(crate) struct Nodes(HashMap<Vec<u8>, (DBValue, u32)>);

impl Nodes {
    /// The state of this root.
    pub(crate) fn at(&self, root: H256) -> Backend<'_> {
        TrieBackendBuilder::new(self, root).build()
    }

    /// Adds what a block changed; what it no longer has stays until [`Nodes::forget_before`].
    pub(crate) fn add(&mut self, mut changes: BackendTransaction<BlakeTwo256>) -> Journal {
        let mut journal = Journal::default();
        for (key, (value, count)) in changes.drain() {
            for _ in 0..count {
                self.0.entry(key.clone()).or_insert_with(|| (value.clone(), 0)).1 += 1;
                journal.added.push(key.clone());
            }
            journal.dropped.extend((count..0).map(|_| key.clone()));
        }
        journal
    }

    /// The state before this block is read no more.
    pub(crate) fn forget_before(&mut self, journal: &mut Journal) {
        journal.dropped.drain(..).for_each(|key| self.release(&key));
    }

    /// This block's state is read no more, nor any after it.
    pub(crate) fn undo(&mut self, journal: &Journal) {
        journal.added.iter().for_each(|key| self.release(key));
    }

    /// Nodes of all kept states.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn release(&mut self, key: &[u8]) {
        if let Some((_, count)) = self.0.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

impl TrieBackendStorage<BlakeTwo256> for Nodes {
    fn get(&self, key: &H256, prefix: (&[u8], Option<u8>)) -> Result<Option<DBValue>, String> {
        let found = self.0.get(&prefixed_key::<BlakeTwo256>(key, prefix));
        Ok(found.map(|(value, _)| value.clone()))
    }
}
