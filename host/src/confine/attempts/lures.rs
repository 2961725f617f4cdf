//! Empty files and folders in place of what the node keeps to itself. Who opens one was looking for that.
//!
//! They lie in the sandbox's own folder on the host, where they are watched (`inotify(7)`), and are shown read-only.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

/// Bytes of events that are read at a time.
const CHUNK: usize = 4_096;
/// Events that are taken at a time: as many as the kernel keeps (`fs.inotify.max_queued_events`).
const MOST: u64 = 16_384;

/// What is shown where: a source on the host, and its place.
pub(in crate::confine) type Shown = (PathBuf, PathBuf);

/// See the module.
#[derive(Debug)]
pub(in crate::confine) struct Lures {
    events: OwnedFd,
}

impl Lures {
    /// Makes one for each of these paths that is on the host, in a sandbox's folder. With them comes how they are shown, so
    /// that a path below another lies in it.
    ///
    /// # Errors
    /// When the system takes no watches, or no files.
    pub(in crate::confine) fn make(
        folder: &Path,
        paths: &[PathBuf],
    ) -> io::Result<(Self, Vec<Shown>)> {
        let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let below = folder.join("lures");
        folder_for_all(&below)?;
        let mut paths: Vec<_> =
            paths.iter().filter_map(|path| Some((path, fs::metadata(path).ok()?))).collect();
        // Folders come before what is in them.
        paths.sort_by_key(|(path, _)| *path);
        let mut shown: Vec<Shown> = Vec::new();
        for (path, data) in paths {
            let outer = shown
                .iter()
                .find_map(|(source, at)| Some(source.join(path.strip_prefix(at).ok()?)));
            let source = outer.clone().unwrap_or_else(|| below.join(shown.len().to_string()));
            if source.exists() {
                continue;
            }
            if data.is_dir() {
                folder_for_all(&source)?;
            } else {
                // What lies between may have been left out.
                if source.parent().is_some_and(|parent| !parent.is_dir()) {
                    continue;
                }
                fs::write(&source, "")?;
                fs::set_permissions(&source, fs::Permissions::from_mode(0o444))?;
            }
            add_watch(&events, &source, WatchFlags::OPEN)?;
            if outer.is_none() {
                shown.push((source, path.clone()));
            }
        }
        Ok((Self { events }, shown))
    }

    /// How often one was opened since the last call. Of many in a row the kernel may tell one.
    pub(super) fn news(&mut self) -> u64 {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut reader = Reader::new(&self.events, &mut chunk);
        let mut opened = 0;
        for _ in 0..MOST {
            match reader.next() {
                // Those with a name are of a folder, and told by what they name, too.
                Ok(event) => opened += u64::from(event.file_name().is_none()),
                Err(_) => break,
            }
        }
        opened
    }
}

fn folder_for_all(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opens_one_is_counted_and_finds_nothing() {
        let (host, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = host.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::write(state.join("key"), "secret").unwrap();
        fs::write(host.path().join("alone"), "secret").unwrap();
        let paths = ["state/key", "state", "alone", "missing"].map(|name| host.path().join(name));
        let (mut lures, shown) = Lures::make(made.path(), &paths).unwrap();
        let places: Vec<_> = shown.iter().map(|(_, at)| at.clone()).collect();
        assert_eq!(
            places,
            [host.path().join("alone"), state],
            "what is in a folder is shown by it"
        );
        assert_eq!(lures.news(), 0);
        let (alone, state) = (&shown[0].0, &shown[1].0);
        assert_eq!(fs::read(alone).unwrap(), b"");
        assert_eq!(lures.news(), 1);
        assert_eq!(fs::read(state.join("key")).unwrap(), b"");
        assert_eq!(lures.news(), 1);
        assert_eq!(fs::read_dir(state).unwrap().count(), 1);
        assert_eq!(lures.news(), 1);
        assert_eq!(lures.news(), 0);
    }
}
