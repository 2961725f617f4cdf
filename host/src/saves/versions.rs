//! The versions of one player and game, behind their lock.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, flock, statat};
use serde::Serialize;

use super::archive::{self, Writer};
use super::disk::{Disk, Step};
use super::manifest::{self, Hash, Manifest, State};
use super::usage::{self, Usage};
use super::{Owner, RestoreError, SaveError, SaveLimits, Saved, Snapshot, Store, StoreError, walk};
use crate::beneath;
use crate::catalogue::GameId;

const LOCK: &str = "lock";
const NEW: &str = "new";
const OLD: &str = "old";
const MANIFEST: &str = "manifest";
const ARCHIVE: &str = "files.tar";
const PINNED: &str = "pinned";
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The number of a version; later ones are higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    pub(super) fn name(self) -> String {
        format!("{:012}", self.0)
    }

    /// The version whose folder is called this.
    pub(super) fn parse(name: &str) -> Option<Self> {
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
    usage: &'a Usage,
    folder: OwnedFd,
    /// Held for as long as this lives.
    _lock: OwnedFd,
}

impl<'a> Versions<'a> {
    /// Opens them, where there are any, and waits until nobody else has them.
    pub(super) fn open(
        store: &'a Store,
        owner: Owner<'_>,
        lock: FlockOperation,
    ) -> io::Result<Option<Self>> {
        let path = format!("{}/{}", player_folder(owner.player), owner.game.as_str());
        match beneath::open_folder(&store.root, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => Self::lock(store, opened?, lock).map(Some),
        }
    }

    /// The same, and makes what is not there.
    pub(super) fn open_or_make(store: &'a Store, owner: Owner<'_>) -> io::Result<Self> {
        let player = store.disk.make_folder(&store.root, &player_folder(owner.player))?;
        let folder = store.disk.make_folder(&player, owner.game.as_str())?;
        Self::lock(store, folder, FlockOperation::LockExclusive)
    }

    fn lock(store: &'a Store, folder: OwnedFd, lock: FlockOperation) -> io::Result<Self> {
        let file = beneath::open(&folder, LOCK, OFlags::RDWR | OFlags::CREATE, FILE)?;
        loop {
            match flock(&file, lock) {
                Err(rustix::io::Errno::INTR) => {}
                locked => break locked?,
            }
        }
        let Store { disk, limits, usage, .. } = store;
        Ok(Self { disk, limits, usage, folder, _lock: file })
    }

