//! What lies in the streams and datagrams of a WebTransport connection, version 1. All numbers are big
//! endian; a stream or datagram begins with one byte that says what it is.
//!
//! | opened by | kind | first byte | then |
//! |---|---|---|---|
//! | client | bidirectional stream | 0x00 | control: messages of a length (4) and JSON, both ways |
//! | client | unidirectional stream | 0x01 | input: messages of a length (2) and [`SequencedInput`](crate::SequencedInput) |
//! | client | datagram | 0x02 | pointer motion, one [`SequencedInput`](crate::SequencedInput) |
//! | client | datagram | 0x03 | [`Acks`](crate::Acks) |
//! | client | datagram | 0x11 | the player's voice: [`AudioDatagram`] |
//! | server | unidirectional stream | 0x01, the version | one frame: [`FrameHeader`], then its unit |
//! | server | datagram | 0x10 | padding, to be ignored |
//! | server | datagram | 0x11 | sound: [`AudioDatagram`] |
//!
//! The server writes nothing into the client's unidirectional stream and answers in the control stream
//! without a first byte of its own. Unknown datagrams are ignored by both sides, so that later versions
//! may add some; an unknown stream ends the connection.

mod audio;

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

pub use audio::{AUDIO, AudioDatagram, AudioDatagramError, EarlierAudio, MOST_EARLIER};

use crate::{
    AccessUnit, BitDepth, Codec, CodecSet, ColorDescription, DataChannel, FrameId, UnitKind,
};

/// The version of the frame header.
const VERSION: u8 = 1;
const KEY: u8 = 1;
const RECOVERY: u8 = 2;
const FULL_RANGE: u8 = 1;
const TEN_BITS: u8 = 2;
/// No frame is referred to.
const NONE: u64 = u64::MAX;
/// First byte of a datagram of padding.
pub const PADDING: u8 = 0x10;
/// Longest message of the control stream, in bytes.
pub const CONTROL_LIMIT: usize = 64 * 1024;
/// Longest message of the input stream, in bytes: far more than any event takes.
pub const INPUT_LIMIT: usize = 1_024;
/// Longest datagram of a client's voice, in bytes: three packets of the longest frames of Opus (RFC 6716 §3.2.1).
pub const VOICE_LIMIT: usize = 4 * 1_024;
/// Longest path of a request, in bytes.
const PATH_LIMIT: usize = 1_024;

/// What a client opens streams for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Control messages.
    Control,
    /// Input that must not be lost.
    Input,
}

impl StreamKind {
    /// The first byte of the stream.
    pub const fn first_byte(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Input => 1,
        }
    }

    /// The channel that its messages belong to.
    pub const fn channel(self) -> DataChannel {
        match self {
            Self::Control => DataChannel::Control,
            Self::Input => DataChannel::Input,
        }
    }

    /// Bytes of the length before each message.
    const fn prefix(self) -> usize {
        match self {
            Self::Control => 4,
            Self::Input => 2,
        }
    }

    /// Longest message, in bytes.
    pub const fn limit(self) -> usize {
        match self {
            Self::Control => CONTROL_LIMIT,
            Self::Input => INPUT_LIMIT,
        }
    }
}

/// A client's datagram: its channel and message. None for one that is unknown or empty.
pub fn datagram(bytes: &[u8]) -> Option<(DataChannel, &[u8])> {
    match bytes.split_first()? {
        (2, motion) => Some((DataChannel::Motion, motion)),
        (3, acks) => Some((DataChannel::Acks, acks)),
        _ => None,
    }
}

/// The first byte of a client's datagrams on this channel; none for channels that are streams.
pub const fn datagram_byte(channel: DataChannel) -> Option<u8> {
    match channel {
        DataChannel::Motion => Some(2),
        DataChannel::Acks => Some(3),
        DataChannel::Control | DataChannel::Input => None,
    }
}

/// A message is longer than its stream allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of {bytes} bytes, of which {limit} are allowed")]
pub struct TooLong {
    /// Bytes that were announced.
    pub bytes: usize,
    /// Most that are taken.
    pub limit: usize,
}

