//! What a picture refers to and what it is kept as, in VP8's three buffers. Pure.
//!
//! Every picture is kept as the last one. Golden and alt-ref hold what a loss is made good from, in
//! turn: one is confirmed, and the other waits or is free ([`crate::long_term`]). A keyframe is kept in
//! all three.
//!
//! ```text
//!            golden          alt-ref
//!  key       confirmed       free
//!  marked    confirmed       waits         from here on referred to as well
//!  answered  free            confirmed     the other way round from here on
//!  lost      confirmed       free          the next picture: from golden alone, kept as alt-ref
//! ```

use std::ops::RangeInclusive;

use media::{FrameId, Recovery, UnitKind};

use crate::long_term::{Answer, Forget, LongTerm};

/// Pictures from one that is kept to the next: each costs what the reference is not the best one any
/// more. At 1 Mbit/s (640x384, moving shapes) every third cost 0.3 dB, every eighth nothing.
const EVERY: u32 = 8;

/// A buffer that keeps a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Golden,
    AltRef,
}

impl Slot {
    fn other(self) -> Self {
        match self {
            Self::Golden => Self::AltRef,
            Self::AltRef => Self::Golden,
        }
    }
}

/// How the next picture is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// On its own, kept in every buffer.
    Key,
    /// From these at the most, and kept as the last picture.
    Delta { last: bool, golden: bool, altref: bool, keep: Option<Slot> },
}

/// The buffers.
#[derive(Debug)]
pub(super) struct Anchors {
    /// The mark is the buffer.
    references: LongTerm<Slot>,
    /// The buffer of the confirmed one.
    anchor: Slot,
    /// Pictures since one was kept; none before the first keyframe.
    since: Option<u32>,
}

impl Anchors {
    pub(super) fn new() -> Self {
        Self { references: LongTerm::new(), anchor: Slot::Golden, since: None }
    }

    /// How the next picture is to be coded, where a keyframe may be asked for.
    pub(super) fn plan(&self, keyframe: bool) -> Plan {
        let Some(since) = self.since.filter(|_| !keyframe) else {
            return Plan::Key;
        };
        let last = !self.references.is_recovering();
        // What waits may be what the client has not: it is only as good as what was coded from it.
        let other = last && self.references.comes_from_pending();
        let refers = |slot| if slot == self.anchor { true } else { other };
        let due = since + 1 >= EVERY || !last;
        let keep = (due && !self.references.is_waiting()).then_some(self.anchor.other());
        Plan::Delta { last, golden: refers(Slot::Golden), altref: refers(Slot::AltRef), keep }
    }

    /// A picture was coded as planned, or as a keyframe. Says how it can be decoded.
    pub(super) fn coded(&mut self, frame: FrameId, key: bool, plan: Plan) -> UnitKind {
        let kept = match plan {
            Plan::Delta { keep, .. } if !key => keep,
            Plan::Key | Plan::Delta { .. } => None,
        };
        if key {
            self.anchor = Slot::Golden;
        }
        self.since = match self.since {
            Some(since) if !key && kept.is_none() => Some(since.saturating_add(1)),
            None if !key => None,
            Some(_) | None => Some(0),
        };
        self.references.coded(frame, key, kept)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(super) fn acknowledge(&mut self, frame: FrameId) {
        match self.references.acknowledge(frame) {
            Some(Answer::Confirmed(slot)) => self.anchor = slot,
            // Its buffer is free then.
            Some(Answer::Failed(_)) | None => {}
        }
    }

    /// Frames never arrived.
    pub(super) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Recovery {
        match self.references.forget(lost) {
            Forget::Nothing => Recovery::Nothing,
            Forget::Recover(_) => Recovery::Invalidated,
            Forget::Beyond => Recovery::KeyframeNeeded,
        }
    }
}

#[cfg(test)]
#[path = "anchors_tests.rs"]
mod tests;
