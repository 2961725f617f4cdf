//! Cuts access units into RTP packets, numbers them and stamps header extensions.
//!
//! An access unit enters as one oversized RTP "packet" that holds the whole unit. Cutting it
//! here, inside the chain, costs the driver one turn of its loop a frame instead of one a packet,
//! and lets it hand a frame's packets to the kernel in one batch. A unit that comes in parts enters as one such
//! "packet" for each: its packets are numbered on, and only the last one of the last part ends it.
//!
//! The stack's own track writer is not used for extensions because it keeps the ids of the time
//! before negotiation; the ids that count come with [`bind`](Packetise::bind).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use media::{ColorDescription, Mark, Part};
use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::rtp::packetizer::Payloader;

use super::descriptor::{self, descriptor};
use super::payload::payloader;
use super::protect;
use super::{Belt, Link};
use crate::webrtc::shared::Shared;
use crate::webrtc::track::{Numbers, Track};
use crate::webrtc::{COLOR_SPACE, DESCRIPTOR, PLAYOUT_DELAY};

/// Largest RTP payload. A datagram must stay within 1,200 bytes, which every path that carries
/// WebRTC passes; 12 go to the header, 20 to header extensions (4 for the block, and with a byte each
/// 3 of the delay, 2 of the transport-wide number and 8 of the descriptor at the most), 2 to the original
/// number in a retransmission (RFC 4588 §4) and 16 to the SRTP tag (RFC 7714 §12).
pub(in crate::webrtc) const MAX_PAYLOAD: usize =
    1_200 - 12 - (4 + 4 + 3 + 1 + descriptor::LONGEST) - 2 - 16;
/// What repair packets take of that: they have no original number, and their own header instead of that of
/// the packets that they protect.
const REPAIR_BYTES: usize = protect::OVERHEAD - 12 - 2;
/// What colours take of that, in a keyframe that has some.
const COLOR_BYTES: usize = 8;

struct Stream {
    track: Arc<Track>,
    payload_type: u8,
    playout_delay: Option<u8>,
    color_space: Option<u8>,
    descriptor: Option<u8>,
    payloader: Box<dyn Payloader>,
    /// The unit before could not be cut: one is told of at a time, however many follow it.
    cut_fails: bool,
    /// Bytes that its payloads are shorter for what repairs them.
    repair: usize,
}

/// See the module.
pub(in crate::webrtc) struct Packetise {
    shared: Arc<Shared>,
    streams: HashMap<u32, Stream>,
}

impl Packetise {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, streams: HashMap::new() }
    }

    /// A unit that cannot be cut. Each is of a picture that later ones refer to, so that the encoder
    /// must hear of it as of one that the network lost.
    fn lost(&mut self, ssrc: u32, timestamp: u32, bytes: usize, reason: &str) {
        let Some(stream) = self.streams.get_mut(&ssrc) else { return };
        let id = stream.track.params.id;
        let frame = stream.track.cancel(timestamp);
        // Its place is given back, or the track stalls.
        stream.track.release();
        match frame {
            Some(frame) => self.shared.events.frame_lost(id, frame),
            None => self.shared.events.keyframe_needed(id),
        }
        if !std::mem::replace(&mut stream.cut_fails, true) {
            let codec = stream.track.params.codec.rtp_name();
            tracing::warn!(?frame, codec, bytes, reason, "a unit cannot be cut into packets");
        }
    }
}

