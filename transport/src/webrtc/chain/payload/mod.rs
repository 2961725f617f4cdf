//! How the units of each codec are cut into RTP payloads.
//!
//! H.264 and VP8 are the stack's own. So is AV1, behind a check: the stack indexes beyond a unit that
//! is cut short. H.265 and VP9 are ours: the stack looks for start codes of one length only, and
//! encoders mix both; and it says of every VP9 picture that it needs no other, so that a client that
//! lost one would never ask for a keyframe.

mod av1;
mod h265;
mod vp9;

use media::Codec;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::codec::vp8::Vp8Payloader;
use rtc::rtp::packetizer::Payloader;

/// What cuts the units of `codec`.
pub(super) fn payloader(codec: Codec) -> Box<dyn Payloader> {
    match codec {
        Codec::H264 => Box::new(H264Payloader::default()),
        Codec::H265 => Box::new(h265::H265Payloader),
        Codec::Av1 => Box::new(av1::CheckedAv1::default()),
        Codec::Vp9 => Box::new(vp9::Vp9Payloader::default()),
        Codec::Vp8 => {
            let mut vp8 = Vp8Payloader::default();
            // Tells the client which pictures are missing, also after packets without media.
            vp8.enable_picture_id = true;
            Box::new(vp8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc::rtp::codec::vp8::Vp8Packet;
    use rtc::rtp::packetizer::Depacketizer as _;

    #[test]
    fn vp8_pictures_are_numbered_and_come_back_whole() {
        let mut vp8 = payloader(Codec::Vp8);
        for picture in 0..300_u16 {
            let frame = Bytes::from(vec![picture as u8; 2_500]);
            let payloads = vp8.payload(1_000, &frame).unwrap();
            let mut back = Vec::new();
            for (n, payload) in payloads.iter().enumerate() {
                assert!(payload.len() <= 1_000);
                let mut packet = Vp8Packet::default();
                back.extend_from_slice(&packet.depacketize(payload).unwrap());
                assert_eq!((packet.i, packet.picture_id), (1, picture));
                assert_eq!((packet.s, packet.pid), (u8::from(n == 0), 0));
            }
            assert_eq!(back, frame);
        }
    }

    proptest! {
        /// Units come from libraries and devices: one that is broken is lost, and nothing else is.
        #[test]
        fn no_unit_breaks_a_payloader(
            unit in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..3_000),
            codec in prop::sample::select(&Codec::ALL[..]),
            most in 50_usize..1_300,
        ) {
            let unit = Bytes::from(unit);
            for payload in payloader(codec).payload(most, &unit).unwrap_or_default() {
                prop_assert!(payload.len() <= most);
            }
        }
    }
}
