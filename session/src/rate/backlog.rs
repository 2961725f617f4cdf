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
    /// From sending to the report, at the least of late.
    answered_in: Duration,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            recent: VecDeque::new(),
            newest: None,
            answered_in: Duration::from_millis(100),
        }
    }

    pub(super) fn on_sent(&mut self, now: MediaTime, bytes: u64) {
        if self.under_way.len() == MOST {
            self.under_way.pop_front();
        }
        self.under_way.push_back((now, bytes));
        self.recent.push_back((now, bytes));
        while self.recent.len() > MOST
            || self.recent.front().is_some_and(|(at, _)| now.since(*at) > RECENT)
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
        let mut bytes = 0_u64;
        while let Some((_, of_frame)) = self.under_way.pop_front_if(|(at, _)| *at <= newest) {
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
