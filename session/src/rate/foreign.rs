//! Whether a queue is ours: one that stands although less and less of ours passes it is not.
//!
//! While a queue of ours drains, the link is busy with it: what arrives stays what the link carries, and the queue
//! falls. If less arrives and the queue stands all the same, either the route has become longer, and then the delay
//! does not move, or someone else fills the queue who does not mind its length (TCP).

use std::time::Duration;

use media::{Bitrate, MediaTime};

/// So much less than at first arrives in vain for so long, of a longer route...
const ROUTE: (f64, Duration) = (0.75, Duration::from_millis(500));
/// ...and beside others: two sessions that give way to each other must not take each other for such.
const TRAFFIC: (f64, Duration) = (0.5, Duration::from_millis(1_000));
/// A queue that rises by more than this is still rising from what was sent before, in microseconds.
const RISING: i64 = 30_000;
/// A queue that falls to less than this part drains.
const DRAINS: f64 = 0.7;
/// A delay that moves by less than this is the route's, in microseconds...
const FLAT: i64 = 6_000;
/// ...unless it has just been taken for one.
const ROUTES_LAST: Duration = Duration::from_secs(10);

/// Who makes the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Nobody: the route has become longer.
    Route,
    /// Someone who fills the queue. The session had this rate when it began to give way.
    Traffic(Bitrate),
}

/// What a queue was when it was looked at first, and what it has been since.
#[derive(Clone, Copy, Debug)]
struct Watch {
    began: MediaTime,
    queue: i64,
    least: i64,
    most: i64,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspicion {
    /// The session's rate when the queue began to stand.
    rate: Option<Bitrate>,
    watch: Option<Watch>,
    last_route: Option<MediaTime>,
}

impl Suspicion {
    /// No queue stands.
    pub(super) fn clear(&mut self) {
        self.rate = None;
        self.watch = None;
    }

    /// A queue of `queue` microseconds stands, of a session at `rate`, of which `arrived` arrives.
    pub(super) fn look(
        &mut self,
        now: MediaTime,
        queue: i64,
        rate: Bitrate,
        arrived: Bitrate,
    ) -> Option<Foreign> {
        let before = *self.rate.get_or_insert(rate);
        let anew = Watch { began: now, queue, least: queue, most: queue };
        let watch = self.watch.get_or_insert(anew);
        let drains = (queue as f64) < watch.queue as f64 * DRAINS;
        if drains || queue > watch.queue.saturating_add(RISING) {
            *watch = anew;
            return None;
        }
        watch.least = watch.least.min(queue);
        watch.most = watch.most.max(queue);
        let watched = now.since(watch.began);
        let in_vain =
            |(less, length): (f64, Duration)| watched >= length && arrived <= before.scaled(less);
        let flat = watch.most - watch.least < FLAT;
        let again = self.last_route.is_some_and(|last| now.since(last) < ROUTES_LAST);
        if flat && !again && in_vain(ROUTE) {
            self.clear();
            self.last_route = Some(now);
            return Some(Foreign::Route);
        }
        if !in_vain(TRAFFIC) {
            return None;
        }
        self.clear();
        Some(Foreign::Traffic(before))
    }
}
