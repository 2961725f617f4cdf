//! The folder of a node for its sandboxes, and that of each.
//!
//! ```text
//! RUN/MARK/             mode 0711: the users of games pass through and see nothing
//!    ID/                mode 0700, of the game's user; the sandbox shows parts of it read-only
//!       etc/            what stands in for the host's
//!       xauth           the cookie of the X server
//!       pulse/          the node's sound server listens here, on `native`
//!       input/          and here gamepads, while they are plugged in
//!       shown/          what the game's user could not get to is mounted here, for bubblewrap alone
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::command::MADE;
use super::mark::Mark;

/// `FamilyWild` (`X11/Xauth.h`): the cookie counts however the display is reached.
const ANY_FAMILY: u16 = 0xffff;
const COOKIE_NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// What a client shows the X server (`MIT-MAGIC-COOKIE-1`, `Xsecurity(7)`).
pub type Cookie = [u8; 16];

/// The user and group that a game has on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `RUN/MARK`. Removed with its owner.
#[derive(Debug)]
pub(super) struct Run(PathBuf);

impl Run {
    /// Makes it, and removes what nodes that are gone left in `run`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(run: &Path, mark: &Mark) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o711).create(run)?;
        // Sources of bubblewrap are looked up without links.
        let run = run.canonicalize()?;
        remove_leftovers(&run)?;
        let own = Self(run.join(mark.to_string()));
        own.be_there()?;
        Ok(own)
    }

    /// Makes it where it is not. The end of another owner in this process, which has the same, takes it away while it is
    /// empty.
    fn be_there(&self) -> io::Result<()> {
        match make(&self.0, 0o711) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder of a sandbox.
    ///
    /// # Errors
    /// When it is there already, or cannot be made; nothing is left of it then.
    pub(super) fn make(&self, id: &str, user: Option<User>, cookie: &Cookie) -> io::Result<Folder> {
        let path = self.0.join(id);
        self.be_there()?;
        make(&path, 0o700)?;
        // From here on it is removed when something fails.
        let folder = Folder(path);
        folder.fill(cookie)?;
        if let Some(User { uid, gid }) = user {
            chown(&folder.0, Some(uid), Some(gid))?;
        }
        Ok(folder)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Sandboxes that are still there keep it; the next node removes it then.
        let _ = fs::remove_dir(&self.0);
    }
}

/// `RUN/MARK/ID`. Removed with its owner.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts down what its X server is configured by, where that is Xorg.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn configure(&self, text: &str) -> io::Result<()> {
        write(&self.0.join("xorg.conf"), text.as_bytes())
    }

    fn fill(&self, cookie: &Cookie) -> io::Result<()> {
        let etc = self.0.join("etc");
        make(&etc, 0o755)?;
        for (name, text) in MADE {
            write(&etc.join(name), text.as_bytes())?;
        }
        write(&etc.join("resolv.conf"), super::internet::resolver().as_bytes())?;
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        write(&etc.join("machine-id"), format!("{id}\n").as_bytes())?;
        write(&self.0.join("xauth"), &authority(cookie))?;
        make(&self.0.join("input"), 0o755)?;
        make(&self.0.join("pulse"), 0o755)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.0.display(), %error, "a folder of a game stays");
        }
    }
}

/// One entry of an authority file (`libXau`, `XauReadAuth`): five fields, lengths big endian.
fn authority(cookie: &Cookie) -> Vec<u8> {
    let mut bytes = ANY_FAMILY.to_be_bytes().to_vec();
    let fields: [&[u8]; 4] = [b"", b"", COOKIE_NAME, cookie];
    for field in fields {
        bytes.extend_from_slice(&u16::try_from(field.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The umask of the node would take rights away that games' users need.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

fn remove_leftovers(run: &Path) -> io::Result<()> {
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((mark, "")) = name.to_str().and_then(Mark::split) else { continue };
        if !mark.is_alive() && entry.file_type()?.is_dir() {
            tracing::warn!(folder = %entry.path().display(), "removing what a node that is gone left");
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn folders_of_nodes_that_are_gone_go_and_others_stay() {
        let run = tempfile::tempdir().unwrap();
        for name in ["00000000-1-2/game", "other", "00000000-x"] {
            fs::create_dir_all(run.path().join(name)).unwrap();
        }
        let own = Run::open(run.path(), &Mark::own().unwrap()).unwrap();
        let again = Run::open(run.path(), &Mark::own().unwrap()).unwrap();
        assert_eq!(own.path(), again.path());
        assert!(!run.path().join("00000000-1-2").exists());
        assert!(run.path().join("other").exists() && run.path().join("00000000-x").exists());
        // It is empty, so that the end of one takes it from the other.
        drop(own);
        assert!(!again.path().exists());
        assert!(again.make("a", None, &[7; 16]).unwrap().path().is_dir());
    }

    #[test]
    fn a_folder_is_private_and_goes_with_its_owner() {
        let run = tempfile::tempdir().unwrap();
        let run = Run::open(run.path(), &Mark::own().unwrap()).unwrap();
        let folder = run.make("a", None, &[7; 16]).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(run.path()).unwrap().mode() & 0o777, 0o711);
        let twice = run.make("a", None, &[7; 16]).unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
        assert!(path.join("pulse").is_dir(), "a refusal harms nothing");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_authority_file_is_as_x_reads_it() {
        let mut expected = vec![0xff, 0xff, 0, 0, 0, 0, 0, 18];
        expected.extend(b"MIT-MAGIC-COOKIE-1\x00\x10");
        expected.extend([9; 16]);
        assert_eq!(authority(&[9; 16]), expected);
    }
}