/// Cuts a stream into messages. Holds one message at most and what came with it.
#[derive(Debug)]
pub struct Messages {
    kind: StreamKind,
    held: BytesMut,
}

impl Messages {
    /// For a stream of this kind, after its first byte.
    pub fn new(kind: StreamKind) -> Self {
        Self { kind, held: BytesMut::new() }
    }

    /// Takes bytes of the stream. [`pop`](Self::pop) is to be called until it yields none before more
    /// are given.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// [`TooLong`], as soon as the length is known; the stream cannot be read any further.
    pub fn pop(&mut self) -> Result<Option<Bytes>, TooLong> {
        let prefix = self.kind.prefix();
        let Some(head) = self.held.get(..prefix) else { return Ok(None) };
        let bytes = head.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let limit = self.kind.limit();
        if bytes > limit {
            return Err(TooLong { bytes, limit });
        }
        if self.held.len() - prefix < bytes {
            return Ok(None);
        }
        self.held.advance(prefix);
        Ok(Some(self.held.split_to(bytes).freeze()))
    }

    /// Appends a message as it travels; `false`, and nothing, when it is too long.
    pub fn write(kind: StreamKind, message: &[u8], out: &mut Vec<u8>) -> bool {
        if message.len() > kind.limit() {
            return false;
        }
        let length = (message.len() as u64).to_be_bytes();
        out.extend(&length[length.len() - kind.prefix()..]);
        out.extend(message);
        true
    }
}

/// What stands before the unit in each frame's stream.
///
/// ```text
/// 0   version (1), flags (1: key 1, recovery 2), track (1), codec (1: H.264, H.265, VP8, VP9, AV1)
/// 4   wire timestamp (4)
/// 8   frame id (8)
/// 16  id of the frame that it refers to, all ones for none (8)
/// 24  bytes of the unit, 0 for one that is sent while it is coded: it ends with the stream (4)
/// 28  primaries (1), transfer (1), matrix (1) of ITU-T H.273; full range 1, ten bits 2 (1)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// How the unit can be decoded.
    pub kind: UnitKind,
    /// The track.
    pub track: u8,
    /// The codec.
    pub codec: Codec,
    /// What the client acknowledges the frame by: its capture time on a clock of 90 kHz.
    pub wire_timestamp: u32,
    /// The frame.
    pub frame: FrameId,
    /// The newest frame that a decoder must have to take this one ([`AccessUnit::refers_to`]).
    pub refers_to: Option<FrameId>,
    /// Length of the unit; 0 where it is that of what the stream has after the header.
    pub bytes: u32,
    /// Code points of ITU-T H.273: primaries, transfer, matrix.
    pub color: [u8; 3],
    /// Samples use all their values.
    pub full_range: bool,
    /// Bits of a sample.
    pub depth: BitDepth,
}

/// Why a frame header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Another version.
    #[error("a frame of version {0}, not {VERSION}")]
    Version(u8),
    /// Unknown flags, or key and recovery at once.
    #[error("a frame with the flags {0:#x}")]
    Flags(u8),
    /// An unknown codec.
    #[error("a frame in the unknown codec {0}")]
    Codec(u8),
}

impl FrameHeader {
    /// Its length.
    pub const LEN: usize = 32;

    /// The header of a unit that is sent as `wire_timestamp`, or of one of which this is the first part.
    ///
    /// None for a unit of 4 GiB or more.
    pub fn of(unit: &AccessUnit, wire_timestamp: u32, depth: BitDepth) -> Option<Self> {
        let ColorDescription { primaries, transfer, matrix, full_range } = unit.color;
        let bytes = if unit.part.is_whole() { unit.data.len() } else { 0 };
        Some(Self {
            kind: unit.kind,
            track: unit.track.0,
            codec: unit.codec,
            wire_timestamp,
            frame: unit.frame,
            refers_to: unit.refers_to,
            bytes: u32::try_from(bytes).ok()?,
            color: [primaries as u8, transfer as u8, matrix as u8],
            full_range,
            depth,
        })
    }

