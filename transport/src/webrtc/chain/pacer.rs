//! Releases packets at a rate that the session sets, in small bursts.
//!
//! The stock pacer starts at 1 Mbit/s, learns a rate only when an estimate changes, and lets a
//! packet go only at the next timer, even with credit. This one lets packets go at once while there
//! is credit, takes its rate from [`Transport::set_pacing`](media::Transport::set_pacing), and holds
//! nothing back until a rate was set.
//!
//! Sound is let go at once and counted: it is a hundredth of the rate, and is heard to be late.
//!
//! Bounds: media by the units that a track may have pending (two); retransmissions by
//! [`RESENDS`], above which new ones are dropped (the client asks again). Retransmissions go first:
//! somebody waits for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Bitrate, Mark};
use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use rtc::shared::marshal::MarshalSize;

use super::{Belt, Link};
use crate::webrtc::shared::Shared;

/// Retransmissions that wait. One frame of loss at 40 Mbit/s; an unbounded queue would let one
/// request flood the path.
const RESENDS: usize = 256;
/// Time at the set rate that may leave at once. The driver's timers are about 1 ms coarse, so a
/// shorter burst would not reach the rate.
const BURST: Duration = Duration::from_millis(4);
/// The least burst, in bytes: ten full packets, what any access link's queue takes.
const LEAST_BURST: f64 = 12_000.0;

/// See the module.
pub(in crate::webrtc) struct Pacer {
    shared: Arc<Shared>,
    media: VecDeque<TaggedPacket>,
    resends: VecDeque<TaggedPacket>,
    /// Bytes released ahead of the rate.
    debt: f64,
    settled: Option<Instant>,
}

impl Pacer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, media: VecDeque::new(), resends: VecDeque::new(), debt: 0.0, settled: None }
    }

    fn drain(&mut self, now: Instant, out: &mut Belt) {
        let rate = self.shared.pacing();
        let elapsed =
            self.settled.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        self.settled = Some(now);
        self.debt = match rate {
            Some(rate) => (self.debt - rate.bps() as f64 / 8.0 * elapsed.as_secs_f64()).max(0.0),
            None => 0.0,
        };
        while rate.is_none_or(|rate| self.debt < burst(rate)) {
            let Some(packet) = self.resends.pop_front().or_else(|| self.media.pop_front()) else {
                break;
            };
            self.release(packet, now, out);
        }
    }

    fn release(&mut self, mut message: TaggedPacket, now: Instant, out: &mut Belt) {
        // The send history below takes this as the departure; the queue's delay is not the path's.
        message.now = now;
        if let Packet::Rtp(packet) = &message.message.packet {
            let bytes = packet.marshal_size();
            self.debt += bytes as f64;
            let track = self.shared.track(packet.header.ssrc);
            if let Some(track) = track.filter(|_| !is_resend(&message)) {
                track.mark(packet.header.timestamp, Mark::Paced, self.shared.clock.now());
                if packet.header.marker {
                    track.release();
                }
            }
        }
        out.push_back(message);
    }
}

impl Link for Pacer {
    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        let now = message.now;
        match &message.message.packet {
            Packet::Rtp(_) if is_resend(&message) => {
                if self.resends.len() < RESENDS {
                    self.resends.push_back(message);
                }
            }
            Packet::Rtp(packet) if self.shared.is_sound(packet.header.ssrc) => {
                self.release(message, now, out);
                return;
            }
            Packet::Rtp(_) => self.media.push_back(message),
            // Feedback is worth nothing late.
            _ => {
                out.push_back(message);
                return;
            }
        }
        self.drain(now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Belt) {
        self.drain(now, out);
    }

    fn next_tick(&self) -> Option<Instant> {
        if self.media.is_empty() && self.resends.is_empty() {
            return None;
        }
        let settled = self.settled?;
        let Some(rate) = self.shared.pacing() else { return Some(settled) };
        let excess = (self.debt - burst(rate)).max(0.0);
        Some(settled + Duration::from_secs_f64((excess + 1.0) * 8.0 / rate.bps() as f64))
    }
}

/// By its mark and not by its SSRC: without RTX packets are resent on the media's own.
fn is_resend(message: &TaggedPacket) -> bool {
    message.message.has(&Attribute::Retransmission)
}

