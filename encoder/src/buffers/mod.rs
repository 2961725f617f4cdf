//! An encoder of a library that is told, with each picture, which of its buffers that may refer to and which it is
//! kept in: what libvpx and libaom are here.
//!
//! Lost pictures are answered by the golden and the alt-ref picture, however many are lost: one of the two is always
//! one that the client has acknowledged, or else the keyframe (`anchors.rs`).
//!
//! The first picture after a fall of the rate is as coarse as it must be to be of the new one (`fall.rs`), for which
//! it is coded twice. Each picture is out before the next one comes in.

mod anchors;
pub(crate) mod eight;
mod fall;

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use media::{
    BitDepth, Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId,
    FrameRate, Picture, PixelFormat, RateChange, Recovery, Regions, Size, Submitted,
};

use crate::candidates::{EncoderSettings, OpenError};
use crate::nv12::{Drawn, Nv12, TwoPlanes, check_taken};
use crate::planar::{Lowered, Planar};
use crate::unit_pool::UnitPool;
use anchors::Anchors;
pub(crate) use anchors::{Plan, Slot};
use fall::Seen;
pub(crate) use fall::Steps;

/// Range of a bit rate, in kbit/s: libvpx cuts what is above, and codes nothing at 0.
const KBPS: RangeInclusive<u64> = 1..=1_000_000;
/// By how much less a picture may take than the one before it was meant to, without being tried.
const FALL: f64 = 5.0 / 6.0;
/// Time that a frame may last, in microseconds: libvpx takes rates below 0.1 a second as 30.
const MICROS: RangeInclusive<u128> = 1..=10_000_000;

/// Bits that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// In a second, in thousands.
    pub(crate) kilobits: u32,
    /// What rate control may overdraw, in milliseconds at this rate.
    pub(crate) buffer_millis: u32,
    /// What it may have saved, that among it.
    pub(crate) most_millis: u32,
}

/// A coded picture, until the next one is coded.
pub(crate) struct Coded<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) key: bool,
    /// How coarse it is, up to 63.
    pub(crate) quantiser: u8,
    /// How long the library took.
    pub(crate) took: Duration,
}

impl Coded<'_> {
    fn seen(&self) -> Seen {
        Seen { bytes: self.data.len(), quantiser: self.quantiser }
    }
}

/// A picture on its way into the library.
pub(crate) struct Source<'a> {
    pub(crate) picture: &'a Planar<'a>,
    /// When it begins, in microseconds.
    pub(crate) time: i64,
    /// How long it lasts, in microseconds.
    pub(crate) interval: u32,
    pub(crate) plan: Plan,
    /// Nothing will refer to it, and it must change nothing for those after it.
    pub(crate) in_vain: bool,
    pub(crate) regions: &'a Regions,
}

/// An open encoder of a library.
pub(crate) trait Coder: Sized {
    /// Another one like it, of this size.
    fn anew(&self, size: Size, budget: Budget) -> Result<Self, String>;

    /// Codes one picture.
    fn code(&mut self, source: &Source<'_>) -> Result<Coded<'_>, String>;

    /// Sets how coarse pictures may be from the next one on.
    fn set_quantisers(&mut self, range: RangeInclusive<u8>) -> Result<(), String>;

    /// Sets the budget from the next picture on.
    fn set_budget(&mut self, budget: Budget) -> Result<(), String>;
}

/// What of a library's rate control is to be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// How coarse its quantisers are.
    pub(crate) steps: &'static Steps,
    /// What rate control may have saved, in what it may overdraw.
    pub(crate) saves: u32,
    /// What a picture may take at the most, in budgets, if it is like the one before it; none where the quantiser is
    /// left free.
    pub(crate) leap: Option<f64>,
}

/// A library's encoder as an [`Encoder`].
pub(crate) struct BufferedEncoder<C> {
    capabilities: EncoderCapabilities,
    manner: Manner,
    coder: C,
    /// Of the pictures.
    format: PixelFormat,
    size: Size,
    /// Microseconds from one frame to the next.
    interval: u32,
    /// When the next frame begins, in microseconds.
    time: i64,
    budget: Budget,
    newest: Option<Newest>,
    /// The newest picture, keyframes among them.
    last: Option<Seen>,
    drawn: Drawn,
    lowered: Lowered,
    units: UnitPool,
    anchors: Anchors,
}

/// The newest picture that is no keyframe.
#[derive(Clone, Copy)]
struct Newest {
    seen: Seen,
    /// Bytes that it was meant to take.
    meant: f64,
}

impl Newest {
    /// Whether the next one would be longer than these bytes that it is meant to take, and that only since they
    /// are fewer.
    fn is_beyond(self, bytes: f64) -> bool {
        bytes < FALL * self.meant && self.seen.bytes as f64 > bytes
    }
}

