//! What a coded unit is by its own headers: the little that a sender must know of every codec, so
//! that a keyframe is what a decoder can begin with, whatever the encoder calls it.
//!
//! It never decodes pictures and reads only the first bytes of each part. Used wrongly (a unit of
//! another codec) it says so or calls the unit a delta.

use media::{Codec, UnitKind};
use thiserror::Error;

use crate::av1::{self, obus};
use crate::bits::{Bits, SyntaxError};
use crate::h264::{NalKind, heads};

/// Why a unit cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// It holds no picture.
    #[error("it holds no picture")]
    NoPicture,
    /// It begins a stream and lacks what a decoder must have for that.
    #[error("it is a keyframe without {0}")]
    Missing(&'static str),
    /// It is not a unit of this codec.
    #[error("it is not valid: {0}")]
    Invalid(&'static str),
}

/// Whether a unit can be decoded on its own: `Key` or `Delta`.
///
/// # Errors
/// [`HeaderError`].
pub fn kind(codec: Codec, unit: &[u8]) -> Result<UnitKind, HeaderError> {
    match codec {
        Codec::H264 => h264(unit),
        Codec::H265 => h265(unit),
        Codec::Av1 => av1(unit),
        Codec::Vp8 => vp8(unit),
        Codec::Vp9 => vp9(unit),
    }
}

/// What is needed before the first picture of a keyframe, and whether it was there.
fn key_with<const N: usize>(sets: [(bool, &'static str); N]) -> Result<UnitKind, HeaderError> {
    match sets.into_iter().find(|(present, _)| !present) {
        Some((_, missing)) => Err(HeaderError::Missing(missing)),
        None => Ok(UnitKind::Key),
    }
}

/// ITU-T H.264, table 7-1.
fn h264(unit: &[u8]) -> Result<UnitKind, HeaderError> {
    let (mut sps, mut pps) = (false, false);
    for nal in heads(unit) {
        match NalKind::of(nal[0]) {
            NalKind::Sps => sps = true,
            NalKind::Pps => pps = true,
            NalKind::IdrSlice => {
                return key_with([
                    (sps, "a sequence parameter set"),
                    (pps, "a picture parameter set"),
                ]);
            }
            NalKind::Slice => return Ok(UnitKind::Delta),
            _ => {}
        }
    }
    Err(HeaderError::NoPicture)
}

/// ITU-T H.265, table 7-1: the byte stream format is that of H.264, the header has two bytes.
fn h265(unit: &[u8]) -> Result<UnitKind, HeaderError> {
    let (mut vps, mut sps, mut pps) = (false, false, false);
    for nal in heads(unit) {
        match nal[0] >> 1 & 0x3f {
            32 => vps = true,
            33 => sps = true,
            34 => pps = true,
            // IDR_W_RADL and IDR_N_LP. A CRA or BLA picture may have leading pictures that refer to
            // what was before, and no encoder here is asked for one.
            19 | 20 => {
                return key_with([
                    (vps, "a video parameter set"),
                    (sps, "a sequence parameter set"),
                    (pps, "a picture parameter set"),
                ]);
            }
            0..=31 => return Ok(UnitKind::Delta),
            _ => {}
        }
    }
    Err(HeaderError::NoPicture)
}

/// RFC 6386, 9.1: three bytes of frame tag, then start code and size in keyframes.
fn vp8(unit: &[u8]) -> Result<UnitKind, HeaderError> {
    let &[tag, _, _, ..] = unit else { return Err(HeaderError::NoPicture) };
    if tag & 1 == 1 {
        return Ok(UnitKind::Delta);
    }
    match unit.get(3..10) {
        Some(&[0x9d, 0x01, 0x2a, ..]) => Ok(UnitKind::Key),
        _ => Err(HeaderError::Missing("the start code of VP8")),
    }
}

/// VP9 bitstream specification, 6.2: the first bits of the uncompressed header.
fn vp9(unit: &[u8]) -> Result<UnitKind, HeaderError> {
    let mut bits = Bits::new(unit);
    let mut bit = || bits.read(1).ok_or(HeaderError::NoPicture);
    if (bit()?, bit()?) != (1, 0) {
        return Err(HeaderError::Invalid("the frame marker of VP9 is missing"));
    }
    let profile = bit()? | bit()? << 1;
    if profile == 3 {
        bit()?;
    }
    if bit()? == 1 {
        // `show_existing_frame`: nothing is coded.
        return Err(HeaderError::NoPicture);
    }
    if bit()? == 1 {
        return Ok(UnitKind::Delta);
    }
    // `show_frame` and `error_resilient_mode` come before the sync code.
    bit()?;
    bit()?;
    match bits.read(24) {
        Some(0x49_83_42) => Ok(UnitKind::Key),
        _ => Err(HeaderError::Missing("the sync code of VP9")),
    }
}

/// AV1 specification, 5.3, 5.5.1 and 5.9.2: the open bitstream units of a temporal unit.
fn av1(unit: &[u8]) -> Result<UnitKind, HeaderError> {
    let cut = HeaderError::Invalid("an OBU of AV1 is cut short");
    let mut sequence = false;
    for obu in obus(unit) {
        let obu = obu.map_err(|error| match error {
            SyntaxError::Truncated => cut,
            SyntaxError::OutOfRange(what) => HeaderError::Invalid(what),
        })?;
        match obu.kind {
            av1::SEQUENCE_HEADER => sequence = true,
            av1::FRAME_HEADER | av1::FRAME => {
                let mut bits = Bits::new(obu.payload);
                if bits.flag().ok_or(cut)? {
                    // `show_existing_frame`: nothing is coded.
                    continue;
                }
                // `frame_type`: 0 is KEY_FRAME. No encoder here makes reduced still picture headers,
                // which leave it out.
                return match bits.read(2).ok_or(cut)? {
                    0 => key_with([(sequence, "a sequence header")]),
                    _ => Ok(UnitKind::Delta),
                };
            }
            _ => {}
        }
    }
    Err(HeaderError::NoPicture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn annex_b(headers: &[&[u8]]) -> Vec<u8> {
        headers.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect()
    }

    #[test]
    fn h264_begins_with_both_parameter_sets() {
        let (sps, pps, idr, slice) =
            (&[0x67, 1][..], &[0x68, 1][..], &[0x65, 1][..], &[0x41, 1][..]);
        assert_eq!(kind(Codec::H264, &annex_b(&[sps, pps, idr])), Ok(UnitKind::Key));
        assert_eq!(kind(Codec::H264, &annex_b(&[slice])), Ok(UnitKind::Delta));
        let missing = |what| Err(HeaderError::Missing(what));
        assert_eq!(kind(Codec::H264, &annex_b(&[sps, idr])), missing("a picture parameter set"));
        assert_eq!(kind(Codec::H264, &annex_b(&[idr, sps])), missing("a sequence parameter set"));
        assert_eq!(kind(Codec::H264, &annex_b(&[sps, pps])), Err(HeaderError::NoPicture));
    }

    #[test]
    fn h265_begins_with_three_parameter_sets() {
        // `nal_unit_type` lies in bits 1 to 6 of the first byte.
        let nal = |kind: u8| [kind << 1, 1, 0xff];
        let (vps, sps, pps) = (nal(32), nal(33), nal(34));
        let idr = |kind| annex_b(&[&vps, &sps, &pps, &nal(kind)]);
        assert_eq!(kind(Codec::H265, &idr(19)), Ok(UnitKind::Key));
        assert_eq!(kind(Codec::H265, &idr(20)), Ok(UnitKind::Key));
        assert_eq!(kind(Codec::H265, &annex_b(&[&nal(1)])), Ok(UnitKind::Delta));
        assert_eq!(kind(Codec::H265, &annex_b(&[&nal(21)])), Ok(UnitKind::Delta));
        let without = annex_b(&[&sps, &pps, &nal(19)]);
        assert_eq!(kind(Codec::H265, &without), Err(HeaderError::Missing("a video parameter set")));
        assert_eq!(kind(Codec::H265, &annex_b(&[&vps])), Err(HeaderError::NoPicture));
    }

    #[test]
    fn vp8_says_it_in_the_first_bit() {
        let key = [0x10, 2, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0];
        assert_eq!(kind(Codec::Vp8, &key), Ok(UnitKind::Key));
        assert_eq!(kind(Codec::Vp8, &[0x11, 2, 0]), Ok(UnitKind::Delta));
        assert!(kind(Codec::Vp8, &key[..9]).is_err() && kind(Codec::Vp8, &[0x11]).is_err());
    }

    #[test]
    fn vp9_says_it_after_marker_and_profile() {
        // Marker 10, profile 00, no existing frame, key, shown, not resilient; the sync code.
        let key = [0b1000_0010, 0x49, 0x83, 0x42];
        assert_eq!(kind(Codec::Vp9, &key), Ok(UnitKind::Key));
        assert_eq!(kind(Codec::Vp9, &[0b1000_0110]), Ok(UnitKind::Delta));
        assert_eq!(kind(Codec::Vp9, &[0b1000_1000]), Err(HeaderError::NoPicture));
        assert!(kind(Codec::Vp9, &key[..3]).is_err());
        assert!(matches!(kind(Codec::Vp9, &[0]), Err(HeaderError::Invalid(_))));
        // Profile 3 has a reserved bit.
        assert_eq!(kind(Codec::Vp9, &[0b1011_0010, 0]), Ok(UnitKind::Delta));
    }

    #[test]
    fn av1_begins_with_a_sequence_header() {
        let (delimiter, sequence) = ([0x12, 0], [0x0a, 2, 7, 7]);
        let frame = |first: u8| [0x32, 2, first, 0];
        let unit = |parts: &[&[u8]]| parts.concat();
        let key = unit(&[&delimiter, &sequence, &frame(0b0001_0000)]);
        assert_eq!(kind(Codec::Av1, &key), Ok(UnitKind::Key));
        let inter = unit(&[&delimiter, &frame(0b0011_0000)]);
        assert_eq!(kind(Codec::Av1, &inter), Ok(UnitKind::Delta));
        let bare = unit(&[&delimiter, &frame(0b0001_0000)]);
        assert_eq!(kind(Codec::Av1, &bare), Err(HeaderError::Missing("a sequence header")));
        let shown = unit(&[&delimiter, &frame(0b1000_0000)]);
        assert_eq!(kind(Codec::Av1, &shown), Err(HeaderError::NoPicture));
        assert!(matches!(kind(Codec::Av1, &[0x32, 200, 1]), Err(HeaderError::Invalid(_))));
        // Without a size the OBU fills the rest; an extension byte comes before the payload.
        assert_eq!(kind(Codec::Av1, &[0x34, 8, 0b0011_0000]), Ok(UnitKind::Delta));
    }

    proptest! {
        #[test]
        fn nothing_panics(unit in proptest::collection::vec(any::<u8>(), 0..40)) {
            for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8, Codec::Vp9] {
                let _ = kind(codec, &unit);
            }
        }
    }
}
