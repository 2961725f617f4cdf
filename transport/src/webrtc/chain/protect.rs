//! Sends repair packets (FlexFEC, draft-ietf-payload-flexible-fec-scheme-03) before anybody asks, as many as
//! the path has lost lately: what they recover costs the client no round trip.
//!
//! Each media packet adds its share to a balance, and at the end of a frame whole units of it are spent on
//! repair for the packets since the time before. So frames of few packets share one that protects several of
//! them, and the cost is what was meant, whatever the size of frames. Nothing is spent on a path that loses
//! next to nothing, on one to a client that does not take repair packets, and where what is lost is quickly there again:
//! at 30 ms of round trip and 3 to 5 % of loss, repair cost 2 to 5 % of the rate, and frames came no sooner.
//!
//! Some is sent because of what the client does not say. Where one of its requests was lost ([`Unheard`]), the packets
//! that it was about lie between those that the requests before and after it were about. One repair packet for all in
//! between that nobody asked for, and one more a little later, bring back what one request misses: these were 3 of 4
//! of the longest freezes at 5 % of loss.
//!
//! A decoder may keep a repair packet of which two or more are missing, and knows them by 16 bits. Where it is still kept when
//! these come round again, it takes packets of now for those of then, and makes one up that then stands where the real one
//! belongs: the bench's client, whose decoder is the stack's, stood for three seconds half a minute after it joined at 20 Mbit/s and 1 % of
//! loss. Chromium forgets by itself what is that old (libwebrtc's `IsOldFecPacket`). For others one is numbered now and then
//! so that those before it are forgotten ([`Repairs::anew`]).
//!
//! It must sit next to the wire, behind the numbering: what a client recovers has to be what was sent. So
//! nothing paces or numbers what it sends; it counts the bytes instead.
//!
//! [`Unheard`]: crate::webrtc::unheard::Unheard

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::interceptor::{Attribute, AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp;
use rtc::shared::marshal::MarshalSize;

use super::flexfec::{self, MOST, Repairs};
use super::resend::asked_for;
use super::{Belt, Link};
use crate::webrtc::shared::Shared;
use crate::webrtc::track::{Fate, Track};

/// Bytes that a repair packet has more than the payload and the extensions that it protects: those of
/// its header and of its description.
pub(super) const OVERHEAD: usize = 12 + flexfec::DESCRIPTION;
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
/// Packets that are remembered: browsers remember 192 to repair others with.
const KEPT: usize = 4 * MOST;
/// Repair packets for one request that was lost, before they are repeated.
const FOR_ONE: usize = 3;
/// From one of them to its repetition.
const REPEATED_AFTER: Duration = Duration::from_millis(6);
/// Repetitions that wait.
const WAITING: usize = 16;
/// Packets after which the next step is taken to have the client forget repair packets: sixteen before numbers come again.
const FORGOTTEN_AFTER: u32 = 1 << 12;

/// See the module.
pub(in crate::webrtc) struct Protect {
    shared: Arc<Shared>,
    streams: HashMap<u32, Stream>,
}

struct Sent {
    packet: rtp::Packet,
    /// The client asked for it.
    asked: bool,
}

struct Stream {
    track: Arc<Track>,
    repairs: Repairs,
    /// By number, without gaps, oldest first.
    sent: VecDeque<Sent>,
    /// How many of the newest no repair packet protects yet.
    open: usize,
    /// Packets since the last such step.
    age: u32,
    /// Millionths of repair packets that may be sent.
    balance: u32,
    /// The newest packet that the client asked for.
    newest_asked: Option<u16>,
    /// Requests are missing, and which packets they were about is not known yet.
    unheard: bool,
    /// Numbers that are to be protected once more, and when.
    repeats: VecDeque<(Instant, Vec<u16>)>,
}

impl Protect {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, streams: HashMap::new() }
    }
}

