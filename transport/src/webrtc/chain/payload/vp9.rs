//! VP9 (RFC 9628) in flexible mode: every picture but a keyframe is said to need the one before it.

use bytes::{BufMut as _, Bytes, BytesMut};
use media::Size;
use rtc::rtp::packetizer::Payloader;
use rtc::shared::error::Result;

// The first byte of the descriptor (§4.2).
const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const FLEXIBLE: u8 = 0x10;
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;
const STRUCTURE: u8 = 0x02;
/// It refers to the picture before it, and to no further one (§4.2.1): both know what that one needs.
const ONE_BEFORE: u8 = 1 << 1;
/// Most bytes of a descriptor: first byte, picture id, and scalability structure, which is the longer
/// one of what may follow.
const DESCRIPTOR: usize = 1 + 2 + 5;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Vp9Payloader {
    /// Of the next picture, 15 bits.
    picture_id: u16,
}

impl Payloader for Vp9Payloader {
    fn payload(&mut self, most: usize, frame: &Bytes) -> Result<Vec<Bytes>> {
        let room = most.saturating_sub(DESCRIPTOR);
        if frame.is_empty() || room == 0 {
            return Ok(Vec::new());
        }
        let key = keyframe(frame);
        let last = frame.len().div_ceil(room) - 1;
        let packet = |(n, piece): (usize, &[u8])| {
            let (begin, end) = (n == 0, n == last);
            let mut first = PICTURE_ID | FLEXIBLE;
            first |= if begin { BEGIN } else { 0 };
            first |= if end { END } else { 0 };
            let structure = key.filter(|_| begin);
            first |= if structure.is_some() { STRUCTURE } else { 0 };
            first |= if key.is_none() { PREDICTED } else { 0 };
            let mut out = BytesMut::with_capacity(DESCRIPTOR + piece.len());
            out.put_u8(first);
            out.put_u16(0x8000 | self.picture_id);
            if key.is_none() {
                out.put_u8(ONE_BEFORE);
            }
            if let Some(Size { width, height }) = structure {
                // One spatial layer of this size, and no groups of pictures.
                out.put_u8(1 << 4);
                out.put_u16((width & 0xffff) as u16);
                out.put_u16((height & 0xffff) as u16);
            }
            out.put_slice(piece);
            out.freeze()
        };
        let packets = frame.chunks(room).enumerate().map(packet).collect();
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        Ok(packets)
    }

    fn clone_to(&self) -> Box<dyn Payloader> {
        Box::new(self.clone())
    }
}

/// The size of a keyframe of profile 0 or 2; none for every other frame (VP9 bitstream, 6.2).
fn keyframe(frame: &[u8]) -> Option<Size> {
    // Marker 2, profile 0 or 2, shown anew 0, type 0; then two bits that do not matter and the sync code.
    let [first @ (0x80..=0x83 | 0x90..=0x93), 0x49, 0x83, 0x42, rest @ ..] = frame else {
        return None;
    };
    let bits = rest.get(..5)?.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    // Of 40 bits: in profile 2 the depth 1, colour space 3, range 1, width 16, height 16.
    let depth = u32::from(first >> 4 & 1);
    let field = |shift: u32| (bits >> (shift - depth) & 0xffff) as u32 + 1;
    Some(Size::new(field(20), field(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtp::codec::vp9::Vp9Packet;
    use rtc::rtp::packetizer::Depacketizer as _;

    /// A keyframe of this size, by the syntax of the specification.
    fn key(width: u32, height: u32, len: usize) -> Vec<u8> {
        let bits = 0b0010_u64 << 36 | u64::from(width - 1) << 20 | u64::from(height - 1) << 4;
        let mut frame = vec![0x82, 0x49, 0x83, 0x42];
        frame.extend_from_slice(&bits.to_be_bytes()[3..]);
        frame.resize(len, 0x55);
        frame
    }

    fn packets(payloader: &mut Vp9Payloader, frame: &[u8]) -> Vec<Vp9Packet> {
        let payloads = payloader.payload(1_000, &Bytes::copy_from_slice(frame)).unwrap();
        let mut back = Vec::new();
        let read = |payload: &Bytes| {
            assert!(payload.len() <= 1_000);
            let mut packet = Vp9Packet::default();
            back.extend_from_slice(&packet.depacketize(payload).unwrap());
            packet
        };
        let packets: Vec<_> = payloads.iter().map(read).collect();
        assert_eq!(back, frame);
        packets
    }

    #[test]
    fn a_keyframe_tells_its_size_and_needs_nothing() {
        let packets = packets(&mut Vp9Payloader::default(), &key(1_280, 720, 2_500));
        let flags: Vec<_> = packets.iter().map(|p| (p.b, p.e, p.v, p.p, p.f, p.l)).collect();
        assert_eq!(
            flags,
            [
                (true, false, true, false, true, false),
                (false, false, false, false, true, false),
                (false, true, false, false, true, false)
            ]
        );
        assert_eq!(
            (packets[0].ns, &packets[0].width[..], &packets[0].height[..]),
            (0, &[1_280][..], &[720][..])
        );
    }

    #[test]
    fn a_keyframe_of_ten_bits_tells_its_size_too() {
        // Profile 2: a bit more, for the depth, before what profile 0 has.
        let bits = 0b0_1010_u64 << 35 | (1_279 << 19) | (719 << 3);
        let mut frame = vec![0x92, 0x49, 0x83, 0x42];
        frame.extend_from_slice(&bits.to_be_bytes()[3..]);
        let packets = packets(&mut Vp9Payloader::default(), &frame);
        assert_eq!((packets[0].v, packets[0].p), (true, false));
        assert_eq!((&packets[0].width[..], &packets[0].height[..]), (&[1_280][..], &[720][..]));
    }

    #[test]
    fn other_pictures_need_the_one_before() {
        let mut payloader = Vp9Payloader::default();
        packets(&mut payloader, &key(64, 65_536, 20));
        for id in 1..40_000_u32 {
            // Not a keyframe; now and then one that only shows a picture again.
            let frame = if id % 7 == 0 { vec![0x88] } else { vec![0x86; 1_500] };
            let packets = packets(&mut payloader, &frame);
            let flags = packets.iter().map(|p| (p.p, p.v, p.pdiff.as_slice()));
            assert!(flags.into_iter().all(|flags| flags == (true, false, &[1])), "{packets:?}");
            assert!(packets.iter().all(|p| u32::from(p.picture_id) == id & 0x7fff));
            assert!(packets[0].b && packets[packets.len() - 1].e);
        }
    }

    #[test]
    fn a_header_that_is_cut_short_is_no_keyframe() {
        let whole = key(64, 64, 9);
        assert_eq!(keyframe(&whole), Some(Size::new(64, 64)));
        assert!((0..9).all(|length| keyframe(&whole[..length]).is_none()));
        // Profile 1.
        assert_eq!(keyframe(&[&[0xa2], &whole[1..]].concat()), None);
    }
}
