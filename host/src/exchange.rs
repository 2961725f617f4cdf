//! The folder of a game's home by which files come from its player and go there.
//!
//! The game writes to it as well, and is not trusted: everything is opened below the home, through no link and over no
//! mount; what is neither a regular file nor named as one of ours may be is not there for the player. Only the folder
//! itself is looked at, not what lies in folders in it.
//!
//! An upload has no name until it is whole (`O_TMPFILE`, open(2)), so whatever cuts it off leaves nothing. It counts
//! while it comes, and belongs to the user of the game.

mod name;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, linkat, mkdirat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use thiserror::Error;

pub use name::FileName;

use crate::beneath;
use crate::home::as_owner;
use crate::saves::HomePath;

/// Names that are looked at: a game may make as many as it likes.
const MOST_NAMES: usize = 10_000;
/// Uploads at once.
const MOST_UPLOADS: usize = 4;
/// The name that takes another's place for a moment, with the game's own rights: hidden, so never shown.
const TAKING_PLACE: &str = ".nearlight-upload";

/// How much may lie in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeLimits {
    /// Bytes of a file, either way.
    pub file: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Files.
    pub count: usize,
}

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: FileName,
    /// Its bytes.
    pub bytes: u64,
    /// When it was changed, since 1970.
    pub changed: Duration,
}

/// Why something is not done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// There is no such file, or what there is is none.
    #[error("there is no such file")]
    Absent,
    /// It is larger than a file may be.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// Most bytes of a file.
        most: u64,
    },
    /// All files together would be more than may be.
    #[error("there would be more than {most} bytes in all")]
    Full {
        /// Most bytes of all.
        most: u64,
    },
    /// There would be too many.
    #[error("there would be more than {most} files")]
    TooMany {
        /// Most files.
        most: usize,
    },
    /// The game's home has no room left.
    #[error("the game's own disk is full")]
    NoRoom,
    /// Too many uploads are under way.
    #[error("{MOST_UPLOADS} files are being brought already")]
    Busy,
    /// The game has put something else in place of the folder, or of the file.
    #[error("the game has put something else there: {0}")]
    Replaced(String),
    /// The system's.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::Absent,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoRoom,
            Some(Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::ISDIR) => {
                Self::Replaced(beneath::why(&error))
            }
            _ => Self::Io(error),
        }
    }
}

impl From<Errno> for ExchangeError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// See the module.
pub struct Exchange {
    home: Arc<OwnedFd>,
    folder: HomePath,
    limits: ExchangeLimits,
    coming: Mutex<Coming>,
}

/// Uploads that are under way.
#[derive(Debug, Default)]
struct Coming {
    files: usize,
    bytes: u64,
    /// Bytes of all that have ever come whole.
    landed: u64,
}

