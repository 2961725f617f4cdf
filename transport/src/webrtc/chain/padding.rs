//! Sends padding where a probe asks for it: what was sent lately, once more, on the stream for retransmissions
//! (RFC 4588). A receiver drops what it has, but acknowledges it like any packet that is numbered transport-wide.
//!
//! Without such a stream nothing is sent: whoever probes sees that nothing arrived.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use rtc::interceptor::{Attribute, AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::shared::marshal::MarshalSize;

use super::{Belt, Link};
use crate::webrtc::shared::{Probe, Shared};

/// Packets that may be sent once more.
const RECENT: usize = 16;
/// Time between two looks while a probe runs: as fine as the driver's timers.
const LOOK: Duration = Duration::from_millis(1);
/// A late look makes up for at most this long: a probe must not end in a burst.
const LATEST: Duration = Duration::from_millis(8);

/// See the module.
pub(in crate::webrtc) struct Padding {
    shared: Arc<Shared>,
    /// SSRC and payload type of the stream for retransmissions, by the SSRC of the media.
    repairs: HashMap<u32, (u32, u8)>,
    /// The newest packets of media, whose stream has one for repair.
    recent: VecDeque<rtp::Packet>,
    /// The probe that runs, and when it was looked at last.
    running: Option<(Probe, Instant)>,
    /// Bytes of the probe that were not sent yet.
    owed: f64,
}

impl Padding {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            repairs: HashMap::new(),
            recent: VecDeque::with_capacity(RECENT),
            running: None,
            owed: 0.0,
        }
    }

    /// RFC 4588 §4: the original number, then the payload.
    fn copy(&mut self) -> Option<rtp::Packet> {
        let packet = self.recent.pop_front()?;
        self.recent.push_back(packet.clone());
        let (ssrc, payload_type) = *self.repairs.get(&packet.header.ssrc)?;
        let rtp::Packet { header, payload } = packet;
        let mut body = BytesMut::with_capacity(2 + payload.len());
        body.put_u16(header.sequence_number);
        body.put_slice(&payload);
        let header = rtp::Header {
            ssrc,
            payload_type,
            // With its marker: where the packet itself waits behind this, it is the copy that ends the frame.
            ..header
        };
        Some(rtp::Packet { header, payload: body.freeze() })
    }
}

impl Link for Padding {
    fn bind(&mut self, info: &StreamInfo) {
        if let Some((ssrc, payload_type)) = info.ssrc_rtx.zip(info.payload_type_rtx) {
            self.repairs.insert(info.ssrc, (ssrc, payload_type));
        }
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        if let Packet::Rtp(packet) = &message.message.packet {
            if self.running.is_some() {
                self.owed -= packet.marshal_size() as f64;
            }
            if self.repairs.contains_key(&packet.header.ssrc) {
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(packet.clone());
            }
        }
        out.push_back(message);
    }

    fn tick(&mut self, now: Instant, out: &mut Belt) {
        if let Some(probe) = self.shared.take_probe(now) {
            self.running = Some((probe, probe.begins));
            self.owed = 0.0;
        }
        let Some((probe, looked)) = self.running else { return };
        let passed = now.min(probe.ends).saturating_duration_since(looked).min(LATEST);
        let per_second = probe.rate.bps() as f64 / 8.0;
        // Media that was sent ahead of the rate is made up for; a pause before it is not.
        self.owed = self.owed.min(per_second * LATEST.as_secs_f64());
        self.owed += per_second * passed.as_secs_f64();
        self.running = (now < probe.ends).then_some((probe, now));
        while self.owed > 0.0
            && let Some(packet) = self.copy()
        {
            self.owed -= packet.marshal_size() as f64;
            let message =
                AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::Retransmission);
            out.push_back(TaggedPacket { now, transport: Default::default(), message });
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        let asked = self.shared.probe_begins();
        let looks = self.running.map(|(_, looked)| looked + LOOK);
        asked.into_iter().chain(looks).min()
    }
}

