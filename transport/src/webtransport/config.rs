//! How the endpoint and its connections behave.

use std::sync::Arc;
use std::time::Duration;

use media::{BitDepth, Bitrate, Codec, UnitKind};
use wtransport::quinn::{self, IdleTimeout, VarInt};

use super::admission::Windows;

/// Data of a client that waits to be read: a control message of the greatest length, with some room.
const RECEIVE_WINDOW: u32 = 128 * 1024;
/// Bytes of frames that QUIC keeps for sending and resending: two seconds of 20 Mbit/s.
const SEND_WINDOW: u64 = 5_000_000;
/// Streams that a client may have open: three of HTTP/3, one for input, and some that are about to close.
const STREAMS: u32 = 16;
/// Packets between two acknowledgements, and the longest that one waits: about what Chromium does unasked.
const ACK_EVERY: u32 = 10;
const ACK_WITHIN: Duration = Duration::from_millis(5);
/// More packets than are ever on their way.
const ANY_ORDER: u32 = 1 << 20;
/// A packet is lost when it is out for so many round trips and one that was sent later has come. At 1.125, which QUIC
/// proposes (RFC 9002 §6.1.2), 6 ms of disorder at 30 ms of round trip still counted as losses and cost most of the rate;
/// at 1.25, losses of chance froze the picture for a third longer.
const LATE: f32 = 1.18;
/// Datagrams that wait on either side, in bytes: a tenth of a second of motion at 1,000 a second.
const DATAGRAMS: usize = 16 * 1024;

/// Settings of a node's endpoint.
#[derive(Clone, Copy, Debug)]
pub struct EndpointConfig {
    /// Connections at once that are not accepted yet; more clients are refused until some are through.
    pub handshakes: usize,
    /// Connections of one address (IPv6: of one /64), handshakes included.
    pub per_address: u32,
    /// Time for a handshake with its request.
    pub handshake_timeout: Duration,
    /// Silence after which a client counts as gone.
    pub unreachable_after: Duration,
    /// Silence after which the path counts as interrupted.
    pub interrupted_after: Duration,
}

impl Default for EndpointConfig {
    /// 64 handshakes at once, 32 connections an address, 5 s for a handshake, interrupted after 3 s and gone
    /// after 10 s of silence.
    fn default() -> Self {
        Self {
            handshakes: 64,
            per_address: 32,
            handshake_timeout: Duration::from_secs(5),
            unreachable_after: Duration::from_secs(10),
            interrupted_after: Duration::from_secs(3),
        }
    }
}

impl EndpointConfig {
    /// What QUIC is told of one connection.
    pub(super) fn quic(&self, windows: Windows) -> quinn::TransportConfig {
        // An acknowledgement of every second packet costs a node as much as sending. A gap is told at once all the same.
        let mut acks = quinn::AckFrequencyConfig::default();
        acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY - 1))
            .max_ack_delay(Some(ACK_WITHIN));
        let mut quic = quinn::TransportConfig::default();
        // Longer than QUIC can say stands for never, and no configuration asks for that.
        quic.max_idle_timeout(IdleTimeout::try_from(self.unreachable_after).ok())
            // Three lost in a row are needed to take a path that is up for an interrupted one.
            .keep_alive_interval(Some(self.interrupted_after / 4))
            .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
            .receive_window(VarInt::from_u32(2 * RECEIVE_WINDOW))
            .send_window(SEND_WINDOW)
            // Streams of equal priority do not take turns: an older frame is worth more than a newer one.
            .send_fairness(false)
            .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
            .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .datagram_send_buffer_size(DATAGRAMS)
            // By time alone (as RFC 8985 has it for TCP). Three later packets that came are QUIC's other sign, and no sign
            // where packets overtake one another: most would count as lost, and be sent again. On paths that keep the
            // order a loss is noticed some milliseconds later.
            .packet_threshold(ANY_ORDER)
            .time_threshold(LATE)
            .ack_frequency_config(Some(acks))
            .congestion_controller_factory(Arc::new(windows));
        quic
    }
}

/// Settings of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionConfig {
    /// What video is sent as. Units of another codec are refused.
    pub codec: Codec,
    /// Bits of a sample of the pictures.
    pub depth: BitDepth,
    /// When a frame is given up.
    pub deadlines: Deadlines,
    /// The pace at the start; `None` holds nothing back until
    /// [`set_pacing`](media::Transport::set_pacing) is called.
    pub pacing: Option<Bitrate>,
}

/// How long a frame may stay without the client's acknowledgement once it was handed to QUIC. After that
/// it is given up, so that what comes after it is not held up by its retransmissions. A round trip comes
/// on top, and up to two more, but no more than 300 ms in all, where newer frames came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For keyframes: nothing can be shown without one, and giving it up costs another.
    pub key: Duration,
    /// For all others.
    pub other: Duration,
}

impl Deadlines {
    /// 2.5 times the interval between frames and at least `least`; ten times as long for keyframes.
    pub fn of_interval(interval: Duration, least: Duration) -> Self {
        let other = interval.mul_f64(2.5).max(least);
        Self { key: other * 10, other }
    }

    pub(super) const fn of(self, kind: UnitKind) -> Duration {
        match kind {
            UnitKind::Key => self.key,
            UnitKind::Delta | UnitKind::Recovery => self.other,
        }
    }
}
