//! When a source is asked for what it has shown already.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use media::{
    Clock, CursorUpdate, DeviceId, Frame, FrameRate, FrameRequest, FrameSource, InputSink,
    MediaTime, Pacing, PictureKind, SequencedInput, Size, SourceError, SourceEvent, SourceInfo,
};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::drive::{Opening, SourceOutput, SourceReport, SourceThread};
use nearlight::saves::GameSaves;
use nearlight::wire::{EntryKind, KeyboardMode};
use testkit::{FakeClock, PulledPattern};

const RATE: FrameRate = FrameRate::fps(50);
/// Pictures that a game draws before it stands still.
const PICTURES: u32 = 60;

/// A display whose game draws so many pictures, each seventh of them late by most of an interval, then stands still, and
/// ends when it has repeated its last one. Time passes while it is waited for, and at no other time.
struct Drawn {
    pattern: PulledPattern,
    clock: FakeClock,
    left: u32,
    due: MediaTime,
    /// Whether each picture that was made was asked for in any case.
    repeats: Arc<Mutex<Vec<bool>>>,
}

impl FrameSource for Drawn {
    fn info(&self) -> SourceInfo {
        SourceInfo { pacing: Pacing::Pushed, ..self.pattern.info() }
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let now = self.clock.now();
        if !request.refresh {
            if self.left == 0 || self.due > now + request.within {
                self.clock.advance(request.within);
                return Ok(SourceEvent::Unchanged);
            }
            self.clock.advance_to(self.due.max(now));
            self.left -= 1;
            let late = if self.left.is_multiple_of(7) { 9 } else { 0 };
            self.due = self.due + RATE.interval() + RATE.interval() / 10 * late;
        }
        let mut repeats = self.repeats.lock().unwrap();
        if self.left == 0 && repeats.last() == Some(&true) {
            return Ok(SourceEvent::Ended);
        }
        repeats.push(request.refresh);
        // Whatever the pattern would say of it: this source knows what has changed.
        self.pattern.next(&FrameRequest { refresh: true, ..request.clone() })
    }

    fn resize(&mut self, _: Size) -> Size {
        self.info().size
    }
}

struct Game {
    clock: FakeClock,
    repeats: Arc<Mutex<Vec<bool>>>,
}

impl App for Game {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: "game".into(),
            title: "Game".into(),
            summary: String::new(),
            kind: EntryKind::Game,
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            controls: Vec::new(),
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
        let due = clock.now() + RATE.interval();
        let source = Drawn {
            pattern: PulledPattern::new(video.size, 3, clock),
            clock: self.clock.clone(),
            left: PICTURES,
            due,
            repeats: self.repeats.clone(),
        };
        Ok(Running {
            source: Box::new(source),
            input: Box::new(NoHands),
            sound: None,
            rumble: None,
            voice: None,
        })
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

struct NoHands;

impl InputSink for NoHands {
    fn inject(&mut self, _: &SequencedInput, _: MediaTime) {}
    fn release_all(&mut self, _: MediaTime) {}
    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

/// An encoder that would like every picture better than it is.
struct NeverContent(Sender<&'static str>);

impl SourceOutput for NeverContent {
    fn frame(&mut self, _: Frame) {}
    fn cursor(&mut self, _: CursorUpdate) {}
    fn wants_refresh(&self) -> bool {
        true
    }
    fn wants_shared(&self) -> bool {
        false
    }
    fn wants_kind(&self) -> PictureKind {
        PictureKind::NV12
    }
    fn report(&mut self, report: SourceReport) {
        let what = match report {
            SourceReport::Opened { .. } => "opened",
            SourceReport::Ended => "ended",
            _ => "something else",
        };
        let _ = self.0.send(what);
    }
}

#[test]
fn a_picture_is_repeated_when_the_game_stands_still_and_not_while_it_draws() {
    let (clock, repeats) = (FakeClock::default(), Arc::<Mutex<Vec<bool>>>::default());
    let app = Arc::new(Game { clock: clock.clone(), repeats: repeats.clone() });
    let (told, reports): (_, Receiver<&str>) = channel();
    let video = VideoMode { size: Size::new(64, 64), rate: RATE, dpi: 96 };
    let output = NeverContent(told);
    let thread =
        SourceThread::start("src-test".into(), Opening::of(app), video, Arc::new(clock), output)
            .unwrap();
    thread.set_paused(false);
    let next = || reports.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!([next(), next()], ["opened", "ended"]);
    let repeats = repeats.lock().unwrap();
    // The first picture at once, then what the game draws, then that once more.
    let drawn = repeats.iter().filter(|repeat| !**repeat).count();
    assert_eq!(drawn, PICTURES as usize, "{repeats:?}");
    let first_and_last = [repeats.first(), repeats.last()];
    assert_eq!((first_and_last, repeats.len()), ([Some(&true); 2], drawn + 2), "{repeats:?}");
}
