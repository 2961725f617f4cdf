//! What can be played: a list of [`App`]s, each of which opens sources for sessions.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use host::catalogue::Resize;
use host::confine::Attempts;
use media::{
    AudioSource, ByteSize, Clock, DeviceId, FrameRate, FrameSource, GraphicsMemory, InputSink,
    Layout, MOST_PADS, PadEffects, Rumble, Size, VoiceSink,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::booking::Booking;
use crate::http::hex;
use crate::saves::{GameSaves, Keep, Saves};
use crate::sharing::{Rules, Share};
use crate::wire;

/// Something that can be played.
pub trait App: Send + Sync {
    /// What the catalogue says of it.
    fn info(&self) -> AppInfo;

    /// Opens a source of its own for one session. Runs on that session's source thread and may take as
    /// long as loading takes; what waits for others looks at [`Start::cancel`] meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError>;

    /// The pictures that it has where nobody asks for others, as far as the node shows such; none where that is for the
    /// node to say (`video.width`, `height` and `fps`).
    fn usual(&self) -> Option<VideoMode> {
        None
    }

    /// The graphics device that draws its pictures, or converts them, where encoders of that device can
    /// read them in place; none where they cannot, and where pictures are made on the CPU.
    fn device(&self) -> Option<DeviceId>;

    /// Whether its pictures move by whole pixels ([`encoder::EncoderSettings::integer_motion`]).
    fn integer_motion(&self) -> bool {
        false
    }

    /// Whether its sources draw HDR10 when they are asked for it ([`media::PictureKind::HDR10`]).
    fn draws_hdr(&self) -> bool;

    /// Whether what it opens makes sound: clients are told before anything is opened.
    fn has_sound(&self) -> bool;

    /// The most channels that what it opens makes use of.
    fn most_channels(&self) -> Layout {
        Layout::Stereo
    }

    /// Whether what it opens listens to its player's microphone.
    fn takes_voice(&self) -> bool {
        false
    }

    /// What players keep of it; none where that is nothing.
    fn saves(&self) -> Option<Arc<GameSaves>>;

    /// What its sessions may share with their players' own machines; `None` where that is nothing, as of all that has neither
    /// clipboard nor files.
    fn shares(&self) -> Option<Rules> {
        None
    }

    /// What all of its kind have tried against their confinement; none where nothing is confined.
    fn attempts(&self) -> Option<Arc<Attempts>> {
        None
    }

    /// A still picture as JPEG, PNG or WebP; none where there is none. Slow where it is drawn.
    fn draw_poster(&self) -> Option<Vec<u8>>;

    /// What a session with such pictures is taken to need of cores and memory, coding not counted; `None` where
    /// neither is what bounds it: what is drawn here is bounded by the pixels that are coded.
    fn needs(&self, _video: VideoMode) -> Option<Needs> {
        None
    }

    /// What the graphics devices of its sessions have of memory now; of several, what the one with the least has. `None` where its
    /// sessions need none ([`Needs::graphics_memory`]), or no device tells. Asks drivers, which may keep it waiting.
    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        None
    }

    /// How it is started ahead of its players; none where it is not.
    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        None
    }
}

/// Starts an app ahead of its players.
pub trait Ahead: Send + Sync {
    /// How many are to be ready.
    fn wanted(&self) -> usize;

    /// What one takes while it starts; of that it holds the memory while it is ready.
    fn needs(&self) -> Needs;

    /// As [`App::graphics_memory`].
    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        None
    }

    /// Starts one and halts it, for pictures like these where a player was seen to want them, else for its usual ones.
    /// Takes as long as that takes, and looks at `cancel` meanwhile.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn prepare(
        &self,
        video: Option<VideoMode>,
        clock: &Arc<dyn Clock>,
        cancel: &CancellationToken,
    ) -> Result<Box<dyn Prepared>, String>;
}

/// An app that was started ahead. Dropping it ends it, and waits for that.
pub trait Prepared: Send {
    /// Whether it can be played with such pictures; else what is in the way, in a word.
    ///
    /// # Errors
    /// That word.
    fn fits(&self, video: VideoMode) -> Result<(), &'static str>;

    /// The size of the pictures that it was started for.
    fn began(&self) -> Size;

    /// Whether it has ended by itself.
    fn is_over(&self) -> bool;

    /// Ends it, and does not wait for that.
    fn kill(&self);

    /// Lets a player have it. As [`App::open`], which is called where this fails.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(
        self: Box<Self>,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        start: &Start,
    ) -> Result<Running, OpenError>;
}

