//! A version's archive: a tar file of regular files and folders, uncompressed (POSIX.1-2001 `pax`'s ustar,
//! with GNU's long names).
//!
//! Uncompressed, so that nothing in it can be larger than the archive itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::disk::{Disk, Step};
use super::manifest::{Hash, Manifest, SavedFile};
use super::{HomePath, SaveLimits};

/// The longest archive of these limits: a header, a long name and padding for each file.
pub(super) fn most_bytes(limits: &SaveLimits) -> u64 {
    (limits.bytes).saturating_add(4096 * (limits.files as u64 + 4))
}

/// Writes an archive, or only hashes what would be in one.
pub(super) struct Writer<'a> {
    disk: &'a Disk,
    builder: Option<Builder<File>>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(disk: &'a Disk, file: File) -> Self {
        Self { disk, builder: Some(Builder::new(file)) }
    }

    /// One that writes nothing.
    pub(super) fn hashing(disk: &'a Disk) -> Self {
        Self { disk, builder: None }
    }

    pub(super) fn folder(&mut self, path: &HomePath) -> io::Result<()> {
        let Some(builder) = &mut self.builder else { return Ok(()) };
        self.disk.before(Step::Write)?;
        let mut header = header(EntryType::Directory, 0, 0o700);
        builder.append_data(&mut header, format!("{path}/"), io::empty())
    }

    /// Adds `bytes` bytes of `from`. One that ends before that is an error of the kind
    /// [`io::ErrorKind::UnexpectedEof`], and leaves the archive as it was.
    pub(super) fn file(
        &mut self,
        path: &HomePath,
        bytes: u64,
        executable: bool,
        from: impl Read,
    ) -> io::Result<Hash> {
        let mut exact = Exact { from, left: bytes, hasher: Sha256::new() };
        let Some(builder) = &mut self.builder else {
            io::copy(&mut exact, &mut io::sink())?;
            return Ok(Hash::finish(exact.hasher));
        };
        self.disk.before(Step::Write)?;
        let start = builder.get_mut().stream_position()?;
        let mut header = header(EntryType::Regular, bytes, if executable { 0o700 } else { 0o600 });
        let added = builder.append_data(&mut header, path.as_str(), &mut exact);
        if let Err(error) = added {
            self.rewind(start)?;
            return Err(error);
        }
        Ok(Hash::finish(exact.hasher))
    }

    /// Where the next entry begins.
    pub(super) fn position(&mut self) -> io::Result<u64> {
        self.builder.as_mut().map_or(Ok(0), |builder| builder.get_mut().stream_position())
    }

    /// Forgets what was added since `position`.
    pub(super) fn rewind(&mut self, position: u64) -> io::Result<()> {
        let Some(builder) = &mut self.builder else { return Ok(()) };
        let file = builder.get_mut();
        file.set_len(position)?;
        file.seek(SeekFrom::Start(position))?;
        Ok(())
    }

    /// Ends the archive; it is on the disk after that.
    ///
    /// # Errors
    /// Also where nothing was written.
    pub(super) fn finish(self) -> io::Result<File> {
        self.disk.before(Step::Write)?;
        let mut file = self.builder.ok_or(io::ErrorKind::NotFound)?.into_inner()?;
        file.flush()?;
        self.disk.sync(&file)?;
        Ok(file)
    }
}

fn header(kind: EntryType, bytes: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// Exactly so many bytes of a reader.
struct Exact<R> {
    from: R,
    left: u64,
    hasher: Sha256,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

/// The bytes and the hash of a file from its beginning.
pub(super) fn measure(file: &mut File) -> io::Result<(u64, Hash)> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(file, &mut hasher)?;
    Ok((bytes, Hash::finish(hasher)))
}

/// Checks all of an archive against its manifest, before anything of it is used.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn verify(
    file: &mut File,
    manifest: &Manifest,
    limits: &SaveLimits,
) -> Result<(), String> {
    let cannot = |error: io::Error| format!("the archive cannot be read: {error}");
    let bytes = file.metadata().map_err(cannot)?.len();
    if bytes != manifest.archive_bytes || bytes > most_bytes(limits) {
        return Err(format!("the archive has {bytes} bytes instead of {}", manifest.archive_bytes));
    }
    if measure(file).map_err(cannot)?.1 != manifest.archive_sha256 {
        return Err("the archive is damaged: its hash is another".into());
    }
    walk(file, manifest, &mut |_, _| Ok(io::sink()))
}

/// Goes through an archive that must be what the manifest says, entry by entry and in its order. Files
/// are written to what `open` gives.
///
/// # Errors
/// What is wrong with it, for people, or what `open` or its writer said.
pub(super) fn walk<W: Write>(
    file: &mut File,
    manifest: &Manifest,
    open: &mut dyn FnMut(&SavedFile, u64) -> Result<W, String>,
) -> Result<(), String> {
    let cannot = |error: io::Error| format!("the archive cannot be read: {error}");
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    let mut archive = Archive::new(file);
    let mut folders = manifest.folders.iter();
    let mut files = manifest.files.iter();
    for entry in archive.entries().map_err(cannot)? {
        let mut entry = entry.map_err(cannot)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Directory => {
                let expected = folders.next();
                if expected.is_none_or(|folder| format!("{folder}/") != path) {
                    return Err(format!(
                        "its folder {} is not in the manifest",
                        crate::shown(&path)
                    ));
                }
            }
            EntryType::Regular => {
                let file = files
                    .next()
                    .filter(|file| file.path.as_str() == path && file.bytes == entry.size())
                    .ok_or_else(|| {
                        format!("its file {} is not in the manifest", crate::shown(&path))
                    })?;
                let mut to = open(file, entry.size())?;
                let mut exact = Exact { from: &mut entry, left: file.bytes, hasher: Sha256::new() };
                io::copy(&mut exact, &mut to).map_err(|error| format!("\"{path}\": {error}"))?;
                if Hash::finish(exact.hasher) != file.sha256 {
                    return Err(format!("its file \"{path}\" is damaged"));
                }
            }
            other => {
                return Err(format!(
                    "{} is neither a file nor a folder: {other:?}",
                    crate::shown(&path)
                ));
            }
        }
    }
    if folders.next().is_some() || files.next().is_some() {
        return Err("the archive lacks what is in the manifest".into());
    }
    Ok(())
}
