//! The little of H.265's syntax (ITU-T H.265, 08/2021) that a sender must understand: what a sequence
//! parameter set says of colours.
//!
//! It never decodes pictures. Used wrongly (a length-prefixed stream, a unit cut in the middle) it finds no
//! parameter sets and rewrites nothing.

use media::ColorDescription;

use crate::bits::{BitReader, BitWriter, SyntaxError};
use crate::h264::{nals, rewrite};

/// `SPS_NUT` (table 7-1).
const SPS: u8 = 33;
/// Types up to this are slices.
const LAST_SLICE: u8 = 31;
/// `video_format` (table E.2): unspecified.
const UNSPECIFIED_FORMAT: u32 = 5;

/// Makes every sequence parameter set of an access unit say how colours are to be read. Returns `unit`
/// where it says so already, else what it wrote into `rewritten`, whose memory is for the caller to use
/// again. All else stays bit for bit as it is.
///
/// # Errors
/// [`SyntaxError`] when a sequence parameter set cannot be read; the unit is then better not sent.
pub fn prepare<'a>(
    unit: &'a [u8],
    color: ColorDescription,
    rewritten: &'a mut Vec<u8>,
) -> Result<&'a [u8], SyntaxError> {
    let kind = |bytes: &[u8]| bytes[0] >> 1 & 0x3f;
    let head = nals(unit).take_while(|nal| kind(nal.bytes()) > LAST_SLICE);
    let replacement = |bytes: &[u8]| match kind(bytes) {
        SPS => with_colors(bytes, color),
        _ => Ok(None),
    };
    rewrite(unit, head, replacement, rewritten)
}

/// A sequence parameter set that says `color`; none where it does so already.
fn with_colors(nal: &[u8], color: ColorDescription) -> Result<Option<Vec<u8>>, SyntaxError> {
    let ColorDescription { primaries, transfer, matrix, full_range } = color;
    let codes = [primaries as u8, transfer as u8, matrix as u8];
    let (&header, payload) = nal.split_first().ok_or(SyntaxError::Truncated)?;
    let said = Signal::find(payload)?;
    if (said.codes, said.full_range) == (Some(codes), full_range) {
        return Ok(None);
    }
    let mut reader = BitReader::new(payload);
    let bits: Vec<_> = std::iter::from_fn(|| reader.flag().ok()).collect();
    // `rbsp_trailing_bits`: the last bit that is set is of no field.
    let end = bits.iter().rposition(|&bit| bit).filter(|&end| end >= said.to);
    let end = end.ok_or(SyntaxError::Truncated)?;
    let mut w = BitWriter::new();
    bits[..said.from].iter().for_each(|&bit| w.flag(bit));
    if !said.has_vui {
        // `vui_parameters_present_flag`; no aspect ratio, no overscan.
        w.bits(0b100, 3);
    }
    w.flag(true);
    w.bits(said.format, 3);
    w.flag(full_range);
    w.flag(true);
    codes.into_iter().for_each(|code| w.bits(code.into(), 8));
    if !said.has_vui {
        // From `chroma_loc_info_present_flag` to `bitstream_restriction_flag` there is nothing more.
        w.bits(0, 7);
    }
    bits[said.to..end].iter().for_each(|&bit| w.flag(bit));
    Ok(Some(w.into_nal(header)))
}

/// What a sequence parameter set says of colours (E.2.1).
struct Signal {
    /// There is video usability information.
    has_vui: bool,
    /// Bits of the payload up to `video_signal_type_present_flag`, or to `vui_parameters_present_flag`
    /// where that is not set.
    from: usize,
    /// The same to what follows the colours.
    to: usize,
    /// `video_format`.
    format: u32,
    /// `video_full_range_flag`.
    full_range: bool,
    /// `colour_primaries`, `transfer_characteristics` and `matrix_coeffs`, where they are coded.
    codes: Option<[u8; 3]>,
}

impl Signal {
    /// Reads from the second byte of the NAL unit's header on.
    fn find(payload: &[u8]) -> Result<Self, SyntaxError> {
        let r = &mut BitReader::new(payload);
        r.byte()?;
        skip_to_vui(r)?;
        let mut from = r.position();
        let has_vui = r.flag()?;
        let (mut format, mut full_range, mut codes) = (UNSPECIFIED_FORMAT, false, None);
        if has_vui {
            // `aspect_ratio_idc`: 255 is followed by a width and a height.
            if r.flag()? && r.byte()? == 255 {
                r.bits(32)?;
            }
            // `overscan_info_present_flag`, `overscan_appropriate_flag`.
            if r.flag()? {
                r.flag()?;
            }
            from = r.position();
            if r.flag()? {
                (format, full_range) = (r.bits(3)?, r.flag()?);
                if r.flag()? {
                    codes = Some([r.byte()?, r.byte()?, r.byte()?]);
                }
            }
        }
        Ok(Self { has_vui, from, to: r.position(), format, full_range, codes })
    }
}

