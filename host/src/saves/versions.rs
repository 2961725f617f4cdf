//! The versions of one player and game, behind their lock.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, statat};
use serde::Serialize;

use super::archive::{self, Writer};
use super::disk::Disk;
use super::manifest::{self, Hash, Manifest};
use super::{Owner, RestoreError, SaveError, SaveLimits, Saved, Snapshot, StoreError, walk};
use crate::beneath;

const LOCK: &str = "lock";
const NEW: &str = "new";
const MANIFEST: &str = "manifest";
const ARCHIVE: &str = "files.tar";
const PINNED: &str = "pinned";
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The number of a version; later ones are higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    fn name(self) -> String {
        format!("{:012}", self.0)
    }

    fn parse(name: &str) -> Option<Self> {
        let version = Self(name.parse().ok()?);
        (version.name() == name).then_some(version)
    }
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub version: Version,
    /// Whether it is kept however old it is.
    pub pinned: bool,
    /// What it says of itself, or why that cannot be told. The archive itself is not read for a list.
    pub manifest: Result<Manifest, String>,
}

/// See the module.
pub(super) struct Versions<'a> {
    disk: &'a Disk,
    limits: &'a SaveLimits,
    folder: OwnedFd,
    /// Held for as long as this lives.
    _lock: OwnedFd,
}

impl<'a> Versions<'a> {
    /// Opens them, and waits until nobody else has them.
    pub(super) fn open(
        disk: &'a Disk,
        limits: &'a SaveLimits,
        root: &OwnedFd,
        owner: Owner<'_>,
        lock: FlockOperation,
    ) -> io::Result<Self> {
        let player = Hash::of(owner.player.as_bytes()).to_string();
        let player = disk.make_folder(root, &player)?;
        let folder = disk.make_folder(&player, owner.game.as_str())?;
        let file = beneath::open(&folder, LOCK, OFlags::RDWR | OFlags::CREATE, FILE)?;
        loop {
            match flock(&file, lock) {
                Err(rustix::io::Errno::INTR) => {}
                locked => break locked?,
            }
        }
        Ok(Self { disk, limits, folder, _lock: file })
    }

