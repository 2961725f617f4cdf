//! What types cannot tell of an entry. All problems of a file are found, not the first alone.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use media::{ByteSize, FrameRate, Layout, MOST_PADS, Size};

use super::install::{self, Required};
use super::{Contents, Device, DisplayMode, Entry, GameId, HomeFile, Limits, Poster, Problem};
use super::{Program, Requirement, Resize, Sharing, Template, environment, file};
use crate::beneath;
use crate::saves::{HomePath, overlap};

/// Most of each list.
const MOST_ARGUMENTS: usize = 256;
const MOST_VARIABLES: usize = 64;
const MOST_REQUIRED: usize = 64;
const MOST_SAVES: usize = 32;
const MOST_FILES: usize = 32;
const MOST_CONTROLS: usize = 32;
/// Of one game that are started ahead.
const MOST_WARM: u8 = 8;
/// Bytes of one file that is put into a home.
const FILE_BYTES: u64 = 256 << 10;
/// Bytes of a poster.
const POSTER_BYTES: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

/// What lies at which byte of a file.
type Magic = (usize, &'static [u8]);

/// Names of posters, their media types, and what files of these begin with.
const POSTERS: [(&str, &str, &[Magic]); 3] = [
    ("poster.png", "image/png", &[(0, b"\x89PNG\r\n\x1a\n")]),
    ("poster.jpg", "image/jpeg", &[(0, b"\xff\xd8\xff")]),
    ("poster.webp", "image/webp", &[(0, b"RIFF"), (8, b"WEBP")]),
];

/// Collects problems.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: &str, why: impl Into<String>) {
        self.0.push(Problem { key: key.into(), why: why.into() });
    }

    /// The value, or none and one more problem.
    fn take<T>(&mut self, key: &str, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|why| self.add(key, why)).ok()
    }

    fn count(&mut self, key: &str, len: usize, most: usize) {
        if len > most {
            self.add(key, format!("it has {len} of at most {most}"));
        }
    }

    fn text(&mut self, key: &str, text: &str, most: usize) {
        if text.trim().is_empty() {
            self.add(key, "it is empty");
        }
        if text.chars().count() > most {
            self.add(key, format!("it is longer than {most} characters"));
        }
        if text.chars().any(char::is_control) {
            self.add(key, "it has a control character in it");
        }
    }

    fn range<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        key: &str,
        value: T,
        least: T,
        most: T,
    ) {
        if !(least..=most).contains(&value) {
            self.add(key, format!("{value} is not from {least} to {most}"));
        }
    }
}

/// Checks a file of an entry; `at` is its open folder.
///
/// # Errors
/// Every problem that there is.
pub(super) fn check(
    id: GameId,
    folder: &Path,
    at: BorrowedFd<'_>,
    file: file::File,
) -> Result<Entry, Vec<Problem>> {
    let mut problems = Problems::default();
    problems.text("title", &file.title, 80);
    problems.text("summary", &file.summary, 400);
    problems.text("licence", &file.licence, 400);
    problems.range("stop_grace_ms", file.stop_grace_ms, 0, 60_000);
    problems.range("warm", file.warm, 0, MOST_WARM);
    problems.range("warm_settle_ms", file.warm_settle_ms, 0, 60_000);
    let program = problems.take("command", Program::parse(&file.command));
    let arguments = arguments(&mut problems, &file.arguments);
    let environment = variables(&mut problems, &file.environment);
    let mut requires = requirements(&mut problems, &file.requires);
    package(&mut problems, "package", &file.package);
    if let Some(program) = &program {
        let what = Required::Command(program.clone());
        requires.insert(0, Requirement { what, package: file.package });
    }
    let channels = Layout::within(file.channels);
    if channels.channels() != usize::from(file.channels) {
        problems.add("channels", "it is none of 2, 6 and 8");
    }
    let mut devices = file.devices;
    devices.dedup();
    problems.range("gamepads", file.gamepads, 0, MOST_PADS as u8);
    if file.gamepads > 0 && !devices.contains(&Device::Gamepad) {
        problems.add("gamepads", "`devices` does not name gamepads");
    }
    let display = display(&mut problems, &file.display);
    let limits = limits(&mut problems, &file.limits, &devices);
    let saves = saves(&mut problems, &file.saves);
    let files = files(&mut problems, at, &file.files, limits.home);
    problems.count("controls", file.controls.len(), MOST_CONTROLS);
    for (n, control) in file.controls.iter().enumerate() {
        problems.text(&format!("controls.{n}.input"), &control.input, 40);
        problems.text(&format!("controls.{n}.action"), &control.action, 80);
    }
    let poster = poster(&mut problems, at);
    let shared = problems.take("sharing.folder", HomePath::parse(&file.sharing.folder));
    let sharing = shared.map(|folder| Sharing {
        clipboard: file.sharing.clipboard.into(),
        files: file.sharing.files.into(),
        folder,
    });
    match (program, sharing) {
        (Some(program), Some(sharing)) if problems.0.is_empty() => Ok(Entry {
            id,
            folder: folder.into(),
            title: file.title,
            summary: file.summary,
            genre: file.genre,
            licence: file.licence,
            program,
            arguments,
            environment,
            requires,
            display,
            limits,
            internet: file.internet,
            devices,
            channels,
            keyboard: file.keyboard,
            touch: file.touch,
            gamepads: file.gamepads,
            saves,
            files,
            sharing,
            controls: file.controls,
            stop_grace: Duration::from_millis(file.stop_grace_ms),
            warm: file.warm,
            warm_settle: Duration::from_millis(file.warm_settle_ms),
            poster,
        }),
        _ => Err(problems.0),
    }
}

