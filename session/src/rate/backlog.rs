//! What is on its way and will wait at the bottleneck: known before it is reported.
//!
//! The newest packet that arrived says how long the queue was when it was sent. Since then the queue grew by what
//! was sent and shrank by what the link carries: that is the queue of now, a round trip before it is reported.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};

/// Frames on their way at most; a path that keeps more than this holds minutes.
const MOST: usize = 1_024;
/// What is overdue for so long does not come any more.
const GIVEN_UP: Duration = Duration::from_millis(150);
/// A packet's time of sending may be taken this much before the socket took the end of its frame: transports that
/// number packets do so before they are sealed. Short against the time between two frames.
const SEALED_IN: Duration = Duration::from_micros(250);
/// What a source sends is averaged over this long.
const RECENT: Duration = Duration::from_millis(500);

/// What was sent between the newest packet of a report and that of the report before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) length: Duration,
    pub(super) bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    /// When frames were sent, and their bytes.
    under_way: VecDeque<(MediaTime, u64)>,
    /// The same of the last [`RECENT`], whether it arrived or not.
    recent: VecDeque<(MediaTime, u64)>,
    newest: Option<MediaTime>,
    /// Bytes of frames that were told as sent after the report on their arrival.
    late: u64,
    /// From sending to the report, at the least of late.
    answered_in: Duration,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            recent: VecDeque::new(),
            newest: None,
            late: 0,
            answered_in: Duration::from_millis(100),
        }
    }

    /// The last packet of a frame left `at`.
    pub(super) fn on_sent(&mut self, at: MediaTime, bytes: u64) {
        if self.newest.is_some_and(|newest| at <= newest + SEALED_IN) {
            self.late = self.late.saturating_add(bytes);
        } else {
            if self.under_way.len() == MOST {
                self.under_way.pop_front();
            }
            self.under_way.push_back((at, bytes));
        }
        self.recent.push_back((at, bytes));
        while self.recent.len() > MOST
            || self.recent.front().is_some_and(|(first, _)| at.since(*first) > RECENT)
        {
            self.recent.pop_front();
        }
    }

    /// What is sent, over the last half second.
    pub(super) fn sent_rate(&self, now: MediaTime) -> Bitrate {
        let recent = self.recent.iter().filter(|(at, _)| now.since(*at) <= RECENT);
        Bitrate::of(recent.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes)), RECENT)
    }

    pub(super) fn on_report(&mut self, now: MediaTime, report: &PathReport) -> Stretch {
        let newest =
            self.newest.map_or(report.newest_sent, |before| before.max(report.newest_sent));
        let length = self.newest.map_or(Duration::ZERO, |before| newest.since(before));
        self.newest = Some(newest);
        if !length.is_zero() {
            let answered = now.since(newest);
            // Down at once, up slowly: a queue must not become the usual round trip.
            self.answered_in = answered.min((self.answered_in * 31 + answered) / 32);
        }
        let mut bytes = std::mem::take(&mut self.late);
        let arrived = newest + SEALED_IN;
        while let Some((_, of_frame)) = self.under_way.pop_front_if(|(at, _)| *at <= arrived) {
            bytes = bytes.saturating_add(of_frame);
        }
        Stretch { length, bytes }
    }

    /// From sending to the report, at the least of late.
    pub(super) fn answered_in(&self) -> Duration {
        self.answered_in
    }

    /// Whether something should have been heard by now, of reports that come every `gap`.
    pub(super) fn is_overdue(&self, now: MediaTime, gap: Duration) -> bool {
        let oldest = self.under_way.front();
        oldest.is_some_and(|(at, _)| now.since(*at) > self.answered_in + gap * 2)
    }

    /// How long a frame that is sent now would wait, where `queue` is what the newest packet that arrived waited,
    /// on a link that carries `rate`. Reports come every `gap`: what is overdue has not moved.
    pub(super) fn wait(
        &self,
        now: MediaTime,
        queue: Duration,
        rate: Bitrate,
        gap: Duration,
    ) -> Duration {
        let Some(newest) = self.newest else { return Duration::ZERO };
        let answered_in = self.answered_in.saturating_add(queue).saturating_add(gap * 2);
        // What is overdue for so long is lost: the path is tried again.
        let given_up = answered_in.saturating_add(GIVEN_UP);
        let waiting = self.under_way.iter().filter(|(at, _)| now.since(*at) <= given_up);
        let bytes = waiting.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if bytes == 0 {
            return Duration::ZERO;
        }
        let passed = now.since(newest).min(answered_in);
        queue.saturating_add(rate.time_for(bytes)).saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> MediaTime {
        MediaTime::from_nanos(micros * 1_000)
    }

    fn report(at: u64, newest_sent: u64) -> PathReport {
        PathReport {
            at: us(at),
            span: Duration::ZERO,
            acked_bytes: 10_000,
            acked_packets: 9,
            lost_packets: 0,
            sent_bytes: 10_000,
            one_way_delay_micros: 0,
            newest_sent: us(newest_sent),
            newest_delay_micros: 0,
            round_trip: None,
            ecn_ce: 0,
            unread_frames: None,
        }
    }

    fn wait(backlog: &Backlog, at: u64) -> Duration {
        let gap = Duration::from_millis(50);
        backlog.wait(us(at), Duration::ZERO, Bitrate::from_kbps(8), gap)
    }

    /// A packet is numbered, and its time taken, before the socket takes it.
    #[test]
    fn a_frame_whose_last_packet_arrived_is_not_under_way_though_the_socket_took_it_later() {
        let mut backlog = Backlog::new();
        backlog.on_sent(us(10_080), 10_000);
        let stretch = backlog.on_report(us(60_000), &report(60_000, 10_000));
        assert_eq!((stretch.bytes, wait(&backlog, 60_000)), (10_000, Duration::ZERO));
        backlog.on_sent(us(70_000), 10_000);
        assert!(wait(&backlog, 70_000) > Duration::from_secs(9), "that one is under way");
    }

    #[test]
    fn a_frame_that_is_told_after_its_arrival_is_counted_and_not_under_way() {
        let mut backlog = Backlog::new();
        backlog.on_report(us(60_000), &report(60_000, 10_000));
        backlog.on_sent(us(10_080), 10_000);
        assert_eq!(wait(&backlog, 60_000), Duration::ZERO);
        assert_eq!(backlog.on_report(us(110_000), &report(110_000, 60_000)).bytes, 10_000);
        assert_eq!(backlog.on_report(us(160_000), &report(160_000, 110_000)).bytes, 0);
    }
}
