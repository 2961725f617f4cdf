//! A pushed source of the moving pattern: the synthetic 60 fps source of the benches.
//!
//! ```text
//!  programme's thread: its own clock, input ──▶ draw into a slot ──▶ one picture ──▶ source's thread
//! ```
//!
//! [`Programme`] stands for a game that presents by itself: it samples its input, draws and hands the
//! picture over, at its own rate. Input pulls its next picture forward, but no two pictures are closer
//! than half an interval. The newest picture waits to be fetched; one that nobody fetched in time is
//! replaced, and with no slot free a picture is left out. [`Programme::left_out`] counts both.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::{
    Clock, ColorDescription, Damage, Frame, FrameRate, FrameRequest, FrameSource, InputSeq, Mark,
    MediaTime, Pacing, PixelFormat, Rect, Size, SourceError, SourceEvent, SourceInfo, StageTimes,
    View, Views,
};

use crate::pattern::{Canvas, Texture, even};
use crate::pool::{PooledImage, SlotPool};

/// Pushed NV12 pictures with motion. Dropping it ends the programme's thread.
pub struct PushedPattern {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// A refresh waits so long for a new picture before the old one is repeated.
    repeat_after: Duration,
}

/// What makes the pictures. Clones are one programme.
#[derive(Clone)]
pub struct Programme {
    shared: Arc<Shared>,
}

struct Shared {
    size: Size,
    texture: Texture,
    pool: SlotPool,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// A picture came, input came, or the end.
    changed: Condvar,
}

struct State {
    /// Waits to be fetched.
    newest: Option<Picture>,
    /// What a repeated picture shows.
    shown: (MediaTime, Option<InputSeq>),
    input: Option<InputSeq>,
    /// Input came since the last picture.
    pulled: bool,
    left_out: u64,
    stop: bool,
}

struct Picture {
    image: PooledImage,
    at: MediaTime,
    input: Option<InputSeq>,
    stages: StageTimes,
}

impl PushedPattern {
    /// A source and its programme, which draws when it is told to. Pictures of `size`, rounded down to
    /// even, at least 2x2; `slots` of them at most in flight.
    pub fn new(size: Size, slots: usize, clock: Arc<dyn Clock>) -> (Self, Programme) {
        let shared = Arc::new(Shared {
            size: even(size),
            texture: Texture::new(),
            pool: SlotPool::new(slots),
            state: Mutex::new(State {
                newest: None,
                shown: (clock.now(), None),
                input: None,
                pulled: false,
                left_out: 0,
                stop: false,
            }),
            clock,
            changed: Condvar::new(),
        });
        let source = Self { shared: shared.clone(), thread: None, repeat_after: Duration::ZERO };
        (source, Programme { shared })
    }

    /// As [`new`](Self::new), with a thread that draws `rate` pictures a second of `clock`.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub fn start(
        size: Size,
        slots: usize,
        rate: FrameRate,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<(Self, Programme)> {
        let (mut source, programme) = Self::new(size, slots, clock);
        // By then it has drawn again; a repeat meanwhile would only take that picture's place.
        source.repeat_after = rate.interval();
        let theirs = programme.clone();
        let thread = std::thread::Builder::new().name("programme".into());
        source.thread = Some(thread.spawn(move || theirs.run(rate.interval()))?);
        Ok((source, programme))
    }
}

impl Programme {
    /// Draws a picture of the present moment, with the newest input, and hands it over.
    pub fn draw(&self) {
        let shared = &*self.shared;
        let at = shared.clock.now();
        let (input, unfetched) = {
            let mut state = shared.lock();
            state.pulled = false;
            (state.input, state.newest.take())
        };
        // Its slot is free for this one.
        let replaced = unfetched.is_some();
        drop(unfetched);
        let picture = shared.paint(at, input);
        let mut state = shared.lock();
        state.left_out += u64::from(replaced) + u64::from(picture.is_none());
        state.newest = picture;
        drop(state);
        shared.changed.notify_all();
    }

