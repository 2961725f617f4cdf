//! Frames of the protocol, told bytes: where each ends, and whether what it holds may be read.
//!
//! A frame is a descriptor of 20 bytes and its payload (pulsecore/pstream.c): commands on the channel
//! `u32::MAX`, samples on others. The reader of the crate `pulseaudio` drops a frame's seek mode, allocates
//! what a blob says that its length is, and multiplies a time's microseconds unchecked. So descriptors are
//! read here, and [`check_tags`] goes over a command before that crate does.

use pulseaudio::protocol::sample_spec::MAX_CHANNELS;
use thiserror::Error;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = pulseaudio::protocol::DESCRIPTOR_SIZE;
/// Longest command that is read. A client's longest are its properties, which are of some hundred bytes.
const LONGEST_COMMAND: usize = 64 * 1024;
/// Longest block of samples that is read: no client is asked for more. libpulse cuts its own at 64 KiB.
const LONGEST_BLOCK: usize = super::queue::MOST_QUEUED;
/// Flags that say that the samples lie in shared memory, or that some is let go of (pulsecore/pstream.c).
const SHARED: u32 = 0xe000_0000;
const SEEK: u32 = 0xff;

/// Why a connection is closed: what follows cannot be told from garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// A frame that is longer than any is.
    #[error("a frame of {0} bytes")]
    TooLong(u32),
    /// Shared memory was declined.
    #[error("samples in shared memory")]
    SharedMemory,
    /// From where the samples' place is counted.
    #[error("seek mode {0}")]
    SeekMode(u8),
    /// A command that is not even numbered, so that it cannot be answered.
    #[error("a command without its header")]
    NoHeader,
}

/// From where a block's offset counts (`pa_seek_mode_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seek {
    /// From where the block before ended.
    Relative,
    /// From the stream's first byte.
    Absolute,
    /// From the byte that is read next.
    RelativeOnRead,
    /// From the end of what is queued.
    RelativeEnd,
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// The tag struct of a command.
    Command(&'a [u8]),
    /// Samples of a stream.
    Samples {
        /// The stream.
        channel: u32,
        /// Where they go, in bytes.
        offset: i64,
        /// From where `offset` counts.
        seek: Seek,
        /// The samples.
        data: &'a [u8],
    },
}

/// What came from one client and is not read yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    read: usize,
}

impl Frames {
    /// Adds what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if it is whole.
    ///
    /// # Errors
    /// See [`Malformed`]. Nothing can be read after that.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let Some((descriptor, rest)) = self.bytes[self.read..].split_first_chunk::<DESCRIPTOR>()
        else {
            return Ok(None);
        };
        let word = |at: usize| {
            u32::from_be_bytes([
                descriptor[at],
                descriptor[at + 1],
                descriptor[at + 2],
                descriptor[at + 3],
            ])
        };
        let (length, channel, flags) = (word(0), word(4), word(16));
        let offset = (i64::from(word(8)) << 32) | i64::from(word(12));
        let is_command = channel == u32::MAX;
        let longest = if is_command { LONGEST_COMMAND } else { LONGEST_BLOCK };
        if length as usize > longest {
            return Err(Malformed::TooLong(length));
        }
        if flags & SHARED != 0 {
            return Err(Malformed::SharedMemory);
        }
        let seek = match flags & SEEK {
            0 => Seek::Relative,
            1 => Seek::Absolute,
            2 => Seek::RelativeOnRead,
            3 => Seek::RelativeEnd,
            other => return Err(Malformed::SeekMode(other as u8)),
        };
        let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
        self.read += DESCRIPTOR + payload.len();
        Ok(Some(if is_command {
            Frame::Command(payload)
        } else {
            Frame::Samples { channel, offset, seek, data: payload }
        }))
    }
}

/// What a command is and the number that its answer bears.
///
/// # Errors
/// [`Malformed::NoHeader`].
pub(super) fn command_header(command: &[u8]) -> Result<(u32, u32), Malformed> {
    match command {
        [b'L', a, b, c, d, b'L', e, f, g, h, ..] => {
            Ok((u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h])))
        }
        _ => Err(Malformed::NoHeader),
    }
}

