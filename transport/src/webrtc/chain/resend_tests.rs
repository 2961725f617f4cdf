use std::task::{Context, Poll, Waker};

use media::{Acks, FrameAck, FrameState, MediaTime, TrackId, TransportEvent};
use rtc::interceptor::{RTCPFeedback, RTPHeaderExtension};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::NackPair;

use super::*;
use crate::webrtc::testing::{self, SSRC};

const RTX: u32 = SSRC + 1_000;

/// A chain of this link alone, with ten frames of three packets sent at the same time.
struct Bench {
    link: Resend,
    shared: Arc<Shared>,
    start: Instant,
    next: u16,
}

impl Bench {
    fn new(rtx: bool, numbered: bool) -> Self {
        let shared = testing::shared(1);
        let mut link = Resend::new(shared.clone());
        let extension = RTPHeaderExtension { uri: TRANSPORT_WIDE.to_owned(), id: 4 };
        link.bind(&StreamInfo {
            ssrc: SSRC,
            ssrc_rtx: rtx.then_some(RTX),
            payload_type_rtx: rtx.then_some(97),
            rtcp_feedback: vec![RTCPFeedback { typ: "nack".into(), ..Default::default() }],
            rtp_header_extensions: if numbered { vec![extension] } else { Vec::new() },
            ..StreamInfo::default()
        });
        let start = Instant::now();
        let mut bench = Self { link, shared, start, next: 0 };
        (0..10).for_each(|frame| drop(bench.frame(frame, frame.checked_sub(1), 0)));
        bench
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Sends a frame of three packets; yields what leaves.
    fn frame(&mut self, frame: u64, base: Option<u64>, millis: u64) -> Vec<rtp::Packet> {
        let track = self.shared.tracks[0].clone();
        let mut unit = testing::unit(frame, MediaTime::from_millis(frame * 16), 10);
        unit.refers_to = base.map(FrameId);
        let timestamp = track.begin(&unit);
        assert_eq!(track.number(timestamp, 3, unit.part).unwrap().first, self.next);
        let mut out = Belt::new();
        for n in 0..3 {
            let mut message = testing::rtp_packet(SSRC, self.next + n, self.at(millis));
            let Packet::Rtp(packet) = &mut message.message.packet else { unreachable!() };
            packet.header.timestamp = timestamp;
            packet.header.marker = n == 2;
            packet.header.set_extension(3, vec![n as u8; 3].into()).unwrap();
            self.link.outbound(message, &mut out);
        }
        self.next += 3;
        packets(out)
    }

    fn ask(&mut self, numbers: &[u16], millis: u64) -> Vec<rtp::Packet> {
        let pair = |number: &u16| NackPair { packet_id: *number, lost_packets: 0 };
        let nacks = numbers.iter().map(pair).collect();
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: SSRC, nacks };
        let message = TaggedPacket {
            now: self.at(millis),
            transport: Default::default(),
            message: AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)])),
        };
        let mut out = Belt::new();
        self.link.inbound(&message, &mut out);
        packets(out)
    }

    /// The client acknowledges a frame.
    fn decode(&self, frame: u64) {
        let ack = FrameAck {
            wire_timestamp: (frame * 16 * 90) as u32,
            state: FrameState::Decoded,
            first_us: 0,
            last_us: 0,
        };
        let mut message = Vec::new();
        Acks { decode_queue: None, frames: vec![ack] }.encode(&mut message);
        self.shared.acked(&message);
    }

    /// What leaves by itself until then.
    fn wait(&mut self, millis: u64) -> Vec<rtp::Packet> {
        let mut out = Belt::new();
        while let Some(next) = self.link.next_tick().filter(|next| *next <= self.at(millis)) {
            self.link.tick(next, &mut out);
        }
        packets(out)
    }

    fn lost(&self) -> Option<(u64, u64)> {
        match self.shared.events.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(TransportEvent::FramesLost(TrackId(0), lost)) => {
                Some((lost.start().0, lost.end().0))
            }
            Poll::Ready(event) => panic!("{event:?}"),
            Poll::Pending => None,
        }
    }
}

