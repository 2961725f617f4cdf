//! Timestamps that clients know frames by: capture time on a clock of 90 kHz, whatever the transport.

use media::MediaTime;

/// Ticks a second (RFC 3551 §5).
const HERTZ: u32 = 90_000;

/// The timestamp that stands for `at` on a clock that begins at `offset`.
pub(crate) fn timestamp_of(at: MediaTime, offset: u32) -> u32 {
    at.rtp_ticks(HERTZ).wrapping_add(offset)
}

/// The timestamps of one track.
pub(crate) struct Timestamps {
    /// Random start of the clock (RFC 3550 §5.1).
    offset: u32,
    last: Option<u32>,
}

impl Timestamps {
    pub(crate) fn new(offset: u32) -> Self {
        Self { offset, last: None }
    }

    /// The timestamp of a frame that was captured at `at`.
    pub(crate) fn next(&mut self, at: MediaTime) -> u32 {
        let ticks = timestamp_of(at, self.offset);
        // Two frames of one instant must not merge into one at the receiver, so time always moves.
        let timestamp = match self.last {
            Some(last) if ticks.wrapping_sub(last).wrapping_sub(1) >= 1 << 31 => {
                last.wrapping_add(1)
            }
            _ => ticks,
        };
        self.last = Some(timestamp);
        timestamp
    }
}