impl Link for Protect {
    fn bind(&mut self, info: &StreamInfo) {
        let Some((ssrc, payload_type)) = info.ssrc_fec.zip(info.payload_type_fec) else { return };
        let Some(track) = self.shared.track(info.ssrc).cloned() else { return };
        let stream = Stream {
            track,
            repairs: Repairs::new(ssrc, payload_type),
            sent: VecDeque::with_capacity(KEPT),
            open: 0,
            age: 0,
            balance: 0,
            newest_asked: None,
            unheard: false,
            repeats: VecDeque::new(),
        };
        self.streams.insert(info.ssrc, stream);
    }

    fn inbound(&mut self, message: &TaggedPacket, out: &mut Belt) {
        let Packet::Rtcp(packets) = &message.message.packet else { return };
        for packet in packets {
            let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() else { continue };
            let Some(stream) = self.streams.get_mut(&nack.media_ssrc) else { continue };
            stream.unheard |= self.shared.unheard.before(nack.sender_ssrc, message.now);
            for packet in stream.asked(asked_for(nack), message.now) {
                send(packet, &self.shared, message.now, out);
            }
        }
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        let now = message.now;
        let mut repair = Vec::new();
        if let Packet::Rtp(packet) = &message.message.packet
            && !message.message.has(&Attribute::Retransmission)
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
        {
            let loss = self.shared.loss();
            if loss < WORTHWHILE {
                stream.forget();
            } else {
                repair = stream.add(packet, share(loss, self.shared.round_trip()));
            }
            repair.extend(stream.forgets(packet));
        }
        out.push_back(message);
        repair.into_iter().for_each(|packet| send(packet, &self.shared, now, out));
    }

    fn tick(&mut self, now: Instant, out: &mut Belt) {
        for stream in self.streams.values_mut() {
            while let Some((_, numbers)) = stream.repeats.pop_front_if(|(at, _)| *at <= now) {
                if let Some(packet) = stream.protect(&numbers) {
                    send(packet, &self.shared, now, out);
                }
            }
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.streams.values().filter_map(|stream| stream.repeats.front()).map(|(at, _)| *at).min()
    }
}

fn send(packet: rtp::Packet, shared: &Shared, now: Instant, out: &mut Belt) {
    shared.count_repair(packet.marshal_size());
    let message = AttributedPacket::new(Packet::Rtp(packet));
    out.push_back(TaggedPacket { now, transport: Default::default(), message });
}

impl Stream {
    fn forget(&mut self) {
        self.sent.clear();
        self.repeats.clear();
        (self.open, self.balance, self.unheard) = (0, 0, false);
    }

    fn add(&mut self, packet: &rtp::Packet, share: u32) -> Vec<rtp::Packet> {
        let next = self.sent.back().map(|last| last.packet.header.sequence_number.wrapping_add(1));
        if next.is_some_and(|next| next != packet.header.sequence_number) {
            self.forget();
        }
        if self.sent.len() == KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { packet: packet.clone(), asked: false });
        if share == 0 {
            (self.open, self.balance) = (0, 0);
            return Vec::new();
        }
        self.open += 1;
        self.balance += share;
        if !packet.header.marker && self.open < MOST {
            return Vec::new();
        }
        let count = (self.balance / WHOLE).min(self.open as u32);
        if count == 0 {
            // Shared with the next frame; where that has too many packets, it goes without.
            if self.open == MOST {
                self.open = 0;
            }
            return Vec::new();
        }
        self.balance -= count * WHOLE;
        let open = self.sent.range(self.sent.len().saturating_sub(self.open)..);
        let open: Vec<_> = open.map(|sent| &sent.packet).collect();
        self.open = 0;
        // Packets that are lost one after the other are protected by different ones.
        let count = count as usize;
        let every = |first| open.iter().skip(first).step_by(count).copied().collect::<Vec<_>>();
        (0..count).filter_map(|first| self.repairs.of(&every(first))).collect()
    }

