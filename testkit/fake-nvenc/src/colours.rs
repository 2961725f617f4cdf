//! What a stream is to say of its colours: read from the caller's structures, and checked.

use std::fmt;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use crate::given::{Call, Given, value, word, zero};
use crate::status::INVALID_PARAM;

/// In the numbers of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colours {
    pub(crate) full_range: bool,
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
    pub(crate) matrix: u8,
}

/// Primaries, transfer, matrix and range, such as `9/16/9/0`.
impl fmt::Display for Colours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { full_range, primaries, transfer, matrix } = self;
        write!(f, "{primaries}/{transfer}/{matrix}/{}", u8::from(*full_range))
    }
}

/// Those of H.264 and HEVC, which have one structure for them; none where they are not told.
/// `chroma_format` is `chromaFormatIDC`.
///
/// # Safety
/// `given` can be read.
pub(crate) unsafe fn of_vui(
    call: &Call<'_>,
    given: &Given<sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS>,
    chroma_format: u32,
) -> Result<Option<Colours>, u32> {
    // SAFETY: the caller's word.
    unsafe {
        zero!(call, given, sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS: reserved);
        let (signal, told) = (
            value!(given, videoSignalTypePresentFlag),
            value!(given, colourDescriptionPresentFlag),
        );
        let (range, located) =
            (value!(given, videoFullRangeFlag), value!(given, chromaSampleLocationFlag));
        let flags = [
            signal,
            told,
            range,
            located,
            value!(given, overscanInfoPresentFlag),
            value!(given, bitstreamRestrictionFlag),
            value!(given, timingInfoPresentFlag),
        ];
        let (top, bottom) =
            (value!(given, chromaSampleLocationTop), value!(given, chromaSampleLocationBot));
        let rules = [
            (flags.iter().any(|flag| *flag > 1), "a flag of the VUI is no flag"),
            (word!(given, videoFormat) > 5, "videoFormat is no value"),
            (top.max(bottom) > 5, "the place of chroma is no value"),
            // H.264, E.1.1: the one lies within the other.
            (told > signal, "colours are described, and the signal is not"),
            // H.264, E.2.1.
            (located == 1 && chroma_format != 1, "chroma has a place in 4:2:0 only"),
        ];
        if let Some((_, rule)) = rules.iter().find(|rule| rule.0) {
            return Err(call.refuse(INVALID_PARAM, rule));
        }
        if told == 0 {
            return Ok(None);
        }
        let points = (
            word!(given, colourPrimaries),
            word!(given, transferCharacteristics),
            word!(given, colourMatrix),
        );
        checked(call, points, range, chroma_format).map(Some)
    }
}

/// Those of AV1; all zero they are not told.
///
/// # Safety
/// `given` can be read.
pub(crate) unsafe fn of_av1(
    call: &Call<'_>,
    given: &Given<sdk::NV_ENC_CONFIG_AV1>,
) -> Result<Option<Colours>, u32> {
    // SAFETY: the caller's word.
    let (points, range, position) = unsafe {
        let points = (
            word!(given, colorPrimaries),
            word!(given, transferCharacteristics),
            word!(given, matrixCoefficients),
        );
        (points, value!(given, colorRange), value!(given, chromaSamplePosition))
    };
    if range > 1 || position > 2 {
        return Err(call.refuse(INVALID_PARAM, "colorRange or chromaSamplePosition is no value"));
    }
    if points == (0, 0, 0) {
        return Ok(None);
    }
    // `chromaFormatIDC` of AV1 is 1 or refused elsewhere.
    checked(call, points, range, 1).map(Some)
}

/// Numbers that the SDK and H.273 have names for.
fn checked(
    call: &Call<'_>,
    (primaries, transfer, matrix): (u32, u32, u32),
    range: u32,
    chroma_format: u32,
) -> Result<Colours, u32> {
    let known = matches!(primaries, 1 | 2 | 4..=12 | 22)
        && matches!(transfer, 1 | 2 | 4..=18)
        && matches!(matrix, 0..=2 | 4..=11);
    if !known {
        let rule = format!("colours {primaries}/{transfer}/{matrix} have no name");
        return Err(call.refuse(INVALID_PARAM, &rule));
    }
    // `matrix_coefficients` of H.264, E.2.1, and of AV1, 6.4.2.
    if matrix == 0 && chroma_format != 3 {
        return Err(call.refuse(INVALID_PARAM, "RGB is in 4:4:4 only"));
    }
    let (primaries, transfer, matrix) = (primaries as u8, transfer as u8, matrix as u8);
    Ok(Colours { full_range: range == 1, primaries, transfer, matrix })
}
