//! `frame_num` with more bits than an encoder writes, so that it does not come around in a gap.
//!
//! libx264 writes as few bits as its buffer takes, 4 or 5 where little is held; what NVENC writes nobody can
//! tell it. By the standard that is enough behind lost pictures too, and decoders do not make it good:
//! - FFmpeg's, which Chromium has, puts empty frames in their places, and counts `FrameNumOffset` (8.2.1.3) up
//!   by none of those. Where numbers came around among them the order of output goes back by as many pictures
//!   as there are numbers. With 16 of them it shows nothing until it is where it was, which Chromium takes for
//!   a failure: it asks for a keyframe.
//! - OpenH264's, which Firefox has, leaves no places, keeps older pictures longer, and takes no picture with a
//!   number that one of those has.
//!
//! Eight bits are put before the encoder's own. All behind them moves by a byte and stays as it is. Where there is
//! no room for them it has nine at the least.

use super::{NalKind, Sps, nals};
use crate::bits::{BitReader, SyntaxError};

/// Bits that are put before those of the encoder.
const ADDED: u32 = 8;
/// The most bits that there may be (`log2_max_frame_num_minus4`, 7.4.2.1.1).
const MOST: u32 = 16;

/// Numbers the pictures of one stream anew. Each has the number after that of the one before, and one that
/// refers to another does so by the difference (8.2.4.1), which stays.
#[derive(Debug, Default)]
pub(crate) struct FrameNumbers {
    /// Bits of the encoder's own; none where there is no room for more.
    bits: Option<u32>,
    /// The newest picture's, with all bits.
    newest: u32,
    /// The unit, whose memory is used again.
    wide: Vec<u8>,
}

impl FrameNumbers {
    /// The next access unit, or those of its slices that come next, with the numbers that are sent: its parameter
    /// sets say how many bits they have.
    ///
    /// # Errors
    /// [`SyntaxError`] when a sequence parameter set or the head of a slice cannot be read.
    pub(crate) fn widen<'a>(&'a mut self, unit: &'a [u8]) -> Result<&'a [u8], SyntaxError> {
        let Self { bits, newest, wide } = self;
        wide.clear();
        wide.reserve(unit.len() + 64);
        let mut copied = 0;
        for nal in nals(unit) {
            let start = nal.end - nal.bytes().len();
            match (nal.kind(), *bits) {
                (NalKind::Sps, _) => {
                    let mut sps = Sps::parse(nal.bytes())?;
                    *bits = room(&sps);
                    if bits.is_some() {
                        sps.log2_max_frame_num_minus4 += ADDED;
                        wide.extend_from_slice(&unit[copied..start]);
                        wide.extend_from_slice(&sps.to_nal());
                        copied = nal.end;
                    }
                }
                (kind @ (NalKind::Slice | NalKind::IdrSlice), Some(bits)) => {
                    wide.extend_from_slice(&unit[copied..start]);
                    let slice = Head::read(nal.bytes(), bits)?;
                    *newest = match kind {
                        NalKind::IdrSlice => 0,
                        _ => slice.after(*newest, bits),
                    };
                    let added = (*newest >> bits) as u8;
                    copied = start + insert(added, slice.place, nal.bytes(), wide);
                }
                _ => {}
            }
        }
        if copied == 0 {
            return Ok(unit);
        }
        wide.extend_from_slice(&unit[copied..]);
        Ok(wide)
    }
}

/// Bits of the numbers, where there is room for more, and nothing else stands before them.
fn room(sps: &Sps) -> Option<u32> {
    let bits = sps.log2_max_frame_num_minus4 + 4;
    let separate = sps.high.as_ref().is_some_and(|high| high.separate_colour_plane);
    (bits + ADDED <= MOST && !separate).then_some(bits)
}

/// What the head of a slice says of its picture's number.
struct Head {
    /// Bits before it, without emulation prevention, from the NAL unit's header on.
    place: usize,
    number: u32,
}

impl Head {
    fn read(nal: &[u8], bits: u32) -> Result<Self, SyntaxError> {
        let r = &mut BitReader::new(nal.get(1..).ok_or(SyntaxError::Truncated)?);
        for _ in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
            r.unsigned()?;
        }
        let place = 8 + r.position();
        Ok(Self { place, number: r.bits(bits)? })
    }

    /// With all bits, where that of the newest picture before it, or of the slice before, is known.
    fn after(&self, newest: u32, bits: u32) -> u32 {
        let ahead = self.number.wrapping_sub(newest) & ((1 << bits) - 1);
        (newest + ahead) & ((1 << (bits + ADDED)) - 1)
    }
}

