//! VP9 (RFC 9628) in flexible mode: every picture but a keyframe is said to need the one before it, or, where it
//! depends on nothing but the pictures that it refers to, those. So a client that knows no dependency descriptor
//! can decode what an encoder coded from a picture before a loss.

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
/// After a picture that is referred to comes another one (§4.2.1).
const ANOTHER: u8 = 1;
/// The farthest picture that can be named, counted back.
const FARTHEST: u64 = 0x7f;
/// Most bytes of a descriptor: first byte, picture id, and scalability structure, which is the longer
/// one of what may follow.
const DESCRIPTOR: usize = 1 + 2 + 5;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Vp9Payloader {
    /// Of the next picture. Its id has 15 bits of it.
    number: u64,
    /// The picture that each of a decoder's buffers holds, where that is known.
    buffers: [Option<u64>; 8],
}

/// What a picture that is no keyframe says of buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delta {
    /// It takes neither probabilities nor motion from the picture before it.
    resilient: bool,
    /// Those that it is kept in, a bit for each.
    kept: u8,
    /// Those that it refers to.
    from: [usize; 3],
}

impl Vp9Payloader {
    /// How far back the pictures lie that this one needs.
    fn needs(&mut self, key: bool, frame: &[u8]) -> Needs {
        let number = self.number;
        self.number += 1;
        if key {
            self.buffers = [Some(number); 8];
            return [None; 3];
        }
        let Some(delta) = delta(frame).filter(|_| !is_superframe(frame)) else {
            // What it is kept in is not known, or more than this says.
            self.buffers = [None; 8];
            return ONE_BEFORE;
        };
        let from = delta.from.map(|buffer| self.buffers[buffer]);
        for (bit, buffer) in self.buffers.iter_mut().enumerate() {
            if delta.kept >> bit & 1 == 1 {
                *buffer = Some(number);
            }
        }
        let back = |picture: Option<u64>| {
            picture.map(|picture| number - picture).filter(|back| *back <= FARTHEST)
        };
        let [Some(first), Some(second), Some(third)] = from.map(back) else {
            // Of what cannot be named no client without it can be told.
            return ONE_BEFORE;
        };
        if !delta.resilient {
            return ONE_BEFORE;
        }
        let once = |back: u64, before: &[u64]| (!before.contains(&back)).then_some(back as u8);
        [once(first, &[]), once(second, &[first]), once(third, &[first, second])]
    }
}

type Needs = [Option<u8>; 3];
/// Both know what that one needs.
const ONE_BEFORE: Needs = [Some(1), None, None];

