//! QUIC's congestion window, set by our pace. It estimates nothing: a source that sends a frame now and
//! then grows the window of an estimator without bound, and on a full link the estimators let hundreds of
//! milliseconds of queue stand before they act. So the session's controller says how fast to send, and the
//! window only bounds what is in flight when acknowledgements stay away.
//!
//! It is also where QUIC says what it takes for lost. That leaves again next, before all that is new, and leaves twice
//! ([`Window::again`]): the second copy would be missed a round trip later, when what was waited for so long is late.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::Bitrate;
use quinn_proto::RttEstimator;
use wtransport::quinn::congestion::Controller;

/// In flight before a pace is known: a handshake, and the first keyframe of a small picture.
const START: u64 = 64 * 1024;
/// Never less, in bytes: a frame must be able to leave in one go.
const LEAST: u64 = 32 * 1024;
/// What may be in flight beyond half a round trip's worth. Pace is about four times the rate of the
/// video, so this is two round trips of video and 200 ms on top.
const SLACK: Duration = Duration::from_millis(50);
/// What leaves twice is at most this part of what came: a path that loses more is full, and takes no copies.
const COPIES: u64 = 10;
/// The most that leaves twice in one go, in bytes, after a while without losses.
const MOST_COPIES: u64 = 16 * 1024;

/// The window of one connection, and what was acknowledged; clones share both.
///
/// QUIC asks for a controller anew when the client comes by another address, since another path has another
/// window. Ours follows the pace, and what was acknowledged is counted for the session: both go on.
#[derive(Clone)]
pub(super) struct Window(Arc<Counts>);

struct Counts {
    window: AtomicU64,
    acked_bytes: AtomicU64,
    acked_packets: AtomicU64,
    /// What may leave twice.
    allowed: AtomicU64,
    /// What was lost and has not left again.
    lost: AtomicU64,
    newest: Mutex<Option<Acked>>,
}

/// When a packet was sent, and when its acknowledgement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) sent: Instant,
    pub(super) at: Instant,
}

impl Default for Window {
    fn default() -> Self {
        let [acked_bytes, acked_packets, lost] = [0; 3].map(AtomicU64::new);
        let [window, allowed] = [START, MOST_COPIES].map(AtomicU64::new);
        let newest = Mutex::default();
        Self(Arc::new(Counts { window, acked_bytes, acked_packets, allowed, lost, newest }))
    }
}

impl Window {
    /// Follows the pace and the path.
    pub(super) fn set(&self, pace: Bitrate, round_trip: Duration) {
        let window = pace.bytes_in(round_trip / 2 + SLACK).max(LEAST);
        self.0.window.store(window, Ordering::Relaxed);
    }

    /// Bytes and packets that the client acknowledged since the connection began.
    pub(super) fn acked(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.0.acked_bytes), count(&self.0.acked_packets))
    }

    /// Of so many bytes that leave now, how many leave again for what was lost and are to be sent twice.
    pub(super) fn again(&self, bytes: u64) -> u64 {
        let take = |lost: u64| Some(lost.saturating_sub(bytes));
        let lost = self.0.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        lost.unwrap_or(0).min(bytes)
    }

    fn came(&self, packet: Acked, bytes: u64) {
        let allow = |allowed: u64| Some((allowed + bytes / COPIES).min(MOST_COPIES));
        let _ = self.0.allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allow);
        self.0.acked_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.acked_packets.fetch_add(1, Ordering::Relaxed);
        let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.is_none_or(|newest| packet.sent > newest.sent) {
            *newest = Some(packet);
        }
    }

    /// The packet that was sent last of those that were acknowledged.
    pub(super) fn newest(&self) -> Option<Acked> {
        *self.0.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for Window {
    fn on_ack(&mut self, at: Instant, sent: Instant, bytes: u64, _: bool, _: &RttEstimator) {
        self.came(Acked { sent, at }, bytes);
    }

    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, lost: u64) {
        let allow = |allowed: u64| Some(allowed.saturating_sub(lost));
        let allowed = self.0.allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allow);
        self.0.lost.fetch_add(lost.min(allowed.unwrap_or(0)), Ordering::Relaxed);
    }

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        self.0.window.load(Ordering::Relaxed)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        START
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_pace_and_round_trip_and_losses_do_not_move_it() {
        let shared = Window::default();
        let mut controller = shared.clone_box();
        assert_eq!(controller.window(), START);
        shared.set(Bitrate::from_mbps(40), Duration::from_millis(20));
        assert_eq!(controller.window(), 300_000);
        controller.on_congestion_event(Instant::now(), Instant::now(), true, 300_000);
        assert_eq!(controller.window(), 300_000);
        shared.set(Bitrate::from_kbps(100), Duration::ZERO);
        assert_eq!(controller.window(), LEAST);
    }

    #[test]
    fn what_was_lost_leaves_twice_within_a_tenth_of_what_comes() {
        let shared = Window::default();
        let mut controller = shared.clone_box();
        let now = Instant::now();
        assert_eq!(shared.again(12_000), 0, "nothing was lost");
        controller.on_congestion_event(now, now, false, 2_400);
        assert_eq!(shared.again(1_200), 1_200);
        assert_eq!(shared.again(12_000), 1_200);
        assert_eq!(shared.again(12_000), 0, "new frames leave once");
        // A queue that overflows.
        controller.on_congestion_event(now, now, false, 400_000);
        assert_eq!(shared.again(400_000), MOST_COPIES - 2_400);
        controller.on_congestion_event(now, now, false, 400_000);
        assert_eq!(shared.again(400_000), 0);
        (0..10).for_each(|_| shared.came(Acked { sent: now, at: now }, 1_200));
        controller.on_congestion_event(now, now, false, 2_400);
        assert_eq!(shared.again(400_000), 1_200);
    }

    #[test]
    fn what_was_sent_last_of_what_came_is_remembered() {
        let shared = Window::default();
        assert_eq!(shared.newest(), None);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (sent, came) in [(10, 40), (30, 60), (20, 70)] {
            shared.came(Acked { sent: at(sent), at: at(came) }, 1_200);
        }
        assert_eq!(shared.newest(), Some(Acked { sent: at(30), at: at(60) }));
        assert_eq!(shared.acked(), (3_600, 3));
    }
}