    /// The numbers of all versions, the newest first.
    fn numbers(&self) -> io::Result<Vec<Version>> {
        let mut numbers = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            numbers.extend(entry.file_name().to_str().ok().and_then(Version::parse));
        }
        numbers.sort_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let listed = |version: Version| {
            let manifest = beneath::open_folder(&self.folder, &version.name())
                .map_err(|error| error.to_string())
                .and_then(|folder| self.manifest(&folder));
            Ok(Listed { version, pinned: self.is_pinned(version)?, manifest })
        };
        self.numbers()?.into_iter().map(listed).collect()
    }

    fn manifest(&self, folder: &OwnedFd) -> Result<Manifest, String> {
        let bytes = beneath::read_file(folder, MANIFEST, manifest::MOST_BYTES)
            .map_err(|error| format!("the manifest cannot be read: {}", beneath::why(&error)))?;
        Manifest::read(&bytes, self.limits)
    }

    /// A version that has been checked, with its archive.
    pub(super) fn read(&self, version: Version) -> Result<(Manifest, File), RestoreError> {
        let folder = match beneath::open_folder(&self.folder, &version.name()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(RestoreError::Absent),
            opened => opened.map_err(RestoreError::Store)?,
        };
        let manifest = self.manifest(&folder).map_err(RestoreError::Damaged)?;
        let mut archive = beneath::open_file(&folder, ARCHIVE).map_err(|error| {
            RestoreError::Damaged(format!("the archive: {}", beneath::why(&error)))
        })?;
        archive::verify(&mut archive, &manifest, self.limits).map_err(RestoreError::Damaged)?;
        Ok((manifest, archive))
    }

    pub(super) fn save(&self, snapshot: &Snapshot<'_>) -> Result<Saved, SaveError> {
        // What is left of a save that was cut off.
        self.disk.remove(&self.folder, NEW).map_err(SaveError::Write)?;
        let saved = self.make(snapshot);
        if !matches!(saved, Ok(Saved::Made { .. }))
            && let Err(error) = self.disk.remove(&self.folder, NEW)
        {
            tracing::warn!(%error, "a save that was not made could not be removed");
        }
        if saved.is_ok()
            && let Err(error) = self.prune()
        {
            // The next save tries again.
            tracing::warn!(%error, "old saves could not be removed");
        }
        saved
    }

    fn make(&self, snapshot: &Snapshot<'_>) -> Result<Saved, SaveError> {
        let write = SaveError::Write;
        let new = self.disk.make_folder(&self.folder, NEW).map_err(write)?;
        let file = self.disk.create(&new, ARCHIVE, FILE).map_err(write)?;
        let mut archive = Writer::new(self.disk, file);
        let found = walk::read(snapshot.home, snapshot.paths, self.limits, &mut archive)?;
        if found.files.is_empty() && found.folders.is_empty() {
            return Ok(Saved::Nothing);
        }
        let mut archive = archive.finish().map_err(write)?;
        let (archive_bytes, archive_sha256) = archive::measure(&mut archive).map_err(write)?;
        let manifest = Manifest {
            format: 1,
            saved_at: snapshot.now,
            game_version: snapshot.game_version.into(),
            paths: snapshot.paths.to_vec(),
            folders: found.folders,
            files: found.files,
            skipped: found.skipped,
            archive_bytes,
            archive_sha256,
        };
        let numbers = self.numbers().map_err(write)?;
        if let Some(&newest) = numbers.first()
            && self.read(newest).is_ok_and(|(last, _)| last.same_state(&manifest))
        {
            return Ok(Saved::Unchanged(newest));
        }
        let bytes = manifest.write().map_err(|error| write(error.into()))?;
        let mut file = self.disk.create(&new, MANIFEST, FILE).map_err(write)?;
        self.disk.write(&mut file, &bytes).map_err(write)?;
        self.disk.sync(&file).map_err(write)?;
        self.disk.sync(&new).map_err(write)?;
        let version = Version(numbers.first().map_or(1, |newest| newest.0.saturating_add(1)));
        let folder = self.folder.as_fd();
        let (from, to) = ((folder, NEW), (folder, &*version.name()));
        self.disk.rename(from, to, RenameFlags::NOREPLACE).map_err(write)?;
        self.disk.sync(folder).map_err(write)?;
        Ok(Saved::Made { version, skipped: manifest.skipped })
    }

    /// Removes what is beyond the limits, the oldest first.
    fn prune(&self) -> io::Result<()> {
        let mut loose = Vec::new();
        for version in self.numbers()? {
            if !self.is_pinned(version)? {
                loose.push(version);
            }
        }
        for &version in loose.iter().skip(self.limits.keep.max(1)).rev() {
            self.remove(version)?;
        }
        Ok(())
    }

    /// Takes a version out of the list at once, and then off the disk.
    fn remove(&self, version: Version) -> io::Result<()> {
        let folder = self.folder.as_fd();
        self.disk.remove(folder, NEW)?;
        self.disk.rename((folder, &version.name()), (folder, NEW), RenameFlags::NOREPLACE)?;
        self.disk.remove(folder, NEW)?;
        self.disk.sync(folder)
    }

    pub(super) fn delete(&self, version: Version) -> Result<(), StoreError> {
        self.find(version)?;
        Ok(self.remove(version)?)
    }

    pub(super) fn pin(&self, version: Version, pinned: bool) -> Result<(), StoreError> {
        let folder = self.find(version)?;
        if self.is_pinned(version)? == pinned {
            return Ok(());
        }
        if !pinned {
            self.disk.remove(&folder, PINNED)?;
            return Ok(self.disk.sync(&folder)?);
        }
        let mut others = 0;
        for each in self.numbers()? {
            others += usize::from(self.is_pinned(each)?);
        }
        if others >= self.limits.pinned {
            return Err(StoreError::Pinned { most: self.limits.pinned });
        }
        self.disk.create(&folder, PINNED, FILE)?;
        Ok(self.disk.sync(&folder)?)
    }

    fn find(&self, version: Version) -> Result<OwnedFd, StoreError> {
        beneath::open_folder(&self.folder, &version.name()).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::Absent,
            _ => StoreError::Io(error),
        })
    }

    fn is_pinned(&self, version: Version) -> io::Result<bool> {
        let name = format!("{}/{PINNED}", version.name());
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
