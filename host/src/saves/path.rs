//! Paths below a game's home.

use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// A path below a game's home: relative, of plain names, at most [`HomePath::MAX_BYTES`] long.
///
/// It cannot leave the home by what it says (`..`, a leading `/`); that it does not by what lies there
/// (symbolic links) is seen to where it is opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HomePath(String);

impl HomePath {
    /// Bytes that a path may have.
    pub const MAX_BYTES: usize = 512;
    /// Bytes that one name in it may have, as Linux has it (`NAME_MAX`).
    const MAX_NAME: usize = 255;

    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = || crate::shown(text);
        if text.is_empty() {
            return Err("an empty path names nothing".into());
        }
        if text.len() > Self::MAX_BYTES {
            return Err(format!("{} is longer than {} bytes", shown(), Self::MAX_BYTES));
        }
        if text.starts_with('/') {
            return Err(format!("{} is absolute: paths here are relative to the home", shown()));
        }
        for name in text.split('/') {
            match name {
                "" => return Err(format!("{} has an empty name in it", shown())),
                "." | ".." => return Err(format!("{} has {name:?} in it", shown())),
                _ if name.len() > Self::MAX_NAME => {
                    return Err(format!("{} has a name of over 255 bytes", shown()));
                }
                _ if name.chars().any(char::is_control) => {
                    return Err(format!("{} has a control character in it", shown()));
                }
                _ => {}
            }
        }
        // The same by the standard library's own reading of paths.
        debug_assert!(
            Path::new(text).components().all(|each| matches!(each, Component::Normal(_)))
        );
        Ok(Self(text.into()))
    }

    /// The path of `name` below this one.
    ///
    /// # Errors
    /// As [`HomePath::parse`].
    pub fn join(&self, name: &str) -> Result<Self, String> {
        Self::parse(&format!("{}/{name}", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names, from the home on.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether it is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The folder that it lies in, none where that is the home, and its own name.
    pub(crate) fn split_last(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => (Some(folder), name),
            None => (None, &self.0),
        }
    }
}

impl fmt::Display for HomePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HomePath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<HomePath> for String {
    fn from(path: HomePath) -> Self {
        path.0
    }
}

/// The first of `paths` that is another one or lies within it, with that other one.
pub(crate) fn overlap(paths: &[HomePath]) -> Option<(&HomePath, &HomePath)> {
    let mut sorted: Vec<_> = paths.iter().collect();
    // By names, so that what lies within a path comes right after it.
    sorted.sort_by(|a, b| a.names().cmp(b.names()));
    sorted.windows(2).find(|pair| pair[1].is_within(pair[0])).map(|pair| (pair[1], pair[0]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_paths_are_taken() {
        for text in
            ["a", ".local/share/game/saves", "a b/ü.sav", "$HOME", "a;rm -rf ~", "...", "-rf"]
        {
            assert_eq!(HomePath::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let long = "a/".repeat(256) + "a";
        let name = "n".repeat(256);
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\0b",
            "a\nb",
            &long,
            &name,
        ] {
            HomePath::parse(text).expect_err(text);
        }
    }

    #[test]
    fn within_is_by_names() {
        let path = |text| HomePath::parse(text).expect("a path");
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a/b")));
    }

    #[test]
    fn overlaps_are_found_wherever_they_are() {
        let paths = |texts: &[&str]| -> Vec<_> {
            texts.iter().map(|text| HomePath::parse(text).expect("a path")).collect()
        };
        assert!(overlap(&paths(&["a/b", "a-b", "a", "c"])).is_some());
        assert!(overlap(&paths(&["a", "b", "a"])).is_some());
        assert!(overlap(&paths(&["a", "a-b", "a.b", "ab"])).is_none());
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below_the_home(text in "[a./\\\\ ~\\x00-\\x20é-]{0,24}") {
            if let Ok(path) = HomePath::parse(&text) {
                let parts: Vec<_> = Path::new(path.as_str()).components().collect();
                prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(parts.len(), path.names().count());
            }
        }
    }
}
