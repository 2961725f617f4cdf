//! What was sent and when, until the client says what arrived (transport-wide feedback,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! The stock history has no bound but time, and looks at all that it keeps whenever a timer fires: without
//! feedback that are the packets of two seconds, a thousand times a second. Here numbers follow each other, so that
//! a packet is found by its distance from the oldest one, and what is too old is at the front.
//!
//! Feedback is lost as other packets are, and then nothing is said of some 60 ms of packets: the feedbacks' own
//! numbers tell. Those are no losses of the way there, on which nearly all of them came.
//!
//! Where packets overtake one another, those that were sent just before the newest that came have no fate yet: the next
//! feedback tells.
//!
//! A media packet that did not come is told to its track as well, which has it sent again where the client's request
//! is lost ([`resend`](super::resend)).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::interceptor::{Packet, StreamInfo, TaggedPacket, convert_twcc};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::rtp;
use rtc::shared::marshal::MarshalSize;

use super::estimator::Tap;
use super::{Belt, Link};
use crate::webrtc::TRANSPORT_WIDE;
use crate::webrtc::shared::Shared;

/// Packets that wait for feedback: half of the numbers, so that the order of two is beyond doubt.
const KEPT: usize = 1 << 15;
/// What is not acknowledged by then never will be: longer than any round trip, and the pause between two
/// feedbacks.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// What became of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) departure: Instant,
    /// With its headers, before it is sealed.
    pub(super) size: usize,
    /// Its stream and its number there.
    is: (u32, u16),
    /// The feedback on it came.
    pub(super) told: bool,
    pub(super) arrived: bool,
    /// By the client's clock, where it tells.
    pub(super) arrival: Option<Duration>,
}

/// See the module.
pub(in crate::webrtc) struct History {
    tap: Tap,
    /// The id of the header extension that numbers, by SSRC.
    numbered: HashMap<u32, u8>,
    /// Without gaps, the oldest first.
    sent: VecDeque<Outcome>,
    /// The number of the oldest.
    first: u16,
    /// The number of the newest feedback.
    feedback: Option<u8>,
}