    /// As it travels.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let kind = match self.kind {
            UnitKind::Key => KEY,
            UnitKind::Delta => 0,
            UnitKind::Recovery => RECOVERY,
        };
        let range = if self.full_range { FULL_RANGE } else { 0 };
        let depth = if self.depth == BitDepth::Ten { TEN_BITS } else { 0 };
        out[..4].copy_from_slice(&[VERSION, kind, self.track, number(self.codec)]);
        out[4..8].copy_from_slice(&self.wire_timestamp.to_be_bytes());
        out[8..16].copy_from_slice(&self.frame.0.to_be_bytes());
        out[16..24].copy_from_slice(&self.refers_to.map_or(NONE, |frame| frame.0).to_be_bytes());
        out[24..28].copy_from_slice(&self.bytes.to_be_bytes());
        out[28..31].copy_from_slice(&self.color);
        out[31] = range | depth;
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, HeaderError> {
        let [version, flags, track, codec, rest @ ..] = *bytes;
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let kind = match flags {
            0 => UnitKind::Delta,
            KEY => UnitKind::Key,
            RECOVERY => UnitKind::Recovery,
            other => return Err(HeaderError::Flags(other)),
        };
        let codec = Codec::ALL
            .into_iter()
            .find(|each| number(*each) == codec)
            .ok_or(HeaderError::Codec(codec))?;
        let mut rest = &rest[..];
        let (wire_timestamp, frame, refers_to) = (rest.get_u32(), rest.get_u64(), rest.get_u64());
        let (bytes, color, range) =
            (rest.get_u32(), [(); 3].map(|()| rest.get_u8()), rest.get_u8());
        if range & !(FULL_RANGE | TEN_BITS) != 0 {
            return Err(HeaderError::Flags(range));
        }
        Ok(Self {
            kind,
            track,
            codec,
            wire_timestamp,
            frame: FrameId(frame),
            refers_to: (refers_to != NONE).then_some(FrameId(refers_to)),
            bytes,
            color,
            full_range: range & FULL_RANGE != 0,
            depth: if range & TEN_BITS != 0 { BitDepth::Ten } else { BitDepth::Eight },
        })
    }
}

/// A codec's number in the header.
const fn number(codec: Codec) -> u8 {
    match codec {
        Codec::H264 => 0,
        Codec::H265 => 1,
        Codec::Vp8 => 2,
        Codec::Vp9 => 3,
        Codec::Av1 => 4,
    }
}

/// What a client asks for: the path of its request,
/// `/wt/SESSION?ticket=TICKET&decodes=H264,VP9&decodes10=H265`.
///
/// The node's answer to the session's request has the path up to the ticket; the client appends what it
/// decodes in 8 and in 10 bits a sample, by the names of RTP. Without `decodes` it is taken to decode H.264. One that
/// races several connections appends `&race=NUMBER` to all of them, and is served by whichever is connected first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectPath {
    /// The session.
    pub session: String,
    /// The ticket.
    pub ticket: String,
    /// Codecs that it decodes in 8 bits a sample.
    pub eight: CodecSet,
    /// And in 10.
    pub ten: CodecSet,
    /// The race that it takes part in.
    pub race: Option<u32>,
}

/// Why the path of a request is refused. What stands in it is not repeated: it holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// Longer than any that a client of ours sends.
    #[error("the path is too long")]
    Long,
    /// It is none of a session.
    #[error("the path is not /wt/SESSION?ticket=TICKET")]
    Other,
    /// A name that stands for no codec.
    #[error("the path names an unknown codec")]
    Codec,
}

impl ConnectPath {
    /// The path for a session and a ticket, both of which need no escapes.
    pub fn text(session: &str, ticket: &str) -> String {
        format!("/wt/{session}?ticket={ticket}")
    }

