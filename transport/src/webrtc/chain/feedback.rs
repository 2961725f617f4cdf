//! Reads what the client reports (keyframe requests and the round trip), and sets right what is reported
//! to it: the stack's sender reports take a packet's timestamp for the time that it was sent at. Ours stand
//! for the capture, on one clock for pictures and sound, so that a client can show both in step.
//!
//! Inbound RTCP stops at the end of the chain, so an event must be raised here or marked for a
//! reader behind it; raising it here saves a queue. The stack's own statistics leave round trip and
//! retransmission counts at zero, hence the timing of sender reports, which are made at slot 11,000:
//! this link must sit closer to the wire.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;

use super::{Belt, Link};
use crate::webrtc::shared::Shared;

/// Sender reports that may still be referred to: one a second and stream, answered within seconds.
const REPORTS: usize = 16;

/// See the module.
pub(in crate::webrtc) struct Feedback {
    shared: Arc<Shared>,
    /// Middle 32 bits of the NTP time of each sender report, and when it left.
    reports: VecDeque<(u32, Instant)>,
}

impl Feedback {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, reports: VecDeque::with_capacity(REPORTS) }
    }

    fn keyframe_needed(&self, ssrc: u32) {
        if let Some(track) = self.shared.track(ssrc) {
            self.shared.events.keyframe_needed(track.params.id);
        }
    }

    /// RFC 3550 §6.4.1: arrival, less the time of our report, less the delay at the client.
    fn round_trip(&self, reports: &[ReceptionReport], now: Instant) {
        for report in reports {
            let sent = self.reports.iter().find(|(ntp, _)| *ntp == report.last_sender_report);
            let Some((_, sent)) = sent else { continue };
            // In 1/65536 s.
            let held = Duration::from_micros(u64::from(report.delay) * 1_000_000 / 65_536);
            if let Some(time) = now.saturating_duration_since(*sent).checked_sub(held) {
                self.shared.set_round_trip(time);
            }
        }
    }
}

impl Link for Feedback {
    fn inbound(&mut self, message: &TaggedPacket, _out: &mut Belt) {
        let Packet::Rtcp(packets) = &message.message.packet else { return };
        for packet in packets {
            let packet = packet.as_any();
            if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
                self.keyframe_needed(pli.media_ssrc);
            } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
                for entry in &fir.fir {
                    self.keyframe_needed(entry.ssrc);
                }
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.round_trip(&report.reports, message.now);
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.round_trip(&report.reports, message.now);
            }
        }
    }

    fn outbound(&mut self, mut message: TaggedPacket, out: &mut Belt) {
        if let Packet::Rtcp(packets) = &mut message.message.packet {
            let at = self.shared.clock.now();
            for packet in packets {
                if let Some(report) = packet.as_any().downcast_ref::<SenderReport>() {
                    if self.reports.len() == REPORTS {
                        self.reports.pop_front();
                    }
                    // RFC 3550 §6.4.1: a receiver answers with the middle 32 bits.
                    let middle = (report.ntp_time >> 16 & 0xffff_ffff) as u32;
                    self.reports.push_back((middle, message.now));
                    if let Some(rtp_time) = self.shared.timestamp(report.ssrc, at) {
                        *packet = Box::new(SenderReport { rtp_time, ..report.clone() });
                    }
                }
            }
        }
        out.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::AttributedPacket;
    use rtc::rtcp;

    use super::*;
    use crate::webrtc::audio::SoundStream;
    use crate::webrtc::testing;

    #[test]
    fn reports_of_pictures_and_sound_stand_for_the_same_moment() {
        let shared = testing::shared(1);
        let sound = SoundStream { ssrc: 7, timestamp_offset: u32::MAX, first_sequence: 0 };
        shared.sound.set(sound).unwrap();
        let mut feedback = Feedback::new(shared);
        let report = |ssrc| -> Box<dyn rtcp::Packet> {
            let (ntp_time, rtp_time) = (5 << 32, 99);
            Box::new(SenderReport { ssrc, ntp_time, rtp_time, ..Default::default() })
        };
        let message = TaggedPacket {
            now: Instant::now(),
            transport: Default::default(),
            message: AttributedPacket::new(Packet::Rtcp(
                [testing::SSRC, 7, 8].map(report).into_iter().collect(),
            )),
        };
        let mut out = Belt::new();
        feedback.outbound(message, &mut out);
        let Packet::Rtcp(packets) = &out[0].message.packet else { panic!("no report left") };
        let times: Vec<u32> = packets
            .iter()
            .map(|packet| packet.as_any().downcast_ref::<SenderReport>().unwrap().rtp_time)
            .collect();
        // The test's clock shows 5 ms; of another stream nothing is known.
        assert_eq!(times, [450, 239, 99]);
    }
}
