//! What this machine has for sandboxes.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use media::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use thiserror::Error;

use super::cgroup::Tree;
use super::command::{self, Host, Layout, Top};
use super::folder::{Run, User};
use super::internet::{self, Tools};
use super::launch::{Streams, Surroundings, filter_file, spawn};
use super::machine::Patience;
use super::mark::Mark;
use super::spec::{Input, Limits, Network, Server, Spec};
use super::{Config, filter, xorg};
use crate::{Offers, devices};

/// How long a tool may take to say its version, or a trial to run.
const TOOL_PATIENCE: Duration = Duration::from_secs(20);
/// The library's file.
const JOYSTICK: &str = "libnearlight_joystick.so";
/// Bytes that are read of what a tool says.
const SAID: u64 = 4_096;

/// Why this machine hosts no games.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Missing {
    /// A program is not installed, or does not run.
    #[error("{name} is missing ({reason}); {hint}")]
    Tool {
        /// The program.
        name: &'static str,
        /// What was found instead.
        reason: String,
        /// What an operator can do.
        hint: &'static str,
    },
    /// The kernel, or what guards it, lets no sandbox be made.
    #[error("no sandbox can be made: {0}")]
    Sandbox(String),
    /// The folder for sandboxes cannot be used.
    #[error("{folder}: {source}")]
    Folder {
        /// It.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Root was given no users that games may run as.
    #[error("the node runs as root, and has no users for games: none may run as root")]
    Users,
    /// There is no filter for the processor.
    #[error("system calls cannot be filtered: {0}")]
    Filter(String),
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Where.
    pub path: PathBuf,
    /// What it says of itself, if it does.
    pub version: Option<String>,
}

/// What was found, to be shown to operators.
#[derive(Clone, Debug)]
pub struct Found {
    /// Bubblewrap.
    pub bwrap: Tool,
    /// The X server.
    pub display: Tool,
    /// The first process of sandboxes.
    pub init: PathBuf,
    /// Whether games run under users of their own.
    pub own_users: bool,
    /// What bounds them: `cgroup v2`, or `cgroup v1` with what is missing; or `limits unavailable: ` and the reason.
    pub limits: Result<String, String>,
    /// What games can have.
    pub offers: Offers,
}

/// Everything that sandboxes are made with.
pub(super) struct Parts {
    pub(super) found: Found,
    pub(super) host: Host,
    pub(super) internet: Result<Tools, String>,
    pub(super) filter: Vec<u8>,
    pub(super) limits: Result<Tree, String>,
    pub(super) run: Run,
}

pub(super) fn parts(config: &Config) -> Result<Parts, Missing> {
    let bwrap = tool("bwrap", config.bwrap.as_deref(), Some("--version"), "install bubblewrap")?;
    // It does not say its version without a display.
    let display = tool("Xvfb", config.display.as_deref(), None, "install xvfb")?;
    let filter = filter::bytes().map_err(Missing::Filter)?;
    let own_users = rustix::process::geteuid().is_root();
    if own_users && config.users.is_empty() {
        return Err(Missing::Users);
    }
    let folder = |source| Missing::Folder { folder: config.run.clone(), source };
    let mark = Mark::own().map_err(folder)?;
    let run = Run::open(&config.run, &mark).map_err(folder)?;
    let init = init(config.init.as_deref(), own_users)?;
    let joystick = joystick(config.init.as_deref(), own_users);
    let devices = devices::find(config.devices.as_deref(), own_users);
    let tops = tops().map_err(folder)?;
    let display_path = display.path.clone();
    let xorg = xorg::find(config.xorg.as_deref());
    let can_disable_userns = true;
    let host = Host { tops, init, display: display_path, xorg, joystick, can_disable_userns };
    let user = own_users.then_some(User { uid: config.users.start, gid: config.users.start });
    let host = tried(&bwrap.path, host, &filter, &run, user)?;
    let internet = internet(config.passt.as_deref(), &host.init, user);
    let limits = match config.limits {
        true => Tree::find(&mark),
        false => Err("switched off".to_owned()),
    };
    if let Ok(tree) = &limits {
        tree.remove_leftovers();
    }
    let told = Tree::in_words(&limits);
    let (init, joystick, xorg) = (host.init.clone(), host.joystick.clone(), host.xorg.clone());
    let passt = internet.as_ref().map(|tools| tools.passt.clone()).map_err(Clone::clone);
    let offers = Offers { xorg, joystick, devices, internet: passt, gpu: config.gpu.clone() };
    let found = Found { bwrap, display, init, own_users, limits: told, offers };
    Ok(Parts { found, host, internet, filter, limits, run })
}

