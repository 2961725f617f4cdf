//! What OpenH264's long-term references are called, and what it is told of them. Pure; which of them a
//! loss is made good from is decided in [`crate::long_term`].
//!
//! It numbers pictures by `frame_num`, and answers to another keyframe's by `idr_pic_id`.

use std::ops::RangeInclusive;

use media::{FrameId, UnitKind};

use crate::h264::{LongTermMark, SliceHeader};
use crate::long_term::{self, Answer};

/// `frame_num` has 15 bits with long-term references.
const NUMBERS: u32 = 1 << 15;

/// A long-term reference that the encoder is to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// The client has the picture of this `frame_num`.
    Marked(u32),
    /// It has not, and never will.
    Failed(u32),
}

/// What a loss means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forget {
    /// No picture to come depends on it.
    Nothing,
    /// The next picture is to go back to the confirmed reference.
    Recover {
        /// The picture that marks it.
        base: FrameId,
        /// This is told first.
        failed: Option<Feedback>,
    },
    /// The confirmed reference is lost: only a keyframe helps.
    Beyond,
}

/// What is known of the long-term references.
#[derive(Debug)]
pub(super) struct LongTerm {
    /// Each by its `frame_num`.
    references: long_term::LongTerm<u32>,
    /// `idr_pic_id` of the newest keyframe, by which the encoder knows answers to older ones.
    idr: u32,
}

impl LongTerm {
    pub(super) fn new() -> Self {
        Self { references: long_term::LongTerm::new(), idr: 0 }
    }

    /// `idr_pic_id` of the newest keyframe.
    pub(super) fn idr(&self) -> u32 {
        self.idr
    }

    /// A picture was coded, whose id is above those of all before it. Says how it can be decoded.
    pub(super) fn coded(&mut self, frame: FrameId, header: &SliceHeader) -> UnitKind {
        self.idr = header.idr_pic_id.unwrap_or(self.idr);
        let back = match header.long_term {
            Some(LongTermMark::Current) => Some(0),
            Some(LongTermMark::Earlier(back)) => Some(back),
            None => None,
        };
        let number = back.map(|back| (header.frame_num + NUMBERS - back % NUMBERS) % NUMBERS);
        self.references.coded(frame, header.idr_pic_id.is_some(), number)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(super) fn acknowledge(&mut self, frame: FrameId) -> Option<Feedback> {
        Some(match self.references.acknowledge(frame)? {
            Answer::Confirmed(number) => Feedback::Marked(number),
            Answer::Failed(number) => Feedback::Failed(number),
        })
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(super) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Forget {
        match self.references.forget(lost) {
            long_term::Forget::Nothing => Forget::Nothing,
            long_term::Forget::Recover { base, failed } => {
                Forget::Recover { base, failed: failed.map(Feedback::Failed) }
            }
            long_term::Forget::Beyond => Forget::Beyond,
        }
    }
}

#[cfg(test)]
#[path = "ltr_tests.rs"]
mod tests;
