//! Why a scene is refused. Messages name the object of the file, since the reader can only fix that.

use std::path::PathBuf;

use thiserror::Error;

/// Why a scene was refused. Nothing of it was kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A file of the scene cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder holds no scene, or several.
    #[error("{path} holds {found} .gltf and .glb files; name one of them", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// How many scene files it holds.
        found: usize,
    },
    /// The container is broken: no glTF at all, cut short, or another version.
    #[error("not a glTF 2.0 file: {0}")]
    Container(String),
    /// The JSON is broken or a property has the wrong type.
    #[error("the glTF JSON is refused: {0}")]
    Json(String),
    /// The file needs extensions that are not supported.
    #[error("the scene requires unsupported extensions: {0}")]
    Extensions(String),
    /// More than [`LoadLimits`](super::LoadLimits) allows; found before anything was allocated.
    #[error("too large: {what} is {found}, the limit is {limit}")]
    Limit {
        /// What is too large.
        what: String,
        /// How large it is.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A number is NaN or infinite.
    #[error("{what} is not finite")]
    NotFinite {
        /// Which number of which object.
        what: String,
    },
    /// An object contradicts itself, another one, or the specification.
    #[error("{what} {why}")]
    Invalid {
        /// Which object.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A URI leads out of the scene's folder or is of a kind that is never followed.
    #[error("the URI {uri:?} of {what} is refused: {why}")]
    Uri {
        /// Whose URI.
        what: String,
        /// The URI, shortened.
        uri: String,
        /// Why.
        why: &'static str,
    },
    /// An image cannot be decoded.
    #[error("{what} cannot be decoded: {why}")]
    Image {
        /// Which image.
        what: String,
        /// Why.
        why: String,
    },
}

impl SceneError {
    pub(super) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into() }
    }
}

/// Names an object of the file, as in `node 3 "Wheel"`; long names are cut.
pub(super) fn describe(kind: &str, index: usize, name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() => format!("{kind} {index} {:?}", shorten(name)),
        _ => format!("{kind} {index}"),
    }
}

/// At most 64 characters of something that the file says.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 64;
    if text.chars().nth(LONGEST).is_none() {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