/// Finds a program, and lets it say its version where there is an argument for that.
pub(super) fn tool(
    name: &'static str,
    configured: Option<&Path>,
    version: Option<&str>,
    hint: &'static str,
) -> Result<Tool, Missing> {
    let missing = |reason| Missing::Tool { name, reason, hint };
    let path = match configured {
        Some(path) => path.to_owned(),
        None => in_path(name).ok_or_else(|| missing("not in PATH".to_owned()))?,
    };
    let path = path.canonicalize().map_err(|e| missing(format!("{}: {e}", path.display())))?;
    let explain = |error: io::Error| missing(format!("{}: {error}", path.display()));
    let data = fs::metadata(&path).map_err(explain)?;
    if !data.is_file() || data.mode() & 0o111 == 0 {
        return Err(missing(format!("{} is no program", path.display())));
    }
    let Some(version) = version else { return Ok(Tool { path, version: None }) };
    let mut command = Command::new(&path);
    command.arg(version).stdin(Stdio::null());
    let (_, said) = said_by(command).map_err(explain)?;
    let version = said.lines().next().map(|line| line.trim().to_owned());
    Ok(Tool { path, version })
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The program beside this one, or the configured one.
pub(super) fn init(configured: Option<&Path>, own_users: bool) -> Result<PathBuf, Missing> {
    let missing = |reason: String| Missing::Tool {
        name: "nearlight-init",
        reason,
        hint: "it is installed beside nearlight",
    };
    let path = match configured {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(|error| missing(error.to_string()))?
            .with_file_name("nearlight-init"),
    };
    let explain = |error: io::Error| missing(format!("{}: {error}", path.display()));
    let path = path.canonicalize().map_err(explain)?;
    let mode = fs::metadata(&path).map_err(explain)?.mode();
    if own_users && mode & 0o005 != 0o005 {
        return Err(missing(format!("{} is closed to games' users: chmod +rx", path.display())));
    }
    Ok(path)
}

/// The library beside the first process of sandboxes, which is where it is installed, or below that, where cargo
/// leaves it.
pub(super) fn joystick(init: Option<&Path>, own_users: bool) -> Result<PathBuf, String> {
    let own = || std::env::current_exe().map_err(|error| error.to_string());
    let beside = init.map_or_else(own, |init| Ok(init.to_owned()))?;
    let folder = beside.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(JOYSTICK), folder.join("deps").join(JOYSTICK)];
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        return Err(format!("there is no {JOYSTICK} in {}", folder.display()));
    };
    let explain = |error: io::Error| format!("{}: {error}", path.display());
    let path = path.canonicalize().map_err(explain)?;
    if own_users && fs::metadata(&path).map_err(explain)?.mode() & 0o004 == 0 {
        return Err(format!("{} is closed to games' users: chmod +r", path.display()));
    }
    Ok(path)
}

/// What gives games the internet, which is tried out.
pub(super) fn internet(
    configured: Option<&Path>,
    init: &Path,
    user: Option<User>,
) -> Result<Tools, String> {
    let passt = tool("passt", configured, None, "install passt").map_err(|e| e.to_string())?;
    let tools = Tools { passt: passt.path, init: init.to_owned() };
    internet::try_out(&tools, user).map(|()| tools)
}

