//! Whose a datagram is: by the user name fragment that its session was given, then by its address.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::leg::Leg;
use super::stun::Transaction;

/// Addresses that one session's client may be known by; a browser has a few for each network.
const MAX_ADDRESSES: usize = 16;
/// Checks of ours that one session may wait for: more than leave in the longest round trip.
const MAX_ASKED: usize = 16;

/// An address as one socket sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Remote {
    pub(super) socket: usize,
    pub(super) address: SocketAddr,
}

struct Member {
    leg: Arc<Leg>,
    /// Those that were not seen for the longest time first.
    addresses: VecDeque<Remote>,
    /// Its checks, the oldest first.
    asked: VecDeque<Transaction>,
}

struct Owner {
    leg: Arc<Leg>,
    /// Its client answered a check of ours there.
    proven: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    by_name: HashMap<Vec<u8>, Member>,
    by_address: HashMap<Remote, Owner>,
    by_check: HashMap<Transaction, Arc<Leg>>,
}

impl Table {
    pub(super) fn insert(&mut self, leg: Arc<Leg>) {
        let name = leg.ours.ufrag.clone().into_bytes();
        let (addresses, asked) = (VecDeque::new(), VecDeque::new());
        self.by_name.insert(name, Member { leg, addresses, asked });
    }

    pub(super) fn remove(&mut self, leg: &Arc<Leg>) {
        let Some(member) = self.by_name.remove(leg.ours.ufrag.as_bytes()) else { return };
        for remote in member.addresses {
            self.forget(remote, leg);
        }
        for check in member.asked {
            self.by_check.remove(&check);
        }
    }

