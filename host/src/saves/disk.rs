//! The steps that change what lies on a disk, in the order in which they must reach it.
//!
//! Everything that a save or a restore does passes here, so that tests can make any step the last one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::fs::{fsync, mkdirat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use crate::beneath;

/// What changes a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    MakeFolder,
    Create,
    Write,
    Sync,
    Rename,
    Remove,
}

/// Is asked before each step, and can fail it.
pub(super) type Before = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// See the module.
#[derive(Default)]
pub(super) struct Disk {
    before: Option<Box<Before>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// One whose steps can be failed.
    #[cfg(test)]
    pub(super) fn failing(before: Box<Before>) -> Self {
        Self { before: Some(before) }
    }

    pub(super) fn before(&self, step: Step) -> io::Result<()> {
        self.before.as_ref().map_or(Ok(()), |before| before(step))
    }

    /// Makes a folder that only its owner may use. One that is there already is left as it is.
    pub(super) fn make_folder(&self, at: impl AsFd, name: &str) -> io::Result<OwnedFd> {
        self.before(Step::MakeFolder)?;
        match mkdirat(&at, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => beneath::open_folder(at, name),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a file that was not there.
    pub(super) fn create(
        &self,
        at: impl AsFd,
        name: &str,
        mode: Mode,
    ) -> io::Result<std::fs::File> {
        self.before(Step::Create)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(beneath::open(at, name, flags, mode)?.into())
    }

    /// Writes all of it at the file's position.
    pub(super) fn write(&self, file: &mut std::fs::File, bytes: &[u8]) -> io::Result<()> {
        self.before(Step::Write)?;
        io::Write::write_all(file, bytes)
    }

    /// Waits until a file, or a folder's list of names, is on the disk.
    pub(super) fn sync(&self, what: impl AsFd) -> io::Result<()> {
        self.before(Step::Sync)?;
        Ok(fsync(what)?)
    }

    /// Renames; what is already there under the new name is an error, or is exchanged.
    pub(super) fn rename(
        &self,
        (from, name): (BorrowedFd<'_>, &str),
        (to, new): (BorrowedFd<'_>, &str),
        flags: RenameFlags,
    ) -> io::Result<()> {
        self.before(Step::Rename)?;
        Ok(renameat_with(from, name, to, new, flags)?)
    }

    /// Removes `name` in `at` with all that is in it, whatever that is, without following links and
    /// however deep it is: folders are moved up before they are emptied, so that few are open at once.
    pub(super) fn remove(&self, at: impl AsFd, name: &str) -> io::Result<()> {
        self.before(Step::Remove)?;
        let at = at.as_fd();
        match unlinkat(at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        let top = beneath::open_folder(at, name)?;
        let mut number = 0_u64;
        // Each round takes one folder of the top away, and may put more into the top in its place.
        while let Some(inner) = empty(&top)? {
            let folder = beneath::open_folder(&top, &inner)?;
            while let Some(deeper) = empty(&folder)? {
                number += 1;
                let place = format!(".nearlight-{number}");
                renameat_with(&folder, &deeper, &top, &place, RenameFlags::NOREPLACE)?;
            }
            unlinkat(&top, &*inner, AtFlags::REMOVEDIR)?;
        }
        Ok(unlinkat(at, name, AtFlags::REMOVEDIR)?)
    }
}

/// Removes files of `folder` until there is none, or a folder is met: its name is given back.
fn empty(folder: impl AsFd) -> io::Result<Option<String>> {
    let mut met = None;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let about = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
            unlinkat(&folder, name, AtFlags::empty())?;
            continue;
        }
        let Ok(text) = name.to_str() else {
            // Renamed first, so that names stay texts everywhere else.
            let plain = format!(".nearlight-bytes-{}", about.st_ino);
            renameat_with(&folder, name, &folder, &*plain, RenameFlags::NOREPLACE)?;
            met = Some(plain);
            continue;
        };
        met = Some(text.into());
    }
    Ok(met)
}