    /// The numbers of all versions, the newest first.
    pub(super) fn numbers(&self) -> io::Result<Vec<Version>> {
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

    pub(super) fn save<G>(
        &self,
        snapshot: &Snapshot<'_>,
        hold: impl Fn() -> io::Result<G>,
    ) -> Result<Saved, SaveError> {
        let saved = self.anew(|| self.make(snapshot, hold))?;
        if matches!(saved, Saved::Made { .. }) {
            self.prune();
        }
        Ok(saved)
    }

    /// Makes a version under the name [`NEW`]; what is left of that is removed.
    fn anew<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        E: From<SaveError>,
    {
        // What is left of a save, or of a removal, that was cut off.
        for name in [NEW, OLD] {
            self.disk.remove(&self.folder, name).map_err(SaveError::Write)?;
        }
        let made = make();
        if let Err(error) = self.disk.remove(&self.folder, NEW) {
            tracing::warn!(%error, "a save that was not made could not be removed");
        }
        made
    }

    fn make<G>(
        &self,
        snapshot: &Snapshot<'_>,
        hold: impl Fn() -> io::Result<G>,
    ) -> Result<Saved, SaveError> {
        let write = SaveError::Write;
        let new = self.disk.make_folder(&self.folder, NEW).map_err(write)?;
        let file = self.disk.create(&new, ARCHIVE, FILE).map_err(write)?;
        let mut archive = Writer::new(self.disk, file);
        let held = hold().map_err(SaveError::Hold)?;
        let found = walk::read(snapshot.home, snapshot.paths, self.limits, &mut archive);
        drop(held);
        let found = found?;
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
        let state = manifest.state();
        if snapshot.base == Some(&state) {
            return Ok(Saved::Untouched);
        }
        let newest = self.numbers().map_err(write)?.first().copied();
        if let Some(newest) = newest.filter(|&newest| self.has_state(newest, &state)) {
            return Ok(Saved::Unchanged(newest));
        }
        let version = self.commit(&new, newest, &manifest)?;
        Ok(Saved::Made { version, skipped: manifest.skipped })
    }

    /// Whether this version can be read and has this in it.
    fn has_state(&self, version: Version, state: &State) -> bool {
        self.read(version).is_ok_and(|(manifest, _)| manifest.state() == *state)
    }

    /// Gives what lies whole under [`NEW`] a manifest and the next number.
    fn commit(
        &self,
        new: &OwnedFd,
        newest: Option<Version>,
        manifest: &Manifest,
    ) -> Result<Version, SaveError> {
        let bytes = manifest.write().map_err(|error| SaveError::Write(error.into()))?;
        let size = manifest.archive_bytes + bytes.len() as u64;
        self.make_room(size)?;
        let rename = || {
            let mut file = self.disk.create(new, MANIFEST, FILE)?;
            self.disk.write(&mut file, &bytes)?;
            self.disk.sync(&file)?;
            self.disk.sync(new)?;
            let version = Version(newest.map_or(1, |newest| newest.0.saturating_add(1)));
            let folder = self.folder.as_fd();
            let (from, to) = ((folder, NEW), (folder, &*version.name()));
            self.disk.rename(from, to, RenameFlags::NOREPLACE)?;
            Ok(version)
        };
        let version = rename().inspect_err(|_| self.usage.free(size)).map_err(SaveError::Write)?;
        self.disk.sync(&self.folder).map_err(SaveError::Write)?;
        Ok(version)
    }

    /// Finds room in the store, where need be in place of older versions; the newest stays.
    fn make_room(&self, bytes: u64) -> Result<(), SaveError> {
        let most = self.limits.total;
        if self.usage.reserve(bytes, most) {
            return Ok(());
        }
        let loose = self.loose().map_err(SaveError::Write)?;
        for &version in loose.iter().skip(1).rev() {
            self.remove(version).map_err(SaveError::Write)?;
            if self.usage.reserve(bytes, most) {
                return Ok(());
            }
        }
        Err(SaveError::Full { most })
    }

    /// See [`Store::renew`].
    pub(super) fn renew(&self, version: Version, now: Duration) -> Result<Saved, RestoreError> {
        let (manifest, mut archive) = self.read(version)?;
        let newest = self.numbers().map_err(RestoreError::Store)?.first().copied();
        if let Some(newest) = newest.filter(|&newest| self.has_state(newest, &manifest.state())) {
            return Ok(Saved::Unchanged(newest));
        }
        let skipped = manifest.skipped;
        let version = self.anew(|| {
            let mut copy = || {
                let new = self.disk.make_folder(&self.folder, NEW)?;
                let mut file = self.disk.create(&new, ARCHIVE, FILE)?;
                archive.seek(SeekFrom::Start(0))?;
                self.disk.before(Step::Write)?;
                io::copy(&mut archive, &mut file)?;
                self.disk.sync(&file)?;
                io::Result::Ok(new)
            };
            let new = copy().map_err(SaveError::Write)?;
            self.commit(&new, newest, &Manifest { saved_at: now, ..manifest })
        })?;
        self.prune();
        Ok(Saved::Made { version, skipped })
    }

    /// Those that are not pinned, the newest first.
    fn loose(&self) -> io::Result<Vec<Version>> {
        let mut loose = Vec::new();
        for version in self.numbers()? {
            if !self.is_pinned(version)? {
                loose.push(version);
            }
        }
        Ok(loose)
    }

    /// Removes what is beyond the limits, the oldest first. What cannot be removed, the next save tries
    /// again.
    fn prune(&self) {
        if let Err(error) = self.remove_surplus() {
            tracing::warn!(%error, "old saves could not be removed");
        }
    }

    fn remove_surplus(&self) -> io::Result<()> {
        let (mut bytes, mut surplus) = (0_u64, Vec::new());
        for (place, version) in self.loose()?.into_iter().enumerate() {
            bytes = bytes.saturating_add(self.size(version));
            let is_over = place >= self.limits.keep || bytes > self.limits.together;
            if place > 0 && is_over {
                surplus.push(version);
            }
        }
        surplus.into_iter().rev().try_for_each(|version| self.remove(version))
    }

    /// Bytes of a version on the disk; none of what is no folder at all.
    fn size(&self, version: Version) -> u64 {
        let folder = beneath::open_folder(&self.folder, &version.name());
        folder.and_then(|folder| usage::of_version(&folder)).unwrap_or(0)
    }

    /// Takes a version out of the list at once, and then off the disk.
    fn remove(&self, version: Version) -> io::Result<()> {
        let folder = self.folder.as_fd();
        let bytes = self.size(version);
        // Beside what may be under way.
        self.disk.remove(folder, OLD)?;
        self.disk.rename((folder, &version.name()), (folder, OLD), RenameFlags::NOREPLACE)?;
        self.usage.free(bytes);
        self.disk.remove(folder, OLD)?;
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

/// The folder of a player.
fn player_folder(player: &str) -> String {
    Hash::of(player.as_bytes()).to_string()
}

/// Games of which a player may have versions, in order.
pub(super) fn games(store: &Store, player: &str) -> io::Result<Vec<GameId>> {
    let folder = match beneath::open_folder(&store.root, &player_folder(player)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut games = Vec::new();
    for entry in Dir::read_from(&folder)? {
        games.extend(entry?.file_name().to_str().ok().and_then(GameId::parse));
    }
    games.sort();
    Ok(games)
}
