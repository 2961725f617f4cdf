//! What lies in the messages of a WebSocket, where no UDP reaches a client: the same as over
//! [WebTransport](crate::webtransport), in binary messages that begin with one byte that says what they are. All
//! numbers are big endian.
//!
//! | from | first byte | then |
//! |---|---|---|
//! | both | 0x00 | control: JSON |
//! | client | 0x01 | input, one [`SequencedInput`](crate::SequencedInput) |
//! | client | 0x02 | pointer motion, one [`SequencedInput`](crate::SequencedInput) |
//! | client | 0x03 | [`Acks`](crate::Acks) |
//! | client | 0x11 | the player's voice: [`AudioDatagram`], which has this byte itself |
//! | server | 0x10 | padding, to be ignored |
//! | server | 0x11 | sound: [`AudioDatagram`], which has this byte itself |
//! | server | 0x12 | a piece of a frame: [`Piece`] |
//!
//! Frames are cut into pieces so that what is short does not wait for what is long. Pieces of a track's frame follow
//! one another; those of other tracks may stand between them. A frame is whole with its last piece; one that is not
//! when the next of its track begins was given up.
//!
//! The client ignores what it does not know. To the server nothing may be sent that is not in the table: no text
//! either.

use bytes::Bytes;
use thiserror::Error;

use crate::DataChannel;
use crate::webtransport::{
    AUDIO, AudioDatagram, AudioDatagramError, CONTROL_LIMIT, FrameHeader, INPUT_LIMIT, VOICE_LIMIT,
};

/// First byte of a piece of a frame.
pub const FRAME: u8 = 0x12;
const FIRST: u8 = 1;
const LAST: u8 = 2;

/// Longest message of a client, in bytes.
pub const MESSAGE_LIMIT: usize = 1 + CONTROL_LIMIT;

/// The first byte of messages on this channel.
pub const fn first_byte(channel: DataChannel) -> u8 {
    channel as u8
}

/// Longest body of a message on this channel, in bytes.
pub const fn limit(channel: DataChannel) -> usize {
    match channel {
        DataChannel::Control => CONTROL_LIMIT,
        DataChannel::Input | DataChannel::Motion | DataChannel::Acks => INPUT_LIMIT,
    }
}

/// Why a message of a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Not even a first byte.
    #[error("an empty message")]
    Empty,
    /// A first byte that stands for nothing.
    #[error("a message of the unknown kind {0:#04x}")]
    Unknown(u8),
    /// Longer than its channel allows.
    #[error("a message of {bytes} bytes, of which {limit} are allowed")]
    TooLong {
        /// Its length without the first byte.
        bytes: usize,
        /// Most that is taken.
        limit: usize,
    },
    /// Its voice is none.
    #[error("a voice that is none: {0}")]
    Voice(#[from] AudioDatagramError),
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message of a channel, without its first byte.
    Data(DataChannel, Bytes),
    /// Its voice: a whole [`AudioDatagram`], which was read once.
    Voice(Bytes),
}

/// Reads a client's message.
///
/// # Errors
/// See [`MessageError`].
pub fn message(mut message: Bytes) -> Result<Message, MessageError> {
    let first = *message.first().ok_or(MessageError::Empty)?;
    if first == AUDIO {
        if message.len() > VOICE_LIMIT {
            return Err(MessageError::TooLong { bytes: message.len(), limit: VOICE_LIMIT });
        }
        AudioDatagram::decode(&message)?;
        return Ok(Message::Voice(message));
    }
    let known = DataChannel::ALL.into_iter().find(|channel| first_byte(*channel) == first);
    let channel = known.ok_or(MessageError::Unknown(first))?;
    let body = message.split_off(1);
    let limit = limit(channel);
    if body.len() > limit {
        return Err(MessageError::TooLong { bytes: body.len(), limit });
    }
    Ok(Message::Data(channel, body))
}

/// What stands before the bytes of a piece.
///
/// ```text
/// 0   0x12 (1)
/// 1   1 for a frame's first piece, 2 for its last, 3 for all of it, 0 for one between (1)
/// 2   track (1)
/// 3   of a first piece: the frame's header (32)
/// …   bytes of the unit, to the end
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The frame's header, with its first piece.
    pub header: Option<FrameHeader>,
    /// It ends the frame.
    pub last: bool,
    /// The track.
    pub track: u8,
}

impl Piece {
    /// Most bytes that it takes.
    pub const MOST: usize = 3 + FrameHeader::LEN;

