//! Sound to the client: one track of Opus (RFC 7587), beside the tracks of video.
//!
//! A packet goes straight into the driver's queue and past the pacer: it is small, and late it is worth
//! nothing. Nothing is sent again; what is lost is in the packet after it: coarsely, where the encoder was told of
//! losses, or as it was (RFC 2198), for clients that ask for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use media::audio::SAMPLE_RATE;
use media::webtransport::MOST_EARLIER;
use media::{AudioPacket, AudioSink, Layout, MediaTime, SendRefused};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::red;
use super::shared::Shared;
use crate::sound::{MOST_BYTES, repeats};

/// What an answer says of Opus (RFC 7587 §6.1): that it comes in stereo, with error correction and without
/// silence.
pub(super) const FORMAT: &str = "minptime=10;useinbandfec=1;usedtx=1;stereo=1;sprop-stereo=1";
/// The same where a voice may come: one channel of that, of so many bits a second, without silence and with error
/// correction, too.
const BOTH_WAYS: &str =
    "minptime=10;useinbandfec=1;usedtx=1;stereo=0;sprop-stereo=1;maxaveragebitrate=32000";
const VOICE: &str = "minptime=10;useinbandfec=1;usedtx=1;stereo=0;maxaveragebitrate=32000";

/// What an answer says of Opus that this side sends, takes, or both; nothing where it does neither.
pub(super) const fn format(sends: bool, takes: bool) -> Option<&'static str> {
    match (sends, takes) {
        (true, false) => Some(FORMAT),
        (true, true) => Some(BOTH_WAYS),
        (false, true) => Some(VOICE),
        (false, false) => None,
    }
}

/// The stream of a connection's sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoundStream {
    pub(super) ssrc: u32,
    /// Start of the clock: see [`offset_beside`].
    pub(super) timestamp_offset: u32,
    pub(super) first_sequence: u16,
}

impl SoundStream {
    /// The RTP timestamp of what is captured at `at`.
    pub(super) fn timestamp(&self, at: MediaTime) -> u32 {
        at.rtp_ticks(SAMPLE_RATE).wrapping_add(self.timestamp_offset)
    }

    /// The track as the stack has it.
    pub(super) fn track(&self) -> MediaStreamTrack {
        let coding = RTCRtpCodingParameters { ssrc: Some(self.ssrc), ..Default::default() };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: coding,
            codec: codec(),
            ..Default::default()
        };
        // In a stream of its own, or a client would delay the picture until its sound is there.
        let name = |end: &str| format!("sound{end}");
        let (stream, track, label) = (name(""), name("-track"), name(""));
        MediaStreamTrack::new(stream, track, label, RtpCodecKind::Audio, vec![encoding])
    }
}

/// Where a clock of 48 kHz begins that began together with one of 90 kHz that begins at `pictures`, which is
/// random (RFC 3550 §5.1).
pub(super) fn offset_beside(pictures: u32) -> u32 {
    // Less than the other: it fits.
    (u64::from(pictures) * u64::from(SAMPLE_RATE) / 90_000) as u32
}

/// Opus for the stack.
pub(super) fn codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".to_owned(),
        clock_rate: SAMPLE_RATE,
        // RFC 7587 §7: always.
        channels: 2,
        sdp_fmtp_line: FORMAT.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// Packets of Opus, each with others before it, for the stack.
pub(super) fn repeating(opus: u8) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/red".to_owned(),
        sdp_fmtp_line: format!("{opus}/{opus}"),
        ..codec()
    }
}

/// The payload types of a connection's sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formats {
    pub(super) opus: u8,
    /// Of packets with others before them, where the client wants those.
    pub(super) red: Option<u8>,
}

/// What sends a connection's sound.
pub(super) struct SoundOutlet {
    pub(super) shared: Arc<Shared>,
    pub(super) stream: SoundStream,
    pub(super) writer: Arc<TrackLocalStaticRTP>,
    formats: Formats,
    sequence: AtomicU16,
    /// Number of the sink that may send.
    turn: AtomicU64,
}

impl SoundOutlet {
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: SoundStream,
        writer: Arc<TrackLocalStaticRTP>,
        formats: Formats,
    ) -> Self {
        let sequence = AtomicU16::new(stream.first_sequence);
        Self { shared, stream, writer, formats, sequence, turn: AtomicU64::new(0) }
    }
}

/// Where a session puts its sound.
pub(super) struct SoundSink {
    outlet: Arc<SoundOutlet>,
    turn: u64,
    /// When the packet before ended.
    ended: Option<MediaTime>,
    /// Those that were sent before, the newest first.
    earlier: Vec<Sent>,
}

struct Sent {
    at: MediaTime,
    layout: Layout,
    packet: Bytes,
}