/// A text that a program is given: a NUL would end it early.
fn given(text: &str) -> Result<Template, String> {
    if text.contains('\0') {
        return Err("it has a NUL in it".into());
    }
    if text.len() > 4096 {
        return Err("it is longer than 4096 bytes".into());
    }
    Template::parse(text)
}

fn arguments(problems: &mut Problems, texts: &[String]) -> Vec<Template> {
    problems.count("arguments", texts.len(), MOST_ARGUMENTS);
    let each = |(n, text): (usize, &String)| problems.take(&format!("arguments.{n}"), given(text));
    texts.iter().enumerate().filter_map(each).collect()
}

fn variables(
    problems: &mut Problems,
    variables: &std::collections::BTreeMap<String, String>,
) -> Vec<(String, Template)> {
    problems.count("environment", variables.len(), MOST_VARIABLES);
    let mut taken = Vec::new();
    for (name, value) in variables {
        let key = format!("environment.{}", name.escape_debug());
        if let Some(why) = environment::refused(name) {
            problems.add(&key, why);
        }
        if let Some(value) = problems.take(&key, given(value)) {
            taken.push((name.clone(), value));
        }
    }
    taken
}

fn requirements(problems: &mut Problems, requires: &[file::Requires]) -> Vec<Requirement> {
    problems.count("requires", requires.len(), MOST_REQUIRED);
    let mut taken = Vec::new();
    for (n, each) in requires.iter().enumerate() {
        let key = format!("requires.{n}");
        package(problems, &format!("{key}.package"), &each.package);
        let what = match (&each.command, &each.file) {
            (Some(command), None) => Program::parse(command).map(Required::Command),
            (None, Some(file)) => install::absolute(file).map(Required::File),
            _ => Err("it needs either `command` or `file`".into()),
        };
        if let Some(what) = problems.take(&key, what) {
            taken.push(Requirement { what, package: each.package.clone() });
        }
    }
    taken
}

fn package(problems: &mut Problems, key: &str, name: &str) {
    if !name.is_empty() && !install::is_package(name) {
        problems.add(key, format!("{} is not the name of a Debian package", crate::shown(name)));
    }
}

fn display(problems: &mut Problems, display: &file::Display) -> DisplayMode {
    let edges = [
        ("display.width", display.width),
        ("display.height", display.height),
        ("display.max_width", display.max_width),
        ("display.max_height", display.max_height),
    ];
    for (key, edge) in edges {
        if !(64..=8192).contains(&edge) || !edge.is_multiple_of(2) {
            problems.add(key, format!("{edge} is not an even number from 64 to 8192"));
        }
    }
    if display.width > display.max_width || display.height > display.max_height {
        problems.add("display", "it starts larger than max_width and max_height");
    }
    problems.range("display.fps", display.fps, 1, 240);
    DisplayMode {
        size: Size::new(display.width, display.height),
        max_size: Size::new(display.max_width, display.max_height),
        resize: match display.resize {
            file::Resize::Whether(false) => Resize::Never,
            file::Resize::Whether(true) => Resize::Any,
            file::Resize::How(file::ResizeHow::SameShape) => Resize::SameShape,
        },
        rate: FrameRate::fps(display.fps),
        integer_motion: display.integer_motion,
        pointer: display.pointer,
    }
}

