//! Sends repair packets (FlexFEC, draft-ietf-payload-flexible-fec-scheme-03) before anybody asks, as many as
//! the path has lost lately: what they recover costs the client no round trip.
//!
//! Each media packet adds its share to a balance, and at the end of a frame whole units of it are spent on
//! repair for the packets since the time before. So frames of few packets share one that protects several of
//! them, and the cost is what was meant, whatever the size of frames. Nothing is spent on a path that loses
//! next to nothing, on one to a client that does not take repair packets, and where what is lost is quickly there again:
//! at 30 ms of round trip and 3 to 5 % of loss, repair cost 2 to 5 % of the rate, and frames came no sooner.
//!
//! It must sit next to the wire, behind the numbering: what a client recovers has to be what was sent. So
//! nothing paces or numbers what it sends; it counts the bytes instead.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rtc::interceptor::{
    Attribute, AttributedPacket, FlexFec03Encoder, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtp;
use rtc::shared::marshal::MarshalSize;

use super::{Belt, Link};
use crate::webrtc::shared::Shared;

/// Bytes that a repair packet has more than the payload and the extensions that it protects: those of
/// its header and of its description for up to [`MOST`] packets.
pub(super) const OVERHEAD: usize = 12 + 24;
/// Most packets that one repair packet protects; more take a larger mask.
const MOST: usize = 46;
/// Shares are counted in millionths.
const WHOLE: u32 = 1_000_000;
/// Lost packets below which asking for them is cheaper.
const WORTHWHILE: u32 = WHOLE / 200;
/// Repair packets for each packet that is likely to be lost: one alone is lost as often, and losses
/// come together.
const FACTOR: u32 = 2;
/// Most repair packets for each media packet.
const MOST_SHARE: u32 = WHOLE / 10;
/// Round trips up to which what is lost is sent again in time, and from which all the repair is of use: a frame is
/// waited for by 150 ms. Between them as much as the way from one to the other.
const QUICK: Duration = Duration::from_millis(60);
const SLOW: Duration = Duration::from_millis(120);

/// See the module.
pub(in crate::webrtc) struct Protect {
    shared: Arc<Shared>,
    streams: HashMap<u32, Stream>,
}

struct Stream {
    encoder: FlexFec03Encoder,
    /// Consecutive packets that no repair packet protects yet.
    block: Vec<rtp::Packet>,
    /// Millionths of repair packets that may be sent.
    balance: u32,
}

impl Protect {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, streams: HashMap::new() }
    }
}

impl Link for Protect {
    fn bind(&mut self, info: &StreamInfo) {
        let Some((ssrc, payload_type)) = info.ssrc_fec.zip(info.payload_type_fec) else { return };
        let encoder = FlexFec03Encoder::new(payload_type, ssrc);
        let stream = Stream { encoder, block: Vec::with_capacity(MOST), balance: 0 };
        self.streams.insert(info.ssrc, stream);
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        let (now, transport) = (message.now, message.transport);
        let mut repair = Vec::new();
        if let Packet::Rtp(packet) = &message.message.packet
            && !message.message.has(&Attribute::Retransmission)
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
        {
            repair = stream.add(packet, share(self.shared.loss(), self.shared.round_trip()));
        }
        out.push_back(message);
        for packet in repair {
            self.shared.count_repair(packet.marshal_size());
            let message = AttributedPacket::new(Packet::Rtp(packet));
            out.push_back(TaggedPacket { now, transport, message });
        }
    }
}

impl Stream {
    fn add(&mut self, packet: &rtp::Packet, share: u32) -> Vec<rtp::Packet> {
        if share == 0 {
            self.block.clear();
            self.balance = 0;
            return Vec::new();
        }
        let next = self.block.last().map(|last| last.header.sequence_number.wrapping_add(1));
        if next.is_some_and(|next| next != packet.header.sequence_number) {
            self.block.clear();
        }
        self.block.push(packet.clone());
        self.balance += share;
        if !packet.header.marker && self.block.len() < MOST {
            return Vec::new();
        }
        let count = (self.balance / WHOLE).min(self.block.len() as u32);
        if count == 0 {
            // Shared with the next frame; where that has too many packets, it goes without.
            if self.block.len() == MOST {
                self.block.clear();
            }
            return Vec::new();
        }
        self.balance -= count * WHOLE;
        let repair = self.encoder.encode(&self.block, count);
        self.block.clear();
        repair
    }
}

