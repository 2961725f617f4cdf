//! What a game's user cannot reach on the host, because a folder on the way is closed to it (`/root`, say), and the folder of
//! its devices, which is nowhere on the host.
//!
//! bubblewrap runs as that user. It is given a mount namespace in which these are mounted in the sandbox's own folder, too.
//! Nobody else sees those mounts, and they go with the last process that has them.
#![expect(unsafe_code, reason = "mounts are made between fork and exec")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr::null;

use crate::devices::Mounted;

/// Sources of one sandbox, and what is mounted in place of them.
#[derive(Debug, Default)]
pub struct StandIns(Vec<StandIn>, Option<Mounted>);

#[derive(Debug)]
struct StandIn {
    source: PathBuf,
    at: PathBuf,
    from: CString,
    to: CString,
}

impl StandIns {
    /// Makes places in `folder` for those sources that not every user can get to.
    ///
    /// # Errors
    /// When a source is not there, or a place cannot be made.
    pub(super) fn make<'a>(
        folder: &Path,
        sources: impl IntoIterator<Item = &'a Path>,
    ) -> io::Result<Self> {
        let mut made = Self::default();
        let below = folder.join("shown");
        for source in sources {
            if is_passable(source)? {
                continue;
            }
            if made.0.is_empty() {
                // Read only by way of what is mounted in it.
                fs::DirBuilder::new().mode(0o711).create(&below)?;
            }
            let at = below.join(made.0.len().to_string());
            if fs::metadata(source)?.is_dir() {
                fs::create_dir(&at)?;
            } else {
                fs::write(&at, "")?;
            }
            let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
            let (from, to) = (text(source)?, text(&at)?);
            made.0.push(StandIn { source: source.to_owned(), at, from, to });
        }
        Ok(made)
    }

    /// Mounts the folder of devices, too.
    pub(super) fn add(&mut self, devices: Mounted) {
        self.1 = Some(devices);
    }

    /// Where the user finds what lies there.
    pub(super) fn source<'a>(&'a self, path: &'a Path) -> &'a Path {
        let found = self.0.iter().find(|stand_in| stand_in.source == path);
        found.map_or(path, |stand_in| &stand_in.at)
    }

    /// Names of what is not reached otherwise; nothing where there is none.
    pub(super) fn names(&self) -> Option<String> {
        let names: Vec<_> = self.0.iter().map(|of| of.source.display().to_string()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Gives this process a mount namespace of its own and mounts them. Needs `CAP_SYS_ADMIN`. Neither allocates nor
    /// locks: it is called between fork and exec.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(super) fn mount(&self) -> io::Result<()> {
        if self.0.is_empty() && self.1.is_none() {
            return Ok(());
        }
        // SAFETY: takes a number alone, and changes what this process sees, which is about to become another program.
        done(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(null(), c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE)?;
        self.0.iter().try_for_each(|stand_in| {
            mount(stand_in.from.as_ptr(), stand_in.to.as_ptr(), libc::MS_BIND | libc::MS_REC)
        })?;
        self.1.as_ref().map_or(Ok(()), Mounted::mount)
    }
}

/// mount(2) with neither type nor data.
fn mount(
    source: *const libc::c_char,
    target: *const libc::c_char,
    flags: libc::c_ulong,
) -> io::Result<()> {
    // SAFETY: both are texts that end with NUL, of the callers above, or none where the flags ask for none.
    done(unsafe { libc::mount(source, target, null(), flags, null()) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether every user can get to what lies there.
fn is_passable(path: &Path) -> io::Result<bool> {
    for folder in path.ancestors().skip(1) {
        if fs::metadata(folder)?.mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_what_is_closed_off_is_stood_in_for() {
        let top = tempfile::tempdir().unwrap();
        let closed = top.path().join("closed");
        let own = top.path().join("own");
        for folder in [&closed, &own] {
            fs::create_dir(folder).unwrap();
        }
        fs::create_dir(closed.join("game")).unwrap();
        fs::write(closed.join("init"), "x").unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let sources = [closed.join("game"), closed.clone(), closed.join("init")];
        let made = StandIns::make(&own, sources.iter().map(PathBuf::as_path)).unwrap();
        assert_eq!(made.source(&sources[0]), own.join("shown/0"));
        assert_eq!(made.source(&sources[1]), closed);
        assert_eq!(made.source(&sources[2]), own.join("shown/1"));
        assert!(own.join("shown/0").is_dir() && own.join("shown/1").is_file());
        assert!(StandIns::make(&own, [Path::new("/nonexistent/x")]).is_err());
    }

    #[test]
    fn nothing_is_made_where_nothing_is_closed_off() {
        let own = tempfile::tempdir().unwrap();
        let made = StandIns::make(own.path(), [Path::new("/usr")]).unwrap();
        assert_eq!(made.names(), None);
        assert_eq!(fs::read_dir(own.path()).unwrap().count(), 0);
    }
}
