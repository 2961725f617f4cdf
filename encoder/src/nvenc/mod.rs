//! NVENC, the encoder of NVIDIA's devices, through the driver's own table of functions.
//!
//! Types and constants come from `nvidia-video-codec-sdk`; nothing of the driver is linked, so its
//! absence is a row of the table of candidates and no reason not to start. It must never know
//! sessions of users. Used wrongly (a structure of the driver held as a Rust value, see `raw`) it is
//! undefined behaviour.
//!
//! So far it is only found out whether the driver could be used: sessions are not opened yet.

pub mod loader;
#[cfg_attr(not(test), expect(dead_code, reason = "used by sessions, which come next"))]
mod plan;
mod raw;
mod status;

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use media::Codec;

use crate::candidates::{Candidate, OpenError};
use crate::cuda;

pub use loader::Nvenc;
pub use status::Status;

/// The name of this candidate.
pub const NAME: &str = "nvenc-h264";

/// Which libraries are opened: names for the dynamic linker to look up, or paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// NVENC.
    pub encode: OsString,
    /// CUDA's driver interface.
    pub cuda: OsString,
}

impl Libraries {
    /// Those of the installed driver.
    pub fn system() -> Self {
        Self { encode: loader::LIBRARY.into(), cuda: cuda::loader::LIBRARY.into() }
    }
}

/// The row of the table of candidates. The driver is opened by the first that opens the candidate, and
/// what came of it is kept.
pub fn candidate(libraries: Libraries) -> Candidate {
    let driver = OnceLock::new();
    Candidate {
        name: NAME,
        codec: Codec::H264,
        hardware: true,
        open: Arc::new(move |_, _| {
            let nvenc = driver
                .get_or_init(|| Nvenc::load(&libraries))
                .as_ref()
                .map_err(|reason| OpenError::Missing(reason.to_string()))?;
            let devices: Vec<_> =
                nvenc.cuda().devices().iter().map(|device| device.name.as_str()).collect();
            Err(OpenError::Missing(format!(
                "this build cannot open sessions of NVENC yet (the driver has NVENC {} and CUDA {} on {})",
                nvenc.version(),
                nvenc.cuda().version(),
                devices.join(", ")
            )))
        }),
    }
}

#[cfg(test)]
mod tests;
