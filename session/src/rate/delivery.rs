//! What arrives, over time by the client's clock: feedback that is late or comes in heaps changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Bitrate, PathReport};

/// A pause in arrivals counts as at most this long: an idle source is not a slow link.
const LONGEST_GAP: Duration = Duration::from_millis(250);
/// How long what arrived is kept.
const KEPT: Duration = Duration::from_millis(500);
/// Most intervals that are kept.
const MOST: usize = 256;
/// Nothing arrived for so long although it was being sent: the link stood still (a Wi-Fi scan, a change of
/// cell, a client without a turn on its processor).
const STALL: Duration = Duration::from_millis(120);

/// More packets than this are not lost by chance in a pause.
const LOST: u32 = 10;

/// How packets came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// As they were sent.
    Steadily,
    /// All at once, after the link stood still.
    AfterStall,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    length: Duration,
    bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// Oldest first; what lies before a stall is forgotten.
    intervals: VecDeque<Interval>,
    /// When the newest packet arrived, on the client's clock, in microseconds.
    newest: Option<i64>,
    /// Its one-way delay.
    delay: i64,
    /// Time between two reports, on average.
    usual: Duration,
}

impl Delivery {
    pub(super) fn new() -> Self {
        Self {
            intervals: VecDeque::new(),
            newest: None,
            delay: 0,
            usual: Duration::from_millis(50),
        }
    }

    pub(super) fn add(&mut self, report: &PathReport) -> Came {
        let arrived = i64::try_from(report.newest_sent.as_micros())
            .unwrap_or(i64::MAX)
            .saturating_add(report.newest_delay_micros);
        let gap = match self.newest {
            Some(before) => Duration::from_micros(arrived.saturating_sub(before).max(0) as u64),
            // The first packets say nothing of the pause before them.
            None => report.span.max(self.usual),
        };
        self.newest = Some(self.newest.map_or(arrived, |before| before.max(arrived)));
        // What was sent in a pause was sent during it, or waited for its end, or is lost.
        let waited = report.newest_delay_micros.saturating_sub(self.delay).max(0) as u64;
        self.delay = report.newest_delay_micros;
        let in_vain = report.span.saturating_add(Duration::from_micros(waited)) > gap / 2
            || report.lost_packets > LOST;
        if gap > STALL.max(self.usual * 2) && in_vain {
            self.intervals.clear();
            return Came::AfterStall;
        }
        let length = gap.min(LONGEST_GAP.max(report.span.min(KEPT)));
        self.usual = (self.usual * 7 + length) / 8;
        self.intervals.push_back(Interval { length, bytes: report.acked_bytes });
        let mut kept = self.length();
        while self.intervals.len() > 1
            && let Some(oldest) = self.intervals.front()
            && (kept - oldest.length >= KEPT || self.intervals.len() > MOST)
        {
            kept -= oldest.length;
            self.intervals.pop_front();
        }
        Came::Steadily
    }

    /// What arrives, over the last `window`, or over less where less is known; zero where nothing is.
    pub(super) fn rate(&self, window: Duration) -> Bitrate {
        let (mut length, mut bytes) = (Duration::ZERO, 0_u64);
        for interval in self.intervals.iter().rev() {
            length += interval.length;
            bytes = bytes.saturating_add(interval.bytes);
            if length >= window {
                break;
            }
        }
        Bitrate::of(bytes, length)
    }

    /// The time that is known.
    pub(super) fn length(&self) -> Duration {
        self.intervals.iter().map(|interval| interval.length).sum()
    }

    /// Time between two reports, on average.
    pub(super) fn usual_gap(&self) -> Duration {
        self.usual
    }
}
