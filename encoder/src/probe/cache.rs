//! What was found is remembered for as long as the machine stays as it is.
//!
//! Whether it did is told from what files say of themselves and from the driver's version: no library
//! is loaded and no device is woken to find out.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::Outcomes;
use super::row::Row;
use crate::nvenc::Libraries;
use crate::settings::Speed;

/// The longest file that is read: a table has some kilobytes.
const LONGEST: u64 = 1 << 20;
/// Libraries of encoders besides those of NVIDIA's driver, as the dynamic linker knows them.
const LIBRARIES: [&str; 10] = [
    "libx264.so.165",
    "libx264.so.164",
    "libx264.so.163",
    "libvpx.so.7",
    "libvpx.so.8",
    "libvpx.so.9",
    "libvpx.so.11",
    "libvpx.so.12",
    "libaom.so.3",
    "libgstreamer-1.0.so.0",
];
/// Counts up when what is remembered comes to mean something else: 2 has costs of ten bits, 3 what is started anew.
const FORMAT: u32 = 3;
/// Where the dynamic linker notes all libraries of the system.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

/// Where that lies on which it depends what works. An empty path has nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The program that tries the candidates.
    pub program: PathBuf,
    /// The version of NVIDIA's driver, as a file.
    pub nvidia_version: PathBuf,
    /// A folder with one of each of its devices that this process is given, by the address on the bus.
    pub nvidia_devices: PathBuf,
    /// The kernel's folder of the graphics devices that have a driver.
    pub graphics: PathBuf,
    /// Folders of device files, of which this process may use those of graphics and video.
    pub devices: Vec<PathBuf>,
    /// Folders that are searched for libraries.
    pub libraries: Vec<PathBuf>,
    /// Folders of GStreamer's plugins.
    pub plugins: Vec<PathBuf>,
}

impl Places {
    /// Those of this system and this environment.
    pub fn system(program: PathBuf) -> Self {
        let paths = |name: &str| {
            let value: OsString = std::env::var_os(name).unwrap_or_default();
            std::env::split_paths(&value)
                .filter(|path| !path.as_os_str().is_empty())
                .collect::<Vec<_>>()
        };
        let mut libraries = paths("LD_LIBRARY_PATH");
        let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let usual = [&multiarch, "/usr/lib64", "/usr/lib", "/usr/local/lib"];
        libraries.extend(usual.iter().map(PathBuf::from));
        let mut plugins: Vec<_> = libraries.iter().map(|each| each.join("gstreamer-1.0")).collect();
        for name in [
            "GST_PLUGIN_PATH_1_0",
            "GST_PLUGIN_PATH",
            "GST_PLUGIN_SYSTEM_PATH_1_0",
            "GST_PLUGIN_SYSTEM_PATH",
        ] {
            plugins.extend(paths(name));
        }
        Self {
            program,
            nvidia_version: "/proc/driver/nvidia/version".into(),
            nvidia_devices: "/proc/driver/nvidia/gpus".into(),
            graphics: "/sys/class/drm".into(),
            devices: vec!["/dev/dri".into(), "/dev".into()],
            libraries,
            plugins,
        }
    }

    /// What is compared: when none of these lines changed, what was found still holds.
    fn fingerprint(&self) -> Vec<String> {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let driver = fs::read_to_string(&self.nvidia_version).unwrap_or_else(|_| "none".into());
        let mut lines = vec![
            format!("nearlight {}", env!("CARGO_PKG_VERSION")),
            format!("format {FORMAT}"),
            format!("{cores} cores"),
            format!("driver {}", driver.trim()),
        ];
        lines.extend(nvidia_devices(&self.nvidia_devices));
        lines.extend(graphics_devices(&self.graphics));
        lines.extend(self.devices.iter().flat_map(|folder| usable(folder)));
        lines.extend(state(&self.program));
        lines.extend(state(Path::new(LINKER_CACHE)));
        let nvidia = Libraries::system();
        for folder in &self.libraries {
            let names = [&nvidia.encode, &nvidia.cuda].map(|name| folder.join(name)).into_iter();
            let all = names.chain(LIBRARIES.map(|name| folder.join(name)));
            lines.extend(all.filter_map(|path| state(&path)));
        }
        lines.extend(self.plugins.iter().filter_map(|folder| state(folder)));
        lines
    }
}