    /// What makes the client forget repair packets, where it is time for that.
    fn forgets(&mut self, packet: &rtp::Packet) -> Option<rtp::Packet> {
        self.age += 1;
        if self.age < FORGOTTEN_AFTER {
            return None;
        }
        self.age = 0;
        self.repairs.anew(packet)
    }

    fn find(&mut self, sequence: u16) -> Option<&mut Sent> {
        let first = self.sent.front()?.packet.header.sequence_number;
        self.sent.get_mut(usize::from(sequence.wrapping_sub(first)))
    }

    /// The client asks for these; yields what protects those that it may have asked for in vain.
    fn asked(&mut self, sequences: impl Iterator<Item = u16>, now: Instant) -> Vec<rtp::Packet> {
        // One that is forgotten is no bound.
        let before = self.newest_asked.take().filter(|newest| self.find(*newest).is_some());
        self.newest_asked = before;
        for sequence in sequences {
            let Some(sent) = self.find(sequence) else { continue };
            sent.asked = true;
            let is_newer = |newest: u16| sequence.wrapping_sub(newest).cast_signed() > 0;
            if self.newest_asked.is_none_or(is_newer) {
                self.newest_asked = Some(sequence);
            }
        }
        let Some(newest) = self.newest_asked.filter(|newest| Some(*newest) != before) else {
            return Vec::new();
        };
        if !std::mem::take(&mut self.unheard) {
            return Vec::new();
        }
        let is_between = |sequence: u16| {
            newest.wrapping_sub(sequence).cast_signed() > 0
                && before.is_none_or(|before| sequence.wrapping_sub(before).cast_signed() > 0)
        };
        let suspects: Vec<_> = self
            .sent
            .iter()
            .filter(|sent| !sent.asked)
            .map(|sent| sent.packet.header.sequence_number)
            .filter(|sequence| is_between(*sequence))
            .filter(|sequence| matches!(self.track.fate(*sequence), Some(Fate::Needed(_))))
            .collect();
        let mut repair = Vec::new();
        for numbers in spans(&suspects).take(FOR_ONE) {
            repair.extend(self.protect(numbers));
            if self.repeats.len() < WAITING {
                self.repeats.push_back((now + REPEATED_AFTER, numbers.to_vec()));
            }
        }
        repair
    }

    fn protect(&mut self, numbers: &[u16]) -> Option<rtp::Packet> {
        let first = self.sent.front()?.packet.header.sequence_number;
        let at = |number: &u16| self.sent.get(usize::from(number.wrapping_sub(first)));
        let packets: Vec<_> = numbers.iter().filter_map(at).map(|sent| &sent.packet).collect();
        self.repairs.of(&packets)
    }
}

