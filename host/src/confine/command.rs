//! The arguments of bubblewrap. Pure.
//!
//! What a game sees: the host's `/usr` and a few files of its `/etc`, read-only; what its entry names,
//! read-only; and a home, `/tmp`, `/run` and shared memory of its own that lie in memory, have a size and
//! go with the sandbox. Nothing that it can write to is the host's: the display's socket lies in its own
//! `/tmp`, and the node is handed it by the process inside.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use media::MOST_PADS;

use super::folder::User;
use super::spec::{Bind, Input, Network, Program, Server, Spec};
use super::stand_ins::StandIns;
use super::xorg;

/// The player's number in the sandbox.
pub const PLAYER: u32 = 1000;
/// The player's home.
pub const HOME: &str = "/home/player";
/// Where X servers have their sockets.
pub const X_FOLDER: &str = "/tmp/.X11-unix";
/// Where the sandbox's own files lie.
pub const OURS: &str = "/run/nearlight";
/// What names the player to the X server.
pub const XAUTHORITY: &str = "/run/nearlight/xauth";
/// The folder of the sound server's socket.
pub const SOUND: &str = "/run/nearlight/pulse";
/// The program that runs everything else.
pub const INIT: &str = "/run/nearlight/init";
/// The X server, where it does not lie in `/usr`.
pub const DISPLAY: &str = "/run/nearlight/display";

/// What Xorg is configured by.
const XORG_CONFIG: &str = "/run/nearlight/xorg.conf";
/// The library that makes gamepads of the node's sockets.
pub const JOYSTICK: &str = "/run/nearlight/joystick.so";
/// Where programs look for gamepads.
pub const INPUT: &str = "/dev/input";

/// `XDG_RUNTIME_DIR`.
pub const RUNTIME: &str = "/run/user/1000";

/// Bytes of `/tmp`: what games keep there is small, and counts as memory.
const TMP_BYTES: u64 = 256 << 20;
/// Bytes of POSIX shared memory.
const SHARED_BYTES: u64 = 256 << 20;
/// Bytes of `/run`, which holds sockets and little else.
const RUN_BYTES: u64 = 16 << 20;
/// Files and folders of `/etc` that programs look for, where they are there. Nothing that names users,
/// hosts or services of the host.
pub(super) const FROM_ETC: [&str; 19] = [
    "alternatives",
    "ca-certificates",
    "drirc",
    "fonts",
    "glvnd",
    "gtk-3.0",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "mime.types",
    "openal",
    "os-release",
    "ssl/certs",
    "timidity",
    "vulkan",
    "X11",
    "xdg",
];
/// Files that every session gets made, and what is in them.
pub const MADE: [(&str, &str); 6] = [
    (
        "passwd",
        "root:x:0:0:root:/:/usr/sbin/nologin\nplayer:x:1000:1000:Player:/home/player:/bin/sh\n",
    ),
    ("group", "root:x:0:\nplayer:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost nearlight\n::1 localhost nearlight\n"),
    ("hostname", "nearlight\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    // There is no sound card: ALSA's plugin (Debian: libasound2-plugins) hands on what is played to the session's server.
    ("asound.conf", "pcm.!default { type pulse }\nctl.!default { type pulse }\n"),
];

/// A folder at the top of the host's tree that programs need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Top {
    /// A folder.
    Folder(PathBuf),
    /// A link, as nearly all are since `/usr` was merged.
    Link {
        /// Where it lies.
        at: PathBuf,
        /// Where it points to.
        to: PathBuf,
    },
}

/// What is the same for all sandboxes of a node.
#[derive(Clone, Debug)]
pub struct Host {
    /// `/usr`, `/bin`, `/lib` and the like.
    pub tops: Vec<Top>,
    /// The program that becomes the sandbox's first process.
    pub init: PathBuf,
    /// The X server.
    pub display: PathBuf,
    /// The one for every finger, or why there is none.
    pub xorg: Result<PathBuf, String>,
    /// The library that makes gamepads of sockets, or why there is none.
    pub joystick: Result<PathBuf, String>,
    /// Whether bubblewrap can forbid further user namespaces.
    pub can_disable_userns: bool,
}

