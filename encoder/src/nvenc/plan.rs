//! What an encoder of NVENC is set up with: every number, worked out before the driver is asked.
//!
//! Pure: [`Plan::new`] makes the numbers from [`Settings`] and [`Caps`], [`check`] says by name what
//! cannot be, and [`Plan::apply`] writes them over the preset. Names are those of
//! `nvEncodeAPI.h` of the Video Codec SDK 12.1.

mod apply;
mod caps;
#[cfg(test)]
mod tests;

use media::{
    BitDepth, Bitrate, Chroma, Codec, ColorDescription, FrameRate, MatrixCoefficients, PixelFormat,
    Primaries, Size, Transfer,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use thiserror::Error;

use crate::regions::Blocks;
use crate::settings::{EncoderSettings, H264Profile, Resilience, Speed};

pub(crate) use caps::Caps;

/// What an encoder of NVENC is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Coded size in pixels.
    pub(crate) size: Size,
    /// The largest size that it is changed to without being opened anew, in pixels.
    pub(crate) largest: Size,
    /// Frames per second.
    pub(crate) rate: FrameRate,
    /// Target, and also the most.
    pub(crate) bitrate: Bitrate,
    /// The codec.
    pub(crate) codec: Codec,
    /// Of pictures and stream alike.
    pub(crate) depth: BitDepth,
    /// Of pictures and stream alike.
    pub(crate) chroma: Chroma,
    /// What the stream declares.
    pub(crate) color: ColorDescription,
    /// The profile where the codec is H.264 and the chroma 4:2:0.
    pub(crate) profile: H264Profile,
    /// Slices of a picture, fewer where it is too small for them; AV1 has columns of tiles in their place,
    /// of which it takes a power of two.
    pub(crate) slices: u8,
    /// The preset.
    pub(crate) speed: Speed,
    /// Size of the VBV in hundredths of one frame's share of the bit rate.
    pub(crate) vbv_percent: u16,
    /// What lost frames are answered with.
    pub(crate) resilience: Resilience,
    /// Long-term references are among it.
    pub(crate) long_term: bool,
    /// Whether pictures come with maps of quantiser steps.
    pub(crate) regions: bool,
}

impl Settings {
    /// Those of a codec. `None` for pictures of RGB, which NVENC would convert as it likes.
    pub(crate) fn new(settings: &EncoderSettings, codec: Codec) -> Option<Self> {
        Some(Self {
            size: settings.size,
            largest: settings.largest,
            rate: settings.rate,
            bitrate: settings.bitrate,
            codec,
            depth: settings.format.depth(),
            chroma: settings.format.chroma()?,
            color: settings.color,
            profile: settings.profile,
            slices: settings.slices,
            speed: settings.speed,
            vbv_percent: settings.vbv_percent,
            resilience: settings.resilience,
            long_term: settings.long_term,
            regions: settings.regions,
        })
    }

    /// The same for pictures of another layout.
    pub(crate) fn with_format(&self, format: PixelFormat) -> Option<Self> {
        Some(Self { depth: format.depth(), chroma: format.chroma()?, ..*self })
    }

    /// What a session on a device with `caps` is opened with. One that cannot take pictures out of the
    /// references, and keeps none for long, makes losses good by waves, where it has those.
    #[must_use]
    pub(crate) fn for_device(&self, caps: &Caps) -> Self {
        let references = caps.invalidation || has_long_term(self, caps);
        let resilience = match self.resilience {
            Resilience::References if !references && caps.intra_refresh => {
                Resilience::IntraRefresh { units: WAVE }
            }
            asked_for => asked_for,
        };
        Self { resilience, ..*self }
    }

    /// The codec as the driver names it.
    ///
    /// # Errors
    /// [`Refusal::Codec`] for what it does not code.
    pub(crate) fn guid(&self) -> Result<sdk::GUID, Refusal> {
        match self.codec {
            Codec::H264 => Ok(sdk::NV_ENC_CODEC_H264_GUID),
            Codec::H265 => Ok(sdk::NV_ENC_CODEC_HEVC_GUID),
            Codec::Av1 => Ok(sdk::NV_ENC_CODEC_AV1_GUID),
            other => Err(Refusal::Codec(other)),
        }
    }
}

