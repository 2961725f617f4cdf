//! Games that are started ahead of their players: each runs until it has drawn and settled, is halted by what also halts it
//! while nobody looks, and is played once.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use host::catalogue::Resize;
use host::confine::Phase;
use host::saves::State;
use media::{
    ByteSize, Clock, Damage, FrameId, FrameRequest, FrameSource, GraphicsMemory, PictureKind, Size,
    SourceEvent,
};
use session::ahead::Settling;
use tokio_util::sync::CancellationToken;

use super::GameApp;
use super::source::Drawn;
use super::start::{Begun, Played, Wanted, Written, begin, play};
use crate::apps::{Ahead, Needs, OpenError, Prepared, Running, Start, VideoMode};
use crate::drive::screen;
use crate::meter::Meter;
use crate::saves::Keep;

/// How long a game may take to draw anything when nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at while it settles.
const LOOK: Duration = Duration::from_millis(50);

/// A game that stands still until somebody plays it.
struct Warm {
    app: GameApp,
    begun: Begun,
    /// What it was started for.
    video: VideoMode,
    /// What lay at the game's paths before it began; none where it keeps nothing.
    state: Option<State>,
}

impl Ahead for GameApp {
    fn wanted(&self) -> usize {
        self.entry.warm.into()
    }

    fn needs(&self) -> Needs {
        let limits = self.entry.limits;
        let usual = self.measured.usual(self.video());
        let cpu = usual.unwrap_or(Duration::from_millis(limits.cpu_millis.into()));
        // What this process takes for a session comes with that.
        let memory = ByteSize(limits.memory.0 + limits.home.0);
        let graphics_memory = self.needs_graphics_memory();
        Needs { cpu, measured: usual.is_some(), memory, graphics_memory }
    }

    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        self.free_graphics_memory()
    }

    fn prepare(
        &self,
        video: Option<VideoMode>,
        clock: &Arc<dyn Clock>,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Prepared>, String> {
        let host = self.host.as_deref().map_err(Clone::clone)?;
        let video = video.unwrap_or_else(|| self.video());
        let display = self.entry.display;
        // Who plays it may let it grow, or not.
        let largest = match display.resize {
            Resize::Never => video.size,
            Resize::Any | Resize::SameShape => display.max_size,
        };
        let wanted = Wanted { entry: &self.entry, host, video, largest, clock, cancel };
        let state =
            |home: BorrowedFd<'_>| self.saves.as_ref().map(|saves| saves.state(home)).transpose();
        let (begun, state) = begin(&wanted, |_| {}, state)?;
        settle(&wanted, &begun)?;
        begun.hosted.set_held(true);
        match begun.hosted.obeyed(|phase| !matches!(phase, Phase::Running | Phase::Starting(_))) {
            Phase::Suspended => {}
            Phase::Ended(end) => return Err(end.how.to_string()),
            _ => return Err("its processes cannot be halted".into()),
        }
        Ok(Box::new(Warm { app: self.clone(), begun, video, state }))
    }
}

/// Launches the game and waits until it has drawn and settled.
fn settle(wanted: &Wanted<'_>, begun: &Begun) -> Result<(), String> {
    let Wanted { entry, video, clock, cancel, .. } = *wanted;
    // It is captured anew for its player.
    let source = begun.display.source(video.rate, clock.clone(), None);
    let mut source = source.map_err(|error| error.to_string())?;
    let mut drawn = Drawn::Not(clock.now() + PATIENCE);
    // The display as it is before the game: one that draws once and stands still must not be taken for that.
    while matches!(drawn, Drawn::Not(_)) && !cancel.is_cancelled() {
        drew(&mut *source, &mut drawn, clock.as_ref())?;
    }
    let game = begun.hosted.game();
    game.launch(begun.written.program.clone());
    let mut settling = Settling::new(clock.now(), PATIENCE, entry.warm_settle);
    while !settling.look(clock.now()).map_err(|_| "it draws nothing")? {
        if cancel.is_cancelled() {
            return Err("it is not wanted any more".into());
        }
        if let Phase::Ended(end) = game.phase() {
            let last = game.said().last().map(|line| format!(": {line}")).unwrap_or_default();
            return Err(format!("{}{last}", end.how));
        }
        if settling.has_drawn() {
            sleep(LOOK);
        } else if drew(&mut *source, &mut drawn, clock.as_ref())? {
            settling.drew(clock.now());
        }
    }
    Ok(())
}

/// Whether the game has drawn by the next picture.
fn drew(
    source: &mut dyn FrameSource,
    drawn: &mut Drawn,
    clock: &dyn Clock,
) -> Result<bool, String> {
    let (id, at, views) = (FrameId::default(), clock.now(), &[]);
    let (refresh, share, kind) = (false, false, PictureKind::NV12);
    let request = FrameRequest { id, at, within: LOOK, views, refresh, share, kind };
    match source.next(&request).map_err(|error| error.to_string())? {
        SourceEvent::Frame(frame) => {
            Ok(drawn.shows(frame.captured_at, frame.damage != Damage::none()))
        }
        SourceEvent::Ended => Err("its display has ended".into()),
        _ => Ok(false),
    }
}

impl Prepared for Warm {
    fn fits(&self, video: VideoMode) -> Result<(), &'static str> {
        let entry = &self.app.entry;
        let fits = match entry.display.resize {
            Resize::Any => true,
            Resize::Never => video.size == self.video.size,
            Resize::SameShape => screen::has_shape(video.size, self.video.size),
        };
        if !fits {
            return Err("size");
        }
        // It was started for other pictures: the same program would have to be run.
        let asked = VideoMode { size: self.video.size, ..video };
        match Written::new(entry, asked) {
            Ok(written) if written == self.begun.written => Ok(()),
            _ => Err("rate"),
        }
    }

    fn began(&self) -> Size {
        self.video.size
    }

    fn is_over(&self) -> bool {
        matches!(self.begun.hosted.game().phase(), Phase::Ended(_) | Phase::Stopping)
    }

    fn kill(&self) {
        self.begun.hosted.kill();
    }

    fn open(
        self: Box<Self>,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError> {
        let Self { app, mut begun, video: had, state } = *self;
        let content = OpenError::Content;
        let keep = start.keep.clone().zip(state);
        if let Some((keep, _)) = &keep
            && !begins_afresh(keep).map_err(content)?
        {
            return Err(content("its player has saved something by now".into()));
        }
        begun.hosted.set_held(false);
        match begun.hosted.obeyed(|phase| *phase != Phase::Suspended) {
            Phase::Running => {}
            Phase::Ended(end) => return Err(content(end.how.to_string())),
            phase => return Err(content(format!("it does not go on: {phase:?}"))),
        }
        if video != had {
            begun.display.set_rate(video.rate);
            let sized = begun.display.set_size(video.size, video.dpi);
            sized.map_err(|error| content(error.to_string()))?;
        }
        let meter = Meter::new(app.measured.clone(), video);
        let (share, booking) = (start.share.clone(), start.booking.clone());
        let (clock, drawn, layout) = (&clock, Drawn::Yes, start.layout);
        let told = start.told.clone();
        let convert = app.converter();
        let played =
            Played { video, booking, layout, clock, keep, share, told, drawn, meter, convert };
        let attempts = begun.hosted.game().attempts().clone();
        let running = play(begun, played, |_, _| {}).map_err(content)?;
        // One that cannot be played is started anew, with its own.
        _ = start.told.attempts.set(attempts);
        Ok(running)
    }
}

fn begins_afresh(keep: &Keep) -> Result<bool, String> {
    keep.begins_afresh().map_err(|error| error.to_string())
}
