//! VP8 by libvpx, called directly: what `vp8enc` cannot do, since it does not tell its encoder which
//! pictures to keep.
//!
//! libvpx is opened at run time where the system has it, and never linked. Set up for the least delay:
//! no look-ahead, no picture left out, a buffer of one frame, keyframes only on request.
//!
//! Lost pictures are answered by the golden and the alt-ref picture, however many are lost: one of the
//! two is always one that the client has acknowledged, or else the keyframe (`anchors.rs`). For that
//! its resilient mode must be on: without it libvpx keeps golden pictures as it likes, whatever it is
//! told, and codes each picture with the probabilities that the one before it left behind. With it
//! every picture begins with those that the standard has (RFC 6386, 9.11) and brings its own map of
//! segments, so that it depends on nothing but the pictures that it refers to.
//!
//! Regions are segments (`segments.rs`): four steps in one picture at the most, the rest of it among them. With
//! the first regions libvpx ends its cyclic refresh for good, by which it codes still parts of a picture
//! finer in turn.
//!
//! A picture is coded no coarser than those before it were in the mean as long as the buffer is as full as it
//! aims at, after a fall of the rate too: it would take as much as at the old rate, five budgets after a fall
//! from 8 to 2 Mbit/s. So with the first picture after a fall by more than a quarter the aim is more than the
//! buffer holds. That picture is then coarser than it need be, and the next one as it should be.
//!
//! What it does not have: rate control has no second try at a picture, so that one may take up to
//! two and a half times the budget of one frame (640x384, noise, at 2 to 9 Mbit/s); and the stream cannot
//! declare BT.709, since VP8 knows no colours but one kind of YUV.

mod anchors;
mod segments;
mod sys;

use std::ffi::{c_int, c_long, c_ulong};
use std::ops::RangeInclusive;

use media::{
    Bitrate, Codec, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, RateChange, Recovery, RecoveryMeans, Size, Submitted,
};

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::nv12::{Drawn, Nv12, check_taken};
use crate::regions::Blocks;
use crate::unit_pool::UnitPool;
use anchors::{Anchors, Plan, Slot};
use segments::Segments;
use sys::{Budget, Coded, RawEncoder, flag};

/// The candidate's name.
pub const NAME: &str = "vpx-vp8";

/// 14 bits of width and of height (RFC 6386, 9.1), even.
const MAX_SIZE: Size = Size::new(16_382, 16_382);
/// Range of its bit rate, in kbit/s: it cuts what is above, and codes nothing at 0.
const KBPS: RangeInclusive<u64> = 1..=1_000_000;
/// 4.3 ms a picture of 1280x720 on one core, a quarter more than its fastest, 16. That searches so little
/// that moving textures never take less than 5.1 Mbit/s, for 27.6 dB, where this makes 3.7 Mbit/s of 4
/// for 35.3 dB. Negative: it must not follow the clock. One thread codes a picture: several wait for one
/// another by spinning, and where the cores are busy with sessions a picture then takes tens of
/// milliseconds.
const SPEED: c_int = -8;
/// A keyframe may take two frames' worth. It would take up to fourteen, and with one it is so coarse
/// that the pictures after it are too.
const KEYFRAME_PERCENT: u32 = 200;
/// Aimed at so many times what the buffer holds, it is less than a quarter full whatever is in it: from there on
/// libvpx's rate control is free in how coarse a picture may be (`calc_pframe_target_size` of `ratectrl.c`).
const BEYOND: u32 = 8;
/// Time that a frame may last, in microseconds: libvpx takes rates below 0.1 a second as 30.
const MICROS: RangeInclusive<u128> = 1..=10_000_000;

/// The row of the table of candidates.
pub fn candidate() -> Candidate {
    Candidate {
        name: NAME,
        codec: Codec::Vp8,
        hardware: false,
        library: "libvpx",
        open: std::sync::Arc::new(|settings, _| {
            Ok(Box::new(VpxEncoder::open(settings)?) as Box<dyn Encoder>)
        }),
    }
}

/// libvpx's VP8 as an [`Encoder`].
pub struct VpxEncoder {
    capabilities: EncoderCapabilities,
    raw: RawEncoder,
    size: Size,
    /// Microseconds from one frame to the next.
    interval: u32,
    /// When the next frame begins, in microseconds.
    time: i64,
    budget: Budget,
    /// It was told another for the next picture alone.
    fallen: bool,
    drawn: Drawn,
    units: UnitPool,
    anchors: Anchors,
    /// Where regions were asked for.
    segments: Option<Segments>,
}

