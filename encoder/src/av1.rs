//! The little of AV1's syntax (AV1 Bitstream & Decoding Process Specification, version 1.0.0 with errata 1)
//! that a sender must understand: the open bitstream units of a temporal unit, and what a sequence header
//! says of colours.
//!
//! It never decodes pictures. Used wrongly (units in the length-delimited format, a unit cut in the middle)
//! it says so and rewrites nothing.

use media::{ColorDescription, MatrixCoefficients};

use crate::bits::{BitWriter, Bits, SyntaxError};

/// `OBU_SEQUENCE_HEADER` (6.2.2).
pub(crate) const SEQUENCE_HEADER: u8 = 1;
/// `OBU_FRAME_HEADER`.
pub(crate) const FRAME_HEADER: u8 = 3;
/// `OBU_FRAME`.
pub(crate) const FRAME: u8 = 6;

/// An open bitstream unit (5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obu<'a> {
    /// `obu_type`.
    pub(crate) kind: u8,
    /// Its header, with the extension where it has one and without the size.
    header: &'a [u8],
    /// `obu_size` is coded; else it fills the rest of the unit.
    sized: bool,
    /// What follows the size.
    pub(crate) payload: &'a [u8],
    /// Where it ends in the temporal unit.
    end: usize,
}

/// The parts of a temporal unit in the low-overhead format (5.2). After an error there are no more.
pub(crate) fn obus(unit: &[u8]) -> impl Iterator<Item = Result<Obu<'_>, SyntaxError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = unit.get(at..).filter(|rest| !rest.is_empty())?;
        let obu = obu(rest, at);
        at = obu.as_ref().map_or(unit.len(), |obu| obu.end);
        Some(obu)
    })
}

/// The first one of `bytes`, which begin `at` in their unit.
fn obu(bytes: &[u8], at: usize) -> Result<Obu<'_>, SyntaxError> {
    let first = *bytes.first().ok_or(SyntaxError::Truncated)?;
    let (kind, extension, sized) = (first >> 3 & 0xf, first & 4 != 0, first & 2 != 0);
    if first & 0x80 != 0 {
        return Err(SyntaxError::OutOfRange("obu_forbidden_bit"));
    }
    let (header, rest) =
        bytes.split_at_checked(1 + usize::from(extension)).ok_or(SyntaxError::Truncated)?;
    let (length, rest) =
        if sized { leb128(rest).ok_or(SyntaxError::Truncated)? } else { (rest.len(), rest) };
    let payload = rest.get(..length).ok_or(SyntaxError::Truncated)?;
    let end = at + bytes.len() - rest.len() + length;
    Ok(Obu { kind, header, sized, payload, end })
}

/// `leb128()` (4.10.5), and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

/// The same written, in as few bytes as it takes.
fn write_leb128(mut value: usize, into: &mut Vec<u8>) {
    while value > 0x7f {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Makes every sequence header of a temporal unit say how colours are to be read. Returns `unit` where it
/// says so already, else what it wrote into `rewritten`, whose memory is for the caller to use again. All
/// else stays bit for bit as it is, but for zero bytes that pad a header.
///
/// # Errors
/// [`SyntaxError`] for a header that cannot be read, that is one of a still picture, or whose pictures are R,
/// G and B, which can be said of no other. The unit is then better not sent.
pub fn prepare<'a>(
    unit: &'a [u8],
    color: ColorDescription,
    rewritten: &'a mut Vec<u8>,
) -> Result<&'a [u8], SyntaxError> {
    rewritten.clear();
    let (mut begin, mut copied) = (0, 0);
    for obu in obus(unit) {
        let obu = obu?;
        if obu.kind == SEQUENCE_HEADER
            && let Some(payload) = with_colors(obu.payload, color)?
        {
            rewritten.reserve(unit.len() + payload.len());
            rewritten.extend_from_slice(&unit[copied..begin]);
            rewritten.extend_from_slice(obu.header);
            if obu.sized {
                write_leb128(payload.len(), rewritten);
            }
            rewritten.extend_from_slice(&payload);
            copied = obu.end;
        }
        begin = obu.end;
    }
    if copied == 0 {
        return Ok(unit);
    }
    rewritten.extend_from_slice(&unit[copied..]);
    Ok(rewritten)
}

