//! When a source is asked for what it has shown already, how often its screen changes, how large its pictures are, and what
//! is said of pictures that nobody was shown.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use media::{
    Clock, CursorUpdate, Damage, DeviceId, Frame, FrameRate, FrameRequest, FrameSource, InputSink,
    MediaTime, Pacing, PictureKind, SequencedInput, Size, SourceError, SourceEvent, SourceInfo,
};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::drive::{Opening, SourceOutput, SourceReport, SourceThread};
use nearlight::saves::GameSaves;
use nearlight::wire::{EntryKind, KeyboardMode};
use session::rate::Part;
use testkit::{FakeClock, PulledPattern};

const RATE: FrameRate = FrameRate::fps(50);
const SIZE: Size = Size::new(64, 64);
/// Of the server: between two sizes of a screen.
const SCREEN_EVERY: Duration = Duration::from_millis(250);
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

/// Is opened once.
struct Game(Mutex<Option<Box<dyn FrameSource>>>);

impl Game {
    fn of(source: impl FrameSource + 'static) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Box::new(source)))))
    }
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
    fn open(&self, _: VideoMode, _: Arc<dyn Clock>, _: &Start) -> Result<Running, OpenError> {
        let source = self.0.lock().unwrap().take().unwrap();
        Ok(Running { source, input: Box::new(NoHands), sound: None, rumble: None, voice: None })
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

/// What changed in each picture that came.
type Changes = Arc<Mutex<Vec<Damage>>>;

/// An encoder that would like every picture better than it is.
struct NeverContent {
    told: Sender<&'static str>,
    changes: Changes,
}

impl SourceOutput for NeverContent {
    fn frame(&mut self, frame: Frame) {
        self.changes.lock().unwrap().push(frame.damage);
    }
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
            SourceReport::Resized(_) => "resized",
            SourceReport::Ended => "ended",
            _ => "something else",
        };
        let _ = self.told.send(what);
    }
}

fn start(app: Arc<Game>, clock: FakeClock) -> (SourceThread, Receiver<&'static str>) {
    start_seeing(app, clock, Changes::default())
}

fn start_seeing(
    app: Arc<Game>,
    clock: FakeClock,
    changes: Changes,
) -> (SourceThread, Receiver<&'static str>) {
    let (told, reports) = channel();
    let video = VideoMode { size: SIZE, rate: RATE, dpi: 96 };
    let (opening, output) = (Opening::of(app), NeverContent { told, changes });
    let thread =
        SourceThread::start("src-test".into(), opening, video, Arc::new(clock), output).unwrap();
    (thread, reports)
}

fn runs_to_its_end(reports: &Receiver<&str>) {
    let next = || reports.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!([next(), next()], ["opened", "ended"]);
}

#[test]
fn a_picture_is_repeated_when_the_game_stands_still_and_not_while_it_draws() {
    let (clock, repeats) = (FakeClock::default(), Arc::<Mutex<Vec<bool>>>::default());
    let app = Game::of(Drawn {
        pattern: PulledPattern::new(SIZE, 3, Arc::new(clock.clone())),
        clock: clock.clone(),
        left: PICTURES,
        due: clock.now() + RATE.interval(),
        repeats: repeats.clone(),
    });
    let (thread, reports) = start(app, clock);
    thread.set_paused(false);
    runs_to_its_end(&reports);
    let repeats = repeats.lock().unwrap();
    // The first picture at once, then what the game draws, then that once more.
    let drawn = repeats.iter().filter(|repeat| !**repeat).count();
    assert_eq!(drawn, PICTURES as usize, "{repeats:?}");
    let first_and_last = [repeats.first(), repeats.last()];
    assert_eq!((first_and_last, repeats.len()), ([Some(&true); 2], drawn + 2), "{repeats:?}");
}

/// Messages of a client that tell it where its picture is shown: as many a second as it may send.
const VIEWS: u32 = 400;
const BETWEEN_VIEWS: Duration = Duration::from_millis(5);
const VIEWED: [Size; 2] = [Size::new(640, 400), Size::new(800, 600)];
const AT_LAST: Size = Size::new(1_280, 720);

/// What shows nothing, and has a screen of its own. While it is asked for pictures its client tells it, by the thread's
/// own handle, of one size and the other, and at last of a third.
struct Screened {
    pattern: PulledPattern,
    clock: FakeClock,
    thread: Arc<OnceLock<Weak<SourceThread>>>,
    asked: u32,
    screens: Arc<Mutex<Vec<(MediaTime, Size)>>>,
}

impl FrameSource for Screened {
    fn info(&self) -> SourceInfo {
        SourceInfo { pacing: Pacing::Pushed, ..self.pattern.info() }
    }

    fn next(&mut self, _: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        self.clock.advance(BETWEEN_VIEWS);
        let view = match self.asked {
            asked if asked < VIEWS => Some(VIEWED[asked as usize % 2]),
            VIEWS => Some(AT_LAST),
            asked if asked > 2 * VIEWS => return Ok(SourceEvent::Ended),
            _ => None,
        };
        self.asked += 1;
        if let Some(view) = view {
            self.thread.get().unwrap().upgrade().unwrap().set_screen(view, 96);
        }
        Ok(SourceEvent::Unchanged)
    }

    fn resize(&mut self, _: Size) -> Size {
        self.info().size
    }

    fn set_screen(&mut self, size: Size, _: u32) {
        self.screens.lock().unwrap().push((self.clock.now(), size));
    }
}