impl Link for Packetise {
    fn bind(&mut self, info: &StreamInfo) {
        let Some(track) = self.shared.track(info.ssrc).cloned() else { return };
        let number = |uri| {
            let extension = info.rtp_header_extensions.iter().find(|known| known.uri == uri)?;
            u8::try_from(extension.id).ok().filter(|id| (1..=14).contains(id))
        };
        let stream = Stream {
            payloader: payloader(track.params.codec),
            track,
            payload_type: info.payload_type,
            playout_delay: number(PLAYOUT_DELAY),
            color_space: number(COLOR_SPACE),
            descriptor: number(DESCRIPTOR),
            cut_fails: false,
            repair: info.ssrc_fec.zip(info.payload_type_fec).map_or(0, |_| REPAIR_BYTES),
        };
        self.streams.insert(info.ssrc, stream);
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        let Packet::Rtp(unit) = &message.message.packet else {
            out.push_back(message);
            return;
        };
        let Some(stream) = self.streams.get_mut(&unit.header.ssrc) else {
            out.push_back(message);
            return;
        };
        // No unit: it woke the driver for a probe, and has done its work.
        if unit.header.padding {
            return;
        }
        let timestamp = unit.header.timestamp;
        let part = Part { first: unit.header.sequence_number == 0, last: unit.header.marker };
        let track = stream.track.clone();
        if !part.is_whole() && !track.is_in_flight(timestamp) {
            // It was given up while this part was on its way.
            return;
        }
        track.mark(timestamp, Mark::Dequeued, self.shared.clock.now());
        let bytes = unit.payload.len();
        let color = track.color(timestamp).filter(|_| stream.color_space.is_some());
        let most = MAX_PAYLOAD - stream.repair - if color.is_some() { COLOR_BYTES } else { 0 };
        let payloads = match stream.payloader.payload(most, &unit.payload) {
            Ok(payloads) if !payloads.is_empty() => payloads,
            Ok(_) => return self.lost(unit.header.ssrc, timestamp, bytes, "nothing to send in it"),
            Err(error) => {
                return self.lost(unit.header.ssrc, timestamp, bytes, &error.to_string());
            }
        };
        stream.cut_fails = false;
        // Given up just now.
        let Some(numbers) = track.number(timestamp, payloads.len(), part) else { return };
        let count = payloads.len();
        for (index, payload) in payloads.into_iter().enumerate() {
            let sequence = numbers.first.wrapping_add((index & 0xffff) as u16);
            let (first, last) = (part.first && index == 0, part.last && index + 1 == count);
            let mut packet = stream.packet(sequence, timestamp, (first, last), payload);
            if let Some(id) = stream.descriptor {
                let Numbers { frame, needs, .. } = numbers;
                let descriptor = descriptor(frame, needs, first, last);
                let _ = packet.header.set_extension(id, descriptor);
            }
            if let Some((id, color)) = stream.color_space.zip(color).filter(|_| last) {
                let _ = packet.header.set_extension(id, color_space(color));
            }
            out.push_back(TaggedPacket {
                now: message.now,
                transport: message.transport,
                message: AttributedPacket::new(Packet::Rtp(packet)),
            });
        }
        track.mark(timestamp, Mark::Packetised, self.shared.clock.now());
    }
}

/// Colours as the extension has them: code points of ITU-T H.273, then limited (1) or full range (2) and
/// where chroma lies: on the left columns (1) and between the rows (2).
fn color_space(color: ColorDescription) -> Bytes {
    let ColorDescription { primaries, transfer, matrix, full_range } = color;
    let range = if full_range { 2 } else { 1 };
    let last = range << 4 | 1 << 2 | 2;
    Bytes::copy_from_slice(&[primaries as u8, transfer as u8, matrix as u8, last])
}

