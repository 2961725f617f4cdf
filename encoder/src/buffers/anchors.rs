//! What a picture refers to and what it is kept as, in three buffers. Pure.
//!
//! Every picture is kept as the last one. Golden and alt-ref hold what a loss is made good from, in
//! turn: one is confirmed, and the other waits or is free ([`crate::anchors`]). A keyframe is kept in
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

use crate::anchors::{self, Place};
use crate::long_term::Forget;

/// A buffer that keeps a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Golden,
    AltRef,
}

impl Slot {
    fn of(place: Place) -> Self {
        match place {
            Place::First => Self::Golden,
            Place::Second => Self::AltRef,
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Golden => Place::First,
            Self::AltRef => Place::Second,
        }
    }
}

/// How the next picture is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// On its own, kept in every buffer.
    Key,
    /// From these at the most, and kept as the last picture.
    Delta { last: bool, golden: bool, altref: bool, keep: Option<Slot> },
}

/// The buffers.
#[derive(Debug)]
pub(super) struct Anchors(anchors::Anchors);

impl Anchors {
    pub(super) fn new() -> Self {
        Self(anchors::Anchors::new())
    }

    /// How the next picture is to be coded, where a keyframe may be asked for.
    pub(super) fn plan(&self, keyframe: bool) -> Plan {
        if keyframe || self.0.is_empty() {
            return Plan::Key;
        }
        let last = !self.0.is_recovering();
        // What waits may be what the client has not: it is only as good as what was coded from it.
        let other = last && self.0.comes_from_pending();
        let refers = |slot: Slot| slot.place() == self.0.anchor() || other;
        let (golden, altref) = (refers(Slot::Golden), refers(Slot::AltRef));
        Plan::Delta { last, golden, altref, keep: self.0.keep().map(Slot::of) }
    }

    /// A picture was coded as planned, or as a keyframe. Says how it can be decoded.
    pub(super) fn coded(&mut self, frame: FrameId, key: bool, plan: Plan) -> UnitKind {
        let kept = match plan {
            Plan::Delta { keep, .. } => keep.map(Slot::place),
            Plan::Key => None,
        };
        self.0.coded(frame, key, kept)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(super) fn acknowledge(&mut self, frame: FrameId) {
        self.0.acknowledge(frame);
    }

    /// Frames never arrived.
    pub(super) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Recovery {
        match self.0.forget(lost) {
            Forget::Nothing => Recovery::Nothing,
            Forget::Recover { base, .. } => Recovery::Invalidated { base },
            Forget::Beyond => Recovery::KeyframeNeeded,
        }
    }
}

#[cfg(test)]
#[path = "anchors_tests.rs"]
mod tests;
