//! Loaded into games by `LD_PRELOAD`: sockets of the node that lie in `/dev/input` are gamepads to them.
//!
//! Only what the kernel refuses, since it is a socket and no device, is answered here; everything else is the kernel's
//! answer. So programs find gamepads by listing the folder or by `inotify`, open them, ask what they are, read and
//! `poll` them as ever. Nothing is remembered of descriptors: whether one is a gamepad is seen by the name of the
//! socket's other end, so that `dup`, `fork` and `exec` are right by themselves. A program that is linked statically,
//! or has another word size, is not reached.
//!
//! This library must never panic, allocate, wait, or take anything from the node on trust that could harm the game.

#![expect(unsafe_code, reason = "it stands in for functions of libc")]
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod answer;
mod device;

use core::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};

use libc::{mode_t, sa_family_t, sockaddr, sockaddr_un, socklen_t, stat as Stat};

/// Where programs look for gamepads.
const FOLDER: &[u8] = b"/dev/input/";

/// A gamepad's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// By the interface of all input devices.
    Event(u8),
    /// By that of joysticks.
    Js(u8),
}

impl Device {
    /// The one of this file name.
    fn of_name(name: &[u8]) -> Option<Self> {
        let (stem, number) = name.split_at_checked(name.len().checked_sub(1)?)?;
        let number = number.first()?.checked_sub(b'0').filter(|number| *number < 10)?;
        match device::NAMES.iter().position(|each| *each == stem)? {
            0 => Some(Self::Event(number)),
            _ => Some(Self::Js(number)),
        }
    }

    /// What the kernel would number it by (`Documentation/admin-guide/devices.txt`).
    fn number(self) -> libc::dev_t {
        match self {
            Self::Event(number) => libc::makedev(13, 64 + u32::from(number)),
            Self::Js(number) => libc::makedev(13, u32::from(number)),
        }
    }
}

/// The gamepad of this path.
///
/// # Safety
/// The kernel has read the path, so it is a string.
unsafe fn device_at(path: *const c_char) -> Option<Device> {
    // SAFETY: as the caller says.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    Device::of_name(path.strip_prefix(FOLDER)?)
}

/// The gamepad that is open as `fd`.
fn device_behind(fd: c_int) -> Option<Device> {
    // SAFETY: zeros are an address.
    let mut peer: sockaddr_un = unsafe { core::mem::zeroed() };
    let mut length = size_of::<sockaddr_un>() as socklen_t;
    // SAFETY: both are as large as they are said to be.
    let got = unsafe { libc::getpeername(fd, (&raw mut peer).cast::<sockaddr>(), &raw mut length) };
    if got != 0 || peer.sun_family != libc::AF_UNIX as sa_family_t {
        return None;
    }
    // SAFETY: characters are bytes, and the array is this long.
    let path = unsafe {
        core::slice::from_raw_parts(peer.sun_path.as_ptr().cast::<u8>(), peer.sun_path.len())
    };
    let path = path.split(|byte| *byte == 0).next()?;
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    Device::of_name(path.get(slash + 1..)?)
}

fn errno() -> c_int {
    // SAFETY: every thread has one.
    unsafe { *libc::__errno_location() }
}

fn fail(error: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// Opens a file, or a gamepad where the kernel says that it is a socket.
///
/// # Safety
/// As `openat(2)`.
unsafe fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    let fd = unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) } as c_int;
    if fd >= 0 || errno() != libc::ENXIO {
        return fd;
    }
    // SAFETY: the kernel found what the path leads to.
    match unsafe { device_at(path) } {
        // SAFETY: as above.
        Some(_) => unsafe { connect(path, flags) },
        None => fail(libc::ENXIO),
    }
}

/// # Safety
/// The path is a string.
unsafe fn connect(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: zeros are an address.
    let mut address: sockaddr_un = unsafe { core::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as sa_family_t;
    // SAFETY: as the caller says.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if path.len() > address.sun_path.len() {
        return fail(libc::ENXIO);
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as c_char;
    }
    let close_on_exec = if flags & libc::O_CLOEXEC == 0 { 0 } else { libc::SOCK_CLOEXEC };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | close_on_exec;
    // SAFETY: arguments without pointers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return fd;
    }
    let length = size_of::<sockaddr_un>() as socklen_t;
    // SAFETY: the address is as long as that.
    let mut done = unsafe { libc::connect(fd, (&raw const address).cast::<sockaddr>(), length) };
    if done == 0 && flags & libc::O_NONBLOCK == 0 {
        // SAFETY: arguments without pointers.
        done = unsafe { libc::fcntl(fd, libc::F_SETFL, 0) };
    }
    if done != 0 {
        // SAFETY: it is ours.
        unsafe { libc::close(fd) };
        return fail(libc::ENODEV);
    }
    fd
}

