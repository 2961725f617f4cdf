//! The little of H.264's syntax (ITU-T H.264, 08/2021) that a sender must understand: units in the
//! byte stream format, parameter sets, and the heads of slices.
//!
//! It never decodes pictures. Used wrongly (a length-prefixed stream, a unit cut in the middle) it
//! finds no units and rewrites nothing; it cannot make a valid stream invalid.

mod annex_b;
mod pps;
mod slice;
mod sps;

pub use crate::bits::SyntaxError;
pub use annex_b::{Nal, NalKind, nals};
pub use pps::Pps;
pub use slice::{LongTermMark, Reference, SliceHeader, SliceType};
pub use sps::{
    BitstreamRestriction, ChromaLocation, ColourDescription, FrameCropping, HighProfile, Hrd,
    PicOrderCount, SampleAspectRatio, ScalingList, Sps, TimingInfo, VideoSignal, Vui,
};

/// Makes every sequence parameter set of an access unit say that no picture is reordered and drops
/// what is not sent on: version banners (user data SEI). Returns `unit` where nothing is to be done,
/// else what it wrote into `rewritten`, whose memory is for the caller to use again.
///
/// Without the declaration a decoder must assume a full reorder buffer (H.264 E.2.1,
/// `max_dec_frame_buffering`) and holds back pictures. Timing info is dropped too, since it claims a
/// fixed frame rate while frames that show nothing new are never coded. Only units before the first
/// slice are looked at: parameter sets come nowhere else.
///
/// # Errors
/// [`SyntaxError`] when a sequence parameter set cannot be read; the unit is then better not sent.
pub fn prepare<'a>(unit: &'a [u8], rewritten: &'a mut Vec<u8>) -> Result<&'a [u8], SyntaxError> {
    prepare_with(unit, Declarations::default(), rewritten)
}

/// What a stream says of itself beyond what [`prepare`] makes every stream say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// Pictures that never arrive leave gaps in `frame_num`: for encoders that recover by references
    /// to pictures before a loss.
    pub gaps: bool,
}

/// As [`prepare`], and declares more.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with<'a>(
    unit: &'a [u8],
    declare: Declarations,
    rewritten: &'a mut Vec<u8>,
) -> Result<&'a [u8], SyntaxError> {
    rewritten.clear();
    let mut copied = 0;
    for nal in nals(unit).take_while(|nal| !nal.kind().is_slice()) {
        let replacement = match nal.kind() {
            NalKind::Sps => {
                let mut sps = Sps::parse(nal.bytes())?;
                let ordered = sps.declare_no_reordering();
                let gaps = declare.gaps && sps.allow_gaps();
                (ordered || gaps).then(|| sps.to_nal())
            }
            NalKind::Sei if nal.bytes().get(1) == Some(&USER_DATA_UNREGISTERED) => Some(Vec::new()),
            _ => None,
        };
        if let Some(bytes) = replacement {
            rewritten.reserve(unit.len() + bytes.len());
            rewritten.extend_from_slice(&unit[copied..nal.start]);
            if !bytes.is_empty() {
                rewritten.extend_from_slice(&[0, 0, 0, 1]);
                rewritten.extend_from_slice(&bytes);
            }
            copied = nal.end;
        }
    }
    if copied == 0 {
        return Ok(unit);
    }
    rewritten.extend_from_slice(&unit[copied..]);
    Ok(rewritten)
}

