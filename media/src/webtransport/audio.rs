//! The datagrams that bring sound.

use bytes::{Buf as _, BufMut as _};
use smallvec::SmallVec;
use thiserror::Error;

use crate::Layout;

/// First byte of a datagram of sound.
pub const AUDIO: u8 = 0x11;
/// The version of its header, in the upper half of the second byte.
const VERSION: u8 = 1;
/// Earlier packets that a datagram repeats at the most.
pub const MOST_EARLIER: usize = 2;
/// A packet covers at most 120 ms (RFC 6716 §2.1.4): so many times 2.5 ms.
const LONGEST: u8 = 48;
/// Where that stands.
const LENGTH_BITS: u32 = 6;
const LENGTH: u8 = (1 << LENGTH_BITS) - 1;

/// One packet of Opus, in either direction, and where the path loses datagrams the packets before it once more: a client makes
/// up for a lost one without asking, and without a decoder that knows Opus's own error correction.
///
/// ```text
/// 0   0x11 (1)
/// 1   version 1 in the upper four bits, number of earlier packets in the lower ones (1)
/// 2   sequence number (2): each packet's is one more than that of the one before it
/// 4   time of the first sample on the clock of 90 kHz that frames' wire timestamps are on (4)
/// 8   layout in the upper two bits: 0 stereo, 1 5.1, 2 7.1; length in units of 2.5 ms in the lower ones (1)
/// 9   for each earlier packet, the nearest first: ticks of 90 kHz from its first sample to that of the
///     packet after it (2), bytes (2)
/// …   the earlier packets in the same order, then the packet, to the end
/// ```
///
/// Silence is not sent: then a time is further on than the length before it, while the sequence number is
/// not. All packets have the length and the layout that the datagram says. Whoever does not say that it plays more than two
/// channels is sent none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioDatagram<'a> {
    /// Of the packet.
    pub sequence: u16,
    /// When its first sample was captured.
    pub timestamp: u32,
    /// In units of 2.5 ms.
    pub length: u8,
    /// Its channels.
    pub layout: Layout,
    /// The packet.
    pub packet: &'a [u8],
    /// Those before it, the nearest first.
    pub earlier: SmallVec<[EarlierAudio<'a>; MOST_EARLIER]>,
}

/// A packet that is sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierAudio<'a> {
    /// Ticks of 90 kHz until the packet after it.
    pub before: u16,
    /// The packet.
    pub packet: &'a [u8],
}

/// Why a datagram of sound is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AudioDatagramError {
    /// It ends before what it says is in it, or nothing is in it.
    #[error("a datagram of sound is too short")]
    Short,
    /// It is none of sound, or of another version.
    #[error("a datagram of sound begins with {0:#06x}")]
    Kind(u16),
    /// A length that no packet has.
    #[error("a packet of sound of {0} times 2.5 ms")]
    Length(u8),
    /// A layout that there is not, or that nobody sends there.
    #[error("a packet of sound of layout {0}")]
    Layout(u8),
}

impl<'a> AudioDatagram<'a> {
    /// Bytes before the list of earlier packets.
    pub const HEADER: usize = 9;
    /// Bytes of each entry of that list.
    pub const ENTRY: usize = 4;

