//! Reading a home that hostile processes may be changing meanwhile.
//!
//! Each step opens one name below an open folder, through no link and over no mount, so whatever is
//! swapped for what, nothing outside of the home is read.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, statat};

use super::archive::Writer;
use super::manifest::{SavedFile, Skipped};
use super::{HomePath, SaveError, SaveLimits};
use crate::beneath;

/// A file that is written to while it is read is read again this often.
const TRIES: u32 = 3;

/// What was found, as a manifest lists it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) folders: Vec<HomePath>,
    pub(super) files: Vec<SavedFile>,
    pub(super) skipped: Skipped,
    bytes: u64,
}

/// Reads `paths` of `home` into `archive`. What is not there is left out.
///
/// # Errors
/// See [`SaveError`]; the archive is of no use then.
pub(super) fn read(
    home: BorrowedFd<'_>,
    paths: &[HomePath],
    limits: &SaveLimits,
    archive: &mut Writer<'_>,
) -> Result<Found, SaveError> {
    let mut walk = Walk { limits, archive, found: Found::default() };
    for path in paths {
        let (parent, name) = path.split_last();
        let folder = match parent {
            None => beneath::open_folder(home, "."),
            Some(parent) => beneath::open_folder(home, parent),
        };
        match folder {
            Ok(folder) => walk.node(&folder, name, path.clone())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A link or a file where a folder should be.
            Err(_) => walk.found.skipped.links += 1,
        }
    }
    Ok(walk.found)
}

struct Walk<'a, 'b> {
    limits: &'a SaveLimits,
    archive: &'a mut Writer<'b>,
    found: Found,
}

impl Walk<'_, '_> {
    /// Reads `name` in `folder`, which is `path` of the home.
    fn node(&mut self, folder: &OwnedFd, name: &str, path: HomePath) -> Result<(), SaveError> {
        let about = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(error) if error == rustix::io::Errno::NOENT => return Ok(()),
            Err(error) => return Err(SaveError::Read { path, source: error.into() }),
        };
        let skipped = &mut self.found.skipped;
        match FileType::from_raw_mode(about.st_mode) {
            FileType::RegularFile if about.st_nlink > 1 => skipped.linked_files += 1,
            FileType::RegularFile => self.file(folder, name, path)?,
            FileType::Directory => self.folder(folder, name, path)?,
            FileType::Symlink => skipped.links += 1,
            _ => skipped.special += 1,
        }
        Ok(())
    }

    fn count(&self, path: &HomePath) -> Result<(), SaveError> {
        if path.names().count() > self.limits.depth {
            return Err(SaveError::TooDeep { path: path.clone(), most: self.limits.depth });
        }
        if self.found.files.len() + self.found.folders.len() >= self.limits.files {
            return Err(SaveError::TooMany { most: self.limits.files });
        }
        Ok(())
    }

    fn folder(&mut self, at: &OwnedFd, name: &str, path: HomePath) -> Result<(), SaveError> {
        self.count(&path)?;
        let read = |source: io::Error| SaveError::Read { path: path.clone(), source };
        let folder = beneath::open_folder(at, name).map_err(read)?;
        self.archive.folder(&path).map_err(SaveError::Write)?;
        self.found.folders.push(path.clone());
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|error| read(error.into()))? {
            let entry = entry.map_err(|error| read(error.into()))?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                // More than are allowed are not all kept in memory either.
                Ok(_) if names.len() > self.limits.files => {
                    return Err(SaveError::TooMany { most: self.limits.files });
                }
                Ok(name) => names.push(name.to_owned()),
                Err(_) => self.found.skipped.names += 1,
            }
        }
        // An order of its own, so that the same state makes the same archive.
        names.sort();
        for name in names {
            match path.join(&name) {
                Ok(inner) => self.node(&folder, &name, inner)?,
                Err(_) if path.as_str().len() + name.len() >= HomePath::MAX_BYTES => {
                    return Err(SaveError::TooLong { path, most: HomePath::MAX_BYTES });
                }
                Err(_) => self.found.skipped.names += 1,
            }
        }
        Ok(())
    }

    fn file(&mut self, at: &OwnedFd, name: &str, path: HomePath) -> Result<(), SaveError> {
        self.count(&path)?;
        for _ in 0..TRIES {
            let read = |source: io::Error| SaveError::Read { path: path.clone(), source };
            let file = beneath::open_file(at, name).map_err(read)?;
            let before = fstat(&file).map_err(|error| read(error.into()))?;
            let bytes = u64::try_from(before.st_size).unwrap_or(0);
            if bytes > self.limits.bytes - self.found.bytes {
                return Err(SaveError::TooLarge { most: self.limits.bytes });
            }
            let executable = Mode::from_raw_mode(before.st_mode).contains(Mode::XUSR);
            let mark = self.archive.position().map_err(SaveError::Write)?;
            let sha256 = match self.archive.file(&path, bytes, executable, &file) {
                Ok(sha256) => sha256,
                // It became shorter.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(SaveError::Write(error)),
            };
            if !is_unchanged(&file, &before).map_err(read)? {
                self.archive.rewind(mark).map_err(SaveError::Write)?;
                continue;
            }
            self.found.bytes += bytes;
            self.found.files.push(SavedFile { path, bytes, sha256, executable });
            return Ok(());
        }
        Err(SaveError::Changing { path })
    }
}

fn is_unchanged(file: &File, before: &Stat) -> io::Result<bool> {
    let stamp = |about: &Stat| {
        (about.st_size, about.st_mtime, about.st_mtime_nsec, about.st_ctime, about.st_ctime_nsec)
    };
    Ok(stamp(&fstat(file.as_fd())?) == stamp(before))
}
