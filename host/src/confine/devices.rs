//! Device nodes that a sandbox is given.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::spec::Refused;

/// Reading and writing, of a group and of everybody.
const GROUP: u32 = 0o060;
const ALL: u32 = 0o006;

/// Checks that each is a device node that a game may open; the groups that its user needs for that, where it has one of
/// its own, and none else.
///
/// # Errors
/// Which one is not, and why.
pub(super) fn groups(devices: &[PathBuf], own_users: bool) -> Result<Vec<u32>, Refused> {
    let mut groups = Vec::new();
    for path in devices {
        let needed = check(path, own_users)
            .map_err(|reason| Refused::Device { path: path.clone(), reason })?;
        groups.extend(needed);
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// The group that opens it.
fn check(path: &Path, own_users: bool) -> Result<Option<u32>, String> {
    let data = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !data.file_type().is_char_device() {
        return Err("it is no character device".to_owned());
    }
    if !own_users {
        let both = Access::READ_OK | Access::WRITE_OK;
        return access(path, both).map(|()| None).map_err(|error| format!("for the node: {error}"));
    }
    needed(data.mode(), data.gid())
}

/// The group by which a user who owns nothing reads and writes what has this mode and group.
fn needed(mode: u32, group: u32) -> Result<Option<u32>, String> {
    match (mode & ALL == ALL, mode & GROUP == GROUP) {
        (true, _) => Ok(None),
        // It is the group of much else of the host.
        (false, true) if group == 0 => {
            Err("it is root's, and its group's, which is root's".to_owned())
        }
        (false, true) => Ok(Some(group)),
        (false, false) => {
            Err(format!("its mode {:04o} lets no group read and write", mode & 0o7777))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_needs_its_group_or_none() {
        assert_eq!(needed(0o020_666, 44), Ok(None));
        assert_eq!(needed(0o020_660, 44), Ok(Some(44)));
        assert!(needed(0o020_660, 0).unwrap_err().contains("root"));
        assert!(needed(0o020_640, 44).unwrap_err().contains("0640"));
        assert!(needed(0o020_600, 44).is_err());
    }

    #[test]
    fn what_is_no_device_is_refused_by_name() {
        for (path, why) in [("/dev/nonexistent", "No such file"), ("/dev/shm", "character")] {
            let refused = groups(&["/dev/null".into(), path.into()], true).unwrap_err().to_string();
            assert!(refused.contains(path) && refused.contains(why), "{refused}");
        }
        assert_eq!(groups(&["/dev/null".into()], false).unwrap(), [0_u32; 0]);
    }
}
