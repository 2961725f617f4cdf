//! How many pictures an encoder may be ahead of its viewer. Pure: it is told the time.
//!
//! An encoder that recovers by references can only refer to what is still in its decoded picture
//! buffer. Were it fed on while the viewer has acknowledged none of that, a loss would take a keyframe;
//! so it waits instead. An encoder with a long-term reference always has one that the viewer
//! acknowledged, one with waves needs none, and a viewer who never acknowledges cannot be waited for:
//! none of these has a window.
//!
//! It cannot wait for ever either: where the last pictures were all lost, some transports learn that only
//! by what is sent after them. So behind a silence the next picture goes back to the newest one that was
//! acknowledged, which is still held. A viewer who has it goes on with that, whether the silence was a
//! loss or the viewer had no time; for nothing but that picture's own loss is a keyframe needed.

use std::collections::VecDeque;
use std::time::Duration;

use media::{FrameId, MediaTime, RecoveryMeans};

/// How long a viewer who acknowledged before may say nothing. Beyond it going back is cheaper than standing
/// still.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether a picture that refers to others may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Open,
    /// Not before the viewer acknowledges something.
    Full,
    /// The viewer fell silent: one that refers to what is before this picture, the oldest that was not
    /// acknowledged, and no window until it speaks again.
    Silent {
        owed: FrameId,
    },
}

pub(super) struct Window {
    /// Pictures that may be unacknowledged; none where that does not matter.
    reach: Option<usize>,
    /// Coded and not acknowledged, with the time of that, oldest first; kept only while the viewer
    /// acknowledges.
    coded: VecDeque<(FrameId, MediaTime)>,
    /// The last acknowledgement.
    heard: Option<MediaTime>,
}

impl Window {
    /// For a new viewer or a new encoder.
    pub(super) fn new(means: RecoveryMeans) -> Self {
        let reach = reach(means);
        let coded = VecDeque::with_capacity(reach.unwrap_or(0).min(64));
        Self { reach, coded, heard: None }
    }

    /// The encoder may recover otherwise than before: at another size, or since its device refused to.
    pub(super) fn follow(&mut self, means: RecoveryMeans) {
        if reach(means) != self.reach {
            *self = Self { heard: self.heard, ..Self::new(means) };
        }
    }

    /// Another viewer, of whom nothing was heard.
    pub(super) fn forget_viewer(&mut self) {
        self.coded.clear();
        self.heard = None;
    }

    pub(super) fn coded(&mut self, frame: FrameId, key: bool, now: MediaTime) {
        if key {
            // What came before is referred to no more.
            self.coded.clear();
        }
        if self.reach.is_some() && self.heard.is_some() {
            self.coded.push_back((frame, now));
        }
    }

    pub(super) fn acknowledge(&mut self, frame: FrameId, now: MediaTime) {
        while self.coded.front().is_some_and(|&(coded, _)| coded <= frame) {
            self.coded.pop_front();
        }
        self.heard = Some(now);
    }

    /// Whether there is room, `ahead` pictures being in the encoder already.
    pub(super) fn room(&mut self, ahead: usize, now: MediaTime) -> Room {
        let (Some(reach), Some(heard)) = (self.reach, self.heard) else { return Room::Open };
        if self.coded.len() + ahead < reach {
            return Room::Open;
        }
        // A viewer who is owed nothing has nothing to say: its silence counts from the oldest picture
        // that it has not acknowledged.
        let Some(&(owed, since)) = self.coded.front() else { return Room::Full };
        if now.since(heard.max(since)) < PATIENCE {
            return Room::Full;
        }
        self.forget_viewer();
        Room::Silent { owed }
    }
}

