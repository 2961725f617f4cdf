//! Users of the host that games run as, one each, where the node may choose.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers to give out.
#[derive(Clone, Debug)]
pub(super) struct Users {
    range: Range<u32>,
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

impl Users {
    pub(super) fn new(range: Range<u32>) -> Self {
        Self { range, taken: Arc::default() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// One that no other game has, until the lease is dropped.
    pub(super) fn take(&self) -> Option<Lease> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = self.range.clone().find(|uid| !taken.contains(uid))?;
        taken.insert(uid);
        drop(taken);
        Some(Lease { uid, taken: Arc::clone(&self.taken) })
    }
}

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) uid: u32,
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_games_have_one() {
        let users = Users::new(5..7);
        let (first, second) = (users.take().unwrap(), users.take().unwrap());
        assert_eq!((first.uid, second.uid, users.count()), (5, 6, 2));
        assert!(users.take().is_none());
        drop(first);
        assert_eq!(users.take().unwrap().uid, 5);
    }
}
