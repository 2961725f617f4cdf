//! What makes devices, and what the kernel shows of those that were made.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Dev, makedev};

use super::node::{DeviceFile, Node};

/// A kernel that makes devices.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// Opens what gamepads and pen tablets are made by.
    ///
    /// # Errors
    /// It is not there, or not ours; for people.
    fn uinput(&self) -> Result<Box<dyn Node>, String>;

    /// Opens what a DualSense is made by.
    ///
    /// # Errors
    /// As above.
    fn uhid(&self) -> Result<Box<dyn Node>, String>;

    /// Where it shows what was made: `/sys/devices/virtual`.
    fn shown(&self) -> &Path;
}

/// This machine's.
#[derive(Debug, Default)]
pub struct Machine;

impl Machine {
    fn open(path: &str) -> Result<Box<dyn Node>, String> {
        let file = DeviceFile::open(path.as_ref()).map_err(|error| format!("{path}: {error}"))?;
        Ok(Box::new(file))
    }
}

impl Kernel for Machine {
    fn uinput(&self) -> Result<Box<dyn Node>, String> {
        Self::open("/dev/uinput")
    }

    fn uhid(&self) -> Result<Box<dyn Node>, String> {
        Self::open("/dev/uhid")
    }

    fn shown(&self) -> &Path {
        Path::new("/sys/devices/virtual")
    }
}

/// Which part of a device a node is. A DualSense is three input devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Buttons, sticks and triggers, or a pen.
    Main,
    /// How it moves.
    Motion,
    /// What lies on its touchpad.
    Touchpad,
    /// The same as `Main` for programs of before `evdev`.
    Joystick,
    /// Its reports as they are.
    Raw,
}

/// A node that the kernel has for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) part: Part,
    pub(super) number: Dev,
}

/// Which device nodes are looked for of.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// The input device of this name (`input12`).
    Input(String),
    /// The one that says that this makes it unlike others (`HID_UNIQ`).
    Hid(String),
}

impl Whose {
    /// Its nodes that are there by now: a driver makes them one after the other.
    ///
    /// # Errors
    /// The system's. A device that is not there yet has none.
    pub(super) fn nodes(&self, shown: &Path) -> io::Result<Vec<Shown>> {
        let mut found = Vec::new();
        match self {
            Self::Input(name) => of_input(&shown.join("input").join(name), &mut found)?,
            Self::Hid(unique) => {
                for device in below(&shown.join("misc/uhid"))? {
                    let says = fs::read_to_string(device.join("uevent")).unwrap_or_default();
                    let its = says.lines().filter_map(|line| line.strip_prefix("HID_UNIQ="));
                    if its.into_iter().any(|is| is == unique) {
                        of_hid(&device, &mut found)?;
                    }
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn of_hid(device: &Path, found: &mut Vec<Shown>) -> io::Result<()> {
    for input in below(&device.join("input"))? {
        of_input(&input, found)?;
    }
    let raw = below(&device.join("hidraw"))?;
    found.extend(raw.iter().filter_map(|node| Some((Part::Raw, number(node)?))).map(shown));
    Ok(())
}

fn of_input(input: &Path, found: &mut Vec<Shown>) -> io::Result<()> {
    let name = fs::read_to_string(input.join("name")).unwrap_or_default();
    // As `hid-playstation` names them.
    let part = match name.trim_end() {
        name if name.ends_with("Motion Sensors") => Part::Motion,
        name if name.ends_with("Touchpad") => Part::Touchpad,
        _ => Part::Main,
    };
    for node in below(input)? {
        let name = node.file_name().unwrap_or_default().as_encoded_bytes();
        let part = match part {
            part if name.starts_with(b"event") => part,
            Part::Main if name.starts_with(b"js") => Part::Joystick,
            _ => continue,
        };
        found.extend(number(&node).map(|number| shown((part, number))));
    }
    Ok(())
}

fn shown((part, number): (Part, Dev)) -> Shown {
    Shown { part, number }
}

/// What lies in a folder; nothing where there is none.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// What its file `dev` says: `13:69`.
fn number(node: &Path) -> Option<Dev> {
    let text = fs::read_to_string(node.join("dev")).ok()?;
    let (major, minor) = text.trim_end().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_nodes_of_one_device_are_found_and_no_others() {
        let sys = tempfile::tempdir().unwrap();
        let at = |path: &str| sys.path().join(path);
        write(&at("input/input7/name"), "Microsoft X-Box 360 pad\n");
        write(&at("input/input7/event5/dev"), "13:69\n");
        write(&at("input/input7/js1/dev"), "13:1\n");
        write(&at("input/input7/capabilities/dev"), "1:1\n");
        write(&at("input/input70/event6/dev"), "13:70\n");
        let nodes = |of: Whose| of.nodes(sys.path()).unwrap();
        let expected = |nodes: &[(Part, u32, u32)]| {
            nodes.iter().map(|&(part, a, b)| shown((part, makedev(a, b)))).collect::<Vec<_>>()
        };
        let pad = [(Part::Main, 13, 69), (Part::Joystick, 13, 1)];
        assert_eq!(nodes(Whose::Input("input7".into())), expected(&pad));
        assert_eq!(nodes(Whose::Input("input8".into())), []);

        let ours = at("misc/uhid/0003:054C:0CE6.0002");
        write(&ours.join("uevent"), "DRIVER=playstation\nHID_UNIQ=02:00:00:00:00:01\n");
        assert_eq!(nodes(Whose::Hid("02:00:00:00:00:01".into())), []);
        for (input, name, node, dev) in [
            ("input9", "DualSense Wireless Controller", "event7", "13:71"),
            ("input10", "DualSense Wireless Controller Motion Sensors", "event8", "13:72"),
            ("input11", "DualSense Wireless Controller Touchpad", "event9", "13:73"),
        ] {
            write(&ours.join("input").join(input).join("name"), name);
            write(&ours.join("input").join(input).join(node).join("dev"), dev);
            write(&ours.join("input").join(input).join("js2/dev"), "13:2");
        }
        write(&ours.join("hidraw/hidraw3/dev"), "241:3\n");
        let all = [
            (Part::Main, 13, 71),
            (Part::Motion, 13, 72),
            (Part::Touchpad, 13, 73),
            (Part::Joystick, 13, 2),
            (Part::Raw, 241, 3),
        ];
        assert_eq!(nodes(Whose::Hid("02:00:00:00:00:01".into())), expected(&all));
        assert_eq!(nodes(Whose::Hid("02:00:00:00:00:0".into())), []);
    }
}
