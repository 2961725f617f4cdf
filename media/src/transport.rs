//! The seam to the network: WebRTC today, WebTransport beside it.

use std::ops::RangeInclusive;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::{
    AccessUnit, AudioSink, Bitrate, Codec, FrameId, MediaTime, StageTimes, TrackId, VoicePacket,
};

/// A data channel, known to both sides by its number (negotiated out of band).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum DataChannel {
    /// Reliable, ordered: JSON in both directions.
    Control = 0,
    /// Reliable, ordered: input that must not be lost (keys, buttons, text).
    Input = 1,
    /// Unordered, no retransmission: pointer motion, which carries totals and so heals itself.
    Motion = 2,
    /// Unordered, no retransmission: what became of each frame ([`Acks`](crate::Acks)).
    Acks = 3,
}

impl DataChannel {
    /// All channels.
    pub const ALL: [Self; 4] = [Self::Control, Self::Input, Self::Motion, Self::Acks];

    /// Whether its messages heal themselves: it is unordered and resends none.
    pub const fn heals(self) -> bool {
        matches!(self, Self::Motion | Self::Acks)
    }

    /// The channel's label, the same on both sides.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Input => "input",
            Self::Motion => "motion",
            Self::Acks => "acks",
        }
    }
}

/// Where an encoder's thread puts units. Holds two at most; it refuses a third, and the encoder then
/// recovers (reference invalidation first, keyframe second).
///
/// Parts of one frame are one unit of these two, and leave as they come. A frame whose last part never comes is
/// lost, at the latest with the first part of another one.
pub trait UnitSink: Send {
    /// Whether a unit would be taken now. Asked before encoding: frames are dropped before the
    /// encoder, not after it.
    fn is_ready(&self) -> bool;

    /// Takes a unit, or a part of one, without blocking. Nothing more of a unit is to be sent of which a
    /// part was refused.
    ///
    /// # Errors
    /// See [`SendRefused`].
    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused>;
}

/// A connection to one client. Its methods never block.
pub trait Transport: Send {
    /// Where the units of a video track go. Each track has one sink; a later call replaces it.
    fn video_sink(&mut self, track: TrackId) -> Box<dyn UnitSink>;

    /// Where encoded sound goes; none where the client takes none. A later call replaces it.
    fn audio_sink(&mut self) -> Option<Box<dyn AudioSink>>;

    /// Sends a message on a data channel.
    ///
    /// # Errors
    /// See [`SendRefused`].
    fn send_data(&mut self, channel: DataChannel, message: Bytes) -> Result<(), SendRefused>;

    /// The rate that the pacer releases packets at.
    fn set_pacing(&mut self, rate: Bitrate);

    /// Sends padding so that, with everything else, it sends at `rate` for `length` from now on; a later call
    /// replaces an earlier one. Acknowledgements count padding like other packets.
    fn probe(&mut self, rate: Bitrate, length: Duration);

    /// The next event; `Pending` registers the waker. After [`TransportEvent::Closed`] always
    /// `Pending`.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent>;

    /// Messages of the client and reports that were dropped since it began: nobody read the events in time, the client sent
    /// too many of a kind, or such as say nothing.
    fn dropped_events(&self) -> u64;

    /// Says nothing more, and closes once the client has taken what was said before on reliable channels.
    /// [`TransportEvent::Closed`] follows. A client that takes nothing may hold it up for as long as it takes to be
    /// found gone; dropping the transport closes it at once.
    fn close(&mut self);
}

/// What a transport reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportEvent {
    /// Media can flow.
    Connected {
        /// The codec that was agreed on.
        codec: Codec,
    },
    /// A data channel is open.
    ChannelOpen(DataChannel),
    /// The path went silent; it may come back.
    Interrupted,
    /// The client cannot decode without a keyframe (PLI, FIR).
    KeyframeNeeded(TrackId),
    /// These frames will not arrive whole.
    FramesLost(TrackId, RangeInclusive<FrameId>),
    /// The last packet of a frame left, with all marks set.
    FrameSent {
        /// The track.
        track: TrackId,
        /// The frame.
        frame: FrameId,
        /// The RTP timestamp (or its like) that the client knows the frame by.
        wire_timestamp: u32,
        /// Bytes of all its packets.
        bytes: u64,
        /// Marks.
        stages: StageTimes,
    },
    /// How the path did.
    Path(PathReport),
    /// A message came in.
    Data(DataChannel, Bytes),
    /// A packet of the client's voice came, whether it may speak or not.
    Voice(VoicePacket),
    /// The connection is over.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by the server")]
    Local,
    /// The client closed it.
    #[error("closed by the client")]
    Remote,
    /// Consent to send ran out (RFC 7675).
    #[error("the client is unreachable")]
    Unreachable,
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// The client sent far more than it has a use for.
    #[error("a flood: {0}")]
    Flood(String),
}

/// Why something was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendRefused {
    /// The bounded queue is full.
    #[error("the send queue is full")]
    Full,
    /// The frame that it is a part of was given up.
    #[error("its frame was given up")]
    GivenUp,
    /// There is no connection, or the channel is not open.
    #[error("not connected")]
    NotConnected,
}

/// What acknowledgements tell about the path since the report before. The rate controller's food.
#[derive(Clone, Debug, PartialEq)]
pub struct PathReport {
    /// When the report was made.
    pub at: MediaTime,
    /// The time that the acknowledged packets were sent in.
    pub span: Duration,
    /// Bytes that arrived.
    pub acked_bytes: u64,
    /// Packets that arrived.
    pub acked_packets: u32,
    /// Packets that did not.
    pub lost_packets: u32,
    /// Bytes sent in the same time, retransmissions and repair included.
    pub sent_bytes: u64,
    /// Least one-way delay of the packets in this report, on an arbitrary but fixed offset, in
    /// microseconds: only differences mean something.
    pub one_way_delay_micros: i64,
    /// When the newest packet that arrived was sent: what was sent after it is on its way.
    pub newest_sent: MediaTime,
    /// One-way delay of that packet, on the same offset.
    pub newest_delay_micros: i64,
    /// Round trip, where it is known.
    pub round_trip: Option<Duration>,
    /// Packets that came with a congestion mark (RFC 3168).
    pub ecn_ce: u32,
    /// Frames that were whole at the client's end of the transport and not read by its program, on average since the
    /// report before, where the transport knows: a client without time has them, a slow path has not.
    pub unread_frames: Option<f64>,
}
