//! The source thread: one a session, the only one that touches the session's [`FrameSource`].
//!
//! It opens the app, then asks for a picture whenever one is due (or input pulls it forward) and puts
//! it into the encoder's mailbox. It never waits for the encoder: the mailbox holds one, the latest wins.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use media::{
    AudioSource, Clock, CursorUpdate, Damage, Exited, Frame, FrameId, FrameRate, FrameRequest,
    FrameSource, InputSink, Layout, MediaTime, Pacing, PictureKind, Size, SourceError, SourceEvent,
    SourceInfo, VoiceSink,
};
use session::pacing::FramePacer;
use session::rate::Part;
use session::spaced::Spaced;

use tokio::sync::watch;

use crate::apps::{App, OpenError, PadWishes, Prepared, Running, Start, Told, VideoMode};
use crate::booking::Booking;
use crate::saves::Keep;
use crate::sharing::Share;
use crate::wire;

/// A pushed source is asked again after this long, so that stop and pause are noticed.
const PUSHED_WAIT: Duration = Duration::from_millis(50);
/// Intervals without a picture after which a pushed source is taken to stand still.
const STILL: u32 = 2;
/// After all slots, or the device, were busy, the source is asked again after this long: short against a frame, long
/// against what asking takes.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// After a device was lost, the source is asked again after this long.
const LOST_WAIT: Duration = Duration::from_millis(100);
/// While no pictures are wanted it is looked so often whether what makes them is over.
const OVER_WAIT: Duration = Duration::from_secs(1);
/// Least time between two sizes of a screen, each of which costs a keyframe.
const SCREEN_EVERY: Duration = Duration::from_millis(250);

/// How long a stop waits for the thread: far longer than any picture takes, also in software.
const JOIN_DEADLINE: Duration = Duration::from_secs(3);

/// What the source thread reports.
pub enum SourceReport {
    /// The app is open.
    Opened {
        /// Its input goes here.
        input: Box<dyn InputSink>,
        /// What it makes sound with.
        sound: Option<Box<dyn AudioSource>>,
        /// What its gamepads are to do.
        rumble: Option<watch::Receiver<PadWishes>>,
        /// Where the player's voice goes.
        voice: Option<Arc<dyn VoiceSink>>,
        /// Whether its pictures can be coded smaller.
        resizes: bool,
    },
    /// The app cannot be opened.
    OpenFailed(OpenError),
    /// The graphics device is gone; the thread tries again by itself.
    DeviceLost(String),
    /// The graphics device is back.
    DeviceBack,
    /// The size changed that pictures have where they are not to be smaller.
    Resized(Size),
    /// The source came to its end.
    Ended,
    /// The program that it shows is over, and did not end well.
    Exited(Exited),
    /// The source broke.
    Failed(String),
    /// The thread panicked: our bug.
    Panicked(String),
}

/// Where frames and reports go. Called on the source thread; must not block.
pub trait SourceOutput: Send {
    /// Takes a frame.
    fn frame(&mut self, frame: Frame);
    /// Whether the viewer has an old picture, so that one is wanted even when nothing changed.
    fn wants_refresh(&self) -> bool;
    /// Whether the encoder reads pictures in memory that is shared with its device.
    fn wants_shared(&self) -> bool;
    /// What pictures the encoder takes.
    fn wants_kind(&self) -> PictureKind;
    /// Takes a change of the pointer, which is no part of the pictures.
    fn cursor(&mut self, update: CursorUpdate);
    /// Takes a report.
    fn report(&mut self, report: SourceReport);
}

/// What the thread has done, for statistics.
#[derive(Debug, Clone, Copy)]
pub struct SourceCounts {
    /// Frames made.
    pub frames: u64,
    /// Requests for which nothing had changed.
    pub unchanged: u64,
    /// Requests for which every slot, or the device, was busy.
    pub starved: u64,
    /// Size that was drawn last.
    pub drawn: Size,
    /// Size of its pictures.
    pub coded: Size,
}

/// What a source thread opens.
pub struct Opening {
    /// What is played.
    pub app: Arc<dyn App>,
    /// The same where it was started ahead.
    pub prepared: Option<Box<dyn Prepared>>,
    /// What is kept of it.
    pub keep: Option<Arc<Keep>>,
    /// What it shares.
    pub share: Option<Arc<Share>>,
    /// What its screen is booked for; none where it keeps the size of its pictures.
    pub booking: Option<Arc<Booking>>,
    /// How many channels its sound may have.
    pub layout: Layout,
    /// Told how it began.
    pub told: Arc<Told>,
}

