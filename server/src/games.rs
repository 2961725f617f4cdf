//! Hosted games as apps: each session has a sandbox of its own with the game, its X server and its sound.

mod gamepads;
mod hosted;

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use host::catalogue::{self, Device, Entry, Missing, Values};
use host::confine::{
    self, Bind, Confinement, End, Exit, How, Limits, Network, Phase, Program, Sandbox, Spec,
    command,
};
use host::display::{Cookie, Display, XSource};
use host::sound::SoundServer;
use media::{
    ByteSize, Clock, Damage, DeviceId, FrameRequest, FrameSource, MediaTime, Size, SourceError,
    SourceEvent, SourceInfo, VoiceSink,
};
use tokio_util::sync::CancellationToken;

use crate::apps::{App, AppInfo, Needs, OpenError, Running, ScreenInfo, Start, VideoMode};
use crate::config::{self, Config};
use crate::meter::{Machine, Measured, Meter, Spent, thread_time};
use crate::saves::{GameSaves, Keep, Saves};
use crate::wire::{ControlHint, EntryKind, KeyboardMode, StartStep};

use gamepads::GameInput;
pub(crate) use hosted::Hosted;

/// Where a game sees its entry's folder.
const ENTRY: &str = "/game";
/// What the stop of a session waits for a game and its last state; what takes longer goes on beside it.
const STOP: Duration = Duration::from_secs(2);
/// A game that has drawn nothing for so long is shown as it is: a client waits no longer for a first picture than twelve
/// seconds in all.
const UNDRAWN: Duration = Duration::from_secs(6);

/// A start that waits looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// How often a picture is asked for while the game is being read.
const READ: Duration = Duration::from_millis(10);
/// Memory of this process for a session: threads, coder, connection, sound.
const OWN_MEMORY: u64 = 48 << 20;
/// Bytes of this process for each pixel of a display: three pictures in NV12, and two that mirror it.
const PIXEL_BYTES: u64 = 13;

/// Counts sandboxes, which need a name each.
static STARTED: AtomicU64 = AtomicU64::new(1);

/// The games of a node. What cannot be played is listed with the reason.
pub fn apps(config: &Config) -> Vec<Arc<dyn App>> {
    if config.games.folders.is_empty() {
        return Vec::new();
    }
    // Sandboxes show them by whole paths. What cannot be found is refused below, by the name that it was given.
    let whole = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let folders: Vec<_> = config.games.folders.iter().map(whole).collect();
    let (entries, refused) = host::catalogue::read(&folders);
    for refused in refused {
        tracing::warn!(%refused, "game not listed");
    }
    if entries.is_empty() {
        return Vec::new();
    }
    let saves = entries.iter().any(|entry| !entry.saves.is_empty()).then(|| Saves::open(config));
    let saves = saves.flatten();
    let confinement = find(&config.games).inspect_err(|reason| {
        tracing::warn!(reason, "no games can be played");
    });
    let app = |entry| -> Arc<dyn App> {
        let saves = saves.as_ref().and_then(|saves| GameSaves::of(saves, &entry));
        let (confinement, measured) = (confinement.clone(), Arc::default());
        Arc::new(GameApp { entry, confinement, saves, measured })
    };
    entries.into_iter().map(app).collect()
}

/// What games are confined by on this node, or why they are not played.
fn find(config: &config::Games) -> Result<Arc<Confinement>, String> {
    let found = Confinement::find(&confinement(config)?);
    let found = found.map_err(|missing| missing.to_string())?;
    tracing::info!(found = ?found.found(), "games are confined");
    Ok(Arc::new(found))
}

fn confinement(config: &config::Games) -> Result<confine::Config, String> {
    let run = match (config.run.as_os_str().is_empty(), rustix::process::geteuid().is_root()) {
        (false, _) => config.run.clone(),
        (true, true) => PathBuf::from("/run/nearlight"),
        (true, false) => std::env::var_os("XDG_RUNTIME_DIR")
            .map(|folder| PathBuf::from(folder).join("nearlight"))
            .ok_or("games.run names no folder, and there is no $XDG_RUNTIME_DIR")?,
    };
    Ok(confine::Config {
        run,
        bwrap: None,
        display: None,
        init: (!config.init.as_os_str().is_empty()).then(|| config.init.clone()),
        users: config.first_user..config.first_user.saturating_add(config.users),
        limits: true,
    })
}

