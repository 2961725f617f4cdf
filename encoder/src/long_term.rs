//! Which long-term reference a loss is made good from. Pure, and the same for every encoder that keeps
//! two of them: one that it may go back to, and one that waits to be confirmed.
//!
//! The keyframe is the first of them, taken to have arrived. From then on a picture is marked now and
//! then, and becomes the one to go back to once the client has decoded it.
//!
//! ```text
//!                    marked by a picture             acknowledged, coded from the mark
//!  key ──▶ anchor ───────────────────────▶ pending ──────────────────────────────────▶ anchor
//!                                             │ lost, or passed by a recovery: Failed
//!                                             └──▶ none
//! ```

use std::ops::RangeInclusive;

use media::{FrameId, UnitKind};

use crate::references::{History, Loss, kind};

/// What is known now of a reference that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer<M> {
    /// The client has it: it is the one to go back to.
    Confirmed(M),
    /// The client does not have it, or will never tell.
    Failed(M),
}

/// What a loss means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forget<M> {
    /// No picture to come depends on it.
    Nothing,
    /// The next picture is to go back to the confirmed reference.
    Recover {
        /// The picture that marks it.
        base: FrameId,
        /// This one, which waited, is lost.
        failed: Option<M>,
    },
    /// The confirmed reference is lost: only a keyframe helps.
    Beyond,
}

/// A reference that is not confirmed.
#[derive(Clone, Copy, Debug)]
struct Pending<M> {
    /// What the encoder knows it by.
    mark: M,
    /// The picture that marks it, itself or the one before.
    by: FrameId,
    /// The first picture that was not coded from it any more.
    until: Option<FrameId>,
}

/// What is known of the long-term references, each known to the encoder by an `M`.
#[derive(Debug)]
pub(crate) struct LongTerm<M> {
    history: History,
    /// The picture that marks the confirmed one.
    anchor: Option<FrameId>,
    pending: Option<Pending<M>>,
    broken: bool,
    recovering: bool,
}

impl<M: Copy> LongTerm<M> {
    pub(crate) fn new() -> Self {
        Self {
            history: History::new(),
            anchor: None,
            pending: None,
            broken: false,
            recovering: false,
        }
    }

    /// The next picture must refer to nothing but the confirmed reference.
    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering
    }

    /// Whether a reference waits to be confirmed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the newest picture was coded from the reference that waits, or is that.
    pub(crate) fn comes_from_pending(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.until.is_none())
    }

    /// A picture was coded, whose id is above those of all before it, and marked a reference or none;
    /// a keyframe always marks the confirmed one. Says how it can be decoded.
    pub(crate) fn coded(&mut self, frame: FrameId, key: bool, mark: Option<M>) -> UnitKind {
        self.history.coded(frame, key);
        let recovering = std::mem::take(&mut self.recovering);
        if key {
            (self.anchor, self.pending, self.broken) = (Some(frame), None, false);
            return UnitKind::Key;
        }
        if let Some(pending) = self.pending.as_mut().filter(|_| recovering) {
            pending.until.get_or_insert(frame);
        }
        if let Some(mark) = mark {
            self.pending = Some(Pending { mark, by: frame, until: None });
        }
        kind(key, recovering)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(crate) fn acknowledge(&mut self, frame: FrameId) -> Option<Answer<M>> {
        let pending = self.pending.take_if(|pending| frame >= pending.by)?;
        if pending.until.is_some_and(|until| frame >= until) {
            // It was coded from the other one, so this says nothing of the one that waits, and
            // nothing later will: another one may be marked.
            return Some(Answer::Failed(pending.mark));
        }
        self.anchor = Some(pending.by);
        Some(Answer::Confirmed(pending.mark))
    }

    /// Frames never arrived. Ids that were not coded count for nothing.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Forget<M> {
        if self.broken && self.history.concerns(lost) {
            return Forget::Beyond;
        }
        let first = match self.history.lose(lost) {
            Loss::Nothing => return Forget::Nothing,
            Loss::From(first) => first,
            Loss::Everything => *lost.start(),
        };
        let Some(base) = self.anchor.filter(|anchor| *anchor < first) else {
            self.broken = true;
            return Forget::Beyond;
        };
        self.recovering = true;
        let failed = self.pending.take_if(|pending| pending.by >= first);
        Forget::Recover { base, failed: failed.map(|pending| pending.mark) }
    }

    /// The next picture is coded from one before the loss that was [told](Self::forget) just now, and not
    /// from the confirmed reference: so it still comes from the one that waits.
    pub(crate) fn recovers_otherwise(&mut self) {
        self.recovering = false;
    }
}
