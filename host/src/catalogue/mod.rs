//! Entries of the catalogue: one folder a game, `ID/game.toml` with what belongs to it.
//!
//! The folder's name is the id. `game.toml` is strict: a key that is not known, of the wrong type or with a
//! value that cannot be, refuses the entry, and each problem is told with its key; other entries are not
//! touched by it. Nothing that an entry names is read from outside its folder, and symbolic links are
//! not followed. No shell is ever between an entry and its program: arguments are what they say.
//!
//! `docs/games.md` has every key.

mod check;
mod environment;
mod file;
mod install;
mod read;
mod sharing;
mod template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use media::{ByteSize, FrameRate, Layout, Size};
use serde::Deserialize;

pub use install::{COMMAND_FOLDERS, Missing, Program, Required, Requirement};
pub use read::read;
pub use sharing::{ClipboardWays, FileWays, Sharing, Ways};
pub use template::{Template, Values};

use crate::saves::HomePath;

/// The name of an entry: up to 40 of `a` to `z`, `0` to `9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GameId(Box<str>);

impl GameId {
    /// Checks `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ((1..=40).contains(&text.len()) && text.chars().all(plain)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A game that can be hosted, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The folder's name.
    pub id: GameId,
    /// Its folder, which the game sees read-only.
    pub folder: PathBuf,
    /// For people.
    pub title: String,
    /// One or two sentences for people.
    pub summary: String,
    /// What kind of game it is.
    pub genre: Genre,
    /// For people: under which licences the game may be hosted.
    pub licence: String,
    /// The program.
    pub program: Program,
    /// Its arguments, without its own name.
    pub arguments: Vec<Template>,
    /// Variables beyond those that the node sets.
    pub environment: Vec<(String, Template)>,
    /// What must be installed, the program first.
    pub requires: Vec<Requirement>,
    /// The display.
    pub display: DisplayMode,
    /// What it may use.
    pub limits: Limits,
    /// Whether it may reach the network.
    pub internet: bool,
    /// Devices that it makes use of.
    pub devices: Vec<Device>,
    /// The most channels of its sound, where its player has as many.
    pub channels: Layout,
    /// What keys are to it.
    pub keyboard: KeyboardMode,
    /// What fingers are to it.
    pub touch: TouchMode,
    /// Gamepads that are there from the start and stay, whether the player has them or not: for games that look for
    /// them only then.
    pub gamepads: u8,
    /// Files or folders that are kept; none lies within another.
    pub saves: Vec<HomePath>,
    /// Files that are put into the home before saves are restored.
    pub files: Vec<HomeFile>,
    /// What it shares with the player's own machine.
    pub sharing: Sharing,
    /// How to play it.
    pub controls: Vec<Control>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// How many are started ahead of their players and kept halted.
    pub warm: u8,
    /// What each runs for once it has drawn, before it is halted.
    pub warm_settle: Duration,
    /// Its picture.
    pub poster: Option<Poster>,
}

impl Entry {
    /// What is not installed now; none where it can be played.
    pub fn missing(&self) -> Option<Missing> {
        let missing: Vec<_> = self.requires.iter().filter(|each| !each.what.is_there()).collect();
        let mut packages: Vec<_> = missing
            .iter()
            .map(|each| each.package.clone())
            .filter(|package| !package.is_empty())
            .collect();
        packages.sort();
        packages.dedup();
        let what: Vec<_> = missing.into_iter().map(|each| each.what.clone()).collect();
        (!what.is_empty()).then_some(Missing { what, packages })
    }

    /// Why its program, which is there, cannot run in a sandbox.
    pub fn unfit(&self) -> Option<String> {
        let program = self.program.find().filter(|path| install::is_32_bit(path))?;
        let name = program.display();
        Some(format!("{name} is a 32-bit program, and games here are of 64 bits alone"))
    }
}

/// What kind of game an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Genre {
    Action,
    Adventure,
    Arcade,
    Desktop,
    Puzzle,
    Racing,
    RolePlaying,
    Shooter,
    Simulation,
    Sport,
    Strategy,
}