/// What of hosting there is on this machine, in pairs of a name and "ok", what is found, or the reason why not.
pub(crate) fn checks(config: &config::Games) -> Vec<(String, String)> {
    let of_machine = confinement(config).map(|config| Confinement::checks(&config));
    let mut rows: Vec<_> = match of_machine {
        Ok(checks) => {
            let verdict = |check: &confine::Check| match &check.verdict {
                Ok(found) => found.clone(),
                Err(reason) => reason.clone(),
            };
            checks.iter().map(|check| (check.what.to_owned(), verdict(check))).collect()
        }
        Err(reason) => vec![("folder".to_owned(), reason)],
    };
    let (entries, refused) = host::catalogue::read(&config.folders);
    for entry in &entries {
        let missing = entry.missing().map_or_else(|| "ok".to_owned(), |why| why.to_string());
        rows.push((entry.id.as_str().to_owned(), missing));
    }
    rows.extend(refused.iter().map(|refused| ("not listed".to_owned(), refused.to_string())));
    rows
}

struct GameApp {
    entry: Entry,
    confinement: Result<Arc<Confinement>, String>,
    saves: Option<Arc<GameSaves>>,
    measured: Arc<Measured>,
}

impl App for GameApp {
    fn info(&self) -> AppInfo {
        let Entry { id, title, summary, genre, keyboard, controls, display, poster, .. } =
            &self.entry;
        let hint = |control: &catalogue::Control| ControlHint {
            input: control.input.clone(),
            action: control.action.clone(),
        };
        let confined = self.confinement.as_ref().err().cloned();
        AppInfo {
            id: id.as_str().to_owned(),
            title: title.clone(),
            summary: summary.clone(),
            kind: EntryKind::Game,
            genre: Some(genre.name().to_owned()),
            keyboard: match keyboard {
                catalogue::KeyboardMode::Places => KeyboardMode::Places,
                catalogue::KeyboardMode::Text => KeyboardMode::Text,
            },
            has_poster: poster.is_some(),
            controls: controls.iter().map(hint).collect(),
            screen: Some(ScreenInfo { largest: display.max_size, changes: display.resize }),
            unavailable: self
                .entry
                .missing()
                .map(|missing: Missing| missing.to_string())
                .or(confined),
        }
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError> {
        let confinement =
            self.confinement.as_ref().map_err(|why| OpenError::Content(why.clone()))?;
        let meter = Meter::new(self.measured.clone(), video);
        self::start(&self.entry, confinement, video, &clock, start, meter).map_err(|why| {
            if start.cancel.is_cancelled() {
                return OpenError::Cancelled;
            }
            tracing::warn!(why, "the game cannot be started");
            OpenError::Content(why)
        })
    }

    fn device(&self) -> Option<DeviceId> {
        None
    }

    fn draws_hdr(&self) -> bool {
        false
    }

    fn has_sound(&self) -> bool {
        true
    }

    fn takes_voice(&self) -> bool {
        self.entry.devices.contains(&Device::Microphone)
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        self.saves.clone()
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        self.entry.poster.as_ref().map(|poster| poster.bytes.clone())
    }

    fn needs(&self, video: VideoMode) -> Option<Needs> {
        let limits = self.entry.limits;
        let at_most = Duration::from_millis(limits.cpu_millis.into());
        // What is measured has the capture in it, which the limit has not.
        let unknown = || {
            let picture = host::display::conversion(video.size.pixels());
            at_most + picture.mul_f64(video.rate.as_f64())
        };
        let memory =
            limits.memory.0 + limits.home.0 + OWN_MEMORY + video.size.pixels() * PIXEL_BYTES;
        let usual = self.measured.usual(video);
        Some(Needs {
            cpu: usual.unwrap_or_else(unknown),
            measured: usual.is_some(),
            memory: ByteSize(memory),
        })
    }
}

fn start(
    entry: &Entry,
    confinement: &Confinement,
    video: VideoMode,
    clock: &Arc<dyn Clock>,
    start: &Start,
    meter: Meter,
) -> Result<Running, String> {
    if let Some(missing) = entry.missing() {
        return Err(missing.to_string());
    }
    let step = |step| start.step.send_replace(Some(step));
    let most = entry.display.max_size;
    if video.size.width > most.width || video.size.height > most.height {
        let (width, height) = (most.width, most.height);
        return Err(format!("{} is shown at {width}x{height} at most", entry.title));
    }
    let spec = spec(entry);
    step(StartStep::Sandbox);
    let sandbox =
        confinement.start(&spec, Box::new(|_| {})).map_err(|refused| refused.to_string())?;
    let hosted = Hosted::new(sandbox);
    let sandbox = hosted.sandbox();
    let name: String = format!("pulse-{}", spec.id).chars().take(15).collect();
    let sound = SoundServer::listen(&name, &sandbox.sound_folder().join("native"), clock.clone())
        .map_err(|error| format!("no sound: {error}"))?;
    let gamepads = gamepads::open(&spec, entry.gamepads, confinement, &hosted)?;
    let (gamepads, rumble) = gamepads.unzip();
    let limit = spec.patience.open + spec.patience.display;
    step(StartStep::Display);
    match wait(sandbox, limit, &start.cancel, |phase| {
        matches!(phase, Phase::Waiting | Phase::Ended(_))
    }) {
        Phase::Waiting => {}
        Phase::Ended(end) => return Err(end.how.to_string()),
        phase => return Err(format!("the display did not start in time: {phase:?}")),
    }
    step(StartStep::Game);
    let (Some(home), Some(socket)) = (sandbox.home(), sandbox.display()) else {
        return Err("the sandbox has no display".into());
    };
    let values = Values { size: video.size, rate: video.rate, home: command::HOME, entry: ENTRY };
    let files: Vec<_> =
        entry.files.iter().map(|file| (&file.path, file.contents.bytes(&values))).collect();
    host::home::put(home.as_fd(), &files).map_err(|error| error.to_string())?;
    // What the player saved wins over what the entry brings.
    let keep = start.keep.as_ref();
    let kept = keep.map(|keep| keep.restore(home.as_fd(), &start.cancel)).transpose()?;
    let mut display = Display::connect(&socket.path(), &Cookie::new(socket.cookie))
        .map_err(|error| error.to_string())?;
    display.set_size(video.size, video.dpi).map_err(|error| error.to_string())?;
    let inner = display.source(video.rate, clock.clone()).map_err(|error| error.to_string())?;
    let input = display.input(clock.now()).map_err(|error| error.to_string())?;
    let prefers_text = entry.keyboard == catalogue::KeyboardMode::Text;
    let input = GameInput { display: input, gamepads, prefers_text };
    let program = program(entry, &values)?;
    if let (Some(keep), Some(kept)) = (keep, kept) {
        keep.begin(&hosted, kept);
    }
    hosted.watch(keep.cloned()).map_err(|error| {
        if let Some(keep) = keep {
            keep.over();
        }
        format!("no thread for the end of the game: {error}")
    })?;
    sandbox.launch(program);
    step(StartStep::Picture);
    let sounds = sound.source();
    let listens = entry.devices.contains(&Device::Microphone);
    let voice = listens.then(|| Arc::new(sound.microphone()) as Arc<dyn VoiceSink>);
    Ok(Running {
        source: Box::new(GameSource {
            inner,
            drawn: Drawn::Not(clock.now() + UNDRAWN),
            screen: None,
            hosted,
            keep: keep.cloned(),
            display,
            _socket: socket,
            sound: Some(sound),
            meter,
        }),
        input: Box::new(input),
        sound: Some(Box::new(sounds)),
        rumble,
        voice,
    })
}

/// Waits until the phase is one that `is_wanted`, until the time is over, or until nobody wants it any more;
/// the phase then.
fn wait(
    sandbox: &Sandbox,
    limit: Duration,
    cancel: &CancellationToken,
    is_wanted: impl Fn(&Phase) -> bool,
) -> Phase {
    let mut left = limit;
    loop {
        let phase = sandbox.wait_until(left.min(LOOK), &is_wanted);
        left = left.saturating_sub(LOOK);
        if is_wanted(&phase) || left.is_zero() || cancel.is_cancelled() {
            return phase;
        }
    }
}

fn spec(entry: &Entry) -> Spec {
    let limits = entry.limits;
    let patience = confine::Patience { grace: entry.stop_grace, ..confine::Patience::default() };
    Spec {
        id: format!("{}-{}", entry.id.as_str(), STARTED.fetch_add(1, Ordering::Relaxed)),
        binds: vec![Bind { source: entry.folder.clone(), at: PathBuf::from(ENTRY) }],
        home: limits.home.0,
        network: if entry.internet { Network::Internet } else { Network::None },
        devices: Vec::new(),
        gamepads: entry.devices.contains(&Device::Gamepad),
        largest: entry.display.max_size,
        limits: Limits {
            cpu_millis: Some(limits.cpu_millis),
            memory: Some(limits.memory.0 + limits.home.0),
            processes: Some(limits.processes),
            ..Limits::default()
        },
        patience,
    }
}

fn program(entry: &Entry, values: &Values<'_>) -> Result<Program, String> {
    let found = entry.program.find().ok_or("its program is not there any more")?;
    Ok(Program {
        command: found.display().to_string(),
        args: entry.arguments.iter().map(|argument| argument.fill(values)).collect(),
        env: entry
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.fill(values)))
            .collect(),
        folder: None,
    })
}

