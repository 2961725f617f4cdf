//! The part of CUDA's driver interface that NVENC needs: a device, its context, and memory of another
//! interface imported into it.
//!
//! The driver's library is opened at run time, so one binary runs on machines with and without it. It
//! must never know encoders. Used wrongly (a function called with memory of another context) the
//! driver answers with a status at best.

mod context;
pub mod loader;
mod memory;
mod stream;
pub mod sys;

use thiserror::Error;

pub(crate) use context::Context;
pub use loader::{Cuda, Device};
pub(crate) use memory::Imported;
pub(crate) use stream::Stream;

/// Why a library of the driver cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// It is not installed, or is no library that this process can load.
    #[error("{library} cannot be loaded ({reason})")]
    NoLibrary {
        /// What was looked for.
        library: String,
        /// What the dynamic linker said.
        reason: String,
    },
    /// It is older than what this build was made for.
    #[error("{library} is too old: it has version {found}, {needed} is needed")]
    TooOld {
        /// What was loaded.
        library: String,
        /// Its version.
        found: Version,
        /// The least that will do.
        needed: Version,
    },
    /// It does not export a function.
    #[error("{library} has no function {symbol}")]
    MissingSymbol {
        /// What was loaded.
        library: String,
        /// Name of the function.
        symbol: &'static str,
    },
    /// Its table of functions has a gap.
    #[error("{library} leaves {entry} out of its table of functions")]
    MissingEntry {
        /// What was loaded.
        library: String,
        /// Name of the field of `NV_ENCODE_API_FUNCTION_LIST`.
        entry: &'static str,
    },
    /// A call failed.
    #[error("{call} answered {status}")]
    Status {
        /// Name of the function.
        call: &'static str,
        /// Name or number of what it answered.
        status: String,
    },
    /// A call failed in a way that may pass: its device has no memory left, is in use, or is lost.
    #[error("{call} answered {status}")]
    Passing {
        /// Name of the function.
        call: &'static str,
        /// Name or number of what it answered.
        status: String,
    },
    /// The driver is there, but has no device.
    #[error("the NVIDIA driver has no device")]
    NoDevice,
}

impl Unavailable {
    /// Whether another try may end otherwise, although nothing here is changed.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Passing { .. })
    }
}

/// A call that failed later on: told as it is when the driver is opened.
pub(crate) type Failure = Unavailable;

/// Version of an interface; ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the point.
    pub major: u32,
    /// After it.
    pub minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
