//! Reading folders of entries.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::{Entry, GameId, Problem, Refused, check, file};
use crate::beneath;

/// The file of an entry.
const FILE: &str = "game.toml";
/// Its most bytes.
const FILE_BYTES: u64 = 64 << 10;
/// Most entries of one folder.
const MOST_ENTRIES: usize = 1000;

/// Reads the entries of these folders, by id in each. Where two have one id, the first is used.
///
/// Files, and folders whose names begin with a dot, are passed over.
pub fn read<P: AsRef<Path>>(folders: &[P]) -> (Vec<Entry>, Vec<Refused>) {
    let mut entries = Vec::new();
    let mut refused = Vec::new();
    let mut taken = BTreeSet::new();
    for folder in folders {
        let folder = folder.as_ref();
        let (at, names) = match list(folder) {
            Ok(listed) => listed,
            Err(why) => {
                refused.push(refuse(folder.into(), why));
                continue;
            }
        };
        for name in names {
            let path = folder.join(&name);
            match entry(&at, &path, &name) {
                Ok(entry) if taken.insert(entry.id.clone()) => entries.push(entry),
                Ok(entry) => {
                    let why = format!("another entry before it has the id {}", entry.id);
                    refused.push(refuse(path, why));
                }
                Err(one) => refused.push(one),
            }
        }
    }
    // What is used is not told to be refused as well.
    for one in &mut refused {
        one.id.take_if(|id| !taken.insert(id.clone()));
    }
    (entries, refused)
}

fn refuse(path: PathBuf, why: String) -> Refused {
    Refused { id: None, path, problems: vec![Problem { key: String::new(), why }] }
}

/// The folder, open, and the names of what may be entries, sorted.
fn list(folder: &Path) -> Result<(OwnedFd, Vec<String>), String> {
    let cannot = |error: io::Error| format!("it cannot be read: {}", beneath::why(&error));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let at =
        rustix::fs::open(folder, flags, Mode::empty()).map_err(|error| cannot(error.into()))?;
    let mut names = Vec::new();
    for each in fs::read_dir(folder).map_err(cannot)? {
        let each = each.map_err(cannot)?;
        // A link is listed, to be refused by name.
        let is_file = each.file_type().is_ok_and(|kind| kind.is_file());
        let name = each.file_name().to_string_lossy().into_owned();
        if is_file || name.starts_with('.') {
            continue;
        }
        if names.len() == MOST_ENTRIES {
            return Err(format!("it has more than {MOST_ENTRIES} entries"));
        }
        names.push(name);
    }
    names.sort();
    Ok((at, names))
}

fn entry(folders: &OwnedFd, path: &Path, name: &str) -> Result<Entry, Refused> {
    let id = GameId::parse(name).ok_or_else(|| {
        let why = "its name is not an id: up to 40 of a to z, 0 to 9 and -";
        refuse(path.into(), why.into())
    })?;
    let folder = beneath::open_folder(folders, name).map_err(|error| {
        refuse(path.into(), format!("it cannot be opened: {}", beneath::why(&error)))
    })?;
    let file = path.join(FILE);
    let bytes = beneath::read_file(&folder, FILE, FILE_BYTES).map_err(|error| {
        let why = format!("it cannot be read: {}", beneath::why(&error));
        // Without a file it is no entry at all.
        let is_one = error.kind() != io::ErrorKind::NotFound;
        Refused { id: is_one.then(|| id.clone()), ..refuse(file.clone(), why) }
    })?;
    let refused = |problems| Refused { id: Some(id.clone()), path: file.clone(), problems };
    let text = String::from_utf8(bytes).map_err(|_| {
        refused(vec![Problem { key: String::new(), why: "it is not UTF-8".into() }])
    })?;
    file::parse(&text)
        .map_err(|problem| vec![problem])
        .and_then(|raw| check::check(id.clone(), path, folder.as_fd(), raw))
        .map_err(refused)
}
