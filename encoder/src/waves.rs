//! Waves of intra blocks, which make a loss good without a keyframe: where one is, and with which
//! picture all is clean again. Pure, and the same for every encoder that has them.
//!
//! ```text
//!        forget              begins with a picture            its last picture: Recovery
//!  Idle ────────▶ Wanted ──────────────────────────▶ Healing ────────────────────────────▶ Idle
//!                   ▲                                   │ forget: what it crossed is dirty again
//!                   └───────────────────────────────────┘
//! ```
//!
//! An encoder that lets no new wave begin within another comes to the wanted one late. It may also run
//! waves that nobody asked for: one that began before the loss heals nothing.

use std::ops::RangeInclusive;

use media::{FrameId, Recovery, UnitKind};

use crate::references::{History, Loss, kind};

/// What a wave under way does when another one is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnderWay {
    /// It ends where it is.
    GivesWay,
    /// It goes on to its end.
    GoesOn,
}

/// What is known of an encoder's waves.
#[derive(Debug)]
pub(crate) struct Waves {
    history: History,
    /// Pictures of one wave.
    length: u16,
    under_way: UnderWay,
    /// One is to begin.
    wanted: bool,
    /// Pictures to come of the one under way.
    left: u16,
    /// It began after all losses.
    heals: bool,
}

impl Waves {
    /// Waves that cross the picture in `length` pictures.
    pub(crate) fn new(length: u16, under_way: UnderWay) -> Self {
        Self { history: History::new(), length, under_way, wanted: false, left: 0, heals: false }
    }

    /// Pictures of one wave.
    pub(crate) fn length(&self) -> u16 {
        self.length
    }

    /// Whether one is to begin.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether all is clean with the next picture, where a wanted wave begins with it.
    pub(crate) fn next_is_clean(&self) -> bool {
        if self.wanted { self.length == 1 } else { self.heals && self.left == 1 }
    }

