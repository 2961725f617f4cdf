//! Sound to the client: a datagram for each packet, with the packets before it where the path loses some.
//!
//! QUIC sends datagrams before streams, and this side's congestion window has room: no frame holds sound up.

use std::sync::Arc;

use bytes::Bytes;
use media::webtransport::{AudioDatagram, EarlierAudio, MOST_EARLIER};
use media::{AudioPacket, AudioSink, Layout, MediaTime, SendRefused};
use wtransport::Connection;

use super::connection::Shared;
use crate::sound::{MOST_BYTES, datagram, repeats};

/// Packets between two looks at what the path loses: a quarter of a second or more.
const LOOK: u32 = 50;
/// Losses are an average of so many packets of QUIC.
const WINDOW: f64 = 500.0;

/// Where a session puts its sound.
pub(super) struct SoundSink {
    connection: Connection,
    shared: Arc<Shared>,
    turn: u64,
    /// The newest first.
    earlier: Vec<Sent>,
    loss: Loss,
    out: Vec<u8>,
}

struct Sent {
    at: MediaTime,
    sequence: u64,
    layout: Layout,
    packet: Bytes,
}

/// What part of QUIC's packets is lost.
#[derive(Default)]
struct Loss {
    until_look: u32,
    seen: (u64, u64),
    part: f64,
}

impl Loss {
    /// Packets of QUIC that were `sent` and `lost` so far; yields how many packets of sound to repeat.
    fn repeats(&mut self, totals: impl FnOnce() -> (u64, u64)) -> usize {
        self.until_look = self.until_look.checked_sub(1).unwrap_or_else(|| {
            let (sent, lost) = totals();
            let of = sent.saturating_sub(self.seen.0) as f64;
            let new = lost.saturating_sub(self.seen.1) as f64;
            self.seen = (sent, lost);
            self.part = (self.part * WINDOW + new) / (WINDOW + of);
            LOOK
        });
        repeats(self.part)
    }
}

impl SoundSink {
    /// A sink; those made before it refuse from now on.
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        let turn = shared.sound().next_turn();
        let out = Vec::with_capacity(MOST_BYTES);
        Self { connection, shared, turn, earlier: Vec::new(), loss: Loss::default(), out }
    }
}

impl AudioSink for SoundSink {
    fn wants_fec(&self) -> bool {
        false
    }

    fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused> {
        let sound = self.shared.sound();
        if !self.shared.tracks.is_live() || !sound.is_turn_of(self.turn) {
            return Err(SendRefused::NotConnected);
        }
        let quic = self.connection.quic_connection();
        let repeats = self.loss.repeats(|| {
            let path = quic.stats().path;
            (path.sent_packets, path.lost_packets)
        });
        let sequence = sound.sequence();
        let offset = self.shared.tracks.timestamp_offset();
        let mut datagram = datagram(packet, sequence, offset);
        let mut room = MOST_BYTES.saturating_sub(AudioDatagram::HEADER + packet.data.len());
        let mut next = (sequence, packet.captured_at);
        for sent in self.earlier.iter().take(repeats) {
            let ticks = next.1.since(sent.at).as_nanos() * 90_000 / 1_000_000_000;
            let follows = sent.sequence.wrapping_add(1) == next.0;
            let Ok(before) = u16::try_from(ticks) else { break };
            let takes = AudioDatagram::ENTRY + sent.packet.len();
            if !follows || takes > room || sent.layout != packet.layout {
                break;
            }
            room -= takes;
            datagram.earlier.push(EarlierAudio { before, packet: &sent.packet });
            next = (sent.sequence, sent.at);
        }
        self.out.clear();
        datagram.encode(&mut self.out);
        drop(datagram);
        // Beyond its room QUIC would throw away the oldest datagrams, which may be sound too.
        if quic.datagram_send_buffer_space() < self.out.len() {
            return Err(SendRefused::Full);
        }
        self.connection.send_datagram(&self.out).map_err(|_| SendRefused::NotConnected)?;
        self.shared.sent_beside(self.out.len());
        sound.sent(sequence);
        self.earlier.truncate(MOST_EARLIER - 1);
        let AudioPacket { captured_at: at, layout, ref data, .. } = *packet;
        self.earlier.insert(0, Sent { at, sequence, layout, packet: data.clone() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_repeated_while_the_path_loses_some() {
        let mut loss = Loss::default();
        let mut after = |sent: u64, lost: u64| {
            loss.until_look = 0;
            let mut totals = (0, 0);
            totals.0 = loss.seen.0 + sent;
            totals.1 = loss.seen.1 + lost;
            loss.repeats(|| totals)
        };
        assert_eq!(after(1_000, 0), 0);
        assert_eq!(after(1_000, 2), 0, "now and then one");
        assert_eq!(after(1_000, 30), 1);
        assert_eq!(after(3_000, 450), 2);
        assert_eq!(after(10_000, 0), 1, "0.6 % still");
        assert_eq!(after(10_000, 0), 0);
    }

    #[test]
    fn the_path_is_looked_at_now_and_then() {
        let mut loss = Loss::default();
        let mut looks = 0;
        for _ in 0..LOOK + 2 {
            loss.repeats(|| {
                looks += 1;
                (0, 0)
            });
        }
        assert_eq!(looks, 2);
    }
}
