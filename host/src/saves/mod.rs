//! What players keep of games: versions of a few folders of a home, by player and game.
//!
//! ```text
//! ROOT/PLAYER/GAME/            PLAYER is the SHA-256 of the player's name
//!   lock                       flock(2): one reader or writer of these versions at a time
//!   000000000012/              a version; the highest number is the newest
//!     manifest                 what is in it, with hashes; see manifest.rs
//!     files.tar                the files
//!     pinned                   is kept however old; absent otherwise
//!   new/, old/                 a version that is being made or removed; one that is found was cut off, and is removed
//! ```
//! A version is made under the name `new`, brought to the disk and then renamed, so at any crash it is
//! whole or not there. It is read only after its manifest and every file in it has been checked.
//!
//! The lock is one of a kernel: two nodes must not share ROOT. A game should be frozen or gone while it is
//! saved: a file that changes while it is read refuses the save, but that two files fit each other only
//! the game knows.

mod archive;
mod disk;
mod manifest;
mod path;
mod restore;
#[cfg(test)]
mod tests;
mod usage;
mod versions;
mod walk;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use thiserror::Error;

pub use manifest::{Hash, Manifest, SavedFile, Skipped, State};
pub use path::HomePath;
pub(crate) use path::overlap;
pub use versions::{Listed, Version};

use crate::catalogue::GameId;
use disk::Disk;
use usage::Usage;
use versions::Versions;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveLimits {
    /// Bytes of the files of one version.
    pub bytes: u64,
    /// Files and folders of one version.
    pub files: usize,
    /// Names in a path.
    pub depth: usize,
    /// Versions that are kept besides those that are pinned; at least one is.
    pub keep: usize,
    /// Versions that can be pinned.
    pub pinned: usize,
    /// Bytes on the disk of the versions of one player and game, without those that are pinned. The oldest
    /// give way; the newest stays whatever it has.
    pub together: u64,
    /// Bytes on the disk of all versions of the store. A save that finds no room removes older ones of its
    /// own player and game, and is refused where that is not enough.
    pub total: u64,
}

impl Default for SaveLimits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            files: 4096,
            depth: 16,
            keep: 10,
            pinned: 10,
            together: 1 << 30,
            total: 20 << 30,
        }
    }
}

/// Whose versions, and of which game.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The player, by any name.
    pub player: &'a str,
    /// The game.
    pub game: &'a GameId,
}

/// What a save is made of.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// The game's home.
    pub home: BorrowedFd<'a>,
    /// What of it is kept; none may lie within another.
    pub paths: &'a [HomePath],
    /// Now, since 1970.
    pub now: Duration,
    /// The game's version, for people.
    pub game_version: &'a str,
    /// What the game began with, which is not saved again.
    pub base: Option<&'a State>,
}

/// What came of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// A new version.
    Made {
        /// Which.
        version: Version,
        /// What was left out of it.
        skipped: Skipped,
    },
    /// The newest version is the same already.
    Unchanged(Version),
    /// It is as it was when the game began.
    Untouched,
    /// None of the paths is there: nothing was made, so that older versions are not pushed out.
    Nothing,
}

/// Why a save was not made. All versions are as they were.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// What is to be saved cannot be read.
    #[error("\"{path}\" cannot be read: {source}")]
    Read {
        /// What.
        path: HomePath,
        /// Why.
        source: io::Error,
    },
    /// A file was written to each time that it was read.
    #[error("\"{path}\" changes while it is read")]
    Changing {
        /// Which.
        path: HomePath,
    },
    /// The game does not stand still.
    #[error("the game cannot be halted: {0}")]
    Hold(#[source] io::Error),
    /// Too many bytes.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// How many are allowed.
        most: u64,
    },
    /// Too many files.
    #[error("it has more than {most} files and folders")]
    TooMany {
        /// How many are allowed.
        most: usize,
    },
    /// Folders in folders in folders.
    #[error("\"{path}\" lies deeper than {most} folders")]
    TooDeep {
        /// What.
        path: HomePath,
        /// How deep is allowed.
        most: usize,
    },
    /// A path that is too long.
    #[error("what lies in \"{path}\" has a path of more than {most} bytes")]
    TooLong {
        /// Where.
        path: HomePath,
        /// How long is allowed.
        most: usize,
    },
    /// One path lies within another.
    #[error("\"{0}\" is asked for twice")]
    Overlap(HomePath),
    /// The store is full.
    #[error("the node keeps as many bytes of saves as it may: {most}")]
    Full {
        /// How many that are.
        most: u64,
    },
    /// The store cannot be written to.
    #[error("the save cannot be written: {0}")]
    Write(#[source] io::Error),
}

