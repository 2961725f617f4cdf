//! The folder that a game sees as `/dev/input`, where it has devices of the kernel.
//!
//! It is a file system of its own in memory, mounted nowhere but in the session's sandbox: what lies in `/dev/input` of the
//! host is not in it, and no other session can get to it. So it takes a node that may mount, which is root.
#![expect(unsafe_code, reason = "mounts; confined to this module")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags};

/// `FSCONFIG_SET_STRING`, `FSCONFIG_CMD_CREATE` (`linux/mount.h`).
const SET_STRING: u32 = 1;
const CREATE: u32 = 6;
/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`.
const CLOEXEC: u32 = 1;
/// `MOUNT_ATTR_NOSUID`, `MOUNT_ATTR_NOEXEC`. Not `NODEV`: devices are what it is for.
const ATTRIBUTES: u32 = 0x2 | 0x8;
/// `MOVE_MOUNT_F_EMPTY_PATH`.
const EMPTY_PATH: u32 = 4;
/// What it is made with: nodes take no blocks, and there are no more of them than these.
const OPTIONS: [(&CStr, &CStr); 3] =
    [(c"mode", c"0755"), (c"nr_blocks", c"16"), (c"nr_inodes", c"64")];

/// See the module. What is in it goes with the last who has it.
#[derive(Debug)]
pub struct DeviceFolder {
    mount: OwnedFd,
    group: u32,
}

impl DeviceFolder {
    /// Makes one. What is put into it can be used by `group` alone.
    ///
    /// # Errors
    /// When this process may not mount, or the kernel is older than 5.2.
    pub fn make(group: u32) -> io::Result<Self> {
        // SAFETY: texts that end with NUL, and numbers.
        let system = unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), CLOEXEC) };
        let system = descriptor(system)?;
        for (name, value) in OPTIONS {
            // SAFETY: as above, of a descriptor that is open.
            done(unsafe {
                let (name, value) = (name.as_ptr(), value.as_ptr());
                libc::syscall(libc::SYS_fsconfig, system.as_raw_fd(), SET_STRING, name, value, 0)
            })?;
        }
        let none = std::ptr::null::<libc::c_char>();
        // SAFETY: numbers, no texts, and a descriptor that is open.
        done(unsafe {
            libc::syscall(libc::SYS_fsconfig, system.as_raw_fd(), CREATE, none, none, 0)
        })?;
        // SAFETY: numbers, and a descriptor that is open.
        let mount =
            unsafe { libc::syscall(libc::SYS_fsmount, system.as_raw_fd(), CLOEXEC, ATTRIBUTES) };
        Ok(Self { mount: descriptor(mount)?, group })
    }

    /// Puts the device of this number into it. Programs see it come when it is theirs already.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn put(&self, name: &str, number: Dev) -> io::Result<()> {
        let made = format!(".{name}");
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP;
        rustix::fs::mknodat(&self.mount, &*made, FileType::CharacterDevice, mode, number)?;
        let owned = || {
            let group = Some(Gid::from_raw(self.group));
            rustix::fs::chownat(&self.mount, &*made, None, group, AtFlags::SYMLINK_NOFOLLOW)?;
            // The node's umask took rights away.
            rustix::fs::chmodat(&self.mount, &*made, mode, AtFlags::empty())?;
            rustix::fs::renameat(&self.mount, &*made, &self.mount, name)
        };
        owned().map_err(|error| {
            // It was not to be seen.
            let _ = self.remove(&made);
            error.into()
        })
    }

    /// Takes it out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.mount, name, AtFlags::empty())?)
    }

    /// Opens what is in it, as the game does.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn open(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(rustix::fs::openat(&self.mount, name, flags, Mode::empty())?)
    }

    /// A place for it, to be mounted by another process.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(crate) fn mounted_at(&self, path: &Path) -> io::Result<Mounted> {
        Ok(Mounted {
            mount: self.mount.try_clone()?,
            at: CString::new(path.as_os_str().as_bytes())?,
        })
    }
}

/// A folder that is to be mounted at a place.
#[derive(Debug)]
pub(crate) struct Mounted {
    mount: OwnedFd,
    at: CString,
}

impl Mounted {
    /// Mounts it for whoever has this process's mounts. Neither allocates nor locks: it is called between fork and exec.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn mount(&self) -> io::Result<()> {
        let (mount, at) = (self.mount.as_raw_fd(), self.at.as_ptr());
        // SAFETY: texts that end with NUL, and a descriptor that is open.
        done(unsafe {
            let nowhere = c"".as_ptr();
            libc::syscall(libc::SYS_move_mount, mount, nowhere, libc::AT_FDCWD, at, EMPTY_PATH)
        })
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    done(result)?;
    // SAFETY: the kernel has just given it to us alone. Descriptors are numbers of 32 bits.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