impl VpxEncoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without a library of a known version; [`OpenError::Refused`] for one
    /// that is not as known, and for settings that it does not take.
    pub fn open(settings: &EncoderSettings) -> Result<Self, OpenError> {
        let capabilities = EncoderCapabilities {
            largest: MAX_SIZE,
            rate_change: RateChange::Seamless,
            recovery: RecoveryMeans::LongTerm,
            regions: settings.regions.then_some(Blocks::H264.edge),
            ..EncoderCapabilities::plain(NAME, Codec::Vp8)
        };
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        sys::system()?;
        let interval = interval(settings.rate);
        let budget = budget(settings.bitrate, interval);
        Ok(Self {
            capabilities,
            raw: open_raw(settings.size, budget).map_err(OpenError::Refused)?,
            size: settings.size,
            interval,
            time: 0,
            budget,
            fallen: false,
            drawn: Drawn::default(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            anchors: Anchors::new(),
            segments: settings.regions.then(|| Segments::new(settings.size)),
        })
    }
}

impl Encoder for VpxEncoder {
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
        let picture = self.drawn.with_strip(picture, options.strip);
        let plan = self.anchors.plan(options.keyframe);
        if let Some(segments) = &mut self.segments {
            let segments = segments.draw(&options.regions);
            self.raw.set_segments(segments).map_err(EncodeError::Fatal)?;
        }
        let Coded { data, key, took } = self
            .raw
            .encode(&picture, self.time, c_ulong::from(self.interval), flags(plan))
            .map_err(EncodeError::Fatal)?;
        self.time += i64::from(self.interval);
        let unit = self.units.unit(data);
        if std::mem::take(&mut self.fallen) {
            self.raw.set_budget(self.budget).map_err(EncodeError::Fatal)?;
        }
        let kind = self.anchors.coded(frame, key, plan);
        Ok(Submitted::Now(Encoded { library: took, ..Encoded::new(unit, kind) }))
    }

    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        // Each unit is out before `encode` returns.
        None
    }

    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        let interval = interval(rate);
        let budget = budget(bitrate, interval);
        if budget != self.budget {
            let frame =
                |budget: Budget, interval: u32| u64::from(budget.kilobits) * u64::from(interval);
            self.fallen |= frame(budget, interval) * 4 < frame(self.budget, self.interval) * 3;
            let aimed_at = budget.aimed_at * if self.fallen { BEYOND } else { 1 };
            self.raw.set_budget(Budget { aimed_at, ..budget }).map_err(EncodeError::Fatal)?;
            self.budget = budget;
        }
        // It takes the frame rate from how long frames last.
        self.interval = interval;
        Ok(RateChange::Seamless)
    }

    fn acknowledge(&mut self, frame: FrameId) {
        self.anchors.acknowledge(frame);
    }

    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.anchors.forget(&lost)
    }

    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        if size == self.size {
            return Ok(());
        }
        check_taken(&self.capabilities, size).map_err(EncodeError::Refused)?;
        // A new one starts with exactly one keyframe and holds no picture of the old size. This one
        // takes no larger size than it began with.
        self.raw = open_raw(size, self.budget).map_err(EncodeError::Fatal)?;
        self.fallen = false;
        self.size = size;
        self.anchors = Anchors::new();
        self.segments = self.segments.is_some().then(|| Segments::new(size));
        Ok(())
    }
}

fn open_raw(size: Size, budget: Budget) -> Result<RawEncoder, String> {
    let library = sys::system().map_err(|error| error.to_string())?;
    RawEncoder::open(library, size, budget, SPEED, KEYFRAME_PERCENT)
}

/// Microseconds from one frame to the next.
fn interval(rate: FrameRate) -> u32 {
    rate.interval().as_micros().clamp(*MICROS.start(), *MICROS.end()) as u32
}

/// The budget of frames that last for `interval` microseconds: its buffer holds one, in milliseconds
/// rounded up.
fn budget(bitrate: Bitrate, interval: u32) -> Budget {
    let kilobits = bitrate.kbps().clamp(*KBPS.start(), *KBPS.end()) as u32;
    let millis = interval.div_ceil(1_000);
    Budget { kilobits, buffer_millis: millis, aimed_at: millis }
}

/// A plan in libvpx's words.
fn flags(plan: Plan) -> c_long {
    let Plan::Delta { last, golden, altref, keep } = plan else {
        return flag::KEYFRAME;
    };
    let unless = |refers: bool, flag| if refers { 0 } else { flag };
    let kept = match keep {
        None => flag::NOT_AS_GOLDEN | flag::NOT_AS_ALTREF,
        Some(Slot::Golden) => flag::AS_GOLDEN | flag::NOT_AS_ALTREF,
        Some(Slot::AltRef) => flag::AS_ALTREF | flag::NOT_AS_GOLDEN,
    };
    unless(last, flag::NOT_FROM_LAST)
        | unless(golden, flag::NOT_FROM_GOLDEN)
        | unless(altref, flag::NOT_FROM_ALTREF)
        | kept
}

#[cfg(test)]
mod tests;
