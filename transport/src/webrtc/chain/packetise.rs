//! Cuts access units into RTP packets, numbers them and stamps header extensions.
//!
//! An access unit enters as one oversized RTP "packet" that holds the whole unit. Cutting it
//! here, inside the chain, costs the driver one turn of its loop a frame instead of one a packet,
//! and lets it hand a frame's packets to the kernel in one batch.
//!
//! The stack's own track writer is not used for extensions because it keeps the ids of the time
//! before negotiation; the ids that count come with [`bind`](Packetise::bind).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use media::{ColorDescription, Mark};
use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::rtp::packetizer::Payloader;

use super::payload::payloader;
use super::{Belt, Link};
use crate::webrtc::shared::Shared;
use crate::webrtc::track::Track;
use crate::webrtc::{COLOR_SPACE, PLAYOUT_DELAY};

/// Largest RTP payload. A datagram must stay within 1,200 bytes, which every path that carries
/// WebRTC passes; 12 go to the header, 16 to header extensions (three of 3, 2 and 4 bytes), 2 to the
/// original number in a retransmission (RFC 4588 §4) and 16 to the SRTP tag (RFC 7714 §12).
pub(in crate::webrtc) const MAX_PAYLOAD: usize = 1_200 - 12 - 16 - 2 - 16;

struct Stream {
    track: Arc<Track>,
    payload_type: u8,
    playout_delay: Option<u8>,
    color_space: Option<u8>,
    payloader: Box<dyn Payloader>,
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
        let timestamp = unit.header.timestamp;
        let track = stream.track.clone();
        track.mark(timestamp, Mark::Dequeued, self.shared.clock.now());
        let payloads = stream.payloader.payload(MAX_PAYLOAD, &unit.payload).unwrap_or_default();
        if payloads.is_empty() {
            // Nothing in it that a decoder needs; give its place back or the track stalls.
            track.cancel(timestamp);
            track.release();
            return;
        }
        let first = track.number(timestamp, payloads.len());
        let last = payloads.len() - 1;
        let color = track.color(timestamp);
        for (index, payload) in payloads.into_iter().enumerate() {
            let sequence = first.wrapping_add((index & 0xffff) as u16);
            let mut packet = stream.packet(sequence, timestamp, index == last, payload);
            if let Some((id, color)) = stream.color_space.zip(color).filter(|_| index == last) {
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
        marker: bool,
        payload: Bytes,
    ) -> rtp::Packet {
        let mut header = rtp::Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number,
            timestamp,
            ssrc: self.track.params.ssrc,
            ..Default::default()
        };
        if let Some(id) = self.playout_delay {
            // Minimum and maximum delay, 12 bits each, both 0: show frames as they come.
            let _ = header.set_extension(id, Bytes::from_static(&[0; 3]));
        }
        rtp::Packet { header, payload }
    }
}