impl Payloader for Vp9Payloader {
    fn payload(&mut self, most: usize, frame: &Bytes) -> Result<Vec<Bytes>> {
        let room = most.saturating_sub(DESCRIPTOR);
        if frame.is_empty() || room == 0 {
            return Ok(Vec::new());
        }
        let key = keyframe(frame);
        let picture_id = (self.number & 0x7fff) as u16;
        let needs = self.needs(key.is_some(), frame);
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
            out.put_u16(0x8000 | picture_id);
            let mut left = needs.iter().flatten().count();
            for back in needs.iter().flatten() {
                left -= 1;
                out.put_u8(back << 1 | if left > 0 { ANOTHER } else { 0 });
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
        Ok(frame.chunks(room).enumerate().map(packet).collect())
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

/// What a picture of profile 0 to 2 says of buffers, where it is neither a keyframe, nor coded on its own, nor an
/// earlier one that is shown again (VP9 bitstream, 6.2).
fn delta(frame: &[u8]) -> Option<Delta> {
    let bits =
        frame.iter().chain([&0; 4]).take(4).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = u32::BITS;
    let mut read = |len: u32| {
        left -= len;
        bits >> left & ((1 << len) - 1)
    };
    // Marker; profile, of which 3 has a bit more; `show_existing_frame`; `frame_type`.
    if read(2) != 2 || read(2) == 3 || read(1) == 1 || read(1) == 0 {
        return None;
    }
    let (shown, resilient) = (read(1) == 1, read(1) == 1);
    let alone = !shown && read(1) == 1;
    if !resilient {
        // `reset_frame_context`.
        read(2);
    }
    if alone {
        return None;
    }
    let kept = read(8) as u8;
    let from = [(); 3].map(|()| {
        let buffer = read(3) as usize;
        // `ref_frame_sign_bias`.
        read(1);
        buffer
    });
    Some(Delta { resilient, kept, from })
}

/// Whether more than one picture lies in it, of which all but the last are not shown (VP9 bitstream, annex B). Only the
/// first one's header is where it is looked for.
fn is_superframe(frame: &[u8]) -> bool {
    let Some(&marker @ 0xc0..=0xdf) = frame.last() else { return false };
    let (pictures, bytes) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = 2 + pictures * bytes;
    pictures > 1 && frame.len() > index && frame[frame.len() - index] == marker
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

    /// A picture that is shown, by the syntax of the specification.
    fn inter(resilient: bool, kept: u8, from: [u32; 3]) -> Vec<u8> {
        let mut bits = (0b10_u64, 2);
        let mut put = |value: u32, len: u32| {
            bits = (bits.0 << len | u64::from(value), bits.1 + len);
        };
        put(0b00011, 5);
        put(resilient.into(), 1);
        if !resilient {
            put(0, 2);
        }
        put(kept.into(), 8);
        for buffer in from {
            put(buffer << 1, 4);
        }
        let (value, len) = bits;
        (value << (64 - len)).to_be_bytes().to_vec()
    }

    #[test]
    fn a_picture_that_depends_on_what_it_refers_to_alone_names_that() {
        let mut payloader = Vp9Payloader::default();
        let mut needs = |frame: &[u8]| {
            let packets = packets(&mut payloader, frame);
            packets[0].pdiff.clone()
        };
        let of_key: [u8; 0] = [];
        assert_eq!(needs(&key(64, 64, 20)), of_key);
        // 1 and 2 are kept as the last picture, 2 in buffer 2 as well.
        assert_eq!(needs(&inter(true, 0b001, [0, 1, 0])), [1]);
        assert_eq!(needs(&inter(true, 0b101, [0, 1, 2])), [1, 2]);
        assert_eq!(needs(&inter(true, 0b001, [0, 1, 2])), [1, 3]);
        // 4 goes back to what buffer 2 holds, and 5 to the keyframe.
        assert_eq!(needs(&inter(true, 0b001, [2, 2, 2])), [2]);
        assert_eq!(needs(&inter(true, 0b001, [1, 1, 1])), [5]);
        // With probabilities of the one before, whatever it refers to.
        assert_eq!(needs(&inter(false, 0b001, [2, 2, 2])), [1]);
        // Farther back than can be named.
        (0..120).for_each(|_| drop(needs(&inter(true, 0b001, [0, 0, 0]))));
        assert_eq!(needs(&inter(true, 0b001, [1, 1, 1])), [127]);
        assert_eq!(needs(&inter(true, 0b001, [1, 1, 1])), [1]);
        // What an earlier picture that is shown again leaves in the buffers is not looked at.
        assert_eq!(needs(&[0x88]), [1]);
        assert_eq!(needs(&inter(true, 0b001, [0, 2, 0])), [1]);
        assert_eq!(needs(&inter(true, 0b001, [0, 0, 0])), [1]);
    }

    /// The second picture may be kept in, and refer to, what the first one says nothing of.
    #[test]
    fn of_several_pictures_in_one_the_one_before_is_needed() {
        let index = [&[0xc9][..], &[3, 0, 4, 0], &[0xc9]].concat();
        let first = inter(true, 0b001, [0, 0, 0]);
        let superframe = [&first[..], &[0x86; 4], &index].concat();
        assert!(is_superframe(&superframe));
        // One picture with an index, a marker that nothing begins, and no room for an index.
        assert!(!is_superframe(&[&first[..], &[0xc8, 3, 0, 0xc8]].concat()));
        assert!(!is_superframe(&[&first[..], &[0xc8, 3, 0, 4, 0, 0xc9]].concat()));
        assert!(!is_superframe(&[0xc9, 3, 0, 4, 0, 0xc9]) && !is_superframe(&[]));
        let mut payloader = Vp9Payloader::default();
        let mut needs = |frame: &[u8]| packets(&mut payloader, frame)[0].pdiff.clone();
        needs(&key(64, 64, 20));
        assert_eq!(needs(&first), [1]);
        // Alone it would name the keyframe.
        let from_golden = inter(true, 0b001, [1, 1, 1]);
        assert_eq!(needs(&[&from_golden[..], &[0x86; 4], &index].concat()), [1]);
        assert_eq!(needs(&from_golden), [1], "what that one is kept in is not known");
        assert_eq!(needs(&key(64, 64, 20)), [0_u8; 0]);
        assert_eq!(needs(&first), [1]);
        assert_eq!(needs(&from_golden), [2]);
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
