//! Takes the client's voice on its way in, and tells the client once a second how much of it came (RFC 3550 §6.4.2):
//! from that a browser knows how much its packets are to say of those before them.
//!
//! The stack binds no stream for it, as none was announced: behind the chain it drops these packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::VoicePacket;
use rtc::interceptor::{AttributedPacket, Packet, TaggedPacket};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtp;

use super::{Belt, Link};
use crate::webrtc::shared::Shared;

/// How often the client is told, while something comes.
const EVERY: Duration = Duration::from_secs(1);
/// A number that is further from the newest than this begins anew.
const FAR: u16 = 3_000;

/// See the module.
pub(in crate::webrtc) struct Voice {
    shared: Arc<Shared>,
    stream: Option<Stream>,
    /// When the client is told next; none while nothing comes.
    due: Option<Instant>,
}

/// What came of one stream (RFC 3550, appendix A.3).
struct Stream {
    ssrc: u32,
    /// Numbers beyond 16 bits count how often they wrapped.
    first: u32,
    newest: u32,
    received: u32,
    /// Expected and received when the client was told last.
    told: (u32, u32),
}

impl Stream {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let first = u32::from(sequence);
        Self { ssrc, first, newest: first, received: 1, told: (0, 0) }
    }

    /// One more packet; whether it belongs to this stream.
    fn takes(&mut self, ssrc: u32, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.newest as u16);
        let is_near = !(FAR..=u16::MAX - FAR).contains(&ahead);
        if ssrc != self.ssrc || !is_near {
            return false;
        }
        if ahead < FAR {
            self.newest = self.newest.wrapping_add(u32::from(ahead));
        }
        self.received = self.received.saturating_add(1);
        true
    }

    fn report(&mut self) -> ReceptionReport {
        let expected = self.newest.wrapping_sub(self.first).wrapping_add(1);
        let (new, came) = (expected - self.told.0, self.received - self.told.1);
        self.told = (expected, self.received);
        let lost = new.saturating_sub(came);
        ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: (u64::from(lost) * 256 / u64::from(new.max(1))).min(255) as u8,
            // 24 bits (RFC 3550 §6.4.1).
            total_lost: expected.saturating_sub(self.received).min(0x7f_ffff),
            last_sequence_number: self.newest,
            ..Default::default()
        }
    }
}

impl Voice {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, stream: None, due: None }
    }

    fn take(&mut self, packet: &rtp::Packet, now: Instant) {
        let rtp::Header { ssrc, sequence_number, .. } = packet.header;
        if !self.shared.limits.passes_voice(self.shared.clock.now()) {
            self.shared.events.refused_message();
            return;
        }
        let known = self.stream.as_mut().is_some_and(|known| known.takes(ssrc, sequence_number));
        if !known {
            self.stream = Some(Stream::new(ssrc, sequence_number));
        }
        self.due.get_or_insert(now + EVERY);
        let data = packet.payload.clone();
        self.shared.events.voice(VoicePacket { sequence: sequence_number, data });
    }
}

impl Link for Voice {
    fn inbound(&mut self, message: &TaggedPacket, _out: &mut Belt) {
        if let Packet::Rtp(packet) = &message.message.packet
            && self.shared.voice.get() == Some(&packet.header.payload_type)
        {
            self.take(packet, message.now);
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Belt) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        let is_speaking = stream.received > stream.told.1;
        self.due = is_speaking.then(|| now + EVERY);
        if !is_speaking {
            return;
        }
        // Of a receiver that may send nothing itself, this names the connection (RFC 3550 §6.4.2).
        let ssrc = self.shared.tracks.first().map_or(1, |track| track.params.ssrc);
        let report = ReceiverReport { ssrc, reports: vec![stream.report()], ..Default::default() };
        let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(report)]));
        out.push_back(TaggedPacket { now, transport: Default::default(), message });
    }

    fn next_tick(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use media::TransportEvent;

    use super::*;
    use crate::webrtc::testing;

    const OPUS: u8 = 111;

    fn voice() -> Voice {
        let shared = testing::shared(1);
        shared.voice.set(OPUS).unwrap();
        Voice::new(shared)
    }

    fn say(voice: &mut Voice, payload_type: u8, sequence: u16, now: Instant) {
        let mut message = testing::rtp_packet(9, sequence, now);
        if let Packet::Rtp(packet) = &mut message.message.packet {
            packet.header.payload_type = payload_type;
            packet.payload = Bytes::from_static(&[7]);
        }
        voice.inbound(&message, &mut Belt::new());
    }

    fn heard(voice: &Voice) -> Vec<u16> {
        let mut cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match voice.shared.events.poll(&mut cx) {
            Poll::Ready(TransportEvent::Voice(packet)) => Some(packet.sequence),
            _ => None,
        })
        .collect()
    }

    fn told(voice: &mut Voice, now: Instant) -> Option<ReceptionReport> {
        let mut out = Belt::new();
        voice.tick(now, &mut out);
        let Packet::Rtcp(packets) = &out.pop_front()?.message.packet else { panic!("no report") };
        let report = packets[0].as_any().downcast_ref::<ReceiverReport>().unwrap();
        assert_eq!(report.ssrc, testing::SSRC);
        Some(report.reports[0].clone())
    }

    #[test]
    fn what_comes_by_the_number_of_opus_is_told_and_what_is_lost_reported() {
        let (mut voice, start) = (voice(), Instant::now());
        assert_eq!(voice.next_tick(), None);
        // A fifth is lost, where numbers wrap.
        for n in 0..10_u16 {
            if n % 5 != 3 {
                say(&mut voice, OPUS, n.wrapping_sub(5), start);
            }
        }
        say(&mut voice, 96, 6, start);
        assert_eq!(heard(&voice).len(), 8);
        let due = voice.next_tick().unwrap();
        let report = told(&mut voice, due).unwrap();
        let (lost, fraction) = (report.total_lost, report.fraction_lost);
        assert_eq!((lost, fraction, report.last_sequence_number), (2, 51, 0x1_0004));
        // All of this comes, one of it twice.
        for n in [5, 6, 6, 7] {
            say(&mut voice, OPUS, n, due);
        }
        let due = voice.next_tick().unwrap();
        assert_eq!(told(&mut voice, due).unwrap().fraction_lost, 0);
        // Nobody speaks any more.
        let due = voice.next_tick().unwrap();
        assert!(told(&mut voice, due).is_none());
        assert_eq!(voice.next_tick(), None);
    }

    #[test]
    fn another_stream_and_a_number_far_away_begin_anew() {
        let mut stream = Stream::new(1, 100);
        assert!(stream.takes(1, 101) && stream.takes(1, 99));
        assert!(!stream.takes(2, 102) && !stream.takes(1, 20_000));
        assert_eq!(stream.report().total_lost, 0);
    }

    #[test]
    fn a_flood_is_cut_to_what_one_can_say() {
        let (mut voice, start) = (voice(), Instant::now());
        (0..10_000).for_each(|n| say(&mut voice, OPUS, n, start));
        // Nobody took them.
        assert_eq!(heard(&voice), (1_184..1_200).collect::<Vec<_>>());
        assert_eq!(voice.shared.events.dropped(), 10_000 - 16);
    }
}
