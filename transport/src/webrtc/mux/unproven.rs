//! TCP connections that have not shown whose they are: few in all, and few of one network, so that nobody takes up the
//! places of all others. Where there is none left the oldest gives way to a newer one: it had its time, as a client shows
//! whose it is a round trip after it connected, and whoever only waits must not keep others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections in all, and of one network.
const MOST: (usize, usize) = (128, 16);

/// What one client has as many addresses of as it likes: an address of IPv4, or 64 bits of IPv6, which one line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
            ip => ip,
        })
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Unproven {
    /// The oldest first.
    places: Mutex<Vec<Place>>,
    /// Somebody left.
    left: Notify,
}

struct Place {
    network: Network,
    /// Tells it to give way; what has been told so is not told again.
    gives_way: Arc<Notify>,
}

impl Unproven {
    pub(super) fn shared() -> Arc<Self> {
        Arc::default()
    }

    // Every change is one step, so a panic elsewhere leaves them whole.
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there, once there is one: which is as soon as the one that gives way is closed.
    pub(super) async fn admit(self: &Arc<Self>, ip: IpAddr) -> Candidate {
        let network = Network::of(ip);
        loop {
            if let Some(gives_way) = self.take(network) {
                return Candidate { among: self.clone(), gives_way };
            }
            self.left.notified().await;
        }
    }

    /// Takes a place, or tells somebody to leave one: of this network where that has too many, else of the one that has most.
    fn take(&self, network: Network) -> Option<Arc<Notify>> {
        let mut places = self.places();
        let mut counts = HashMap::<_, usize>::new();
        places.iter().for_each(|place| *counts.entry(place.network).or_default() += 1);
        let has_too_many = counts.get(&network).is_some_and(|count| *count >= MOST.1);
        if !has_too_many && places.len() < MOST.0 {
            let gives_way = Arc::<Notify>::default();
            places.push(Place { network, gives_way: gives_way.clone() });
            return Some(gives_way);
        }
        let crowd = if has_too_many {
            network
        } else {
            // Of those that are equal the last one counts: the oldest.
            let most = places.iter().rev().max_by_key(|place| counts.get(&place.network));
            most.map_or(network, |place| place.network)
        };
        let oldest = places.iter().find(|place| place.network == crowd);
        oldest.inspect(|place| place.gives_way.notify_one());
        None
    }
}

/// A connection that has a place, until this is dropped.
pub(super) struct Candidate {
    among: Arc<Unproven>,
    gives_way: Arc<Notify>,
}

impl Candidate {
    /// Waits until it has to give way.
    pub(super) async fn gives_way(&mut self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.among.places().retain(|place| !Arc::ptr_eq(&place.gives_way, &self.gives_way));
        self.among.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn admit(unproven: &Arc<Unproven>, ip: IpAddr) -> Option<Candidate> {
        unproven.admit(ip).now_or_never()
    }

    /// Which of them have to give way.
    fn giving_way(held: &mut [Candidate]) -> Vec<usize> {
        let told = |(n, it): (usize, &mut Candidate)| it.gives_way().now_or_never().map(|()| n);
        held.iter_mut().enumerate().filter_map(told).collect()
    }

    #[test]
    fn of_one_network_the_oldest_gives_way_to_the_newest() {
        let unproven = Unproven::shared();
        let one = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, n, n, 0, n]);
        let mut held: Vec<_> = (0..16).map(|n| admit(&unproven, one(n)).unwrap()).collect();
        assert!(giving_way(&mut held).is_empty());
        let mut newest = Box::pin(unproven.admit(one(99)));
        assert!(newest.as_mut().now_or_never().is_none(), "nobody has left yet");
        assert_eq!(giving_way(&mut held), [0]);
        // Others are let in beside it.
        let other = admit(&unproven, IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1]));
        assert!(other.is_some() && giving_way(&mut held).is_empty());
        drop(held.remove(0));
        held.push(newest.now_or_never().expect("there is a place"));
        assert!(admit(&unproven, one(100)).is_none());
        assert_eq!(giving_way(&mut held), [0], "the next in turn");
        held.clear();
        drop(other);
        assert!(unproven.places().is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn when_all_places_are_taken_the_network_that_has_most_gives_way() {
        let unproven = Unproven::shared();
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        // 112 with one each, and one with 16, which came last.
        let mut held: Vec<_> = (0..112).map(|n| admit(&unproven, ip(n)).unwrap()).collect();
        held.extend((0..16).map(|_| admit(&unproven, ip(200)).unwrap()));
        assert!(admit(&unproven, ip(150)).is_none());
        assert_eq!(giving_way(&mut held), [112]);
        drop(held.remove(112));
        held.push(admit(&unproven, ip(150)).unwrap());
        // Where all have as many, it is the oldest of all.
        held.drain(113..127);
        held.extend((0..14).map(|n| admit(&unproven, ip(151 + n)).unwrap()));
        assert!(admit(&unproven, ip(199)).is_none());
        assert_eq!(giving_way(&mut held), [0]);
    }

    #[test]
    fn an_address_of_ipv4_is_one_network_however_it_is_written() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("::ffff:192.0.2.2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }
}
