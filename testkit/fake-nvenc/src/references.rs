//! What pictures are coded from, as the SDK documents it. Pure.
//!
//! The decoded picture buffer holds the newest pictures, of which invalidated ones still take their places,
//! and beside them those that the caller marked as long-term references, which stay until their index is
//! marked again or a keyframe comes.

use std::collections::VecDeque;

/// Long-term references that there can be; `ltrUseFrameBitmap` has a bit for each.
pub(crate) const LONG_TERM: usize = 8;

/// What a picture is coded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing: it is a keyframe.
    Nothing,
    /// The picture before it.
    Last,
    /// The newest picture that is not invalid, and so one from before this timestamp.
    Older(u64),
    /// The oldest of the long-term references that it may be coded from: the picture of this timestamp.
    LongTerm(u64),
}

impl Source {
    /// The word that the log has for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "key",
            Self::Last => "last",
            Self::Older(_) => "older",
            Self::LongTerm(_) => "long-term",
        }
    }
}

/// The decoded picture buffer.
#[derive(Default)]
pub(crate) struct References {
    /// Timestamps, oldest first, and whether each may still be referred to.
    held: VecDeque<(u64, bool)>,
    marked: [Option<u64>; LONG_TERM],
}

impl References {
    /// These pictures are not to be referred to, nor what was coded from them.
    pub(crate) fn invalidate(&mut self, timestamps: &[u64]) {
        let Some(first) = timestamps.iter().min() else { return };
        self.held.iter_mut().filter(|held| held.0 >= *first).for_each(|held| held.1 = false);
        self.marked.iter_mut().for_each(|mark| *mark = mark.filter(|mark| mark < first));
    }

    /// What the next picture is coded from, where the caller allows these long-term references, or none.
    pub(crate) fn source(&self, allowed: u32) -> Source {
        let allowed = |index: usize| allowed >> index & 1 == 1;
        let marked = self.marked.iter().enumerate().filter(|(index, _)| allowed(*index));
        if let Some(oldest) = marked.filter_map(|(_, mark)| *mark).min() {
            return Source::LongTerm(oldest);
        }
        let newest = self.held.iter().rposition(|held| held.1);
        match newest.map(|place| self.held.get(place + 1)) {
            None => Source::Nothing,
            Some(None) => Source::Last,
            Some(Some(invalid)) => Source::Older(invalid.0),
        }
    }

    /// A picture was coded; the buffer has room for `room` of them beside the long-term references.
    pub(crate) fn coded(&mut self, timestamp: u64, key: bool, mark: Option<u32>, room: u32) {
        if key {
            *self = Self::default();
        }
        self.held.push_back((timestamp, true));
        while self.held.len() > room.max(1) as usize {
            self.held.pop_front();
        }
        if let Some(place) = mark.and_then(|index| self.marked.get_mut(index as usize)) {
            *place = Some(timestamp);
        }
    }

    /// No picture to come is coded from one before this one, unless it is coded from nothing.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let marked = self.marked.iter().flatten();
        self.held.front().map(|held| &held.0).into_iter().chain(marked).min().copied()
    }
}
