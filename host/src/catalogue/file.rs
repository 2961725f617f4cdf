//! `game.toml` as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ClipboardWays, Control, Device, FileWays, Genre, KeyboardMode, PointerMode, Problem, TouchMode,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) genre: Genre,
    pub(super) licence: String,
    pub(super) command: String,
    /// The Debian package that brings the command.
    #[serde(default)]
    pub(super) package: String,
    #[serde(default)]
    pub(super) arguments: Vec<String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) internet: bool,
    #[serde(default)]
    pub(super) devices: Vec<Device>,
    #[serde(default = "channels")]
    pub(super) channels: u8,
    #[serde(default)]
    pub(super) keyboard: KeyboardMode,
    #[serde(default)]
    pub(super) touch: TouchMode,
    #[serde(default)]
    pub(super) gamepads: u8,
    #[serde(default)]
    pub(super) saves: Vec<String>,
    #[serde(default = "stop_grace_ms")]
    pub(super) stop_grace_ms: u64,
    #[serde(default)]
    pub(super) warm: u8,
    #[serde(default = "warm_settle_ms")]
    pub(super) warm_settle_ms: u64,
    #[serde(default)]
    pub(super) requires: Vec<Requires>,
    #[serde(default)]
    pub(super) display: Display,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) sharing: Sharing,
    #[serde(default)]
    pub(super) files: Vec<Copied>,
    #[serde(default)]
    pub(super) controls: Vec<Control>,
}

const fn channels() -> u8 {
    8
}

const fn stop_grace_ms() -> u64 {
    3_000
}

const fn warm_settle_ms() -> u64 {
    3_000
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Requires {
    pub(super) command: Option<String>,
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) package: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Display {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) max_width: u32,
    pub(super) max_height: u32,
    pub(super) resize: Resize,
    pub(super) fps: u32,
    pub(super) integer_motion: bool,
    pub(super) pointer: PointerMode,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            max_width: 1920,
            max_height: 1080,
            resize: Resize::Whether(true),
            fps: 60,
            integer_motion: false,
            pointer: PointerMode::Absolute,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "true, false or \"same-shape\"")]
pub(super) enum Resize {
    Whether(bool),
    How(ResizeHow),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ResizeHow {
    SameShape,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) cpus: f64,
    pub(super) memory_mib: u64,
    pub(super) gpu_memory_mib: u64,
    pub(super) processes: u32,
    pub(super) home_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpus: 2.0, memory_mib: 1024, gpu_memory_mib: 0, processes: 128, home_mib: 64 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sharing {
    pub(super) clipboard: ClipboardWays,
    pub(super) files: FileWays,
    pub(super) folder: String,
}

impl Default for Sharing {
    fn default() -> Self {
        let (clipboard, files) = (ClipboardWays::None, FileWays::None);
        Self { clipboard, files, folder: "Nearlight".into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copied {
    pub(super) from: String,
    pub(super) to: String,
    #[serde(default)]
    pub(super) fill: bool,
}

/// Reads the text of a `game.toml`.
///
/// # Errors
/// The first thing that is no TOML, not known or of the wrong type, with the line that it is in.
pub(super) fn parse(text: &str) -> Result<File, Problem> {
    toml::from_str(text).map_err(|error| {
        let why = error.message().replace('\n', ", ");
        let Some(start) = error.span().map(|span| span.start.min(text.len())) else {
            return Problem { key: String::new(), why };
        };
        // A span of the whole file says nothing: a key is missing.
        if start == 0 && why.starts_with("missing field") {
            return Problem { key: String::new(), why };
        }
        let before = &text.as_bytes()[..start];
        let line = before.iter().filter(|&&byte| byte == b'\n').count();
        let key =
            text.lines().nth(line).and_then(|text| text.split_once('=')).map_or("", |(key, _)| key);
        Problem { key: key.trim().into(), why: format!("{why} (line {})", line + 1) }
    })
}
