//! Where a frame was when: marks set along its way, and the stages between them.
//!
//! A stage lies between two neighbouring marks, so the stages of a frame always add up to the whole.
//! A mark that was not set merges its stage into the next one; nothing is found by subtraction.

use std::time::Duration;

use crate::MediaTime;

/// A moment in the life of a frame on the server, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mark {
    /// The state that the picture shows was sampled (renderer) or damage was seen (capture).
    Captured,
    /// Drawing (or copying out of the captured surface) began.
    DrawStarted,
    /// The picture was complete in its own colour space.
    Drawn,
    /// The picture was complete in the encoder's pixel format, where the encoder reads it.
    Converted,
    /// The encoder took the frame out of the mailbox.
    EncodeStarted,
    /// The encoder returned the access unit.
    Encoded,
    /// The transport took the unit out of its queue.
    Dequeued,
    /// The last packet of the unit was built.
    Packetised,
    /// The pacer released the first packet.
    Paced,
    /// The first packet was sealed and given to the kernel.
    FirstSent,
    /// The last packet was given to the kernel.
    LastSent,
}

impl Mark {
    /// All marks in order.
    pub const ALL: [Self; 11] = [
        Self::Captured,
        Self::DrawStarted,
        Self::Drawn,
        Self::Converted,
        Self::EncodeStarted,
        Self::Encoded,
        Self::Dequeued,
        Self::Packetised,
        Self::Paced,
        Self::FirstSent,
        Self::LastSent,
    ];
}

/// The time between a mark and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Sampling state, waiting for a free ring slot.
    Capture,
    /// Drawing the picture.
    Draw,
    /// Colour conversion and read-back.
    Convert,
    /// Waiting in the mailbox before the encoder.
    Mailbox,
    /// Encoding.
    Encode,
    /// Waiting in the queue before the transport.
    Queue,
    /// Cutting the unit into packets.
    Packetise,
    /// Held back by the pacer.
    Pace,
    /// Sealing (SRTP or QUIC) up to the first system call.
    Seal,
    /// From the first packet to the last.
    Send,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 10] = [
        Self::Capture,
        Self::Draw,
        Self::Convert,
        Self::Mailbox,
        Self::Encode,
        Self::Queue,
        Self::Packetise,
        Self::Pace,
        Self::Seal,
        Self::Send,
    ];

    /// The stage that ends with `mark`; none for the first mark.
    pub fn ending_at(mark: Mark) -> Option<Self> {
        (mark as usize).checked_sub(1).map(|index| Self::ALL[index])
    }

    /// The name used in metrics, the API and the page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Draw => "draw",
            Self::Convert => "convert",
            Self::Mailbox => "mailbox",
            Self::Encode => "encode",
            Self::Queue => "queue",
            Self::Packetise => "packetise",
            Self::Pace => "pace",
            Self::Seal => "seal",
            Self::Send => "send",
        }
    }
}

/// The marks of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    marks: [Option<MediaTime>; Mark::ALL.len()],
}

impl StageTimes {
    /// The marks of a frame whose state was sampled at `captured`.
    pub fn captured(captured: MediaTime) -> Self {
        let mut times = Self::default();
        times.mark(Mark::Captured, captured);
        times
    }

    /// Sets `mark`; the first setting counts, so that a resend does not rewrite history.
    pub fn mark(&mut self, mark: Mark, at: MediaTime) {
        self.marks[mark as usize].get_or_insert(at);
    }

    /// Sets the marks of `other` that are not set here.
    pub fn merge(&mut self, other: &Self) {
        for (mark, at) in self.marks.iter_mut().zip(other.marks) {
            *mark = mark.or(at);
        }
    }

    /// When `mark` was passed.
    pub fn get(&self, mark: Mark) -> Option<MediaTime> {
        self.marks[mark as usize]
    }

    /// Every stage whose end is known, in order, with its length. The lengths sum to
    /// [`total`](Self::total).
    pub fn spans(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        let mut before = self.get(Mark::Captured);
        Mark::ALL.into_iter().filter_map(move |mark| {
            let stage = Stage::ending_at(mark)?;
            let (start, end) = (before?, self.get(mark)?);
            // A mark set out of order (two threads, one clock) yields an empty stage and must not
            // move the next stage's start back, or the sum would exceed the whole.
            before = Some(end.max(start));
            Some((stage, end.since(start)))
        })
    }

    /// From the first mark to the last one that was set.
    pub fn total(&self) -> Option<Duration> {
        let first = self.get(Mark::Captured)?;
        let last = self.marks.iter().flatten().max()?;
        Some(last.since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_missing_mark_merges_into_the_next_stage() {
        let mut times = StageTimes::captured(MediaTime::from_millis(1));
        times.mark(Mark::Drawn, MediaTime::from_millis(5));
        let spans: Vec<_> = times.spans().collect();
        assert_eq!(spans, [(Stage::Draw, Duration::from_millis(4))]);
    }

    #[test]
    fn the_first_setting_counts() {
        let mut times = StageTimes::captured(MediaTime::from_millis(1));
        times.mark(Mark::Captured, MediaTime::from_millis(9));
        assert_eq!(times.get(Mark::Captured), Some(MediaTime::from_millis(1)));
    }

    proptest! {
        #[test]
        fn stages_always_sum_to_the_whole(
            marks in proptest::array::uniform11(proptest::option::of(0_u64..1_000_000)),
        ) {
            let mut times = StageTimes::captured(MediaTime::ZERO);
            for (mark, at) in Mark::ALL.into_iter().zip(marks).skip(1) {
                if let Some(at) = at {
                    times.mark(mark, MediaTime::from_nanos(at));
                }
            }
            let sum: Duration = times.spans().map(|(_, length)| length).sum();
            prop_assert_eq!(Some(sum), times.total());
        }
    }
}
