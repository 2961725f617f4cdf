//! The sound server of a session: speaks PulseAudio's protocol with what a game uses to make sound (libpulse,
//! SDL, OpenAL, ALSA's plugin, Wine) and mixes what is played.
//!
//! It has one sink with as many channels as whoever listens has, its monitor, and one source, the player's microphone. Samples come over the socket: shared
//! memory is declined. What a client may do is bounded, and what is not done is answered with the protocol's
//! error; only who sends what cannot be told from garbage, or reads nothing, is disconnected.
//!
//! How late a sound is: what the client wants queued (SDL: 512 samples or what the game says), 10 ms of it more
//! because blocks of that length are taken, and 0.7 ms where the rate is not 48 kHz: a block is taken as it begins. How late
//! the microphone is: `microphone.rs`, and what its recorder wants at once.
//!
//! It must know nothing of how a game is started or confined. Used wrongly, two [`PulseSource`]s take away each
//! other's samples; a folder that others reach lets them play to, and listen to, this session.

mod channels;
mod commands;
mod format;
mod frame;
mod gain;
mod hub;
mod info;
mod microphone;
mod mix;
mod playback;
mod queue;
mod record;
mod resample;
mod server;
mod sink;
mod streams;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::server::{Microphone, PulseSource, SoundServer};

/// What a server has done, and how it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundStats {
    /// Connections.
    pub clients: usize,
    /// Streams that are played or recorded.
    pub streams: usize,
    /// Of them, those that are heard just now.
    pub playing: usize,
    /// The least that is queued of any of these that does not end.
    pub buffered: Option<Duration>,
    /// Times that a stream had less than was to be played.
    pub underruns: u64,
    /// Bytes of samples that were dropped: written without being asked for, placed out of reach, or recorded and
    /// not read; and samples of the microphone.
    pub dropped: u64,
    /// Connections and streams beyond what a session may have.
    pub refused: u64,
    /// Connections that ended because what came was garbage.
    pub malformed: u64,
    /// Connections that ended because their client read nothing.
    pub unread: u64,
}