/// Pictures that may be unacknowledged; none where that does not matter.
fn reach(means: RecoveryMeans) -> Option<usize> {
    match means {
        RecoveryMeans::References { reach } => Some(usize::from(reach)),
        RecoveryMeans::LongTerm | RecoveryMeans::Wave { .. } | RecoveryMeans::Keyframe => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REFERENCES: RecoveryMeans = RecoveryMeans::References { reach: 3 };

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    /// A window of three with `coded` pictures after an acknowledgement of picture 0.
    fn after(coded: u64) -> Window {
        let mut window = Window::new(REFERENCES);
        window.coded(FrameId(0), true, ms(0));
        window.acknowledge(FrameId(0), ms(0));
        (1..=coded).for_each(|frame| window.coded(FrameId(frame), false, ms(0)));
        window
    }

    #[test]
    fn an_encoder_that_recovers_otherwise_has_another_window() {
        let mut window = after(3);
        window.follow(REFERENCES);
        assert_eq!(window.room(0, ms(10)), Room::Full);
        window.follow(RecoveryMeans::LongTerm);
        assert_eq!(window.room(0, ms(10)), Room::Open);
        window.follow(REFERENCES);
        (4..7).for_each(|frame| window.coded(FrameId(frame), false, ms(10)));
        assert_eq!(window.room(0, ms(10)), Room::Full, "the viewer was heard");
    }

    #[test]
    fn the_reach_is_held_until_something_is_acknowledged() {
        assert_eq!(after(2).room(0, ms(10)), Room::Open);
        assert_eq!(after(2).room(1, ms(10)), Room::Full, "one is in the encoder");
        let mut window = after(3);
        assert_eq!(window.room(0, ms(10)), Room::Full);
        window.acknowledge(FrameId(1), ms(20));
        assert_eq!(window.room(0, ms(20)), Room::Open);
    }

    #[test]
    fn one_acknowledgement_stands_for_all_before_it_and_a_keyframe_needs_none() {
        let mut window = after(3);
        window.acknowledge(FrameId(3), ms(20));
        assert!(window.coded.is_empty());
        let mut window = after(3);
        window.coded(FrameId(4), true, ms(20));
        assert_eq!(window.coded, [(FrameId(4), ms(20))]);
    }

    #[test]
    fn a_viewer_who_falls_silent_is_told_once_and_waited_for_no_more() {
        let mut window = after(3);
        assert_eq!(window.room(0, ms(249)), Room::Full);
        assert_eq!(window.room(0, ms(250)), Room::Silent { owed: FrameId(1) });
        (4..60).for_each(|frame| window.coded(FrameId(frame), false, ms(300)));
        assert_eq!(window.room(0, ms(9_000)), Room::Open);
        window.acknowledge(FrameId(59), ms(9_000));
        (60..63).for_each(|frame| window.coded(FrameId(frame), false, ms(9_000)));
        assert_eq!(window.room(0, ms(9_001)), Room::Full, "it speaks again");
    }

    /// A scene that stood still has nothing to be acknowledged.
    #[test]
    fn silence_counts_from_what_is_owed() {
        let mut window = after(0);
        (1..=3).for_each(|frame| window.coded(FrameId(frame), false, ms(9_000)));
        assert_eq!(window.room(0, ms(9_249)), Room::Full);
        assert_eq!(window.room(0, ms(9_250)), Room::Silent { owed: FrameId(1) });
        assert_eq!(after(0).room(3, ms(9_000)), Room::Full, "all three are in the encoder");
    }

    #[test]
    fn where_the_buffer_does_not_matter_there_is_no_window() {
        for means in
            [RecoveryMeans::LongTerm, RecoveryMeans::Wave { units: 30 }, RecoveryMeans::Keyframe]
        {
            let mut window = Window::new(means);
            window.acknowledge(FrameId(0), ms(0));
            (1..500).for_each(|frame| window.coded(FrameId(frame), false, ms(1)));
            assert_eq!(window.room(0, ms(9)), Room::Open, "{means:?}");
            assert!(window.coded.is_empty(), "nothing grows");
        }
    }

    proptest! {
        /// Fed by what it says, it never lets more than the reach be unacknowledged.
        #[test]
        fn never_more_than_the_reach_is_ahead(
            reach in 1_u16..16,
            steps in proptest::collection::vec((0_u64..40, any::<Option<u8>>()), 1..300),
        ) {
            let mut window = Window::new(RecoveryMeans::References { reach });
            let (mut now, mut next, mut acknowledged) = (0, 1_u64, 0_u64);
            window.acknowledge(FrameId(0), ms(0));
            for (millis, answer) in steps {
                now += millis;
                if let Some(share) = answer {
                    acknowledged += (next - 1 - acknowledged) * u64::from(share) / 255;
                    window.acknowledge(FrameId(acknowledged), ms(now));
                }
                match window.room(0, ms(now)) {
                    Room::Open => {
                        window.coded(FrameId(next), false, ms(now));
                        next += 1;
                    }
                    Room::Full => {}
                    Room::Silent { owed } => {
                        // What is before it is acknowledged, and held.
                        prop_assert_eq!(owed.0, acknowledged + 1);
                        prop_assert!(next - 1 - acknowledged <= u64::from(reach));
                        window.coded(FrameId(next), false, ms(now));
                        acknowledged = next;
                        next += 1;
                        window.acknowledge(FrameId(acknowledged), ms(now));
                    }
                }
                prop_assert!(next - 1 - acknowledged <= u64::from(reach));
            }
        }
    }
}
