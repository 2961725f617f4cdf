//! Sound: where it comes from, and encoded in either direction.
//!
//! Samples have 48 kHz and two channels, interleaved, left first, and lie between -1 and 1; what has more
//! channels says so by its [`Layout`]. They are handled in blocks of a few milliseconds, each with the time of its first sample on the media clock:
//! the clock of pictures, so that both can be shown in step.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::{MediaTime, SendRefused, TrackId};

/// Samples a second of one channel.
pub const SAMPLE_RATE: u32 = 48_000;
/// Channels of stereo.
pub const CHANNELS: usize = 2;

/// How many channels there are, and where each is heard. Samples are in this order: left, right, centre, low
/// frequencies, rear left, rear right, side left, side right; that of WAVE files, of browsers and of PulseAudio's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// Left and right.
    #[default]
    Stereo,
    /// 5.1: all but the sides.
    Surround51,
    /// 7.1.
    Surround71,
}

impl Layout {
    /// All, the fewest channels first.
    pub const ALL: [Self; 3] = [Self::Stereo, Self::Surround51, Self::Surround71];

    /// Its channels.
    pub const fn channels(self) -> usize {
        match self {
            Self::Stereo => CHANNELS,
            Self::Surround51 => 6,
            Self::Surround71 => 8,
        }
    }

    /// The widest for which so many channels are enough; stereo where none is.
    pub const fn within(channels: u8) -> Self {
        match channels {
            0..6 => Self::Stereo,
            6..8 => Self::Surround51,
            8.. => Self::Surround71,
        }
    }
}

/// Samples of one channel that `duration` has.
pub const fn samples_in(duration: Duration) -> usize {
    (duration.as_nanos() * SAMPLE_RATE as u128 / 1_000_000_000) as usize
}

/// How long so many samples of one channel take.
pub const fn time_of(samples: u64) -> Duration {
    Duration::from_nanos(samples.saturating_mul(1_000_000_000) / SAMPLE_RATE as u64)
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// At least one sample is not zero.
    Heard,
    /// All samples are zero.
    Silent,
}

impl Sound {
    /// What these samples are.
    pub fn of(samples: &[f32]) -> Self {
        let silent = samples.iter().all(|sample| *sample == 0.0);
        if silent { Self::Silent } else { Self::Heard }
    }
}

/// Makes sound. Used on one named thread.
pub trait AudioSource: Send {
    /// Fills `block` (interleaved, all of it) with what is heard from `at` on. Answers at once: whoever asks
    /// does so as the block begins, and what happens after that is heard in the next one. Each call's `at` is
    /// the end of the block before, or later, where nobody listened.
    ///
    /// # Errors
    /// See [`AudioError`].
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError>;

    /// Whoever listens has so many channels from now on: what is played may have as many. A source of stereo does not mind.
    fn set_layout(&mut self, _layout: Layout) {}

    /// What was [filled](Self::fill) last in all its channels: block and layout. None where those two are all.
    fn surround(&self) -> Option<(Layout, &[f32])> {
        None
    }
}

/// Why a source makes no sound any more. The session goes on without.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the sound failed: {0}")]
pub struct AudioError(pub String);

/// One packet of encoded audio (Opus unless the track says otherwise).
#[derive(Clone, Debug)]
pub struct AudioPacket {
    /// The track that it belongs to.
    pub track: TrackId,
    /// When its first sample was captured.
    pub captured_at: MediaTime,
    /// How much time its samples cover.
    pub duration: Duration,
    /// Its channels.
    pub layout: Layout,
    /// The codec's payload.
    pub data: Bytes,
}

/// Where encoded sound goes: one client's. It holds a few packets at most, and refuses more.
pub trait AudioSink: Send {
    /// Whether a lost packet is made up for by what the codec says of it in the one after it. Else the
    /// transport sends packets more than once where that is worthwhile. Whoever decodes so has two channels: only those that
    /// do not are ever sent packets of another [`Layout`].
    fn wants_fec(&self) -> bool;

    /// Takes a packet without blocking. Packets come in the order of their time; where silence is not sent,
    /// one begins later than the one before it ended.
    ///
    /// # Errors
    /// See [`SendRefused`]. The packet is gone then: sound that is late is worth nothing.
    fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused>;
}

/// One packet of a client's voice, as it came: Opus, of one channel or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoicePacket {
    /// One more with each packet that is sent, from any number on; it wraps.
    pub sequence: u16,
    /// What the client sent, which may be anything; empty where it sent a number alone.
    pub data: Bytes,
}

/// Where the voice of a player goes: what is played has a microphone.
pub trait VoiceSink: Send + Sync {
    /// It is on from now on, or no more. What was put in and not recorded is forgotten when it goes off.
    fn set_enabled(&self, enabled: bool);

    /// Samples of one channel of [`SAMPLE_RATE`], which follow those of the call before. While it is off, and beyond what
    /// it holds, samples are dropped.
    fn put(&self, samples: &[f32]);

    /// How it is now.
    fn state(&self) -> VoiceState;
}

/// How a microphone is on the side of what records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceState {
    /// Something records it, be it on or not.
    pub recorded: bool,
    /// What was put in and is not recorded yet.
    pub held: Duration,
    /// What came too late or was too much, and was left out, in all.
    pub dropped: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_in_samples() {
        assert_eq!(samples_in(Duration::from_millis(10)), 480);
        assert_eq!(samples_in(Duration::from_micros(2_500)), 120);
        assert_eq!(samples_in(Duration::ZERO), 0);
        assert_eq!(time_of(480), Duration::from_millis(10));
    }

    #[test]
    fn a_layout_is_the_widest_that_there_is_room_for() {
        let within = [0, 1, 2, 5, 6, 7, 8, 255].map(|channels| Layout::within(channels).channels());
        assert_eq!(within, [2, 2, 2, 2, 6, 6, 8, 8]);
        for layout in Layout::ALL {
            assert_eq!(Layout::within(layout.channels() as u8), layout);
        }
    }

    #[test]
    fn one_sample_is_heard() {
        assert_eq!(Sound::of(&[0.0, -0.0, 0.0]), Sound::Silent);
        assert_eq!(Sound::of(&[0.0, 0.0, -1e-6]), Sound::Heard);
    }
}
