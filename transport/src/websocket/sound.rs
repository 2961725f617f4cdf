//! Sound to the client: a message for each packet, between two pieces of a frame. Nothing is lost on the way.

use std::sync::Arc;

use bytes::Bytes;
use media::{AudioPacket, AudioSink, SendRefused};
use tokio::sync::mpsc;

use super::connection::Shared;
use crate::sound::datagram;

/// Packets that wait for the writer: sound that is later than that is worth nothing.
pub(super) const WAITING: usize = 16;

/// Where a session puts its sound.
pub(super) struct SoundSink {
    shared: Arc<Shared>,
    packets: mpsc::Sender<Bytes>,
    turn: u64,
}

impl SoundSink {
    /// A sink; those made before it refuse from now on.
    pub(super) fn new(shared: Arc<Shared>, packets: mpsc::Sender<Bytes>) -> Self {
        let turn = shared.sound.next_turn();
        Self { shared, packets, turn }
    }
}

impl AudioSink for SoundSink {
    fn wants_fec(&self) -> bool {
        false
    }

    fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused> {
        let Shared { tracks, sound, .. } = &*self.shared;
        if !tracks.is_live() || !sound.is_turn_of(self.turn) {
            return Err(SendRefused::NotConnected);
        }
        let sequence = sound.sequence();
        let mut out = Vec::with_capacity(64 + packet.data.len());
        datagram(packet, sequence, tracks.timestamp_offset()).encode(&mut out);
        self.packets.try_send(out.into()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendRefused::Full,
            mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
        })?;
        sound.sent(sequence);
        Ok(())
    }
}