#[test]
fn a_screen_changes_at_once_and_then_a_few_times_a_second_and_the_last_size_is_had() {
    let clock = FakeClock::default();
    let (handle, screens) = (Arc::<OnceLock<_>>::default(), Arc::<Mutex<Vec<_>>>::default());
    let app = Game::of(Screened {
        pattern: PulledPattern::new(SIZE, 3, Arc::new(clock.clone())),
        clock: clock.clone(),
        thread: handle.clone(),
        asked: 0,
        screens: screens.clone(),
    });
    let (thread, reports) = start(app, clock);
    let thread = Arc::new(thread);
    handle.set(Arc::downgrade(&thread)).unwrap();
    thread.set_paused(false);
    runs_to_its_end(&reports);
    let screens = screens.lock().unwrap();
    let told = format!("{screens:?}");
    assert!(screens[0].0 <= MediaTime::ZERO + BETWEEN_VIEWS, "{told}");
    assert!(screens.windows(2).all(|pair| pair[1].0.since(pair[0].0) >= SCREEN_EVERY), "{told}");
    assert!((4..=9).contains(&screens.len()), "{told}");
    assert_eq!(screens.last().map(|(_, size)| *size), Some(AT_LAST), "{told}");
}

/// A game that stands still, and is paused while its third picture is drawn, until it is halted for that.
struct Halted {
    pattern: PulledPattern,
    thread: Arc<OnceLock<Weak<SourceThread>>>,
    asked: u32,
}

impl FrameSource for Halted {
    fn info(&self) -> SourceInfo {
        SourceInfo { pacing: Pacing::Pushed, ..self.pattern.info() }
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        self.asked += 1;
        match self.asked {
            3 => self.thread.get().unwrap().upgrade().unwrap().set_paused(true),
            6 => return Ok(SourceEvent::Ended),
            _ => {}
        }
        let mut event = self.pattern.next(&FrameRequest { refresh: true, ..request.clone() });
        if let Ok(SourceEvent::Frame(frame)) = &mut event {
            frame.damage = Damage::none();
        }
        event
    }

    fn resize(&mut self, _: Size) -> Size {
        self.info().size
    }

    fn set_held(&mut self, held: bool) {
        if held {
            self.thread.get().unwrap().upgrade().unwrap().set_paused(false);
        }
    }
}

#[test]
fn what_changed_since_a_picture_that_nobody_was_shown_is_not_known() {
    let (clock, changes) = (FakeClock::default(), Changes::default());
    let handle = Arc::<OnceLock<_>>::default();
    let pattern = PulledPattern::new(SIZE, 3, Arc::new(clock.clone()));
    let app = Game::of(Halted { pattern, thread: handle.clone(), asked: 0 });
    let (thread, reports) = start_seeing(app, clock, changes.clone());
    let thread = Arc::new(thread);
    handle.set(Arc::downgrade(&thread)).unwrap();
    thread.set_paused(false);
    runs_to_its_end(&reports);
    let still = Damage::none;
    assert_eq!(*changes.lock().unwrap(), [still(), still(), Damage::Unknown, still()]);
}

/// The size that a game gives its screen after its second picture.
const GROWN: Size = Size::new(128, 96);

/// A display that its game gives another size, and of which smaller pictures can be had: those are wanted from the first on.
struct Grows {
    pattern: PulledPattern,
    clock: FakeClock,
    thread: Arc<OnceLock<Weak<SourceThread>>>,
    asked: u32,
    /// The sizes of its pictures.
    made: Arc<Mutex<Vec<Size>>>,
}

impl FrameSource for Grows {
    fn info(&self) -> SourceInfo {
        SourceInfo { pacing: Pacing::Pushed, ..self.pattern.info() }
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        self.clock.advance(RATE.interval());
        self.asked += 1;
        match self.asked {
            1 => {
                let thread = self.thread.get().unwrap().upgrade().unwrap();
                thread.set_size(Part::new(1, 2).unwrap());
            }
            3 => {
                self.pattern = PulledPattern::new(GROWN, 3, Arc::new(self.clock.clone()));
                return Ok(SourceEvent::Resized(GROWN));
            }
            5 => return Ok(SourceEvent::Ended),
            _ => {}
        }
        self.made.lock().unwrap().push(self.info().size);
        self.pattern.next(&FrameRequest { refresh: true, ..request.clone() })
    }

    fn resize(&mut self, size: Size) -> Size {
        self.pattern.resize(size)
    }
}

#[test]
fn pictures_stay_the_part_of_their_size_that_was_asked_for_when_the_screen_gets_another() {
    let clock = FakeClock::default();
    let (handle, made) = (Arc::<OnceLock<_>>::default(), Arc::<Mutex<Vec<_>>>::default());
    let app = Game::of(Grows {
        pattern: PulledPattern::new(SIZE, 3, Arc::new(clock.clone())),
        clock: clock.clone(),
        thread: handle.clone(),
        asked: 0,
        made: made.clone(),
    });
    let (thread, reports) = start(app, clock);
    let thread = Arc::new(thread);
    handle.set(Arc::downgrade(&thread)).unwrap();
    thread.set_paused(false);
    let next = || reports.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!([next(), next(), next()], ["opened", "resized", "ended"]);
    // None of the screen's own size is made in between: each size costs a keyframe.
    let half = |size: Size| Size::new(size.width / 2, size.height / 2);
    assert_eq!(*made.lock().unwrap(), [SIZE, half(SIZE), half(GROWN)]);
}