/// Millionths of repair packets for each media packet, where so many millionths of them are lost and a round trip takes
/// so long, as far as that is known.
fn share(loss: u32, round_trip: Option<Duration>) -> u32 {
    if loss < WORTHWHILE {
        return 0;
    }
    let slow = round_trip.map_or(1.0, |time| {
        time.saturating_sub(QUICK).as_secs_f64() / (SLOW - QUICK).as_secs_f64()
    });
    (f64::from((FACTOR * loss).min(MOST_SHARE)) * slow.min(1.0)) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rtc::interceptor::{FlexFec03Decoder, TaggedPacket};

    use super::*;
    use crate::webrtc::testing::{self, SSRC};

    const REPAIR: u32 = SSRC + 2_000;

    fn bench(loss: u32) -> (Protect, Arc<Shared>) {
        let shared = testing::shared(1);
        for _ in 0..200 {
            shared.note_loss(loss, 1_000);
        }
        let mut link = Protect::new(shared.clone());
        link.bind(&StreamInfo {
            ssrc: SSRC,
            ssrc_fec: Some(REPAIR),
            payload_type_fec: Some(118),
            ..StreamInfo::default()
        });
        (link, shared)
    }

    fn message(n: u16, marker: bool) -> TaggedPacket {
        let mut message = testing::rtp_packet(SSRC, n, Instant::now());
        if let Packet::Rtp(packet) = &mut message.message.packet {
            packet.header.marker = marker;
            packet.header.timestamp = 3_000 * u32::from(n / 10);
            packet.payload = vec![n as u8; 900 + usize::from(n % 100)].into();
        }
        message
    }

    /// Packets of frames of ten, with what is sent for them.
    fn pass(link: &mut Protect, frames: u16) -> Vec<rtp::Packet> {
        let mut out = Belt::new();
        (0..10 * frames).for_each(|n| link.outbound(message(n, n % 10 == 9), &mut out));
        let packet = |message: TaggedPacket| match message.message.packet {
            Packet::Rtp(packet) => packet,
            _ => panic!("feedback"),
        };
        out.into_iter().map(packet).collect()
    }

    #[test]
    fn it_costs_what_the_path_loses() {
        for (loss, expected) in [(0, 0), (4, 0), (10, 20), (30, 60), (300, 100)] {
            let (mut link, shared) = bench(loss);
            let sent = pass(&mut link, 100);
            let repair: Vec<_> =
                sent.iter().filter(|packet| packet.header.ssrc == REPAIR).collect();
            assert!(repair.len().abs_diff(expected) <= 2, "{} at {loss}", repair.len());
            let bytes: usize = repair.iter().map(|packet| packet.marshal_size()).sum();
            assert_eq!(shared.take_repair(), bytes as u64);
            assert!(repair.iter().all(|packet| packet.marshal_size() <= 999 + 12 + OVERHEAD));
        }
    }

    #[test]
    fn where_a_resend_is_quick_nothing_is_repaired_ahead() {
        let at = |millis| share(30_000, Some(Duration::from_millis(millis)));
        assert_eq!([30, 60, 90, 120, 500].map(at), [0, 0, 30_000, 60_000, 60_000]);
        let (mut link, shared) = bench(30);
        shared.set_round_trip(Duration::from_millis(40));
        assert_eq!(pass(&mut link, 100).len(), 1_000);
    }

    #[test]
    fn what_is_lost_comes_back_as_it_was_sent() {
        let (mut link, _) = bench(100);
        let sent = pass(&mut link, 30);
        let mut decoder = FlexFec03Decoder::new(REPAIR, SSRC);
        let lost = |packet: &rtp::Packet| {
            packet.header.ssrc == SSRC && packet.header.sequence_number % 10 == 4
        };
        let mut recovered = Vec::new();
        for packet in sent.iter().filter(|packet| !lost(packet)) {
            recovered.extend(decoder.decode(packet.clone()));
        }
        let expected: Vec<_> = sent.iter().filter(|packet| lost(packet)).collect();
        assert_eq!(recovered.len(), expected.len());
        assert!(recovered.iter().eq(expected));
    }

    #[test]
    fn retransmissions_and_streams_without_repair_pass_by() {
        let (mut link, _) = bench(100);
        link.bind(&StreamInfo { ssrc: SSRC + 1, ..StreamInfo::default() });
        let mut out = Belt::new();
        for n in 0..100 {
            let mut again = message(n, true);
            again.message.add(Attribute::Retransmission);
            link.outbound(again, &mut out);
            link.outbound(testing::rtp_packet(SSRC + 1, n, Instant::now()), &mut out);
        }
        assert_eq!(out.len(), 200);
    }
}
