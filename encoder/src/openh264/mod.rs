//! H.264 by Cisco's OpenH264, compiled into the binary: there wherever the binary runs.
//!
//! Set up for the least delay: no B-frames (it has none), one reference, no look-ahead, no scene
//! change detection, frame skipping off, slices coded in parallel, keyframes only on request. It has
//! no VBV: single frames may be larger than the budget of one frame, and the pacer spreads them.

mod sys;

use std::ops::RangeInclusive;

use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, Plane, RateChange, Recovery, Size, Submitted, UnitKind,
};

use crate::candidates::{EncoderSettings, OpenError};
use crate::h264;
use crate::nv12::{Drawn, Nv12, check_taken};
use crate::slices;
use crate::unit_pool::UnitPool;
use sys::{Coded, I420, Parameters, RawEncoder};

/// The candidate's name.
pub const NAME: &str = "openh264";

/// What it takes, lying or standing (its README; it fails beyond).
const SMALLEST: Size = Size::new(16, 16);
const LARGEST: Size = Size::new(3_840, 2_160);
/// It clips frame rates to this (`MAX_FRAME_RATE`).
const MAX_FRAME_RATE: f64 = 60.0;

/// OpenH264 as an [`Encoder`].
pub struct OpenH264Encoder {
    capabilities: EncoderCapabilities,
    raw: RawEncoder,
    size: Size,
    bitrate: Bitrate,
    rate: FrameRate,
    declared_fps: f64,
    buffers: Buffers,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
    frames: u64,
}

/// What OpenH264 needs otherwise than NV12 gives it.
#[derive(Default)]
struct Buffers {
    cb: Vec<u8>,
    cr: Vec<u8>,
    drawn: Drawn,
}

impl OpenH264Encoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Refused`] for settings that it does not take.
    pub fn open(settings: &EncoderSettings) -> Result<Self, OpenError> {
        let capabilities = EncoderCapabilities {
            smallest: SMALLEST,
            largest: LARGEST,
            rate_change: RateChange::Seamless,
            ..EncoderCapabilities::plain(NAME, Codec::H264)
        };
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        let declared_fps = settings.rate.as_f64().clamp(1.0, MAX_FRAME_RATE);
        Ok(Self {
            capabilities,
            raw: open_raw(settings.size, settings.bitrate, settings.rate, declared_fps)
                .map_err(OpenError::Refused)?,
            size: settings.size,
            bitrate: settings.bitrate,
            rate: settings.rate,
            declared_fps,
            buffers: Buffers::default(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
            frames: 0,
        })
    }
}

impl Encoder for OpenH264Encoder {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        _frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let picture = Nv12::check(picture, self.size)?;
        if options.keyframe {
            self.raw.force_keyframe().map_err(EncodeError::Fatal)?;
        }
        let millis = (self.frames as f64 * 1_000.0 / self.declared_fps) as i64;
        self.frames += 1;
        let source = self.buffers.prepare(&picture, options);
        let Coded { data, key } = self.raw.encode(&source, millis).map_err(EncodeError::Fatal)?;
        if !key {
            return Ok(Submitted::Now(Encoded::new(self.units.unit(data), UnitKind::Delta)));
        }
        let prepared = h264::prepare(data, &mut self.rewritten)
            .map_err(|error| EncodeError::Fatal(format!("its SPS cannot be read: {error}")))?;
        Ok(Submitted::Now(Encoded::new(self.units.unit(prepared), UnitKind::Key)))
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        if (bitrate, rate) != (self.bitrate, self.rate) {
            self.raw
                .set_bitrate(budget(bitrate, rate, self.declared_fps))
                .map_err(EncodeError::Fatal)?;
            (self.bitrate, self.rate) = (bitrate, rate);
        }
        Ok(RateChange::Seamless)
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        // Each unit is out before `encode` returns.
        None
    }

    fn acknowledge(&mut self, _frame: FrameId) {
        // Only a keyframe helps it, whatever the client has.
    }

    fn forget(&mut self, _lost: RangeInclusive<FrameId>) -> Recovery {
        Recovery::KeyframeNeeded
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        if size == self.size {
            return Ok(());
        }
        check_taken(&self.capabilities, size).map_err(EncodeError::Refused)?;
        // A new one starts with exactly one keyframe and holds no state of the old size.
        self.raw = open_raw(size, self.bitrate, self.rate, self.declared_fps)
            .map_err(EncodeError::Fatal)?;
        self.size = size;
        Ok(())
    }
}

impl Buffers {
    /// Splits the chroma plane and draws the strip, without touching the picture.
    fn prepare<'a>(&'a mut self, picture: &Nv12<'a>, options: EncodeOptions) -> I420<'a> {
        let (width, height) = (picture.width(), picture.height());
        let Nv12 { luma, chroma, .. } = self.drawn.with_strip(*picture, options.strip);
        let half = width / 2;
        self.cb.resize(half * height / 2, 0);
        self.cr.resize(half * height / 2, 0);
        let rows = chroma.data.chunks(chroma.stride);
        for ((row, cb), cr) in
            rows.zip(self.cb.chunks_exact_mut(half)).zip(self.cr.chunks_exact_mut(half))
        {
            for ((pair, cb), cr) in row.as_chunks::<2>().0.iter().zip(cb).zip(cr) {
                (*cb, *cr) = (pair[0], pair[1]);
            }
        }
        I420 {
            size: picture.size,
            luma,
            cb: Plane { data: &self.cb, stride: half },
            cr: Plane { data: &self.cr, stride: half },
        }
    }
}

fn open_raw(
    size: Size,
    bitrate: Bitrate,
    rate: FrameRate,
    declared_fps: f64,
) -> Result<RawEncoder, String> {
    RawEncoder::open(&Parameters {
        size,
        bits_per_second: budget(bitrate, rate, declared_fps),
        frames_per_second: declared_fps as f32,
        slices: slices::count(),
    })
}

/// The bit rate that gives frames of the declared rate the budget that they have at `bitrate` and
/// `rate`: so a new frame rate needs no new parameters, and rates above 60 keep their budget.
fn budget(bitrate: Bitrate, rate: FrameRate, declared_fps: f64) -> i32 {
    let bits = bitrate.scaled(declared_fps / rate.as_f64()).bps();
    // The upper half of the range is left: OpenH264 multiplies it in 32 bits.
    bits.clamp(1_000, i32::MAX as u64 / 4) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_budget_at_another_frame_rate() {
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(60), 60.0), 6_000_000);
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(120), 60.0), 3_000_000);
        assert_eq!(budget(Bitrate::from_bps(0), FrameRate::fps(60), 60.0), 1_000);
    }

    #[test]
    fn sizes_beyond_its_limits_are_refused() {
        let open = |width, height| {
            OpenH264Encoder::open(&EncoderSettings::new(
                Size::new(width, height),
                FrameRate::fps(30),
                Bitrate::from_mbps(1),
            ))
        };
        for (width, height) in [(3_842, 16), (2_162, 2_162), (14, 64), (63, 64), (0, 0)] {
            assert!(matches!(open(width, height), Err(OpenError::Refused(_))), "{width}x{height}");
        }
    }
}
