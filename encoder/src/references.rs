//! Which coded pictures an encoder may still refer to once some never arrived. Pure.
//!
//! It follows a decoded picture buffer that holds the newest pictures, forgotten ones included: they
//! still take their places in it. A picture refers to the newest one that is neither lost nor coded
//! from a lost one, so what is forgotten is always everything since the first lost picture.
//!
//! ```text
//!            forget: one before the loss is in the buffer        From(first lost), next unit: Recovery
//!  Whole ──┬──────────────────────────────────────────────▶ Whole
//!    ▲     │ forget: none is                                     Beyond
//!    │     └──────────────────────────▶ Broken ─┐ forget         Beyond
//!    └─────────── keyframe ───────────────┴──◀──┘
//! ```

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use media::{FrameId, UnitKind};

/// Coded pictures that are remembered: a second of them at the frame rate of most streams. A loss
/// that is told later than that takes a keyframe.
const REMEMBERED: usize = 64;

/// What a loss means to an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forget {
    /// No picture that could still be referred to depends on it.
    Nothing,
    /// Pictures are not to be referred to; one before them can be.
    From {
        /// The first of them, and so all later ones.
        first: FrameId,
        /// The newest one before them that is good.
        base: FrameId,
    },
    /// Every picture in the buffer depends on it: only a keyframe helps.
    Beyond,
}

/// A coded picture.
#[derive(Clone, Copy, Debug)]
struct Coded {
    frame: FrameId,
    /// Lost, or coded from a lost one.
    forgotten: bool,
}

/// What of the coded pictures a loss touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// None that is not forgotten yet.
    Nothing,
    /// This one, and so all later ones.
    From(FrameId),
    /// One from before those that are remembered, and so all of them.
    Everything,
}

/// The coded pictures since the newest keyframe, and which of them are forgotten.
#[derive(Debug)]
pub(crate) struct History {
    /// Oldest first, at most [`REMEMBERED`].
    coded: VecDeque<Coded>,
    /// The newest keyframe.
    key: Option<FrameId>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { coded: VecDeque::with_capacity(REMEMBERED), key: None }
    }

    /// A picture was coded, whose id is above those of all before it.
    pub(crate) fn coded(&mut self, frame: FrameId, key: bool) {
        if key {
            self.coded.clear();
            self.key = Some(frame);
        } else if self.coded.len() == REMEMBERED {
            self.coded.pop_front();
        }
        self.coded.push_back(Coded { frame, forgotten: false });
    }

    /// Whether some of these come after the newest keyframe, or are that.
    pub(crate) fn concerns(&self, lost: &RangeInclusive<FrameId>) -> bool {
        !lost.is_empty() && self.key.is_some_and(|key| *lost.end() >= key)
    }

    /// Frames never arrived: what was coded from them is forgotten too. Ids that were not coded count
    /// for nothing.
    pub(crate) fn lose(&mut self, lost: &RangeInclusive<FrameId>) -> Loss {
        let (Some(key), Some(oldest)) = (self.key, self.coded.front()) else {
            return Loss::Nothing;
        };
        let oldest = oldest.frame;
        if !self.concerns(lost) {
            return Loss::Nothing;
        }
        if key < oldest && *lost.start() < oldest {
            self.forget_from(oldest);
            return Loss::Everything;
        }
        let is_lost = |coded: &&Coded| lost.contains(&coded.frame) && !coded.forgotten;
        let Some(first) = self.coded.iter().find(is_lost).map(|coded| coded.frame) else {
            return Loss::Nothing;
        };
        self.forget_from(first);
        Loss::From(first)
    }

    /// The newest picture that is not forgotten: the keyframe, where only older ones than are remembered
    /// are left.
    pub(crate) fn newest_good(&self) -> Option<FrameId> {
        let oldest = self.coded.front()?.frame;
        let good = self.coded.iter().rev().find(|coded| !coded.forgotten);
        good.map(|coded| coded.frame).or(self.key.filter(|key| *key < oldest))
    }

    /// Coded pictures from `first` on that are remembered, oldest first.
    pub(crate) fn since(&self, first: FrameId) -> impl Iterator<Item = FrameId> {
        self.coded.iter().map(|coded| coded.frame).filter(move |frame| *frame >= first)
    }

    fn forget_from(&mut self, first: FrameId) {
        for coded in self.coded.iter_mut().filter(|coded| coded.frame >= first) {
            coded.forgotten = true;
        }
    }
}

