//! VP8 and VP9 by libvpx, called directly: what `vp8enc` and `vp9enc` cannot do, since they do not tell their
//! encoder which pictures to keep.
//!
//! libvpx is opened at run time where the system has it, and never linked. Set up for the least delay:
//! no look-ahead, no picture left out, a buffer of one frame, keyframes only on request.
//!
//! Lost pictures are answered by the golden and the alt-ref picture, however many are lost: one of the
//! two is always one that the client has acknowledged, or else the keyframe (`anchors.rs`; what libvpx is told
//! for it: `orders.rs`). For that its resilient mode must be on: without it libvpx keeps golden pictures as it
//! likes, whatever it is told, and codes each picture with the probabilities that the one before it left behind.
//! With it every picture begins with those that the standard has (RFC 6386, 9.11; VP9 bitstream specification,
//! `setup_past_independence`) and brings its own map of segments, and one of VP9 takes no motion from the picture
//! before, so that it depends on nothing but the pictures that it refers to.
//!
//! Regions are segments (`segments.rs`), of VP8 alone: four steps in one picture at the most, the rest of it among
//! them. With the first regions libvpx ends its cyclic refresh for good, by which it codes still parts of a picture
//! finer in turn.
//!
//! The first picture after a fall of the rate is as coarse as it must be to be of the new one (`fall.rs`), for
//! which it is coded twice.
//!
//! What it does not have: rate control has no second try at a picture, so that one may take up to two and a half
//! times the budget of one frame, of VP9 1.7 times after the first ten (640x384, noise, at 2 to 9 Mbit/s); VP9 is
//! not refined in turn where it stands still, which makes single pictures half as large again; a stream of VP8 cannot
//! declare BT.709, since VP8 knows no colours but one kind of YUV; and VP9 has no ten bits here, which are left to
//! `vp9enc`.

mod anchors;
mod fall;
mod orders;
mod segments;
mod standard;
mod sys;

use std::ops::RangeInclusive;
use std::time::Duration;

use media::{
    Bitrate, EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, FrameId, FrameRate,
    Picture, RateChange, Recovery, RecoveryMeans, Regions, Size, Submitted,
};

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::nv12::{Drawn, Nv12, check_taken};
use crate::regions::Blocks;
use crate::unit_pool::UnitPool;
use anchors::{Anchors, Plan};
use fall::Seen;
use orders::Order;
use segments::Segments;
use standard::Standard;
use sys::{Budget, Coded, RawEncoder};

/// 14 bits of width and of height (RFC 6386, 9.1), even. VP9 has 16, which no decoder takes in one piece.
const MAX_SIZE: Size = Size::new(16_382, 16_382);
/// Range of its bit rate, in kbit/s: it cuts what is above, and codes nothing at 0.
const KBPS: RangeInclusive<u64> = 1..=1_000_000;
/// What a picture of VP9 may take at the most, in budgets, if it is like the one before it. Left free, the
/// quantiser goes by lengths that are inverse to its step: the first picture after a keyframe took three budgets,
/// and one after a fall of the rate five.
const LEAP: f64 = 1.25;
/// By how much less a picture may take than the one before it was meant to, without being tried.
const FALL: f64 = 5.0 / 6.0;
/// Time that a frame may last, in microseconds: libvpx takes rates below 0.1 a second as 30.
const MICROS: RangeInclusive<u128> = 1..=10_000_000;

/// The rows of the table of candidates.
pub fn candidates() -> [Candidate; 2] {
    [Standard::Vp8, Standard::Vp9].map(|standard| Candidate {
        name: standard.name(),
        codec: standard.codec(),
        hardware: false,
        library: "libvpx",
        open: std::sync::Arc::new(move |settings, _| {
            Ok(Box::new(VpxEncoder::open(standard, settings)?) as Box<dyn Encoder>)
        }),
    })
}

/// libvpx as an [`Encoder`].
struct VpxEncoder {
    standard: Standard,
    capabilities: EncoderCapabilities,
    raw: RawEncoder,
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
    units: UnitPool,
    anchors: Anchors,
    /// Where regions were asked for.
    segments: Option<Segments>,
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

/// A picture on its way into the library.
struct Coding<'a> {
    raw: &'a mut RawEncoder,
    segments: &'a mut Option<Segments>,
    picture: &'a Nv12<'a>,
    time: i64,
    interval: u32,
}

impl Coding<'_> {
    fn code(&mut self, order: Order, regions: &Regions) -> Result<Coded<'_>, EncodeError> {
        if let Some(segments) = &mut self.segments {
            self.raw.set_segments(segments.draw(regions)).map_err(EncodeError::Fatal)?;
        }
        self.raw.encode(self.picture, self.time, self.interval, order).map_err(EncodeError::Fatal)
    }

    fn set_quantisers(&mut self, range: RangeInclusive<u8>) -> Result<(), EncodeError> {
        self.raw.set_quantisers(range).map_err(EncodeError::Fatal)
    }
}

