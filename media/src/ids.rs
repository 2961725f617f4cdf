//! Identities. Each is its own type, so that one is never passed for another.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Defines an id that is text.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps text that the server made.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
            /// The id as it stands in URLs.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A session, unique across nodes: unguessable text made by the server, never parsed.
    SessionId
}

text_id! {
    /// Somebody who joined a session by an invitation: unguessable text like a session's, of which it tells
    /// nothing.
    ViewerId
}

/// A frame within its session: counts up by one for every frame that a source yields.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FrameId(pub u64);

impl FrameId {
    /// The id after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The client's number of an input message: starts at 1, counts up, wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputSeq(pub u32);

impl InputSeq {
    /// Whether this number comes after `other`, with wrap-around (RFC 1982 arithmetic).
    pub const fn is_after(self, other: Self) -> bool {
        let distance = self.0.wrapping_sub(other.0);
        distance != 0 && distance < 1 << 31
    }
}

/// A media track within a session: what a transport sends by.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TrackId(pub u8);

/// The coordinate space that a pose was given in; it changes whenever a headset recentres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpaceEpoch(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_numbers_compare_across_the_wrap() {
        assert!(InputSeq(1).is_after(InputSeq(0)));
        assert!(InputSeq(0).is_after(InputSeq(u32::MAX)));
        assert!(!InputSeq(u32::MAX).is_after(InputSeq(0)));
        assert!(!InputSeq(5).is_after(InputSeq(5)));
    }
}