/// Why a version was not restored. The home is as it was, but for an undo that failed as well.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There is no such version.
    #[error("there is no such save")]
    Absent,
    /// The version is damaged.
    #[error("the save is damaged: {0}")]
    Damaged(String),
    /// The version cannot be unpacked into the home.
    #[error("the save cannot be unpacked: {0}")]
    Unpack(String),
    /// The home cannot be written to.
    #[error("the game's home cannot be written: {0}")]
    Home(#[source] io::Error),
    /// The store cannot be read.
    #[error("the save cannot be read: {0}")]
    Store(#[source] io::Error),
    /// It cannot be written anew.
    #[error(transparent)]
    Save(#[from] SaveError),
}

/// Why versions were not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such version.
    #[error("there is no such save")]
    Absent,
    /// As many as may be are pinned.
    #[error("{most} saves are pinned, and no more can be")]
    Pinned {
        /// How many are allowed.
        most: usize,
    },
    /// The store cannot be read or written.
    #[error("the saves cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    root: OwnedFd,
    limits: SaveLimits,
    disk: Disk,
    usage: Usage,
}

impl Store {
    /// Opens the store at `root`, a folder that is made if it is not there, and measures what is in it.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open(root: &Path, limits: SaveLimits) -> io::Result<Self> {
        Self::on(root, limits, Disk::default())
    }

    fn on(root: &Path, limits: SaveLimits, disk: Disk) -> io::Result<Self> {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(root)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        let usage = Usage::measure(&root)?;
        Ok(Self { root, limits, disk, usage })
    }

    /// Bytes on the disk of all versions.
    pub fn used(&self) -> u64 {
        self.usage.bytes()
    }

    /// Saves what lies at the snapshot's paths as a new version, and removes versions beyond those that
    /// are kept. Reads and writes; may take as long as the disk takes.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub fn save(&self, owner: Owner<'_>, snapshot: &Snapshot<'_>) -> Result<Saved, SaveError> {
        self.save_while(owner, snapshot, || Ok(()))
    }

    /// The same of a game that runs: what `hold` gives is there for as long as the home is read, and no
    /// longer.
    ///
    /// # Errors
    /// See [`SaveError`]; what `hold` fails with is [`SaveError::Hold`].
    pub fn save_while<G>(
        &self,
        owner: Owner<'_>,
        snapshot: &Snapshot<'_>,
        hold: impl Fn() -> io::Result<G>,
    ) -> Result<Saved, SaveError> {
        if let Some((inner, _)) = overlap(snapshot.paths) {
            return Err(SaveError::Overlap(inner.clone()));
        }
        // Who never saved anything leaves nothing here either, not even a folder.
        if let Some(base) = snapshot.base
            && self.find(owner, FlockOperation::LockShared).map_err(SaveError::Write)?.is_none()
        {
            let held = hold().map_err(SaveError::Hold)?;
            let state = self.state(snapshot.home, snapshot.paths);
            drop(held);
            if state? == *base {
                return Ok(Saved::Untouched);
            }
        }
        let versions = self.make(owner).map_err(SaveError::Write)?;
        versions.save(snapshot, hold)
    }

    /// What lies at `paths` of `home` now: for [`Snapshot::base`].
    ///
    /// # Errors
    /// See [`SaveError`].
    pub fn state(&self, home: BorrowedFd<'_>, paths: &[HomePath]) -> Result<State, SaveError> {
        let mut nowhere = archive::Writer::hashing(&self.disk);
        let found = walk::read(home, paths, &self.limits, &mut nowhere)?;
        Ok(State { paths: paths.to_vec(), folders: found.folders, files: found.files })
    }

    /// All versions, the newest first, damaged ones too.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self, owner: Owner<'_>) -> Result<Vec<Listed>, StoreError> {
        match self.find(owner, FlockOperation::LockShared)? {
            Some(versions) => Ok(versions.list()?),
            None => Ok(Vec::new()),
        }
    }

    /// The games of which a player has versions, in order, and how many.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn games(&self, player: &str) -> Result<Vec<(GameId, usize)>, StoreError> {
        let mut games = Vec::new();
        for game in versions::games(self, player)? {
            let owner = Owner { player, game: &game };
            let many = match self.find(owner, FlockOperation::LockShared)? {
                Some(versions) => versions.numbers()?.len(),
                None => 0,
            };
            if many > 0 {
                games.push((game, many));
            }
        }
        Ok(games)
    }

    /// A version that has been checked, with its archive: a tar file (see `archive.rs`).
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn read(
        &self,
        owner: Owner<'_>,
        version: Version,
    ) -> Result<(Manifest, File), RestoreError> {
        let found = self.find(owner, FlockOperation::LockShared).map_err(RestoreError::Store)?;
        let (manifest, mut archive) = found.ok_or(RestoreError::Absent)?.read(version)?;
        archive.seek(SeekFrom::Start(0)).map_err(RestoreError::Store)?;
        Ok((manifest, archive))
    }

    /// Makes a version the newest again: a copy of it with another number, unless it is the same as the
    /// newest. `now` is since 1970.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn renew(
        &self,
        owner: Owner<'_>,
        version: Version,
        now: Duration,
    ) -> Result<Saved, RestoreError> {
        let found = self.find(owner, FlockOperation::LockExclusive).map_err(RestoreError::Store)?;
        found.ok_or(RestoreError::Absent)?.renew(version, now)
    }

    /// Keeps a version however many come after it, or no more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn pin(&self, owner: Owner<'_>, version: Version, pinned: bool) -> Result<(), StoreError> {
        let found = self.find(owner, FlockOperation::LockExclusive)?;
        found.ok_or(StoreError::Absent)?.pin(version, pinned)
    }

    /// Deletes a version, pinned or not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn delete(&self, owner: Owner<'_>, version: Version) -> Result<(), StoreError> {
        let found = self.find(owner, FlockOperation::LockExclusive)?;
        found.ok_or(StoreError::Absent)?.delete(version)
    }

    /// Puts a version into `home`, whose game must not run, in place of what lies at the paths that it
    /// was made of; what came to be there since is gone after that. Nothing is touched before all of the
    /// version has been checked.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(
        &self,
        owner: Owner<'_>,
        version: Version,
        home: impl AsFd,
    ) -> Result<Manifest, RestoreError> {
        let found = self.find(owner, FlockOperation::LockShared).map_err(RestoreError::Store)?;
        let (manifest, mut archive) = found.ok_or(RestoreError::Absent)?.read(version)?;
        restore::restore(&self.disk, home.as_fd(), &mut archive, &manifest)?;
        Ok(manifest)
    }

    /// The versions of somebody who has saved.
    fn find(&self, owner: Owner<'_>, lock: FlockOperation) -> io::Result<Option<Versions<'_>>> {
        Versions::open(self, owner, lock)
    }

    /// The versions of somebody who saves.
    fn make(&self, owner: Owner<'_>) -> io::Result<Versions<'_>> {
        Versions::open_or_make(self, owner)
    }
}
