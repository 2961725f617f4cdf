//! Writing into a game's home from outside.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, fstat, mkdirat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};

use crate::beneath;
use crate::saves::HomePath;

/// Puts files into a home, with the folders that they need; what is there of the same name is replaced.
/// Before the game starts: it could exchange folders meanwhile, though nothing outside is ever opened.
///
/// # Errors
/// The first that cannot be written.
pub fn put(home: BorrowedFd<'_>, files: &[(&HomePath, Vec<u8>)]) -> io::Result<()> {
    as_owner(home, "home-files", || {
        files.iter().try_for_each(|(path, contents)| {
            write(home, path, contents)
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
        })
    })?
}

fn write(home: BorrowedFd<'_>, path: &HomePath, contents: &[u8]) -> io::Result<()> {
    let mut folder = beneath::open_folder(home, ".")?;
    let (folders, name) = path.split_last();
    for name in folders.into_iter().flat_map(|path| path.split('/')) {
        match mkdirat(&folder, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        folder = beneath::open_folder(&folder, name)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = beneath::open(&folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    File::from(file).write_all(contents)
}

/// Does something to a home as the user that it belongs to: in a thread of this `name` that ends after,
/// where that is another one. A home in another user namespace takes files of users of that namespace
/// alone (`EOVERFLOW`), root included.
pub(crate) fn as_owner<T: Send>(
    home: BorrowedFd<'_>,
    name: &str,
    act: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let about = fstat(home)?;
    let (uid, gid) = (Uid::from_raw(about.st_uid), Gid::from_raw(about.st_gid));
    if uid == geteuid() {
        return Ok(act());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn_scoped(scope, move || {
            become_user(uid, gid)?;
            Ok(act())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    })
}

/// This thread alone acts as another user from now on, without that user's or root's other groups.
fn become_user(uid: Uid, gid: Gid) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(None, Some(gid), None)?;
    rustix::thread::set_thread_res_uid(None, Some(uid), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn files_are_put_with_their_folders_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let home = File::open(folder.path()).unwrap();
        let path = HomePath::parse(".config/game/settings").unwrap();
        for contents in ["first, and longer", "second"] {
            put(home.as_fd(), &[(&path, contents.into())]).unwrap();
            let read = std::fs::read_to_string(folder.path().join(path.as_str())).unwrap();
            assert_eq!(read, contents);
        }
    }

    #[test]
    fn nothing_is_put_behind_a_link() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let home = File::open(folder.path()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        let path = HomePath::parse("link/settings").unwrap();
        let refused = put(home.as_fd(), &[(&path, b"x".to_vec())]).unwrap_err().to_string();
        assert!(refused.starts_with("link/settings: "), "{refused}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
