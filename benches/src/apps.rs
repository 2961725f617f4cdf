//! The sources that the bench brings to the server.

use std::sync::Arc;
use std::time::Duration;

use media::{Clock, DeviceId, InputSink, MediaTime, SequencedInput};
use server::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use server::saves::GameSaves;
use server::wire::{EntryKind, KeyboardMode};
use testkit::{Programme, PulledPattern, PushedPattern};

/// Pictures in flight, as the renderer has them.
pub(crate) const SLOTS: usize = 3;

/// The synthetic source as an app.
pub(crate) struct Pattern {
    /// Its id in addresses.
    pub(crate) id: &'static str,
    /// Its name on the page.
    pub(crate) title: &'static str,
    /// Whether it moves: then a thread of its own pushes the pictures, at the session's rate and by its
    /// own clock, as a game does. What stands still is asked for at each interval.
    pub(crate) moves: bool,
}

impl App for Pattern {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: self.id.into(),
            title: self.title.into(),
            summary: "A pattern that costs little more than a copy.".into(),
            kind: EntryKind::Synthetic,
            controls: Vec::new(),
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            screen: None,
            unavailable: None,
        }
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let started = clock.now();
        if !self.moves {
            let mut source = PulledPattern::new(video.size, SLOTS, clock);
            source.set_paused(true);
            let input = Box::new(Hands { programme: None, touched: started });
            return Ok(Running {
                source: Box::new(source),
                input,
                sound: None,
                rumble: None,
                voice: None,
            });
        }
        let (source, programme) = PushedPattern::start(video.size, SLOTS, video.rate, clock)
            .map_err(|error| OpenError::Content(format!("no thread for the pattern: {error}")))?;
        let input = Box::new(Hands { programme: Some(programme), touched: started });
        Ok(Running { source: Box::new(source), input, sound: None, rumble: None, voice: None })
    }

    fn device(&self) -> Option<DeviceId> {
        None
    }

    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

/// What the user does goes to the programme, which says with each picture what it shows of it.
struct Hands {
    programme: Option<Programme>,
    touched: MediaTime,
}

impl InputSink for Hands {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        if let Some(programme) = &self.programme {
            programme.input(input.seq);
        }
        self.touched = at;
    }

    fn release_all(&mut self, _: MediaTime) {}

    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        now.since(self.touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{
        FrameId, FrameRate, FrameRequest, InputEvent, InputSeq, Pacing, Size, SourceEvent,
    };
    use testkit::FakeClock;

    fn open(moves: bool, clock: &FakeClock) -> Running {
        let app = Pattern { id: "p", title: "P", moves };
        let video =
            VideoMode { size: Size::new(64, 64), dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
        app.open(video, Arc::new(clock.clone()), &Start::default()).unwrap()
    }

    fn next(running: &mut Running, millis: u64) -> SourceEvent {
        let at = MediaTime::from_millis(millis);
        // Never waited for in full: a pushed picture comes when its thread has run.
        let (id, within) = (FrameId(0), Duration::from_secs(60));
        running
            .source
            .next(&FrameRequest {
                id,
                at,
                within,
                views: &[],
                refresh: false,
                share: false,
                kind: media::PictureKind::NV12,
            })
            .unwrap()
    }

    #[test]
    fn what_moves_is_pushed_and_a_picture_says_which_input_it_shows() {
        let clock = FakeClock::default();
        let mut running = open(true, &clock);
        assert_eq!(running.source.info().pacing, Pacing::Pushed);
        let SourceEvent::Frame(first) = next(&mut running, 0) else { panic!("no picture") };
        assert_eq!((first.captured_at, first.last_input), (MediaTime::ZERO, None));
        let input = SequencedInput { seq: InputSeq(7), event: InputEvent::ReleaseAll };
        running.input.inject(&input, MediaTime::from_millis(3));
        assert_eq!(running.input.idle_for(MediaTime::from_millis(5)), Duration::from_millis(2));
        // Half an interval: before the next picture would have been due.
        clock.advance_to(MediaTime::from_millis(9));
        let SourceEvent::Frame(frame) = next(&mut running, 9) else { panic!("no picture") };
        assert_eq!(frame.captured_at, MediaTime::from_millis(9));
        assert_eq!(frame.last_input, Some(InputSeq(7)));
    }

    #[test]
    fn what_stands_still_yields_one_picture() {
        let mut running = open(false, &FakeClock::default());
        assert!(matches!(next(&mut running, 1), SourceEvent::Frame(_)));
        assert!(matches!(next(&mut running, 2), SourceEvent::Unchanged));
    }
}
