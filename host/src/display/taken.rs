//! How far a server is with what was sent to it.
//!
//! Input goes to a server with devices of its own by several sockets, which it reads in an order of its own. So before input goes
//! another way than the last did, the server is asked, by that one, whether it has taken all of it.
//!
//! ```text
//!        sent              question           sent                    sent
//!  All ────────▶ Unknown ───────────▶ Asked ───────▶ Outdated ◀─────────────── Forgotten
//!   ▲             │   ▲                 │ │              │ │                        ▲
//!   ├─ forgotten ─┘   └─────────────────┼─┼─ answered ───┘ │                        │
//!   └─────────── answered ──────────────┘ └────────────────┴────── forgotten ───────┘
//! ```
//!
//! There is one question at a time, since the driver `inputtest` answers two that it reads together once: how many answers are to
//! come could not be told. One that was forgotten needs no second: the driver answers it once it has made input of anything that
//! came later.

/// What a server is known to have taken of what went one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All, or all that anybody waits for.
    All,
    /// Something was sent, and nobody has asked.
    Unknown,
    /// It was asked, and has not answered.
    Asked,
    /// More was sent since it was asked: its answer will not be about that.
    Outdated,
    /// It was asked, and nobody waits for its answer any more, since all was let go of meanwhile.
    Forgotten,
}

impl Taken {
    /// Whether what goes another way need not wait.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::All | Self::Forgotten)
    }

    /// Something was sent.
    pub(super) fn sent(&mut self) {
        *self = match self {
            Self::All | Self::Unknown => Self::Unknown,
            Self::Asked | Self::Outdated | Self::Forgotten => Self::Outdated,
        };
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        *self = match self {
            Self::All | Self::Asked | Self::Forgotten => Self::All,
            Self::Unknown | Self::Outdated => Self::Unknown,
        };
    }

    /// All was let go of: there is nothing to keep in order, and a question that is never answered must not stop what comes next.
    pub(super) fn forget(&mut self) {
        *self = match self {
            Self::All | Self::Unknown => Self::All,
            Self::Asked | Self::Outdated | Self::Forgotten => Self::Forgotten,
        };
    }
}
