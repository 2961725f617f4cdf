//! The sources that the bench brings to the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::{
    Clock, FrameRequest, FrameSource, InputSeq, InputSink, MediaTime, SequencedInput, SourceError,
    SourceEvent, SourceInfo,
};
use server::apps::{App, AppInfo, OpenError, Running, VideoMode};
use server::wire::EntryKind;
use testkit::PulledPattern;

/// Pictures in flight, as the renderer has them.
pub(crate) const SLOTS: usize = 3;

/// The synthetic source as an app.
pub(crate) struct Pattern {
    /// Its id in addresses.
    pub(crate) id: &'static str,
    /// Its name on the page.
    pub(crate) title: &'static str,
    /// Whether it moves.
    pub(crate) moves: bool,
}

impl App for Pattern {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: self.id.into(),
            title: self.title.into(),
            summary: "A moving pattern that costs little more than a copy.".into(),
            kind: EntryKind::Synthetic,
            controls: Vec::new(),
            unavailable: None,
        }
    }

    fn open(&self, video: VideoMode, clock: Arc<dyn Clock>) -> Result<Running, OpenError> {
        let touched = Arc::new(Mutex::new(Touched { newest: None, at: clock.now() }));
        let mut pattern = PulledPattern::new(video.size, SLOTS, clock);
        pattern.set_paused(!self.moves);
        let source = WithInput { pattern, touched: touched.clone() };
        Ok(Running { source: Box::new(source), input: Box::new(Hands { touched }) })
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

/// What the user did last.
struct Touched {
    newest: Option<InputSeq>,
    at: MediaTime,
}

fn lock(touched: &Mutex<Touched>) -> MutexGuard<'_, Touched> {
    touched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pattern; its pictures say which input they show.
struct WithInput {
    pattern: PulledPattern,
    touched: Arc<Mutex<Touched>>,
}

impl FrameSource for WithInput {
    fn info(&self) -> SourceInfo {
        self.pattern.info()
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        // Before drawing, as a game samples its input.
        let newest = lock(&self.touched).newest;
        let mut event = self.pattern.next(request)?;
        if let SourceEvent::Frame(frame) = &mut event {
            frame.last_input = newest;
        }
        Ok(event)
    }
}

struct Hands {
    touched: Arc<Mutex<Touched>>,
}

impl InputSink for Hands {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        let mut touched = lock(&self.touched);
        if touched.newest.is_none_or(|newest| input.seq.is_after(newest)) {
            touched.newest = Some(input.seq);
        }
        touched.at = at;
    }

    fn release_all(&mut self, _: MediaTime) {}

    fn idle_for(&self, now: MediaTime) -> Duration {
        now.since(lock(&self.touched).at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{FrameId, FrameRate, InputEvent, Size};
    use testkit::FakeClock;

    fn open(moves: bool) -> Running {
        let app = Pattern { id: "p", title: "P", moves };
        let video = VideoMode { size: Size::new(64, 64), rate: FrameRate::fps(60) };
        app.open(video, Arc::new(FakeClock::default())).unwrap()
    }

    fn next(running: &mut Running, millis: u64) -> SourceEvent {
        let at = MediaTime::from_millis(millis);
        let (id, within) = (FrameId(0), Duration::ZERO);
        running.source.next(&FrameRequest { id, at, within, views: &[], refresh: false }).unwrap()
    }

    #[test]
    fn a_picture_says_which_input_it_shows() {
        let mut running = open(true);
        let input = SequencedInput { seq: InputSeq(7), event: InputEvent::ReleaseAll };
        running.input.inject(&input, MediaTime::ZERO);
        let SourceEvent::Frame(frame) = next(&mut running, 1) else { panic!("no picture") };
        assert_eq!(frame.last_input, Some(InputSeq(7)));
    }

    #[test]
    fn what_stands_still_yields_one_picture() {
        let mut running = open(false);
        assert!(matches!(next(&mut running, 1), SourceEvent::Frame(_)));
        assert!(matches!(next(&mut running, 2), SourceEvent::Unchanged));
    }
}