/// What the catalogue says of an app.
#[derive(Debug, Clone)]
pub struct AppInfo {
    /// Short, for addresses.
    pub id: String,
    /// For people.
    pub title: String,
    /// One or two sentences.
    pub summary: String,
    /// What it is.
    pub kind: wire::EntryKind,
    /// What kind of game it is, where it is one.
    pub genre: Option<String>,
    /// Under which licences it may be hosted, where somebody says so.
    pub licence: Option<String>,
    /// What keys are to it.
    pub keyboard: wire::KeyboardMode,
    /// Whether there is a still picture.
    pub has_poster: bool,
    /// How to play it.
    pub controls: Vec<wire::ControlHint>,
    /// The screen that it can be given for the place that a client shows it in; none where that is no matter to it.
    pub screen: Option<ScreenInfo>,
    /// Why it cannot be played now.
    pub unavailable: Option<String>,
}

/// The screens that an app can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenInfo {
    /// The largest one that it can have on this node.
    pub largest: Size,
    /// What the app makes of another size while it runs.
    pub resize: Resize,
}

/// The picture that a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoMode {
    /// Coded size, even both ways.
    pub size: Size,
    /// Dots an inch that what is played is told of, where it asks.
    pub dpi: u32,
    /// Nominal frame rate.
    pub rate: FrameRate,
}

impl VideoMode {
    /// Dots an inch where nobody asked otherwise.
    pub const DPI: u32 = 96;
}

/// What belongs to one opening of an app.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What its screen is booked for as it is played; none where it keeps the size of its pictures. A source whose screen
    /// becomes larger by itself asks it how much it may show.
    pub booking: Option<Arc<Booking>>,
    /// How many channels its sound may have as it begins; the sound thread says when that changes.
    pub layout: Layout,
    /// Nobody wants it any more: whoever opens gives up with [`OpenError::Cancelled`].
    pub cancel: CancellationToken,
    /// What the session keeps, where it keeps something.
    pub keep: Option<Arc<Keep>>,
    /// What the session shares, where it shares something.
    pub share: Option<Arc<Share>>,
    /// What is waited for, told as it goes.
    pub step: watch::Sender<Option<wire::StartStep>>,
    /// What becomes known of it.
    pub told: Arc<Told>,
}

/// What becomes known of one opening of an app.
#[derive(Debug, Default)]
pub struct Told {
    /// How it began, of what may be started ahead.
    pub kind: OnceLock<wire::StartKind>,
    /// What it tries against its confinement, of what is confined.
    pub attempts: OnceLock<Arc<Attempts>>,
    /// It is over, by itself or not: its source says how, whether pictures are wanted of it or not. Taken by whoever asks it.
    pub over: AtomicBool,
}

/// What a session takes of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Time of cores per second.
    pub cpu: Duration,
    /// Whether that was measured; else it is the most that it is let have, of which a node may have less.
    pub measured: bool,
    /// Memory.
    pub memory: ByteSize,
    /// Memory of a graphics device.
    pub graphics_memory: ByteSize,
}

/// An opened app.
pub struct Running {
    /// Makes the pictures. Moves to the source thread.
    pub source: Box<dyn FrameSource>,
    /// Takes the input. Stays with the network task.
    pub input: Box<dyn InputSink>,
    /// Makes the sound, where [`App::has_sound`] says so. Moves to a thread of its own.
    pub sound: Option<Box<dyn AudioSource>>,
    /// What gamepads are to do, where it makes them do anything.
    pub rumble: Option<watch::Receiver<PadWishes>>,
    /// Where the player's voice goes, where [`App::takes_voice`] says so.
    pub voice: Option<Arc<dyn VoiceSink>>,
}

/// What a gamepad was told last to do, each with how often it was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct PadWish {
    /// To rumble.
    pub rumble: (u64, Rumble),
    /// To look and feel like this: all that it was told so far.
    pub effects: (u64, PadEffects),
}

/// That of each gamepad.
pub type PadWishes = [PadWish; MOST_PADS];

/// Why an app cannot be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What it shows is broken or missing.
    #[error("{0}")]
    Content(String),
    /// The graphics device is gone or too small.
    #[error("{0}")]
    Device(String),
    /// The session was over before it was open.
    #[error("it was stopped while it started")]
    Cancelled,
}

/// The catalogue: what is there for good, and games, which may be others while the node runs.
pub struct Apps {
    fixed: Vec<Arc<Entry>>,
    games: RwLock<Arc<[Arc<Entry>]>>,
    /// Of all games that there are, and that there were: sessions may still be of those.
    saves: OnceLock<Arc<Saves>>,
    attempts: OnceLock<Arc<Attempts>>,
}

/// One that is started ahead of its players.
pub(crate) struct StartedAhead {
    pub(crate) id: String,
    /// The app itself, which stays the same for as long as nothing of it changes.
    pub(crate) app: Arc<dyn App>,
    pub(crate) ahead: Arc<dyn Ahead>,
}

/// One app with what is kept of it.
pub struct Entry {
    /// The app.
    pub app: Arc<dyn App>,
    poster: Mutex<Option<Poster>>,
}

/// A still picture as it is sent.
#[derive(Debug, Clone)]
pub struct Poster {
    /// Its media type.
    pub media_type: &'static str,
    /// Names its content.
    pub tag: String,
    /// The file.
    pub bytes: axum::body::Bytes,
}