impl Coded<'_> {
    fn seen(&self) -> Seen {
        Seen { bytes: self.data.len(), quantiser: self.quantiser }
    }
}

impl VpxEncoder {
    /// Opens it on the calling thread.
    ///
    /// # Errors
    /// [`OpenError::Missing`] without a library of a known version; [`OpenError::Refused`] for one
    /// that is not as known, and for settings that it does not take.
    fn open(standard: Standard, settings: &EncoderSettings) -> Result<Self, OpenError> {
        let regions = settings.regions && standard == Standard::Vp8;
        let capabilities = EncoderCapabilities {
            largest: MAX_SIZE,
            rate_change: RateChange::Seamless,
            recovery: RecoveryMeans::LongTerm,
            regions: regions.then_some(Blocks::H264.edge),
            ..EncoderCapabilities::plain(standard.name(), standard.codec())
        };
        check_taken(&capabilities, settings.size).map_err(OpenError::Refused)?;
        sys::system()?;
        let interval = interval(settings.rate);
        let budget = budget(standard, settings.bitrate, interval);
        Ok(Self {
            standard,
            capabilities,
            raw: open_raw(standard, settings.size, budget).map_err(OpenError::Refused)?,
            size: settings.size,
            interval,
            time: 0,
            budget,
            newest: None,
            last: None,
            drawn: Drawn::default(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            anchors: Anchors::new(),
            segments: regions.then(|| Segments::new(settings.size)),
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
        let bytes = frame_bytes(self.budget, self.interval);
        let fallen = match plan {
            Plan::Key => None,
            Plan::Delta { .. } => self.newest.filter(|newest| newest.is_beyond(bytes)),
        };
        let mut coding = Coding {
            raw: &mut self.raw,
            segments: &mut self.segments,
            picture: &picture,
            time: self.time,
            interval: self.interval,
        };
        let (order, steps) = (Order::of(self.standard, plan), self.standard.steps());
        let mut free = steps.free();
        if let (Standard::Vp9, Plan::Delta { .. }, Some(last)) = (self.standard, plan, self.last) {
            free = last.finest(steps, LEAP * bytes)..=*free.end();
        }
        let tried = match fallen {
            Some(Newest { seen: before, .. }) => {
                coding.set_quantisers(fixed(before.guess(steps, bytes)))?;
                let trial = coding.code(order.in_vain(), &options.regions)?;
                let (tried, took) = (trial.seen(), trial.took);
                coding.set_quantisers(fixed(before.after_trial(steps, tried, bytes)))?;
                took
            }
            None => {
                coding.set_quantisers(free)?;
                Duration::ZERO
            }
        };
        let coded = coding.code(order, &options.regions)?;
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
        let budget = budget(self.standard, bitrate, interval);
        if budget != self.budget {
            self.raw.set_budget(budget).map_err(EncodeError::Fatal)?;
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
        self.raw = open_raw(self.standard, size, self.budget).map_err(EncodeError::Fatal)?;
        (self.newest, self.last) = (None, None);
        self.size = size;
        self.anchors = Anchors::new();
        self.segments = self.segments.is_some().then(|| Segments::new(size));
        Ok(())
    }
}

fn open_raw(standard: Standard, size: Size, budget: Budget) -> Result<RawEncoder, String> {
    let library = sys::system().map_err(|error| error.to_string())?;
    RawEncoder::open(library, standard, size, budget)
}

/// Microseconds from one frame to the next.
fn interval(rate: FrameRate) -> u32 {
    rate.interval().as_micros().clamp(*MICROS.start(), *MICROS.end()) as u32
}

/// The budget of frames that last for `interval` microseconds: its buffer holds one, in milliseconds
/// rounded up.
fn budget(standard: Standard, bitrate: Bitrate, interval: u32) -> Budget {
    let kilobits = bitrate.kbps().clamp(*KBPS.start(), *KBPS.end()) as u32;
    let buffer_millis = interval.div_ceil(1_000);
    Budget { kilobits, buffer_millis, most_millis: standard.saves() * buffer_millis }
}

/// Bytes of a frame.
fn frame_bytes(budget: Budget, interval: u32) -> f64 {
    f64::from(budget.kilobits) / 8.0 * f64::from(interval) / 1e3
}

/// Pictures of this quantiser alone.
fn fixed(quantiser: u8) -> RangeInclusive<u8> {
    quantiser..=quantiser
}

#[cfg(test)]
mod tests;