/// Why settings cannot be: the text names what is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// NVENC has H.264, H.265 and AV1.
    #[error("NVENC does not code {}", .0.rtp_name())]
    Codec(Codec),
    /// `NV_ENC_CONFIG_H264` has no bit depth.
    #[error("H.264 with 10 bits is not in SDK 12.1")]
    H264TenBit,
    /// `NV_ENC_CONFIG_AV1::chromaFormatIDC` takes 1 only.
    #[error("AV1 with 4:4:4 is not in SDK 12.1")]
    Av1FullChroma,
    /// `NV_ENC_CAPS_SUPPORT_10BIT_ENCODE`.
    #[error("this device does not code 10 bits")]
    TenBit,
    /// `NV_ENC_CAPS_SUPPORT_YUV444_ENCODE`.
    #[error("this device does not code 4:4:4")]
    FullChroma,
    /// `NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES`.
    #[error("this device has no constant bit rate")]
    ConstantBitrate,
    /// `NV_ENC_CAPS_SUPPORT_INTRA_REFRESH`.
    #[error("this device has no intra refresh")]
    IntraRefresh,
    /// A wave needs frames.
    #[error("intra refresh over no frame")]
    EmptyWave,
    /// `NV_ENC_CAPS_WIDTH_MIN`, `NV_ENC_CAPS_HEIGHT_MIN`.
    #[error("{size} is too small, it takes {least} at least")]
    TooSmall {
        /// The size asked for.
        size: Size,
        /// Least width and least height.
        least: Size,
    },
    /// `NV_ENC_CAPS_WIDTH_MAX`, `NV_ENC_CAPS_HEIGHT_MAX`.
    #[error("{size} is too large, it takes {most} at most")]
    TooLarge {
        /// The size asked for.
        size: Size,
        /// Greatest width and greatest height.
        most: Size,
    },
    /// 4:2:0 has one chroma sample for two by two pixels.
    #[error("{0} is odd, 4:2:0 takes even sizes")]
    Odd(Size),
    /// `NV_ENC_CAPS_MB_NUM_MAX`, which may be less than the greatest width by the greatest height.
    #[error("{size} has more macroblocks than {most}")]
    TooManyMacroblocks {
        /// The size asked for.
        size: Size,
        /// The most macroblocks of a picture.
        most: u32,
    },
    /// The size must lie within the one that is made room for.
    #[error("{size} is beyond the largest, {largest}")]
    BeyondLargest {
        /// The size asked for.
        size: Size,
        /// The largest asked for.
        largest: Size,
    },
    /// Of no slices is no picture.
    #[error("0 slices")]
    NoSlices,
    /// `NV_ENC_RC_PARAMS::averageBitRate` is a number of 32 bits, and 0 leaves it to the driver.
    #[error("a bit rate of {} bit/s, it takes 1 to {}", .0.bps(), u32::MAX)]
    Bitrate(Bitrate),
    /// A size of 0 would leave it to the driver.
    #[error("a VBV of 0 percent")]
    NoVbv,
}

/// Says whether a device with `caps`, which are those of the codec, can code with `settings`.
///
/// # Errors
/// The first [`Refusal`] found; what the SDK lacks comes before what the device lacks.
pub(crate) fn check(settings: &Settings, caps: &Caps) -> Result<(), Refusal> {
    check_format(settings, caps)?;
    check_sizes(settings, caps)?;
    if settings.slices == 0 {
        return Err(Refusal::NoSlices);
    }
    match settings.resilience {
        Resilience::IntraRefresh { .. } if !caps.intra_refresh => {
            return Err(Refusal::IntraRefresh);
        }
        Resilience::IntraRefresh { units: 0 } => return Err(Refusal::EmptyWave),
        Resilience::IntraRefresh { .. } | Resilience::References => {}
    }
    if !caps.constant_bitrate() {
        return Err(Refusal::ConstantBitrate);
    }
    bits_per_second(settings.bitrate)?;
    if settings.vbv_percent == 0 {
        return Err(Refusal::NoVbv);
    }
    Ok(())
}

