//! The processes of a sandbox while they are there.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, unlinkat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::attempts::Shown;
use super::cgroup::Group;
use super::command::{self, Layout};
use super::internet::Internet;
use super::launch::{Streams, Surroundings, filter_file, spawn};
use super::processes;
use super::protocol::Channel;
use super::run::Plan;

/// The X server's socket; there is one server, and it is told the number.
const X_SOCKET: &str = "X0";

/// What is there while bubblewrap runs.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) child_ended: OwnedFd,
    pub(super) status: Option<ExitStatus>,
    /// The first process inside, once it has said that it is there. All others end before it has ended.
    pub(super) init: Option<OwnedFd>,
    pub(super) init_ended: bool,
    /// When what has no first process yet is killed all the same.
    pub(super) force_at: Option<Instant>,
    /// The folder that the X server makes its socket in.
    pub(super) sockets: Option<OwnedFd>,
    /// `None` when the other end is closed.
    pub(super) control: Option<Channel>,
    /// Of the game, and of what is around it.
    pub(super) streams: [Option<OwnedFd>; 2],
    /// It ends with this.
    _internet: Option<Internet>,
}

impl Running {
    /// Makes the sandbox. It dies with the calling thread.
    ///
    /// # Errors
    /// When bubblewrap cannot be run; nothing of it is left then.
    pub(super) fn open(plan: &Plan, lures: &[Shown]) -> io::Result<Self> {
        let (file, filter) = filter_file(&plan.filter)?;
        let folder = plan.folder.path();
        let mut stand_ins = command::stand_ins(&plan.host, &plan.spec, folder, plan.user)?;
        if let Some(input) = &plan.input {
            stand_ins.add(input.mounted_at(&folder.join("input"))?);
        }
        let layout = Layout { folder, filter, stand_ins: &stand_ins, lures };
        let args = command::arguments(&plan.host, &plan.spec, &layout);
        let (control, theirs) = Channel::pair()?;
        let doors = || plan.group.as_ref().map_or(Ok(Vec::new()), Group::doors);
        let (internet, namespaces) = match &plan.internet {
            Some(tools) => {
                let made = Internet::open(tools, &plan.id, doors()?, plan.user, plan.books.clone());
                let explain =
                    |error| io::Error::other(format!("no internet for the game: {error}"));
                let (internet, namespaces) = made.map_err(explain)?;
                (Some(internet), namespaces)
            }
            None => (None, Vec::new()),
        };
        let streams =
            Streams { input: theirs.into(), output: Stdio::piped(), error: Stdio::piped() };
        let (doors, user, filter) = (doors()?, plan.user, Some(file));
        let groups = plan.groups.clone();
        let around = Surroundings { doors, namespaces, user, groups, stand_ins, filter };
        let mut child = spawn(&plan.bwrap, args, streams, around)?;
        let pid = child.id();
        let streams =
            [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let watched = || {
            for stream in streams.iter().flatten() {
                rustix::io::ioctl_fionbio(stream, true)?;
            }
            io::Result::Ok(pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
        };
        let child_ended = match watched() {
            Ok(fd) => fd,
            Err(error) => {
                // It cannot be watched, so it must not be there.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            child,
            child_ended,
            status: None,
            init: None,
            init_ended: false,
            force_at: None,
            sockets: None,
            control: Some(control),
            streams,
            _internet: internet,
        })
    }

    /// Whether no process of the sandbox is left.
    pub(super) fn is_gone(&self) -> bool {
        // What is still being made has both streams, and nothing has been started that could be loud.
        let inside = match self.init {
            Some(_) => self.init_ended,
            None => self.streams.iter().all(Option::is_none),
        };
        self.status.is_some() && inside
    }

    /// The X server's socket, which the game cannot put another file of the host in place of.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn x_socket(&self) -> io::Result<OwnedFd> {
        self.socket(X_SOCKET)
    }

    /// A socket beside it, likewise.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn socket(&self, name: &str) -> io::Result<OwnedFd> {
        let folder = self.sockets.as_ref().ok_or(ErrorKind::NotFound)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let socket = openat2(folder, name, flags, Mode::empty(), resolve)?;
        let kind = FileType::from_raw_mode(fstat(&socket)?.st_mode);
        if kind != FileType::Socket {
            return Err(io::Error::other("it is no socket"));
        }
        Ok(socket)
    }

    /// Takes the name of such a socket away, which stays open for whoever is connected.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        let folder = self.sockets.as_ref().ok_or(ErrorKind::NotFound)?;
        Ok(unlinkat(folder, name, AtFlags::empty())?)
    }
}

pub(super) fn pid_of(number: u32) -> io::Result<Pid> {
    Pid::from_raw(number.cast_signed()).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// A handle on a process that said to be in the sandbox, if it is below bubblewrap. Looked at after the
/// handle was made: its number may be another's by now.
pub(super) fn inside(pid: Pid, outermost: u32) -> io::Result<OwnedFd> {
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let number = pid.as_raw_nonzero().get().cast_unsigned();
    if processes::below(outermost).iter().any(|stat| stat.pid == number) {
        return Ok(handle);
    }
    Err(io::Error::other("it is not in the sandbox"))
}
