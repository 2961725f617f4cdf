//! Hosted games as apps, by a [`Host`]: each session has a sandbox of its own with the game, its X server and its sound.

mod ahead;
mod convert;
mod gamepads;
mod hosted;
mod library;
mod source;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::catalogue::{self, Device, Entry, Missing, TouchMode, Values};
use host::confine::{self, Attempts, Bind, Input, Limits, Network, Program, Server, Spec};
use host::devices::Kernel;
use host::{Host, Offers};
use media::{ByteSize, Clock, Convert, DeviceId, GraphicsMemory, Layout, Size};
use render::captured::CaptureStage;

use crate::apps::{Ahead, App, AppInfo, Needs, OpenError, Running, ScreenInfo, Start, VideoMode};
use crate::config::{self, Config};
use crate::meter::{Measured, Meter};
use crate::saves::GameSaves;
use crate::sharing::Rules;
use crate::wire::{ControlHint, EntryKind, KeyboardMode};

pub(crate) use convert::verdict as conversion;
pub(crate) use hosted::Hosted;
pub use library::{Library, Looked};

/// Where a game sees its entry's folder.
const ENTRY: &str = "/game";
/// Memory of this process for a session: threads, coder, connection, sound.
const OWN_MEMORY: u64 = 48 << 20;
/// Bytes of this process for each pixel of a display: three pictures in NV12, and two that mirror it.
const PIXEL_BYTES: u64 = 13;

/// Counts sandboxes, which need a name each.
static STARTED: AtomicU64 = AtomicU64::new(1);

/// The games of a node, as its folders have them now. What cannot be played is listed with the reason.
pub fn apps(config: &Config) -> Vec<Arc<dyn App>> {
    Library::new(config).look().0
}

/// The same where devices are made by another kernel than this machine's.
pub fn apps_on(config: &Config, kernel: Arc<dyn Kernel>) -> Vec<Arc<dyn App>> {
    Library::on(config, kernel).look().0
}

/// What of hosting there is on this machine, in pairs of a name and "ok", what is found, or the reason why not.
pub(crate) fn checks(config: &config::Games) -> Vec<(String, String)> {
    let mut rows: Vec<_> = match library::checks(config) {
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
        let missing = entry.missing().map(|why| why.to_string()).or_else(|| entry.unfit());
        rows.push((entry.id.as_str().to_owned(), missing.unwrap_or_else(|| "ok".to_owned())));
    }
    rows.extend(refused.iter().map(|refused| ("not listed".to_owned(), refused.to_string())));
    let warm: Vec<_> = entries.iter().filter(|entry| entry.warm > 0).collect();
    let warm: Vec<_> = warm.iter().map(|entry| format!("{} {}", entry.warm, entry.id)).collect();
    let verdict = match (warm.is_empty(), config.max_warm) {
        (true, _) => "none: no entry asks for it (warm)".to_owned(),
        (false, 0) => format!("none of {}: games.max_warm is 0", warm.join(", ")),
        (false, most) => format!("ok, {}, {most} in all at most", warm.join(", ")),
    };
    rows.push(("started ahead".to_owned(), verdict));
    rows
}

#[derive(Clone)]
struct GameApp {
    entry: Arc<Entry>,
    host: Result<Arc<dyn Host>, String>,
    saves: Option<Arc<GameSaves>>,
    shares: Option<Rules>,
    measured: Arc<Measured>,
    /// Gamepads and pens must be devices of the kernel.
    needs_devices: bool,
    /// What converts its pictures, where the processor does not.
    convert: Option<Arc<CaptureStage>>,
}

impl App for GameApp {
    fn info(&self) -> AppInfo {
        let Entry {
            id, title, summary, genre, licence, keyboard, controls, display, poster, ..
        } = &*self.entry;
        let hint = |control: &catalogue::Control| ControlHint {
            input: control.input.clone(),
            action: control.action.clone(),
        };
        let confined = match &self.host {
            Ok(host) => lacks(&self.entry, host.offers(), self.needs_devices),
            Err(why) => Some(why.clone()),
        };
        AppInfo {
            id: id.as_str().to_owned(),
            title: title.clone(),
            summary: summary.clone(),
            kind: EntryKind::Game,
            genre: Some(genre.name().to_owned()),
            licence: Some(licence.clone()),
            keyboard: match keyboard {
                catalogue::KeyboardMode::Places => KeyboardMode::Places,
                catalogue::KeyboardMode::Text => KeyboardMode::Text,
            },
            has_poster: poster.is_some(),
            controls: controls.iter().map(hint).collect(),
            screen: Some(ScreenInfo { largest: display.max_size, resize: display.resize }),
            unavailable: self
                .entry
                .missing()
                .map(|missing: Missing| missing.to_string())
                .or_else(|| self.entry.unfit())
                .or(confined),
        }
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError> {
        let host = self.host.as_deref().map_err(|why| OpenError::Content(why.clone()))?;
        let meter = Meter::new(self.measured.clone(), video);
        let convert = self.converter();
        start::start(&self.entry, host, video, &clock, start, meter, convert).map_err(|why| {
            if start.cancel.is_cancelled() {
                return OpenError::Cancelled;
            }
            tracing::warn!(why, "the game cannot be started");
            OpenError::Content(why)
        })
    }

    fn usual(&self) -> Option<VideoMode> {
        Some(self.video())
    }

    fn device(&self) -> Option<DeviceId> {
        self.convert.as_ref()?.device_id()
    }

    fn integer_motion(&self) -> bool {
        self.entry.display.integer_motion
    }

    fn draws_hdr(&self) -> bool {
        false
    }

    fn has_sound(&self) -> bool {
        true
    }

    fn most_channels(&self) -> Layout {
        self.entry.channels
    }

    fn takes_voice(&self) -> bool {
        listens(&self.entry)
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        self.saves.clone()
    }

    fn shares(&self) -> Option<Rules> {
        self.shares.clone()
    }

    fn attempts(&self) -> Option<Arc<Attempts>> {
        self.host.as_ref().ok().map(|host| host.attempts().clone())
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
        // It may be played for long before it is as large as this for the first time.
        let grown = self.measured.grown(video).filter(|grown| *grown < unknown());
        let known = usual.or(grown);
        Some(Needs {
            cpu: known.unwrap_or_else(unknown),
            measured: known.is_some(),
            memory: ByteSize(memory),
            graphics_memory: self.needs_graphics_memory(),
        })
    }

    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        self.free_graphics_memory()
    }

    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        let can = self.entry.warm > 0 && self.host.is_ok();
        can.then(|| Arc::new(self.clone()) as Arc<dyn Ahead>)
    }
}

