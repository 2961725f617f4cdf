//! How many connections each address has. Bounded by the endpoint's limits; an address without any is
//! forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
pub(super) struct Places {
    per_address: u32,
    taken: Mutex<HashMap<IpAddr, u32>>,
}

impl Places {
    pub(super) fn new(per_address: u32) -> Self {
        Self { per_address, taken: Mutex::default() }
    }

    /// A place for one more connection of `address`, if it may have one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let owner = owner(address);
        let mut taken = self.lock();
        let count = taken.entry(owner).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), owner })
    }

    /// Whether half of an address's places are taken.
    pub(super) fn are_scarce(&self, address: IpAddr) -> bool {
        let taken = self.lock().get(&owner(address)).copied().unwrap_or(0);
        taken >= self.per_address.div_ceil(2)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; dropping it gives it back.
pub(super) struct Place {
    places: Arc<Places>,
    owner: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

/// Who is behind an address. A household or a machine has a whole /64 of IPv6.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_no_more_until_one_is_given_back() {
        let places = Arc::new(Places::new(2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!places.are_scarce(ip("192.0.2.1")));
        let first = places.take(ip("192.0.2.1")).unwrap();
        assert!(places.are_scarce(ip("192.0.2.1")) && !places.are_scarce(ip("192.0.2.2")));
        let _second = places.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(ip("192.0.2.1")).is_none());
        let _other = places.take(ip("192.0.2.2")).unwrap();
        drop(first);
        assert!(places.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn one_half_of_an_ipv6_address_is_one_client_and_nothing_stays_behind() {
        let places = Arc::new(Places::new(1));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let place = places.take(ip("2001:db8::1")).unwrap();
        assert!(places.take(ip("2001:db8::2")).is_none());
        let other = places.take(ip("2001:db8:0:1::1")).unwrap();
        drop((place, other));
        assert!(places.lock().is_empty());
    }
}