fn packets(out: Belt) -> Vec<rtp::Packet> {
    let packet = |message: TaggedPacket| match message.message.packet {
        Packet::Rtp(packet) => packet,
        _ => panic!("feedback of its own"),
    };
    out.into_iter().map(packet).collect()
}

/// Original numbers of retransmissions, and whether they are whole.
fn resent(packets: &[rtp::Packet]) -> Vec<(u16, bool)> {
    let read = |packet: &rtp::Packet| {
        assert_eq!((packet.header.ssrc, packet.header.payload_type), (RTX, 97));
        let number = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
        (number, packet.payload.len() == 2 + 1_000)
    };
    packets.iter().map(read).collect()
}

#[test]
fn a_retransmission_has_the_extensions_and_the_number_of_its_packet() {
    let mut bench = Bench::new(true, true);
    let sent = bench.ask(&[4, 29, 30], 40);
    assert_eq!(resent(&sent), [(4, true), (29, true)], "30 was never sent");
    assert_eq!(sent[0].header.get_extension(3).as_deref(), Some(&[1; 3][..]));
    assert_eq!((sent[0].header.marker, sent[1].header.marker), (false, true));
    assert_eq!((sent[0].header.timestamp, sent[0].header.version), (16 * 90, 2));
    assert_eq!(bench.lost(), None);
}

#[test]
fn each_is_sent_twice_a_round_trip_and_no_more() {
    let mut bench = Bench::new(true, true);
    bench.shared.set_round_trip(Duration::from_millis(30));
    assert_eq!(resent(&bench.ask(&[4, 4], 10)), [(4, true)]);
    assert!(bench.wait(21).is_empty());
    assert_eq!(resent(&bench.wait(30)), [(4, true)]);
    assert!(bench.ask(&[4], 39).is_empty());
    assert_eq!(resent(&bench.ask(&[4], 41)), [(4, true)]);
    // What came after all is not copied.
    bench.decode(1);
    assert!(bench.wait(60).is_empty());
    // Nor is it acknowledged a round trip later.
    assert_eq!(resent(&bench.ask(&[7], 62)), [(7, true)]);
    assert_eq!(resent(&bench.wait(113)), [(7, true)]);
    assert_eq!(resent(&bench.wait(114)), [(7, true)]);
    assert!(bench.wait(149).is_empty());
    // Asked for beyond the deadline of 150 ms.
    assert_eq!(resent(&bench.ask(&[7], 150)), [(7, true)]);
    assert!(bench.ask(&[10], 151).is_empty());
    assert_eq!(bench.lost(), Some((3, 3)));
}

#[test]
fn what_waits_for_the_frame_before_it_is_not_taken_for_lost_again() {
    let mut bench = Bench::new(true, true);
    bench.shared.set_round_trip(Duration::from_millis(30));
    bench.decode(1);
    assert_eq!(resent(&bench.ask(&[7, 10], 20)), [(7, true), (10, true)]);
    assert_eq!(resent(&bench.wait(32)), [(7, true), (10, true)]);
    assert_eq!(resent(&bench.wait(76)), [(7, true)], "the frame after it may have come");
    bench.decode(2);
    assert_eq!(resent(&bench.wait(78)), [(10, true)]);
    assert!(bench.wait(200).is_empty());
}

