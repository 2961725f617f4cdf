//! The seam to encoders. An encoder is created, used and dropped on one thread.

use std::ops::RangeInclusive;

use bytes::Bytes;
use thiserror::Error;

use crate::barcode::Strip;
use crate::{Bitrate, Codec, CpuImage, FrameId, FrameRate, Size, UnitKind};

/// What an encoder can do. What is false here is refused, never silently ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderCapabilities {
    /// The candidate's name, such as `gst-x264enc`.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// Whether a new bit rate comes without a keyframe.
    pub seamless_rate_change: bool,
    /// Whether lost frames can be taken out of the references.
    pub reference_invalidation: bool,
}

/// What the next frame needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Code it as a keyframe with parameter sets.
    pub keyframe: bool,
    /// Draw this strip into the encoder's own copy of the picture, so that it shows whatever the
    /// picture lies in.
    pub strip: Option<Strip>,
}

/// One coded picture as the encoder returns it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The bitstream, see [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: Bytes,
    /// How it can be decoded.
    pub kind: UnitKind,
}

/// What a rate change cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChange {
    /// Nothing.
    Seamless,
    /// The next unit is a keyframe.
    Keyframe,
}

/// How an encoder copes with lost frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The next unit references none of them.
    Invalidated,
    /// Only a keyframe helps.
    KeyframeNeeded,
}

/// A video encoder: frames in, units out, one for one and in order.
pub trait Encoder {
    /// What it can do.
    fn capabilities(&self) -> &EncoderCapabilities;

    /// Codes one picture and returns it at once: no encoder here reorders or looks ahead.
    ///
    /// # Errors
    /// See [`EncodeError`]. After [`EncodeError::Fatal`] the encoder is dropped.
    fn encode(
        &mut self,
        frame: FrameId,
        image: &CpuImage<'_>,
        options: EncodeOptions,
    ) -> Result<Encoded, EncodeError>;

    /// Sets bit rate and frame rate from the next frame on. VBV stays at one frame.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError>;

    /// Takes frames that never arrived out of the references.
    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery;

    /// Changes the coded size; the next unit is a keyframe.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn resize(&mut self, size: Size) -> Result<(), EncodeError>;
}

/// Why a picture could not be coded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoder does not take this picture; another one may pass.
    #[error("the encoder refused the picture: {0}")]
    Refused(String),
    /// The encoder is broken and must be replaced.
    #[error("the encoder failed: {0}")]
    Fatal(String),
}
