//! The seam to encoders. An encoder is created, used and dropped on one thread.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use crate::barcode::Strip;
use crate::{
    Bitrate, Codec, CpuImage, DamagedRects, DeviceId, FrameId, FrameRate, Part, PixelFormat,
    Regions, SharedImage, Size, UnitKind,
};

/// What an encoder can do. What is false here is refused, never silently ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderCapabilities {
    /// The candidate's name, such as `gst-x264enc`.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// Layouts of pictures that it can be opened for. One that it was not opened for it takes with a
    /// keyframe, or refuses.
    pub formats: SmallVec<[PixelFormat; 4]>,
    /// Least width and least height that it takes.
    pub smallest: Size,
    /// Largest picture that it takes, lying or standing: the edges may change places.
    pub largest: Size,
    /// The device whose shared memory it reads in place; none where it takes pictures on the CPU
    /// only.
    pub shares: Option<DeviceId>,
    /// The device itself waits for [`SharedImage::ready`], so that a picture may be given before it is
    /// complete, unless a strip is to be drawn into it. Where this is false the caller waits, and takes
    /// `ready` out.
    pub waits_on_device: bool,
    /// Pictures that may be in it at once, 1 at the least.
    pub depth: u8,
    /// What a new bit rate or frame rate costs.
    pub rate_change: RateChange,
    /// What it does not do while it runs, and is started anew for.
    pub restarts: Restarts,
    /// Whether its rate control holds every single unit to about the budget of one frame.
    pub bounded_frames: bool,
    /// What it does about lost frames.
    pub recovery: RecoveryMeans,
    /// It can be opened to answer them by waves of intra blocks, whatever it was opened for.
    pub waves: bool,
    /// Edge in pixels of the square blocks that it has a quantiser step for; none where it codes all of a
    /// picture alike, and refuses one with regions.
    pub regions: Option<u16>,
}

impl EncoderCapabilities {
    /// The least that an encoder can be: in software, NV12 of any even size, one picture at once,
    /// units of any length, one quality, and a keyframe for everything. An adapter states what is
    /// otherwise.
    pub fn plain(name: &'static str, codec: Codec) -> Self {
        Self {
            name,
            codec,
            hardware: false,
            formats: smallvec![PixelFormat::Nv12],
            smallest: Size::new(2, 2),
            largest: Size::new(u32::MAX, u32::MAX),
            shares: None,
            waits_on_device: false,
            depth: 1,
            rate_change: RateChange::Keyframe,
            restarts: Restarts::NONE,
            bounded_frames: false,
            recovery: RecoveryMeans::Keyframe,
            waves: false,
            regions: None,
        }
    }

    /// Whether a picture of `size` lies between the smallest and the largest.
    pub fn takes_size(&self, size: Size) -> bool {
        let edges = |size: Size| (size.width.max(size.height), size.width.min(size.height));
        let ((long, short), (longest, shortest)) = (edges(size), edges(self.largest));
        size.width >= self.smallest.width
            && size.height >= self.smallest.height
            && long <= longest
            && short <= shortest
    }
}

/// A picture where an encoder may find it.
#[derive(Clone, Debug)]
pub enum Picture<'a> {
    /// On the CPU: every encoder takes it.
    Cpu(CpuImage<'a>),
    /// In memory of the device that [`EncoderCapabilities::shares`] names, read in place.
    Shared(SharedImage<'a>),
}

/// What the next frame needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Code it as a keyframe with parameter sets.
    pub keyframe: bool,
    /// Draw this strip into the encoder's own copy of the picture, so that it shows whatever the
    /// picture lies in.
    pub strip: Option<Strip>,
    /// Parts that are coded finer or coarser than the rest, where [`EncoderCapabilities::regions`] says
    /// that it can. The bit rate stays what it is: what one part gains the others pay for.
    pub regions: Regions,
    /// Where the picture may differ from the one that this encoder took last, in pixels, beside strips;
    /// none where that is not known. An encoder may take everything else for the same unseen. Those that
    /// make nothing of it look at all of the picture.
    pub damage: Option<DamagedRects>,
}

impl EncodeOptions {
    /// Nothing but a keyframe, or not even that.
    pub const fn keyframe(keyframe: bool) -> Self {
        Self { keyframe, strip: None, regions: Regions::NONE, damage: None }
    }
}

/// What became of a picture that an encoder took.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// It is coded.
    Now(Encoded),
    /// The encoder has it; its unit comes by [`Encoder::poll`].
    Later,
}

/// One coded picture as the encoder returns it, or a part of it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The bitstream, see [`AccessUnit::data`](crate::AccessUnit::data).
    pub data: Bytes,
    /// How it can be decoded, the same of all parts of a picture.
    pub kind: UnitKind,
    /// Which part of the picture it is. Only the last tells the quantiser and the time.
    pub part: Part,
    /// Mean quantiser on the codec's own scale, where the encoder tells it.
    pub quantiser: Option<u8>,
    /// How long the library or the device had it, where the adapter calls that itself: what is left of
    /// the whole is the adapter's own. Zero where it is not measured.
    pub library: Duration,
    /// How long the adapter slept between looks at a device that was not done yet: neither its own time nor
    /// the library's. Zero where it waits within the library.
    pub waited: Duration,
}