/// From `sps_video_parameter_set_id` to `strong_intra_smoothing_enabled_flag` (7.3.2.2.1).
fn skip_to_vui(r: &mut BitReader<'_>) -> Result<(), SyntaxError> {
    r.bits(4)?;
    let max_sub_layers_minus1 = r.bits(3)?;
    if max_sub_layers_minus1 > 6 {
        return Err(SyntaxError::OutOfRange("sps_max_sub_layers_minus1"));
    }
    r.flag()?;
    skip_profile_tier_level(r, max_sub_layers_minus1)?;
    r.unsigned_to(15, "sps_seq_parameter_set_id")?;
    let chroma_format_idc = r.unsigned_to(3, "chroma_format_idc")?;
    if chroma_format_idc == 3 {
        r.flag()?;
    }
    skip_unsigned(r, 2)?;
    if r.flag()? {
        // The conformance window.
        skip_unsigned(r, 4)?;
    }
    skip_unsigned(r, 2)?;
    let log2_max_poc_lsb = 4 + r.unsigned_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
    let orderings = if r.flag()? { max_sub_layers_minus1 + 1 } else { 1 };
    skip_unsigned(r, 3 * orderings)?;
    // Sizes of blocks and depths of their trees.
    skip_unsigned(r, 6)?;
    if r.flag()? && r.flag()? {
        skip_scaling_lists(r)?;
    }
    // `amp_enabled_flag`, `sample_adaptive_offset_enabled_flag`.
    r.bits(2)?;
    if r.flag()? {
        // PCM: depths, sizes, and whether it is filtered.
        r.bits(8)?;
        skip_unsigned(r, 2)?;
        r.flag()?;
    }
    skip_reference_sets(r)?;
    if r.flag()? {
        for _ in 0..r.unsigned_to(32, "num_long_term_ref_pics_sps")? {
            r.bits(log2_max_poc_lsb + 1)?;
        }
    }
    // `sps_temporal_mvp_enabled_flag`, `strong_intra_smoothing_enabled_flag`.
    r.bits(2)?;
    Ok(())
}

fn skip_unsigned(r: &mut BitReader<'_>, count: u32) -> Result<(), SyntaxError> {
    (0..count).try_for_each(|_| r.unsigned().map(drop))
}

/// `profile_tier_level(1, …)` (7.3.3).
fn skip_profile_tier_level(
    r: &mut BitReader<'_>,
    max_sub_layers_minus1: u32,
) -> Result<(), SyntaxError> {
    // 88 bits of profile and 8 of level.
    const PROFILE: u32 = 11;
    let mut bytes = PROFILE + 1;
    let mut present = Vec::new();
    (0..bytes).try_for_each(|_| r.byte().map(drop))?;
    for _ in 0..max_sub_layers_minus1 {
        present.push((r.flag()?, r.flag()?));
    }
    if max_sub_layers_minus1 > 0 {
        // Reserved, for as many sub-layers as are left of eight.
        r.bits(2 * (8 - max_sub_layers_minus1))?;
    }
    for (profile, level) in present {
        bytes = PROFILE * u32::from(profile) + u32::from(level);
        (0..bytes).try_for_each(|_| r.byte().map(drop))?;
    }
    Ok(())
}

/// `scaling_list_data()` (7.3.4).
fn skip_scaling_lists(r: &mut BitReader<'_>) -> Result<(), SyntaxError> {
    for size in 0..4 {
        let matrices = if size == 3 { 2 } else { 6 };
        for _ in 0..matrices {
            let coded = r.flag()?;
            // What it is predicted from; or the coefficients, and of large blocks another for the mean.
            let codes = if coded { 64.min(1 << (4 + 2 * size)) + u32::from(size > 1) } else { 1 };
            skip_unsigned(r, codes)?;
        }
    }
    Ok(())
}

