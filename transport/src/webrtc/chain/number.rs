//! Numbers what leaves on streams for retransmissions, padding among it.
//!
//! Behind the pacer, which drops what is too much: a number that never leaves looks like loss to the client,
//! and to whoever reads its reports.

use std::collections::HashMap;

use rtc::interceptor::{Packet, StreamInfo, TaggedPacket};

use super::{Belt, Link};

/// See the module.
#[derive(Default)]
pub(in crate::webrtc) struct Number {
    /// The next number of each stream, by its SSRC.
    next: HashMap<u32, u16>,
}

impl Link for Number {
    fn bind(&mut self, info: &StreamInfo) {
        if let Some(ssrc) = info.ssrc_rtx {
            self.next.insert(ssrc, 0);
        }
    }

    fn outbound(&mut self, mut message: TaggedPacket, out: &mut Belt) {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(next) = self.next.get_mut(&packet.header.ssrc)
        {
            packet.header.sequence_number = *next;
            *next = next.wrapping_add(1);
        }
        out.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use media::Bitrate;
    use rtc::interceptor::Attribute;

    use super::*;
    use crate::webrtc::chain::pacer::Pacer;
    use crate::webrtc::testing::{self, SSRC, rtp_packet};

    const REPAIR: u32 = SSRC + 1_000;

    #[test]
    fn what_the_pacer_drops_leaves_no_gap() {
        let shared = testing::shared(1);
        shared.set_pacing(Bitrate::from_kbps(100));
        let (mut pacer, mut number) = (Pacer::new(shared), Number::default());
        number.bind(&StreamInfo { ssrc: SSRC, ssrc_rtx: Some(REPAIR), ..StreamInfo::default() });
        let (mut now, mut paced, mut sent) = (Instant::now(), Belt::new(), Vec::new());
        // Floods, and in between all that the pacer kept of the one before.
        for _ in 0..3 {
            for n in 0..1_000 {
                let mut resend = rtp_packet(REPAIR, 7_000 + n, now);
                resend.message.add(Attribute::Retransmission);
                pacer.outbound(resend, &mut paced);
            }
            while let Some(next) = pacer.next_tick() {
                now = next;
                pacer.tick(now, &mut paced);
            }
            let mut out = Belt::new();
            paced.drain(..).for_each(|message| number.outbound(message, &mut out));
            sent.extend(numbers(out));
        }
        assert!(sent.len() > 500 && sent.len() < 3_000, "{} packets", sent.len());
        assert_eq!(sent, (0..sent.len() as u16).collect::<Vec<_>>());
    }

    #[test]
    fn media_keeps_its_own_number() {
        let mut number = Number::default();
        number.bind(&StreamInfo { ssrc: SSRC, ssrc_rtx: Some(REPAIR), ..StreamInfo::default() });
        let mut out = Belt::new();
        for ssrc in [SSRC, REPAIR, SSRC, REPAIR] {
            number.outbound(rtp_packet(ssrc, 77, Instant::now()), &mut out);
        }
        assert_eq!(numbers(out), [77, 0, 77, 1]);
    }

    fn numbers(out: Belt) -> Vec<u16> {
        out.into_iter()
            .map(|message| match message.message.packet {
                Packet::Rtp(packet) => packet.header.sequence_number,
                other => panic!("{other:?}"),
            })
            .collect()
    }
}
