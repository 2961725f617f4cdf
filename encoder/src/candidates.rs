//! The ordered table of encoders. Which of them work here is found out by [`crate::probe`], and which
//! one a session gets is decided by [`crate::choice`].

use std::sync::Arc;

use media::{Codec, EncodeError, Encoder};
use thiserror::Error;

use crate::regions::refusing_regions;
pub use crate::settings::EncoderSettings;
use crate::wake::Wake;

/// Why an encoder could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What it needs is not installed.
    #[error("missing: {0}")]
    Missing(String),
    /// It is there, but does not take the settings.
    #[error("refused: {0}")]
    Refused(String),
    /// It works, but has no session to give: others hold as many as it has.
    #[error("busy: {reason}; {open} of its sessions are open here")]
    Busy {
        /// What it answered.
        reason: String,
        /// Sessions of this process.
        open: u32,
    },
    /// It failed in a way that may pass: no memory was left, its device was in use, lost or slow.
    #[error("failed: {0}")]
    Failed(String),
}

impl OpenError {
    /// Whether another try may end otherwise, although nothing here is changed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Failed(_) => true,
            Self::Missing(_) | Self::Refused(_) => false,
        }
    }

    /// What it is for an encoder that gave up what it had in order to be, as `done` says, anew.
    pub(crate) fn of_another(self, done: &str) -> EncodeError {
        match self {
            Self::Busy { reason, open } => EncodeError::NoSession { reason, open },
            error => EncodeError::Fatal(format!("it cannot be {done} anew: {error}")),
        }
    }
}

/// Opens an encoder on the calling thread, which is the one that it is used and dropped on. The
/// [`Wake`] is for encoders whose units come later.
pub type Open =
    dyn Fn(&EncoderSettings, &Wake) -> Result<Box<dyn Encoder>, OpenError> + Send + Sync;

/// One way to code video.
#[derive(Clone)]
pub struct Candidate {
    /// Its name in the configuration, in metrics and on the page.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// What it goes through, by name: a library, or a plugin of GStreamer. Where that hangs for one
    /// candidate, it is taken to hang for all of it.
    pub library: &'static str,
    /// Opens it; called by [`Self::start`].
    pub open: Arc<Open>,
}

impl Candidate {
    /// Opens it, and lets go of it again where it cannot do what was asked. Pictures with regions are
    /// refused for it where it has none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn start(
        &self,
        settings: &EncoderSettings,
        wake: &Wake,
    ) -> Result<Box<dyn Encoder>, OpenError> {
        let encoder = (self.open)(settings, wake)?;
        settings.check(encoder.capabilities()).map_err(OpenError::Refused)?;
        Ok(refusing_regions(encoder))
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name)
            .field("codec", &self.codec)
            .field("hardware", &self.hardware)
            .finish_non_exhaustive()
    }
}

/// Every encoder in this build, best first.
///
/// Hardware comes first: it leaves the processor to the sessions. x264 comes before OpenH264: at the
/// same rate its pictures come within 0.3 dB (moving textures, 1280x720, 2 to 8 Mbit/s, once the first
/// second has passed), for a sixth more of processor time, but none takes more than 1.2 budgets of a frame.
/// OpenH264's keyframes take 5 to 13, and others up to 4. libvpx and libaom called directly come before GStreamer's vp8enc,
/// vp9enc and av1enc, which have no answer to lost pictures but a keyframe. OpenH264 is the last resort: it is there wherever we are.
pub fn candidates() -> Vec<Candidate> {
    let nvenc = crate::nvenc::candidates(crate::nvenc::Libraries::system());
    let mut candidates = Vec::from(nvenc);
    candidates.extend(crate::gst::candidates(true));
    candidates.push(crate::libx264::candidate());
    candidates.extend(crate::vpx::candidates());
    candidates.push(crate::aom::candidate());
    candidates.extend(crate::gst::candidates(false));
    candidates.push(Candidate {
        name: crate::openh264::NAME,
        codec: Codec::H264,
        hardware: false,
        library: "OpenH264",
        open: Arc::new(|settings, _| {
            Ok(Box::new(crate::openh264::OpenH264Encoder::open(settings)?) as Box<dyn Encoder>)
        }),
    });
    candidates
}