/// Writes a NAL unit with a byte more at `place`, in bits, up to where all is as it was. Says how many of its
/// bytes that took.
fn insert(added: u8, place: usize, nal: &[u8], to: &mut Vec<u8>) -> usize {
    let (at, shift) = (place / 8, place % 8);
    // Zero bytes before what is read, and before what is written: after two of them 3 is no part of the payload,
    // and up to 3 nothing may follow (7.4.1).
    let (mut read, mut written) = (0, 0);
    let mut write = |byte: u8| {
        if written >= 2 && byte <= 3 {
            to.push(3);
            written = 0;
        }
        written = if byte == 0 { written + 1 } else { 0 };
        to.push(byte);
        written
    };
    let mut position = 0;
    for (index, &byte) in nal.iter().enumerate() {
        if read >= 2 && byte == 3 {
            read = 0;
            continue;
        }
        read = if byte == 0 { read + 1 } else { 0 };
        let zeros = if position == at {
            let behind = 0xff_u8 >> shift;
            let between = (u16::from(added) << (8 - shift)).to_be_bytes();
            write(byte & !behind | between[0]);
            write(between[1] | byte & behind)
        } else {
            write(byte)
        };
        position += 1;
        if position > at && zeros == read {
            return index + 1;
        }
    }
    nal.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bits::BitWriter;
    use crate::h264::PicOrderCount;

    const START: [u8; 4] = [0, 0, 0, 1];

    fn sps(bits: u32) -> Sps {
        Sps {
            profile_idc: 66,
            constraint_flags: 0xc0,
            level_idc: 31,
            id: 0,
            high: None,
            log2_max_frame_num_minus4: bits - 4,
            pic_order_count: PicOrderCount::Type2,
            max_num_ref_frames: 1,
            gaps_in_frame_num_allowed: true,
            width_in_mbs_minus1: 79,
            height_in_map_units_minus1: 44,
            frame_mbs_only: true,
            mb_adaptive_frame_field: false,
            direct_8x8_inference: true,
            cropping: None,
            vui: None,
        }
    }

    /// A slice of the picture with this number, and what stands in it behind that.
    fn slice(idr: bool, first: u32, (number, bits): (u32, u32), rest: &[u8]) -> Vec<u8> {
        let mut w = BitWriter::new();
        for value in [first, 5, 0] {
            w.unsigned(value);
        }
        w.bits(number & ((1 << bits) - 1), bits);
        rest.iter().for_each(|byte| w.bits((*byte).into(), 8));
        let nal = w.into_nal(if idr { 0x65 } else { 0x41 });
        [&START[..], &nal].concat()
    }

    proptest! {
        /// Numbers go on where the encoder's come around, and all else is as it was.
        #[test]
        fn only_the_number_is_another(
            bits in 4_u32..=10,
            pictures in 1_usize..80,
            firsts in prop::collection::vec(0_u32..2_000_000, 1..4),
            rest in prop::collection::vec(prop_oneof![Just(0_u8), 0_u8..5, any::<u8>()], 0..40),
        ) {
            let (mut numbers, wide) = (FrameNumbers::default(), if bits > 8 { bits } else { bits + 8 });
            for number in 0..pictures as u32 {
                let slices = |bits| {
                    let slice = |first: &u32| slice(number == 0, *first, (number, bits), &rest);
                    firsts.iter().flat_map(slice).collect::<Vec<_>>()
                };
                let set = |bits| match number {
                    0 => [&START[..], &sps(bits).to_nal()].concat(),
                    _ => Vec::new(),
                };
                let unit = [set(bits), slices(bits)].concat();
                let meant = [set(wide), slices(wide)].concat();
                prop_assert_eq!(numbers.widen(&unit), Ok(&meant[..]), "picture {}", number);
            }
        }

        #[test]
        fn garbage_is_an_error_or_a_unit(bytes in prop::collection::vec(0_u8..7, 0..60)) {
            let mut numbers = FrameNumbers { bits: Some(4), ..FrameNumbers::default() };
            let unit = [&START[..], &[0x41], &bytes].concat();
            if let Ok(wide) = numbers.widen(&unit) {
                prop_assert_eq!(nals(wide).count(), nals(&unit).count(), "no start code comes in");
            }
        }
    }

    #[test]
    fn a_keyframe_begins_anew_and_numbers_come_around_at_last() {
        let mut numbers = FrameNumbers::default();
        let mut code = |number: u32, bits| {
            let set = if number == 0 { [&START[..], &sps(bits).to_nal()].concat() } else { vec![] };
            let unit = [set, slice(number == 0, 0, (number, bits), &[7])].concat();
            numbers.widen(&unit).unwrap().to_vec()
        };
        for number in 0..=4_100 {
            let wide = code(number, 4);
            let meant = slice(number == 0, 0, (number, 12), &[7]);
            assert!(wide.ends_with(&meant), "picture {number}");
        }
        assert!(code(0, 5).ends_with(&slice(true, 0, (0, 13), &[7])));
        assert!(code(1, 5).ends_with(&slice(false, 0, (1, 13), &[7])));
    }
}
