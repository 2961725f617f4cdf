//! Whose a datagram is: by the user name fragment that its session was given, then by its address.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::leg::Leg;

/// Addresses that one session's client may be known by; a browser has a few for each network.
const MAX_ADDRESSES: usize = 16;

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
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    by_name: HashMap<Vec<u8>, Member>,
    by_address: HashMap<Remote, Arc<Leg>>,
}

impl Table {
    pub(super) fn insert(&mut self, leg: Arc<Leg>) {
        let name = leg.ours.ufrag.clone().into_bytes();
        self.by_name.insert(name, Member { leg, addresses: VecDeque::new() });
    }

    pub(super) fn remove(&mut self, leg: &Arc<Leg>) {
        let Some(member) = self.by_name.remove(leg.ours.ufrag.as_bytes()) else { return };
        for remote in member.addresses {
            self.forget(remote, leg);
        }
    }

    /// Forgets an address unless another session has it by now.
    fn forget(&mut self, remote: Remote, leg: &Arc<Leg>) {
        if self.by_address.get(&remote).is_some_and(|owner| Arc::ptr_eq(owner, leg)) {
            self.by_address.remove(&remote);
        }
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<Arc<Leg>> {
        self.by_name.get(name).map(|member| member.leg.clone())
    }

    pub(super) fn at(&self, remote: Remote) -> Option<Arc<Leg>> {
        self.by_address.get(&remote).cloned()
    }

    /// Keeps that the client of `leg` has shown itself at an address. Of too many the one that was not
    /// seen for the longest time goes.
    pub(super) fn learn(&mut self, remote: Remote, leg: &Arc<Leg>) {
        // It may have ended since it was looked up.
        let Some(member) = self.by_name.get_mut(leg.ours.ufrag.as_bytes()) else { return };
        if member.addresses.back() != Some(&remote) {
            member.addresses.retain(|known| *known != remote);
            member.addresses.push_back(remote);
        }
        let too_many = member.addresses.len() > MAX_ADDRESSES;
        let oldest = too_many.then(|| member.addresses.pop_front()).flatten();
        self.by_address.insert(remote, leg.clone());
        if let Some(oldest) = oldest {
            self.forget(oldest, leg);
        }
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
            table.learn(remote(port), &one);
            table.learn(remote(port), &one);
        }
        assert_eq!(table.len(), (1, MAX_ADDRESSES));
        assert!(table.at(remote(84)).is_none() && table.at(remote(85)).is_some());
        table.learn(remote(85), &one);
        table.learn(remote(200), &one);
        assert!(table.at(remote(85)).is_some() && table.at(remote(86)).is_none(), "it is in use");
        table.remove(&one);
        assert_eq!(table.len(), (0, 0));
        table.learn(remote(1), &one);
        assert_eq!(table.len(), (0, 0), "what ended learns nothing");
    }

    #[test]
    fn an_address_belongs_to_who_showed_itself_last() {
        let (mut table, one, two) = (Table::default(), leg("one"), leg("two"));
        table.insert(one.clone());
        table.insert(two.clone());
        table.learn(remote(1), &one);
        table.learn(remote(1), &two);
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two));
        for _ in 0..2 * MAX_ADDRESSES {
            table.learn(remote(1), &one);
            assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &one));
            table.learn(remote(1), &two);
            assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two));
        }
        table.remove(&one);
        assert!(Arc::ptr_eq(&table.at(remote(1)).unwrap(), &two), "it was not one's any more");
        assert!(table.named(b"one").is_none() && table.named(b"two").is_some());
    }
}
