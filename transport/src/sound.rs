//! What the sinks of a connection's sound share, where sound goes in datagrams of ours or their like.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::AudioPacket;
use media::webtransport::AudioDatagram;

use crate::timestamp::timestamp_of;

/// The unit of lengths in a datagram.
const UNIT: Duration = Duration::from_micros(2_500);

/// See the module.
#[derive(Default)]
pub(crate) struct Sound {
    /// Number of the sink that may send.
    turn: AtomicU64,
    /// Sequence number of the packet that is sent next, in the lower 16 bits.
    sequence: AtomicU64,
}

impl Sound {
    /// The number of a new sink; those before it may not send from now on.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether the sink of this number may send.
    pub(crate) fn is_turn_of(&self, turn: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn
    }

    /// The sequence number of the packet that is sent next.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The packet of this number was sent.
    pub(crate) fn sent(&self, sequence: u64) {
        self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
    }
}

/// A packet as it travels, on the clock that begins at `offset`.
pub(crate) fn datagram(packet: &AudioPacket, sequence: u64, offset: u32) -> AudioDatagram<'_> {
    let length = packet.duration.as_nanos() / UNIT.as_nanos();
    AudioDatagram {
        sequence: (sequence & 0xffff) as u16,
        timestamp: timestamp_of(packet.captured_at, offset),
        length: u8::try_from(length).unwrap_or(u8::MAX),
        packet: &packet.data,
        earlier: Default::default(),
    }
}
