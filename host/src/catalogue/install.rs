//! What of an entry is installed.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where commands without a folder are looked up, in this order; never in `PATH`.
pub const COMMAND_FOLDERS: [&str; 4] =
    ["/usr/local/games", "/usr/local/bin", "/usr/games", "/usr/bin"];

/// A program: a name that is looked up in [`COMMAND_FOLDERS`], or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(PathBuf);

impl Program {
    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return absolute(text).map(Self);
        }
        if text.is_empty() {
            return Err("an empty command starts nothing".into());
        }
        if text.len() > 255 || text.chars().any(char::is_control) || [".", ".."].contains(&text) {
            return Err(format!("{} is not the name of a command", crate::shown(text)));
        }
        Ok(Self(text.into()))
    }

    /// Where it is, if it is installed.
    pub fn find(&self) -> Option<PathBuf> {
        if self.0.is_absolute() {
            return is_program(&self.0).then(|| self.0.clone());
        }
        let mut places = COMMAND_FOLDERS.iter().map(|folder| Path::new(folder).join(&self.0));
        places.find(|path| is_program(path))
    }
}

/// Whether what lies there is a program of 32 bits (ELF: `e_ident`), whose system calls no game may make.
pub(super) fn is_32_bit(path: &Path) -> bool {
    const ELF_32: [u8; 5] = [0x7f, b'E', b'L', b'F', 1];
    let mut head = [0; ELF_32.len()];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == ELF_32
}

/// An absolute path without a way back.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let plain = text.len() <= 1024
        && text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|name| !matches!(name, "" | "." | "..")))
        && !text.chars().any(char::is_control);
    plain
        .then(|| text.into())
        .ok_or_else(|| format!("{} is not an absolute path of plain names", crate::shown(text)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Something that must be there, and the Debian package that brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// What.
    pub what: Required,
    /// Which package brings it.
    pub package: String,
}

/// See [`Requirement`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// A program that can be run.
    Command(Program),
    /// A file or folder.
    File(PathBuf),
}

impl Required {
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Command(program) => program.find().is_some(),
            Self::File(path) => path.exists(),
        }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Command(Program(path)) | Self::File(path)) = self;
        write!(f, "{}", path.display())
    }
}

/// What is not installed. Reads as a sentence with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is not there; never empty.
    pub what: Vec<Required>,
    /// The Debian packages that bring it, each once; empty where the entry names none.
    pub packages: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: Vec<_> = self.what.iter().map(ToString::to_string).collect();
        write!(f, "not installed: {}", what.join(", "))?;
        if !self.packages.is_empty() {
            write!(f, " (apt install {})", self.packages.join(" "))?;
        }
        Ok(())
    }
}

/// A package's name by Debian Policy §5.6.1.
pub(super) fn is_package(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (2..=128).contains(&name.len())
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || "+-.".contains(c))
}