    /// Appends it as it travels.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let first = if self.header.is_some() { FIRST } else { 0 };
        let last = if self.last { LAST } else { 0 };
        out.extend([FRAME, first | last, self.track]);
        if let Some(header) = &self.header {
            out.extend(header.encode());
        }
    }

    /// Reads a message; yields the bytes after it. None for one that is no piece of a frame.
    pub fn decode(message: &[u8]) -> Option<(Self, &[u8])> {
        let (&[kind, flags, track], rest) = message.split_first_chunk()?;
        if kind != FRAME || flags & !(FIRST | LAST) != 0 {
            return None;
        }
        let (header, rest) = if flags & FIRST == 0 {
            (None, rest)
        } else {
            let (header, rest) = rest.split_first_chunk()?;
            (Some(FrameHeader::decode(header).ok()?), rest)
        };
        Some((Self { header, last: flags & LAST != 0, track }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webtransport::{PADDING, datagram_byte};
    use crate::{BitDepth, Codec, FrameId, UnitKind};
    use proptest::prelude::*;

    fn piece(first: bool, last: bool) -> Piece {
        let header = FrameHeader {
            kind: UnitKind::Delta,
            track: 1,
            codec: Codec::Vp8,
            wire_timestamp: 7,
            frame: FrameId(9),
            refers_to: Some(FrameId(8)),
            bytes: 3,
            color: [1; 3],
            full_range: false,
            depth: BitDepth::Eight,
        };
        Piece { header: first.then_some(header), last, track: 1 }
    }

    #[test]
    fn channels_have_the_numbers_that_they_have_over_webtransport() {
        for channel in DataChannel::ALL {
            if let Some(byte) = datagram_byte(channel) {
                assert_eq!(first_byte(channel), byte);
            }
            let body = Bytes::from_static(&[5, 6]);
            let whole = Bytes::from([&[first_byte(channel)][..], &body].concat());
            assert_eq!(message(whole), Ok(Message::Data(channel, body)));
            assert!(![PADDING, AUDIO, FRAME].contains(&first_byte(channel)));
        }
        assert_eq!(
            first_byte(DataChannel::Input),
            crate::webtransport::StreamKind::Input.first_byte()
        );
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        assert_eq!(message(Bytes::new()), Err(MessageError::Empty));
        assert_eq!(message(Bytes::from_static(&[4, 1])), Err(MessageError::Unknown(4)));
        assert_eq!(message(Bytes::from_static(&[FRAME])), Err(MessageError::Unknown(FRAME)));
        for channel in DataChannel::ALL {
            let mut longest = vec![first_byte(channel)];
            longest.resize(1 + limit(channel), 0);
            assert!(message(longest.clone().into()).is_ok());
            assert!(longest.len() <= MESSAGE_LIMIT);
            longest.push(0);
            let (bytes, limit) = (limit(channel) + 1, limit(channel));
            assert_eq!(message(longest.into()), Err(MessageError::TooLong { bytes, limit }));
        }
    }

    #[test]
    fn a_voice_is_read_whole_and_bounded() {
        let spoken = |packet: &[u8]| {
            let mut out = Vec::new();
            let earlier = Default::default();
            AudioDatagram {
                sequence: 1,
                timestamp: 2,
                length: 8,
                layout: crate::Layout::Stereo,
                packet,
                earlier,
            }
            .encode(&mut out);
            Bytes::from(out)
        };
        assert_eq!(message(spoken(&[7])), Ok(Message::Voice(spoken(&[7]))));
        assert_eq!(message(spoken(&[])), Err(MessageError::Voice(AudioDatagramError::Short)));
        let limit = VOICE_LIMIT;
        let long = message(spoken(&vec![0; limit]));
        assert_eq!(
            long,
            Err(MessageError::TooLong { bytes: limit + AudioDatagram::HEADER, limit })
        );
    }

    #[test]
    fn a_piece_has_the_bytes_that_the_page_reads() {
        let mut out = Vec::new();
        piece(false, true).encode(&mut out);
        assert_eq!(out, [0x12, 2, 1]);
        for (first, last) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut out = Vec::new();
            piece(first, last).encode(&mut out);
            assert_eq!(out[1], u8::from(first) | u8::from(last) << 1);
            assert!(out.len() <= Piece::MOST);
            out.extend([1, 2]);
            assert_eq!(Piece::decode(&out), Some((piece(first, last), &[1, 2][..])));
        }
        for other in [&[][..], &[0x12, 0], &[0x12, 4, 0], &[0x11, 0, 0], &[0x12, 1, 0, 1]] {
            assert_eq!(Piece::decode(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((piece, rest)) = Piece::decode(&bytes) {
                let mut out = Vec::new();
                piece.encode(&mut out);
                out.extend(rest);
                prop_assert_eq!(&out, &bytes);
            }
            match message(bytes.clone().into()) {
                Ok(Message::Data(channel, body)) => {
                    prop_assert_eq!([&[first_byte(channel)][..], &body].concat(), bytes);
                }
                Ok(Message::Voice(voice)) => prop_assert_eq!(voice, bytes),
                Err(_) => {}
            }
        }
    }
}