    /// Reads a path.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if path.len() > PATH_LIMIT {
            return Err(PathError::Long);
        }
        let rest = path.strip_prefix("/wt/").ok_or(PathError::Other)?;
        let (session, query) = rest.split_once('?').ok_or(PathError::Other)?;
        Self::with_query(session, query)
    }

    /// Reads the query of a path, where the session is known.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn with_query(session: &str, query: &str) -> Result<Self, PathError> {
        if query.len() > PATH_LIMIT {
            return Err(PathError::Long);
        }
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (mut ticket, mut eight, mut ten, mut race) = (None, None, None, None);
        for pair in query.split('&') {
            // A name that is there twice says two things; one that is unknown may come with a later version.
            let twice = match pair.split_once('=').ok_or(PathError::Other)? {
                ("ticket", text) => ticket.replace(text).is_some(),
                ("decodes", names) => eight.replace(codecs(names)?).is_some(),
                ("decodes10", names) => ten.replace(codecs(names)?).is_some(),
                ("race", text) => race.replace(number_of_race(text)?).is_some(),
                _ => false,
            };
            if twice {
                return Err(PathError::Other);
            }
        }
        let ticket = ticket.filter(|ticket| is_word(ticket) && is_word(session));
        Ok(Self {
            session: session.to_owned(),
            ticket: ticket.ok_or(PathError::Other)?.to_owned(),
            eight: eight.unwrap_or_else(|| CodecSet::of(&[Codec::H264])),
            ten: ten.unwrap_or_default(),
            race,
        })
    }
}

/// Digits alone: what is read says the same again.
fn number_of_race(text: &str) -> Result<u32, PathError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(PathError::Other)
}

