//! The client's decoder, emulated: which frames it can show and when, and what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use media::MediaTime;

use super::encoder::Label;

/// Frames behind the newest that a decoder may still be referred to: more than any keeps.
const REFERENCES: u64 = 1_024;
/// Time between two requests for a keyframe: what Chromium waits for one.
const REPEAT: Duration = Duration::from_millis(200);

/// A frame that reached the client whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) label: Label,
    /// The timestamp that the transport knows it by.
    pub(crate) wire_timestamp: u32,
    /// When its first byte came.
    pub(crate) first: MediaTime,
    /// When its last byte came.
    pub(crate) last: MediaTime,
}

/// A frame that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) captured: MediaTime,
    pub(crate) at: MediaTime,
}

/// See the module.
pub(crate) struct Viewer {
    patience: Duration,
    decoded: BTreeSet<u64>,
    waiting: BTreeMap<u64, Whole>,
    shown: Vec<Shown>,
    /// When it was last content: a frame was shown, or it began.
    content: MediaTime,
    asked: Option<MediaTime>,
}

impl Viewer {
    /// A decoder that began `now` and asks for a keyframe after `patience` without a picture.
    pub(crate) fn new(now: MediaTime, patience: Duration) -> Self {
        Self {
            patience,
            decoded: BTreeSet::new(),
            waiting: BTreeMap::new(),
            shown: Vec::new(),
            content: now,
            asked: None,
        }
    }

    /// A frame is whole; yields what is decoded of it and of those that waited, oldest first.
    pub(crate) fn whole(&mut self, now: MediaTime, whole: Whole) -> Vec<Whole> {
        if self.decoded.last().is_some_and(|newest| whole.label.frame <= *newest) {
            return Vec::new();
        }
        self.waiting.insert(whole.label.frame, whole);
        let mut released = Vec::new();
        while let Some(next) = self.next_decodable() {
            // What it leaves behind is of no more use.
            self.waiting = self.waiting.split_off(&next.label.frame);
            self.waiting.remove(&next.label.frame);
            self.decoded.insert(next.label.frame);
            self.shown.push(Shown { captured: next.label.captured, at: now });
            (self.content, self.asked) = (now, None);
            released.push(next);
        }
        if let Some(newest) = self.decoded.last() {
            self.decoded = self.decoded.split_off(&newest.saturating_sub(REFERENCES));
        }
        released
    }

    /// Whether to ask for a keyframe now.
    pub(crate) fn asks(&mut self, now: MediaTime) -> bool {
        let due = match self.asked {
            Some(asked) => now.since(asked) >= REPEAT,
            None => now.since(self.content) >= self.patience,
        };
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// What was shown so far, in order.
    pub(crate) fn into_shown(self) -> Vec<Shown> {
        self.shown
    }

    fn next_decodable(&self) -> Option<Whole> {
        let can = |whole: &&Whole| {
            whole.label.refers_to.is_none_or(|frame| self.decoded.contains(&frame))
        };
        self.waiting.values().find(can).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(frame: u64, refers_to: Option<u64>) -> Whole {
        let label = Label { frame, refers_to, captured: MediaTime::ZERO };
        Whole { label, wire_timestamp: 0, first: MediaTime::ZERO, last: MediaTime::ZERO }
    }

    const NONE: [u64; 0] = [];

    fn frames(shown: &[Whole]) -> Vec<u64> {
        shown.iter().map(|whole| whole.label.frame).collect()
    }

    #[test]
    fn frames_wait_for_what_they_refer_to() {
        let mut viewer = Viewer::new(MediaTime::ZERO, Duration::from_secs(3));
        let mut tell = |frame, refers_to| {
            frames(&viewer.whole(MediaTime::from_millis(frame), whole(frame, refers_to)))
        };
        assert_eq!(tell(1, Some(0)), NONE);
        assert_eq!(tell(0, None), [0, 1]);
        assert_eq!(tell(3, Some(2)), NONE);
        assert_eq!(tell(4, Some(1)), [4], "a recovery");
        assert_eq!(tell(2, Some(1)), NONE, "too late");
        assert_eq!(tell(5, Some(4)), [5]);
        assert_eq!(tell(5, Some(4)), NONE, "twice");
        let at: Vec<_> = viewer.into_shown().iter().map(|shown| shown.at.as_micros()).collect();
        assert_eq!(at, [0, 0, 4_000, 5_000]);
    }

    #[test]
    fn it_asks_after_its_patience_and_then_again() {
        let mut viewer = Viewer::new(MediaTime::ZERO, Duration::from_millis(300));
        let ms = MediaTime::from_millis;
        assert!(!viewer.asks(ms(299)));
        assert!(viewer.asks(ms(300)));
        assert!(!viewer.asks(ms(499)));
        assert!(viewer.asks(ms(500)));
        viewer.whole(ms(600), whole(0, None));
        assert!(!viewer.asks(ms(899)));
        assert!(viewer.asks(ms(900)));
    }
}