/// Whether a game has drawn anything: until then its display shows nothing that is worth a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    /// It has not, and is waited for until then.
    Not(MediaTime),
    /// The display as it was before the game is known.
    Empty(MediaTime),
    /// It has, or took too long.
    Yes,
}

impl Drawn {
    /// Whether it is shown now whatever it shows.
    fn is_overdue(self, now: MediaTime) -> bool {
        matches!(self, Self::Not(limit) | Self::Empty(limit) if limit <= now)
    }

    /// Whether a picture of then is to be shown, in which something has changed or not.
    fn shows(&mut self, at: MediaTime, changed: bool) -> bool {
        *self = match *self {
            Self::Not(limit) | Self::Empty(limit) if limit <= at => Self::Yes,
            Self::Not(limit) => Self::Empty(limit),
            Self::Empty(_) if changed => Self::Yes,
            same => same,
        };
        *self == Self::Yes
    }
}

/// The pictures of a game, which ends with them.
struct GameSource {
    inner: XSource,
    drawn: Drawn,
    /// The size that its screen is to have, and its dots an inch.
    screen: Option<(Size, u32)>,
    hosted: Arc<Hosted>,
    /// What is kept of it.
    keep: Option<Arc<Keep>>,
    display: Display,
    /// Keeps the path of the display alive.
    _socket: confine::Display,
    sound: Option<SoundServer>,
    meter: Meter,
}