/// Whether every value of a tag struct is of a known kind, within it and within the kind's range.
pub(super) fn check_tags(mut rest: &[u8]) -> bool {
    while let Some((tag, value)) = rest.split_first() {
        let length = match tag {
            b'N' | b'0' | b'1' | b'P' | b'f' => Some(0),
            b'B' => Some(1),
            b'L' | b'V' => Some(4),
            b'R' | b'r' | b'U' => Some(8),
            b'a' => Some(6),
            b't' => value.iter().position(|byte| *byte == 0).map(|end| end + 1),
            b'T' => match value {
                [_, _, _, _, a, b, c, d, ..] => {
                    (u32::from_be_bytes([*a, *b, *c, *d]) < 1_000_000).then_some(8)
                }
                _ => None,
            },
            b'x' => match value {
                [a, b, c, d, ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize).checked_add(4),
                _ => None,
            },
            b'm' => channels(value).map(|channels| 1 + channels),
            b'v' => channels(value).map(|channels| 1 + 4 * channels),
            _ => None,
        };
        match length.and_then(|length| value.get(length..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

fn channels(value: &[u8]) -> Option<usize> {
    value.first().filter(|channels| **channels <= MAX_CHANNELS).map(|channels| *channels as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulseaudio::protocol::{Command, MAX_VERSION};

    use super::*;

    fn frame(channel: u32, offset: i64, flags: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes.extend(channel.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_read_whole_however_they_come() {
        let mut bytes = frame(7, -4, 2, &[1, 2, 3, 4]);
        bytes.extend(frame(u32::MAX, 0, 0, b"command"));
        let mut frames = Frames::default();
        let mut read = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            if let Some(frame) = frames.next().unwrap() {
                read.push(format!("{frame:?}"));
            }
        }
        let samples = Frame::Samples {
            channel: 7,
            offset: -4,
            seek: Seek::RelativeOnRead,
            data: &[1, 2, 3, 4],
        };
        assert_eq!(read, [format!("{samples:?}"), format!("{:?}", Frame::Command(b"command"))]);
        assert_eq!(frames.bytes.len(), frames.read);
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_there() {
        let refused = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.push(bytes);
            frames.next().unwrap_err()
        };
        let mut long = frame(u32::MAX, 0, 0, &[]);
        long[..4].copy_from_slice(&[0xff; 4]);
        assert_eq!(refused(&long), Malformed::TooLong(u32::MAX));
        assert_eq!(refused(&frame(1, 0, 0x8000_0000, &[])), Malformed::SharedMemory);
        assert_eq!(refused(&frame(1, 0, 9, &[])), Malformed::SeekMode(9));
        assert_eq!(command_header(b"L\0\0\0\x08L\0\0"), Err(Malformed::NoHeader));
    }

    #[test]
    fn a_value_that_lies_about_its_length_is_found() {
        assert!(check_tags(b"L\0\0\0\x08L\0\0\0\x01x\0\0\0\x02ab"));
        assert!(!check_tags(b"x\xff\xff\xff\xffab"));
        assert!(!check_tags(b"tno end"));
        assert!(!check_tags(b"T\0\0\0\0\xff\xff\xff\xff"));
        assert!(!check_tags(b"m\xff"));
        assert!(!check_tags(b"?"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut frames = Frames::default();
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next() {}
        }

        #[test]
        fn what_passes_the_check_is_read_without_panic(
            command in 0_u32..110,
            tags in proptest::collection::vec(
                (prop::sample::select(b"tNLBRraxTUmvPVf10".to_vec()), proptest::collection::vec(any::<u8>(), 0..12)),
                0..12,
            ),
        ) {
            let mut bytes = vec![b'L'];
            bytes.extend(command.to_be_bytes());
            bytes.extend(b"L\0\0\0\x01");
            for (tag, value) in tags {
                bytes.push(tag);
                bytes.extend(value);
            }
            prop_assert_eq!(command_header(&bytes), Ok((command, 1)));
            if check_tags(&bytes) {
                let _ = Command::read_tag_prefixed(&mut bytes.as_slice(), MAX_VERSION);
            }
        }
    }
}
