//! Starts bubblewrap, and what is beside it.
#![expect(unsafe_code, reason = "descriptors are handed over between fork and exec")]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::FdFlags;

use super::folder::User;
use super::stand_ins::StandIns;

/// Standard streams.
pub(super) struct Streams {
    pub(super) input: Stdio,
    pub(super) output: Stdio,
    pub(super) error: Stdio,
}

/// What a process is started in.
#[derive(Default)]
pub(super) struct Surroundings {
    /// The doors of its control groups.
    pub(super) doors: Vec<OwnedFd>,
    /// Namespaces that it enters, one after the other.
    pub(super) namespaces: Vec<OwnedFd>,
    /// Who it is, if not the node's user.
    pub(super) user: Option<User>,
    /// Groups that it has beside that user's.
    pub(super) groups: Vec<u32>,
    /// What it sees in place of what that user cannot get to.
    pub(super) stand_ins: StandIns,
    /// A descriptor that it has beside its standard streams.
    pub(super) filter: Option<OwnedFd>,
}

/// Starts a program with these arguments. bubblewrap dies with the thread that calls this.
///
/// # Errors
/// When a group does not take it, what it needs cannot be entered or mounted, or it cannot be run.
pub(super) fn spawn(
    program: &Path,
    args: Vec<OsString>,
    streams: Streams,
    surroundings: Surroundings,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir("/");
    command.stdin(streams.input).stdout(streams.output).stderr(streams.error);
    let Surroundings { doors, namespaces, user, groups, stand_ins, filter } = surroundings;
    let named = stand_ins.names();
    let enter = move || {
        leave_real_time()?;
        heed_signals();
        for door in &doors {
            rustix::io::write(door, b"0")?;
        }
        stand_ins.mount()?;
        for namespace in &namespaces {
            setns(namespace, CloneFlags::empty())?;
        }
        if let Some(user) = user {
            become_user(user, &groups)?;
        }
        keep_only_standard_streams()?;
        if let Some(filter) = &filter {
            rustix::io::fcntl_setfd(filter, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be called. `enter` makes
    // system calls, over descriptors that it owns; it neither allocates nor locks.
    unsafe { command.pre_exec(enter) };
    command.spawn().map_err(|error| match named {
        Some(names) if error.kind() == io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            format!("games' users cannot get to {names}, and it cannot be mounted elsewhere"),
        ),
        _ => error,
    })
}

/// For good: the saved numbers, too. Of other groups it has these; those of the node's user are dropped.
///
/// # Errors
/// When the node may not.
fn become_user(User { uid, gid }: User, groups: &[u32]) -> io::Result<()> {
    // SAFETY: there is one thread, between fork and exec, and the list has as many groups as is said.
    let refused = unsafe {
        libc::setgroups(groups.len(), groups.as_ptr()) != 0
            || libc::setresgid(gid, gid, gid) != 0
            || libc::setresuid(uid, uid, uid) != 0
    };
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A node may run with real-time priority; a game with it could keep everybody else from the cores, and groups without
/// time set aside for that take none.
///
/// # Errors
/// The system's.
fn leave_real_time() -> io::Result<()> {
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: the calls take numbers, and a struct that outlives them; they ask and change this process alone.
    let result = unsafe {
        match libc::sched_getscheduler(0) {
            libc::SCHED_FIFO | libc::SCHED_RR => {
                libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary)
            }
            policy => policy.min(0),
        }
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A shell that starts the node in the background has it ignore signals, and what the node starts would, too: nobody
/// could interrupt a program in a terminal.
fn heed_signals() {
    for number in 1..32 {
        // SAFETY: the call takes numbers alone, and refuses those that nobody can ignore.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// What the node has open is closed on exec, also what it inherited itself without that mark, which a
/// game could use then.
///
/// # Errors
/// On kernels before 5.11.
fn keep_only_standard_streams() -> io::Result<()> {
    // SAFETY: the call takes numbers alone, and marks descriptors; it closes none of this process's.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A filter to hand over, and its number.
///
/// # Errors
/// When the system has no memory or descriptor for it.
pub(super) fn filter_file(bytes: &[u8]) -> io::Result<(OwnedFd, i32)> {
    let file = memfd_create("seccomp", MemfdFlags::CLOEXEC)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    seek(&file, SeekFrom::Start(0))?;
    let number = file.as_raw_fd();
    Ok((file, number))
}