impl Encoded {
    /// What every encoder tells.
    pub const fn new(data: Bytes, kind: UnitKind) -> Self {
        let (library, waited) = (Duration::ZERO, Duration::ZERO);
        Self { data, kind, part: Part::WHOLE, quantiser: None, library, waited }
    }
}

/// What a rate change cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChange {
    /// Nothing.
    Seamless,
    /// The next unit is a keyframe.
    Keyframe,
}

/// What an encoder is started anew for, which takes as long as its start and is a keyframe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restarts {
    /// A new bit rate or frame rate.
    pub rate: bool,
    /// A keyframe on request.
    pub keyframe: bool,
}

impl Restarts {
    /// It does all of it while it runs.
    pub const NONE: Self = Self { rate: false, keyframe: false };

    /// What is in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { rate: self.rate || other.rate, keyframe: self.keyframe || other.keyframe }
    }

    /// What is in this one alone.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self { rate: self.rate && !other.rate, keyframe: self.keyframe && !other.keyframe }
    }
}

/// What an encoder can do about lost frames, short of a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMeans {
    /// It takes them out of the references.
    References {
        /// Pictures, counted back from the newest one, that may be lost so that one before them is
        /// still referenced: the decoded picture buffer less one, since lost ones still occupy it.
        reach: u16,
    },
    /// It refers to a picture that the client has acknowledged, however many came after it.
    LongTerm,
    /// A wave of intra blocks crosses the picture.
    Wave {
        /// Units of one wave. A loss within one may have to wait for its end, which
        /// [`Recovery::Wave`] counts in.
        units: u16,
    },
    /// Nothing: it takes a keyframe.
    Keyframe,
}

/// How an encoder copes with lost frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The next unit references none of them; its kind is [`UnitKind::Recovery`].
    Invalidated {
        /// The newest picture that it is coded from.
        base: FrameId,
    },
    /// The picture is clean with the last of this many units, whose kind is
    /// [`UnitKind::Recovery`].
    Wave {
        /// Units, the next one included.
        units: u16,
        /// The newest picture from before the loss. A decoder that has it takes all units from the next
        /// one on, and shows what was lost until the wave has crossed it.
        base: FrameId,
    },
    /// None: no unit to come refers to them, since they lie before a keyframe or were told before.
    Nothing,
    /// Only a keyframe helps.
    KeyframeNeeded,
}

/// A video encoder: frames in, units out, one for one and in order. One of [`Encoder::poll`] may come in
/// [parts](Part).
pub trait Encoder {
    /// What it can do.
    fn capabilities(&self) -> &EncoderCapabilities;

    /// Takes one picture. Units come in the order of the pictures: no encoder here reorders or looks
    /// ahead. The picture must stay as it is until its unit is out.
    ///
    /// # Errors
    /// See [`EncodeError`]. After [`EncodeError::Fatal`], [`EncodeError::NoKeyframe`] and
    /// [`EncodeError::NoSession`] the encoder is dropped.
    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError>;

    /// The next of the units that come later, or why there is none for its picture, or no more of it where
    /// parts came before. Never waits.
    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>>;

    /// Sets bit rate and frame rate from the next frame on. The VBV stays as many frames as it was
    /// told to be when the encoder was opened.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError>;

    /// The client has decoded this frame, and with it every frame that it needs.
    fn acknowledge(&mut self, frame: FrameId);

    /// Takes frames that never arrived out of the references.
    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery;

    /// Whether pictures move by whole pixels once [`Encoder::resize`] has changed their size, for encoders that were told of it
    /// when they were opened.
    fn set_integer_motion(&mut self, _whole: bool) {}

    /// Changes the coded size; the next unit is a keyframe. Pictures that are in it still yield
    /// their units first.
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
    /// It has no room at the moment; nothing is broken, and a later picture may pass.
    #[error("the encoder is busy: {0}")]
    Busy(String),
    /// It gave its session up for another one, of which none is free. It is not broken, and must be replaced.
    #[error("the encoder has no session: {reason}")]
    NoSession {
        /// What the device said.
        reason: String,
        /// Sessions of it that this process has open.
        open: u32,
    },
    /// The encoder is broken and must be replaced.
    #[error("the encoder failed: {0}")]
    Fatal(String),
    /// It made no keyframe where it had to, or takes no request for one; all else of it may be well. It
    /// must be replaced, or started anew.
    #[error("the encoder ignores that a keyframe is due: {0}")]
    NoKeyframe(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_taken_lying_and_standing() {
        let capabilities = EncoderCapabilities {
            smallest: Size::new(32, 16),
            largest: Size::new(3_840, 2_160),
            ..EncoderCapabilities::plain("test", Codec::H264)
        };
        let takes = |width, height| capabilities.takes_size(Size::new(width, height));
        assert!(takes(32, 16) && takes(3_840, 2_160) && takes(2_160, 3_840));
        assert!(!takes(16, 32), "the least edges do not change places");
        assert!(!takes(3_842, 16) && !takes(32, 3_842) && !takes(2_162, 2_162));
    }
}
