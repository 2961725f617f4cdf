//! QUIC's congestion window, set by our pace. It estimates nothing: a source that sends a frame now and
//! then grows the window of an estimator without bound, and on a full link the estimators let hundreds of
//! milliseconds of queue stand before they act. So the session's controller says how fast to send, and the
//! window only bounds what is in flight when acknowledgements stay away.

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
        let [acked_bytes, acked_packets] = [0, 0].map(AtomicU64::new);
        let (window, newest) = (AtomicU64::new(START), Mutex::default());
        Self(Arc::new(Counts { window, acked_bytes, acked_packets, newest }))
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

    fn came(&self, packet: Acked, bytes: u64) {
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

    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

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
