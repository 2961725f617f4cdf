//! How much of the disk a store takes.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::Version;
use crate::beneath;

/// Folders above the files of a version: player, game, version.
const DEPTH: u32 = 3;
/// Folders above versions.
const VERSIONS: u32 = 2;

/// Bytes of all versions of a store, those that are about to be there included.
#[derive(Debug)]
pub(super) struct Usage(AtomicU64);

impl Usage {
    /// Goes through all of a store.
    pub(super) fn measure(root: &OwnedFd) -> io::Result<Self> {
        Ok(Self(AtomicU64::new(below(root, 0)?)))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes so many bytes where there is room for them.
    pub(super) fn reserve(&self, bytes: u64, most: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives them back.
    pub(super) fn free(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // It never refuses.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Bytes of the files of a version.
pub(super) fn of_version(folder: &OwnedFd) -> io::Result<u64> {
    below(folder, DEPTH)
}

/// What lies in a folder at this depth; links are not followed.
fn below(folder: &OwnedFd, depth: u32) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        let about = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Removed meanwhile.
            Err(Errno::NOENT) => continue,
            about => about?,
        };
        let is_folder = FileType::from_raw_mode(about.st_mode) == FileType::Directory;
        // What is about to come or to go is none.
        let is_version = Version::parse(name).is_some();
        let size = match (is_folder, depth) {
            (true, VERSIONS) if !is_version => 0,
            (true, ..DEPTH) => match beneath::open_folder(folder, name) {
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                inner => below(&inner?, depth + 1)?,
            },
            (false, DEPTH..) => u64::try_from(about.st_size).unwrap_or(0),
            _ => 0,
        };
        bytes = bytes.saturating_add(size);
    }
    Ok(bytes)
}