impl Stream {
    fn packet(
        &self,
        sequence_number: u16,
        timestamp: u32,
        (first, last): (bool, bool),
        payload: Bytes,
    ) -> rtp::Packet {
        let mut header = rtp::Header {
            version: 2,
            marker: last,
            payload_type: self.payload_type,
            sequence_number,
            timestamp,
            ssrc: self.track.params.ssrc,
            ..Default::default()
        };
        if let Some(id) = self.playout_delay.filter(|_| first) {
            // Minimum and maximum delay, 12 bits each, both 0: show frames as they come. libwebrtc takes a frame's from its
            // first packet (`RtpFrameObject`) and keeps it until there is another.
            let _ = header.set_extension(id, Bytes::from_static(&[0; 3]));
        }
        rtp::Packet { header, payload }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    use media::{AccessUnit, Codec, FrameId, MediaTime, TrackId, TransportEvent};

    use super::*;
    use crate::webrtc::testing;
    use crate::webrtc::track::UNITS;

    /// Hands a unit over as the sink does, and counts its packets.
    fn pass(link: &mut Packetise, frame: u64, data: &[u8]) -> usize {
        pass_part(link, frame, data, Part::WHOLE).len()
    }

    /// Hands a part over as the sink does; yields sequence number and marker of each packet.
    fn pass_part(link: &mut Packetise, frame: u64, data: &[u8], part: Part) -> Vec<(u16, bool)> {
        let track = link.shared.tracks[0].clone();
        let at = MediaTime::from_millis(frame * 16);
        let unit = AccessUnit { part, ..testing::unit(frame, at, data.len()) };
        let timestamp = if part.first {
            assert!(track.reserve(), "the place of a unit before was not given back");
            track.begin(&unit)
        } else {
            // That it was given up is for the packetiser to see.
            track.go_on(&unit).unwrap_or((frame * 16 * 90) as u32)
        };
        let mut message = testing::rtp_packet(testing::SSRC, 0, Instant::now());
        if let Packet::Rtp(packet) = &mut message.message.packet {
            packet.header.timestamp = timestamp;
            packet.header.marker = part.last;
            packet.header.sequence_number = u16::from(!part.first);
            packet.payload = Bytes::copy_from_slice(data);
        }
        let mut out = Belt::new();
        link.outbound(message, &mut out);
        let header = |message: TaggedPacket| match message.message.packet {
            Packet::Rtp(packet) => (packet.header.sequence_number, packet.header.marker),
            other => panic!("{other:?}"),
        };
        out.into_iter().map(header).collect()
    }

    #[test]
    fn parts_are_numbered_on_and_the_last_packet_of_the_last_ends_the_frame() {
        let shared = testing::shared(1);
        let mut link = Packetise::new(shared.clone());
        link.bind(&StreamInfo { ssrc: testing::SSRC, ..StreamInfo::default() });
        let slice = |bytes| [&[0, 0, 0, 1, 0x41][..], &vec![5; bytes][..]].concat();
        let part = |first, last| Part { first, last };
        let no = |numbers: std::ops::Range<u16>| numbers.map(|n| (n, false)).collect::<Vec<_>>();
        assert_eq!(pass_part(&mut link, 0, &slice(3_000), part(true, false)), no(0..3));
        assert_eq!(pass_part(&mut link, 0, &slice(10), part(false, false)), no(3..4));
        assert_eq!(pass_part(&mut link, 0, &slice(10), part(false, true)), [(4, true)]);
        // One of which a part cannot be cut: its place is given back once, and what is left of it goes nowhere.
        assert_eq!(pass_part(&mut link, 1, &slice(10), part(true, false)), no(5..6));
        assert_eq!(pass_part(&mut link, 1, &[], part(false, false)), []);
        assert_eq!(lost(&shared), Some((1, 1)));
        assert_eq!(pass_part(&mut link, 1, &slice(10), part(false, false)), []);
        assert_eq!(pass_part(&mut link, 1, &[], part(false, true)), []);
        assert_eq!(lost(&shared), None);
        assert_eq!(pass(&mut link, 2, &slice(10)), 1);
        assert!(!shared.tracks[0].has_room(), "two of three have their place");
    }

    fn lost(shared: &Shared) -> Option<(u64, u64)> {
        match shared.events.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(TransportEvent::FramesLost(TrackId(0), lost)) => {
                Some((lost.start().0, lost.end().0))
            }
            Poll::Ready(event) => panic!("{event:?}"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_wakes_the_driver_is_no_unit() {
        let shared = testing::shared(1);
        let mut link = Packetise::new(shared.clone());
        link.bind(&StreamInfo { ssrc: testing::SSRC, ..StreamInfo::default() });
        let mut message = testing::rtp_packet(testing::SSRC, 0, Instant::now());
        if let Packet::Rtp(packet) = &mut message.message.packet {
            packet.header.padding = true;
        }
        let mut out = Belt::new();
        link.outbound(message, &mut out);
        assert!(out.is_empty());
        assert_eq!(lost(&shared), None);
    }

    #[test]
    fn a_unit_that_cannot_be_cut_is_reported_as_lost() {
        let units: [(Codec, &[u8], &[u8]); 4] = [
            // Of H.264: empty, or a delimiter alone.
            (Codec::H264, &[], &[0, 0, 0, 1, 0x41, 5]),
            (Codec::H264, &[0, 0, 0, 1, 9, 0x10], &[0, 0, 0, 1, 0x41, 5]),
            // Without a start code.
            (Codec::H265, &[2, 1, 5, 5], &[0, 0, 0, 1, 2, 1, 5]),
            // An OBU of nine bytes, of which one is there.
            (Codec::Av1, &[0x32, 9, 0], &[0x32, 1, 0]),
        ];
        for (codec, broken, whole) in units {
            let shared = testing::shared_of(codec, 1);
            let mut link = Packetise::new(shared.clone());
            link.bind(&StreamInfo { ssrc: testing::SSRC, ..StreamInfo::default() });
            let wanted = format!("{codec:?} {broken:x?}");
            assert_eq!(pass(&mut link, 0, whole), 1, "{wanted}");
            shared.tracks[0].release();
            assert_eq!(lost(&shared), None, "{wanted}");
            // More of them than there are places for units.
            for frame in 1..=2 * UNITS as u64 {
                assert_eq!(pass(&mut link, frame, broken), 0, "{wanted}");
            }
            assert_eq!(lost(&shared), Some((1, 2 * UNITS as u64)), "{wanted}");
            assert_eq!(pass(&mut link, 9, whole), 1, "{wanted}");
            assert_eq!(lost(&shared), None, "{wanted}");
            assert_eq!(shared.tracks[0].cancel(u32::MAX), None);
            assert_eq!(shared.tracks[0].cancel(9 * 16 * 90), Some(FrameId(9)), "still in flight");
        }
    }
}