impl SoundSink {
    /// A sink for `outlet`; those made before it refuse from now on.
    pub(super) fn new(outlet: Arc<SoundOutlet>) -> Self {
        let turn = outlet.turn.fetch_add(1, Ordering::AcqRel) + 1;
        Self { outlet, turn, ended: None, earlier: Vec::new() }
    }

    /// The payload and its type: the packet, and as many before it as the path's losses make worthwhile.
    fn payload(&self, packet: &AudioPacket) -> (u8, Bytes) {
        let Formats { opus, red } = self.outlet.formats;
        let Some(number) = red else { return (opus, packet.data.clone()) };
        let count = repeats(f64::from(self.outlet.shared.loss()) / 1e6);
        let earlier = self
            .earlier
            .iter()
            .take(count)
            .take_while(|sent| sent.layout == packet.layout)
            .map(|sent| (packet.captured_at.since(sent.at), &sent.packet[..]));
        let is_wide = packet.layout != Layout::Stereo;
        let inner = red::type_of(packet.layout, opus);
        match red::encode(inner, &packet.data, earlier, MOST_BYTES, is_wide) {
            Some(payload) => (number, payload),
            None => (opus, packet.data.clone()),
        }
    }
}

impl AudioSink for SoundSink {
    fn wants_fec(&self) -> bool {
        self.outlet.formats.red.is_none()
    }

    fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused> {
        let outlet = &self.outlet;
        if !outlet.shared.is_live() || outlet.turn.load(Ordering::Acquire) != self.turn {
            return Err(SendRefused::NotConnected);
        }
        let follows = self.ended == Some(packet.captured_at);
        self.ended = Some(packet.captured_at + packet.duration);
        let (payload_type, payload) = self.payload(packet);
        let header = rtp::Header {
            version: 2,
            // RFC 3551 §4.1: the first packet after a silence.
            marker: !follows,
            payload_type,
            // A number without its packet would be taken for a loss.
            sequence_number: outlet.sequence.load(Ordering::Acquire),
            timestamp: outlet.stream.timestamp(packet.captured_at),
            ssrc: outlet.stream.ssrc,
            ..Default::default()
        };
        match outlet.writer.write_rtp(rtp::Packet { header, payload }).now_or_never() {
            Some(Ok(())) => {
                outlet.sequence.fetch_add(1, Ordering::AcqRel);
                self.earlier.truncate(MOST_EARLIER - 1);
                let AudioPacket { captured_at: at, layout, ref data, .. } = *packet;
                self.earlier.insert(0, Sent { at, layout, packet: data.clone() });
                Ok(())
            }
            Some(Err(_)) => Err(SendRefused::NotConnected),
            // The driver's queue is full, or was just being looked at.
            None => Err(SendRefused::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::TrackId;

    use super::*;
    use crate::webrtc::testing;

    fn sink(red: Option<u8>) -> SoundSink {
        let stream = SoundStream { ssrc: 7, timestamp_offset: 0, first_sequence: 0 };
        let writer = Arc::new(TrackLocalStaticRTP::new(stream.track()));
        let formats = Formats { opus: 111, red };
        let outlet = SoundOutlet::new(testing::shared(1), stream, writer, formats);
        let mut sink = SoundSink::new(Arc::new(outlet));
        let sent = |millis, byte| Sent {
            at: MediaTime::from_millis(millis),
            layout: Layout::Stereo,
            packet: Bytes::from(vec![byte]),
        };
        sink.earlier = vec![sent(90, 9), sent(80, 8)];
        sink
    }

    #[test]
    fn packets_say_of_those_before_them_what_the_paths_losses_make_worthwhile() {
        let packet = AudioPacket {
            track: TrackId(0),
            captured_at: MediaTime::from_millis(100),
            duration: Duration::from_millis(10),
            layout: Layout::Stereo,
            data: Bytes::from_static(&[10]),
        };
        let plain = (111, Bytes::from_static(&[10]));
        let sink_that_repeats = sink(Some(63));
        assert!(!sink_that_repeats.wants_fec());
        assert_eq!(sink_that_repeats.payload(&packet), plain);
        let shared = &sink_that_repeats.outlet.shared;
        shared.note_loss(10, 500);
        let (number, payload) = sink_that_repeats.payload(&packet);
        assert_eq!((number, payload[4..].to_vec()), (63, vec![0x6f, 9, 10]));
        shared.note_loss(200, 500);
        assert_eq!(sink_that_repeats.payload(&packet).1[8..], [0x6f, 8, 9, 10]);
        // Nothing of another layout is repeated, and what has more channels says so.
        let wide = AudioPacket { layout: Layout::Surround51, ..packet.clone() };
        assert_eq!(sink_that_repeats.payload(&wide), (63, Bytes::from_static(&[6, 10])));
        let other = sink(None);
        assert!(other.wants_fec());
        other.outlet.shared.note_loss(200, 500);
        assert_eq!(other.payload(&packet), plain);
    }
}
