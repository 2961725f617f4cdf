//! H.264 by Cisco's OpenH264, compiled into the binary: there wherever the binary runs.
//!
//! Set up for the least delay: no B-frames (it has none), one picture searched, no look-ahead, no scene
//! change detection, frame skipping off, slices coded in parallel, keyframes only on request. It has
//! no VBV: single frames may be larger than the budget of one frame, and the pacer spreads them.
//!
//! Lost frames are answered by a long-term reference, however many they are: one that the client has
//! acknowledged, or else the keyframe.

mod ltr;
mod sys;

use std::ops::RangeInclusive;

use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, Plane, RateChange, Recovery, RecoveryMeans, Size, Submitted, UnitKind,
};

use crate::candidates::{EncoderSettings, OpenError};
use crate::h264::{self, NalKind, Pps, SliceHeader, Sps, SyntaxError};
use crate::nv12::{Drawn, Nv12, check_taken, split_chroma};
use crate::slices;
use crate::unit_pool::UnitPool;
use ltr::{Forget, LongTerm};
use sys::{Coded, I420, Parameters, RawEncoder};

/// The candidate's name.
pub const NAME: &str = "openh264";

/// What it takes, lying or standing. It refuses more than the 36,864 macroblocks of level 5.2
/// (`MAX_MBS_PER_FRAME`), which this has.
const SMALLEST: Size = Size::new(16, 16);
const LARGEST: Size = Size::new(4_096, 2_304);
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
    /// Those of the newest keyframe.
    parameter_sets: Option<(Sps, Pps)>,
    long_term: LongTerm,
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
            recovery: RecoveryMeans::LongTerm,
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
            parameter_sets: None,
            long_term: LongTerm::new(),
        })
    }
}

impl Encoder for OpenH264Encoder {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
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
        let Coded { data, key, took } =
            self.raw.encode(&source, millis).map_err(EncodeError::Fatal)?;
        let syntax = |error| EncodeError::Fatal(format!("its unit cannot be read: {error}"));
        if key {
            self.parameter_sets = Some(parameter_sets(data).map_err(syntax)?);
        }
        let header = self.parameter_sets.as_ref().map(|sets| slice_header(data, sets));
        let header = header.unwrap_or(Err(SyntaxError::Truncated)).map_err(syntax)?;
        let kind = self.long_term.coded(frame, &header);
        if kind != UnitKind::Key {
            let unit = Encoded::new(self.units.unit(data), kind);
            return Ok(Submitted::Now(Encoded { library: took, ..unit }));
        }
        let declare = h264::Declarations { gaps: true, color: None };
        let prepared = h264::prepare_with(data, declare, &mut self.rewritten).map_err(syntax)?;
        let unit = Encoded::new(self.units.unit(prepared), kind);
        Ok(Submitted::Now(Encoded { library: took, ..unit }))
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

    fn acknowledge(&mut self, frame: FrameId) {
        if let Some(feedback) = self.long_term.acknowledge(frame) {
            // It refuses no feedback once it is initialised; without it it would mark no new one.
            let _ = self.raw.confirm(self.long_term.idr(), feedback);
        }
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        let (base, failed) = match self.long_term.forget(&lost) {
            Forget::Nothing => return Recovery::Nothing,
            Forget::Beyond => return Recovery::KeyframeNeeded,
            Forget::Recover { base, failed } => (base, failed),
        };
        let idr = self.long_term.idr();
        let told = failed.map_or(Ok(()), |failed| self.raw.confirm(idr, failed));
        match told.and_then(|()| self.raw.recover(idr)) {
            Ok(()) => Recovery::Invalidated { base },
            Err(_) => Recovery::KeyframeNeeded,
        }
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        if size == self.size {
            return Ok(());
        }
        check_taken(&self.capabilities, size).map_err(EncodeError::Refused)?;
        // A new one starts with exactly one keyframe and holds no state of the old size.
        self.raw = open_raw(size, self.bitrate, self.rate, self.declared_fps)
            .map_err(EncodeError::Fatal)?;
        (self.size, self.long_term) = (size, LongTerm::new());
        Ok(())
    }
}

impl Buffers {
    /// Splits the chroma plane and draws the strip, without touching the picture.
    fn prepare<'a>(&'a mut self, picture: &Nv12<'a>, options: EncodeOptions) -> I420<'a> {
        let (width, height) = (picture.width(), picture.height());
        let drawn = self.drawn.with_strip(*picture, options.strip);
        let half = width / 2;
        self.cb.resize(half * height / 2, 0);
        self.cr.resize(half * height / 2, 0);
        split_chroma(&drawn.chroma, drawn.size, (&mut self.cb, half), (&mut self.cr, half));
        I420 {
            size: picture.size,
            luma: drawn.luma,
            cb: Plane { data: &self.cb, stride: half },
            cr: Plane { data: &self.cr, stride: half },
        }
    }
}

