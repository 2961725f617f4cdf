//! Two places that keep pictures for long, used in turn. Pure.
//!
//! One holds the picture that a loss is made good from; the other waits to be confirmed, or is free
//! ([`crate::long_term`]). So one that the client has, or else the keyframe, is always kept. A keyframe is
//! kept in the first.

use std::ops::RangeInclusive;

use media::{FrameId, UnitKind};

use crate::long_term::{Answer, Forget, LongTerm};

/// Pictures from one that is kept to the next: each costs what the reference is not the best one any
/// more. With libvpx at 1 Mbit/s (640x384, moving shapes) every third cost 0.3 dB, every eighth nothing.
pub(crate) const EVERY: u32 = 8;

/// A place that keeps a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Second,
}

impl Place {
    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which of the places holds what.
#[derive(Debug)]
pub(crate) struct Anchors {
    references: LongTerm<Place>,
    anchor: Place,
    /// Pictures since one was kept; none before the first keyframe.
    since: Option<u32>,
}

impl Anchors {
    pub(crate) fn new() -> Self {
        Self { references: LongTerm::new(), anchor: Place::First, since: None }
    }

    /// Whether the first keyframe is still to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// The place of the picture that a loss is made good from.
    pub(crate) fn anchor(&self) -> Place {
        self.anchor
    }

    /// The next picture must be coded from the [`anchor`](Self::anchor) alone.
    pub(crate) fn is_recovering(&self) -> bool {
        self.references.is_recovering()
    }

    /// Whether the newest picture was coded from the one that waits, or is that.
    pub(crate) fn comes_from_pending(&self) -> bool {
        self.references.comes_from_pending()
    }

    /// Where the next picture is to be kept, unless it is a keyframe.
    pub(crate) fn keep(&self) -> Option<Place> {
        let since = self.since?;
        let due = since + 1 >= EVERY || self.is_recovering();
        (due && !self.references.is_waiting()).then(|| self.anchor.other())
    }

    /// A picture was coded, whose id is above those of all before it. Says how it can be decoded.
    pub(crate) fn coded(&mut self, frame: FrameId, key: bool, kept: Option<Place>) -> UnitKind {
        let kept = kept.filter(|_| !key);
        if key {
            self.anchor = Place::First;
        }
        self.since = match self.since {
            Some(since) if !key && kept.is_none() => Some(since.saturating_add(1)),
            None if !key => None,
            Some(_) | None => Some(0),
        };
        self.references.coded(frame, key, kept)
    }

    /// The client has decoded a picture, and all that it was coded from.
    pub(crate) fn acknowledge(&mut self, frame: FrameId) {
        match self.references.acknowledge(frame) {
            Some(Answer::Confirmed(place)) => self.anchor = place,
            // Its place is free then.
            Some(Answer::Failed(_)) | None => {}
        }
    }

    /// Frames never arrived.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Forget<Place> {
        self.references.forget(lost)
    }

    /// What was forgotten just now is made good from a picture before it that the anchor is not: it comes
    /// from all that was kept and is not lost.
    pub(crate) fn recovers_otherwise(&mut self) {
        self.references.recovers_otherwise();
    }
}
