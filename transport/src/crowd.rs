//! Connections that have not shown whose they are: few in all, and few of one network, so that nobody takes up the
//! places of all others. Where there is none left the oldest gives way to a newer one: it had its time, as a client shows
//! whose it is soon after it connected, and whoever only waits must not keep others out. Those that have shown it are
//! counted the same way, by whose they are in place of their network.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

/// What one client has as many addresses of as it likes: an address of IPv4, or 64 bits of IPv6, which one line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
            ip => ip,
        })
    }
}

/// See the module. `T` tells its connections apart, and `By` is what they are counted by.
#[derive(Debug)]
pub struct Crowd<T, By = Network> {
    all: usize,
    of_one: usize,
    /// The oldest first.
    places: Vec<(By, T)>,
}

impl<T, By: Copy + Eq + Hash> Crowd<T, By> {
    /// With so many places in all, and for one network.
    pub fn new(all: usize, of_one: usize) -> Self {
        Self { all, of_one, places: Vec::new() }
    }

    /// Who has to leave before one from there may enter: the oldest of this network where that has too many, else of the one
    /// that has most; none where there is a place.
    pub fn in_the_way(&self, from: impl Into<By>) -> Option<&T> {
        let network: By = from.into();
        let mut counts = HashMap::<_, usize>::new();
        self.places.iter().for_each(|(of, _)| *counts.entry(*of).or_default() += 1);
        let has_too_many = counts.get(&network).is_some_and(|count| *count >= self.of_one);
        if !has_too_many && self.places.len() < self.all {
            return None;
        }
        let crowd = if has_too_many {
            network
        } else {
            // Of those that are equal the last one counts: the oldest.
            let most = self.places.iter().rev().max_by_key(|(of, _)| counts.get(of));
            most.map_or(network, |(of, _)| *of)
        };
        self.places.iter().find(|(of, _)| *of == crowd).map(|(_, oldest)| oldest)
    }

    /// One from there enters.
    pub fn enter(&mut self, from: impl Into<By>, who: T) {
        self.places.push((from.into(), who));
    }

    /// Whoever this is leaves.
    pub fn leave(&mut self, is_it: impl Fn(&T) -> bool) {
        self.places.retain(|(_, who)| !is_it(who));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_one_network_however_it_is_written() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("::ffff:192.0.2.2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }
}