/// The kind of a unit, where it is a keyframe or the first one after a loss was told.
pub(crate) fn kind(key: bool, recovering: bool) -> UnitKind {
    match (key, recovering) {
        (true, _) => UnitKind::Key,
        (false, true) => UnitKind::Recovery,
        (false, false) => UnitKind::Delta,
    }
}

/// What may be referred to in a buffer of the newest pictures.
#[derive(Debug)]
pub(crate) struct References {
    history: History,
    /// Pictures that the buffer holds beside the newest one.
    reach: usize,
    /// Only a keyframe helps.
    broken: bool,
    /// Pictures were forgotten since the newest one was coded.
    recovering: bool,
}

impl References {
    /// For an encoder whose buffer holds `reach` pictures beside the newest one.
    pub(crate) fn new(reach: u16) -> Self {
        Self { history: History::new(), reach: reach.into(), broken: false, recovering: false }
    }

    /// A picture was coded, whose id is above those of all before it. Says how it can be decoded.
    pub(crate) fn coded(&mut self, frame: FrameId, key: bool) -> UnitKind {
        self.history.coded(frame, key);
        self.broken &= !key;
        kind(key, std::mem::take(&mut self.recovering))
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Forget {
        if self.broken && self.history.concerns(lost) {
            return Forget::Beyond;
        }
        let first = match self.history.lose(lost) {
            Loss::Nothing => return Forget::Nothing,
            Loss::Everything => None,
            Loss::From(first) => Some(first),
        };
        let mut held = self.history.coded.iter().rev().take(self.reach + 1);
        let base = held.find(|coded| !coded.forgotten).map(|coded| coded.frame);
        match first.zip(base) {
            Some((first, base)) => {
                self.recovering = true;
                Forget::From { first, base }
            }
            None => {
                self.broken = true;
                Forget::Beyond
            }
        }
    }

    /// The next picture is coded from one that is good and lies elsewhere.
    pub(crate) fn recovers_otherwise(&mut self) {
        self.broken = false;
    }

    /// Coded pictures from `first` on that are remembered, oldest first.
    pub(crate) fn since(&self, first: FrameId) -> impl Iterator<Item = FrameId> {
        self.history.since(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(first: u64, last: u64) -> RangeInclusive<FrameId> {
        FrameId(first)..=FrameId(last)
    }

    fn from(first: u64, base: u64) -> Forget {
        Forget::From { first: FrameId(first), base: FrameId(base) }
    }

    /// A keyframe 0 and deltas up to `last`.
    fn coded(reach: u16, last: u64) -> References {
        let mut references = References::new(reach);
        for frame in 0..=last {
            let kind = references.coded(FrameId(frame), frame == 0);
            assert_eq!(kind == UnitKind::Key, frame == 0);
        }
        references
    }

    #[test]
    fn a_loss_within_reach_is_forgotten_with_all_that_followed() {
        let mut references = coded(4, 20);
        assert_eq!(references.forget(&range(18, 18)), from(18, 17));
        assert_eq!(references.forget(&range(19, 20)), Forget::Nothing, "coded from the lost one");
        assert_eq!(references.coded(FrameId(21), false), UnitKind::Recovery);
        assert_eq!(references.coded(FrameId(22), false), UnitKind::Delta);
        // The buffer holds 18 to 22, of which 21 is good.
        assert_eq!(references.forget(&range(22, 22)), from(22, 21));
        assert_eq!(references.forget(&range(21, 21)), Forget::Beyond);
        assert_eq!(references.forget(&range(22, 22)), Forget::Beyond, "until a keyframe");
        assert_eq!(references.coded(FrameId(23), true), UnitKind::Key);
        assert_eq!(references.forget(&range(18, 22)), Forget::Nothing);
    }

    #[test]
    fn exactly_the_reach_can_be_lost() {
        for reach in 1..=15 {
            let lost = u64::from(reach);
            assert_eq!(coded(reach, 40).forget(&range(41 - lost, 40)), from(41 - lost, 40 - lost));
            assert_eq!(coded(reach, 40).forget(&range(40 - lost, 40)), Forget::Beyond);
        }
        assert_eq!(coded(0, 40).forget(&range(40, 40)), Forget::Beyond);
    }

    #[test]
    fn a_lost_recovery_goes_back_to_the_same_picture_while_that_is_held() {
        let mut references = coded(15, 39);
        for first in [40, 45, 50] {
            for frame in first..first + 5 {
                let recovers = frame == first && first > 40;
                let expected = if recovers { UnitKind::Recovery } else { UnitKind::Delta };
                assert_eq!(references.coded(FrameId(frame), false), expected, "{frame}");
            }
            assert_eq!(references.forget(&range(first, first)), from(first, 39));
        }
        assert_eq!(references.coded(FrameId(55), false), UnitKind::Recovery);
        assert_eq!(references.forget(&range(55, 55)), Forget::Beyond, "39 has left the buffer");
    }

    #[test]
    fn a_lost_keyframe_takes_another_one() {
        assert_eq!(coded(15, 0).forget(&range(0, 0)), Forget::Beyond);
        assert_eq!(coded(15, 9).forget(&range(0, 3)), Forget::Beyond);
    }

    #[test]
    fn what_was_never_coded_is_no_loss() {
        let mut references = References::new(15);
        assert_eq!(references.forget(&range(0, 9)), Forget::Nothing);
        for frame in [3, 5, 9] {
            references.coded(FrameId(frame), frame == 3);
        }
        assert_eq!(references.forget(&range(0, 2)), Forget::Nothing);
        assert_eq!(references.forget(&range(6, 8)), Forget::Nothing);
        assert_eq!(references.forget(&range(10, u64::MAX)), Forget::Nothing);

        let reversed = range(9, 5);
        assert_eq!(references.forget(&reversed), Forget::Nothing);
        assert_eq!(references.forget(&range(6, 20)), from(9, 5));
    }

    #[test]
    fn a_loss_of_long_ago_takes_a_keyframe() {
        let mut references = coded(15, 500);
        assert_eq!(references.forget(&range(100, 100)), Forget::Beyond);
    }

    /// A picture as the far end has it.
    #[derive(Clone, Copy)]
    struct Shown {
        frame: u64,
        /// Arrived, and so did all that it was coded from.
        good: bool,
    }

    proptest! {
        /// An encoder that does as it is told, and a far end that decodes what arrives.
        #[test]
        fn what_follows_a_loss_can_be_decoded(
            reach in 0_u16..16,
            script in proptest::collection::vec((0_u8..8, 0_u64..3), 1..300),
        ) {
            let mut references = References::new(reach);
            // Those in the encoder's buffer, newest first, and from where they are not referred to.
            let mut held: Vec<(Shown, bool)> = Vec::new();
            let mut untold: Vec<u64> = Vec::new();
            let (mut next, mut need_key) = (0, true);
            for (event, skipped) in script {
                if event < 6 {
                    next += skipped;
                    let arrived = event != 0;
                    let key = std::mem::take(&mut need_key);
                    let from = held.iter().find(|(_, forgotten)| !forgotten).map(|(shown, _)| *shown);
                    let good = arrived && (key || from.is_some_and(|from| from.good));
                    if key {
                        held.clear();
                        untold.clear();
                    } else if untold.is_empty() {
                        prop_assert_eq!(good, arrived, "frame {} has a good reference", next);
                    }
                    let kind = references.coded(FrameId(next), key);
                    prop_assert_eq!(kind == UnitKind::Key, key);
                    held.insert(0, (Shown { frame: next, good }, false));
                    held.truncate(usize::from(reach) + 1);
                    if !arrived {
                        untold.push(next);
                    }
                    next += 1;
                } else if let (Some(&first), Some(&last)) = (untold.first(), untold.last()) {
                    // Told at once or late, as one range that may name arrived ones too.
                    untold.clear();
                    match references.forget(&range(first, last)) {
                        Forget::Nothing => prop_assert!(false, "a loss is something"),
                        Forget::From { first: from, base } => {
                            prop_assert_eq!(from.0, first);
                            for (shown, forgotten) in &mut held {
                                *forgotten |= shown.frame >= from.0;
                            }
                            let left = held.iter().find(|(_, forgotten)| !forgotten);
                            prop_assert_eq!(left.map(|(shown, _)| shown.frame), Some(base.0));
                        }
                        Forget::Beyond => {
                            let none_good = held.iter().all(|(shown, _)| !shown.good);
                            prop_assert!(none_good, "a keyframe without need");
                            need_key = true;
                        }
                    }
                }
            }
        }
    }
}