    /// Input `seq` came in: the next picture shows it, and is pulled forward.
    pub fn input(&self, seq: InputSeq) {
        let mut state = self.shared.lock();
        if state.input.is_none_or(|newest| seq.is_after(newest)) {
            state.input = Some(seq);
        }
        state.pulled = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Pictures that were never fetched, or not drawn for want of a slot.
    pub fn left_out(&self) -> u64 {
        self.shared.lock().left_out
    }

    fn run(&self, interval: Duration) {
        let mut due = self.shared.clock.now();
        let mut last = None;
        while self.wait_until(due, last.map(|last| last + interval / 2)) {
            let now = self.shared.clock.now();
            self.draw();
            last = Some(now);
            // On a grid, so that the rate holds; pulled forward or late, the grid begins anew.
            due = if now >= due && now < due + interval { due + interval } else { now + interval };
        }
    }

    /// Waits until `due`, or, when input came, until `pulled`. False at the end.
    fn wait_until(&self, due: MediaTime, pulled: Option<MediaTime>) -> bool {
        let mut state = self.shared.lock();
        loop {
            let at = if state.pulled { pulled.unwrap_or(due).min(due) } else { due };
            let left = at.since(self.shared.clock.now());
            if state.stop || left.is_zero() {
                return !state.stop;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete when the lock is let go.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint(&self, at: MediaTime, input: Option<InputSeq>) -> Option<Picture> {
        let mut stages = StageTimes::captured(at);
        let mut image = self.pool.take(PixelFormat::Nv12, self.size)?;
        stages.mark(Mark::DrawStarted, self.clock.now());
        let (luma, chroma) = image.nv12_mut();
        let mut canvas = Canvas { luma, chroma, stride: self.size.width as usize };
        self.texture.paint(&mut canvas, Rect::whole(self.size), at, 0.0);
        image.completed(self.clock.now());
        Some(Picture { image, at, input, stages })
    }
}

impl FrameSource for PushedPattern {
    fn info(&self) -> SourceInfo {
        let size = self.shared.size;
        SourceInfo { pacing: Pacing::Pushed, size, views: 1, drawn: size, resizes: false }
    }

    fn resize(&mut self, _: Size) -> Size {
        self.shared.size
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        // Real time: a pushed source waits for another thread, not for the media clock.
        let asked = Instant::now();
        let repeat = request.refresh.then(|| asked + self.repeat_after);
        let deadline = asked + request.within;
        let mut state = self.shared.lock();
        loop {
            if let Some(picture) = state.newest.take() {
                state.shown = (picture.at, picture.input);
                return Ok(self.frame(request, picture, Damage::Unknown));
            }
            let now = Instant::now();
            if repeat.is_some_and(|at| at.min(deadline) <= now) {
                let (at, input) = state.shown;
                drop(state);
                let picture = self.shared.paint(at, input).ok_or(SourceError::NoFreeSlot)?;
                return Ok(self.frame(request, picture, Damage::none()));
            }
            if deadline <= now {
                return Ok(SourceEvent::Unchanged);
            }
            let next = repeat.map_or(deadline, |at| at.min(deadline));
            let waited = self.shared.changed.wait_timeout(state, next.duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl PushedPattern {
    fn frame(&self, request: &FrameRequest<'_>, picture: Picture, damage: Damage) -> SourceEvent {
        SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: picture.at,
            views: Views::from_elem(View::screen(self.shared.size), 1),
            damage,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            last_input: picture.input,
            scaled: false,
            stages: picture.stages,
            image: Box::new(picture.image),
        })
    }
}

impl Drop for PushedPattern {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its hook; a second one here would abort.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;
    use media::FrameId;

    const SIZE: Size = Size::new(64, 48);
    const LONG: Duration = Duration::from_secs(60);

    fn next(source: &mut PushedPattern, within: Duration, refresh: bool) -> Option<Frame> {
        let at = MediaTime::ZERO;
        let request = FrameRequest {
            id: FrameId(0),
            at,
            within,
            views: &[],
            refresh,
            share: false,
            kind: media::PictureKind::NV12,
        };
        match source.next(&request).unwrap() {
            SourceEvent::Frame(frame) => Some(frame),
            SourceEvent::Unchanged => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_thread_draws_by_its_own_clock_and_input_pulls_the_next_picture_forward() {
        let clock = FakeClock::default();
        let rate = FrameRate::fps(50);
        let (mut source, programme) =
            PushedPattern::start(SIZE, 3, rate, Arc::new(clock.clone())).unwrap();
        let mut captured = |millis| {
            clock.advance_to(MediaTime::from_millis(millis));
            let frame = next(&mut source, LONG, false).expect("a picture was due");
            (frame.captured_at.as_micros() / 1_000, frame.last_input)
        };
        assert_eq!(captured(0), (0, None));
        assert_eq!(captured(20), (20, None));
        programme.input(InputSeq(7));
        programme.input(InputSeq(6));
        assert_eq!(captured(30), (30, Some(InputSeq(7))));
        assert_eq!(captured(50), (50, Some(InputSeq(7))), "an interval after the one before");
        assert_eq!(programme.left_out(), 0);
        // Nothing new comes while the clock stands: what was shown is repeated.
        let again = next(&mut source, LONG, true).expect("a refresh yields a picture");
        assert_eq!((again.captured_at, again.damage), (MediaTime::from_millis(50), Damage::none()));
    }

    #[test]
    fn a_picture_that_nobody_fetches_is_replaced_and_counted() {
        let clock = FakeClock::default();
        let (mut source, programme) = PushedPattern::new(SIZE, 1, Arc::new(clock.clone()));
        programme.draw();
        clock.advance(Duration::from_millis(5));
        programme.draw();
        assert_eq!(programme.left_out(), 1);
        let newest = next(&mut source, Duration::ZERO, false).unwrap();
        assert_eq!(newest.captured_at, MediaTime::from_millis(5));
        programme.draw();
        assert_eq!(programme.left_out(), 2, "the only slot is held");
        assert!(next(&mut source, Duration::ZERO, false).is_none());
        drop(newest);
        let again = next(&mut source, Duration::ZERO, true).unwrap();
        assert_eq!((again.captured_at, again.damage), (MediaTime::from_millis(5), Damage::none()));
    }
}