impl Opening {
    /// Of this app, for nobody in particular.
    pub fn of(app: Arc<dyn App>) -> Self {
        let (prepared, keep, share, booking) = (None, None, None, None);
        let layout = Layout::Stereo;
        Self { app, prepared, keep, share, booking, layout, told: Arc::default() }
    }
}

/// A handle on the source thread. Dropping it stops the thread and waits for it, at most [`JOIN_DEADLINE`].
pub struct SourceThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    clock: Arc<dyn Clock>,
    /// What an opening is told.
    start: Start,
}

struct State {
    stop: bool,
    ended: bool,
    paused: bool,
    /// A picture is wanted even when nothing changed.
    refresh: bool,
    /// What changed in a picture that nobody was shown is not known.
    withheld: bool,
    /// Fewer pictures are wanted than the source makes: a pushed one is asked only when one is due, too.
    slowed: bool,
    /// Pictures are to have this part of both edges of their size from now on.
    size: Option<Part>,
    /// What is shown is to have a screen of this size from now on, and so many dots an inch.
    screen: Spaced<(Size, u32)>,
    pacer: FramePacer,
    counts: SourceCounts,
}

impl SourceThread {
    /// Starts the thread, paused; `name` has at most 15 bytes.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: String,
        opening: Opening,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        output: impl SourceOutput + 'static,
    ) -> std::io::Result<Self> {
        let Opening { app, prepared, keep, share, booking, layout, told } = opening;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stop: false,
                ended: false,
                paused: true,
                refresh: false,
                withheld: false,
                slowed: false,
                size: None,
                screen: Spaced::new(SCREEN_EVERY),
                // Input may double the rate for a picture, no more.
                pacer: FramePacer::new(clock.now(), video.rate, video.rate.interval() / 2),
                counts: SourceCounts {
                    frames: 0,
                    unchanged: 0,
                    starved: 0,
                    drawn: video.size,
                    coded: video.size,
                },
            }),
            wake: Condvar::new(),
            clock,
            start: Start { booking, layout, keep, share, told, ..Start::default() },
        });
        let theirs = shared.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let _span = span.entered();
            let mut output = output;
            let run = AssertUnwindSafe(|| theirs.run(app.as_ref(), prepared, video, &mut output));
            if let Err(panic) = catch_unwind(run) {
                output.report(SourceReport::Panicked(panic_message(panic.as_ref())));
            }
            theirs.change(|state| state.ended = true);
        })?;
        Ok(Self { shared, thread: Some(thread), name })
    }

    /// Stops the thread and waits for it; the source is gone then. Returns whether it ended in time: a call into a
    /// driver that hangs cannot be cut short, so that such a thread is left to itself, and named in the log.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        self.shared.change(|state| state.stop = true);
        self.shared.start.cancel.cancel();
        let state = self.shared.lock();
        let waited = self
            .shared
            .wake
            .wait_timeout_while(state, JOIN_DEADLINE, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.1.timed_out() {
            tracing::error!(thread = self.name, "source thread did not end and is left behind");
            return false;
        }
        drop(waited);
        // A panic in the thread was reported there.
        let _ = thread.join();
        true
    }

    /// What the opening waits for, where the app tells.
    pub fn step(&self) -> watch::Receiver<Option<wire::StartStep>> {
        self.shared.start.step.subscribe()
    }

    /// Makes pictures, or none.
    pub fn set_paused(&self, paused: bool) {
        self.shared.change(|state| {
            state.paused = paused;
            state.refresh |= !paused;
        });
    }

    /// Wants a picture even when nothing changed: a new viewer came, or a keyframe is due.
    pub fn refresh(&self) {
        self.shared.change(|state| state.refresh = true);
    }

    /// Pictures come at this rate from now on; `slowed` where that is below the source's own.
    pub fn set_rate(&self, rate: FrameRate, slowed: bool) {
        self.shared.change(|state| {
            state.slowed = slowed;
            state.pacer.set_rate(rate);
        });
    }

    /// Pictures have this part of both edges of their size from now on, where the source can, also of another size that they
    /// get later.
    pub fn set_size(&self, part: Part) {
        self.shared.change(|state| {
            state.size = Some(part);
            // Also of what stands still.
            state.refresh = true;
        });
    }

    /// What is shown has a screen of this size from now on, where it has one; the newest of those that come in quick
    /// succession.
    pub fn set_screen(&self, size: Size, dpi: u32) {
        self.shared.change(|state| state.screen.wish((size, dpi)));
    }

    /// Input came in: the next picture is pulled forward.
    pub fn input_came(&self, now: MediaTime) {
        self.shared.change(|state| state.pacer.on_input(now));
    }

    /// What it has done.
    pub fn counts(&self) -> SourceCounts {
        self.shared.lock().counts
    }
}