/// Numbers in order, cut where one repair packet does not reach.
fn spans(numbers: &[u16]) -> impl Iterator<Item = &[u16]> {
    let mut rest = numbers;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let reach = rest.partition_point(|n| usize::from(n.wrapping_sub(first)) < MOST);
        let (span, after) = rest.split_at(reach);
        rest = after;
        Some(span)
    })
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
    use media::MediaTime;
    use rtc::interceptor::FlexFec03Decoder;
    use rtc::rtcp::transport_feedbacks::transport_layer_nack::NackPair;

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

    /// Three frames of ten packets that a path which loses some is sent, without repair ahead.
    fn frames() -> (Protect, Arc<Shared>, Vec<rtp::Packet>) {
        let (mut link, shared) = bench(30);
        shared.set_round_trip(Duration::from_millis(30));
        for frame in 0..3 {
            let unit = testing::unit(frame, MediaTime::from_millis(frame * 16), 10);
            let timestamp = shared.tracks[0].begin(&unit);
            shared.tracks[0].number(timestamp, 10, unit.part).unwrap();
        }
        let sent = pass(&mut link, 3);
        assert_eq!(sent.len(), 30);
        (link, shared, sent)
    }

    /// The client's request for these packets, which comes after so many milliseconds as its report of this number;
    /// yields the repair packets for it.
    fn ask(
        link: &mut Protect,
        shared: &Shared,
        report: u8,
        sequences: &[u16],
        at: Instant,
    ) -> Vec<rtp::Packet> {
        shared.unheard.came(&[0x81, 205, 0, 3, 0, 0, 0, 1, 0x80, 0, 0, report], at);
        let pair = |sequence: &u16| NackPair { packet_id: *sequence, lost_packets: 0 };
        let nacks = sequences.iter().map(pair).collect();
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: SSRC, nacks };
        let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)]));
        let mut out = Belt::new();
        link.inbound(&TaggedPacket { now: at, transport: Default::default(), message }, &mut out);
        repair(out)
    }

    fn repair(out: Belt) -> Vec<rtp::Packet> {
        let packet = |message: TaggedPacket| match message.message.packet {
            Packet::Rtp(packet) => packet,
            _ => panic!("feedback"),
        };
        let packets: Vec<_> = out.into_iter().map(packet).collect();
        assert!(packets.iter().all(|packet| packet.header.ssrc == REPAIR));
        packets
    }

    #[test]
    fn what_a_lost_request_was_about_is_repaired_and_once_more() {
        let (mut link, shared, sent) = frames();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(ask(&mut link, &shared, 1, &[3], at(0)).is_empty());
        assert!(ask(&mut link, &shared, 2, &[5], at(1)).is_empty(), "none is missing");
        // The one about 9 is, and 12 was asked for again.
        let first = ask(&mut link, &shared, 4, &[12, 14], at(4));
        let mut out = Belt::new();
        link.tick(at(9), &mut out);
        assert!(out.is_empty());
        assert_eq!(link.next_tick(), Some(at(10)));
        link.tick(at(10), &mut out);
        let again = repair(out);
        for repairs in [&first, &again] {
            assert_eq!(repairs.len(), 1);
            let mut decoder = FlexFec03Decoder::new(REPAIR, SSRC);
            let lost = [3, 5, 9, 12, 14];
            for packet in sent.iter().filter(|it| !lost.contains(&it.header.sequence_number)) {
                assert!(decoder.decode(packet.clone()).is_empty());
            }
            assert_eq!(decoder.decode(repairs[0].clone()), [sent[9].clone()]);
        }
        assert_eq!(again[0].header.sequence_number, first[0].header.sequence_number + 1);
        assert_eq!(
            shared.take_repair(),
            [first, again].concat().iter().map(|it| it.marshal_size() as u64).sum::<u64>()
        );
        assert!(ask(&mut link, &shared, 5, &[20], at(11)).is_empty(), "it is told once");
    }

    #[test]
    fn a_lost_request_waits_for_the_next_about_later_packets_and_for_needed_ones_alone() {
        let (mut link, shared, _) = frames();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        ask(&mut link, &shared, 1, &[5], at(0));
        assert!(ask(&mut link, &shared, 3, &[4], at(2)).is_empty(), "an older packet says nothing");
        shared.tracks[0].decoded(16 * 90);
        let needed = ask(&mut link, &shared, 4, &[24], at(4));
        let bases: Vec<_> =
            needed.iter().map(|it| u16::from_be_bytes([it.payload[16], it.payload[17]])).collect();
        assert_eq!(bases, [20], "of the frame that was not decoded");
        shared.tracks[0].decoded(32 * 90);
        assert!(ask(&mut link, &shared, 6, &[29], at(6)).is_empty());
        // On a path that loses next to nothing nothing is remembered.
        let (mut link, shared) = bench(1);
        pass(&mut link, 3);
        ask(&mut link, &shared, 1, &[5], at(0));
        assert!(ask(&mut link, &shared, 3, &[9], at(1)).is_empty());
    }

    #[test]
    fn what_is_repaired_for_one_request_is_bounded() {
        let (mut link, shared) = bench(30);
        shared.set_round_trip(Duration::from_millis(30));
        let unit = testing::unit(0, MediaTime::ZERO, 10);
        let timestamp = shared.tracks[0].begin(&unit);
        shared.tracks[0].number(timestamp, 1_000, unit.part).unwrap();
        pass(&mut link, 100);
        assert_eq!(link.streams[&SSRC].sent.len(), KEPT);
        let now = Instant::now();
        ask(&mut link, &shared, 1, &[3], now);
        assert_eq!(ask(&mut link, &shared, 3, &[999], now).len(), FOR_ONE);
        assert_eq!(link.streams[&SSRC].repeats.len(), FOR_ONE);
    }

    /// The client asks for 5 and for 11, and in vain for 8, which it lacks as well as what it does not know of yet.
    #[test]
    fn numbers_that_come_again_are_not_taken_for_those_before() {
        for lost in [0..0, 0..5, 3..8, 10..15] {
            let (mut link, shared, sent) = frames();
            let start = Instant::now();
            let mut decoder = FlexFec03Decoder::new(REPAIR, SSRC);
            let missing = [3, 5, 7, 8, 11];
            for packet in sent.iter().filter(|it| !missing.contains(&it.header.sequence_number)) {
                assert!(decoder.decode(packet.clone()).is_empty());
            }
            assert!(ask(&mut link, &shared, 1, &[3, 5], start).is_empty());
            let repairs = ask(&mut link, &shared, 3, &[11], start);
            assert_eq!(repairs.len(), 1);
            assert!(decoder.decode(repairs[0].clone()).is_empty(), "two are missing");
            // Losses are few from then on, and so are repair packets.
            for _ in 0..200 {
                shared.note_loss(0, 1_000);
            }
            let mut out = Belt::new();
            let mut renewals = 0;
            // SRTP guesses what lies above 16 bits from the newest that came.
            let mut newest = repairs[0].header.sequence_number;
            for n in 30..=u32::from(u16::MAX) + 31 {
                link.outbound(message(n as u16, n % 10 == 9), &mut out);
                for message in out.drain(..) {
                    let Packet::Rtp(packet) = message.message.packet else { panic!("feedback") };
                    if packet.header.ssrc == REPAIR {
                        renewals += 1;
                        if lost.contains(&(renewals - 1)) {
                            continue;
                        }
                        let ahead = packet.header.sequence_number.wrapping_sub(newest);
                        assert!((1..0x8000).contains(&ahead), "{ahead}");
                        newest = packet.header.sequence_number;
                    }
                    assert_eq!(decoder.decode(packet), [], "{n}");
                }
            }
            assert_eq!(renewals, 16);
        }
        // Without them the decoder makes one up.
        let (mut link, shared, sent) = frames();
        let mut decoder = FlexFec03Decoder::new(REPAIR, SSRC);
        for packet in
            sent.iter().filter(|it| ![3, 5, 7, 8, 11].contains(&it.header.sequence_number))
        {
            decoder.decode(packet.clone());
        }
        ask(&mut link, &shared, 1, &[3, 5], Instant::now());
        let repairs = ask(&mut link, &shared, 3, &[11], Instant::now());
        decoder.decode(repairs[0].clone());
        let TaggedPacket { message, .. } = message(7, false);
        let Packet::Rtp(later) = message.packet else { panic!("feedback") };
        assert_eq!(decoder.decode(later).len(), 1);
    }

    #[test]
    fn where_nothing_was_repaired_nothing_is_to_be_forgotten() {
        let (mut link, _) = bench(0);
        let mut out = Belt::new();
        for n in 0..=2 * FORGOTTEN_AFTER {
            link.outbound(message(n as u16, n % 10 == 9), &mut out);
        }
        assert_eq!(out.len() as u32, 2 * FORGOTTEN_AFTER + 1);
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