/// Bytes that may be ahead of the rate.
fn burst(rate: Bitrate) -> f64 {
    (rate.bps() as f64 / 8.0 * BURST.as_secs_f64()).max(LEAST_BURST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::audio::SoundStream;
    use crate::webrtc::chain::Chained;
    use crate::webrtc::testing::{self, rtp_packet};

    fn resend(n: u16, now: Instant) -> TaggedPacket {
        let mut message = rtp_packet(testing::SSRC + 1_000, n, now);
        message.message.add(Attribute::Retransmission);
        message
    }

    use rtc::sansio::Protocol;

    fn drain(pacer: &mut Chained<Pacer>) -> Vec<u16> {
        std::iter::from_fn(|| pacer.poll_write())
            .filter_map(|message| match message.message.packet {
                Packet::Rtp(packet) => Some(packet.header.sequence_number),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn without_a_rate_nothing_is_held() {
        let mut pacer = Chained::new(Pacer::new(testing::shared(1)));
        let now = Instant::now();
        for n in 0..500 {
            pacer.handle_write(rtp_packet(testing::SSRC, n, now)).unwrap();
        }
        assert_eq!(drain(&mut pacer).len(), 500);
        assert_eq!(pacer.poll_timeout(), None);
    }

    #[test]
    fn a_rate_spreads_packets_and_retransmissions_go_first() {
        let shared = testing::shared(1);
        shared.set_pacing(Bitrate::from_mbps(10));
        let mut pacer = Chained::new(Pacer::new(shared.clone()));
        let start = Instant::now();
        for n in 0..100 {
            pacer.handle_write(rtp_packet(testing::SSRC, n, start)).unwrap();
        }
        // 1,012 bytes each: twelve fit into the least burst of 12,000.
        assert_eq!(drain(&mut pacer), (0..12).collect::<Vec<_>>());
        pacer.handle_write(resend(9_000, start)).unwrap();
        let mut now = start;
        let mut seen = Vec::new();
        while let Some(next) = pacer.poll_timeout() {
            assert!(next > now, "a deadline must advance");
            now = next;
            pacer.handle_timeout(now).unwrap();
            seen.extend(drain(&mut pacer));
        }
        assert_eq!(seen[0], 9_000);
        assert_eq!(seen[1..], (12..100).collect::<Vec<_>>());
        let expected = Bitrate::from_mbps(10).time_for(101 * 1_012 - 12_000);
        let took = now - start;
        assert!(took.abs_diff(expected) < Duration::from_millis(2), "{took:?} for {expected:?}");
    }

    #[test]
    fn sound_does_not_wait_behind_a_frame_and_the_frame_waits_for_it() {
        let shared = testing::shared(1);
        let sound = SoundStream { ssrc: 7, timestamp_offset: 0, first_sequence: 0 };
        shared.sound.set(sound).unwrap();
        shared.set_pacing(Bitrate::from_mbps(10));
        let mut pacer = Chained::new(Pacer::new(shared));
        let now = Instant::now();
        for n in 0..20 {
            pacer.handle_write(rtp_packet(testing::SSRC, n, now)).unwrap();
        }
        drain(&mut pacer);
        let next = pacer.poll_timeout().unwrap();
        pacer.handle_write(rtp_packet(7, 500, now)).unwrap();
        assert_eq!(drain(&mut pacer), [500]);
        let later = pacer.poll_timeout().unwrap();
        let (took, own) = (later - next, Bitrate::from_mbps(10).time_for(1_012));
        assert!(took.abs_diff(own) < Duration::from_micros(2), "{took:?} for {own:?}");
    }

    #[test]
    fn a_flood_of_requests_is_bounded() {
        let shared = testing::shared(1);
        shared.set_pacing(Bitrate::from_kbps(100));
        let mut pacer = Chained::new(Pacer::new(shared));
        let now = Instant::now();
        for n in 0..5_000 {
            pacer.handle_write(resend(n, now)).unwrap();
        }
        assert_eq!(drain(&mut pacer).len() + pacer.link.resends.len(), RESENDS + 12);
    }
}
