//! What codes one layout, for all who hear that.
//!
//! Silence is coded for some time, so that what was heard fades as it should; then one packet says that
//! nothing is sent, and again every [`REMINDER`]: a client that gets none at all could not tell silence from
//! loss.

use std::time::Duration;

use bytes::Bytes;
use media::{Bitrate, Layout, MediaTime, Sound};

use crate::opus::{Aim, LONGEST, OpusEncoder, silence_after};

/// Time between two packets in silence (RFC 7587 §3.1.3).
const REMINDER: Duration = Duration::from_millis(400);
/// Silence that is coded: the coder's overlap and its error correction reach no further.
const CODED: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Coder {
    layout: Layout,
    bitrate: Bitrate,
    encoder: OpusEncoder,
    out: Box<[u8; LONGEST]>,
    /// How long it has been silent.
    silent: Duration,
    /// When that was told last, while nothing is sent.
    told: Option<MediaTime>,
}

impl Coder {
    pub(super) fn open(layout: Layout, bitrate: Bitrate, aim: Aim) -> Result<Self, String> {
        let encoder = OpusEncoder::of(layout, bitrate, aim).map_err(|error| error.to_string())?;
        let out = Box::new([0; LONGEST]);
        Ok(Self { layout, bitrate, encoder, out, silent: Duration::ZERO, told: None })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// By how much what is decoded is later than what was coded.
    pub(super) fn delay(&self) -> Duration {
        self.encoder.delay()
    }

    /// Next to nothing is sent.
    pub(super) fn is_silent(&self) -> bool {
        self.silent > CODED
    }

    /// Silence is told with the next block, if it lasts.
    pub(super) fn tell_silence(&mut self) {
        self.told = None;
    }

    /// Another encoder where those who listen need one; whether there is one. What it does not know of the sound before is
    /// heard as a moment's roughness, when somebody comes or goes.
    pub(super) fn set_aim(&mut self, aim: Aim) -> Result<bool, String> {
        let other = self.encoder.aim() != aim;
        if other {
            let encoder = OpusEncoder::of(self.layout, self.bitrate, aim);
            self.encoder = encoder.map_err(|error| error.to_string())?;
        }
        Ok(other)
    }

    /// So large a part of the packets is lost; yields the percentage that is counted on.
    pub(super) fn expect_loss(&mut self, part: f64) -> Result<u32, String> {
        self.encoder.expect_loss(part).map_err(|error| error.to_string())
    }

    /// Codes the block that begins at `at`; none while silence need not be told again.
    pub(super) fn code(
        &mut self,
        block: &[f32],
        sound: Sound,
        at: MediaTime,
        length: Duration,
    ) -> Result<Option<Bytes>, String> {
        self.silent = match sound {
            Sound::Silent => self.silent + length,
            Sound::Heard => Duration::ZERO,
        };
        let told = self.told.take();
        if self.is_silent() {
            if told.is_some_and(|told| at.since(told) < REMINDER) {
                self.told = told;
                return Ok(None);
            }
            self.told = Some(at);
            // Packets of several streams say it in each of them, which is as long as silence that is coded.
            if let Some(silence) = silence_after(&self.out[..1])
                && self.layout == Layout::Stereo
            {
                return Ok(Some(Bytes::copy_from_slice(&[silence])));
            }
        }
        let bytes = self.encoder.encode(block, &mut self.out).map_err(|error| error.to_string())?;
        Ok(Some(Bytes::copy_from_slice(&self.out[..bytes])))
    }
}