impl Poster {
    fn new(bytes: Vec<u8>) -> Self {
        let media_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [b'R', b'I', b'F', b'F', ..] => "image/webp",
            _ => "image/jpeg",
        };
        let tag = format!("\"{}\"", hex(&Sha256::digest(&bytes)[..16]));
        Self { media_type, tag, bytes: bytes.into() }
    }
}

impl Apps {
    /// A catalogue of these apps, in this order.
    pub fn new(apps: impl IntoIterator<Item = Arc<dyn App>>) -> Self {
        let catalogue = Self {
            fixed: apps.into_iter().map(Entry::of).collect(),
            games: RwLock::default(),
            saves: OnceLock::new(),
            attempts: OnceLock::new(),
        };
        catalogue.know_of_all();
        catalogue
    }

    /// From now on these are its games, behind what is there for good. Those that it has had keep what is kept of them.
    pub(crate) fn set_games(&self, games: impl IntoIterator<Item = Arc<dyn App>>) {
        let before = self.games();
        let entry = |app: Arc<dyn App>| {
            let same = before.iter().find(|entry| is_same(&entry.app, &app));
            same.cloned().unwrap_or_else(|| Entry::of(app))
        };
        let games = games.into_iter().map(entry).collect();
        // The list is exchanged whole.
        *self.games.write().unwrap_or_else(PoisonError::into_inner) = games;
        self.know_of_all();
    }

    /// What players keep of games that it had, where it has none that keeps anything.
    pub(crate) fn know_of_saves(&self, saves: Arc<Saves>) {
        // All games of a node have the same.
        self.saves.get_or_init(|| saves);
    }

    fn games(&self) -> Arc<[Arc<Entry>]> {
        self.games.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of now, in order.
    fn entries(&self) -> Vec<Arc<Entry>> {
        self.fixed.iter().chain(self.games().iter()).cloned().collect()
    }

    /// What all games have in common is known from the first that has it.
    fn know_of_all(&self) {
        for entry in self.entries() {
            if let Some(saves) = entry.app.saves() {
                self.saves.get_or_init(|| saves.all().clone());
            }
            if let Some(attempts) = entry.app.attempts() {
                self.attempts.get_or_init(|| attempts);
            }
        }
    }

    /// The app of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries().into_iter().find(|entry| entry.app.info().id == id)
    }

    /// Those that are started ahead of their players.
    pub(crate) fn ahead(&self) -> Vec<StartedAhead> {
        let ahead = |entry: &Arc<Entry>| {
            let app = entry.app.clone();
            let ahead = app.ahead()?;
            Some(StartedAhead { id: app.info().id, ahead, app })
        };
        self.entries().iter().filter_map(ahead).collect()
    }

    /// The saves of all of them.
    pub(crate) fn saves(&self) -> Option<Arc<Saves>> {
        self.saves.get().cloned()
    }

    /// What games have tried against their confinement: all share one.
    pub fn attempts(&self) -> Option<Arc<Attempts>> {
        self.attempts.get().cloned()
    }

    /// What the API says of entries that have each word of `words` in their title, genre or summary; `base` is the
    /// origin that addresses begin with.
    pub fn describe(&self, base: &str, words: &str) -> Vec<wire::CatalogueEntry> {
        let words = words.to_lowercase();
        let is_meant = |entry: &wire::CatalogueEntry| {
            let genre = entry.genre.as_deref().unwrap_or_default();
            let text = format!("{} {genre} {}", entry.title, entry.summary).to_lowercase();
            words.split_whitespace().all(|word| text.contains(word))
        };
        let describe = |entry: &Arc<Entry>| {
            let info = entry.app.info();
            wire::CatalogueEntry {
                poster_url: info
                    .has_poster
                    .then(|| format!("{base}/api/v1/catalogue/{}/poster", info.id)),
                id: info.id,
                title: info.title,
                summary: info.summary,
                kind: info.kind,
                genre: info.genre,
                licence: info.licence,
                keyboard: info.keyboard,
                controls: info.controls,
                unavailable: info.unavailable,
                saves: entry.app.saves().is_some(),
                microphone: entry.app.takes_voice(),
            }
        };
        self.entries().iter().map(describe).filter(is_meant).collect()
    }
}

/// Whether it is one and the same app.
pub(crate) fn is_same(one: &Arc<dyn App>, other: &Arc<dyn App>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl Entry {
    fn of(app: Arc<dyn App>) -> Arc<Self> {
        Arc::new(Self { app, poster: Mutex::default() })
    }

    /// The still picture, drawn at the first call that succeeds; one call draws while others wait.
    pub async fn poster(&self) -> Option<Poster> {
        let mut poster = self.poster.lock().await;
        if poster.is_none() {
            let app = self.app.clone();
            let drawn = tokio::task::spawn_blocking(move || app.draw_poster()).await;
            *poster = drawn.ok().flatten().map(Poster::new);
        }
        poster.clone()
    }
}
