//! Opening what lies in folders that others write to: nothing outside of them is ever opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, statat};
use rustix::io::Errno;

/// How paths are resolved: no way out by `..`, by links of any kind, or over a mount.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Opens `path` below `folder` (openat2(2)). Never waits for a pipe's other end.
pub(crate) fn open(
    folder: impl AsFd,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(openat2(folder, path, flags, mode, RESOLVE)?)
}

/// Opens a folder below `folder`, to read its names and to open what is in it.
pub(crate) fn open_folder(folder: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    open(&folder, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).map_err(|error| {
        // With O_DIRECTORY a link at the end is told as no folder; say what it is.
        let link = statat(&folder, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Symlink);
        if link { Errno::LOOP.into() } else { error }
    })
}

/// Opens a regular file below `folder` for reading; anything else is an error.
pub(crate) fn open_file(folder: impl AsFd, path: &str) -> io::Result<File> {
    let file = open(folder, path, OFlags::RDONLY, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file.into())
}

/// Reads a regular file below `folder`, of at most `limit` bytes.
pub(crate) fn read_file(folder: impl AsFd, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open_file(folder, path)?.take(limit + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(contents)
}

/// Why something was not opened, for people: what openat2 says of links is not plain.
pub(crate) fn why(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::LOOP) => "it is a symbolic link, or behind one".into(),
        Some(Errno::XDEV) => "it is outside of the folder".into(),
        _ => error.to_string(),
    }
}