/// `num_short_term_ref_pic_sets` and the sets (7.3.7).
fn skip_reference_sets(r: &mut BitReader<'_>) -> Result<(), SyntaxError> {
    // `NumDeltaPocs` of the set before.
    let mut pictures = 0;
    for index in 0..r.unsigned_to(64, "num_short_term_ref_pic_sets")? {
        let predicted = index > 0 && r.flag()?;
        if predicted {
            // `delta_rps_sign`, `abs_delta_rps_minus1`.
            r.flag()?;
            r.unsigned()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used_by_curr_pic = r.flag()?;
                kept += u32::from(used_by_curr_pic || r.flag()?);
            }
            pictures = kept;
        } else {
            pictures = r.unsigned_to(16, "num_negative_pics")?;
            pictures += r.unsigned_to(16, "num_positive_pics")?;
            for _ in 0..pictures {
                r.unsigned()?;
                r.flag()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SDR: ColorDescription = ColorDescription::BT709_LIMITED;
    const WIDE: ColorDescription =
        ColorDescription { full_range: true, ..ColorDescription::BT2020_PQ_LIMITED };

    fn bytes(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// A video parameter set of no sense before it, a slice of none behind it.
    fn unit(sps: &str) -> Vec<u8> {
        bytes(&format!("0000000140010c0000000001{sps}000000012601af09"))
    }

    fn prepared(unit: &[u8], color: ColorDescription) -> Vec<u8> {
        prepare(unit, color, &mut Vec::new()).unwrap().to_vec()
    }

    /// Parameter sets as libx265 wrote them, and what FFmpeg's `hevc_metadata` made of them: BT.709 in
    /// limited range, and BT.2020 with PQ in full range.
    const REAL: [(&str, &str, &str, &str); 4] = [
        (
            "x265enc of GStreamer 1.22: BT.601",
            "42010101600000030090000003000003003fa00502018165ba4a4c2fff000100016a0c0c0c08000003000800000300f040",
            "42010101600000030090000003000003003fa00502018165ba4a4c2fff000100016a02020208000003000800000300f040",
            "42010101600000030090000003000003003fa00502018165ba4a4c2fff000100016e12201208000003000800000300f040",
        ),
        (
            "with scaling lists: a range alone",
            "42010101600000030090000003000003005aa005120189c9265959a49395e02d010000030001000003000108",
            "42010101600000030090000003000003005aa005120189c9265959a49395e02d404040410000030001000003000108",
            "42010101600000030090000003000003005aa005120189c9265959a49395e02dc24402410000030001000003000108",
        ),
        (
            "10 bit, with HRD parameters: a range alone",
            "42010102200000030090000003000003005aa005120189c92365959a4932bc05a020000003002000000303cc0292cdc001e848003d0910",
            "42010102200000030090000003000003005aa005120189c92365959a4932bc05a808080820000003002000000303cc0292cdc001e848003d0910",
            "42010102200000030090000003000003005aa005120189c92365959a4932bc05b848804820000003002000000303cc0292cdc001e848003d0910",
        ),
        (
            "with its VUI taken off",
            "42010101600000030090000003000003005aa005120189c9265959a4939590",
            "42010101600000030090000003000003005aa005120189c9265959a49395cd4040404020",
            "42010101600000030090000003000003005aa005120189c9265959a49395cdc244024020",
        ),
    ];

    #[test]
    fn real_parameter_sets_become_what_another_program_makes_of_them() {
        for (name, before, sdr, wide) in REAL {
            for from in [before, sdr, wide] {
                assert_eq!(prepared(&unit(from), SDR), unit(sdr), "{name}");
                assert_eq!(prepared(&unit(from), WIDE), unit(wide), "{name}");
            }
        }
    }

    #[test]
    fn a_unit_that_says_so_already_is_not_copied() {
        let said = unit(REAL[0].2);
        let delta = bytes("000000010201d0");
        for unit in [&said[..], &delta, &[]] {
            assert_eq!(prepare(unit, SDR, &mut vec![9; 9]).unwrap().as_ptr(), unit.as_ptr());
        }
    }

    #[test]
    fn what_is_cut_is_refused() {
        let whole = [&[0, 0, 0, 1][..], &bytes(REAL[2].1)].concat();
        // Within its fields.
        for end in 5..20 {
            let refused = prepare(&whole[..end], SDR, &mut Vec::new()).map(drop);
            assert_eq!(refused, Err(SyntaxError::Truncated), "{end}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_said_once_stays(
            garbage in proptest::collection::vec(any::<u8>(), 0..60),
            flipped in 0_usize..320,
        ) {
            let mut real = unit(REAL[0].1);
            real[13 + flipped / 8] ^= 1 << (flipped % 8);
            let header = [&[0, 0, 1, 0x42, 1][..], &garbage].concat();
            for unit in [&garbage, &header, &real] {
                let mut memory = Vec::new();
                if let Ok(once) = prepare(unit, SDR, &mut memory).map(<[u8]>::to_vec) {
                    prop_assert_eq!(prepare(&once, SDR, &mut memory), Ok(&once[..]));
                }
            }
        }
    }
}