fn check_format(settings: &Settings, caps: &Caps) -> Result<(), Refusal> {
    match (settings.codec, settings.depth, settings.chroma) {
        (Codec::Vp8 | Codec::Vp9, ..) => Err(Refusal::Codec(settings.codec)),
        (Codec::H264, BitDepth::Ten, _) => Err(Refusal::H264TenBit),
        (Codec::Av1, _, Chroma::C444) => Err(Refusal::Av1FullChroma),
        (_, BitDepth::Ten, _) if !caps.ten_bit => Err(Refusal::TenBit),
        (_, _, Chroma::C444) if !caps.full_chroma => Err(Refusal::FullChroma),
        _ => Ok(()),
    }
}

/// Whether neither edge is longer.
pub(crate) const fn within(size: Size, most: Size) -> bool {
    size.width <= most.width && size.height <= most.height
}

fn check_sizes(settings: &Settings, caps: &Caps) -> Result<(), Refusal> {
    let Settings { size, largest, .. } = *settings;
    if !within(caps.smallest, size) || size.width == 0 || size.height == 0 {
        return Err(Refusal::TooSmall { size, least: caps.smallest });
    }
    if let Some(size) = [size, largest].into_iter().find(|&size| !within(size, caps.largest)) {
        return Err(Refusal::TooLarge { size, most: caps.largest });
    }
    if !caps.codes_macroblocks_of(size) {
        return Err(Refusal::TooManyMacroblocks { size, most: caps.macroblocks });
    }
    if !within(size, largest) {
        return Err(Refusal::BeyondLargest { size, largest });
    }
    if settings.chroma == Chroma::C420 && (size.width % 2 != 0 || size.height % 2 != 0) {
        return Err(Refusal::Odd(size));
    }
    Ok(())
}

/// A slice is a row of blocks at least, a tile a column: rows of macroblocks, rows of the largest coding tree blocks, or columns of superblocks (no more than
/// `MAX_TILE_COLS` of AV1, section 3).
fn most_slices(settings: &Settings) -> u32 {
    match settings.codec {
        Codec::H264 => settings.size.height.div_ceil(16),
        Codec::Av1 => settings.size.width.div_ceil(64).min(64),
        _ => settings.size.height.div_ceil(64),
    }
}

fn bits_per_second(bitrate: Bitrate) -> Result<u32, Refusal> {
    match u32::try_from(bitrate.bps()) {
        Ok(bits) if bits > 0 => Ok(bits),
        _ => Err(Refusal::Bitrate(bitrate)),
    }
}

/// The VBV in bits: `percent` hundredths of what `bitrate` bits a second leave for one frame, to the
/// nearest bit. Never 0, which would be the driver's own size (`NV_ENC_RC_PARAMS::vbvBufferSize`); what
/// does not fit 32 bits is the most that does.
fn vbv_bits(bitrate: u32, rate: FrameRate, percent: u16) -> u32 {
    let (numerator, denominator) = rate.fraction();
    let hundredths = u128::from(bitrate) * u128::from(denominator) * u128::from(percent);
    let divisor = u128::from(numerator) * 100;
    let bits = (hundredths + divisor / 2) / divisor;
    u32::try_from(bits).unwrap_or(u32::MAX).max(1)
}

/// Pictures of a wave where losses are made good by one though that was not asked for.
const WAVE: u16 = 30;

/// Long-term references: one that the client has, and one that waits for its word.
const LONG_TERM: u32 = 2;

/// Whether long-term references are kept. A picture must refer to one other alone: those that were lost
/// are not invalidated where a long-term reference is gone back to, and a second one might be such. AV1 has
/// no fields for them in SDK 12.1.
fn has_long_term(settings: &Settings, caps: &Caps) -> bool {
    settings.long_term
        && settings.resilience == Resilience::References
        && settings.codec != Codec::Av1
        && caps.long_term >= LONG_TERM
        && caps.multiple_references
}

