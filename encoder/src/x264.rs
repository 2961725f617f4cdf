//! H.264 by libx264, through GStreamer's `x264enc`.
//!
//! libx264 is GPL: it is loaded at run time as a plugin where the system has it, and never linked.
//! Set up for the least delay: no B-frames, no look-ahead, one reference, a VBV of one frame, slices
//! coded in parallel, keyframes only on request, Constrained Baseline (what Chromium takes over RTP
//! without negotiation of more).

use std::ops::RangeInclusive;

use gstreamer as gst;
use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, RateChange, Recovery, Size, Submitted, UnitKind,
};

use crate::candidates::{EncoderSettings, OpenError};
use crate::direct::DirectElement;
use crate::h264;
use crate::nv12::{Nv12, check_taken};
use crate::unit_pool::UnitPool;

/// The candidate's name.
pub const NAME: &str = "gst-x264enc";

/// `X264_KEYINT_MAX_INFINITE` of x264.h.
const KEYFRAMES_ON_REQUEST: u32 = 1 << 30;
/// More than four slices make some Chromium builds glitch, and cost bits for little time.
const MAX_THREADS: usize = 4;
/// Longest edges that libx264 initialises with, as tried with build 164.
const MAX_SIZE: Size = Size::new(16_384, 16_384);
/// Range of `x264enc bitrate`, in kbit/s.
const KBPS: std::ops::RangeInclusive<u64> = 1..=2_048_000;

/// x264 as an [`Encoder`].
pub struct X264Encoder {
    capabilities: EncoderCapabilities,
    direct: DirectElement,
    size: Size,
    /// The frame rate that the element was told.
    declared_rate: FrameRate,
    kbps: u32,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
}

impl X264Encoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without GStreamer or the plugin; [`OpenError::Refused`] for settings
    /// that it does not take.
    pub fn open(settings: &EncoderSettings) -> Result<Self, OpenError> {
        let capabilities = EncoderCapabilities {
            largest: MAX_SIZE,
            rate_change: RateChange::Seamless,
            bounded_frames: true,
            ..EncoderCapabilities::plain(NAME, Codec::H264)
        };
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        gst::init().map_err(|error| OpenError::Missing(format!("GStreamer: {error}")))?;
        let factory = gst::ElementFactory::find("x264enc").ok_or_else(|| {
            let plugin = "GStreamer's element x264enc (Debian: gstreamer1.0-plugins-ugly)";
            OpenError::Missing(plugin.into())
        })?;
        let kbps = budget(settings.bitrate, settings.rate, settings.rate);
        let element = factory
            .create()
            .property_from_str("tune", "zerolatency")
            .property_from_str("speed-preset", "ultrafast")
            .property_from_str("pass", "cbr")
            .property("bitrate", kbps)
            .property("vbv-buf-capacity", one_frame_in_millis(settings.rate))
            .property("key-int-max", KEYFRAMES_ON_REQUEST)
            .property("bframes", 0_u32)
            .property("threads", threads())
            .property("sliced-threads", true)
            .property("byte-stream", true)
            .property("aud", false)
            .property("option-string", "keyint=infinite:min-keyint=1:scenecut=0:ref=1:open-gop=0")
            .build()
            .map_err(|error| OpenError::Refused(error.to_string()))?;
        let output = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", "constrained-baseline")
            .build();
        let mut direct = DirectElement::start(element, &output)?;
        direct.set_format(settings.size, settings.rate).map_err(OpenError::Refused)?;
        Ok(Self {
            capabilities,
            direct,
            size: settings.size,
            declared_rate: settings.rate,
            kbps,
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
        })
    }
}

impl Encoder for X264Encoder {
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
        if options.keyframe && !self.direct.force_keyframe() {
            return Err(EncodeError::Fatal("it takes no request for a keyframe".into()));
        }
        let unit = self.direct.run(&picture, options.strip)?;
        let key = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        // Copied out, so that the element's memory goes back at once and nothing is allocated.
        let mapped = unit
            .map_readable()
            .map_err(|_| EncodeError::Fatal("its unit cannot be read".into()))?;
        if !key {
            return Ok(Submitted::Now(Encoded::new(self.units.unit(&mapped), UnitKind::Delta)));
        }
        let prepared = h264::prepare(&mapped, &mut self.rewritten)
            .map_err(|error| EncodeError::Fatal(format!("its SPS cannot be read: {error}")))?;
        Ok(Submitted::Now(Encoded::new(self.units.unit(prepared), UnitKind::Key)))
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        // A new frame rate in the caps would reopen x264 and cost a keyframe. x264 budgets bits for
        // a frame (bit rate / declared frame rate), so the same budget is set through the bit rate;
        // the VBV, given in milliseconds of it, stays at one frame by that.
        let kbps = budget(bitrate, rate, self.declared_rate);
        if kbps != self.kbps {
            self.direct.set_property("bitrate", kbps);
            self.kbps = kbps;
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
        self.direct.set_format(size, self.declared_rate).map_err(EncodeError::Fatal)?;
        self.size = size;
        Ok(())
    }
}

/// The `bitrate` property, in kbit/s, that gives frames of `declared` rate the budget that they have
/// at `bitrate` and `rate`.
fn budget(bitrate: Bitrate, rate: FrameRate, declared: FrameRate) -> u32 {
    let kbps = bitrate.scaled(declared.as_f64() / rate.as_f64()).kbps();
    kbps.clamp(*KBPS.start(), *KBPS.end()) as u32
}

/// `vbv-buf-capacity`, rounded up: less than a frame x264 would not take.
fn one_frame_in_millis(rate: FrameRate) -> u32 {
    let (numerator, denominator) = rate.fraction();
    let millis = (u64::from(denominator) * 1_000).div_ceil(u64::from(numerator));
    millis.clamp(1, 10_000) as u32
}

fn threads() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    cores.min(MAX_THREADS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_budget_at_another_frame_rate() {
        let declared = FrameRate::fps(60);
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(60), declared), 6_000);
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(30), declared), 12_000);
        assert_eq!(budget(Bitrate::from_bps(0), FrameRate::fps(60), declared), 1);
        assert_eq!(budget(Bitrate::from_mbps(u64::MAX / 1_000_000), declared, declared), 2_048_000);
    }

    #[test]
    fn the_vbv_is_never_below_one_frame() {
        assert_eq!(one_frame_in_millis(FrameRate::fps(60)), 17);
        assert_eq!(one_frame_in_millis(FrameRate::fps(30)), 34);
        assert_eq!(one_frame_in_millis(FrameRate::fps(1_000_000)), 1);
        assert_eq!(FrameRate::new(60_000, 1_001).map(one_frame_in_millis), Some(17));
    }
}
