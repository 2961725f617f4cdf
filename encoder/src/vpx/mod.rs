//! VP8 and VP9 by libvpx, called directly: what `vp8enc` and `vp9enc` cannot do, since they do not tell their
//! encoder which pictures to keep.
//!
//! libvpx is opened at run time where the system has it, and never linked. Set up for the least delay:
//! no look-ahead, no picture left out, a buffer of one frame, keyframes only on request.
//!
//! Lost pictures and falls of the rate are answered as [`crate::buffers`] has it (what libvpx is told for it:
//! `orders.rs`). For that its resilient mode must be on: without it libvpx keeps golden pictures as it
//! likes, whatever it is told, and codes each picture with the probabilities that the one before it left behind.
//! With it every picture begins with those that the standard has (RFC 6386, 9.11; VP9 bitstream specification,
//! `setup_past_independence`) and brings its own map of segments, and one of VP9 takes no motion from the picture
//! before, so that it depends on nothing but the pictures that it refers to.
//!
//! Regions are segments (`segments.rs`), of VP8 alone: four steps in one picture at the most, the rest of it among
//! them. With the first regions libvpx ends its cyclic refresh for good, by which it codes still parts of a picture
//! finer in turn.
//!
//! What it does not have: rate control has no second try at a picture, so that one may take several budgets of one
//! frame (`--test compliance -- --nocapture` prints how many); VP9 is not refined in turn where it stands still, which
//! would make single pictures larger; and a stream of VP8 cannot declare BT.709, since VP8 knows no colours but one kind
//! of YUV.
//!
//! Ten bits are VP9's profile 2, in libraries that were built with it. Of HDR10 its header has the matrix alone.

mod orders;
mod segments;
mod standard;
mod sys;

use std::ops::RangeInclusive;

use media::{
    Encoder, EncoderCapabilities, PictureKind, PixelFormat, RateChange, RecoveryMeans, Size,
};

use crate::buffers::{Budget, BufferedEncoder, Coded, Coder, Source};
use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::regions::Blocks;
use orders::Order;
use segments::Segments;
use standard::Standard;
use sys::RawEncoder;

/// 14 bits of width and of height (RFC 6386, 9.1), even. VP9 has 16, which no decoder takes in one piece.
const MAX_SIZE: Size = Size::new(16_382, 16_382);

/// The rows of the table of candidates.
pub fn candidates() -> [Candidate; 2] {
    [Standard::Vp8, Standard::Vp9].map(|standard| Candidate {
        name: standard.name(),
        codec: standard.codec(),
        hardware: false,
        library: "libvpx",
        open: std::sync::Arc::new(move |settings, _| {
            Ok(Box::new(open(standard, settings)?) as Box<dyn Encoder>)
        }),
    })
}

/// libvpx, and where regions were asked for.
struct VpxCoder {
    standard: Standard,
    kind: PictureKind,
    raw: RawEncoder,
    segments: Option<Segments>,
}

/// # Errors
/// [`OpenError::Missing`] without a library of a known version; [`OpenError::Refused`] for one
/// that is not as known, and for settings that it does not take.
fn open(
    standard: Standard,
    settings: &EncoderSettings,
) -> Result<BufferedEncoder<VpxCoder>, OpenError> {
    let library = sys::system()?;
    let regions = settings.regions && standard == Standard::Vp8;
    let capabilities = describe(standard, regions, library.has_ten_bits(standard));
    let (kind, size) = (settings.kind(), settings.size);
    let manner = standard.manner(kind.format.depth());
    BufferedEncoder::open(capabilities, manner, settings, |budget| {
        let raw =
            RawEncoder::open(library, standard, kind, size, budget).map_err(OpenError::Refused)?;
        Ok(VpxCoder { standard, kind, raw, segments: regions.then(|| Segments::new(size)) })
    })
}

/// What it can do with a library that has ten bits or has not.
fn describe(standard: Standard, regions: bool, ten_bits: bool) -> EncoderCapabilities {
    let mut capabilities = EncoderCapabilities {
        largest: MAX_SIZE,
        rate_change: RateChange::Seamless,
        recovery: RecoveryMeans::LongTerm,
        regions: regions.then_some(Blocks::H264.edge),
        ..EncoderCapabilities::plain(standard.name(), standard.codec())
    };
    capabilities.formats.extend(ten_bits.then_some(PixelFormat::P010));
    capabilities
}

impl Coder for VpxCoder {
    fn anew(&self, size: Size, budget: Budget) -> Result<Self, String> {
        let library = sys::system().map_err(|error| error.to_string())?;
        let Self { standard, kind, .. } = *self;
        Ok(Self {
            standard,
            kind,
            raw: RawEncoder::open(library, standard, kind, size, budget)?,
            segments: self.segments.is_some().then(|| Segments::new(size)),
        })
    }

    fn code(&mut self, source: &Source<'_>) -> Result<Coded<'_>, String> {
        if let Some(segments) = &mut self.segments {
            self.raw.set_segments(segments.draw(source.regions))?;
        }
        let order = Order::of(self.standard, source.plan);
        let order = if source.in_vain { order.in_vain() } else { order };
        self.raw.encode(source.picture, source.time, source.interval, order)
    }

    fn set_quantisers(&mut self, range: RangeInclusive<u8>) -> Result<(), String> {
        self.raw.set_quantisers(range)
    }

    fn set_budget(&mut self, budget: Budget) -> Result<(), String> {
        self.raw.set_budget(budget)
    }
}

#[cfg(test)]
mod tests;
