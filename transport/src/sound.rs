//! What the sinks of a connection's sound share, and how a client's voice is read, where both go in datagrams of ours or
//! their like.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use media::webtransport::{AudioDatagram, AudioDatagramError, MOST_EARLIER};
use media::{AudioPacket, Layout, VoicePacket};

use crate::timestamp::timestamp_of;

/// Part of the packets that are lost from which the packet before is repeated, and the two before.
const REPEATED: [f64; MOST_EARLIER] = [0.005, 0.08];
/// Largest packet with repeated ones: what every path takes (RFC 9000 §14), less what QUIC and HTTP/3, or RTP, put around.
pub(crate) const MOST_BYTES: usize = 1_100;
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

/// How many packets to repeat with each, where this part of them is lost.
pub(crate) fn repeats(lost: f64) -> usize {
    REPEATED.iter().filter(|least| lost >= **least).count()
}

/// A packet as it travels, on the clock that begins at `offset`.
pub(crate) fn datagram(packet: &AudioPacket, sequence: u64, offset: u32) -> AudioDatagram<'_> {
    let length = packet.duration.as_nanos() / UNIT.as_nanos();
    AudioDatagram {
        sequence: (sequence & 0xffff) as u16,
        timestamp: timestamp_of(packet.captured_at, offset),
        length: u8::try_from(length).unwrap_or(u8::MAX),
        layout: packet.layout,
        packet: &packet.data,
        earlier: Default::default(),
    }
}

/// Numbers that are so far apart, either way, are not of the same sequence.
const FAR: u16 = 3_000;
const NOT_FAR: u16 = u16::MAX - FAR;

/// The packets of a client's voice that come in datagrams, each once however often it was sent.
#[derive(Debug, Default)]
pub(crate) struct VoiceReader {
    newest: Option<u16>,
}

impl VoiceReader {
    /// Takes a datagram; yields the packets in it that are news, in the order in which they were spoken.
    ///
    /// # Errors
    /// When it is none of sound, or of more channels than a voice has.
    pub(crate) fn take(
        &mut self,
        datagram: &Bytes,
    ) -> Result<impl Iterator<Item = VoicePacket> + use<>, AudioDatagramError> {
        let read = AudioDatagram::decode(datagram)?;
        if read.layout != Layout::Stereo {
            return Err(AudioDatagramError::Layout(read.layout as u8));
        }
        let packet = |back: usize, data: &[u8]| VoicePacket {
            sequence: read.sequence.wrapping_sub(back as u16),
            data: datagram.slice_ref(data),
        };
        let ahead = self.newest.map(|newest| read.sequence.wrapping_sub(newest));
        let missing = match ahead {
            // The first, or one so far away that the numbers began anew.
            None => usize::MAX,
            Some(FAR..=NOT_FAR) => usize::MAX,
            Some(ahead @ 1..FAR) => usize::from(ahead) - 1,
            // The same, or late: whoever decodes knows what to do with that. Nothing before it is news.
            _ => 0,
        };
        if ahead.is_none_or(|ahead| (1..=NOT_FAR).contains(&ahead)) {
            self.newest = Some(read.sequence);
        }
        let lost = read.earlier.iter().enumerate().take(missing);
        let mut packets: Vec<_> =
            lost.map(|(at, earlier)| packet(at + 1, earlier.packet)).rev().collect();
        packets.push(packet(0, read.packet));
        Ok(packets.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use media::webtransport::EarlierAudio;

    use super::*;

    fn spoken(sequence: u16, earlier: &[&'static [u8]]) -> Bytes {
        let entry = |packet: &&'static [u8]| EarlierAudio { before: 1_800, packet };
        let mut out = Vec::new();
        AudioDatagram {
            sequence,
            timestamp: 0,
            length: 8,
            layout: Layout::Stereo,
            packet: &[9],
            earlier: earlier.iter().map(entry).collect(),
        }
        .encode(&mut out);
        out.into()
    }

    #[test]
    fn packets_that_come_twice_are_read_once_and_lost_ones_are_taken_from_what_follows() {
        let mut reader = VoiceReader::default();
        let mut take = |sequence, earlier: &[&'static [u8]]| -> Vec<(u16, Vec<u8>)> {
            let read = reader.take(&spoken(sequence, earlier)).unwrap();
            read.map(|packet| (packet.sequence, packet.data.to_vec())).collect()
        };
        assert_eq!(take(0xfffe, &[]), [(0xfffe, vec![9])]);
        assert_eq!(take(0xffff, &[&[8]]), [(0xffff, vec![9])]);
        // One is lost, and the next has it.
        assert_eq!(take(1, &[&[8], &[7]]), [(0, vec![8]), (1, vec![9])]);
        assert_eq!(take(0, &[&[7]]), [(0, vec![9])], "late, and with nothing new");
        assert_eq!(take(2, &[&[8]]), [(2, vec![9])]);
        assert_eq!(take(40_000, &[&[8]]), [(39_999, vec![8]), (40_000, vec![9])], "anew");
        assert!(reader.take(&Bytes::from_static(&[0x11, 0x10, 0])).is_err());
        let mut wide = spoken(3, &[]).to_vec();
        wide[8] |= 0x40;
        assert_eq!(reader.take(&wide.into()).err(), Some(AudioDatagramError::Layout(1)));
    }
}
