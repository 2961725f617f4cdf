//! Opus (RFC 6716) by the system's libopus.
//!
//! Two channels of 48 kHz, at a bit rate that varies a little around the one that is asked for. Where the
//! path loses packets each one says coarsely what the one before it held (in-band FEC). Only the coder for
//! speech has that, so the expected loss that the library is told is never between nothing and what makes
//! it choose that coder (for the lower frequencies: the upper ones stay with the other). On a clean path
//! music has all the bits. Where nobody makes anything of error correction, the other coder alone delays what it codes by
//! 2.5 ms instead of 6.5.
//!
//! More than two channels are coded in several streams, of which a packet has one piece each (see [`Streams`]).

mod streams;
mod sys;

use std::time::Duration;

use media::audio::{CHANNELS, SAMPLE_RATE, time_of};
use media::{Bitrate, Layout};
use thiserror::Error;

use self::streams::Streams;
use self::sys::{Application, RawDecoder, RawEncoder, Setting};

/// Longest packet, in bytes: at 10 ms a rate of 1 Mbit/s, twice what Opus has use for (RFC 6716 §2.1.1).
/// It fits into a datagram with all that is around it.
pub const LONGEST: usize = 1_000;
/// 5 of 10: a block of 10 ms at 128 kbit/s then takes 40 µs of a core, and 133 with error correction; at 10
/// it takes 69 and 249 (libopus 1.3.1 on an AMD EPYC).
const COMPLEXITY: i32 = 5;
/// Expected loss, in percent, from which the library chooses the coder with error correction for any
/// sound: `opus_encoder.c` compares it to (128 - 0) / 16.
const CORRECTED: u32 = 9;
/// The library weighs the copy of the packet before by the loss; beyond this it takes too much from the
/// packet's own sound.
const MOST_LOSS: u32 = 30;

/// Why there is no Opus.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Opus: {0}")]
pub struct OpusError(String);

/// The version of the library that is used.
///
/// # Errors
/// Why there is none.
pub fn version() -> Result<String, OpusError> {
    sys::system().map(sys::Library::version).map_err(OpusError)
}

/// What an encoder is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Packets can say of the one before them what it held; blocks of 10 ms and more alone do.
    Corrected,
    /// The least delay.
    Prompt,
}

/// Codes blocks of sound.
pub struct OpusEncoder {
    raw: RawEncoder,
    streams: Option<&'static Streams>,
    /// A block in the order of the streams.
    ordered: Vec<f32>,
    aim: Aim,
    delay: Duration,
    expected: u32,
}

impl OpusEncoder {
    /// An encoder of stereo of this bit rate, for a path without loss.
    ///
    /// # Errors
    /// When there is no libopus, or it refuses the rate (500 bit/s to 512 kbit/s).
    pub fn open(bitrate: Bitrate, aim: Aim) -> Result<Self, OpusError> {
        Self::of(Layout::Stereo, bitrate, aim)
    }

    /// An encoder of these channels. The rate is that of all of them together.
    ///
    /// # Errors
    /// When there is no libopus, or it refuses the rate (500 bit/s to 256 kbit/s a channel).
    pub fn of(layout: Layout, bitrate: Bitrate, aim: Aim) -> Result<Self, OpusError> {
        let streams = Streams::of(layout);
        let open = || {
            let application = match aim {
                Aim::Corrected => Application::Audio,
                Aim::Prompt => Application::LowDelay,
            };
            let library = sys::system()?;
            let mut raw = match streams {
                None => RawEncoder::open(library, application)?,
                Some(streams) => RawEncoder::open_many(library, application, streams)?,
            };
            let bitrate = i32::try_from(bitrate.bps()).map_err(|error| error.to_string())?;
            raw.set(Setting::Bitrate, bitrate)?;
            raw.set(Setting::Complexity, COMPLEXITY)?;
            raw.set(Setting::InbandFec, 1)?;
            raw.set(Setting::ExpectedLoss, 0)?;
            let delay = time_of(raw.lookahead()? as u64);
            Ok((raw, delay))
        };
        let (raw, delay) = open().map_err(OpusError)?;
        Ok(Self { raw, streams, ordered: Vec::new(), aim, delay, expected: 0 })
    }

