//! From a source's blocks to packets at those who listen, told the time.
//!
//! Blocks follow one another without a gap on a grid of their own, which begins when somebody listens, and
//! anew after a pause.
//! Silence is coded for some time, so that what was heard fades as it should; then one packet says that
//! nothing is sent, and again every [`REMINDER`]: a client that gets none at all could not tell silence from
//! loss.

use std::time::Duration;

use bytes::Bytes;
use media::audio::{CHANNELS, samples_in};
use media::{AudioPacket, AudioSink, AudioSource, MediaTime, SendRefused, Sound, TrackId};

use super::{Listener, SoundConfig, SoundStats};
use crate::opus::{LONGEST, OpusEncoder, silence_after};

/// Time between two packets in silence (RFC 7587 §3.1.3).
const REMINDER: Duration = Duration::from_millis(400);
/// Silence that is coded: the coder's overlap and its error correction reach no further.
const CODED: Duration = Duration::from_millis(200);
/// Blocks that lie further back than this are not made any more: they would come in a burst, late.
const LATEST: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Pipeline {
    source: Box<dyn AudioSource>,
    encoder: OpusEncoder,
    track: TrackId,
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
        Ok(Self {
            source,
            encoder: OpusEncoder::open(config.bitrate).map_err(|error| error.to_string())?,
            track: config.track,
            length: config.block,
            block: vec![0.0; samples_in(config.block) * CHANNELS],
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

    pub(super) fn expect_loss(&mut self, part: f64) -> Result<(), String> {
        let expected = self.encoder.expect_loss(part).map_err(|error| error.to_string())?;
        self.stats.expected_loss = expected;
        Ok(())
    }

    pub(super) fn stats(&self) -> &SoundStats {
        &self.stats
    }

    /// Makes the block that is over by `now`.
    pub(super) fn step(&mut self, now: MediaTime) -> Result<(), String> {
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
        let packet =
            AudioPacket { track: self.track, captured_at: at, duration: self.length, data };
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
