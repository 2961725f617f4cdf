//! How far a server is with what was sent to it.
//!
//! Input goes to a server with devices of its own by several sockets, which it reads in an order of its own. So before input goes
//! another way than the last did, the server is asked, by that one, whether it has taken all of it.
//!
//! ```text
//!        sent              question           sent
//!  All ────────▶ Unknown ───────────▶ Asked ───────▶ Outdated
//!   ▲               ▲                   │                │
//!   │               └───────────────────┼─── answered ───┘
//!   └─────────── answered ──────────────┘
//! ```

/// What a server is known to have taken of what went one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All.
    All,
    /// Something was sent, and nobody has asked.
    Unknown,
    /// It was asked, and has not answered.
    Asked,
    /// More was sent since it was asked: its answer will not be about that.
    Outdated,
}

impl Taken {
    /// Something was sent.
    pub(super) fn sent(&mut self) {
        *self = match self {
            Self::All | Self::Unknown => Self::Unknown,
            Self::Asked | Self::Outdated => Self::Outdated,
        };
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        *self = match self {
            Self::All | Self::Asked => Self::All,
            Self::Unknown | Self::Outdated => Self::Unknown,
        };
    }
}
