//! Reads the files that a scene names, and only those inside its folder.
//!
//! A URI is untrusted. It may be a `data:` URI or a relative path without `..`; the file that it leads
//! to, with every symbolic link followed, must lie in the scene's folder and be a regular file.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use base64::Engine;

use super::super::error::shorten;
use super::super::limits::check;
use super::super::{LoadLimits, SceneError};

/// The folder of a scene; none for a scene that came as bytes.
#[derive(Debug, Default)]
pub(super) struct Files {
    folder: Option<PathBuf>,
}

impl Files {
    /// The folder that holds `scene`.
    pub(super) fn beside(scene: &Path) -> Result<Self, SceneError> {
        let folder = match scene.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|source| io_error(folder, source))?;
        Ok(Self { folder: Some(folder) })
    }

    /// The bytes behind `uri`, which belongs to `what`.
    pub(super) fn read_uri(
        &self,
        what: &str,
        uri: &str,
        limits: &LoadLimits,
    ) -> Result<Vec<u8>, SceneError> {
        let refuse = |why| SceneError::Uri { what: what.to_owned(), uri: shorten(uri), why };
        if let Some(data) = uri.strip_prefix("data:") {
            return decode_data(data).map_err(refuse);
        }
        let folder = self.folder.as_deref().ok_or_else(|| refuse("this scene has no folder"))?;
        let relative = relative_path(uri).map_err(refuse)?;
        let joined = folder.join(relative);
        let path = joined.canonicalize().map_err(|source| io_error(&joined, source))?;
        if !path.starts_with(folder) {
            return Err(refuse("it leads out of the scene's folder"));
        }
        read_file(&path, limits.file_bytes)
    }

    /// The file `name` in the scene's folder, if there is one.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        let path = folder.join(name).canonicalize().ok()?;
        path.starts_with(folder).then_some(path)
    }
}

/// A whole regular file of at most `limit` bytes.
pub(super) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, SceneError> {
    let fail = |source| io_error(path, source);
    // Asked by path first: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if !metadata.is_file() {
        return Err(SceneError::invalid(path.display().to_string(), "is not a regular file"));
    }
    let what = || format!("the file {}", path.display());
    check(what, metadata.len(), limit)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    check(what, bytes.len() as u64, limit)?;
    Ok(bytes)
}

pub(super) fn io_error(path: &Path, source: std::io::Error) -> SceneError {
    SceneError::Io { path: path.to_owned(), source }
}

/// RFC 2397, with base64 only: glTF 2.0 §3.6.1.1 knows no other.
fn decode_data(data: &str) -> Result<Vec<u8>, &'static str> {
    let (media_type, payload) = data.split_once(',').ok_or("it has no comma")?;
    if !media_type.ends_with(";base64") {
        return Err("only base64 data is read");
    }
    base64::engine::general_purpose::STANDARD.decode(payload).map_err(|_| "its base64 is broken")
}

/// A URI as a path of plain names.
fn relative_path(uri: &str) -> Result<PathBuf, &'static str> {
    let decoded = percent_decode(uri).ok_or("its percent-encoding is broken")?;
    if decoded.contains(['\\', '\0']) {
        return Err("it contains a character that no portable path has");
    }
    // A scheme is letters before the first colon; names with a colon are refused with it.
    if decoded.contains(':') {
        return Err("only data URIs and relative paths are read");
    }
    let path = PathBuf::from(decoded);
    for component in path.components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err("it contains `..`"),
            _ => return Err("it is an absolute path"),
        }
    }
    Ok(path)
}

/// RFC 3986 §2.1.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        assert_eq!(relative_path("a%20b/c.bin"), Ok(PathBuf::from("a b/c.bin")));
        assert_eq!(relative_path("./c.bin"), Ok(PathBuf::from("./c.bin")));
        for bad in [
            "../c.bin",
            "a/../../c.bin",
            "%2e%2e/c.bin",
            "/etc/passwd",
            "%2Fetc/passwd",
            "file:///etc/passwd",
            "https://example.org/a.bin",
            "..\\c.bin",
            "C:/c.bin",
            "a%00b",
            "a%2",
            "a%zz",
            "%ff",
        ] {
            assert!(relative_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn data_uris_are_decoded() {
        assert_eq!(decode_data("application/octet-stream;base64,AQID"), Ok(vec![1, 2, 3]));
        assert!(decode_data("text/plain,hello").is_err());
        assert!(decode_data("application/octet-stream;base64,A*==").is_err());
        assert!(decode_data("application/octet-stream;base64").is_err());
    }
}