    /// Forgets an address unless another session has it by now.
    fn forget(&mut self, remote: Remote, leg: &Arc<Leg>) {
        if self.by_address.get(&remote).is_some_and(|owner| Arc::ptr_eq(&owner.leg, leg)) {
            self.by_address.remove(&remote);
        }
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<Arc<Leg>> {
        self.by_name.get(name).map(|member| member.leg.clone())
    }

    pub(super) fn at(&self, remote: Remote) -> Option<Arc<Leg>> {
        self.by_address.get(&remote).map(|owner| owner.leg.clone())
    }

    /// Keeps that a check of ours left, where one did.
    pub(super) fn asked(&mut self, check: Option<Transaction>, leg: &Arc<Leg>) {
        let Some(check) = check else { return };
        // It may have ended since it was looked up.
        let Some(member) = self.by_name.get_mut(leg.ours.ufrag.as_bytes()) else { return };
        if member.asked.len() == MAX_ASKED
            && let Some(oldest) = member.asked.pop_front()
        {
            self.by_check.remove(&oldest);
        }
        member.asked.push_back(check);
        self.by_check.insert(check, leg.clone());
    }

    pub(super) fn who_asked(&self, check: &Transaction) -> Option<Arc<Leg>> {
        self.by_check.get(check).cloned()
    }

    /// Keeps that the client of `leg` has shown itself at an address, by a check or, where `proven`, by an answer.
    /// Of too many the one that was not seen for the longest time goes. Yields whether the address is its own:
    /// one that is another's for sure takes an answer.
    pub(super) fn learn(&mut self, remote: Remote, leg: &Arc<Leg>, proven: bool) -> bool {
        let owner = self.by_address.get(&remote);
        let own = owner.is_some_and(|owner| owner.proven && Arc::ptr_eq(&owner.leg, leg));
        if owner.is_some_and(|owner| owner.proven) && !own && !proven {
            return false;
        }
        let Some(member) = self.by_name.get_mut(leg.ours.ufrag.as_bytes()) else { return true };
        if member.addresses.back() != Some(&remote) {
            member.addresses.retain(|known| *known != remote);
            member.addresses.push_back(remote);
        }
        let too_many = member.addresses.len() > MAX_ADDRESSES;
        let oldest = too_many.then(|| member.addresses.pop_front()).flatten();
        self.by_address.insert(remote, Owner { leg: leg.clone(), proven: proven || own });
        if let Some(oldest) = oldest {
            self.forget(oldest, leg);
        }
        true
    }

    /// Sessions and addresses.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.by_name.len(), self.by_address.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::mux::leg::Counts;
    use crate::webrtc::offer::IceCredentials;

    fn leg(name: &str) -> Arc<Leg> {
        let credentials = |ufrag: &str| IceCredentials { ufrag: ufrag.into(), password: "".into() };
        let crypto = rtc::crypto::default_provider().unwrap();
        Arc::new(Leg::new(credentials(name), credentials("them"), crypto, Arc::<Counts>::default()))
    }

    fn remote(port: u16) -> Remote {
        Remote { socket: 0, address: SocketAddr::from(([192, 0, 2, 1], port)) }
    }

    #[test]
    fn addresses_are_bounded_and_go_with_their_session() {
        let (mut table, one) = (Table::default(), leg("one"));
        table.insert(one.clone());
        for port in 1..=100 {
            table.learn(remote(port), &one, false);
            table.learn(remote(port), &one, false);
        }
        assert_eq!(table.len(), (1, MAX_ADDRESSES));
        assert!(table.at(remote(84)).is_none() && table.at(remote(85)).is_some());
        table.learn(remote(85), &one, false);
        table.learn(remote(200), &one, false);
        assert!(table.at(remote(85)).is_some() && table.at(remote(86)).is_none(), "it is in use");
        table.remove(&one);
        assert_eq!(table.len(), (0, 0));
        table.learn(remote(1), &one, false);
        assert_eq!(table.len(), (0, 0), "what ended learns nothing");
    }

    #[test]
    fn an_address_belongs_to_who_showed_itself_last() {
        let (mut table, one, two) = (Table::default(), leg("one"), leg("two"));
        table.insert(one.clone());
        table.insert(two.clone());
        table.learn(remote(1), &one, false);
        table.learn(remote(1), &two, false);
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two));
        for _ in 0..2 * MAX_ADDRESSES {
            table.learn(remote(1), &one, false);
            assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &one));
            table.learn(remote(1), &two, false);
            assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two));
        }
        table.remove(&one);
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two), "it was not one's any more");
        assert!(table.named(b"one").is_none() && table.named(b"two").is_some());
    }

    #[test]
    fn an_address_that_is_proven_takes_proof_to_change_its_owner() {
        let (mut table, one, two) = (Table::default(), leg("one"), leg("two"));
        table.insert(one.clone());
        table.insert(two.clone());
        assert!(table.learn(remote(1), &one, false) && table.learn(remote(1), &one, true));
        assert!(table.learn(remote(1), &one, false), "its own check takes nothing from it");
        assert!(!table.learn(remote(1), &two, false));
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &one));
        assert!(table.learn(remote(1), &two, true), "a NAT gave it to another client");
        assert!(!table.learn(remote(1), &one, false));
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two));
        table.remove(&two);
        assert!(table.at(remote(1)).is_none() && table.learn(remote(1), &one, false));
    }

    #[test]
    fn checks_are_of_whom_asked_and_bounded() {
        let (mut table, one, two) = (Table::default(), leg("one"), leg("two"));
        table.insert(one.clone());
        table.insert(two.clone());
        for n in 0..100 {
            table.asked(Some([n; 12]), &one);
        }
        table.asked(Some([200; 12]), &two);
        table.asked(None, &two);
        assert_eq!(table.by_check.len(), MAX_ASKED + 1);
        assert!(table.who_asked(&[83; 12]).is_none());
        assert!(Arc::ptr_eq(&table.who_asked(&[84; 12]).unwrap(), &one));
        assert!(Arc::ptr_eq(&table.who_asked(&[200; 12]).unwrap(), &two));
        table.remove(&one);
        table.asked(Some([1; 12]), &one);
        assert_eq!(table.by_check.len(), 1, "what ended asks nothing");
    }
}