impl History {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (tap, numbered) = (Tap::new(shared), HashMap::new());
        Self { tap, numbered, sent: VecDeque::new(), first: 0, feedback: None }
    }

    fn number(&self, packet: &rtp::Packet) -> Option<u16> {
        let extension = packet.header.get_extension(*self.numbered.get(&packet.header.ssrc)?)?;
        Some(u16::from_be_bytes(*extension.first_chunk()?))
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |sent: &mut Outcome| now.saturating_duration_since(sent.departure) > FORGOTTEN;
        while self.sent.len() == KEPT || self.sent.front_mut().is_some_and(is_old) {
            self.sent.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}

impl History {
    /// Whether feedback was lost between this one and the one before. One that was overtaken is not waited for.
    fn misses_one_before(&mut self, feedback: u8) -> bool {
        let ahead = self.feedback.map_or(1, |before| feedback.wrapping_sub(before));
        if (1..128).contains(&ahead) {
            self.feedback = Some(feedback);
        }
        (2..128).contains(&ahead)
    }
}

impl History {
    /// Of so many, how many of the oldest have a fate: where packets overtake one another, what was sent shortly before the
    /// newest that arrived may come yet.
    fn decided(&self, known: usize) -> usize {
        let late = self.tap.shared.reordering();
        let Some(newest) = known.checked_sub(1).and_then(|newest| self.sent.get(newest)) else {
            return 0;
        };
        let may_come = |sent: &Outcome| {
            sent.told
                && !sent.arrived
                && newest.departure.saturating_duration_since(sent.departure) < late
        };
        self.sent.iter().take(known).position(may_come).unwrap_or(known)
    }
}

impl Link for History {
    fn bind(&mut self, info: &StreamInfo) {
        let known = info.rtp_header_extensions.iter().find(|known| known.uri == TRANSPORT_WIDE);
        let Some(id) = known.and_then(|known| u8::try_from(known.id).ok()) else { return };
        for ssrc in std::iter::once(info.ssrc).chain(info.ssrc_rtx) {
            self.numbered.insert(ssrc, id);
        }
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        if let Packet::Rtp(packet) = &message.message.packet
            && let Some(number) = self.number(packet)
        {
            self.forget(message.now);
            // The length is at most half of the numbers.
            if number != self.first.wrapping_add(self.sent.len() as u16) {
                self.sent.clear();
            }
            if self.sent.is_empty() {
                self.first = number;
            }
            self.sent.push_back(Outcome {
                departure: message.now,
                size: packet.marshal_size(),
                is: (packet.header.ssrc, packet.header.sequence_number),
                told: true,
                arrived: false,
                arrival: None,
            });
        }
        out.push_back(message);
    }

    fn inbound(&mut self, message: &TaggedPacket, _out: &mut Belt) {
        let Packet::Rtcp(packets) = &message.message.packet else { return };
        let mut known = 0;
        for packet in packets {
            let Some(feedback) = packet.as_any().downcast_ref::<TransportLayerCc>() else {
                continue;
            };
            if self.misses_one_before(feedback.fb_pkt_count) {
                let untold = usize::from(feedback.base_sequence_number.wrapping_sub(self.first));
                if untold <= self.sent.len() {
                    self.sent.iter_mut().take(untold).for_each(|sent| sent.told = sent.arrived);
                }
            }
            for told in convert_twcc(feedback).into_iter().filter(|told| told.arrived) {
                let at = usize::from(told.sequence_number.wrapping_sub(self.first));
                let Some(sent) = self.sent.get_mut(at) else { continue };
                (sent.told, sent.arrived, sent.arrival) = (true, true, told.arrival);
                known = known.max(at + 1);
            }
        }
        let known = self.decided(known);
        // What was sent before the newest that arrived and is not among them is lost, where that was told.
        let outcomes: Vec<Outcome> = self.sent.drain(..known).collect();
        self.first = self.first.wrapping_add(known as u16);
        for Outcome { is: (ssrc, sequence), .. } in
            outcomes.iter().filter(|sent| sent.told && !sent.arrived)
        {
            if let Some(track) = self.tap.shared.track(*ssrc) {
                track.missed(*sequence);
            }
        }
        self.tap.on_outcomes(message.now, &outcomes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use media::{PathReport, TransportEvent};
    use rtc::interceptor::{AttributedPacket, RTPHeaderExtension};
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, SymbolTypeTcc,
    };

    use super::*;
    use crate::webrtc::testing::{self, SSRC, rtp_packet};

    struct Bench {
        link: History,
        shared: Arc<Shared>,
        start: Instant,
        next: u16,
    }

    impl Bench {
        fn new() -> Self {
            let shared = testing::shared(1);
            let mut link = History::new(shared.clone());
            let extension = RTPHeaderExtension { uri: TRANSPORT_WIDE.to_owned(), id: 4 };
            link.bind(&StreamInfo {
                ssrc: SSRC,
                ssrc_rtx: Some(SSRC + 1),
                rtp_header_extensions: vec![extension],
                ..StreamInfo::default()
            });
            Self { link, shared, start: Instant::now(), next: 65_530 }
        }

        /// Sends so many packets, each so many microseconds after the one before.
        fn send(&mut self, count: usize, apart: u64) {
            let mut out = Belt::new();
            for n in 0..count {
                self.start += Duration::from_micros(apart);
                let mut message = rtp_packet(SSRC + n as u32 % 2, 9, self.start);
                let Packet::Rtp(packet) = &mut message.message.packet else { unreachable!() };
                let number = bytes::Bytes::copy_from_slice(&self.next.to_be_bytes());
                packet.header.set_extension(4, number).unwrap();
                self.next = self.next.wrapping_add(1);
                self.link.outbound(message, &mut out);
            }
            assert_eq!(out.len(), count, "all of it goes on");
        }

        /// The client says that these came, each a millisecond after the one before.
        fn tell(&mut self, first: u16, symbol: SymbolTypeTcc, count: u16) -> Option<PathReport> {
            self.tell_as(0, first, symbol, count)
        }

        /// The same by the feedback of this number; those of one number are never missed.
        fn tell_as(
            &mut self,
            feedback: u8,
            first: u16,
            symbol: SymbolTypeTcc,
            count: u16,
        ) -> Option<PathReport> {
            let delta = |_| RecvDelta {
                type_tcc_packet: SymbolTypeTcc::PacketReceivedSmallDelta,
                delta: 1_000,
            };
            let told = if symbol == SymbolTypeTcc::PacketNotReceived { 0 } else { count };
            let feedback = TransportLayerCc {
                base_sequence_number: first,
                fb_pkt_count: feedback,
                packet_status_count: count,
                packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                    type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                    packet_status_symbol: symbol,
                    run_length: count,
                })],
                recv_deltas: (0..told).map(delta).collect(),
                ..TransportLayerCc::default()
            };
            let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(feedback)]));
            let (now, transport) = (self.start, Default::default());
            self.link.inbound(&TaggedPacket { now, transport, message }, &mut Belt::new());
            self.report()
        }

        fn report(&self) -> Option<PathReport> {
            match self.shared.events.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(TransportEvent::Path(report)) => Some(report),
                Poll::Ready(other) => panic!("{other:?}"),
                Poll::Pending => None,
            }
        }
    }

    const CAME: SymbolTypeTcc = SymbolTypeTcc::PacketReceivedSmallDelta;

    fn counts(report: Option<PathReport>) -> Option<(u32, u32)> {
        report.map(|report| (report.acked_packets, report.lost_packets))
    }

    #[test]
    fn each_packet_is_told_once_and_what_came_late_is_lost() {
        let mut bench = Bench::new();
        bench.send(20, 1_000);
        assert_eq!(counts(bench.tell(65_530, CAME, 4)), Some((4, 0)));
        assert_eq!(counts(bench.tell(65_530, CAME, 4)), None, "told before");
        // Numbers 65,534 to 1 are missing.
        let report = bench.tell(2, CAME, 4).unwrap();
        assert_eq!((report.acked_packets, report.lost_packets), (4, 4));
        assert!(report.sent_bytes == 2 * report.acked_bytes, "{report:?}");
        assert_eq!(report.span, Duration::from_millis(7));
        assert_eq!(counts(bench.tell(65_534, CAME, 2)), None, "too late");
        assert_eq!(counts(bench.tell(6, SymbolTypeTcc::PacketNotReceived, 2)), None);
        assert_eq!(counts(bench.tell(8, CAME, 1)), Some((1, 2)));
        assert_eq!(counts(bench.tell(30_000, CAME, 100)), None, "never sent");
    }

    #[test]
    fn packets_whose_feedback_is_lost_are_not() {
        let mut bench = Bench::new();
        bench.send(30, 1_000);
        let first = bench.tell_as(255, 65_530, CAME, 4).unwrap();
        assert_eq!((first.acked_packets, first.lost_packets), (4, 0));
        // What number 0 told is not known; 6 to 13 came.
        let untold = bench.tell_as(1, 6, CAME, 8).unwrap();
        assert_eq!((untold.acked_packets, untold.lost_packets), (0, 0));
        assert_eq!(untold.acked_bytes, untold.sent_bytes);
        assert_eq!(untold.sent_bytes, 2 * first.sent_bytes, "65,534 to 5");
        let told = bench.report().unwrap();
        assert_eq!((told.acked_packets, told.lost_packets), (8, 0));
        assert!(untold.newest_sent <= told.newest_sent);
        assert_eq!(bench.report(), None);
        // The next one comes, and what it passes over is lost.
        assert_eq!(counts(bench.tell_as(2, 16, CAME, 2)), Some((2, 2)));
        // One that was overtaken changes nothing.
        assert_eq!(counts(bench.tell_as(0, 65_534, CAME, 6)), None);
        assert_eq!(counts(bench.tell_as(3, 18, CAME, 2)), Some((2, 0)));
    }

    #[test]
    fn what_may_only_be_overtaken_is_not_lost_yet() {
        let mut bench = Bench::new();
        bench.send(30, 1_000);
        bench.shared.note_reordering(Duration::from_millis(6));
        assert_eq!(counts(bench.tell(65_530, CAME, 4)), Some((4, 0)));
        // Missing are 65,534 to 2, which left 7 to 3 ms before the newest; for less than 6 of them they may come yet.
        assert_eq!(counts(bench.tell(3, CAME, 3)), Some((0, 2)));
        assert_eq!(counts(bench.tell(0, CAME, 3)), Some((3, 0)));
        // The last of 6 to 9 left 8 ms before the newest.
        assert_eq!(counts(bench.tell(10, CAME, 8)), Some((3 + 8, 4)));
    }

    #[test]
    fn tracks_hear_which_packets_of_theirs_did_not_come() {
        let mut bench = Bench::new();
        bench.send(20, 1_000);
        bench.tell_as(7, 65_530, CAME, 2);
        bench.tell_as(8, 4, CAME, 2);
        // Every second one is the track's; all of this bench have the number 9.
        assert_eq!(bench.shared.tracks[0].take_missed(), [9; 4]);
        bench.tell_as(10, 10, CAME, 2);
        assert!(bench.shared.tracks[0].take_missed().is_empty(), "nobody said that they did not");
    }

    #[test]
    fn more_packets_than_numbers_without_feedback_hide_nothing_of_what_comes_after() {
        let mut bench = Bench::new();
        // 50,000 a second for six seconds, of which nothing is said.
        bench.send(300_000, 20);
        assert_eq!(bench.link.sent.len(), KEPT);
        let newest = bench.next.wrapping_sub(10);
        let report = bench.tell(newest, CAME, 10).unwrap();
        assert_eq!(report.acked_packets, 10);
        bench.send(100, 20);
        assert_eq!(counts(bench.tell(newest.wrapping_add(10), CAME, 100)), Some((100, 0)));
    }

    #[test]
    fn what_is_not_told_in_time_is_forgotten() {
        let mut bench = Bench::new();
        bench.send(100, 10);
        bench.start += FORGOTTEN;
        bench.send(1, 1_000_000);
        assert_eq!(bench.link.sent.len(), 1);
        assert_eq!(counts(bench.tell(bench.next.wrapping_sub(1), CAME, 1)), Some((1, 0)));
    }
}