/// `payloadType` of a user data SEI message (H.264 D.1.1).
const USER_DATA_UNREGISTERED: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Baseline 3.1, 1280x720, no VUI: written by hand from the syntax table.
    fn plain_sps() -> Sps {
        Sps {
            profile_idc: 66,
            constraint_flags: 0xc0,
            level_idc: 31,
            id: 0,
            high: None,
            log2_max_frame_num_minus4: 0,
            pic_order_count: PicOrderCount::Type2,
            max_num_ref_frames: 1,
            gaps_in_frame_num_allowed: false,
            width_in_mbs_minus1: 79,
            height_in_map_units_minus1: 44,
            frame_mbs_only: true,
            mb_adaptive_frame_field: false,
            direct_8x8_inference: true,
            cropping: None,
            vui: None,
        }
    }

    fn unit_of(nals: &[&[u8]]) -> Vec<u8> {
        let mut unit = Vec::new();
        for nal in nals {
            unit.extend_from_slice(&[0, 0, 0, 1]);
            unit.extend_from_slice(nal);
        }
        unit
    }

    fn prepared(unit: &[u8]) -> Vec<u8> {
        prepare(unit, &mut Vec::new()).unwrap().to_vec()
    }

    #[test]
    fn only_the_parameter_set_changes() {
        let (pps, slice) = ([0x68, 0xce, 0x38, 0x80], [0x65, 0x88, 0x84, 0x21]);
        let unit = unit_of(&[&plain_sps().to_nal(), &pps, &slice]);
        let rewritten = prepared(&unit);
        let parts: Vec<_> = nals(&rewritten).collect();
        assert_eq!(parts.len(), 3);
        let sps = Sps::parse(parts[0].bytes()).unwrap();
        let restriction = sps.vui.unwrap().bitstream_restriction.unwrap();
        assert_eq!(restriction.max_num_reorder_frames, 0);
        assert_eq!(restriction.max_dec_frame_buffering, 1);
        assert_eq!((parts[1].bytes(), parts[2].bytes()), (&pps[..], &slice[..]));
        assert_eq!(prepared(&rewritten), rewritten);
    }

    #[test]
    fn gaps_are_declared_where_asked_for_and_once() {
        let mut sps = plain_sps();
        assert!(sps.declare_no_reordering());
        let unit = unit_of(&[&sps.to_nal(), &[0x65, 0x88, 0x84, 0x21]]);
        assert_eq!(prepared(&unit), unit);
        let (gaps, mut memory) = (Declarations { gaps: true }, Vec::new());
        let rewritten = prepare_with(&unit, gaps, &mut memory).unwrap().to_vec();
        let declared = Sps::parse(nals(&rewritten).next().unwrap().bytes()).unwrap();
        assert_eq!(declared, Sps { gaps_in_frame_num_allowed: true, ..sps });
        assert_eq!(prepare_with(&rewritten, gaps, &mut memory), Ok(&rewritten[..]));
    }

    #[test]
    fn a_version_banner_is_dropped() {
        let mut banner = vec![0x06, 0x05, 0x12];
        banner.extend_from_slice(&[7; 18]);
        banner.push(0x80);
        let mut sps = plain_sps();
        assert!(sps.declare_no_reordering());
        let (sps, slice) = (sps.to_nal(), [0x65, 0x88]);
        let unit = unit_of(&[&sps, &banner, &slice]);
        assert_eq!(prepared(&unit), unit_of(&[&sps, &slice]));
    }

    #[test]
    fn a_delta_unit_and_garbage_are_left_alone() {
        for unit in [&unit_of(&[&[0x41, 0x9a, 0x21]])[..], &[], &[1, 2, 3]] {
            assert_eq!(prepare(unit, &mut vec![9; 9]).unwrap().as_ptr(), unit.as_ptr());
        }
    }

    #[test]
    fn a_broken_parameter_set_is_an_error() {
        let unit = unit_of(&[&[0x67, 0x42], &[0x65, 0x88]]);
        assert!(prepare(&unit, &mut Vec::new()).is_err());
    }

    #[test]
    fn the_memory_of_the_unit_before_is_used_again() {
        let unit = unit_of(&[&plain_sps().to_nal(), &[0x65, 0x88, 0x84, 0x21]]);
        let mut memory = Vec::new();
        let (first, place) = {
            let first = prepare(&unit, &mut memory).unwrap();
            (first.to_vec(), first.as_ptr())
        };
        let second = prepare(&unit, &mut memory).unwrap();
        assert_eq!((second, second.as_ptr()), (&first[..], place));
    }
}
