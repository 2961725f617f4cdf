//! Encoded sound, in either direction.

use std::time::Duration;

use bytes::Bytes;

use crate::{MediaTime, TrackId};

/// One packet of encoded audio (Opus unless the track says otherwise).
#[derive(Clone, Debug)]
pub struct AudioPacket {
    /// The track that it belongs to.
    pub track: TrackId,
    /// When its first sample was captured.
    pub captured_at: MediaTime,
    /// How much time its samples cover.
    pub duration: Duration,
    /// The codec's payload.
    pub data: Bytes,
}