/// A sequence header that says `color`; none where it does so already.
fn with_colors(payload: &[u8], color: ColorDescription) -> Result<Option<Vec<u8>>, SyntaxError> {
    let ColorDescription { primaries, transfer, matrix, full_range } = color;
    if matrix == MatrixCoefficients::Identity {
        return Err(RGB);
    }
    let codes = [primaries as u8, transfer as u8, matrix as u8];
    let said = Colors::find(payload)?;
    if (said.codes, said.full_range) == (Some(codes), full_range) {
        return Ok(None);
    }
    // `trailing_bits` (5.3.4): the last bit that is set is of no header.
    let last = payload.iter().rposition(|&byte| byte != 0).ok_or(SyntaxError::Truncated)?;
    let end = 8 * last + 7 - payload[last].trailing_zeros() as usize;
    if end < said.to {
        return Err(SyntaxError::Truncated);
    }
    let (mut from, mut to) = (Bits::new(payload), BitWriter::new());
    while from.position() < end {
        if from.position() == said.from {
            to.flag(true);
            codes.into_iter().for_each(|code| to.bits(code.into(), 8));
            to.flag(full_range);
        }
        let bit = from.flag().ok_or(SyntaxError::Truncated)?;
        if !(said.from..said.to).contains(&(from.position() - 1)) {
            to.flag(bit);
        }
    }
    Ok(Some(to.into_bytes()))
}

/// Pictures whose planes are R, G and B.
const RGB: SyntaxError = SyntaxError::OutOfRange("matrix_coefficients");

/// What a sequence header says of colours (5.5.2).
struct Colors {
    /// Bits from the start of the payload to `color_description_present_flag`.
    from: usize,
    /// The same to what follows `color_range`.
    to: usize,
    /// `color_primaries`, `transfer_characteristics` and `matrix_coefficients`, where they are coded.
    codes: Option<[u8; 3]>,
    /// `color_range`.
    full_range: bool,
}

impl Colors {
    fn find(payload: &[u8]) -> Result<Self, SyntaxError> {
        let r = &mut Reader(Bits::new(payload));
        let profile = r.bits(3)?;
        if profile > 2 {
            return Err(SyntaxError::OutOfRange("seq_profile"));
        }
        // `still_picture`.
        r.bits(1)?;
        if r.flag()? {
            return Err(SyntaxError::OutOfRange("reduced_still_picture_header"));
        }
        r.skip_operating_points()?;
        r.skip_tools()?;
        let high_bit_depth = r.flag()?;
        if profile == 2 && high_bit_depth {
            // `twelve_bit`.
            r.bits(1)?;
        }
        if profile != 1 {
            // `mono_chrome`: what follows it differs behind the range alone.
            r.bits(1)?;
        }
        let from = r.0.position();
        let described = r.flag()?;
        let codes = if described {
            Some([r.bits(8)? as u8, r.bits(8)? as u8, r.bits(8)? as u8])
        } else {
            None
        };
        if codes.is_some_and(|codes| codes[2] == MatrixCoefficients::Identity as u8) {
            return Err(RGB);
        }
        let full_range = r.flag()?;
        Ok(Self { from, to: r.0.position(), codes, full_range })
    }
}

/// Reads a sequence header. Names are those of the specification.
struct Reader<'a>(Bits<'a>);