impl<C: Coder> BufferedEncoder<C> {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// Those of `open`; [`OpenError::Refused`] for a size or a layout that it does not take.
    pub(crate) fn open(
        capabilities: EncoderCapabilities,
        manner: Manner,
        settings: &EncoderSettings,
        open: impl FnOnce(Budget) -> Result<C, OpenError>,
    ) -> Result<Self, OpenError> {
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        settings.check(&capabilities).map_err(OpenError::Refused)?;
        let interval = interval(settings.rate);
        let budget = budget(manner, settings.bitrate, interval);
        Ok(Self {
            capabilities,
            manner,
            coder: open(budget)?,
            format: settings.format,
            size: settings.size,
            interval,
            time: 0,
            budget,
            newest: None,
            last: None,
            drawn: Drawn::default(),
            lowered: Lowered::default(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            anchors: Anchors::new(),
        })
    }
}

impl<C: Coder> Encoder for BufferedEncoder<C> {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }

    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let picture: Planar<'_> = match self.format.depth() {
            BitDepth::Eight => {
                let picture = Nv12::check(picture, self.size)?;
                self.drawn.with_strip(picture, options.strip).into()
            }
            BitDepth::Ten => {
                let picture = TwoPlanes::check(picture, self.format, self.size)?;
                self.lowered.draw(&picture, options.strip)
            }
        };
        let plan = self.anchors.plan(options.keyframe);
        let bytes = frame_bytes(self.budget, self.interval);
        let Manner { steps, leap, .. } = self.manner;
        let mut free = steps.free();
        let mut fallen = None;
        if let Plan::Delta { .. } = plan {
            fallen = self.newest.filter(|newest| newest.is_beyond(bytes));
            if let (Some(leap), Some(last)) = (leap, self.last) {
                free = last.finest(steps, leap * bytes)..=*free.end();
            }
        }
        let mut source = Source {
            picture: &picture,
            time: self.time,
            interval: self.interval,
            plan,
            in_vain: fallen.is_some(),
            regions: &options.regions,
        };
        let coder = &mut self.coder;
        let tried = match fallen {
            Some(Newest { seen: before, .. }) => {
                coder
                    .set_quantisers(fixed(before.guess(steps, bytes)))
                    .map_err(EncodeError::Fatal)?;
                let trial = coder.code(&source).map_err(EncodeError::Fatal)?;
                let (tried, took) = (trial.seen(), trial.took);
                free = fixed(before.after_trial(steps, tried, bytes));
                took
            }
            None => Duration::ZERO,
        };
        coder.set_quantisers(free).map_err(EncodeError::Fatal)?;
        source.in_vain = false;
        let coded = coder.code(&source).map_err(EncodeError::Fatal)?;
        let (seen, key, took) = (coded.seen(), coded.key, coded.took + tried);
        let unit = self.units.unit(coded.data);
        self.last = Some(seen);
        self.time += i64::from(self.interval);
        if !key {
            self.newest = Some(Newest { seen, meant: bytes });
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
        let budget = budget(self.manner, bitrate, interval);
        if budget != self.budget {
            self.coder.set_budget(budget).map_err(EncodeError::Fatal)?;
            self.budget = budget;
        }
        // The library takes the frame rate from how long frames last.
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
        self.coder = self.coder.anew(size, self.budget).map_err(EncodeError::Fatal)?;
        (self.newest, self.last) = (None, None);
        self.size = size;
        self.anchors = Anchors::new();
        Ok(())
    }
}

/// Microseconds from one frame to the next.
fn interval(rate: FrameRate) -> u32 {
    rate.interval().as_micros().clamp(*MICROS.start(), *MICROS.end()) as u32
}

/// The budget of frames that last for `interval` microseconds: its buffer holds one, in milliseconds
/// rounded up.
fn budget(manner: Manner, bitrate: Bitrate, interval: u32) -> Budget {
    let kilobits = bitrate.kbps().clamp(*KBPS.start(), *KBPS.end()) as u32;
    let buffer_millis = interval.div_ceil(1_000);
    Budget { kilobits, buffer_millis, most_millis: manner.saves * buffer_millis }
}

/// Bytes of a frame.
fn frame_bytes(budget: Budget, interval: u32) -> f64 {
    f64::from(budget.kilobits) / 8.0 * f64::from(interval) / 1e3
}

/// Cores that a picture may be coded by.
pub(crate) fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// Pictures of this quantiser alone.
fn fixed(quantiser: u8) -> RangeInclusive<u8> {
    quantiser..=quantiser
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_one_frame() {
        let of = |saves, kbps, rate| {
            let manner = Manner { steps: &Steps::VP9, saves, leap: None };
            budget(manner, Bitrate::from_kbps(kbps), interval(rate))
        };
        let holds =
            |kilobits, buffer_millis, most_millis| Budget { kilobits, buffer_millis, most_millis };
        assert_eq!(of(1, 6_000, FrameRate::fps(60)), holds(6_000, 17, 17));
        assert_eq!(of(1, 6_000, FrameRate::fps(25)), holds(6_000, 40, 40));
        assert_eq!(of(1, 0, FrameRate::fps(1_000)), holds(1, 1, 1));
        assert_eq!(of(2, 6_000, FrameRate::fps(60)), holds(6_000, 17, 34));
        assert_eq!(of(1, 1 << 50, FrameRate::fps(60)).kilobits, 1_000_000);
        assert_eq!(interval(FrameRate::fps(u32::MAX)), 1);
        assert_eq!(interval(FrameRate::new(1, u32::MAX).unwrap()), 10_000_000);
    }
}