fn limits(problems: &mut Problems, limits: &file::Limits, devices: &[Device]) -> Limits {
    // Less than this, and not even an X server starts; NaN is in no range.
    problems.range("limits.cpus", limits.cpus, 0.1, 256.0);
    problems.range("limits.memory_mib", limits.memory_mib, 64, 1 << 20);
    problems.range("limits.gpu_memory_mib", limits.gpu_memory_mib, 0, 1 << 20);
    if limits.gpu_memory_mib > 0 && !devices.contains(&Device::Gpu) {
        problems.add("limits.gpu_memory_mib", "`devices` does not name gpu");
    }
    problems.range("limits.processes", limits.processes, 8, 4096);
    problems.range("limits.home_mib", limits.home_mib, 1, 64 << 10);
    Limits {
        cpu_millis: (limits.cpus * 1000.0).round() as u32,
        memory: ByteSize(limits.memory_mib.saturating_mul(MIB)),
        gpu_memory: ByteSize(limits.gpu_memory_mib.saturating_mul(MIB)),
        processes: limits.processes,
        home: ByteSize(limits.home_mib.saturating_mul(MIB)),
    }
}

fn saves(problems: &mut Problems, texts: &[String]) -> Vec<HomePath> {
    problems.count("saves", texts.len(), MOST_SAVES);
    let each =
        |(n, text): (usize, &String)| problems.take(&format!("saves.{n}"), HomePath::parse(text));
    let saves: Vec<_> = texts.iter().enumerate().filter_map(each).collect();
    if let Some((inner, outer)) = overlap(&saves) {
        problems.add("saves", format!("\"{inner}\" is within \"{outer}\""));
    }
    saves
}

fn files(
    problems: &mut Problems,
    at: BorrowedFd<'_>,
    copied: &[file::Copied],
    home: ByteSize,
) -> Vec<HomeFile> {
    problems.count("files", copied.len(), MOST_FILES);
    let mut files = Vec::new();
    let mut bytes = 0;
    for (n, each) in copied.iter().enumerate().take(MOST_FILES) {
        let key = format!("files.{n}");
        let path = problems.take(&format!("{key}.to"), HomePath::parse(&each.to));
        let from = problems.take(&format!("{key}.from"), HomePath::parse(&each.from));
        let Some(from) = from else { continue };
        let read = beneath::read_file(at, from.as_str(), FILE_BYTES)
            .map_err(|error| format!("\"{from}\" cannot be read: {}", beneath::why(&error)));
        let Some(read) = problems.take(&format!("{key}.from"), read) else { continue };
        bytes += read.len() as u64;
        let contents = match each.fill {
            false => Ok(Contents::Plain(read)),
            true => String::from_utf8(read)
                .map_err(|_| "it is not UTF-8".into())
                .and_then(|text| Template::parse(&text))
                .map(Contents::Filled)
                .map_err(|why| format!("\"{from}\": {why}")),
        };
        let contents = problems.take(&format!("{key}.from"), contents);
        if let (Some(path), Some(contents)) = (path, contents) {
            files.push(HomeFile { path, contents });
        }
    }
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    if let Some((inner, outer)) = overlap(&paths) {
        problems.add("files", format!("\"{inner}\" is within \"{outer}\", or is it"));
    }
    if bytes > home.0 {
        problems.add("files", "they have more bytes than limits.home_mib");
    }
    files
}

fn poster(problems: &mut Problems, at: BorrowedFd<'_>) -> Option<Poster> {
    for (name, media_type, begins) in POSTERS {
        let bytes = match beneath::read_file(at.as_fd(), name, POSTER_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                problems.add(name, format!("it cannot be read: {}", beneath::why(&error)));
                continue;
            }
        };
        let is_one =
            |(at, begin): &Magic| bytes.get(*at..).is_some_and(|from| from.starts_with(begin));
        if begins.iter().all(is_one) {
            return Some(Poster { media_type, bytes });
        }
        problems.add(name, format!("it is not of the type {media_type}"));
    }
    None
}