impl Reader<'_> {
    fn flag(&mut self) -> Result<bool, SyntaxError> {
        self.0.flag().ok_or(SyntaxError::Truncated)
    }

    fn bits(&mut self, count: usize) -> Result<u32, SyntaxError> {
        self.0.read(count).ok_or(SyntaxError::Truncated)
    }

    /// `uvlc()` (4.10.3).
    fn skip_uvlc(&mut self) -> Result<(), SyntaxError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        // As many zeros stand for the largest value, and nothing follows them.
        if zeros < 32 {
            self.bits(zeros)?;
        }
        Ok(())
    }

    /// From `timing_info_present_flag` to the last operating point (5.5.1, 5.5.3 to 5.5.5).
    fn skip_operating_points(&mut self) -> Result<(), SyntaxError> {
        // Bits of a delay, where there is a decoder model.
        let mut delay = None;
        if self.flag()? {
            // `num_units_in_display_tick`, `time_scale`.
            self.bits(32)?;
            self.bits(32)?;
            let equal_picture_interval = self.flag()?;
            if equal_picture_interval {
                self.skip_uvlc()?;
            }
            let decoder_model_info_present = self.flag()?;
            if decoder_model_info_present {
                delay = Some(self.bits(5)? as usize + 1);
                // `num_units_in_decoding_tick`, and the lengths of two other times.
                self.bits(32)?;
                self.bits(10)?;
            }
        }
        let initial_display_delay_present = self.flag()?;
        for _ in 0..=self.bits(5)? {
            // `operating_point_idc`, then `seq_level_idx`: from level 4.0 on there are two tiers.
            self.bits(12)?;
            if self.bits(5)? > 7 {
                self.bits(1)?;
            }
            if let Some(delay) = delay
                && self.flag()?
            {
                // For decoder and encoder, and `low_delay_mode_flag`.
                self.bits(delay)?;
                self.bits(delay)?;
                self.bits(1)?;
            }
            if initial_display_delay_present && self.flag()? {
                self.bits(4)?;
            }
        }
        Ok(())
    }

    /// From the frame's size to `enable_restoration` (5.5.1).
    fn skip_tools(&mut self) -> Result<(), SyntaxError> {
        let (width, height) = (self.bits(4)? as usize + 1, self.bits(4)? as usize + 1);
        self.bits(width)?;
        self.bits(height)?;
        let frame_id_numbers_present = self.flag()?;
        if frame_id_numbers_present {
            self.bits(7)?;
        }
        // `use_128x128_superblock`, `enable_filter_intra`, `enable_intra_edge_filter`; then
        // `enable_interintra_compound`, `enable_masked_compound`, `enable_warped_motion`,
        // `enable_dual_filter`.
        self.bits(7)?;
        let enable_order_hint = self.flag()?;
        if enable_order_hint {
            // `enable_jnt_comp`, `enable_ref_frame_mvs`.
            self.bits(2)?;
        }
        let seq_choose_screen_content_tools = self.flag()?;
        if seq_choose_screen_content_tools || self.flag()? {
            let seq_choose_integer_mv = self.flag()?;
            if !seq_choose_integer_mv {
                self.bits(1)?;
            }
        }
        if enable_order_hint {
            self.bits(3)?;
        }
        // `enable_superres`, `enable_cdef`, `enable_restoration`.
        self.bits(3)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SDR: ColorDescription = ColorDescription::BT709_LIMITED;
    const HDR: ColorDescription = ColorDescription::BT2020_PQ_LIMITED;
    const WIDE: ColorDescription = ColorDescription { full_range: true, ..HDR };

    /// A temporal delimiter, and a frame of no sense behind the header.
    fn unit(header: &str) -> Vec<u8> {
        let digits = format!("1200{header}3204135f5801");
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    fn prepared(unit: &[u8], color: ColorDescription) -> Vec<u8> {
        prepare(unit, color, &mut Vec::new()).unwrap().to_vec()
    }

    /// Headers as encoders wrote them, and what FFmpeg's `av1_metadata` made of them: BT.709 in limited
    /// range, and BT.2020 with PQ in full range.
    const REAL: [(&str, &str, &str, &str); 6] = [
        (
            "av1enc of GStreamer 1.22, 8 bit: nothing is said",
            "0a0c0000000cbcff7fc0daf90040",
            "0a0f0000000cbcff7fc0daf91010101040",
            "0a0f0000000cbcff7fc0daf91091009840",
        ),
        (
            "libaom, 10 bit, BT.2020 with PQ",
            "0a0e0000002d4cffb3dfff9d09100904",
            "0a0e0000002d4cffb3dfff9d01010104",
            "0a0e0000002d4cffb3dfff9d09100984",
        ),
        (
            "SVT-AV1, 10 bit, BT.2020 with PQ",
            "0a0e0000002d4cffb3cfbf9509100904",
            "0a0e0000002d4cffb3cfbf9501010104",
            "0a0e0000002d4cffb3cfbf9509100984",
        ),
        (
            "rav1e, 10 bit, BT.2020 with PQ",
            "0a0e000000faa67fd9e210ae8488048a",
            "0a0e000000faa67fd9e210ae8080808a",
            "0a0e000000faa67fd9e210ae848804ca",
        ),
        (
            "libaom, 4:4:4: nothing is said",
            "0a0b2000002d4cffb3dfff9820",
            "0a0e2000002d4cffb3dfff9a02020220",
            "0a0e2000002d4cffb3dfff9a12201320",
        ),
        (
            "libaom with timing info",
            "0a1404000000040000007a8000016a67fd9efffcc020",
            "0a1704000000040000007a8000016a67fd9efffcc808080820",
            "0a1704000000040000007a8000016a67fd9efffcc848804c20",
        ),
    ];

    #[test]
    fn real_headers_become_what_another_program_makes_of_them() {
        for (name, before, sdr, wide) in REAL {
            let before = unit(before);
            assert_eq!(prepared(&before, SDR), unit(sdr), "{name}");
            assert_eq!(prepared(&before, WIDE), unit(wide), "{name}");
            for from in [sdr, wide] {
                assert_eq!(prepared(&unit(from), SDR), unit(sdr), "{name}");
                assert_eq!(prepared(&unit(from), WIDE), unit(wide), "{name}");
            }
        }
    }

    #[test]
    fn a_unit_that_says_so_already_is_not_copied() {
        let said = unit(REAL[1].1);
        let delta = &unit("")[..];
        for unit in [&said[..], delta, &[]] {
            assert_eq!(prepare(unit, HDR, &mut vec![9; 9]).unwrap().as_ptr(), unit.as_ptr());
        }
        assert_ne!(prepared(&said, SDR), said);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refusal = |unit: &[u8], color| prepare(unit, color, &mut Vec::new()).map(drop);
        let out = |name| Err(SyntaxError::OutOfRange(name));
        let header = |first: u8| [&[0x0a, 12, first][..], &unit(REAL[0].1)[5..]].concat();
        assert_eq!(refusal(&header(0x60), SDR), out("seq_profile"));
        assert_eq!(refusal(&header(0x18), SDR), out("reduced_still_picture_header"));
        assert_eq!(refusal(&header(0), ColorDescription::SRGB), out("matrix_coefficients"));
        // BT.709 with sRGB and no matrix, as 4:4:4 has it.
        let rgb = unit("0a0e2000002d4cffb3dfff9a021a0020");
        assert_eq!(refusal(&rgb, SDR), out("matrix_coefficients"));
        assert_eq!(refusal(&[0x8a, 0], SDR), out("obu_forbidden_bit"));
        let whole = unit(REAL[0].1);
        // Behind the delimiter the header is cut.
        for end in 3..16 {
            assert_eq!(refusal(&whole[..end], SDR), Err(SyntaxError::Truncated), "{end}");
        }
        assert_eq!(refusal(&[0x0a, 3, 0, 0, 0], SDR), Err(SyntaxError::Truncated));
    }

    #[test]
    fn sizes_take_as_many_bytes_as_they_need() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 30] {
            let mut bytes = Vec::new();
            write_leb128(value, &mut bytes);
            assert_eq!(bytes.len(), (value.max(1).ilog2() / 7 + 1) as usize);
            bytes.push(7);
            assert_eq!(leb128(&bytes), Some((value, &[7][..])));
        }
        // Padded, as some encoders write them; and one that has no end.
        assert_eq!(leb128(&[0x85, 0x80, 0]), Some((5, &[][..])));
        assert_eq!(leb128(&[0x80; 9]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_said_once_stays(
            garbage in proptest::collection::vec(any::<u8>(), 0..60),
            flipped in 0_usize..96,
        ) {
            let mut real = unit(REAL[0].1);
            real[4 + flipped / 8] ^= 1 << (flipped % 8);
            let header = [&[0x0a, garbage.len() as u8][..], &garbage].concat();
            for unit in [&garbage, &header, &real] {
                let mut memory = Vec::new();
                if let Ok(once) = prepare(unit, SDR, &mut memory).map(<[u8]>::to_vec) {
                    prop_assert_eq!(prepare(&once, SDR, &mut memory), Ok(&once[..]));
                }
            }
        }
    }
}