/// Of one sandbox.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// Its files on the host: `etc/`, `xauth`, `pulse/`, `input/`.
    pub folder: &'a Path,
    /// The descriptor of the filter.
    pub filter: i32,
    /// Where its user finds what it could not get to.
    pub stand_ins: &'a StandIns,
    /// What is shown in place of what is no game's business: a source each, and where.
    pub lures: &'a [(PathBuf, PathBuf)],
}

/// Everything after `bwrap`, to the end.
pub fn arguments(host: &Host, spec: &Spec, layout: &Layout<'_>) -> Vec<OsString> {
    let mut args = Arguments(Vec::new());
    args.apart(host, spec);
    args.tree_of_host(host);
    args.etc(spec, layout);
    args.devices(spec, layout);
    args.own_tree(spec, layout);
    for (source, at) in layout.lures {
        args.show(source, at);
    }
    for Bind { source, at } in &spec.binds {
        args.show(layout.stand_ins.source(source), at);
    }
    for (source, at) in programs(host, spec) {
        args.show(layout.stand_ins.source(source), at);
    }
    // Last: folders for the binds are made in it.
    args.add(["--remount-ro", "/", "--chdir", HOME]);
    args.add(["--seccomp", &layout.filter.to_string()]);
    args.add(["--", INIT]);
    args.0
}

/// What is shown by itself, and where.
fn programs<'a>(host: &'a Host, spec: &Spec) -> impl Iterator<Item = (&'a Path, &'static str)> {
    let display = (!host.display.starts_with("/usr")).then_some((&*host.display, DISPLAY));
    let joystick = host.joystick.as_deref().ok().filter(|_| spec.input == Input::Sockets);
    let joystick = joystick.map(|library| (library, JOYSTICK));
    std::iter::once((&*host.init, INIT)).chain(display).chain(joystick)
}

/// Stand-ins in this folder for what a user of its own cannot get to.
///
/// # Errors
/// When a source is not there, or the folder takes nothing.
pub(super) fn stand_ins(
    host: &Host,
    spec: &Spec,
    folder: &Path,
    user: Option<User>,
) -> io::Result<StandIns> {
    if user.is_none() {
        return Ok(StandIns::default());
    }
    let binds = spec.binds.iter().map(|bind| &*bind.source);
    StandIns::make(folder, binds.chain(programs(host, spec).map(|(source, _)| source)))
}