#[test]
fn the_acknowledgement_of_a_frame_is_waited_for_from_when_its_last_packet_was_sent_again() {
    let mut bench = Bench::new(true, true);
    bench.shared.set_round_trip(Duration::from_millis(30));
    bench.decode(1);
    assert_eq!(resent(&bench.ask(&[6], 20)), [(6, true)]);
    assert_eq!(resent(&bench.ask(&[8], 30)), [(8, true)]);
    assert_eq!(resent(&bench.wait(42)), [(6, true), (8, true)]);
    assert!(bench.wait(81).is_empty(), "the copies may have come");
    assert_eq!(resent(&bench.wait(82)), [(8, true), (6, true)]);
    // One that did come is acknowledged by then.
    assert_eq!(resent(&bench.ask(&[9], 83)), [(9, true)]);
    assert_eq!(resent(&bench.ask(&[11], 98)), [(11, true)]);
    assert_eq!(resent(&bench.wait(140)), [(9, true), (11, true)]);
    bench.decode(3);
    assert!(bench.wait(300).is_empty());
}

#[test]
fn where_packets_overtake_one_another_a_request_waits_for_what_is_late() {
    let mut bench = Bench::new(true, true);
    bench.shared.note_reordering(Duration::from_millis(8));
    // Each has one more packet of three behind it, in a frame of 16 ms.
    assert!(bench.ask(&[4, 7], 30).is_empty());
    assert!(bench.wait(49).is_empty());
    bench.decode(1);
    assert_eq!(resent(&bench.wait(50)), [(7, true)]);
    assert_eq!(resent(&bench.wait(62)), [(7, true)]);
    // The last one of a frame has only been late.
    assert!(bench.ask(&[14], 62).is_empty());
    assert_eq!(resent(&bench.wait(76)), [(14, true)]);
    bench.wait(88);
    // It is forgotten when it is seen no more.
    (0..60).for_each(|_| bench.shared.note_reordering(Duration::ZERO));
    assert_eq!(resent(&bench.ask(&[10], 89)), [(10, true)]);
}

#[test]
fn what_feedback_tells_as_lost_is_sent_again_unless_it_was() {
    let mut bench = Bench::new(true, true);
    let tell = |bench: &mut Bench, missed: &[u16], millis: u64| {
        missed.iter().for_each(|sequence| bench.shared.tracks[0].missed(*sequence));
        let feedback: Box<dyn rtc::rtcp::Packet> = Box::new(TransportLayerCc::default());
        let message = AttributedPacket::new(Packet::Rtcp(vec![feedback]));
        let (now, transport) = (bench.at(millis), Default::default());
        let mut out = Belt::new();
        bench.link.inbound(&TaggedPacket { now, transport, message }, &mut out);
        resent(&packets(out))
    };
    assert_eq!(resent(&bench.ask(&[4], 30)), [(4, true)]);
    bench.wait(60);
    assert_eq!(tell(&mut bench, &[4, 7, 7, 40], 61), [(7, true)], "40 was never sent");
    assert_eq!(resent(&bench.wait(80)), [(7, true)]);
    assert!(tell(&mut bench, &[], 81).is_empty());
    // Beyond the deadline it is for a client that acknowledges nothing to say that it still lacks it.
    assert!(tell(&mut bench, &[10], 151).is_empty());
    assert!(bench.wait(200).is_empty());
    assert_eq!(bench.lost(), None);
    // Of another one it is given up, unless its frame comes to be acknowledged, or it was sent again.
    bench.decode(2);
    assert!(tell(&mut bench, &[10, 13], 201).is_empty());
    bench.decode(4);
    assert!(bench.wait(213).is_empty());
    assert_eq!(bench.lost(), None);
    assert!(tell(&mut bench, &[16, 19, 22], 214).is_empty());
    assert!(bench.wait(225).is_empty());
    assert_eq!(bench.lost(), None, "not yet");
    assert!(bench.wait(226).is_empty());
    assert_eq!(bench.lost(), Some((5, 5)));
    assert!(tell(&mut bench, &[22], 240).is_empty() && bench.wait(300).is_empty());
    assert_eq!(bench.lost(), None, "all that needs it was given up with it");
}

