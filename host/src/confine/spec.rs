//! What a sandbox is made of, as callers say it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use media::Size;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::command::FROM_ETC;
use super::machine::Patience;

/// Longest name of a sandbox: it is part of file names.
const LONGEST_ID: usize = 64;
/// Parts of the tree that the sandbox makes itself.
const OWN: [&str; 7] = ["/dev", "/etc", "/home/player", "/proc", "/run", "/sys", "/tmp"];

/// Parts of it that hold the host's, or what the node tells the game.
const TAKEN: [&str; 12] = [
    "/bin",
    "/dev",
    "/home/player",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run/nearlight",
    "/sbin",
    "/sys",
    "/usr",
];
/// Folders that the sandbox makes itself, and in which more may be shown.
const MADE: [&str; 4] = ["/etc", "/home", "/run/user", "/tmp/.X11-unix"];
/// What is no game's business on any host.
const HIDDEN: [&str; 2] = ["/etc/shadow", "/root"];

/// Which network a sandbox has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Its own, with nothing but a loopback device of its own.
    #[default]
    None,
    /// The same with a way to the internet ([`internet`](super::internet)): not to this machine, and not to networks that
    /// are no part of it.
    Internet,
}

/// Which X server a sandbox has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// Xvfb, to which a finger is the pointer.
    #[default]
    Xvfb,
    /// Xorg with devices of its own ([`xorg`](super::xorg)): every finger, a fine wheel, a pen with its pressure.
    Xorg,
}

/// What a game finds where programs look for gamepads and pens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    #[default]
    None,
    /// What listens in [`Game::input_folder`](crate::Game::input_folder) is gamepads to it.
    Sockets,
    /// The devices that are put into [`Game::devices`](crate::Game::devices).
    Devices,
}

/// A file or folder of the host that is shown read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Of the host; absolute.
    pub source: PathBuf,
    /// In the sandbox; absolute.
    pub at: PathBuf,
}

/// What a sandbox may take at most. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processor time, in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Bytes of memory, those of files in it included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Open files of each process.
    pub open_files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_millis: None,
            memory: Some(2 << 30),
            processes: Some(512),
            // What wine with esync and Chromium-based games are documented to want is less.
            open_files: 65_536,
        }
    }
}

/// A sandbox as it is wanted.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Names it in logs and paths: 1 to 64 letters, digits, `-` and `_`; unique on the node.
    pub id: String,
    /// What the game needs of the host beside `/usr`. Everybody must be able to read it: the game runs
    /// under a user of its own where the node is root.
    pub binds: Vec<Bind>,
    /// Bytes that the player's home can hold. It lies in memory.
    pub home: u64,
    /// Its network.
    pub network: Network,
    /// Device nodes that the game may use (`/dev/dri/renderD128`), by their groups where they are not open to all.
    pub devices: Vec<PathBuf>,
    /// What it finds in its `/dev/input`.
    pub input: Input,
    /// Its X server.
    pub server: Server,
    /// The largest picture; the display cannot grow beyond it.
    pub largest: Size,
    /// What it may take.
    pub limits: Limits,
    /// How long each step may take.
    pub patience: Patience,
}

/// A game as it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// A path in the sandbox, or a name that is looked up in its `PATH`. No shell is involved.
    pub command: String,
    /// Its arguments, without its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables beside and before those of the sandbox.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The folder that it starts in; the player's home when there is none.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

