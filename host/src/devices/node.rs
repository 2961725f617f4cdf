//! A node of the kernel through which devices are made.
#![expect(unsafe_code, reason = "ioctl; confined to this module")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What an `ioctl` is given.
#[derive(Debug)]
pub enum Argument<'a> {
    /// Nothing.
    None,
    /// A number.
    Number(i32),
    /// A structure, which the kernel may write to as the request says.
    Structure(&'a mut [u8]),
}

/// `/dev/uinput` or `/dev/uhid`.
pub trait Node: Send {
    /// Asks for `request`.
    ///
    /// # Errors
    /// The kernel's.
    fn control(&mut self, request: u32, argument: Argument<'_>) -> io::Result<()>;

    /// Writes all of one event.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` where it takes none now.
    fn write(&mut self, event: &[u8]) -> io::Result<()>;

    /// Reads what there is; nothing where there is none now.
    ///
    /// # Errors
    /// The kernel's.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>>;

    /// What becomes readable when there is something to be read.
    fn readable(&self) -> BorrowedFd<'_>;
}

/// The kernel's own.
#[derive(Debug)]
pub struct DeviceFile(File);

impl DeviceFile {
    /// Opens it.
    ///
    /// # Errors
    /// It is not there, or not ours.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map(Self)
    }
}

/// Bytes of the structure that a request names (`asm-generic/ioctl.h`).
const fn size_of(request: u32) -> usize {
    (request >> 16 & 0x3fff) as usize
}

impl Node for DeviceFile {
    fn control(&mut self, request: u32, argument: Argument<'_>) -> io::Result<()> {
        let (fd, request_word) = (self.0.as_raw_fd(), libc::c_ulong::from(request));
        let result = match argument {
            // SAFETY: a request without an argument reads and writes no memory of ours.
            Argument::None => unsafe { libc::ioctl(fd, request_word as _) },
            // SAFETY: these requests take their argument as the number that it is.
            Argument::Number(number) => unsafe { libc::ioctl(fd, request_word as _, number) },
            Argument::Structure(bytes) if bytes.len() < size_of(request) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            // SAFETY: the kernel reads and writes as many bytes as the request names, which `bytes` has.
            Argument::Structure(bytes) => unsafe {
                libc::ioctl(fd, request_word as _, bytes.as_mut_ptr())
            },
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.0.write_all(event)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self.0.read(into) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn readable(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