impl GameApp {
    /// The pictures that its entry says.
    fn video(&self) -> VideoMode {
        let display = self.entry.display;
        VideoMode { size: display.size, rate: display.rate, dpi: VideoMode::DPI }
    }

    /// What converts the pictures of one session, where the processor does not. A device that was lost is opened anew.
    fn converter(&self) -> Option<Box<dyn Convert>> {
        let opened = self.convert.as_ref()?.open();
        let opened = opened.inspect_err(|reason| {
            tracing::warn!(reason, "captured pictures are converted on the processor");
        });
        opened.ok()
    }

    /// What a session is booked for of a graphics device's memory: none where games have no such device here.
    fn needs_graphics_memory(&self) -> ByteSize {
        match &self.host {
            Ok(host) if !host.offers().gpu.is_empty() => self.entry.limits.gpu_memory,
            _ => ByteSize::default(),
        }
    }

    /// See [`App::graphics_memory`].
    fn free_graphics_memory(&self) -> Option<GraphicsMemory> {
        let host = self.host.as_ref().ok()?;
        let needs_any = self.needs_graphics_memory() > ByteSize::default();
        needs_any.then(|| host.graphics_memory()).flatten()
    }
}

/// What this machine lacks of what the entry cannot do without.
fn lacks(entry: &Entry, offers: &Offers, needs_devices: bool) -> Option<String> {
    let internet = offers.internet.as_ref().err().filter(|_| entry.internet);
    let xorg = offers.xorg.as_ref().err().filter(|_| server(entry) == Server::Xorg);
    let devices = offers.devices.as_ref().err();
    let devices = devices.filter(|_| needs_devices && plays_by_devices(entry));
    internet
        .map(|why| format!("it needs the internet, which games cannot have here: {why}"))
        .or_else(|| {
            xorg.map(|why| format!("it is played with several fingers, which needs Xorg: {why}"))
        })
        .or_else(|| devices.map(|why| format!("games.devices wants uinput: {why}")))
}

/// Whether gamepads or pens are anything to it.
fn plays_by_devices(entry: &Entry) -> bool {
    entry.devices.contains(&Device::Gamepad) || draws(entry)
}

fn draws(entry: &Entry) -> bool {
    entry.devices.contains(&Device::Pen)
}

/// What of input it finds in its `/dev/input`: the best that there is.
fn input(entry: &Entry, host: &dyn Host) -> Input {
    match (host.devices(), &host.offers().joystick) {
        (Some(_), _) if plays_by_devices(entry) => Input::Devices,
        (None, Ok(_)) if entry.devices.contains(&Device::Gamepad) => Input::Sockets,
        _ => Input::None,
    }
}

fn server(entry: &Entry) -> Server {
    match entry.touch {
        TouchMode::Single => Server::Xvfb,
        TouchMode::Multi => Server::Xorg,
    }
}

fn listens(entry: &Entry) -> bool {
    entry.devices.contains(&Device::Microphone)
}

/// A game that makes use of a graphics device has those that games may have here, and a screen that can become as large as
/// `largest`, whatever makes it so.
fn spec(entry: &Entry, host: &dyn Host, largest: Size) -> Spec {
    let gpu = &host.offers().gpu;
    let limits = entry.limits;
    let patience = confine::Patience { grace: entry.stop_grace, ..confine::Patience::default() };
    Spec {
        id: format!("{}-{}", entry.id.as_str(), STARTED.fetch_add(1, Ordering::Relaxed)),
        binds: vec![Bind { source: entry.folder.clone(), at: PathBuf::from(ENTRY) }],
        home: limits.home.0,
        network: if entry.internet { Network::Internet } else { Network::None },
        devices: if entry.devices.contains(&Device::Gpu) { gpu.clone() } else { Vec::new() },
        input: input(entry, host),
        server: server(entry),
        largest,
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

#[cfg(test)]
mod tests;
