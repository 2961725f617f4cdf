//! TCP connections that have not shown whose they are, which are few ([`crowd`](crate::crowd)): a client
//! shows it a round trip after it connected.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::crowd::Crowd;

/// Connections in all, and of one network.
const MOST: (usize, usize) = (128, 16);

/// See the module.
pub(super) struct Unproven {
    /// What tells each to give way; what has been told so is not told again.
    crowd: Mutex<Crowd<Arc<Notify>>>,
    /// Somebody left.
    left: Notify,
}

impl Unproven {
    pub(super) fn shared() -> Arc<Self> {
        let crowd = Mutex::new(Crowd::new(MOST.0, MOST.1));
        Arc::new(Self { crowd, left: Notify::new() })
    }

    // Every change is one step, so a panic elsewhere leaves them whole.
    fn crowd(&self) -> MutexGuard<'_, Crowd<Arc<Notify>>> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there, once there is one: which is as soon as the one that gives way is closed.
    pub(super) async fn admit(self: &Arc<Self>, ip: IpAddr) -> Candidate {
        loop {
            if let Some(gives_way) = self.take(ip) {
                return Candidate { among: self.clone(), gives_way };
            }
            self.left.notified().await;
        }
    }

    /// Takes a place, or tells somebody to leave one.
    fn take(&self, ip: IpAddr) -> Option<Arc<Notify>> {
        let mut crowd = self.crowd();
        if let Some(oldest) = crowd.in_the_way(ip) {
            oldest.notify_one();
            return None;
        }
        let gives_way = Arc::<Notify>::default();
        crowd.enter(ip, gives_way.clone());
        Some(gives_way)
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
        self.among.crowd().leave(|it| Arc::ptr_eq(it, &self.gives_way));
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
        assert!(unproven.crowd().is_empty(), "nothing is kept of who left");
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
}