/// What differs between codecs, by their part of `NV_ENC_CODEC_CONFIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// `NV_ENC_CONFIG_H264`.
    H264 {
        /// `entropyCodingMode`.
        entropy: sdk::NV_ENC_H264_ENTROPY_CODING_MODE,
        /// `chromaFormatIDC`: 1 for 4:2:0, 3 for 4:4:4.
        chroma_format: u32,
        /// Slices of a picture (`sliceMode` 3).
        slices: u32,
    },
    /// `NV_ENC_CONFIG_HEVC`.
    Hevc {
        /// As for H.264.
        chroma_format: u32,
        /// `pixelBitDepthMinus8`: 0 or 2.
        depth_minus_8: u32,
        /// Slices of a picture (`sliceMode` 3).
        slices: u32,
    },
    /// `NV_ENC_CONFIG_AV1`.
    Av1 {
        /// `inputPixelBitDepthMinus8` and `pixelBitDepthMinus8`: 0 or 2.
        depth_minus_8: u32,
        /// `numTileColumns`, a power of two.
        tile_columns: u32,
        /// `chromaSamplePosition`: 1 is level with the left pixel, between rows.
        chroma_position: u32,
    },
}

/// The wave of intra blocks (`enableIntraRefresh`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wave {
    /// `intraRefreshPeriod` in frames: so many that none starts by itself.
    pub(crate) period: u32,
    /// `intraRefreshCnt`, frames of one wave.
    pub(crate) frames: u32,
    /// `singleSliceIntraRefresh`, where the device has it.
    pub(crate) single_slice: bool,
}

/// Every number that an encoder is set up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// `encodeGUID`, the codec.
    pub(crate) codec: sdk::GUID,
    /// `presetGUID`.
    pub(crate) preset: sdk::GUID,
    /// `profileGUID`.
    pub(crate) profile: sdk::GUID,
    /// `bufferFormat` of what pictures are registered with.
    pub(crate) input: sdk::NV_ENC_BUFFER_FORMAT,
    /// `encodeWidth`, `encodeHeight`, and their ratio, in pixels.
    pub(crate) size: Size,
    /// `maxEncodeWidth`, `maxEncodeHeight` in pixels; 0 where the device cannot change the size.
    pub(crate) largest: Size,
    /// `frameRateNum`, `frameRateDen`.
    pub(crate) rate: FrameRate,
    /// `enableSubFrameWrite` and `reportSliceOffsets`: slices are read one by one.
    pub(crate) sub_frames: bool,
    /// `splitEncodeMode`.
    pub(crate) split: sdk::NV_ENC_SPLIT_ENCODE_MODE,
    /// `averageBitRate` and `maxBitRate` in bits a second.
    pub(crate) bitrate: u32,
    /// `vbvBufferSize` and `vbvInitialDelay` in bits; 0 where the device has its own only.
    pub(crate) vbv: u32,
    /// Pictures of the decoded picture buffer (`maxNumRefFrames`, `maxNumRefFramesInDPB`): lost ones
    /// still occupy it.
    pub(crate) references: u32,
    /// Those of them that are long-term references (`ltrNumFrames`); 0 leaves them off.
    pub(crate) long_term: u32,
    /// Pictures that one refers to (`numRefL0`, `numFwdRefs`).
    pub(crate) referred: sdk::NV_ENC_NUM_REF_FRAMES,
    /// The wave, where it stands in for references.
    pub(crate) wave: Option<Wave>,
    /// What the map of quantiser steps is made of that every picture comes with (`qpMapMode` of
    /// `NV_ENC_QP_MAP_DELTA`). No capability tells of it: `SUPPORT_EMPHASIS_LEVEL_MAP` is of another kind
    /// of map.
    pub(crate) map: Option<Blocks>,
    /// Colours, and that nothing is reordered. AV1 takes the colours of it.
    pub(crate) vui: sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS,
    /// What differs between codecs.
    pub(crate) coding: Coding,
}

impl Plan {
    /// Pictures of the buffer beside the newest one and the long-term references.
    pub(crate) fn reach(&self) -> u16 {
        self.references.saturating_sub(self.long_term + 1) as u16
    }

