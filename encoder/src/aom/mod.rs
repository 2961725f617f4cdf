//! AV1 by libaom, called directly: what `av1enc` cannot do, since it does not tell its encoder which pictures to
//! keep.
//!
//! libaom is opened at run time where the system has it, and never linked. Set up for the least delay: in real time,
//! no look-ahead, no picture left out, a buffer of one frame, keyframes only on request, and with the tools that
//! libwebrtc gives it.
//!
//! Lost pictures and falls of the rate are answered as [`crate::buffers`] has it (what libaom is told for it:
//! `orders.rs`). It codes in its error-resilient mode: every picture begins with the probabilities that the standard has, and
//! with no map of segments (AV1 specification, `setup_past_independence`). Order hints, by which a picture knows of all
//! that are kept, are off. So it depends on nothing but the one that it refers to. Without that mode a picture would begin
//! with what that one left behind: one that was coded from a lost picture could then not be decoded, and libdav1d would
//! take none any more that names its buffer, as the one that makes the loss good must.
//!
//! What it does not have: rate control has no second try at a picture; regions; and ten bits, of which browsers decode
//! none in AV1.

mod orders;
mod sys;

use std::ops::RangeInclusive;

use media::{Codec, Encoder, EncoderCapabilities, RateChange, RecoveryMeans, Size};

use crate::buffers::{Budget, BufferedEncoder, Coded, Coder, Manner, Source, Steps};
use crate::candidates::{Candidate, EncoderSettings, OpenError};
use orders::Order;
use sys::RawEncoder;

const NAME: &str = "aom-av1";
/// AV1 has 16 bits of width and of height, of which no decoder takes a picture in one piece; even.
const MAX_SIZE: Size = Size::new(16_382, 16_382);
/// As with VP9, the quantiser goes by lengths that are inverse to its step.
const MANNER: Manner = Manner { steps: &Steps::AV1, saves: 2, leap: Some(1.25) };

/// The row of the table of candidates.
pub fn candidate() -> Candidate {
    Candidate {
        name: NAME,
        codec: Codec::Av1,
        hardware: false,
        library: "libaom",
        open: std::sync::Arc::new(|settings, _| Ok(Box::new(open(settings)?) as Box<dyn Encoder>)),
    }
}

/// # Errors
/// [`OpenError::Missing`] without the library; [`OpenError::Refused`] for one that is not as known, and for settings
/// that it does not take.
fn open(settings: &EncoderSettings) -> Result<BufferedEncoder<RawEncoder>, OpenError> {
    let capabilities = EncoderCapabilities {
        largest: MAX_SIZE,
        rate_change: RateChange::Seamless,
        recovery: RecoveryMeans::LongTerm,
        ..EncoderCapabilities::plain(NAME, Codec::Av1)
    };
    BufferedEncoder::open(capabilities, MANNER, settings, |budget| {
        RawEncoder::open(sys::system()?, settings.size, budget).map_err(OpenError::Refused)
    })
}

impl Coder for RawEncoder {
    fn anew(&self, size: Size, budget: Budget) -> Result<Self, String> {
        Self::open(self.library(), size, budget)
    }

    fn code(&mut self, source: &Source<'_>) -> Result<Coded<'_>, String> {
        self.encode(source, Order::of(source.plan, source.in_vain))
    }

    fn set_quantisers(&mut self, range: RangeInclusive<u8>) -> Result<(), String> {
        self.set_range(&range)
    }

    fn set_budget(&mut self, budget: Budget) -> Result<(), String> {
        self.set_bits(budget)
    }
}

#[cfg(test)]
mod tests;