impl GameSource {
    /// The end of the game, told by it or by its display.
    fn end(&self, limit: Duration) -> Option<Result<SourceEvent, SourceError>> {
        let End { how, .. } = self.hosted.ended(limit)?;
        let said = self.hosted.sandbox().said();
        tracing::info!(%how, "the game is over");
        match how {
            How::Exited(Exit::Code(0)) | How::Stopped => Some(Ok(SourceEvent::Ended)),
            how => {
                let last = said.last().map(|line| format!(": {line}")).unwrap_or_default();
                Some(Err(SourceError::Failed(format!("{how}{last}"))))
            }
        }
    }
}

impl FrameSource for GameSource {
    fn info(&self) -> SourceInfo {
        self.inner.info()
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        if let Some(end) = self.end(Duration::ZERO) {
            return end;
        }
        let Some(display) = self.hosted.display() else {
            // It stands still to be saved, and so does its picture.
            self.meter.pause();
            std::thread::sleep(request.within.min(READ));
            return Ok(SourceEvent::Unchanged);
        };
        let spent = || {
            let session = self.hosted.sandbox().usage().cpu? + thread_time();
            Some(Spent { session, machine: Machine::now()? })
        };
        self.meter.look(Instant::now(), spent);
        if let Some((size, dpi)) = self.screen.take()
            && let Err(error) = self.display.set_size(size, dpi)
        {
            tracing::warn!(%error, "the game keeps the size that it has");
        }
        let refresh = request.refresh || self.drawn.is_overdue(request.at);
        let answer = self.inner.next(&FrameRequest { refresh, ..request.clone() });
        drop(display);
        match answer {
            Ok(SourceEvent::Frame(frame))
                if !self.drawn.shows(frame.captured_at, frame.damage != Damage::none()) =>
            {
                Ok(SourceEvent::Unchanged)
            }
            // The display goes with the game: what became of that says more.
            answer @ (Ok(SourceEvent::Ended) | Err(SourceError::Failed(_))) => {
                self.end(STOP).unwrap_or(answer)
            }
            answer => answer,
        }
    }

    fn resize(&mut self, size: Size) -> Size {
        self.inner.resize(size)
    }

    fn set_screen(&mut self, size: Size, dpi: u32) {
        // Once it is there to be asked.
        self.screen = Some((size, dpi));
    }

    fn set_held(&mut self, held: bool) {
        self.meter.pause();
        self.hosted.set_held(held);
    }
}

impl Drop for GameSource {
    fn drop(&mut self) {
        drop(self.sound.take());
        if let Some(keep) = &self.keep {
            keep.ending();
        }
        self.hosted.sandbox().stop();
        self.hosted.wait_over(STOP);
    }
}

#[cfg(test)]
mod tests;