/// NVIDIA's devices with their models. What else the driver says there of a device (its UUID, for one)
/// depends on whether something has woken it.
fn nvidia_devices(folder: &Path) -> Vec<String> {
    let line = |address: OsString| {
        let said = fs::read_to_string(folder.join(&address).join("information")).ok()?;
        let model = said.lines().find_map(|line| line.strip_prefix("Model:")).unwrap_or_default();
        Some(format!("device {} {}", address.display(), model.trim()))
    };
    names(folder).into_iter().filter_map(line).collect()
}

/// Graphics devices by maker and model, as the PCI bus knows them. One of another bus is of its board
/// and not exchanged.
fn graphics_devices(folder: &Path) -> Vec<String> {
    let line = |card: OsString| {
        let number = card.to_str()?.strip_prefix("card")?;
        // Its outputs lie beside it, as `card0-HDMI-A-1`.
        number.parse::<u32>().ok()?;
        let id = |name: &str| {
            let said = fs::read_to_string(folder.join(&card).join("device").join(name)).ok()?;
            Some(said.trim().to_owned())
        };
        let of_maker = [id("vendor")?, id("device")?];
        let of_board = ["subsystem_vendor", "subsystem_device", "revision"].map(id);
        let ids = of_maker.into_iter().chain(of_board.into_iter().flatten());
        Some(format!("{} {}", card.display(), ids.collect::<Vec<_>>().join(" ")))
    };
    names(folder).into_iter().filter_map(line).collect()
}

/// Device files for coding that this process may use: a container or a user may be given them later. None
/// is opened, which would wake it.
fn usable(folder: &Path) -> Vec<String> {
    let usable = |name: OsString| {
        let coding = ["renderD", "video"];
        let known =
            name.to_str().filter(|name| coding.iter().any(|kind| name.starts_with(kind)))?;
        let path = folder.join(known);
        rustix::fs::access(&path, Access::READ_OK | Access::WRITE_OK).ok()?;
        Some(format!("may use {}", path.display()))
    };
    names(folder).into_iter().filter_map(usable).collect()
}

/// What lies in a folder, in an order that stays.
fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

/// When a file last changed and how long it is; nothing of one that is not there.
fn state(path: &Path) -> Option<String> {
    let data = fs::metadata(path).ok()?;
    let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(format!("{} {} {}", path.display(), changed.as_nanos(), data.len()))
}

/// A file in which verdicts are remembered.
#[derive(Clone, Debug)]
pub struct Cache {
    file: PathBuf,
    machine: Vec<String>,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    machine: Vec<String>,
    rows: Vec<Row>,
}

impl Cache {
    /// One in this file, for the machine as it is now: what is stored when it has changed meanwhile is
    /// not believed by the next start.
    pub fn new(file: PathBuf, places: &Places) -> Self {
        Self { file, machine: places.fingerprint() }
    }

    /// One for costs at this preset: those of another are not believed.
    #[must_use]
    pub fn at(mut self, speed: Speed) -> Self {
        self.machine.push(format!("preset {speed}"));
        self
    }