#[test]
fn whoever_is_far_away_gets_a_packet_once() {
    let mut bench = Bench::new(true, true);
    for (round_trip, last) in [(60, 180), (100, 300), (200, 300), (400, 600)] {
        bench.shared.set_round_trip(Duration::from_millis(round_trip));
        let deadline = deadline(&bench.shared);
        assert_eq!(deadline, Duration::from_millis(last), "{round_trip}");
    }
    assert_eq!(resent(&bench.ask(&[4], 600)), [(4, true)]);
    bench.ask(&[7], 601);
    assert_eq!(bench.lost(), Some((2, 2)));
}

#[test]
fn what_is_given_up_is_told_once_and_is_empty_once_a_frame_does_without() {
    let mut bench = Bench::new(true, true);
    assert_eq!(resent(&bench.ask(&[26], 100)), [(26, true)]);
    bench.wait(112);
    assert!(bench.ask(&[15, 18, 19], 200).is_empty());
    assert_eq!(bench.lost(), Some((5, 5)));
    // What depends on it is lost with it.
    assert!(bench.ask(&[19, 26], 210).is_empty());
    assert_eq!(bench.lost(), None);
    // Coded before the encoder knew.
    assert_eq!(bench.frame(10, Some(9), 215).len(), 3);
    assert!(bench.ask(&[31], 220).is_empty());
    // Before its own packets it tells that all of these are empty, and where to look last.
    let sent = bench.frame(11, Some(4), 230);
    let empty = [26, 15, 18, 19, 31, 32].map(|number| (number, false));
    assert_eq!(resent(&sent[..6]), empty);
    assert!(sent[6..].iter().all(|packet| packet.header.ssrc == SSRC));
    assert!(sent[0].header.extensions.is_empty() && !sent[0].header.marker);
    assert_eq!(resent(&bench.wait(300)), empty, "and once more");
    // What is asked for later is told at once.
    assert_eq!(resent(&bench.ask(&[24, 33], 310)), [(24, false), (33, true), (32, false)]);
    assert!(bench.frame(12, Some(11), 320).len() == 3, "nothing is told anew");
    assert_eq!(bench.lost(), None);
}

#[test]
fn a_request_that_crosses_the_acknowledgement_of_its_frame_is_none() {
    let mut bench = Bench::new(true, true);
    bench.decode(5);
    assert!(bench.ask(&[10], 400).is_empty());
    assert_eq!(bench.lost(), None);
    // The other way round, what was told is taken back, and the next loss is one again.
    bench.ask(&[19], 410);
    assert_eq!(bench.lost(), Some((6, 6)));
    bench.decode(7);
    bench.ask(&[24], 420);
    assert_eq!(bench.lost(), Some((8, 8)));
    bench.shared.acked(b"no message");
}

#[test]
fn a_packet_is_not_sealed_twice_under_one_number() {
    let mut plain = Bench::new(false, false);
    let again = plain.ask(&[4], 10);
    assert_eq!((again.len(), again[0].header.ssrc, again[0].header.sequence_number), (1, SSRC, 4));
    assert_eq!(again[0].payload.len(), 1_000);
    assert!(plain.wait(100).is_empty());
    let mut numbered = Bench::new(false, true);
    assert!(numbered.ask(&[4], 10).is_empty());
    assert_eq!(numbered.lost(), Some((1, 1)));
}

#[test]
fn a_flood_of_requests_is_bounded() {
    let mut bench = Bench::new(true, true);
    (10..2_010).for_each(|frame| drop(bench.frame(frame, Some(frame - 1), 1)));
    let all: Vec<u16> = (0..bench.next).collect();
    // Of those that the track remembers.
    assert_eq!(bench.ask(&all, 2).len(), 3 * 1_024);
    assert!(bench.ask(&all, 3).is_empty());
    let stream = &bench.link.streams[&SSRC];
    assert_eq!((stream.kept.len(), stream.asked.len()), (KEPT, ASKED));
    assert_eq!(stream.due.len(), DUE);
}
