//! Xorg as a sandbox's X server: programs see every finger, a wheel between its notches and a pen's pressure, of which XTEST, and
//! with it Xvfb, has none.
//!
//! It draws into memory (the driver `dummy`), and has three devices of the driver `inputtest`: each does what its socket is told
//! (`inputtestdrv(4)`; [`XDevices`](crate::display::XDevices) speaks it). It needs neither root nor a terminal, card or udev.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use media::Size;

/// Where Debian and Ubuntu have it.
const FOLDER: &str = "/usr/lib/xorg";
/// What must lie there, and the Debian packages that bring it.
const NEEDED: [(&str, &str); 3] = [
    (PROGRAM, "xserver-xorg-core"),
    ("modules/input/inputtest_drv.so", "xserver-xorg-core"),
    ("modules/drivers/dummy_drv.so", "xserver-xorg-video-dummy"),
];
const PROGRAM: &str = "Xorg";
/// What the mode that it starts with shows a second, so that no clock is out of range. Sessions have modes of their own.
const FRAMES: u64 = 10;
/// It starts with no smaller screen: with one of 64 pixels each way it finds none.
const LEAST: Size = Size::new(320, 240);
/// Kibibytes of a screen that programs may make of it at least.
const LEAST_MEMORY: u64 = 4_096;

/// It has its own devices and none that it finds, and no terminal to switch away from. Were it told to find none, its keys would
/// have other numbers than Linux's and Xvfb's.
const FLAGS: &str = "Section \"ServerFlags\"
  Option \"AutoAddGPU\" \"off\"
  Option \"DontVTSwitch\" \"on\"
EndSection
Section \"InputClass\"
  Identifier \"found\"
  Option \"Ignore\" \"on\"
EndSection
";

/// Fingers that are told apart at once: those of two hands.
pub const MOST_FINGERS: usize = 10;

/// A device of the server.
struct Device {
    /// Its name to programs, some of which know pens by it (GTK 3, Qt).
    name: &'static str,
    /// The file of its socket.
    socket: &'static str,
    /// What of `inputtest` it is.
    kind: &'static str,
    /// What else is said of it.
    option: (&'static str, &'static str),
    role: &'static str,
}

/// Fingers, wheel and pen. One must be the pointer that there is from the start: the wheel, which never moves it.
const DEVICES: [Device; 3] = [
    Device {
        name: "Nearlight touchscreen",
        socket: "touch",
        kind: "Touch",
        option: ("TouchCount", "10"),
        role: "SendCoreEvents",
    },
    Device {
        name: "Nearlight wheel",
        socket: "wheel",
        kind: "Pointer",
        option: ("PointerButtonCount", "7"),
        role: "CorePointer",
    },
    Device {
        name: "Nearlight pen stylus",
        socket: "pen",
        kind: "PointerAbsoluteProximity",
        option: ("PointerHasPressure", "true"),
        role: "SendCoreEvents",
    },
];

/// Files of the sockets of fingers, wheel and pen, in the folder that was given to [`config`].
pub const SOCKETS: [&str; 3] = [DEVICES[0].socket, DEVICES[1].socket, DEVICES[2].socket];

/// The server, where all of it is installed; it is looked for where Debian has it, or in `folder`. All of it must lie in `/usr`, by
/// whatever name: sandboxes see no other folder of programs.
///
/// # Errors
/// What is missing, and which Debian package brings it; or what lies elsewhere.
pub fn find(folder: Option<&Path>) -> Result<PathBuf, String> {
    let folder = folder.unwrap_or(Path::new(FOLDER));
    for (file, package) in NEEDED {
        let path = folder.join(file);
        if !path.is_file() {
            return Err(format!("there is no {}; install {package}", path.display()));
        }
    }
    for (file, _) in NEEDED {
        in_usr(&folder.join(file))?;
    }
    in_usr(&folder.join(PROGRAM))
}

/// A file by the name that it has in sandboxes.
fn in_usr(path: &Path) -> Result<PathBuf, String> {
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    if !path.starts_with("/usr") {
        return Err(format!("{} is not in /usr, and sandboxes do not see it", path.display()));
    }
    Ok(path)
}

