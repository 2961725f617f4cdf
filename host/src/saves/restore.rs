//! Putting a version into a home: all of it is made beside what is there, and then exchanged for it, a
//! path at a time. What was exchanged is exchanged back where a later step fails.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, RenameFlags, statat};
use rustix::io::Errno;

use super::archive;
use super::disk::Disk;
use super::manifest::Manifest;
use super::{HomePath, RestoreError};
use crate::beneath;
use crate::home::as_owner;

/// The folder in a home in which versions are made ready.
const STAGE: &str = ".nearlight-restore";

/// Puts what `archive` holds in place of the manifest's paths in `home`. A path that is in neither is not
/// touched; one that the version does not have is removed.
pub(super) fn restore(
    disk: &Disk,
    home: BorrowedFd<'_>,
    archive: &mut File,
    manifest: &Manifest,
) -> Result<(), RestoreError> {
    let swap = || swap_all(disk, home, archive, manifest);
    as_owner(home, "save-restore", swap).map_err(RestoreError::Home)?
}

fn swap_all(
    disk: &Disk,
    home: BorrowedFd<'_>,
    archive: &mut File,
    manifest: &Manifest,
) -> Result<(), RestoreError> {
    let cannot = RestoreError::Home;
    // What is left of a restore that was cut off.
    disk.remove(home, STAGE).map_err(cannot)?;
    let stage = disk.make_folder(home, STAGE).map_err(cannot)?;
    let swapped = unpack(disk, &stage, archive, manifest)
        .and_then(|()| swap(disk, home, &stage, manifest).map_err(cannot));
    // The old state, or the new one that was not taken. Left there it takes room and nothing else.
    if let Err(error) = disk.remove(home, STAGE) {
        tracing::warn!(%error, "what a restore replaced could not be removed");
    }
    swapped
}

/// Makes all of the version below `stage`.
fn unpack(
    disk: &Disk,
    stage: &OwnedFd,
    archive: &mut File,
    manifest: &Manifest,
) -> Result<(), RestoreError> {
    for path in &manifest.paths {
        if let Some(parent) = path.split_last().0 {
            make_folders(disk, stage.as_fd(), parent).map_err(RestoreError::Home)?;
        }
    }
    for folder in &manifest.folders {
        make_folders(disk, stage.as_fd(), folder.as_str()).map_err(RestoreError::Home)?;
    }
    archive::walk(archive, manifest, &mut |file, _| {
        let mode = if file.executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
        let (parent, name) = file.path.split_last();
        let parent = beneath::open_folder(stage, parent.unwrap_or("."));
        let file = parent
            .and_then(|parent| disk.create(parent, name, mode))
            .map_err(|error| format!("\"{}\" cannot be made: {error}", file.path))?;
        Ok(Stepped { disk, file })
    })
    .map_err(RestoreError::Unpack)
}

/// A file of which each write is a step.
struct Stepped<'a> {
    disk: &'a Disk,
    file: File,
}

impl io::Write for Stepped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write(&mut self.file, bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes `path` and what it lies in below `at`, and opens it.
fn make_folders(disk: &Disk, at: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let mut folder = beneath::open_folder(at, ".")?;
    for name in path.split('/') {
        folder = disk.make_folder(&folder, name)?;
    }
    Ok(folder)
}

/// Exchanges every path of the manifest; all of them, or none.
fn swap(disk: &Disk, home: BorrowedFd<'_>, stage: &OwnedFd, manifest: &Manifest) -> io::Result<()> {
    let mut done = Vec::new();
    for path in &manifest.paths {
        match swap_one(disk, home, stage, path) {
            Ok(moved) => done.extend(moved),
            Err(error) => {
                while let Some(moved) = done.pop() {
                    moved.undo(disk)?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// A rename that was done, and how it is undone.
struct Moved<'a> {
    home: OwnedFd,
    stage: OwnedFd,
    name: &'a str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Both were there.
    Exchanged,
    /// The home had none.
    Put,
    /// The version has none.
    Taken,
}

impl Moved<'_> {
    fn undo(&self, disk: &Disk) -> io::Result<()> {
        let (home, stage) = ((self.home.as_fd(), self.name), (self.stage.as_fd(), self.name));
        match self.kind {
            Kind::Exchanged => disk.rename(home, stage, RenameFlags::EXCHANGE),
            Kind::Put => disk.rename(home, stage, RenameFlags::NOREPLACE),
            Kind::Taken => disk.rename(stage, home, RenameFlags::NOREPLACE),
        }
    }
}

fn swap_one<'a>(
    disk: &Disk,
    home: BorrowedFd<'_>,
    stage: &OwnedFd,
    path: &'a HomePath,
) -> io::Result<Option<Moved<'a>>> {
    let (parent, name) = path.split_last();
    let stage = beneath::open_folder(stage, parent.unwrap_or("."))?;
    let ours = is_there(&stage, name)?;
    let home = match parent {
        None => beneath::open_folder(home, ".")?,
        Some(parent) if ours => make_folders(disk, home, parent)?,
        Some(parent) => match beneath::open_folder(home, parent) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        },
    };
    let kind = match (ours, is_there(&home, name)?) {
        (true, true) => Kind::Exchanged,
        (true, false) => Kind::Put,
        (false, true) => Kind::Taken,
        (false, false) => return Ok(None),
    };
    let (at, from) = ((home.as_fd(), name), (stage.as_fd(), name));
    match kind {
        Kind::Exchanged => disk.rename(from, at, RenameFlags::EXCHANGE)?,
        Kind::Put => disk.rename(from, at, RenameFlags::NOREPLACE)?,
        Kind::Taken => disk.rename(at, from, RenameFlags::NOREPLACE)?,
    }
    Ok(Some(Moved { home, stage, name, kind }))
}

fn is_there(folder: &OwnedFd, name: &str) -> io::Result<bool> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