    /// What it was chosen for.
    pub fn aim(&self) -> Aim {
        self.aim
    }

    /// By how much what is decoded is later than what was coded.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// So large a part of the packets is lost, 0 to 1: packets say of the one before them what that
    /// makes worthwhile. Yields the percentage that is counted on.
    ///
    /// # Errors
    /// When the library refuses it.
    pub fn expect_loss(&mut self, part: f64) -> Result<u32, OpusError> {
        // Losses of chance below a hundredth are made up for by the client, which costs no bits.
        let percent = (part.clamp(0.0, 1.0) * 100.0).round() as u32;
        let percent = if percent == 0 { 0 } else { percent.clamp(CORRECTED, MOST_LOSS) };
        if percent != self.expected {
            self.raw.set(Setting::ExpectedLoss, percent as i32).map_err(OpusError)?;
            self.expected = percent;
        }
        Ok(percent)
    }

    /// Codes a block of 2.5, 5, 10 or 20 ms, interleaved; yields the length of the packet in `out`.
    ///
    /// # Errors
    /// For a block of another length.
    pub fn encode(&mut self, block: &[f32], out: &mut [u8; LONGEST]) -> Result<usize, OpusError> {
        let block = match self.streams {
            None => block,
            Some(streams) => {
                self.ordered.resize(block.len(), 0.0);
                streams.order(block, &mut self.ordered);
                &self.ordered
            }
        };
        self.raw.encode(block, out).map_err(OpusError)
    }
}

/// A packet that says that nothing is sent for now, in the mode of the packet before it: its first byte alone
/// (RFC 6716 §3.1 and §3.2.1, where a frame has no bytes).
///
/// The library's own discontinuous transmission needs an analysis that takes as long as the coding, and cuts
/// what is quiet; silence that is exact is seen without.
pub fn silence_after(packet: &[u8]) -> Option<u8> {
    packet.first().map(|first| first & !0b11)
}

/// Decodes what an [`OpusEncoder`] made.
pub struct OpusDecoder {
    raw: RawDecoder,
    streams: Option<&'static Streams>,
    ordered: Vec<f32>,
}

/// What a decoder is to yield.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// What this packet holds.
    Packet(&'a [u8]),
    /// What this packet says of the one before it, which is lost.
    Before(&'a [u8]),
    /// Something to go on with: the packet is lost, and so is the next one.
    Nothing,
}

impl OpusDecoder {
    /// A decoder of stereo.
    ///
    /// # Errors
    /// When there is no libopus.
    pub fn open() -> Result<Self, OpusError> {
        Self::of(Layout::Stereo)
    }

    /// A decoder of these channels.
    ///
    /// # Errors
    /// When there is no libopus.
    pub fn of(layout: Layout) -> Result<Self, OpusError> {
        let streams = Streams::of(layout);
        let open = |library| match streams {
            None => RawDecoder::open(library),
            Some(streams) => RawDecoder::open_many(library, streams),
        };
        let raw = sys::system().and_then(open).map_err(OpusError)?;
        Ok(Self { raw, streams, ordered: Vec::new() })
    }

    /// Decodes as many samples as fit into `out`, interleaved, of which a packet may hold fewer; yields how
    /// many samples each channel got.
    ///
    /// # Errors
    /// For what is no packet, and one that holds more.
    pub fn decode(&mut self, wanted: Wanted<'_>, out: &mut [f32]) -> Result<usize, OpusError> {
        let (packet, before) = match wanted {
            Wanted::Packet(packet) => (Some(packet), false),
            Wanted::Before(packet) => (Some(packet), true),
            Wanted::Nothing => (None, false),
        };
        let Some(streams) = self.streams else {
            return self.raw.decode(packet, before, out).map_err(OpusError);
        };
        self.ordered.resize(out.len(), 0.0);
        let samples = self.raw.decode(packet, before, &mut self.ordered).map_err(OpusError)?;
        let length = samples * streams.mapping.len();
        streams.disorder(&self.ordered[..length], &mut out[..length]);
        Ok(samples)
    }
}

const _: () = assert!(SAMPLE_RATE == 48_000 && CHANNELS == 2);

#[cfg(test)]
mod tests;