/// Why a sandbox is not made. Nothing was started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The name is used in paths.
    #[error("the name {0:?} of a sandbox is not 1 to 64 letters, digits, - and _")]
    Name(String),
    /// Another one has this name.
    #[error("a sandbox {0} is there already")]
    Exists(String),
    /// A path of the host that cannot be shown.
    #[error("{path} cannot be shown in a sandbox: {reason}")]
    Bind {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A device node that cannot be handed over.
    #[error("{path} cannot be used as a device: {reason}")]
    Device {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Devices of the kernel, which this node cannot give.
    #[error("no devices for the game: {0}")]
    Devices(String),
    /// An X server that is not installed here.
    #[error("no display for the game: {0}")]
    Server(String),
    /// A network that this node cannot give.
    #[error("no network for the game: {0}")]
    Network(String),
    /// Every user that games may run as is taken.
    #[error("all {0} users for games are in use")]
    Users(u32),
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
}

impl Refused {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

impl Spec {
    /// Those of these paths of the host at which something can be shown to the game in place of what is there: not where
    /// it has something of its own, or of its entry's.
    pub(super) fn hidden(&self, secrets: &[PathBuf]) -> Vec<PathBuf> {
        let binds = self.binds.iter().map(|bind| &*bind.at);
        let etc: Vec<_> = FROM_ETC.iter().map(|name| Path::new("/etc").join(name)).collect();
        let own = TAKEN.iter().map(Path::new).chain(etc.iter().map(|path| &**path));
        let taken: Vec<_> = own.chain(binds).collect();
        let overlaps =
            |path: &Path, other: &Path| path.starts_with(other) || other.starts_with(path);
        let mut hidden: Vec<PathBuf> = HIDDEN.iter().map(PathBuf::from).collect();
        hidden.extend_from_slice(secrets);
        hidden.retain(|path| {
            is_clean(path)
                && path.components().count() > 1
                && !taken.iter().any(|taken| overlaps(path, taken))
                && !MADE.iter().any(|made| Path::new(made).starts_with(path))
        });
        hidden
    }

    /// Checks what can be told without the system. `private` is shown to no game.
    pub(super) fn check(&self, private: &Path) -> Result<(), Refused> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if self.id.is_empty() || self.id.len() > LONGEST_ID || !self.id.bytes().all(is_plain) {
            return Err(Refused::Name(self.id.clone()));
        }
        for Bind { source, at } in &self.binds {
            let refused = |path: &Path, reason| Refused::Bind { path: path.to_owned(), reason };
            for path in [source, at] {
                if !is_clean(path) {
                    return Err(refused(path, "it is not an absolute path without . and .."));
                }
            }
            if private.starts_with(source) || source.starts_with(private) {
                return Err(refused(source, "the node's own files lie there"));
            }
            if OWN.iter().any(|own| at.starts_with(own)) || at == Path::new("/") {
                return Err(refused(at, "the sandbox has its own"));
            }
        }
        for path in &self.devices {
            if !is_clean(path) || !path.starts_with("/dev") {
                let reason = "it is not a path below /dev".to_owned();
                return Err(Refused::Device { path: path.clone(), reason });
            }
        }
        Ok(())
    }
}

fn is_clean(path: &Path) -> bool {
    // `components` leaves out `.` within a path: it is looked for in the text.
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            id: "s-1".into(),
            binds: Vec::new(),
            home: 64 << 20,
            network: Network::None,
            devices: Vec::new(),
            input: Input::None,
            server: Server::default(),
            largest: Size::new(1280, 720),
            limits: Limits::default(),
            patience: Patience::default(),
        }
    }

    fn refused(change: impl FnOnce(&mut Spec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        spec.check(Path::new("/var/lib/nearlight/run")).map_err(|e| e.to_string()).unwrap_err()
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        for id in ["", "a/b", "..", "a b", "ä", &"x".repeat(65)] {
            assert!(refused(|spec| spec.id = id.into()).contains("name"));
        }
    }

    #[test]
    fn binds_that_show_too_much_are_refused() {
        let bind = |source: &str, at: &str| {
            refused(|spec| spec.binds.push(Bind { source: source.into(), at: at.into() }))
        };
        for source in ["/", "/var", "/var/lib/nearlight", "/var/lib/nearlight/run/x"] {
            assert!(bind(source, "/game").contains("own files"), "{source}");
        }
        for at in ["/", "/etc/passwd", "/proc/1", "/dev/x", "/tmp/.X11-unix", "/home/player/.x"] {
            assert!(bind("/srv/game", at).contains("its own"), "{at}");
        }
        for path in ["game", "/srv/../etc", ""] {
            assert!(bind(path, "/game").contains("absolute"), "{path}");
            assert!(bind("/srv/game", path).contains("absolute"), "{path}");
        }
    }

    #[test]
    fn nothing_is_hidden_where_the_game_has_something() {
        let mut spec = spec();
        spec.binds.push(Bind { source: "/srv/quake".into(), at: "/game/data".into() });
        let hidden = |paths: &[&str]| {
            let secrets: Vec<_> = paths.iter().map(PathBuf::from).collect();
            let hidden = spec.hidden(&secrets);
            hidden.iter().map(|path| path.display().to_string()).skip(2).collect::<Vec<_>>()
        };
        let fine = ["/var/lib/nearlight", "/var/lib/nearlight/key", "/tmp/run", "/etc/nearlight"];
        assert_eq!(hidden(&fine), fine);
        let taken = [
            "/",
            "/game",
            "/game/data/x",
            "/usr/share/nearlight",
            "/run",
            "/run/nearlight/x",
            "/home",
            "/home/player/x",
            "/tmp",
            "/etc",
            "/etc/ssl/certs/x",
            "relative",
        ];
        assert_eq!(hidden(&taken), [""; 0]);
    }

    #[test]
    fn devices_lie_below_dev() {
        for path in ["/etc/shadow", "/dev/../etc/shadow", "dev/null"] {
            assert!(refused(|spec| spec.devices.push(path.into())).contains("device"), "{path}");
        }
    }
}