/// The parameter sets of a keyframe.
fn parameter_sets(unit: &[u8]) -> Result<(Sps, Pps), SyntaxError> {
    let find = |kind| h264::nals(unit).find(|nal| nal.kind() == kind).ok_or(SyntaxError::Truncated);
    Ok((Sps::parse(find(NalKind::Sps)?.bytes())?, Pps::parse(find(NalKind::Pps)?.bytes())?))
}

/// The head of the first slice: the others say the same.
fn slice_header(unit: &[u8], (sps, pps): &(Sps, Pps)) -> Result<SliceHeader, SyntaxError> {
    let slice = h264::nals(unit).find(|nal| nal.kind().is_slice()).ok_or(SyntaxError::Truncated)?;
    SliceHeader::parse(slice.bytes(), sps, pps)
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
    use media::{CpuImage, PixelFormat};

    use super::*;
    use crate::h264::Reference;

    /// Codes pictures, acknowledges each two later where told so, and yields the heads of the units.
    fn heads(
        encoder: &mut OpenH264Encoder,
        frames: std::ops::Range<u64>,
        ack: bool,
    ) -> Vec<SliceHeader> {
        let (luma, chroma) = (vec![90; 64 * 64], vec![128; 64 * 32]);
        let planes = [&luma, &chroma].map(|data| Plane { data, stride: 64 });
        let image = CpuImage {
            format: PixelFormat::Nv12,
            size: Size::new(64, 64),
            planes: planes.into_iter().collect(),
        };
        let picture = Picture::Cpu(image);
        let code = |frame| {
            let coded = encoder.encode(FrameId(frame), &picture, EncodeOptions::default()).unwrap();
            let Submitted::Now(unit) = coded else { panic!("it does not wait") };
            if ack && frame >= 2 {
                encoder.acknowledge(FrameId(frame - 2));
            }
            slice_header(&unit.data, encoder.parameter_sets.as_ref().unwrap()).unwrap()
        };
        frames.map(code).collect()
    }

    #[test]
    fn acknowledgements_move_the_long_term_reference_on() {
        for ack in [false, true] {
            let settings =
                EncoderSettings::new(Size::new(64, 64), FrameRate::fps(60), Bitrate::from_mbps(1));
            let mut encoder = OpenH264Encoder::open(&settings).unwrap();
            let coded = heads(&mut encoder, 0..80, ack);
            let marks = coded.iter().filter(|head| head.long_term.is_some()).count();
            // The keyframe, and one that waits; or one about every eleven pictures.
            assert!(if ack { marks >= 6 } else { marks == 2 }, "{marks} marks, {ack}");
            assert!(
                coded[70..].iter().all(|head| matches!(head.references[..], [Reference::Back(1)]))
            );
            let recovery = encoder.forget(FrameId(79)..=FrameId(79));
            assert!(
                matches!(recovery, Recovery::Invalidated { base } if base.0 < 79),
                "{recovery:?}"
            );
            let next = heads(&mut encoder, 80..82, ack);
            assert!(matches!(next[0].references[..], [Reference::LongTerm(_)]), "{next:?}");
            assert_eq!(next[1].references[..], [Reference::Back(1)]);
            assert!(next.iter().all(|head| head.idr_pic_id.is_none()));
        }
    }

    #[test]
    fn a_frame_keeps_its_budget_at_another_frame_rate() {
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(60), 60.0), 6_000_000);
        assert_eq!(budget(Bitrate::from_mbps(6), FrameRate::fps(120), 60.0), 3_000_000);
        assert_eq!(budget(Bitrate::from_bps(0), FrameRate::fps(60), 60.0), 1_000);
    }

    /// `frame_num` comes around after 32,768 pictures, and half of that is where orders turn.
    #[test]
    fn long_streams_are_made_good_too() {
        for ack in [false, true] {
            let size = Size::new(64, 64);
            let settings = EncoderSettings::new(size, FrameRate::fps(60), Bitrate::from_mbps(1));
            let mut encoder = OpenH264Encoder::open(&settings).unwrap();
            let mut next = 0;
            for until in [20_000, 20_010, 32_766, 32_770, 37_000] {
                let coded = heads(&mut encoder, next..until, ack);
                let keys = coded.iter().filter(|head| head.idr_pic_id.is_some()).count();
                assert_eq!(keys, usize::from(next == 0), "up to {until}");
                let recovery = encoder.forget(FrameId(until - 3)..=FrameId(until - 2));
                assert!(matches!(recovery, Recovery::Invalidated { base } if base.0 < until - 3));
                let recovery = heads(&mut encoder, until..until + 1, ack);
                assert!(matches!(recovery[0].references[..], [Reference::LongTerm(_)]), "{until}");
                next = until + 1;
            }
        }
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
        for (width, height) in [(4_098, 16), (2_306, 2_306), (14, 64), (63, 64), (0, 0)] {
            assert!(matches!(open(width, height), Err(OpenError::Refused(_))), "{width}x{height}");
        }
    }
}
