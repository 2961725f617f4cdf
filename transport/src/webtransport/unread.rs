//! Frames that QUIC brought whole and that the client's program has not read, by the clock of this end alone.
//!
//! QUIC acknowledges a frame's stream when the client's end of the connection has it, which in browsers is a process
//! of its own; the page's message follows when it has read it. Between the two the frame waits for the page.

use std::collections::VecDeque;
use std::time::Duration;

use media::MediaTime;

/// Frames that are kept; of a client that reads nothing, older ones are forgotten.
const MOST: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Timestamps of frames and since when they lie there, oldest first.
    frames: VecDeque<(u32, MediaTime)>,
    /// When the average was taken last, and how long frames lay there since, in all, of those that were read.
    from: Option<MediaTime>,
    lay: Duration,
}

impl Unread {
    /// QUIC says that a frame is whole at the client.
    pub(super) fn came(&mut self, timestamp: u32, at: MediaTime) {
        if self.frames.len() == MOST {
            self.frames.pop_front();
        }
        self.frames.push_back((timestamp, at));
    }

    /// The client says that it has read a frame. It has those before it, too: what it said of them may be lost.
    pub(super) fn read(&mut self, timestamp: u32, at: MediaTime) {
        let Some(last) = self.frames.iter().position(|(frame, _)| *frame == timestamp) else {
            return;
        };
        let from = self.from.unwrap_or(at);
        for (_, since) in self.frames.drain(..=last) {
            self.lay = self.lay.saturating_add(at.since(since.max(from)));
        }
    }

    /// How many lay there on average since this was asked for last; none the first time.
    pub(super) fn average(&mut self, at: MediaTime) -> Option<f64> {
        let from = self.from.replace(at)?;
        let lie = self.frames.iter().map(|&(_, since)| at.since(since.max(from)));
        let lay = lie.fold(std::mem::take(&mut self.lay), Duration::saturating_add);
        let length = at.since(from);
        (!length.is_zero()).then(|| lay.as_secs_f64() / length.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn it_is_the_average_over_time_of_what_lies_there() {
        let mut unread = Unread::default();
        assert_eq!(unread.average(ms(0)), None);
        // One lies there for 250 of 1000 ms, another for all of the next 1000 and half of those after.
        unread.came(1, ms(200));
        unread.read(1, ms(450));
        assert_eq!(unread.average(ms(1_000)), Some(0.25));
        unread.came(2, ms(1_000));
        assert_eq!(unread.average(ms(2_000)), Some(1.0));
        unread.read(2, ms(2_500));
        assert_eq!(unread.average(ms(3_000)), Some(0.5));
        assert_eq!(unread.average(ms(3_000)), None, "no time passed");
        assert_eq!(unread.average(ms(4_000)), Some(0.0));
    }

    #[test]
    fn what_lies_before_a_frame_that_was_read_was_read_too() {
        let mut unread = Unread::default();
        unread.average(ms(0));
        (1..=3).for_each(|frame| unread.came(frame, ms(0)));
        unread.read(7, ms(10));
        unread.read(2, ms(10));
        assert_eq!(unread.average(ms(10)), Some(3.0));
        assert_eq!(unread.average(ms(20)), Some(1.0), "only the third is left");
    }

    #[test]
    fn a_client_that_reads_nothing_has_a_bound() {
        let mut unread = Unread::default();
        unread.average(ms(0));
        (0..3 * MOST as u32).for_each(|frame| unread.came(frame, ms(0)));
        assert_eq!(unread.average(ms(10)), Some(MOST as f64));
    }
}