    /// Appends it as it travels. Packets that are longer than 65,535 bytes fit into no datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let count = self.earlier.len().min(MOST_EARLIER);
        out.put_u8(AUDIO);
        out.put_u8(VERSION << 4 | count as u8);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u8((self.layout as u8) << LENGTH_BITS | self.length & LENGTH);
        for earlier in &self.earlier[..count] {
            out.put_u16(earlier.before);
            out.put_u16(u16::try_from(earlier.packet.len()).unwrap_or(u16::MAX));
        }
        for earlier in &self.earlier[..count] {
            out.put_slice(earlier.packet);
        }
        out.put_slice(self.packet);
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// See [`AudioDatagramError`].
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, AudioDatagramError> {
        if bytes.len() < Self::HEADER {
            return Err(AudioDatagramError::Short);
        }
        let kind = bytes.get_u16();
        let count = usize::from(kind & 0x0f);
        if kind >> 4 != u16::from(AUDIO) << 4 | u16::from(VERSION) || count > MOST_EARLIER {
            return Err(AudioDatagramError::Kind(kind));
        }
        let (sequence, timestamp, kind) = (bytes.get_u16(), bytes.get_u32(), bytes.get_u8());
        let (layout, length) = (kind >> LENGTH_BITS, kind & LENGTH);
        if length == 0 || length > LONGEST {
            return Err(AudioDatagramError::Length(length));
        }
        let known = Layout::ALL.get(usize::from(layout));
        let layout = *known.ok_or(AudioDatagramError::Layout(layout))?;
        let (mut entries, mut packets) =
            bytes.split_at_checked(count * Self::ENTRY).ok_or(AudioDatagramError::Short)?;
        let mut earlier = SmallVec::new();
        for _ in 0..count {
            let (before, bytes) = (entries.get_u16(), usize::from(entries.get_u16()));
            let (packet, rest) =
                packets.split_at_checked(bytes).ok_or(AudioDatagramError::Short)?;
            if packet.is_empty() {
                return Err(AudioDatagramError::Short);
            }
            earlier.push(EarlierAudio { before, packet });
            packets = rest;
        }
        if packets.is_empty() {
            return Err(AudioDatagramError::Short);
        }
        Ok(Self { sequence, timestamp, length, layout, packet: packets, earlier })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;

    fn datagram() -> AudioDatagram<'static> {
        AudioDatagram {
            sequence: 0x0102,
            timestamp: 0x0304_0506,
            length: 4,
            layout: Layout::Stereo,
            packet: &[7, 8],
            earlier: smallvec![
                EarlierAudio { before: 900, packet: &[9] },
                EarlierAudio { before: 1_800, packet: &[10, 11, 12] },
            ],
        }
    }

    fn encoded(datagram: &AudioDatagram<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        datagram.encode(&mut out);
        out
    }

    #[test]
    fn a_datagram_has_the_bytes_that_the_page_reads() {
        let expected: &'static [u8] =
            &[0x11, 0x12, 1, 2, 3, 4, 5, 6, 4, 3, 132, 0, 1, 7, 8, 0, 3, 9, 10, 11, 12, 7, 8];
        assert_eq!(encoded(&datagram()), expected);
        assert_eq!(AudioDatagram::decode(expected), Ok(datagram()));
        let more = AudioDatagram { layout: Layout::Surround51, ..datagram() };
        let wide: &'static [u8] =
            &[0x11, 0x12, 1, 2, 3, 4, 5, 6, 0x44, 3, 132, 0, 1, 7, 8, 0, 3, 9, 10, 11, 12, 7, 8];
        assert_eq!(encoded(&more), wide);
        assert_eq!(AudioDatagram::decode(wide), Ok(more));
    }

    #[test]
    fn what_is_wrong_in_a_datagram_is_named() {
        let with = |at: usize, byte: u8| {
            let mut bytes = encoded(&datagram());
            bytes[at] = byte;
            AudioDatagram::decode(&bytes).map(drop)
        };
        assert_eq!(with(0, 0x10), Err(AudioDatagramError::Kind(0x1012)));
        assert_eq!(with(1, 0x22), Err(AudioDatagramError::Kind(0x1122)));
        assert_eq!(with(1, 0x13), Err(AudioDatagramError::Kind(0x1113)));
        assert_eq!(with(8, 0), Err(AudioDatagramError::Length(0)));
        assert_eq!(with(8, 49), Err(AudioDatagramError::Length(49)));
        assert_eq!(with(8, 0x80), Err(AudioDatagramError::Length(0)));
        assert_eq!(with(8, 0xc4), Err(AudioDatagramError::Layout(3)));
        assert_eq!(with(16, 200), Err(AudioDatagramError::Short));
        assert_eq!(with(12, 0), Err(AudioDatagramError::Short), "an empty packet");
        let whole = encoded(&datagram());
        for length in 0..whole.len() - 1 {
            assert_eq!(
                AudioDatagram::decode(&whole[..length]).map(drop),
                Err(AudioDatagramError::Short),
                "{length} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_an_error_or_says_the_same_again(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..64),
            count in 0_u8..4,
        ) {
            if let Some(head) = bytes.get_mut(..2) {
                head.copy_from_slice(&[AUDIO, VERSION << 4 | count]);
            }
            if let Ok(datagram) = AudioDatagram::decode(&bytes) {
                prop_assert_eq!(&encoded(&datagram), &bytes);
            }
        }
    }
}