/// `/usr`, and what lies beside it on machines where it is not merged, or points into it.
pub(super) fn tops() -> io::Result<Vec<Top>> {
    let mut tops = vec![Top::Folder("/usr".into())];
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let path = Path::new("/").join(name);
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_symlink() => {
                tops.push(Top::Link { to: fs::read_link(&path)?, at: path });
            }
            Ok(data) if data.is_dir() => tops.push(Top::Folder(path)),
            _ => {}
        }
    }
    Ok(tops)
}

/// Makes a sandbox and ends it, with everything that sandboxes have; without what not all versions of
/// bubblewrap can do, if it must be so.
pub(super) fn tried(
    bwrap: &Path,
    mut host: Host,
    filter: &[u8],
    run: &Run,
    user: Option<User>,
) -> Result<Host, Missing> {
    let first = attempt(bwrap, &host, filter, run, user);
    let Err(reason) = first else { return Ok(host) };
    host.can_disable_userns = false;
    match attempt(bwrap, &host, filter, run, user) {
        Ok(()) => {
            tracing::info!(%reason, "user namespaces in sandboxes are refused by the filter alone");
            Ok(host)
        }
        Err(reason) => Err(Missing::Sandbox(reason)),
    }
}

fn attempt(
    bwrap: &Path,
    host: &Host,
    filter: &[u8],
    run: &Run,
    user: Option<User>,
) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let spec = Spec {
        id: "trial".to_owned(),
        binds: Vec::new(),
        home: 1 << 20,
        network: Network::None,
        devices: Vec::new(),
        input: Input::None,
        server: Server::default(),
        largest: Size::new(640, 480),
        limits: Limits::default(),
        patience: Patience::default(),
    };
    let folder = run.make("-trial-", user, &[0; 16]).map_err(text)?;
    let (file, number) = filter_file(filter).map_err(text)?;
    let stand_ins = command::stand_ins(host, &spec, folder.path(), user).map_err(text)?;
    let layout =
        Layout { folder: folder.path(), filter: number, stand_ins: &stand_ins, lures: &[] };
    let mut args = command::arguments(host, &spec, &layout);
    args.push("--check".into());
    let streams = Streams { input: Stdio::null(), output: Stdio::null(), error: Stdio::piped() };
    let around = Surroundings { user, stand_ins, filter: Some(file), ..Surroundings::default() };
    let child = spawn(bwrap, args, streams, around).map_err(text)?;
    let (ok, said) = finish(child).map_err(text)?;
    if ok { Ok(()) } else { Err(said.trim().to_owned()) }
}

/// Whether a program succeeded, and what it said on both streams.
fn said_by(mut command: Command) -> io::Result<(bool, String)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn()?)
}

fn finish(mut child: std::process::Child) -> io::Result<(bool, String)> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let patience = Timespec::try_from(TOOL_PATIENCE).map_err(io::Error::other)?;
    // What tools say fits a pipe, so they need not be read from before they end.
    let mut fds = [PollFd::new(&ended, PollFlags::IN)];
    let in_time = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience)))? > 0;
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(SAID).read_to_end(&mut said)?;
    }
    if let Some(err) = child.stderr.take() {
        err.take(SAID).read_to_end(&mut said)?;
    }
    if !in_time {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end"));
    }
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_what_helps() {
        for wrong in ["/nonexistent/bwrap", "/etc/passwd", "/usr"] {
            let missing =
                tool("bwrap", Some(wrong.as_ref()), Some("-v"), "install it").unwrap_err();
            let text = missing.to_string();
            assert!(text.contains(wrong) && text.contains("install it"), "{text}");
        }
    }

    #[test]
    fn a_version_is_the_first_thing_that_is_said() {
        let echo = Some(Path::new("/bin/echo"));
        let version = |arg| tool("echo", echo, arg, "").unwrap().version;
        assert_eq!(version(Some("echo 1.2\nmore")), Some("echo 1.2".to_owned()));
        assert_eq!(version(None), None);
    }

    #[test]
    fn the_tops_begin_with_usr() {
        let tops = tops().unwrap();
        assert_eq!(tops[0], Top::Folder("/usr".into()));
        assert!(tops.len() > 1);
    }
}