    /// A picture was coded, whose id is above those of all before it, and a wave began with it or not.
    /// Says how it can be decoded.
    pub(crate) fn coded(&mut self, frame: FrameId, key: bool, began: bool) -> UnitKind {
        self.history.coded(frame, key);
        if key {
            (self.wanted, self.left, self.heals) = (false, 0, false);
        } else if began {
            (self.left, self.heals) = (self.length, std::mem::take(&mut self.wanted));
        }
        self.left = self.left.saturating_sub(1);
        let clean = self.left == 0 && std::mem::take(&mut self.heals);
        kind(key, clean)
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Recovery {
        let loss = self.history.lose(lost);
        if loss == Loss::Nothing {
            return Recovery::Nothing;
        }
        self.heals = false;
        let base = match loss {
            // None is left after a keyframe that was lost: no wave brings its parameter sets.
            Loss::From(_) => self.history.newest_good(),
            Loss::Nothing | Loss::Everything => None,
        };
        self.wanted = base.is_some();
        let Some(base) = base else { return Recovery::KeyframeNeeded };
        let before = match self.under_way {
            UnderWay::GivesWay => 0,
            UnderWay::GoesOn => self.left,
        };
        Recovery::Wave { units: before.saturating_add(self.length), base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost(first: u64, last: u64) -> RangeInclusive<FrameId> {
        FrameId(first)..=FrameId(last)
    }

    fn wave(units: u16, base: u64) -> Recovery {
        Recovery::Wave { units, base: FrameId(base) }
    }

    fn waves(under_way: UnderWay) -> Waves {
        let mut waves = Waves::new(3, under_way);
        assert_eq!(waves.coded(FrameId(0), true, false), UnitKind::Key);
        for frame in 1..=4 {
            assert_eq!(waves.coded(FrameId(frame), false, false), UnitKind::Delta);
        }
        waves
    }

    #[test]
    fn the_last_picture_of_a_wave_is_clean() {
        let mut waves = waves(UnderWay::GivesWay);
        assert_eq!(waves.forget(&lost(3, 4)), wave(3, 2));
        assert_eq!(waves.forget(&lost(3, 4)), Recovery::Nothing, "told twice");
        assert!(waves.is_wanted() && !waves.next_is_clean());
        assert_eq!(waves.coded(FrameId(5), false, true), UnitKind::Delta);
        assert_eq!(waves.coded(FrameId(6), false, false), UnitKind::Delta);
        assert!(waves.next_is_clean() && !waves.is_wanted());
        assert_eq!(waves.coded(FrameId(7), false, false), UnitKind::Recovery);
        assert_eq!(waves.coded(FrameId(8), false, false), UnitKind::Delta);
        assert_eq!(waves.forget(&lost(4, 4)), Recovery::Nothing);
    }

    #[test]
    fn a_wave_of_one_picture_is_clean_at_once() {
        let mut waves = Waves::new(1, UnderWay::GivesWay);
        waves.coded(FrameId(0), true, false);
        waves.coded(FrameId(1), false, false);
        assert_eq!(waves.forget(&lost(1, 1)), wave(1, 0));
        assert!(waves.next_is_clean());
        assert_eq!(waves.coded(FrameId(2), false, true), UnitKind::Recovery);
    }

    #[test]
    fn a_loss_within_a_wave_takes_another_one() {
        for (under_way, units) in [(UnderWay::GivesWay, 3), (UnderWay::GoesOn, 5)] {
            let mut waves = waves(under_way);
            waves.forget(&lost(4, 4));
            assert_eq!(waves.coded(FrameId(5), false, true), UnitKind::Delta);
            assert_eq!(waves.forget(&lost(5, 5)), wave(units, 3), "4 was lost before");
            for left in (0..units).rev() {
                let began = left == 2;
                let kind = if left == 0 { UnitKind::Recovery } else { UnitKind::Delta };
                assert_eq!(waves.coded(FrameId(100 - u64::from(left)), false, began), kind);
            }
        }
    }

    #[test]
    fn a_wave_that_began_before_the_loss_heals_nothing() {
        let mut waves = waves(UnderWay::GoesOn);
        waves.coded(FrameId(5), false, true);
        assert_eq!(waves.forget(&lost(4, 4)), wave(5, 3));
        assert_eq!(waves.coded(FrameId(6), false, false), UnitKind::Delta);
        assert_eq!(waves.coded(FrameId(7), false, false), UnitKind::Delta, "it ends");
        waves.coded(FrameId(8), false, true);
        waves.coded(FrameId(9), false, false);
        assert_eq!(waves.coded(FrameId(10), false, false), UnitKind::Recovery);
    }

    #[test]
    fn a_keyframe_ends_all() {
        let mut waves = waves(UnderWay::GoesOn);
        waves.forget(&lost(4, 4));
        assert_eq!(waves.coded(FrameId(5), true, false), UnitKind::Key);
        assert!(!waves.is_wanted() && !waves.next_is_clean());
        assert_eq!(waves.forget(&lost(1, 4)), Recovery::Nothing);
    }

    #[test]
    fn a_loss_of_long_ago_takes_a_keyframe() {
        let mut waves = waves(UnderWay::GoesOn);
        for frame in 5..=200 {
            waves.coded(FrameId(frame), false, false);
        }
        assert_eq!(waves.forget(&lost(100, 100)), Recovery::KeyframeNeeded);
    }

    proptest! {
        /// An encoder with waves of its own, of which each picture cleans its part of five, and a far
        /// end that tells of losses at once or late.
        #[test]
        fn what_is_called_clean_is(
            late in any::<bool>(),
            gives_way in any::<bool>(),
            period in proptest::option::of(5_u32..9),
            script in proptest::collection::vec(0_u8..24, 1..400),
        ) {
            const PARTS: usize = 5;
            let under_way = if gives_way { UnderWay::GivesWay } else { UnderWay::GoesOn };
            let mut waves = Waves::new(PARTS as u16, under_way);
            let mut dirty = [false; PARTS];
            let mut at = PARTS;
            let (mut since, mut due) = (0, None);
            let mut untold: Option<RangeInclusive<FrameId>> = None;
            for (number, event) in script.into_iter().enumerate() {
                let frame = FrameId(number as u64);
                let key = number == 0 || event == 23;
                since += 1;
                let free = at == PARTS || gives_way;
                let began = !key
                    && (waves.is_wanted() && free || period.is_some_and(|period| since >= period));
                if key {
                    (at, since, due, untold) = (PARTS, 0, None, None);
                } else if began {
                    (at, since) = (0, 0);
                }
                let arrived = event >= 2 || key;
                if key {
                    dirty = [false; PARTS];
                } else if !arrived {
                    dirty = [true; PARTS];
                } else if at < PARTS {
                    dirty[at] = false;
                }
                at = (at + 1).min(PARTS);
                let kind = waves.coded(frame, key, began);
                prop_assert_eq!(kind == UnitKind::Key, key);
                let expected = due.map(|left: u16| left - 1);
                prop_assert_eq!(kind == UnitKind::Recovery, expected == Some(0));
                due = expected.filter(|left| *left > 0);
                if kind == UnitKind::Recovery && arrived && untold.is_none() {
                    prop_assert_eq!(dirty, [false; PARTS], "picture {}", number);
                }
                if !arrived {
                    let first = untold.map_or(frame, |range| *range.start());
                    untold = Some(first..=frame);
                }
                if !late || event > 15 {
                    match untold.take().map(|range| waves.forget(&range)) {
                        Some(Recovery::Wave { units, .. }) => due = Some(units),
                        Some(Recovery::Nothing) | None => {}
                        Some(other) => {
                            prop_assert!(late && other == Recovery::KeyframeNeeded, "{:?}", other);
                            due = None;
                        }
                    }
                }
            }
        }
    }
}
