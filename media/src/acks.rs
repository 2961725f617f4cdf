//! What a client says of each frame as soon as it knows it, on every transport: a message of its own,
//! unreliable, so that each repeats the newest frames and a lost one heals with the next.
//!
//! ```text
//! 0        version, 1
//! 1        frames that wait for the client's decoder; 255 where it does not know
//! 2 + 21n  timestamp (4), state (1), first byte came (8), last byte came (8): big endian, microseconds of
//!          the client's clock; where a browser does not tell when bytes came, both are the time of decoding
//! ```

use thiserror::Error;

const VERSION: u8 = 1;
const HEAD: usize = 2;
const ENTRY: usize = 21;
/// Most frames in a message.
const MOST: usize = 32;
/// Largest time that a browser can count exactly, in microseconds (2^53 - 1).
const LATEST: u64 = (1 << 53) - 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acks {
    /// Frames that wait for the decoder, where the client knows.
    pub decode_queue: Option<u8>,
    /// The frames, 1 to 32, in no promised order.
    pub frames: Vec<FrameAck>,
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAck {
    /// The timestamp that the transport sent it with (`TransportEvent::FrameSent`).
    pub wire_timestamp: u32,
    /// How far it came.
    pub state: FrameState,
    /// When its first byte came, in microseconds of the client's clock.
    pub first_us: u64,
    /// When its last byte came.
    pub last_us: u64,
}

/// How far a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameState {
    /// It is whole at the client.
    Received = 0,
    /// It is decoded, and so is every frame that it needs.
    Decoded = 1,
    /// It will never be decoded.
    Dropped = 2,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AckError {
    /// Another version.
    #[error("acknowledgements of version {0}, not {VERSION}")]
    Version(u8),
    /// No whole number of frames, none, or too many.
    #[error("acknowledgements of {0} bytes")]
    Length(usize),
    /// An unknown state.
    #[error("a frame in the unknown state {0}")]
    State(u8),
    /// Times that no clock shows: the last byte before the first, or beyond 2^53 microseconds.
    #[error("a frame that came from {first_us} to {last_us} us")]
    Time {
        /// First byte.
        first_us: u64,
        /// Last byte.
        last_us: u64,
    },
}

impl Acks {
    /// Reads a message.
    ///
    /// # Errors
    /// See [`AckError`].
    pub fn decode(message: &[u8]) -> Result<Self, AckError> {
        let (&[version, queue], entries) =
            message.split_first_chunk::<HEAD>().ok_or(AckError::Length(message.len()))?;
        if version != VERSION {
            return Err(AckError::Version(version));
        }
        let (entries, rest) = entries.as_chunks::<ENTRY>();
        if !rest.is_empty() || entries.is_empty() || entries.len() > MOST {
            return Err(AckError::Length(message.len()));
        }
        let frames = entries.iter().map(FrameAck::decode).collect::<Result<_, _>>()?;
        Ok(Self { decode_queue: Some(queue).filter(|queue| *queue != u8::MAX), frames })
    }

    /// Appends the message to `out`; frames beyond 32 are left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, self.decode_queue.unwrap_or(u8::MAX)]);
        for frame in self.frames.iter().take(MOST) {
            out.extend(frame.wire_timestamp.to_be_bytes());
            out.push(frame.state as u8);
            out.extend(frame.first_us.to_be_bytes());
            out.extend(frame.last_us.to_be_bytes());
        }
    }
}

impl FrameAck {
    fn decode(entry: &[u8; ENTRY]) -> Result<Self, AckError> {
        let [t0, t1, t2, t3, state, times @ ..] = *entry;
        let state = match state {
            0 => FrameState::Received,
            1 => FrameState::Decoded,
            2 => FrameState::Dropped,
            other => return Err(AckError::State(other)),
        };
        let [first_us, last_us] = [0, 8].map(|from| {
            times[from..from + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        });
        if first_us > last_us || last_us > LATEST {
            return Err(AckError::Time { first_us, last_us });
        }
        let wire_timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        Ok(Self { wire_timestamp, state, first_us, last_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ack(n: u32) -> FrameAck {
        let first_us = u64::from(n) * 1_000;
        FrameAck {
            wire_timestamp: n.wrapping_mul(1 << 30),
            state: FrameState::Decoded,
            first_us,
            last_us: first_us + 300,
        }
    }

    fn encoded(acks: &Acks) -> Vec<u8> {
        let mut out = Vec::new();
        acks.encode(&mut out);
        out
    }

    #[test]
    fn a_message_has_the_bytes_that_the_page_writes() {
        let frames = vec![FrameAck {
            wire_timestamp: 0x0102_0304,
            state: FrameState::Received,
            first_us: 5,
            last_us: 0x0600,
        }];
        let message = encoded(&Acks { decode_queue: Some(7), frames });
        let expected = [1, 7, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 6, 0];
        assert_eq!(message, expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |n| encoded(&Acks { decode_queue: None, frames: (0..n).map(ack).collect() });
        let good = message(1);
        assert_eq!(Acks::decode(&[]), Err(AckError::Length(0)));
        assert_eq!(Acks::decode(&good[..2]), Err(AckError::Length(2)));
        assert_eq!(Acks::decode(&good[..22]), Err(AckError::Length(22)));
        assert_eq!(Acks::decode(&message(32)).unwrap().frames.len(), 32);
        assert_eq!(Acks::decode(&message(33)).unwrap().frames.len(), 32, "never written");
        let long = [message(32), vec![0; ENTRY]].concat();
        assert_eq!(Acks::decode(&long), Err(AckError::Length(long.len())));
        let with = |at: usize, byte: u8| {
            let mut message = good.clone();
            message[at] = byte;
            Acks::decode(&message)
        };
        assert_eq!(with(0, 2), Err(AckError::Version(2)));
        assert_eq!(with(6, 3), Err(AckError::State(3)));
        assert!(matches!(with(7, 1), Err(AckError::Time { .. })));
        assert!(matches!(with(15, 1), Err(AckError::Time { .. })), "no browser counts so far");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_say_the_same_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            if let Ok(acks) = Acks::decode(&bytes) {
                prop_assert_eq!(encoded(&acks), bytes);
            }
        }

        #[test]
        fn what_is_written_is_read(
            queue in proptest::option::of(0_u8..255),
            stamps in proptest::collection::vec(any::<u32>(), 1..=32),
        ) {
            let frames = stamps.into_iter().map(|n| FrameAck { wire_timestamp: n, ..ack(n % 977) });
            let acks = Acks { decode_queue: queue, frames: frames.collect() };
            prop_assert_eq!(Acks::decode(&encoded(&acks)), Ok(acks));
        }
    }
}