impl Exchange {
    /// Makes the folder, where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(
        home: Arc<OwnedFd>,
        folder: HomePath,
        limits: ExchangeLimits,
    ) -> Result<Self, ExchangeError> {
        let exchange = Self { home, folder, limits, coming: Mutex::default() };
        exchange.make()?;
        Ok(exchange)
    }

    /// What bounds it.
    pub fn limits(&self) -> ExchangeLimits {
        self.limits
    }

    /// The files, by name, and how many bytes more may come.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub fn list(&self) -> Result<(Vec<Listed>, u64), ExchangeError> {
        let folder = match self.folder() {
            // The game took it away.
            Err(ExchangeError::Absent) => return Ok((Vec::new(), self.limits.total)),
            folder => folder?,
        };
        let mut files = look(&folder)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let left = self.limits.total.saturating_sub(sum(&files) + self.coming().bytes);
        Ok((files, left))
    }

    /// Begins to take a file of this name, of so many bytes where that is known. It takes the place of one that is
    /// there when it is whole.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub fn upload(
        self: &Arc<Self>,
        name: FileName,
        bytes: Option<u64>,
    ) -> Result<Upload, ExchangeError> {
        let ExchangeLimits { file: most, total, count } = self.limits;
        if bytes.is_some_and(|bytes| bytes > most) {
            return Err(ExchangeError::TooLarge { most });
        }
        // Takes a place first, so that those who come at once do not all see room for themselves.
        let (mut place, others) = Place::new(self)?;
        self.make()?;
        let folder = self.folder()?;
        let there = look(&folder)?;
        let takes_place = there.iter().any(|file| file.name == name);
        if !takes_place && there.len() + others >= count {
            return Err(ExchangeError::TooMany { most: count });
        }
        place.used = sum(&there);
        if let Some(bytes) = bytes {
            place.take(bytes, total)?;
        }
        let file = self.as_owner(|| {
            let flags = OFlags::WRONLY | OFlags::TMPFILE;
            Ok(beneath::open(&folder, ".", flags, Mode::RUSR | Mode::WUSR)?)
        })?;
        Ok(Upload { place, folder, file: file.into(), name, written: 0 })
    }

    /// Opens a file to be read: it, and how many bytes it has now.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub fn read(&self, name: &FileName) -> Result<(File, u64), ExchangeError> {
        let folder = self.folder()?;
        let about = statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(ExchangeError::Absent);
        }
        let file = beneath::open_file(&folder, name.as_str())?;
        let bytes = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if bytes > self.limits.file {
            return Err(ExchangeError::TooLarge { most: self.limits.file });
        }
        Ok((file, bytes))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// See [`ExchangeError`].
    pub fn remove(&self, name: &FileName) -> Result<(), ExchangeError> {
        let folder = self.folder()?;
        self.as_owner(|| Ok(unlinkat(&folder, name.as_str(), AtFlags::empty())?))
    }

    fn folder(&self) -> Result<OwnedFd, ExchangeError> {
        Ok(beneath::open_folder(&*self.home, self.folder.as_str())?)
    }

    /// Makes the folder and those around it.
    fn make(&self) -> Result<(), ExchangeError> {
        self.as_owner(|| {
            let mut folder = beneath::open_folder(&*self.home, ".")?;
            for name in self.folder.names() {
                match mkdirat(&folder, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                folder = beneath::open_folder(&folder, name)?;
            }
            Ok(())
        })
    }

    fn as_owner<T: Send>(
        &self,
        act: impl FnOnce() -> Result<T, ExchangeError> + Send,
    ) -> Result<T, ExchangeError> {
        as_owner(self.home.as_fd(), "home-files", act)?
    }

    fn coming(&self) -> MutexGuard<'_, Coming> {
        // Every change below is an addition or a subtraction.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an upload among those that are under way.
struct Place {
    exchange: Arc<Exchange>,
    bytes: u64,
    /// Bytes of the files that were there when it began, and of those that had come before.
    used: u64,
    landed: u64,
}

impl Place {
    /// One, and how many others have one.
    fn new(exchange: &Arc<Exchange>) -> Result<(Self, usize), ExchangeError> {
        let mut coming = exchange.coming();
        let others = coming.files;
        if others >= MOST_UPLOADS {
            return Err(ExchangeError::Busy);
        }
        coming.files += 1;
        let landed = coming.landed;
        drop(coming);
        Ok((Self { exchange: exchange.clone(), bytes: 0, used: 0, landed }, others))
    }

    /// Counts so many bytes in all.
    fn take(&mut self, bytes: u64, most: u64) -> Result<(), ExchangeError> {
        let more = bytes.saturating_sub(self.bytes);
        let mut coming = self.exchange.coming();
        // One that came whole meanwhile may be counted twice, never left out.
        let there = self.used.saturating_add(coming.landed - self.landed);
        if there.saturating_add(coming.bytes).saturating_add(more) > most {
            return Err(ExchangeError::Full { most });
        }
        coming.bytes += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut coming = self.exchange.coming();
        coming.files -= 1;
        coming.bytes -= self.bytes;
    }
}

/// A file that comes. Dropping it leaves nothing.
pub struct Upload {
    place: Place,
    folder: OwnedFd,
    file: File,
    name: FileName,
    written: u64,
}

impl Upload {
    /// Adds bytes.
    ///
    /// # Errors
    /// See [`ExchangeError`]; it can only be dropped then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        let ExchangeLimits { file: most, total, .. } = self.place.exchange.limits;
        let written = self.written + bytes.len() as u64;
        if written > most {
            return Err(ExchangeError::TooLarge { most });
        }
        self.place.take(written, total)?;
        self.file.write_all(bytes)?;
        self.written = written;
        Ok(())
    }

    /// Gives it its name; its bytes.
    ///
    /// # Errors
    /// See [`ExchangeError`]; nothing is left of it then.
    pub fn finish(self) -> Result<u64, ExchangeError> {
        let Self { place, folder, file, name, written, .. } = &self;
        // A file without a name is linked by what the kernel shows of its descriptor (open(2)).
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        place.exchange.as_owner(|| {
            let link = |name: &str| linkat(CWD, &*source, folder, name, AtFlags::SYMLINK_FOLLOW);
            match link(name.as_str()) {
                Err(Errno::EXIST) => {}
                linked => return Ok(linked?),
            }
            let passing = format!("{TAKING_PLACE}-{}", file.as_raw_fd());
            // The game may have one of that name.
            let _ = unlinkat(folder, &*passing, AtFlags::empty());
            link(&passing)?;
            renameat(folder, &*passing, folder, name.as_str()).map_err(|error| {
                let _ = unlinkat(folder, &*passing, AtFlags::empty());
                error.into()
            })
        })?;
        place.exchange.coming().landed += written;
        Ok(*written)
    }
}

fn sum(files: &[Listed]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
}

/// The files of a folder.
fn look(folder: &OwnedFd) -> Result<Vec<Listed>, ExchangeError> {
    let mut files = Vec::new();
    for entry in Dir::read_from(folder)?.take(MOST_NAMES) {
        let entry = entry?;
        let Some(name) =
            entry.file_name().to_str().ok().and_then(|name| FileName::parse(name).ok())
        else {
            continue;
        };
        let about = match statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            // Removed meanwhile.
            Err(Errno::NOENT) => continue,
            about => about?,
        };
        if FileType::from_raw_mode(about.st_mode) == FileType::RegularFile {
            let bytes = u64::try_from(about.st_size).unwrap_or(0);
            let changed = Duration::from_secs(u64::try_from(about.st_mtime).unwrap_or(0));
            files.push(Listed { name, bytes, changed });
        }
    }
    Ok(files)
}
