//! The little of H.264's syntax (ITU-T H.264, 08/2021) that a sender must understand: units in the
//! byte stream format, parameter sets, and the heads of slices.
//!
//! It never decodes pictures. Used wrongly (a length-prefixed stream, a unit cut in the middle) it
//! finds no units and rewrites nothing; it cannot make a valid stream invalid.

mod annex_b;
mod frame_numbers;
mod pps;
mod slice;
mod sps;

use media::ColorDescription;

pub use crate::bits::SyntaxError;
pub use annex_b::{Nal, NalKind, nals};
pub(crate) use annex_b::{begins_with_start_code, heads, rewrite};
pub(crate) use frame_numbers::FrameNumbers;
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
    /// How colours are to be read, where that may be said wrongly.
    pub color: Option<ColorDescription>,
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
    let Declarations { gaps, color } = declare;
    let change = |sps: &mut Sps| {
        let gaps = gaps && sps.allow_gaps();
        color.is_some_and(|color| sps.declare_color(color)) || gaps
    };
    prepare_by(unit, change, rewritten)
}

/// As [`prepare`], with what else is changed in a sequence parameter set.
fn prepare_by<'a>(
    unit: &'a [u8],
    change: impl Fn(&mut Sps) -> bool,
    rewritten: &'a mut Vec<u8>,
) -> Result<&'a [u8], SyntaxError> {
    // Most units are nothing but slices, of which no end need be searched.
    if heads(unit).next().is_none_or(|first| NalKind::of(first[0]).is_slice()) {
        return Ok(unit);
    }
    let head = nals(unit).take_while(|nal| !nal.kind().is_slice());
    let replacement = |bytes: &[u8]| match NalKind::of(bytes[0]) {
        NalKind::Sps => {
            let mut sps = Sps::parse(bytes)?;
            let ordered = sps.declare_no_reordering();
            let changed = change(&mut sps);
            Ok((ordered || changed).then(|| sps.to_nal()))
        }
        NalKind::Sei if bytes.get(1) == Some(&USER_DATA_UNREGISTERED) => Ok(Some(Vec::new())),
        _ => Ok(None),
    };
    rewrite(unit, head, replacement, rewritten)
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
        let (gaps, mut memory) = (Declarations { gaps: true, color: None }, Vec::new());
        let rewritten = prepare_with(&unit, gaps, &mut memory).unwrap().to_vec();
        let declared = Sps::parse(nals(&rewritten).next().unwrap().bytes()).unwrap();
        assert_eq!(declared, Sps { gaps_in_frame_num_allowed: true, ..sps });
        assert_eq!(prepare_with(&rewritten, gaps, &mut memory), Ok(&rewritten[..]));
    }

    /// x264enc's parameter set with BT.709 in it, the same without a colour description, without a signal
    /// and without any VUI, and one of other colours.
    #[test]
    fn colours_are_declared_whatever_was_said_before() {
        const REAL: [u8; 30] = [
            0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa4, 0x33, 0xe2, 0x22, 0x30, 0x16, 0xa0, 0xc0,
            0xc0, 0xd4, 0xa0, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x07, 0x91, 0xe2, 0xc5,
            0xc9, 0,
        ];
        let real = Sps::parse(&REAL).unwrap();
        let with = |signal| {
            let vui = Vui { signal, ..real.vui.clone().unwrap() };
            Sps { vui: Some(vui), ..real.clone() }
        };
        let said = |color| {
            let signal = |sps: &Sps| sps.vui.as_ref().unwrap().signal;
            let bare = Sps { vui: None, ..real.clone() };
            let range = VideoSignal { format: 5, full_range: true, colour: None };
            let of = [with(None), with(Some(range)), bare, real.clone()].map(|sps| {
                let unit = unit_of(&[&sps.to_nal(), &[0x65, 0x88, 0x84, 0x21]]);
                let mut memory = Vec::new();
                let declare = Declarations { gaps: false, color: Some(color) };
                let once = prepare_with(&unit, declare, &mut memory).unwrap().to_vec();
                assert_eq!(prepare_with(&once, declare, &mut memory).unwrap(), once);
                let declared = Sps::parse(nals(&once).next().unwrap().bytes()).unwrap();
                assert_eq!(declared.size(), real.size());
                signal(&declared).unwrap()
            });
            assert!(of.iter().all(|each| *each == of[0]), "{of:?}");
            of[0]
        };
        let signal = |full_range, [primaries, transfer, matrix]: [u8; 3]| VideoSignal {
            format: 5,
            full_range,
            colour: Some(ColourDescription { primaries, transfer, matrix }),
        };
        assert_eq!(said(ColorDescription::BT709_LIMITED), signal(false, [1, 1, 1]));
        let wide = ColorDescription { full_range: true, ..ColorDescription::BT2020_PQ_LIMITED };
        assert_eq!(said(wide), signal(true, [9, 16, 9]));
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
