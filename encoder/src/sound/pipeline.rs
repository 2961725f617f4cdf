//! From a source's blocks to packets at those who listen, told the time.
//!
//! Blocks follow one another without a gap on a grid of their own, which begins when somebody listens, and
//! anew after a pause.
//! Silence is coded for some time, so that what was heard fades as it should; then one packet says that
//! nothing is sent, and again every [`REMINDER`]: a client that gets none at all could not tell silence from
//! loss.
//!
//! A block is what the sound waits for first, so it is short. It is longer where somebody listens whose client makes up for
//! losses by what Opus says of the packet before, which no short packet says, and where the path has no room for as many
//! headers. A packet's time is that of the sound which is decoded from it: the coder delays it.

use std::time::Duration;

use bytes::Bytes;
use media::audio::{CHANNELS, samples_in};
use media::{AudioPacket, AudioSink, AudioSource, MediaTime, SendRefused, Sound};

use super::{Listener, SoundConfig, SoundStats};
use crate::opus::{Aim, LONGEST, OpusEncoder, silence_after};

/// Time between two packets in silence (RFC 7587 §3.1.3).
const REMINDER: Duration = Duration::from_millis(400);
/// Silence that is coded: the coder's overlap and its error correction reach no further.
const CODED: Duration = Duration::from_millis(200);
/// The shortest block with error correction (RFC 6716 §2.1.4), and where headers are to be few.
const LONGER: Duration = Duration::from_millis(10);
/// Blocks that lie further back than this are not made any more: they would come in a burst, late.
const LATEST: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Pipeline {
    source: Box<dyn AudioSource>,
    encoder: OpusEncoder,
    config: SoundConfig,
    /// Headers are to be few.
    sparing: bool,
    expected_loss: f64,
    length: Duration,
    block: Vec<f32>,
    out: Box<[u8; LONGEST]>,
    sinks: Vec<(Listener, Box<dyn AudioSink>)>,
    paused: bool,
    /// Where the next block begins.
    next: MediaTime,
    /// How long it has been silent.
    silent: Duration,
    /// When that was told last, while nothing is sent.
    silence_told: Option<MediaTime>,
    stats: SoundStats,
}

impl Pipeline {
    pub(super) fn open(config: &SoundConfig, source: Box<dyn AudioSource>) -> Result<Self, String> {
        let encoder = OpusEncoder::open(config.bitrate, Aim::Prompt);
        Ok(Self {
            source,
            encoder: encoder.map_err(|error| error.to_string())?,
            config: config.clone(),
            sparing: false,
            expected_loss: 0.0,
            length: config.block,
            block: Vec::new(),
            out: Box::new([0; LONGEST]),
            sinks: Vec::new(),
            paused: false,
            next: MediaTime::ZERO,
            silent: Duration::ZERO,
            silence_told: None,
            stats: SoundStats::default(),
        })
    }

    /// Somebody listens by this sink from now on, or no more.
    pub(super) fn listen(
        &mut self,
        listener: Listener,
        sink: Option<Box<dyn AudioSink>>,
        now: MediaTime,
    ) {
        let was_idle = self.due().is_none();
        self.sinks.retain(|(of, _)| *of != listener);
        self.sinks.extend(sink.map(|sink| (listener, sink)));
        self.choose_length();
        if was_idle {
            self.next = now;
        }
        // Who comes into silence is to know of it.
        self.silence_told = None;
    }

    /// Nothing is made from now on, or again from `now` on.
    pub(super) fn set_paused(&mut self, paused: bool, now: MediaTime) {
        if self.paused && !paused {
            self.next = now;
            self.silence_told = None;
        }
        self.paused = paused;
    }

    /// When the next block is over; none while nobody listens.
    pub(super) fn due(&self) -> Option<MediaTime> {
        (!self.paused && !self.sinks.is_empty()).then(|| self.next + self.length)
    }

    /// The path has room for headers, or little.
    pub(super) fn set_sparing(&mut self, sparing: bool) {
        self.sparing = sparing;
        self.choose_length();
    }

    /// What those who listen make use of.
    fn aim(&self) -> Aim {
        let corrected = self.sinks.iter().any(|(_, sink)| sink.wants_fec());
        if corrected { Aim::Corrected } else { Aim::Prompt }
    }

    /// Of the blocks from the next on.
    fn choose_length(&mut self) {
        let longer = self.sparing || self.aim() == Aim::Corrected;
        let block = self.config.block;
        self.length = if longer { block.max(LONGER) } else { block };
    }

    /// Another coder where those who listen need one. What it does not know of the sound before is heard as a moment's
    /// roughness, when somebody comes or goes.
    fn choose_encoder(&mut self) -> Result<(), String> {
        let aim = self.aim();
        if self.encoder.aim() != aim {
            let encoder = OpusEncoder::open(self.config.bitrate, aim);
            self.encoder = encoder.map_err(|error| error.to_string())?;
            self.expect_loss(self.expected_loss)?;
        }
        Ok(())
    }

    pub(super) fn expect_loss(&mut self, part: f64) -> Result<(), String> {
        self.expected_loss = part;
        let expected = self.encoder.expect_loss(part).map_err(|error| error.to_string())?;
        self.stats.expected_loss = expected;
        Ok(())
    }

    pub(super) fn stats(&self) -> &SoundStats {
        &self.stats
    }

    /// Makes the block that is over by `now`.
    pub(super) fn step(&mut self, now: MediaTime) -> Result<(), String> {
        self.choose_encoder()?;
        self.block.resize(samples_in(self.length) * CHANNELS, 0.0);
        let late = now.since(self.next + self.length);
        if late > LATEST {
            let blocks = late.as_nanos() / self.length.as_nanos().max(1);
            let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            self.next = self.next + self.length * blocks;
            self.stats.skipped += u64::from(blocks);
        }
        let at = self.next;
        self.next = at + self.length;
        let sound = self.source.fill(at, &mut self.block).map_err(|error| error.to_string())?;
        self.silent = match sound {
            Sound::Silent => self.silent + self.length,
            Sound::Heard => Duration::ZERO,
        };
        self.stats.silent = self.silent > CODED;
        let told = self.silence_told.take();
        let data = match silence_after(&self.out[..1]).filter(|_| self.stats.silent) {
            Some(_) if told.is_some_and(|told| at.since(told) < REMINDER) => {
                self.silence_told = told;
                return Ok(());
            }
            Some(silence) => {
                self.silence_told = Some(at);
                Bytes::copy_from_slice(&[silence])
            }
            None => {
                let bytes = self.encoder.encode(&self.block, &mut self.out);
                let bytes = bytes.map_err(|error| error.to_string())?;
                Bytes::copy_from_slice(&self.out[..bytes])
            }
        };
        let bytes = data.len();
        let packet = AudioPacket {
            track: self.config.track,
            captured_at: at - self.encoder.delay(),
            duration: self.length,
            data,
        };
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
        for (_, sink) in &mut self.sinks {
            if sink.send(&packet) == Err(SendRefused::Full) {
                self.stats.refused += 1;
            }
        }
        Ok(())
    }
}