#[cfg(test)]
mod tests {
    use media::Bitrate;

    use super::*;
    use crate::webrtc::testing::{self, SSRC, rtp_packet};

    const REPAIR: u32 = SSRC + 1_000;

    fn link(repair: bool) -> (Padding, Arc<Shared>) {
        let shared = testing::shared(1);
        let mut link = Padding::new(shared.clone());
        link.bind(&StreamInfo {
            ssrc: SSRC,
            ssrc_rtx: repair.then_some(REPAIR),
            payload_type_rtx: repair.then_some(97),
            ..StreamInfo::default()
        });
        (link, shared)
    }

    fn packets(out: Belt) -> Vec<rtp::Packet> {
        out.into_iter()
            .map(|message| match message.message.packet {
                Packet::Rtp(packet) => packet,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Runs until nothing is due, with a packet of media or a retransmission after every so many looks.
    fn run(link: &mut Padding, start: Instant, every: Option<(usize, u32)>) -> Vec<rtp::Packet> {
        let (mut out, mut now, mut looks) = (Belt::new(), start, 0);
        while let Some(next) = link.next_tick() {
            assert!(next > now || looks == 0, "a deadline must advance");
            now = next;
            link.tick(now, &mut out);
            looks += 1;
            if let Some((every, ssrc)) = every
                && looks % every == 0
            {
                link.outbound(rtp_packet(ssrc, 9, now), &mut out);
            }
        }
        packets(out)
    }

    #[test]
    fn a_probe_fills_up_what_media_leaves_and_ends() {
        for (every, ssrc) in [(None, SSRC), (Some((5, SSRC)), SSRC), (Some((5, REPAIR)), REPAIR)] {
            let (mut link, shared) = link(true);
            let start = Instant::now();
            let mut out = Belt::new();
            link.outbound(rtp_packet(SSRC, 7, start), &mut out);
            assert_eq!(link.next_tick(), None);
            shared.set_probe(Bitrate::from_mbps(8), start, Duration::from_millis(70));
            let sent = run(&mut link, start, every);
            let bytes: usize = sent.iter().map(MarshalSize::marshal_size).sum();
            assert!(bytes.abs_diff(70_000) <= 2_100, "{bytes} bytes with {ssrc}");
            assert_eq!(link.next_tick(), None);
        }
    }

    #[test]
    fn padding_is_what_was_sent_with_its_number_before_it() {
        let (mut link, shared) = link(true);
        let start = Instant::now();
        link.outbound(rtp_packet(SSRC, 0x1234, start), &mut Belt::new());
        shared.set_probe(Bitrate::from_mbps(8), start, Duration::from_millis(3));
        for packet in run(&mut link, start, None) {
            assert_eq!(packet.header.payload_type, 97);
            assert_eq!(packet.payload[..2], [0x12, 0x34]);
            assert_eq!(packet.payload.len(), 1_002);
        }
    }

    #[test]
    fn without_a_stream_or_media_to_repeat_nothing_is_sent() {
        for repair in [false, true] {
            let (mut link, shared) = link(repair);
            let start = Instant::now();
            if !repair {
                link.outbound(rtp_packet(SSRC, 7, start), &mut Belt::new());
            }
            shared.set_probe(Bitrate::from_mbps(8), start, Duration::from_millis(70));
            assert!(run(&mut link, start, None).is_empty());
        }
    }

    #[test]
    fn a_driver_that_comes_late_sends_no_burst() {
        let (mut link, shared) = link(true);
        let start = Instant::now();
        link.outbound(rtp_packet(SSRC, 7, start), &mut Belt::new());
        shared.set_probe(Bitrate::from_mbps(8), start, Duration::from_millis(70));
        let mut out = Belt::new();
        link.tick(start + Duration::from_millis(60), &mut out);
        assert!(packets(out).len() <= 9, "8 ms at most");
    }
}