    /// What was found before; nothing where the machine has changed or the file makes no sense.
    pub fn load(&self) -> Outcomes {
        let content = match self.read() {
            Ok(content) => content,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::info!(file = %self.file.display(), %error, "verdicts are not believed");
                }
                return Outcomes::new();
            }
        };
        if content.machine != self.machine {
            let news = self.machine.iter().find(|line| !content.machine.contains(line));
            tracing::info!(news = ?news, "the machine has changed: encoders are tried anew");
            return Outcomes::new();
        }
        content.rows.into_iter().map(|row| (row.name, row.outcome)).collect()
    }

    fn read(&self) -> io::Result<Content> {
        let mut text = Vec::new();
        fs::File::open(&self.file)?.take(LONGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Remembers these instead. What cannot be written is found anew by the next start.
    pub fn store(&self, outcomes: &Outcomes) {
        if let Err(error) = self.write(outcomes) {
            tracing::warn!(file = %self.file.display(), %error, "verdicts are not remembered");
        }
    }

    fn write(&self, outcomes: &Outcomes) -> io::Result<()> {
        let rows = outcomes.clone().into_iter().map(|(name, outcome)| Row { name, outcome });
        let content = Content { machine: self.machine.clone(), rows: rows.collect() };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Who reads meanwhile sees the old file or the new one, and two that write do not mix.
        let new = self.file.with_extension(format!("{}.new", std::process::id()));
        let written = fs::write(&new, serde_json::to_vec_pretty(&content)?);
        written.and_then(|()| fs::rename(&new, &self.file)).inspect_err(|_| {
            // It may not have come to be; the error that is told is the first one.
            let _ = fs::remove_file(&new);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Outcome;

    struct Machine {
        folder: tempfile::TempDir,
        places: Places,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            fs::write(path("program"), "1").unwrap();
            fs::write(path("version"), "driver 550.54\n").unwrap();
            fs::create_dir(path("lib")).unwrap();
            fs::create_dir(path("plugins")).unwrap();
            let places = Places {
                program: path("program"),
                nvidia_version: path("version"),
                nvidia_devices: path("gpus"),
                graphics: path("drm"),
                devices: vec![path("dev")],
                libraries: vec![path("lib")],
                plugins: vec![path("plugins")],
            };
            let machine = Self { folder, places };
            // As drivers of NVIDIA write it, the first time that the device was not woken yet.
            machine.write(
                "gpus/0000:65:00.0/information",
                "Model: \t\t NVIDIA L4\nIRQ:   \t\t 17\nGPU UUID: \t GPU-????????\nDevice Minor: \t 0\n",
            );
            machine.write("drm/card1/device/vendor", "0x1002\n");
            machine.write("drm/card1/device/device", "0x744c\n");
            machine.write("drm/card1/device/revision", "0xc8\n");
            machine.write("drm/card1-DP-1/device/vendor", "0x1\n");
            machine
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn cache(&self) -> Cache {
            Cache::new(self.path("state/encoders.json"), &self.places)
        }
    }

    fn outcomes() -> Outcomes {
        let reason = || "missing: it".to_owned();
        [
            ("a".to_owned(), Outcome::Declined { reason: reason() }),
            ("b".to_owned(), Outcome::Unanswered { reason: reason() }),
        ]
        .into()
    }

    #[test]
    fn what_was_stored_is_loaded_and_nothing_else_is_left_behind() {
        let machine = Machine::new();
        assert!(machine.cache().load().is_empty(), "there is no file yet");
        machine.cache().store(&outcomes());
        machine.cache().store(&outcomes());
        assert_eq!(machine.cache().load(), outcomes());
        let left = fs::read_dir(machine.path("state")).unwrap().count();
        assert_eq!(left, 1, "one file, in a folder that was made for it");
    }

    #[test]
    fn any_change_of_the_machine_is_noticed() {
        let changes: [fn(&Machine); 14] = [
            |machine| machine.write("gpus/0000:65:00.0/information", "Model: NVIDIA L40S\n"),
            |machine| machine.write("gpus/0000:66:00.0/information", "Model: NVIDIA L4\n"),
            |machine| fs::remove_dir_all(machine.path("gpus")).unwrap(),
            |machine| machine.write("drm/card1/device/device", "0x7480\n"),
            |machine| machine.write("dev/renderD128", ""),
            |machine| machine.write("dev/video11", ""),
            |machine| {
                machine.write("drm/card0/device/vendor", "0x8086\n");
                machine.write("drm/card0/device/device", "0x56c0\n");
            },
            |machine| fs::remove_dir_all(machine.path("drm/card1")).unwrap(),
            |machine| fs::write(machine.path("version"), "driver 570.86\n").unwrap(),
            |machine| fs::remove_file(machine.path("version")).unwrap(),
            |machine| fs::write(machine.path("program"), "another").unwrap(),
            |machine| fs::write(machine.path("lib/libcuda.so.1"), "").unwrap(),
            |machine| fs::write(machine.path("lib/libx264.so.164"), "").unwrap(),
            |machine| fs::remove_dir(machine.path("plugins")).unwrap(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let machine = Machine::new();
            machine.cache().store(&outcomes());
            change(&machine);
            assert!(machine.cache().load().is_empty(), "change {number}");
            machine.cache().store(&outcomes());
            assert_eq!(machine.cache().load(), outcomes(), "change {number}");
        }
    }

    #[test]
    fn costs_of_another_preset_are_not_believed() {
        let machine = Machine::new();
        let at = |speed| machine.cache().at(speed);
        at(Speed::Auto).store(&outcomes());
        assert_eq!(at(Speed::Auto).load(), outcomes());
        assert!(at(Speed::P3).load().is_empty());
        at(Speed::P3).store(&outcomes());
        assert_eq!(at(Speed::P3).load(), outcomes());
        assert!(at(Speed::Auto).load().is_empty());
    }

    #[test]
    fn what_another_format_has_is_not_believed() {
        let machine = Machine::new();
        machine.cache().store(&outcomes());
        let file = machine.path("state/encoders.json");
        let line = |format| format!("\"format {format}\"");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&line(FORMAT)), "{text}");
        fs::write(&file, text.replace(&line(FORMAT), &line(FORMAT - 1))).unwrap();
        assert!(machine.cache().load().is_empty());
    }

    #[test]
    fn what_a_device_says_of_its_use_is_no_change() {
        let machine = Machine::new();
        machine.cache().store(&outcomes());
        // Something woke it, and a display was plugged in.
        machine.write(
            "gpus/0000:65:00.0/information",
            "Model: \t\t NVIDIA L4\nIRQ:   \t\t 19\nGPU UUID: \t GPU-0f1e2d3c\nDevice Minor: \t 1\n",
        );
        machine.write("drm/card1-HDMI-A-1/device/vendor", "0x2\n");
        machine.write("drm/renderD128/device/vendor", "0x1002\n");
        assert_eq!(machine.cache().load(), outcomes());
    }

    #[test]
    fn a_file_that_makes_no_sense_is_as_good_as_none() {
        let machine = Machine::new();
        machine.cache().store(&outcomes());
        let file = machine.path("state/encoders.json");
        let whole = fs::read(&file).unwrap();
        let shortened = &whole[..whole.len() - 2];
        let foreign = String::from_utf8(whole.clone()).unwrap().replace("\"rows\"", "\"row\"");
        for content in [shortened, b"", b"{}", b"\0\xff", foreign.as_bytes()] {
            fs::write(&file, content).unwrap();
            assert!(machine.cache().load().is_empty(), "{}", String::from_utf8_lossy(content));
        }
        // A file that is endless, and one that is none.
        fs::write(&file, vec![b' '; LONGEST as usize + 1]).unwrap();
        assert!(machine.cache().load().is_empty());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(machine.cache().load().is_empty());
        // Nor can it be written then, which is no reason to stop.
        machine.cache().store(&outcomes());
        let left = fs::read_dir(machine.path("state")).unwrap().count();
        assert_eq!(left, 1, "what could not be put in its place is gone");
    }
}