impl Drop for SourceThread {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is one assignment: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        // The thread waits, or whoever stops it.
        self.wake.notify_all();
    }

    /// Goes on with what was started ahead, or else opens the app.
    fn open(
        &self,
        app: &dyn App,
        prepared: Option<Box<dyn Prepared>>,
        video: VideoMode,
    ) -> Result<Running, OpenError> {
        // The first that is told stays.
        let tell = |kind| app.ahead().is_some().then(|| self.start.told.kind.set(kind));
        if let Some(prepared) = prepared {
            match prepared.open(video, self.clock.clone(), &self.start) {
                Ok(running) => {
                    tell(wire::StartKind::Warm);
                    return Ok(running);
                }
                Err(OpenError::Cancelled) => return Err(OpenError::Cancelled),
                Err(error) => tracing::warn!(%error, "what was started ahead is not played"),
            }
        }
        tell(wire::StartKind::Cold);
        app.open(video, self.clock.clone(), &self.start)
    }

    fn run(
        &self,
        app: &dyn App,
        prepared: Option<Box<dyn Prepared>>,
        video: VideoMode,
        output: &mut dyn SourceOutput,
    ) {
        let mut source = match self.open(app, prepared, video) {
            Ok(running) => {
                let Running { source, input, sound, rumble, voice } = running;
                let resizes = source.info().resizes;
                output.report(SourceReport::Opened { input, sound, rumble, voice, resizes });
                source
            }
            Err(error) => return output.report(SourceReport::OpenFailed(error)),
        };
        let SourceInfo { pacing, mut size, .. } = source.info();
        let mut part = Part::WHOLE;
        let mut id = FrameId::default();
        let mut lost = false;
        let mut last = None;
        let mut owed = false;
        let mut held = Held::NotYet;
        while let Some((at, refresh)) =
            self.wait_until_due(pacing, lost, source.as_mut(), &mut held)
        {
            let (other, screen) = {
                let mut state = self.lock();
                (state.size.take(), state.screen.take(at))
            };
            if let Some(other) = other {
                part = other;
                source.resize(part.of_size(size));
            }
            if let Some((screen, dpi)) = screen {
                if self.start.booking.as_ref().is_none_or(|booking| booking.ask(screen)) {
                    source.set_screen(screen, dpi);
                } else {
                    self.lock().screen.in_vain();
                }
            }
            owed |= refresh;
            let intervals = match pacing {
                _ if !owed && !output.wants_refresh() => None,
                Pacing::Pulled => Some(0),
                // It answers at once when it is to repeat itself: no oftener than pictures come, and what the encoder
                // wants better only when nothing else is on its way.
                Pacing::Pushed => Some(if owed { 1 } else { STILL }),
            };
            let passed = last.map_or(Duration::MAX, |last| at.since(last));
            let wait = intervals.map(|many| (video.rate.interval() * many).saturating_sub(passed));
            let refresh = wait.is_some_and(|wait| wait.is_zero());
            let within = match (pacing, wait) {
                (Pacing::Pulled, _) => video.rate.interval(),
                (Pacing::Pushed, Some(wait)) if !refresh => wait.min(PUSHED_WAIT),
                (Pacing::Pushed, _) => PUSHED_WAIT,
            };
            let (share, kind) = (output.wants_shared(), output.wants_kind());
            let request = FrameRequest { id, at, within, views: &[], refresh, share, kind };
            match self.ask(source.as_mut(), &request, &mut lost, output) {
                // Whoever wanted one did so before it was made.
                Asked::Frame => {
                    (id, last, owed) = (id.next(), Some(self.clock.now()), false);
                }
                // No picture of its own size is made in between, which would cost a keyframe more.
                Asked::Resized(whole) => {
                    size = whole;
                    source.resize(part.of_size(size));
                }
                Asked::Nothing => {}
                Asked::Again(wait) => drop(self.wake.wait_timeout(self.lock(), wait)),
                Asked::Over => return,
            }
        }
    }

    fn ask(
        &self,
        source: &mut dyn FrameSource,
        request: &FrameRequest<'_>,
        lost: &mut bool,
        output: &mut dyn SourceOutput,
    ) -> Asked {
        let answer = source.next(request);
        if *lost && !matches!(answer, Err(SourceError::DeviceLost(_))) {
            *lost = false;
            output.report(SourceReport::DeviceBack);
        }
        match answer {
            Ok(SourceEvent::Frame(mut frame)) => {
                {
                    let mut state = self.lock();
                    if state.paused {
                        // Asked for only to see whether the device is back.
                        (state.refresh, state.withheld) = (true, true);
                        return Asked::Nothing;
                    }
                    if std::mem::take(&mut state.withheld) {
                        frame.damage = Damage::Unknown;
                    }
                    state.counts.frames += 1;
                    let info = source.info();
                    (state.counts.drawn, state.counts.coded) = (info.drawn, info.size);
                    state.pacer.on_frame(request.at);
                }
                // The start is over with the first.
                self.start.step.send_if_modified(|step| step.take().is_some());
                output.frame(frame);
                Asked::Frame
            }
            Ok(SourceEvent::Unchanged) => {
                let mut state = self.lock();
                state.counts.unchanged += 1;
                state.pacer.on_unchanged(request.at);
                Asked::Nothing
            }
            Ok(SourceEvent::Resized(size)) => {
                if let Some(booking) = &self.start.booking {
                    booking.shows(size);
                }
                output.report(SourceReport::Resized(size));
                Asked::Resized(size)
            }
            Ok(SourceEvent::Ended) => {
                output.report(SourceReport::Ended);
                Asked::Over
            }
            Ok(SourceEvent::Cursor(update)) => {
                output.cursor(update);
                Asked::Nothing
            }
            Ok(event) => {
                tracing::error!(?event, "unknown event of a source");
                Asked::Nothing
            }
            Err(SourceError::NoFreeSlot | SourceError::Busy) => {
                self.lock().counts.starved += 1;
                Asked::Again(BUSY_WAIT)
            }
            Err(SourceError::DeviceLost(why)) => {
                if !std::mem::replace(lost, true) {
                    output.report(SourceReport::DeviceLost(why));
                }
                self.lock().refresh |= request.refresh;
                Asked::Nothing
            }
            Err(SourceError::Exited(exited)) => {
                output.report(SourceReport::Exited(exited));
                Asked::Over
            }
            Err(error) => {
                output.report(SourceReport::Failed(error.to_string()));
                Asked::Over
            }
        }
    }

    /// Waits until a picture is due; the time that it shows and whether it is wanted in any case.
    /// `None` when the thread is to stop.
    ///
    /// A source whose device is `lost` is asked also while paused, and wanted or not: nothing else brings the device
    /// back, and the session is paused because it is gone.
    fn wait_until_due(
        &self,
        pacing: Pacing,
        lost: bool,
        source: &mut dyn FrameSource,
        held: &mut Held,
    ) -> Option<(MediaTime, bool)> {
        let mut state = self.lock();
        if lost {
            let waited = self.wake.wait_timeout_while(state, LOST_WAIT, |state| !state.stop);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            return (!state.stop).then(|| (self.clock.now(), true));
        }
        loop {
            if state.stop {
                return None;
            }
            let now = self.clock.now();
            if *held != Held::NotYet && state.paused != (*held == Held::Yes) {
                *held = if state.paused { Held::Yes } else { Held::No };
                // Not under the lock: it may be a system call.
                drop(state);
                source.set_held(*held == Held::Yes);
                state = self.lock();
                continue;
            }
            if state.paused {
                if self.start.told.over.swap(false, Ordering::AcqRel) {
                    // It answers with its end, or it was another one's.
                    return Some((now, false));
                }
                let waited = self.wake.wait_timeout(state, OVER_WAIT);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            *held = Held::No;
            let due = state.pacer.next_due();
            let at_once = pacing == Pacing::Pushed && !state.slowed;
            if at_once || due <= now {
                return Some((now, std::mem::take(&mut state.refresh)));
            }
            state = self
                .wake
                .wait_timeout(state, due.since(now))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Whether the source was told that nobody looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nobody has looked: it starts meanwhile.
    NotYet,
    No,
    Yes,
}

enum Asked {
    Frame,
    Resized(Size),
    Nothing,
    Again(Duration),
    Over,
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}
