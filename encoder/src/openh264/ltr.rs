//! Which long-term reference a loss is made good from. Pure.
//!
//! OpenH264 keeps two: one that it may go back to, and one that waits to be confirmed. It numbers
//! pictures by `frame_num`. The keyframe is the first of them, taken to have arrived; from then on
//! every few pictures one is marked, and becomes the one to go back to once the client has decoded it.
//!
//! ```text
//!                    marked by a picture             acknowledged, coded from the mark
//!  key ──▶ anchor ───────────────────────▶ pending ──────────────────────────────────▶ anchor
//!                                             │ lost, or passed by a recovery: Failed
//!                                             └──▶ none
//! ```

use std::ops::RangeInclusive;

use media::{FrameId, UnitKind};

use crate::h264::{LongTermMark, SliceHeader};
use crate::references::{History, Loss, kind};

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
    /// The next picture is to go back to the confirmed reference, and this one is told first.
    Recover(Option<Feedback>),
    /// The confirmed reference is lost: only a keyframe helps.
    Beyond,
}

/// A reference that is not confirmed.
#[derive(Clone, Copy, Debug)]
struct Pending {
    number: u32,
    /// The picture that marks it, itself or the one before.
    by: FrameId,
    /// The first picture that was not coded from it any more.
    until: Option<FrameId>,
}

/// What is known of the long-term references.
#[derive(Debug)]
pub(super) struct LongTerm {
    history: History,
    /// The picture that marks the confirmed one.
    anchor: Option<FrameId>,
    pending: Option<Pending>,
    /// `idr_pic_id` of the newest keyframe, by which the encoder knows answers to older ones.
    idr: u32,
    broken: bool,
    recovering: bool,
}

impl LongTerm {
    pub(super) fn new() -> Self {
        Self {
            history: History::new(),
            anchor: None,
            pending: None,
            idr: 0,
            broken: false,
            recovering: false,
        }
    }

    /// `idr_pic_id` of the newest keyframe.
    pub(super) fn idr(&self) -> u32 {
        self.idr
    }

    /// A picture was coded, whose id is above those of all before it. Says how it can be decoded.
    pub(super) fn coded(&mut self, frame: FrameId, header: &SliceHeader) -> UnitKind {
        let key = header.idr_pic_id.is_some();
        self.history.coded(frame, key);
        let recovering = std::mem::take(&mut self.recovering);
        if let Some(idr) = header.idr_pic_id {
            (self.idr, self.anchor, self.pending) = (idr, Some(frame), None);
            self.broken = false;
            return UnitKind::Key;
        }
        if let Some(pending) = self.pending.as_mut().filter(|_| recovering) {
            pending.until.get_or_insert(frame);
        }
        let back = match header.long_term {
            Some(LongTermMark::Current) => Some(0),
            Some(LongTermMark::Earlier(back)) => Some(back),
            None => None,
        };
        if let Some(back) = back {
            let number = (header.frame_num + NUMBERS - back % NUMBERS) % NUMBERS;
            self.pending = Some(Pending { number, by: frame, until: None });
        }
        kind(key, recovering)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(super) fn acknowledge(&mut self, frame: FrameId) -> Option<Feedback> {
        let pending = self.pending.take_if(|pending| frame >= pending.by)?;
        if pending.until.is_some_and(|until| frame >= until) {
            // It was coded from the other one, so this says nothing of the one that waits, and
            // nothing later will: another one may be marked.
            return Some(Feedback::Failed(pending.number));
        }
        self.anchor = Some(pending.by);
        Some(Feedback::Marked(pending.number))
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(super) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Forget {
        if self.broken && self.history.concerns(lost) {
            return Forget::Beyond;
        }
        let first = match self.history.lose(lost) {
            Loss::Nothing => return Forget::Nothing,
            Loss::From(first) => first,
            Loss::Everything => *lost.start(),
        };
        if self.anchor.is_none_or(|anchor| first <= anchor) {
            self.broken = true;
            return Forget::Beyond;
        }
        self.recovering = true;
        let failed = self.pending.take_if(|pending| pending.by >= first);
        Forget::Recover(failed.map(|pending| Feedback::Failed(pending.number)))
    }
}

#[cfg(test)]
#[path = "ltr_tests.rs"]
mod tests;