    /// The same in a session that has room for `largest`, which stays as it is while the session lives.
    #[must_use]
    pub(crate) fn within(self, largest: Size) -> Self {
        if within(self.size, largest) { Self { largest, ..self } } else { self }
    }

    /// Slices of a picture; of AV1, columns of tiles.
    pub(crate) const fn slices(&self) -> u32 {
        match self.coding {
            Coding::H264 { slices, .. } | Coding::Hevc { slices, .. } => slices,
            Coding::Av1 { tile_columns, .. } => tile_columns,
        }
    }

    /// Works out the numbers for a device with `caps`, which are those of the codec.
    ///
    /// # Errors
    /// See [`check`].
    pub(crate) fn new(settings: &Settings, caps: &Caps) -> Result<Self, Refusal> {
        check(settings, caps)?;
        let bitrate = bits_per_second(settings.bitrate)?;
        let wave = match settings.resilience {
            Resilience::References => None,
            Resilience::IntraRefresh { units } => Some(Wave {
                period: 0x7fff_ffff,
                frames: u32::from(units),
                single_slice: caps.single_slice_refresh && settings.codec != Codec::Av1,
            }),
        };
        // As many as are asked for: how slices are read stays as it is when a size has fewer. AV1's tiles
        // lie in one OBU that begins with its size (AV1, section 5.3.1): none can leave before the last one.
        let sub_frames = settings.slices > 1
            && caps.sub_frames
            && settings.codec != Codec::Av1
            && !wave.is_some_and(|wave| wave.single_slice);
        Ok(Self {
            codec: settings.guid()?,
            preset: match settings.speed {
                Speed::Auto | Speed::P1 => sdk::NV_ENC_PRESET_P1_GUID,
                Speed::P2 => sdk::NV_ENC_PRESET_P2_GUID,
                Speed::P3 => sdk::NV_ENC_PRESET_P3_GUID,
                Speed::P4 => sdk::NV_ENC_PRESET_P4_GUID,
            },
            profile: profile(settings),
            input: input(settings),
            size: settings.size,
            largest: match caps.resize {
                true if caps.codes_macroblocks_of(settings.largest) => settings.largest,
                // Room for all would be more than it codes.
                true => settings.size,
                false => Size::new(0, 0),
            },
            rate: settings.rate,
            sub_frames,
            split: match settings.codec {
                // Slices of several engines are not read one by one.
                _ if sub_frames => sdk::NV_ENC_SPLIT_ENCODE_MODE::NV_ENC_SPLIT_DISABLE_MODE,
                // Not applicable to H.264.
                Codec::H265 | Codec::Av1 => sdk::NV_ENC_SPLIT_ENCODE_MODE::NV_ENC_SPLIT_AUTO_MODE,
                _ => sdk::NV_ENC_SPLIT_ENCODE_MODE::NV_ENC_SPLIT_DISABLE_MODE,
            },
            bitrate,
            vbv: if caps.custom_vbv {
                vbv_bits(bitrate, settings.rate, settings.vbv_percent)
            } else {
                0
            },
            references: if settings.codec == Codec::Av1 { 8 } else { 5 },
            long_term: if has_long_term(settings, caps) { LONG_TERM } else { 0 },
            referred: if caps.multiple_references {
                sdk::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_1
            } else {
                sdk::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_AUTOSELECT
            },
            wave,
            map: Blocks::nvenc(settings.codec).filter(|_| settings.regions),
            vui: vui(settings),
            coding: coding(settings, caps),
        })
    }
}

fn profile(settings: &Settings) -> sdk::GUID {
    match (settings.codec, settings.chroma, settings.depth) {
        (Codec::H264, Chroma::C444, _) => sdk::NV_ENC_H264_PROFILE_HIGH_444_GUID,
        (Codec::H264, Chroma::C420, _) => match settings.profile {
            H264Profile::Baseline => sdk::NV_ENC_H264_PROFILE_BASELINE_GUID,
            H264Profile::High => sdk::NV_ENC_H264_PROFILE_HIGH_GUID,
        },
        (Codec::Av1, ..) => sdk::NV_ENC_AV1_PROFILE_MAIN_GUID,
        (_, Chroma::C444, _) => sdk::NV_ENC_HEVC_PROFILE_FREXT_GUID,
        (_, Chroma::C420, BitDepth::Ten) => sdk::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
        (_, Chroma::C420, BitDepth::Eight) => sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID,
    }
}