/// `open(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

/// `open64(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
}

/// `openat(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(folder, path, flags, mode) }
}

/// `openat64(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(folder, path, flags, mode) }
}

/// `open` as fortified programs call it, where there is no mode.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(libc::AT_FDCWD, path, flags, 0) }
}

/// As [`__open_2`].
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __open64_2(path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: as the caller says.
    unsafe { open_at(libc::AT_FDCWD, path, flags, 0) }
}

/// `ioctl(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: as the caller says.
    let done = unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } as c_int;
    let group = (request >> 8) as u8;
    if done >= 0 || !matches!(group, b'E' | b'j') {
        return done;
    }
    let error = errno();
    let answer = match (device_behind(fd), group) {
        (Some(Device::Event(number)), b'E') => {
            // SAFETY: as the caller says: the request tells how large its argument is.
            unsafe { answer::event(fd, number, request, argument) }
        }
        (Some(Device::Js(_)), b'j') => {
            // SAFETY: as above.
            unsafe { answer::js(request, argument) }
        }
        _ => Err(error),
    };
    answer.unwrap_or_else(fail)
}

/// Makes a gamepad a character device.
///
/// # Safety
/// `data` is what the kernel has just written.
unsafe fn disguise(data: *mut Stat, device: impl FnOnce() -> Option<Device>) {
    // SAFETY: as the caller says.
    let data = unsafe { &mut *data };
    if data.st_mode & libc::S_IFMT != libc::S_IFSOCK {
        return;
    }
    let error = errno();
    if let Some(device) = device() {
        data.st_mode = libc::S_IFCHR | data.st_mode & !libc::S_IFMT;
        data.st_rdev = device.number();
    }
    fail(error);
}

/// # Safety
/// As `fstatat(2)`.
unsafe fn stat_at(folder: c_int, path: *const c_char, data: *mut Stat, flags: c_int) -> c_int {
    // SAFETY: as the caller says.
    let done = unsafe { libc::syscall(libc::SYS_newfstatat, folder, path, data, flags) };
    if done == 0 {
        // SAFETY: the kernel read the path and wrote the data.
        unsafe { disguise(data, || device_at(path)) };
    }
    done as c_int
}

/// # Safety
/// As `fstat(2)`.
unsafe fn stat_of(fd: c_int, data: *mut Stat) -> c_int {
    // SAFETY: as the caller says.
    let done: c_long = unsafe { libc::syscall(libc::SYS_fstat, fd, data) };
    if done == 0 {
        // SAFETY: the kernel wrote the data.
        unsafe { disguise(data, || device_behind(fd)) };
    }
    done as c_int
}

/// Functions that differ in their names only: those of today, of large files, and of programs that were linked before
/// glibc 2.33, whose first argument is a version that has been the same ever since.
macro_rules! stats {
    ($($name:ident $old:ident $flags:expr;)*) => {$(
        /// `stat(2)` and its like.
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, data: *mut Stat) -> c_int {
            // SAFETY: as the caller says.
            unsafe { stat_at(libc::AT_FDCWD, path, data, $flags) }
        }

        /// `stat(2)` and its like.
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $old(_: c_int, path: *const c_char, data: *mut Stat) -> c_int {
            // SAFETY: as the caller says.
            unsafe { stat_at(libc::AT_FDCWD, path, data, $flags) }
        }
    )*};
}

stats! {
    stat __xstat 0;
    stat64 __xstat64 0;
    lstat __lxstat libc::AT_SYMLINK_NOFOLLOW;
    lstat64 __lxstat64 libc::AT_SYMLINK_NOFOLLOW;
}

/// `fstat(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat(fd: c_int, data: *mut Stat) -> c_int {
    // SAFETY: as the caller says.
    unsafe { stat_of(fd, data) }
}

/// `fstat64(2)`.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fstat64(fd: c_int, data: *mut Stat) -> c_int {
    // SAFETY: as the caller says.
    unsafe { stat_of(fd, data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gamepads_are_gamepads() {
        assert_eq!(Device::of_name(b"event0"), Some(Device::Event(0)));
        assert_eq!(Device::of_name(b"js3"), Some(Device::Js(3)));
        for name in [&b""[..], b"event", b"event10", b"mouse0", b"js", b"jsx", b"event0/", b"\xff"]
        {
            assert_eq!(Device::of_name(name), None, "{name:?}");
        }
        // SAFETY: a string.
        assert_eq!(unsafe { device_at(c"/dev/input/js1".as_ptr()) }, Some(Device::Js(1)));
        // SAFETY: a string.
        assert_eq!(unsafe { device_at(c"/tmp/event1".as_ptr()) }, None);
    }
}
