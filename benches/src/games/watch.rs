//! Looks at the pictures of hosted games on their way from the display to the encoder, after capture and conversion
//! and before anything is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{
    Clock, CpuImage, DeviceId, Frame, FrameId, FrameRequest, FrameSource, GraphicsMemory, Size,
    SourceError, SourceEvent, SourceInfo,
};
use server::apps::{Ahead, App, AppInfo, Needs, OpenError, Prepared, Running, Start, VideoMode};
use server::saves::GameSaves;
use tokio_util::sync::CancellationToken;

use super::stamp::Stamp;

/// A picture that was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) frame: FrameId,
    /// What the painter says with it.
    pub(crate) stamp: Option<Stamp>,
    /// Whether it shows anything: a display that nobody drew on has one colour.
    pub(crate) drawn: bool,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// Pictures that are still to be kept, and those that were, NV12 without padding.
    wanted: usize,
    kept: Vec<Vec<u8>>,
}

/// What all sessions of an app were seen to show. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<State>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was seen since this was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock().seen)
    }

    /// Keeps copies of the next pictures.
    pub(crate) fn keep(&self, pictures: usize) {
        let mut state = self.lock();
        (state.wanted, state.kept) = (pictures, Vec::with_capacity(pictures));
    }

    /// The pictures that were kept.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        state.wanted = 0;
        std::mem::take(&mut state.kept)
    }

    fn see(&self, frame: &mut Frame, clock: &dyn Clock) {
        // The display's pictures are complete: this only says so.
        if frame.image.finish(clock, &mut frame.stages).is_err() {
            return;
        }
        let Ok(image) = frame.image.map() else { return };
        let Some(luma) = image.planes.first() else { return };
        let stamp = Stamp::read(luma.data, luma.stride);
        let mut some = luma.data.iter().step_by(101);
        let first = some.next();
        let drawn = some.any(|luma| Some(luma) != first);
        let mut state = self.lock();
        state.seen.push(Seen { frame: frame.id, stamp, drawn });
        if state.wanted > 0 && stamp.is_some() {
            state.wanted -= 1;
            state.kept.push(packed(&image));
        }
    }
}

fn packed(image: &CpuImage<'_>) -> Vec<u8> {
    let row = image.size.width as usize;
    let rows = image.planes.iter().flat_map(|plane| plane.data.chunks(plane.stride));
    rows.flat_map(|line| &line[..row]).copied().collect()
}

/// A game that is watched.
pub(crate) struct Watched {
    game: Arc<dyn App>,
    log: Log,
}

impl Watched {
    pub(crate) fn new(game: Arc<dyn App>, log: Log) -> Self {
        Self { game, log }
    }
}

impl App for Watched {
    fn info(&self) -> AppInfo {
        self.game.info()
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError> {
        let running = self.game.open(video, clock.clone(), start)?;
        let source = Watching { source: running.source, clock, log: self.log.clone() };
        Ok(Running { source: Box::new(source), ..running })
    }

    fn usual(&self) -> Option<VideoMode> {
        self.game.usual()
    }

    fn device(&self) -> Option<DeviceId> {
        self.game.device()
    }

    fn integer_motion(&self) -> bool {
        self.game.integer_motion()
    }

    fn draws_hdr(&self) -> bool {
        self.game.draws_hdr()
    }

    fn has_sound(&self) -> bool {
        self.game.has_sound()
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        self.game.saves()
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        self.game.draw_poster()
    }

    fn needs(&self, video: VideoMode) -> Option<Needs> {
        self.game.needs(video)
    }

    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        self.game.graphics_memory()
    }

    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        let (game, log) = (self.game.ahead()?, self.log.clone());
        Some(Arc::new(WatchedAhead { game, log }))
    }
}

/// The same of one that is started ahead.
struct WatchedAhead {
    game: Arc<dyn Ahead>,
    log: Log,
}

impl Ahead for WatchedAhead {
    fn wanted(&self) -> usize {
        self.game.wanted()
    }

    fn needs(&self) -> Needs {
        self.game.needs()
    }

    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        self.game.graphics_memory()
    }

    fn prepare(
        &self,
        video: Option<VideoMode>,
        clock: &Arc<dyn Clock>,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Prepared>, String> {
        let game = self.game.prepare(video, clock, cancel)?;
        Ok(Box::new(WatchedPrepared { game, log: self.log.clone() }))
    }
}

struct WatchedPrepared {
    game: Box<dyn Prepared>,
    log: Log,
}

impl Prepared for WatchedPrepared {
    fn fits(&self, video: VideoMode) -> Result<(), &'static str> {
        self.game.fits(video)
    }

    fn began(&self) -> Size {
        self.game.began()
    }

    fn is_over(&self) -> bool {
        self.game.is_over()
    }

    fn kill(&self) {
        self.game.kill();
    }

    fn open(
        self: Box<Self>,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError> {
        let Self { game, log } = *self;
        let running = game.open(video, clock.clone(), start)?;
        let source = Watching { source: running.source, clock, log };
        Ok(Running { source: Box::new(source), ..running })
    }
}

struct Watching {
    source: Box<dyn FrameSource>,
    clock: Arc<dyn Clock>,
    log: Log,
}

impl FrameSource for Watching {
    fn info(&self) -> SourceInfo {
        self.source.info()
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let mut event = self.source.next(request)?;
        if let SourceEvent::Frame(frame) = &mut event {
            self.log.see(frame, self.clock.as_ref());
        }
        Ok(event)
    }

    fn resize(&mut self, size: Size) -> Size {
        self.source.resize(size)
    }

    fn set_held(&mut self, held: bool) {
        self.source.set_held(held);
    }
}