/// Its configuration, for a screen of this size at most, and sockets in this folder.
pub fn config(largest: Size, sockets: &Path) -> String {
    let largest = Size::new(largest.width.max(LEAST.width), largest.height.max(LEAST.height));
    let Size { width, height } = largest;
    let clock = largest.pixels() * FRAMES;
    let (mega, rest) = (clock / 1_000_000, clock % 1_000_000);
    let memory = (largest.pixels() * 4).div_ceil(1024).max(LEAST_MEMORY);
    let mut text = FLAGS.to_owned();
    for Device { name, socket, kind, option: (key, value), .. } in &DEVICES {
        let socket = sockets.join(socket);
        // Writing into a string cannot fail; so below.
        let _ = write!(
            text,
            "Section \"InputDevice\"\n  Identifier \"{name}\"\n  Driver \"inputtest\"\n  \
             Option \"SocketPath\" \"{}\"\n  Option \"DeviceType\" \"{kind}\"\n  \
             Option \"{key}\" \"{value}\"\nEndSection\n",
            socket.display()
        );
    }
    let _ = write!(
        text,
        "Section \"Monitor\"\n  Identifier \"monitor\"\n  HorizSync 0.1-10000\n  \
         VertRefresh 1-1000\n  Modeline \"largest\" {mega}.{rest:06} \
         {width} {width} {width} {width} {height} {height} {height} {height}\nEndSection\n\
         Section \"Device\"\n  Identifier \"card\"\n  Driver \"dummy\"\n  \
         Option \"Monitor-DUMMY0\" \"monitor\"\n  VideoRam {memory}\nEndSection\n\
         Section \"Screen\"\n  Identifier \"screen\"\n  Device \"card\"\n  Monitor \"monitor\"\n  \
         DefaultDepth 24\n  SubSection \"Display\"\n    Depth 24\n    Modes \"largest\"\n    \
         Virtual {width} {height}\n  EndSubSection\nEndSection\n\
         Section \"ServerLayout\"\n  Identifier \"layout\"\n  Screen \"screen\"\n"
    );
    for Device { name, role, .. } in &DEVICES {
        let _ = writeln!(text, "  InputDevice \"{name}\" \"{role}\"");
    }
    text + "EndSection\n"
}

/// Its arguments beside those of every X server: nothing is read but this configuration and what packages have in
/// `/usr/share/X11/xorg.conf.d`, and what it says of each event is kept nowhere.
pub fn arguments(config: &str) -> Vec<String> {
    let words = ["-config", config, "-configdir", "none", "-logfile", "/dev/null", "-logverbose"];
    let more = ["0", "-novtswitch", "-sharevts", "-dpms"];
    words.into_iter().chain(more).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_it_is_named_with_its_package() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (file, package)) in NEEDED.into_iter().enumerate() {
            let missing = find(Some(folder.path())).unwrap_err();
            assert!(missing.contains(file) && missing.ends_with(package), "{number}: {missing}");
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        // All of it is there, where no sandbox sees it: until the last of it leads to where one does.
        let seen = Path::new("/usr/bin/env").canonicalize().unwrap();
        for (file, _) in NEEDED {
            let path = folder.path().join(file);
            let elsewhere = find(Some(folder.path())).unwrap_err();
            let told = format!("{} is not in /usr", path.canonicalize().unwrap().display());
            assert!(elsewhere.starts_with(&told), "{elsewhere}");
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&seen, &path).unwrap();
        }
        assert_eq!(find(Some(folder.path())), Ok(seen));
    }

    #[test]
    fn its_folder_may_have_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::os::unix::fs::symlink(FOLDER, &other).unwrap();
        match find(None) {
            Ok(program) => assert_eq!(find(Some(&other)), Ok(program)),
            // It is not installed here.
            Err(_) => assert!(find(Some(&other)).is_err()),
        }
    }

    #[test]
    fn its_screen_has_the_largest_size_and_memory_for_it() {
        let text = config(Size::new(1922, 1080), Path::new("/sockets"));
        for wanted in [
            "Modeline \"largest\" 20.757600 1922 1922 1922 1922 1080 1080 1080 1080\n",
            "Virtual 1922 1080\n",
            "VideoRam 8109\n",
            "Option \"SocketPath\" \"/sockets/touch\"\n",
            "InputDevice \"Nearlight wheel\" \"CorePointer\"\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        let least = config(Size::new(64, 64), Path::new("/"));
        assert!(
            least.contains("VideoRam 4096\n") && least.contains("Virtual 320 240\n"),
            "{least}"
        );
    }
}
