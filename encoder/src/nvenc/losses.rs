//! How lost pictures are made good. Pure.
//!
//! What lies in the buffer is left out by invalidation: the driver then codes from the newest picture that is
//! not. Beyond the buffer two long-term references are kept in turn, of which the one that the client has is
//! named for the next picture. That picture takes the references back to what is good, so what was lost
//! is not invalidated besides: the SDK says nothing of both at once.
//!
//! ```text
//!  forget ─┬─ one before the loss is in the buffer ──▶ Invalidate(first lost)
//!          ├─ none is, one is acknowledged ──────────▶ GoBack: the next picture is coded from it alone
//!          └─ none is, none is ──────────────────────▶ Keyframe
//! ```

use std::ops::RangeInclusive;

use media::FrameId;

use crate::anchors::{Anchors, Place};
use crate::long_term;
use crate::references::{Forget, References};

/// What lost pictures are answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing: no picture to come depends on them.
    Nothing,
    /// Pictures are to be invalidated.
    Invalidate {
        /// The first of them, and so all later ones.
        first: FrameId,
        /// The newest one before them that is good.
        base: FrameId,
    },
    /// The next picture is coded from a long-term reference.
    GoBack {
        /// The picture that is this reference.
        base: FrameId,
    },
    /// A keyframe.
    Keyframe,
}

/// What a picture has to do with long-term references, by their indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LongTerm {
    /// It becomes this one (`ltrMarkFrameIdx`).
    pub(crate) mark: Option<u32>,
    /// It is coded from this one alone (`ltrUseFrameBitmap`).
    pub(crate) from: Option<u32>,
}

impl LongTerm {
    /// The bits of `ltrUseFrameBitmap`.
    pub(crate) fn bitmap(self) -> u32 {
        self.from.map_or(0, |index| 1 << index)
    }
}

/// What the driver says of a coded picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongTermTold {
    /// The long-term reference that it became (`ltrFrame`, `ltrFrameIdx`).
    pub(crate) marked: Option<u32>,
    /// A bit for each that it was coded from (`ltrFrameBitmap`).
    pub(crate) from: u32,
}

impl LongTermTold {
    /// Whether the driver did what it was told: it need not keep as many as it was set up with
    /// (`ltrNumFrames`). A keyframe is coded from none.
    pub(crate) fn follows(self, told: LongTerm, key: bool) -> bool {
        let from = told.bitmap();
        let marked = told.mark.is_none_or(|index| self.marked == Some(index));
        marked && (key || from == 0 || self.from & from != 0)
    }
}

/// What is known of the references.
#[derive(Debug)]
pub(super) struct Losses {
    references: References,
    /// Where the device invalidates.
    invalidates: bool,
    /// Where it keeps long-term references.
    anchors: Option<Anchors>,
}

impl Losses {
    /// For a buffer of `reach` pictures beside the newest one and the long-term references. How many numbers
    /// of pictures (`frame_num`) H.264 has the driver chooses; what is sent has 512 at the least
    /// (`h264::FrameNumbers`), more than a connection outlasts in a row of lost ones.
    pub(super) fn new(reach: u16, invalidates: bool, long_term: bool) -> Self {
        let references = References::new(reach);
        Self { references, invalidates, anchors: long_term.then(Anchors::new) }
    }

    /// What the next picture has to do with long-term references.
    pub(super) fn plan(&self, keyframe: bool) -> LongTerm {
        let Some(anchors) = &self.anchors else { return LongTerm::default() };
        if keyframe || anchors.is_empty() {
            return LongTerm { mark: Some(index(Place::First)), from: None };
        }
        let from = anchors.is_recovering().then(|| index(anchors.anchor()));
        LongTerm { mark: anchors.keep().map(index), from }
    }

    /// A picture was handed in as planned, whose id is above those of all before it.
    pub(super) fn coded(&mut self, frame: FrameId, keyframe: bool) {
        self.references.coded(frame, keyframe);
        if let Some(anchors) = &mut self.anchors {
            let kept = anchors.keep();
            anchors.coded(frame, keyframe, kept);
        }
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(super) fn acknowledge(&mut self, frame: FrameId) {
        if let Some(anchors) = &mut self.anchors {
            anchors.acknowledge(frame);
        }
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(super) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Answer {
        let near = self.references.forget(lost);
        let Some(anchors) = &mut self.anchors else {
            return match near {
                Forget::Nothing => Answer::Nothing,
                Forget::From { first, base } if self.invalidates => {
                    Answer::Invalidate { first, base }
                }
                Forget::From { .. } | Forget::Beyond => Answer::Keyframe,
            };
        };
        // A loss that is not made good yet, from the other one than a newer loss would be.
        let going_back = anchors.is_recovering();
        match (near, anchors.forget(lost)) {
            (Forget::From { first, base }, _) if self.invalidates && !going_back => {
                anchors.recovers_otherwise();
                Answer::Invalidate { first, base }
            }
            (_, long_term::Forget::Recover { base, .. }) => {
                self.references.recovers_otherwise();
                Answer::GoBack { base }
            }
            (_, long_term::Forget::Nothing) => Answer::Nothing,
            (_, long_term::Forget::Beyond) => Answer::Keyframe,
        }
    }

    /// Coded pictures from `first` on that are remembered, oldest first.
    pub(super) fn since(&self, first: FrameId) -> impl Iterator<Item = FrameId> {
        self.references.since(first)
    }
}

fn index(place: Place) -> u32 {
    match place {
        Place::First => 0,
        Place::Second => 1,
    }
}

#[cfg(test)]
mod tests;