/// Variables that every program in a sandbox has.
pub fn environment() -> BTreeMap<String, String> {
    let sound = format!("unix:{SOUND}/native");
    let variables = [
        ("DISPLAY", ":0"),
        ("HOME", HOME),
        ("LANG", "C.UTF-8"),
        ("LOGNAME", "player"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"),
        ("PULSE_SERVER", &sound),
        ("SHELL", "/bin/sh"),
        ("USER", "player"),
        ("XAUTHORITY", XAUTHORITY),
        ("XDG_RUNTIME_DIR", RUNTIME),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Those of a game beside them.
pub fn game_environment(host: &Host, spec: &Spec) -> BTreeMap<String, String> {
    let mut environment = environment();
    if spec.input == Input::Sockets && host.joystick.is_ok() {
        environment.insert("LD_PRELOAD".into(), JOYSTICK.into());
    }
    if environment.contains_key("LD_PRELOAD") || spec.input == Input::Devices {
        // There is no udev in here: SDL looks at the folder then.
        environment.insert("SDL_JOYSTICK_DISABLE_UDEV".into(), "1".into());
    }
    environment
}

/// The X server as it is started: no network, no abstract socket, and as large as it will ever be. It
/// writes the number of its display to its standard output once it takes connections.
pub fn display(host: &Host, spec: &Spec) -> Program {
    let screen = format!("{}x{}x24", spec.largest.width, spec.largest.height);
    let inside = host.display.starts_with("/usr");
    let (command, own) = match (spec.server, &host.xorg) {
        (Server::Xorg, Ok(xorg)) => (xorg.display().to_string(), xorg::arguments(XORG_CONFIG)),
        _ => {
            let display = if inside { &*host.display } else { Path::new(DISPLAY) };
            (display.display().to_string(), ["-screen", "0", &screen].map(str::to_owned).into())
        }
    };
    let args = [
        ":0",
        "-displayfd",
        "1",
        "-nolisten",
        "tcp",
        "-nolisten",
        "local",
        "-auth",
        XAUTHORITY,
        "-noreset",
        "-s",
        "0",
        "-dpi",
        "96",
    ];
    Program {
        command,
        args: args.map(str::to_owned).into_iter().chain(own).collect(),
        env: environment(),
        folder: Some("/".into()),
    }
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, args: [&str; N]) {
        self.0.extend(args.map(OsString::from));
    }

    fn show(&mut self, source: impl AsRef<OsStr>, at: impl AsRef<OsStr>) {
        self.bind("--ro-bind", source, at);
    }

    fn bind(&mut self, how: &str, source: impl AsRef<OsStr>, at: impl AsRef<OsStr>) {
        self.0.extend([how.as_ref(), source.as_ref(), at.as_ref()].map(OsStr::to_owned));
    }

    /// A folder in memory that can be written to.
    fn scratch(&mut self, bytes: u64, mode: &str, at: &str) {
        self.add(["--size", &bytes.to_string(), "--perms", mode, "--tmpfs", at]);
    }

    fn folder(&mut self, mode: &str, at: &str) {
        self.add(["--perms", mode, "--dir", at]);
    }

    fn apart(&mut self, host: &Host, spec: &Spec) {
        self.add(["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts"]);
        self.add(["--unshare-cgroup-try"]);
        // The other one is entered before bubblewrap is run.
        if spec.network == Network::None {
            self.add(["--unshare-net"]);
        }
        let player = PLAYER.to_string();
        self.add(["--uid", &player, "--gid", &player, "--hostname", "nearlight"]);
        if host.can_disable_userns {
            self.add(["--disable-userns"]);
        }
        self.add(["--die-with-parent", "--new-session", "--as-pid-1"]);
        self.add(["--cap-drop", "ALL", "--clearenv"]);
    }

    fn tree_of_host(&mut self, host: &Host) {
        for top in &host.tops {
            match top {
                Top::Folder(path) => self.show(path, path),
                Top::Link { at, to } => self.bind("--symlink", to, at),
            }
        }
        // Programs that index fonts at their start take seconds without it.
        let fonts = "/var/cache/fontconfig";
        self.bind("--ro-bind-try", fonts, fonts);
        self.add(["--symlink", "../tmp", "/var/tmp"]);
        self.add(["--proc", "/proc"]);
    }

    fn etc(&mut self, spec: &Spec, layout: &Layout<'_>) {
        for name in FROM_ETC {
            let path = Path::new("/etc").join(name);
            self.bind("--ro-bind-try", &path, &path);
        }
        if spec.network == Network::Internet {
            self.show(layout.folder.join("etc/resolv.conf"), "/etc/resolv.conf");
        }
        for (name, _) in MADE {
            self.show(layout.folder.join("etc").join(name), Path::new("/etc").join(name));
        }
        self.show(layout.folder.join("etc/machine-id"), "/etc/machine-id");
    }

    fn devices(&mut self, spec: &Spec, layout: &Layout<'_>) {
        self.add(["--dev", "/dev"]);
        for device in &spec.devices {
            self.bind("--dev-bind", device, device);
        }
        if !spec.devices.is_empty() {
            // Drivers look there for what a device node belongs to.
            self.show("/sys", "/sys");
        }
        self.scratch(SHARED_BYTES, "1777", "/dev/shm");
        match spec.input {
            Input::None => {}
            Input::Sockets => self.show(layout.folder.join("input"), INPUT),
            Input::Devices => {
                // The folder is root's, so that nothing in it can be changed though it is not mounted read-only: bubblewrap
                // mounts nothing read-only in which devices can be used.
                self.bind("--dev-bind", layout.folder.join("input"), INPUT);
                for number in 0..MOST_PADS {
                    let raw = format!("hidraw{number}");
                    self.bind("--symlink", format!("input/{raw}"), format!("/dev/{raw}"));
                }
            }
        }
        self.add(["--remount-ro", "/dev"]);
    }

    fn own_tree(&mut self, spec: &Spec, layout: &Layout<'_>) {
        self.scratch(TMP_BYTES, "1777", "/tmp");
        self.folder("1777", X_FOLDER);
        self.scratch(RUN_BYTES, "0755", "/run");
        self.folder("0700", RUNTIME);
        self.folder("0755", OURS);
        self.show(layout.folder.join("xauth"), XAUTHORITY);
        if spec.server == Server::Xorg {
            self.show(layout.folder.join("xorg.conf"), XORG_CONFIG);
        }
        self.show(layout.folder.join("pulse"), SOUND);
        self.scratch(spec.home, "0700", HOME);
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::Patience;
    use super::super::spec::Limits;
    use super::*;
    use media::Size;

    fn spec() -> Spec {
        Spec {
            id: "one".into(),
            binds: vec![Bind { source: "/srv/quake".into(), at: "/game".into() }],
            home: 12_345,
            network: Network::None,
            devices: Vec::new(),
            input: Input::None,
            server: Server::default(),
            largest: Size::new(640, 360),
            limits: Limits::default(),
            patience: Patience::default(),
        }
    }

    fn args_of(spec: &Spec) -> Vec<String> {
        let host = Host {
            tops: vec![
                Top::Folder("/usr".into()),
                Top::Link { at: "/bin".into(), to: "usr/bin".into() },
            ],
            init: "/opt/nearlight-init".into(),
            display: "/opt/Xvfb".into(),
            xorg: Ok("/usr/lib/xorg/Xorg".into()),
            joystick: Ok("/opt/joystick.so".into()),
            can_disable_userns: true,
        };
        let layout = Layout {
            folder: Path::new("/state/one"),
            filter: 9,
            stand_ins: &StandIns::default(),
            lures: &[("/state/one/lures/0".into(), "/var/lib/nearlight".into())],
        };
        let args = arguments(&host, spec, &layout);
        args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    fn place(args: &[String], wanted: &str) -> usize {
        let wanted: Vec<&str> = wanted.split(' ').collect();
        let found = args.windows(wanted.len()).position(|window| window == wanted);
        found.unwrap_or_else(|| panic!("no {wanted:?} in {args:?}"))
    }

    #[test]
    fn everything_is_apart_and_nothing_of_the_host_can_be_written() {
        let args = args_of(&spec());
        for wanted in [
            "--unshare-user --unshare-ipc --unshare-pid --unshare-uts",
            "--unshare-net",
            "--die-with-parent --new-session --as-pid-1",
            "--cap-drop ALL --clearenv",
            "--symlink usr/bin /bin",
            "--ro-bind /usr /usr",
            "--ro-bind /srv/quake /game",
            "--ro-bind /state/one/lures/0 /var/lib/nearlight",
            "--size 12345 --perms 0700 --tmpfs /home/player",
            "--ro-bind /opt/Xvfb /run/nearlight/display",
            "--seccomp 9 -- /run/nearlight/init",
        ] {
            place(&args, wanted);
        }
        for never in ["--bind", "--bind-try", "--dev-bind", "--share-net", "--cap-add", "/sys"] {
            assert!(!args.iter().any(|arg| arg == never), "{never}");
        }
    }

    #[test]
    fn the_root_is_closed_after_the_last_bind() {
        let args = args_of(&spec());
        let closed = place(&args, "--remount-ro /");
        let last = args.iter().rposition(|arg| arg.contains("bind") || arg == "--tmpfs");
        assert!(last.unwrap() < closed);
        // What lies in a folder in memory is put there after it.
        let scratch = |at: &str| place(&args, &format!("--tmpfs {at}"));
        assert!(
            scratch("/run") < place(&args, "--ro-bind /opt/nearlight-init /run/nearlight/init")
        );
        assert!(place(&args, "--dev /dev") < scratch("/dev/shm"));
        assert!(scratch("/dev/shm") < place(&args, "--remount-ro /dev"));
    }

    #[test]
    fn names_of_the_host_are_not_shown() {
        let args = args_of(&spec());
        for (name, _) in MADE {
            place(&args, &format!("--ro-bind /state/one/etc/{name} /etc/{name}"));
        }
        let shown: Vec<_> = args.iter().filter(|arg| arg.starts_with("/etc")).collect();
        for name in ["/etc", "/etc/shadow", "/etc/resolv.conf", "/etc/ssl", "/etc/ssl/private"] {
            assert!(!shown.iter().any(|path| *path == name), "{name}");
        }
    }

    #[test]
    fn devices_and_networks_come_only_as_asked() {
        let mut spec = spec();
        spec.network = Network::Internet;
        spec.devices = vec!["/dev/dri/renderD128".into()];
        let args = args_of(&spec);
        assert!(!args.iter().any(|arg| arg == "--unshare-net"));
        place(&args, "--ro-bind /state/one/etc/resolv.conf /etc/resolv.conf");
        let device = place(&args, "--dev-bind /dev/dri/renderD128 /dev/dri/renderD128");
        assert!(place(&args, "--dev /dev") < device);
        place(&args, "--ro-bind /sys /sys");
    }

    #[test]
    fn gamepads_come_only_as_asked() {
        let mut spec = spec();
        let host = |joystick| Host {
            tops: Vec::new(),
            init: "/opt/init".into(),
            display: "/usr/bin/Xvfb".into(),
            xorg: Err("none".into()),
            joystick,
            can_disable_userns: true,
        };
        let (found, missing) = (host(Ok("/opt/joystick.so".into())), host(Err("gone".into())));
        assert!(!args_of(&spec).iter().any(|arg| arg.contains("input") || arg == JOYSTICK));
        assert_eq!(game_environment(&found, &spec), environment());
        spec.input = Input::Sockets;
        let args = args_of(&spec);
        place(&args, "--ro-bind /opt/joystick.so /run/nearlight/joystick.so");
        let folder = place(&args, "--ro-bind /state/one/input /dev/input");
        assert!(folder < place(&args, "--remount-ro /dev"));
        assert_eq!(game_environment(&found, &spec)["LD_PRELOAD"], JOYSTICK);
        assert_eq!(game_environment(&missing, &spec), environment());
    }

    #[test]
    fn devices_of_the_kernel_need_no_library() {
        let mut spec = spec();
        spec.input = Input::Devices;
        let args = args_of(&spec);
        let folder = place(&args, "--dev-bind /state/one/input /dev/input");
        let raw = place(&args, "--symlink input/hidraw3 /dev/hidraw3");
        assert!(folder < raw && raw < place(&args, "--remount-ro /dev"));
        assert!(!args.iter().any(|arg| arg == JOYSTICK));
        let host = Host {
            tops: Vec::new(),
            init: "/opt/init".into(),
            display: "/usr/bin/Xvfb".into(),
            xorg: Err("none".into()),
            joystick: Ok("/opt/joystick.so".into()),
            can_disable_userns: true,
        };
        let variables = game_environment(&host, &spec);
        assert!(!variables.contains_key("LD_PRELOAD"));
        assert_eq!(variables["SDL_JOYSTICK_DISABLE_UDEV"], "1");
    }

    #[test]
    fn arguments_of_a_path_stay_one() {
        let mut spec = spec();
        spec.binds = vec![Bind { source: "/srv/a b; rm -rf $HOME".into(), at: "/game".into() }];
        let args = args_of(&spec);
        assert!(args.iter().any(|arg| arg == "/srv/a b; rm -rf $HOME"));
    }
}