fn input(settings: &Settings) -> sdk::NV_ENC_BUFFER_FORMAT {
    use sdk::NV_ENC_BUFFER_FORMAT as Format;
    match (settings.chroma, settings.depth) {
        (Chroma::C420, BitDepth::Eight) => Format::NV_ENC_BUFFER_FORMAT_NV12,
        (Chroma::C420, BitDepth::Ten) => Format::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
        (Chroma::C444, BitDepth::Eight) => Format::NV_ENC_BUFFER_FORMAT_YUV444,
        (Chroma::C444, BitDepth::Ten) => Format::NV_ENC_BUFFER_FORMAT_YUV444_10BIT,
    }
}

fn coding(settings: &Settings, caps: &Caps) -> Coding {
    use sdk::NV_ENC_H264_ENTROPY_CODING_MODE as Entropy;
    let chroma_format = match settings.chroma {
        Chroma::C420 => 1,
        Chroma::C444 => 3,
    };
    let depth_minus_8 = match settings.depth {
        BitDepth::Eight => 0,
        BitDepth::Ten => 2,
    };
    let slices = u32::from(settings.slices).min(most_slices(settings));
    match settings.codec {
        Codec::H264 => {
            let baseline =
                settings.profile == H264Profile::Baseline && settings.chroma == Chroma::C420;
            let entropy = if baseline || !caps.cabac {
                Entropy::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC
            } else {
                Entropy::NV_ENC_H264_ENTROPY_CODING_MODE_CABAC
            };
            Coding::H264 { entropy, chroma_format, slices }
        }
        Codec::Av1 => {
            // What the driver would round down to is said outright. A tile is at most 4096 pixels
            // wide (`MAX_TILE_WIDTH` of AV1, section 3).
            let least = settings.size.width.div_ceil(4096).next_power_of_two();
            let tile_columns = (1 << slices.ilog2()).max(least);
            Coding::Av1 { depth_minus_8, tile_columns, chroma_position: 1 }
        }
        _ => Coding::Hevc { chroma_format, depth_minus_8, slices },
    }
}

/// The colours, chroma between rows at the left (`chroma_sample_loc_type` 0), which only 4:2:0 may say
/// (H.264 E.2.1), and limits on reordering.
fn vui(settings: &Settings) -> sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS {
    use sdk::{
        NV_ENC_VUI_COLOR_PRIMARIES as Primary, NV_ENC_VUI_MATRIX_COEFFS as Matrix,
        NV_ENC_VUI_TRANSFER_CHARACTERISTIC as Curve,
    };
    sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS {
        videoSignalTypePresentFlag: 1,
        videoFormat: sdk::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED,
        videoFullRangeFlag: u32::from(settings.color.full_range),
        colourDescriptionPresentFlag: 1,
        colourPrimaries: match settings.color.primaries {
            Primaries::Bt709 => Primary::NV_ENC_VUI_COLOR_PRIMARIES_BT709,
            Primaries::Bt2020 => Primary::NV_ENC_VUI_COLOR_PRIMARIES_BT2020,
        },
        transferCharacteristics: match settings.color.transfer {
            Transfer::Bt709 => Curve::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709,
            Transfer::Srgb => Curve::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_SRGB,
            Transfer::Pq => Curve::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_SMPTE2084,
        },
        colourMatrix: match settings.color.matrix {
            MatrixCoefficients::Identity => Matrix::NV_ENC_VUI_MATRIX_COEFFS_RGB,
            MatrixCoefficients::Bt709 => Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT709,
            MatrixCoefficients::Bt2020 => Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT2020_NCL,
        },
        chromaSampleLocationFlag: u32::from(settings.chroma == Chroma::C420),
        chromaSampleLocationTop: 0,
        chromaSampleLocationBot: 0,
        bitstreamRestrictionFlag: 1,
        // Zero is a variant of each of its enumerations.
        ..Default::default()
    }
}