impl Genre {
    /// As it stands in `game.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Adventure => "adventure",
            Self::Arcade => "arcade",
            Self::Desktop => "desktop",
            Self::Puzzle => "puzzle",
            Self::Racing => "racing",
            Self::RolePlaying => "role-playing",
            Self::Shooter => "shooter",
            Self::Simulation => "simulation",
            Self::Sport => "sport",
            Self::Strategy => "strategy",
        }
    }
}

/// A device that an entry makes use of; it gets it where the node has it and allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// A GPU's render node.
    Gpu,
    /// Gamepads.
    Gamepad,
    /// A pen tablet with pressure and tilt, where the node makes devices. Programs see it in `/dev/input` alone: to the display
    /// a pen is the pointer.
    Pen,
    /// The player's microphone (PulseAudio's source `nearlight.microphone`), when the player allows it. Without it the same
    /// source is there and silent.
    Microphone,
}

/// What the page should make of keys, until the player chooses otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyboardMode {
    /// Places: what is played with `W A S D` is played with the same fingers on every keyboard.
    #[default]
    Places,
    /// Text as the player's own keyboard makes it; all other keys are places.
    Text,
}

/// What fingers are to it, and with them the wheel and pens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TouchMode {
    /// One finger is the pointer with its main button, the wheel turns by whole notches, and a pen is the pointer, too.
    #[default]
    Single,
    /// Each of up to ten fingers is one (XInput 2.2), the wheel turns as finely as the player's, and a pen presses. Its display is
    /// Xorg's, which the node must have installed.
    Multi,
}

/// What the page should do with the pointer, until the player chooses otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointerMode {
    /// Send where it is.
    Absolute,
    /// Lock it and send how it moves.
    Relative,
}

/// What an entry makes of another size of its display while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Nothing: it keeps the size that it began with.
    Never,
    /// It draws in any.
    Any,
    /// It draws in any of the shape (width to height) that it began with.
    SameShape,
}

/// The display that an entry starts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisplayMode {
    /// Size at the start.
    pub size: Size,
    /// The largest that it can be given.
    pub max_size: Size,
    /// What it makes of another size while it runs.
    pub resize: Resize,
    /// Nominal frame rate.
    pub rate: FrameRate,
    /// Whether what it shows moves by whole pixels: encoders need not look for other motion.
    pub integer_motion: bool,
    /// What the page should do with the pointer.
    pub pointer: PointerMode,
}

/// What a game may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: u32,
    /// Memory without its home.
    pub memory: ByteSize,
    /// Memory of a GPU, which nothing holds it to: it is let in where that much is free. None where the entry does not say.
    pub gpu_memory: ByteSize,
    /// Processes and threads at once.
    pub processes: u32,
    /// What may lie in its home.
    pub home: ByteSize,
}

/// A file that is put into the home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeFile {
    /// Where to.
    pub path: HomePath,
    /// What is in it.
    pub contents: Contents,
}

/// See [`HomeFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// As it is.
    Plain(Vec<u8>),
    /// With places that are filled.
    Filled(Template),
}

impl Contents {
    /// The bytes of one session.
    pub fn bytes(&self, values: &Values<'_>) -> Vec<u8> {
        match self {
            Self::Plain(bytes) => bytes.clone(),
            Self::Filled(template) => template.fill(values).into_bytes(),
        }
    }
}

/// A line of help.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The key or gesture.
    pub input: String,
    /// What it does.
    pub action: String,
}

/// A picture of a game.
#[derive(Clone, PartialEq, Eq)]
pub struct Poster {
    /// Its media type (RFC 6838).
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poster({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

/// An entry, or a folder of entries, that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its id, of an entry that has one that no other has: its file is there and cannot be used.
    pub id: Option<GameId>,
    /// The file or folder.
    pub path: PathBuf,
    /// Every problem that was found; never empty.
    pub problems: Vec<Problem>,
}

/// Something wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which key, with dots between tables; empty where it is the file as a whole.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.why),
            key => write!(f, "{key}: {}", self.why),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}", self.path.display(), problems.join("; "))
    }
}
