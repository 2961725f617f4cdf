//! Opus (RFC 6716) by the system's libopus.
//!
//! Two channels of 48 kHz, at a bit rate that varies a little around the one that is asked for. Where the
//! path loses packets each one says coarsely what the one before it held (in-band FEC). Only the coder for
//! speech has that, so the expected loss that the library is told is never between nothing and what makes
//! it choose that coder (for the lower frequencies: the upper ones stay with the other). On a clean path
//! music has all the bits. Where nobody makes anything of error correction, the other coder alone delays what it codes by
//! 2.5 ms instead of 6.5.

mod sys;

use std::time::Duration;

use media::Bitrate;
use media::audio::{CHANNELS, SAMPLE_RATE, time_of};
use thiserror::Error;

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
    aim: Aim,
    delay: Duration,
    expected: u32,
}

impl OpusEncoder {
    /// An encoder of this bit rate, for a path without loss.
    ///
    /// # Errors
    /// When there is no libopus, or it refuses the rate (500 bit/s to 512 kbit/s).
    pub fn open(bitrate: Bitrate, aim: Aim) -> Result<Self, OpusError> {
        let open = || {
            let application = match aim {
                Aim::Corrected => Application::Audio,
                Aim::Prompt => Application::LowDelay,
            };
            let mut raw = RawEncoder::open(sys::system()?, application)?;
            let bitrate = i32::try_from(bitrate.bps()).map_err(|error| error.to_string())?;
            raw.set(Setting::Bitrate, bitrate)?;
            raw.set(Setting::Complexity, COMPLEXITY)?;
            raw.set(Setting::InbandFec, 1)?;
            raw.set(Setting::ExpectedLoss, 0)?;
            let delay = time_of(raw.lookahead()? as u64);
            Ok((raw, delay))
        };
        let (raw, delay) = open().map_err(OpusError)?;
        Ok(Self { raw, aim, delay, expected: 0 })
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
    /// A decoder.
    ///
    /// # Errors
    /// When there is no libopus.
    pub fn open() -> Result<Self, OpusError> {
        let raw = sys::system().and_then(RawDecoder::open).map_err(OpusError)?;
        Ok(Self { raw })
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
        self.raw.decode(packet, before, out).map_err(OpusError)
    }
}

const _: () = assert!(SAMPLE_RATE == 48_000 && CHANNELS == 2);

#[cfg(test)]
mod tests;