/// A list of codecs with commas between; empty for none.
fn codecs(names: &str) -> Result<CodecSet, PathError> {
    let mut set = CodecSet::default();
    for name in names.split(',').filter(|_| !names.is_empty()) {
        let codec = Codec::ALL.into_iter().find(|codec| codec.rtp_name() == name);
        set.insert(codec.ok_or(PathError::Codec)?);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: UnitKind::Recovery,
            track: 2,
            codec: Codec::Vp9,
            wire_timestamp: 0x0102_0304,
            frame: FrameId(0x0506),
            refers_to: Some(FrameId(0x0504)),
            bytes: 0x0001_0203,
            color: [9, 16, 9],
            full_range: false,
            depth: BitDepth::Ten,
        }
    }

    #[test]
    fn a_header_has_the_bytes_that_the_page_reads() {
        let expected = [
            1, 2, 2, 3, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 5, 4, 0, 1, 2, 3, 9,
            16, 9, 2,
        ];
        assert_eq!(header().encode(), expected);
        let key = FrameHeader { kind: UnitKind::Key, refers_to: None, ..header() };
        assert_eq!(key.encode()[16..24], [255; 8]);
        assert_eq!(FrameHeader::decode(&key.encode()), Ok(key));
        // One that is sent while it is coded.
        let open = FrameHeader { bytes: 0, ..header() };
        assert_eq!(open.encode()[24..28], [0; 4]);
        assert_eq!(FrameHeader::decode(&open.encode()), Ok(open));
    }

    #[test]
    fn what_is_wrong_in_a_header_is_named() {
        let with = |at: usize, byte: u8| {
            let mut bytes = header().encode();
            bytes[at] = byte;
            FrameHeader::decode(&bytes)
        };
        assert_eq!(with(0, 2), Err(HeaderError::Version(2)));
        assert_eq!(with(1, 3), Err(HeaderError::Flags(3)));
        assert_eq!(with(3, 5), Err(HeaderError::Codec(5)));
        assert_eq!(with(31, 4), Err(HeaderError::Flags(4)));
    }

    #[test]
    fn datagrams_are_known_by_their_first_byte() {
        assert_eq!(datagram(&[2, 7]), Some((DataChannel::Motion, &[7][..])));
        assert_eq!(datagram(&[3]), Some((DataChannel::Acks, &[][..])));
        for unknown in [&[][..], &[0, 1], &[1, 1], &[PADDING, 0], &[255]] {
            assert_eq!(datagram(unknown), None, "{unknown:?}");
        }
        for channel in DataChannel::ALL {
            let back = datagram_byte(channel).and_then(|byte| datagram(&[byte]).map(|it| it.0));
            assert_eq!(back, channel.heals().then_some(channel));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_kept() {
        let mut control = Messages::new(StreamKind::Control);
        control.push(&[0, 1, 0, 0]);
        assert_eq!(control.pop(), Ok(None), "64 KiB may come");
        let mut control = Messages::new(StreamKind::Control);
        control.push(&[0, 1, 0, 1]);
        assert_eq!(control.pop(), Err(TooLong { bytes: 65_537, limit: CONTROL_LIMIT }));
        let mut input = Messages::new(StreamKind::Input);
        input.push(&[255, 255]);
        assert_eq!(input.pop(), Err(TooLong { bytes: 65_535, limit: INPUT_LIMIT }));
        let mut out = Vec::new();
        assert!(!Messages::write(StreamKind::Input, &[0; INPUT_LIMIT + 1], &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn a_path_says_session_ticket_and_codecs() {
        let text = ConnectPath::text("ab12", "cd34");
        let plain = ConnectPath::parse(&text).unwrap();
        assert_eq!((plain.session.as_str(), plain.ticket.as_str()), ("ab12", "cd34"));
        assert_eq!(plain.eight, CodecSet::of(&[Codec::H264]));
        assert_eq!((plain.ten, plain.race), (CodecSet::default(), None));
        let all = format!("{text}&decodes=VP8,AV1&decodes10=H265&later=1&race=4294967295");
        let all = ConnectPath::parse(&all).unwrap();
        assert_eq!(all.eight, CodecSet::of(&[Codec::Vp8, Codec::Av1]));
        assert_eq!((all.ten, all.race), (CodecSet::of(&[Codec::H265]), Some(u32::MAX)));
        assert_eq!(
            ConnectPath::parse(&format!("{text}&decodes=")).unwrap().eight,
            CodecSet::default()
        );
    }

    #[test]
    fn other_paths_are_refused() {
        for other in [
            "",
            "/",
            "/wt/",
            "/wt/a",
            "/wt/a?",
            "/wt/a?ticket",
            "/wt/a?ticket=",
            "/wt/?ticket=a",
            "/wt/a/b?ticket=c",
            "/wt/a?ticket=b&ticket=b",
            "/wt/a?decodes=H264",
            "/wt/a?ticket=%20",
            "wt/a?ticket=b",
            "/wt/a?ticket=b&decodes=VP8&decodes=VP8",
            "/wt/ä?ticket=b",
            "/wt/a?ticket=b&race=",
            "/wt/a?ticket=b&race=+1",
            "/wt/a?ticket=b&race=4294967296",
            "/wt/a?ticket=b&race=1&race=1",
        ] {
            assert_eq!(ConnectPath::parse(other), Err(PathError::Other), "{other}");
        }
        let unknown = "/wt/a?ticket=b&decodes=MJPEG";
        assert_eq!(ConnectPath::parse(unknown), Err(PathError::Codec));
        let long = format!("/wt/a?ticket={}", "b".repeat(PATH_LIMIT));
        assert_eq!(ConnectPath::parse(&long), Err(PathError::Long));
    }

    proptest! {
        #[test]
        fn any_header_is_an_error_or_says_the_same_again(bytes in proptest::array::uniform32(any::<u8>())) {
            if let Ok(header) = FrameHeader::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }

        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            cut in 1_usize..9,
            control in any::<bool>(),
        ) {
            let kind = if control { StreamKind::Control } else { StreamKind::Input };
            let mut stream = Vec::new();
            for message in &messages {
                prop_assert!(Messages::write(kind, message, &mut stream));
            }
            let (mut reader, mut read) = (Messages::new(kind), Vec::new());
            for piece in stream.chunks(cut) {
                reader.push(piece);
                while let Some(message) = reader.pop().unwrap() {
                    read.push(message.to_vec());
                }
            }
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn any_path_is_read_or_refused(path in ".{0,80}") {
            let _ = ConnectPath::parse(&path);
            let _ = ConnectPath::parse(&format!("/wt/a?ticket={path}"));
        }
    }
}
