//! What a version says of itself.
//!
//! One line with the SHA-256 of what follows, then JSON. It is read as strictly as an archive is: either
//! can have been damaged.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{HomePath, SaveLimits};

/// Bytes of the longest manifest that is read.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// A SHA-256 (FIPS 180-4), written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const NOT: &str = "not 64 hexadecimal digits";
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NOT);
        }
        for (n, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| NOT)?;
        }
        Ok(Self(hash))
    }
}

/// What a version says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1.
    pub(super) format: u32,
    /// When it was made, since 1970.
    pub saved_at: Duration,
    /// The game's version, as whoever saved told it.
    pub game_version: String,
    /// The paths that were asked for; what of them is not in it was not there.
    pub paths: Vec<HomePath>,
    /// Folders, each before what is in it.
    pub folders: Vec<HomePath>,
    /// Files.
    pub files: Vec<SavedFile>,
    /// What was left out.
    pub skipped: Skipped,
    /// The archive's bytes.
    pub archive_bytes: u64,
    /// The archive's hash.
    pub archive_sha256: Hash,
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedFile {
    /// Where.
    pub path: HomePath,
    /// Its bytes.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Hash,
    /// Whether it can be run.
    pub executable: bool,
}

/// What was left out of a version, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Symbolic links.
    pub links: u64,
    /// Files that have a second name somewhere: it could be outside of the home.
    pub linked_files: u64,
    /// Pipes, sockets and devices.
    pub special: u64,
    /// Names that are not text, or have control characters.
    pub names: u64,
}

/// What lay at the paths of a game at some time, by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) paths: Vec<HomePath>,
    pub(super) folders: Vec<HomePath>,
    pub(super) files: Vec<SavedFile>,
}

impl Skipped {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.links + self.linked_files + self.special + self.names
    }
}

impl Manifest {
    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// What is in it, whenever it was made.
    pub fn state(&self) -> State {
        let Self { paths, folders, files, .. } = self.clone();
        State { paths, folders, files }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = format!("{}\n", Hash::of(&json)).into_bytes();
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// Reads and checks.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn read(bytes: &[u8], limits: &SaveLimits) -> Result<Self, String> {
        let at = bytes.iter().position(|&byte| byte == b'\n').ok_or("the manifest is cut short")?;
        let json = &bytes[at + 1..];
        if bytes[..at] != *Hash::of(json).to_string().as_bytes() {
            return Err("the manifest is damaged: its hash is another".into());
        }
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| format!("the manifest cannot be read: {error}"))?;
        manifest.check(limits)?;
        Ok(manifest)
    }

    fn check(&self, limits: &SaveLimits) -> Result<(), String> {
        if self.format != 1 {
            return Err(format!("the manifest has the format {}, which is not known", self.format));
        }
        if self.bytes() > limits.bytes {
            return Err(format!("it has more than {} bytes", limits.bytes));
        }
        if self.files.len() + self.folders.len() > limits.files {
            return Err(format!("it has more than {} files and folders", limits.files));
        }
        if super::overlap(&self.paths).is_some() {
            return Err("one of its paths lies within another".into());
        }
        // A parent comes before what is in it, is a folder, and nothing is there twice.
        let mut folders = BTreeSet::new();
        let mut names = BTreeSet::new();
        let each = self.folders.iter().map(|path| (path, true));
        for (path, is_folder) in each.chain(self.files.iter().map(|file| (&file.path, false))) {
            let known = match self.paths.contains(path) {
                true => true,
                false => path.split_last().0.is_some_and(|parent| folders.contains(parent)),
            };
            if !known {
                return Err(format!("\"{path}\" is below none of its paths"));
            }
            if path.names().count() > limits.depth {
                return Err(format!("\"{path}\" lies deeper than {} folders", limits.depth));
            }
            if !names.insert(path.as_str()) {
                return Err(format!("\"{path}\" is there twice"));
            }
            if is_folder {
                folders.insert(path.as_str());
            }
        }
        Ok(())
    }
}
