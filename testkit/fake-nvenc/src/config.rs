//! What an encoder is set up with: read from the caller's structures, and checked against the claims.

use std::fmt;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::NV_ENC_CAPS as Cap;

use crate::colours::{self, Colours};
use crate::given::{Call, Given, value, word, zero};
use crate::picture::Format;
use crate::settings::{Codec, PRESETS, settings};
use crate::status::{INVALID_PARAM, UNSUPPORTED_PARAM};

/// Names are those of `NV_ENC_INITIALIZE_PARAMS` and `NV_ENC_CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) codec: Codec,
    /// 1 is P1.
    pub(crate) preset: usize,
    pub(crate) tuning: u32,
    pub(crate) profile: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Width and height; 0 where the size stays.
    pub(crate) largest: (u32, u32),
    /// Numerator and denominator of frames a second.
    pub(crate) rate: (u32, u32),
    pub(crate) bitrate: u32,
    pub(crate) max_bitrate: u32,
    pub(crate) vbv: u32,
    pub(crate) vbv_delay: u32,
    pub(crate) rate_control: u32,
    pub(crate) multi_pass: u32,
    /// Kind of the maps of quantisers that pictures may have.
    pub(crate) qp_map: u32,
    pub(crate) gop: u32,
    pub(crate) idr_period: u32,
    pub(crate) slices: u32,
    /// Pictures of the decoded picture buffer.
    pub(crate) references: u32,
    pub(crate) referred: u32,
    /// Those of them that may be long-term references; 0 where they are off.
    pub(crate) long_term: u32,
    /// Whether pictures may be coded from older ones than the one before.
    pub(crate) goes_back: bool,
    /// Where they are told.
    pub(crate) colours: Option<Colours>,
    pub(crate) ten_bit: bool,
    pub(crate) full_chroma: bool,
    pub(crate) cabac: bool,
    pub(crate) sub_frame: bool,
    pub(crate) slice_offsets: bool,
    pub(crate) split: u32,
    /// Period and length of intra refresh.
    pub(crate) refresh: Option<(u32, u32)>,
    /// Whether parameter sets come with each keyframe.
    pub(crate) repeat: bool,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (period, count) = self.refresh.unwrap_or((0, 0));
        write!(
            f,
            "codec={} preset=p{} tuning={} profile={} size={}x{} largest={}x{} rate={}/{} bitrate={} \
             max={} vbv={} delay={} rc={} multipass={} qpmap={} gop={} idr={} slices={} refs={} l0={} ltr={} depth={} \
             chroma={} cabac={} subframe={} offsets={} split={} refresh={period}/{count} repeat={} \
             colours={}",
            self.codec.name(),
            self.preset,
            self.tuning,
            self.profile,
            self.width,
            self.height,
            self.largest.0,
            self.largest.1,
            self.rate.0,
            self.rate.1,
            self.bitrate,
            self.max_bitrate,
            self.vbv,
            self.vbv_delay,
            self.rate_control,
            self.multi_pass,
            self.qp_map,
            self.gop,
            self.idr_period,
            self.slices,
            self.references,
            self.referred,
            self.long_term,
            if self.ten_bit { 10 } else { 8 },
            if self.full_chroma { 444 } else { 420 },
            u8::from(self.cabac),
            u8::from(self.sub_frame),
            u8::from(self.slice_offsets),
            self.split,
            u8::from(self.repeat),
            self.colours.map_or_else(|| "none".to_owned(), |colours| colours.to_string()),
        )
    }
}

/// What differs between codecs.
struct Coding {
    idr_period: u32,
    slices: u32,
    references: u32,
    referred: u32,
    chroma_format: u32,
    depth_minus_8: u32,
    cabac: bool,
    long_term: u32,
    colours: Option<Colours>,
    refresh: Option<(u32, u32)>,
    repeat: bool,
}

impl Configuration {
    /// Reads what `nvEncInitializeEncoder` and `nvEncReconfigureEncoder` are given.
    ///
    /// # Safety
    /// `given` and the configuration that it points to can be read.
    pub(crate) unsafe fn read(
        call: &Call<'_>,
        given: &Given<sdk::NV_ENC_INITIALIZE_PARAMS>,
    ) -> Result<Self, u32> {
        // SAFETY: the caller's word, here and for what `given` points to.
        unsafe {
            zero!(call, given, sdk::NV_ENC_INITIALIZE_PARAMS: reserved, reserved2, privDataSize, privData);
            let flags = word!(given, _bitfield_1);
            // All but reportSliceOffsets, enableSubFrameWrite and splitEncodeMode.
            if flags & !(0b11 | 0xf << 5) != 0 {
                return Err(call.refuse(INVALID_PARAM, &format!("flags {flags:#x} are not known")));
            }
            let codec = settings().codec(value!(given, encodeGUID));
            let Some(codec) = codec else {
                return Err(call.refuse(UNSUPPORTED_PARAM, "the codec is not offered"));
            };
            let guid = value!(given, presetGUID);
            let Some(preset) = PRESETS.iter().position(|preset| *preset == guid) else {
                return Err(call.refuse(UNSUPPORTED_PARAM, "the preset is not known"));
            };
            if word!(given, enableEncodeAsync) != 0 {
                return Err(call.refuse(INVALID_PARAM, "events are not supported on Linux"));
            }
            if word!(given, enablePTD) != 1 {
                return Err(
                    call.refuse(UNSUPPORTED_PARAM, "picture types must be left to the encoder")
                );
            }
            let unsupported = [
                ("numStateBuffers", word!(given, numStateBuffers)),
                ("outputStatsLevel", word!(given, outputStatsLevel)),
                ("bufferFormat, which is for Direct3D 12", word!(given, bufferFormat)),
            ];
            if let Some((field, _)) = unsupported.iter().find(|(_, number)| *number != 0) {
                return Err(call.refuse(UNSUPPORTED_PARAM, field));
            }
            let config = Given::new(call, value!(given, encodeConfig), sdk::NV_ENC_CONFIG_VER)?;
            zero!(call, config, sdk::NV_ENC_CONFIG: reserved, reserved2);
            if word!(config, frameFieldMode) != 1 || word!(config, mvPrecision) > 3 {
                return Err(call.refuse(INVALID_PARAM, "frameFieldMode or mvPrecision is no value"));
            }
            if value!(config, frameIntervalP) != 1 {
                return Err(call.refuse(UNSUPPORTED_PARAM, "B-frames, or intra frames only"));
            }
            if word!(config, monoChromeEncoding) != 0 {
                return Err(call.refuse(UNSUPPORTED_PARAM, "monochrome"));
            }
            let guid = value!(config, profileGUID);
            let Some(profile) = codec.profiles().iter().find(|profile| profile.0 == guid) else {
                return Err(call.refuse(UNSUPPORTED_PARAM, "the profile is not one of the codec"));
            };
            let rate = (&raw mut (*config.0).rcParams).cast();
            let rate = Given::<sdk::NV_ENC_RC_PARAMS>::new(call, rate, sdk::NV_ENC_RC_PARAMS_VER)?;
            zero!(call, rate, sdk::NV_ENC_RC_PARAMS: reserved, reserved2);
            let flags = word!(rate, _bitfield_1);
            if flags >> 17 != 0 || flags & 1 << 4 != 0 || word!(rate, qpMapMode) > 3 {
                return Err(
                    call.refuse(INVALID_PARAM, "rcParams has reserved bits, or a map of no kind")
                );
            }
            // enableAQ: "QP delta map and AQ (either spatial or temporal) are mutually exclusive" in the
            // SDK's own programs.
            if flags & 1 << 3 != 0 && word!(rate, qpMapMode) != 0 {
                return Err(call.refuse(UNSUPPORTED_PARAM, "a map of quantisers, and AQ"));
            }
            // enableLookahead, enableTemporalAQ.
            if flags & (1 << 5 | 1 << 8) != 0 {
                return Err(
                    call.refuse(UNSUPPORTED_PARAM, "look-ahead and temporal AQ are not offered")
                );
            }
            let coding = (&raw mut (*config.0).encodeCodecConfig).cast::<u32>();
            let coding = match codec {
                Codec::H264 => h264(call, &Given(coding.cast()))?,
                Codec::Hevc => hevc(call, &Given(coding.cast()))?,
                Codec::Av1 => av1(call, &Given(coding.cast()))?,
            };
            if !matches!(coding.chroma_format, 1 | 3) || !matches!(coding.depth_minus_8, 0 | 2) {
                return Err(call.refuse(INVALID_PARAM, "chroma format or bit depth is no value"));
            }
            let flags = word!(given, _bitfield_1);
            let invalidates = settings().can(codec, Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION);
            let this = Self {
                codec,
                preset: preset + 1,
                tuning: word!(given, tuningInfo),
                profile: profile.1,
                width: value!(given, encodeWidth),
                height: value!(given, encodeHeight),
                largest: (value!(given, maxEncodeWidth), value!(given, maxEncodeHeight)),
                rate: (value!(given, frameRateNum), value!(given, frameRateDen)),
                bitrate: value!(rate, averageBitRate),
                max_bitrate: value!(rate, maxBitRate),
                vbv: value!(rate, vbvBufferSize),
                vbv_delay: value!(rate, vbvInitialDelay),
                rate_control: word!(rate, rateControlMode),
                multi_pass: word!(rate, multiPass),
                qp_map: word!(rate, qpMapMode),
                gop: value!(config, gopLength),
                idr_period: coding.idr_period,
                slices: coding.slices,
                references: coding.references,
                referred: coding.referred,
                long_term: coding.long_term,
                goes_back: coding.long_term > 0 || invalidates,
                colours: coding.colours,
                ten_bit: coding.depth_minus_8 == 2,
                full_chroma: coding.chroma_format == 3,
                cabac: coding.cabac,
                sub_frame: flags & 0b10 != 0,
                slice_offsets: flags & 0b1 != 0,
                split: flags >> 5 & 0xf,
                refresh: coding.refresh,
                repeat: coding.repeat,
            };
            this.check(call)?;
            Ok(this)
        }
    }

    /// The format that pictures must have.
    pub(crate) fn format(&self) -> Format {
        match (self.full_chroma, self.ten_bit) {
            (false, false) => Format::Nv12,
            (false, true) => Format::P010,
            (true, false) => Format::Yuv444,
            (true, true) => Format::Yuv444TenBit,
        }
    }

    /// Checks numbers against each other and against what is claimed.
    fn check(&self, call: &Call<'_>) -> Result<(), u32> {
        let broken = self.invalid().map(|rule| (INVALID_PARAM, rule));
        let broken = broken.or_else(|| self.unsupported().map(|rule| (UNSUPPORTED_PARAM, rule)));
        broken.map_or(Ok(()), |(status, rule)| Err(call.refuse(status, rule)))
    }

    fn invalid(&self) -> Option<&'static str> {
        let claims = settings();
        let number = |cap: Cap| claims.number(self.codec, cap as u32).max(0) as u32;
        let (width, height) = (self.width, self.height);
        let macroblocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
        let rules = [
            (
                width < number(Cap::NV_ENC_CAPS_WIDTH_MIN)
                    || height < number(Cap::NV_ENC_CAPS_HEIGHT_MIN),
                "the size is smaller than it may be",
            ),
            (
                width > number(Cap::NV_ENC_CAPS_WIDTH_MAX)
                    || height > number(Cap::NV_ENC_CAPS_HEIGHT_MAX)
                    || macroblocks > number(Cap::NV_ENC_CAPS_MB_NUM_MAX).into(),
                "the size is larger than it may be",
            ),
            (width % 2 != 0 || height % 2 != 0, "the size is odd"),
            (
                self.largest != (0, 0) && (width > self.largest.0 || height > self.largest.1),
                "the size is larger than its own maximum",
            ),
            (self.rate.0 == 0 || self.rate.1 == 0, "no frame rate"),
            (self.bitrate == 0 || self.max_bitrate < self.bitrate, "no bit rate, or less at most"),
            (self.vbv_delay > self.vbv, "the VBV starts fuller than it is large"),
            (!matches!(self.tuning, 1..=4), "the tuning is no value"),
            (self.multi_pass > 2, "multiPass is no value"),
            (self.referred > 7, "the number of references is no value"),
            (self.gop == 0 || self.idr_period < self.gop, "no GOP, or IDR more often than it"),
            (
                self.long_term > 0 && self.long_term >= self.references,
                "no reference beside the long-term ones",
            ),
            (!matches!(self.slices, 1..=32), "slices or tiles, of which there are 1 to 32"),
            (self.split > 3 && self.split != 15, "splitEncodeMode is no value"),
            (self.refresh.is_some_and(|(period, count)| count == 0 || count >= period), "the wave"),
            (self.sub_frame && !self.slice_offsets, "sub-frames whose slices are not told"),
            (self.sub_frame && self.split != 15, "sub-frames of pictures that engines share"),
            (
                self.profile != "auto"
                    && self.full_chroma
                    && !matches!(self.profile, "high444" | "frext"),
                "the profile has no 4:4:4",
            ),
            (
                self.profile != "auto"
                    && self.ten_bit
                    && self.profile == "main"
                    && self.codec == Codec::Hevc,
                "the profile has no 10 bit",
            ),
            (self.profile == "baseline" && self.cabac, "the profile has no CABAC"),
        ];
        rules.iter().find(|rule| rule.0).map(|rule| rule.1)
    }

    fn unsupported(&self) -> Option<&'static str> {
        let claims = settings();
        let lacks = |cap| !claims.can(self.codec, cap);
        let number = |cap: Cap| claims.number(self.codec, cap as u32).max(0) as u32;
        let modes = Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES as u32;
        let rules = [
            (
                claims.number(self.codec, modes) as u32 & self.rate_control == 0,
                "the rate control is not offered",
            ),
            (self.ten_bit && lacks(Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE), "10 bit is not offered"),
            (
                self.full_chroma && lacks(Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE),
                "4:4:4 is not offered",
            ),
            (self.cabac && lacks(Cap::NV_ENC_CAPS_SUPPORT_CABAC), "CABAC is not offered"),
            (
                self.vbv != 0 && lacks(Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE),
                "the VBV's size cannot be set",
            ),
            (
                self.sub_frame && lacks(Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK),
                "single slices cannot be read",
            ),
            (
                self.refresh.is_some() && lacks(Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH),
                "intra refresh is not offered",
            ),
            (
                self.largest != (0, 0) && lacks(Cap::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE),
                "the size cannot change",
            ),
            (
                self.referred != 0 && lacks(Cap::NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES),
                "the number of references cannot be set",
            ),
            (
                self.long_term > number(Cap::NV_ENC_CAPS_NUM_MAX_LTR_FRAMES),
                "so many long-term references are not offered",
            ),
            // Levels of emphasis are a capability of their own, which is not claimed; quantisers
            // themselves are "not supported" by any.
            (!matches!(self.qp_map, 0 | 2), "maps of other kinds than quantiser steps"),
            (self.codec == Codec::H264 && !matches!(self.split, 0 | 15), "H.264 cannot be split"),
            (self.sub_frame && !matches!(self.split, 0 | 15), "sub-frames cannot be split"),
        ];
        rules.iter().find(|rule| rule.0).map(|rule| rule.1)
    }
}

/// Number of slices; other modes than a number of them are not offered.
fn slices(call: &Call<'_>, mode: u32, data: u32) -> Result<u32, u32> {
    match (mode, data) {
        // So many macroblocks a slice: none says that they are not counted.
        (0, 0) => Ok(1),
        (3, _) => Ok(data),
        _ => Err(call.refuse(UNSUPPORTED_PARAM, "slices are cut by their number only")),
    }
}

/// Long-term references, of which the caller says which picture is one.
fn long_term(call: &Call<'_>, enabled: bool, count: u32, trust: u32) -> Result<u32, u32> {
    match (enabled, count, trust) {
        (false, ..) => Ok(0),
        (true, 0, _) => Err(call.refuse(INVALID_PARAM, "long-term references, and none of them")),
        (true, _, 0) => Ok(count),
        _ => Err(call.refuse(UNSUPPORTED_PARAM, "long-term references of the encoder's choice")),
    }
}

fn refresh(enabled: bool, period: u32, count: u32) -> Option<(u32, u32)> {
    enabled.then_some((period, count))
}

/// # Safety
/// `given` can be read.
unsafe fn h264(call: &Call<'_>, given: &Given<sdk::NV_ENC_CONFIG_H264>) -> Result<Coding, u32> {
    // SAFETY: the caller's word.
    unsafe {
        zero!(call, given, sdk::NV_ENC_CONFIG_H264: reserved1, reserved2);
        let flags = word!(given, _bitfield_1);
        let entropy = word!(given, entropyCodingMode);
        if flags >> 22 != 0 || entropy > 2 {
            return Err(
                call.refuse(INVALID_PARAM, "reserved bits, or entropyCodingMode is no value")
            );
        }
        Ok(Coding {
            idr_period: value!(given, idrPeriod),
            slices: slices(call, value!(given, sliceMode), value!(given, sliceModeData))?,
            references: value!(given, maxNumRefFrames),
            referred: word!(given, numRefL0),
            chroma_format: value!(given, chromaFormatIDC),
            depth_minus_8: 0,
            // 0 leaves it to the driver.
            cabac: entropy == 1,
            long_term: long_term(
                call,
                flags & 1 << 14 != 0,
                value!(given, ltrNumFrames),
                value!(given, ltrTrustMode),
            )?,
            colours: colours::of_vui(
                call,
                &Given(&raw mut (*given.0).h264VUIParameters),
                value!(given, chromaFormatIDC),
            )?,
            refresh: refresh(
                flags & 1 << 10 != 0,
                value!(given, intraRefreshPeriod),
                value!(given, intraRefreshCnt),
            ),
            repeat: flags & 1 << 12 != 0,
        })
    }
}

/// # Safety
/// `given` can be read.
unsafe fn hevc(call: &Call<'_>, given: &Given<sdk::NV_ENC_CONFIG_HEVC>) -> Result<Coding, u32> {
    // SAFETY: the caller's word.
    unsafe {
        zero!(call, given, sdk::NV_ENC_CONFIG_HEVC: reserved1, reserved2);
        let flags = word!(given, _bitfield_1);
        if flags >> 20 != 0 {
            return Err(call.refuse(INVALID_PARAM, "reserved bits of HEVC are not zero"));
        }
        Ok(Coding {
            idr_period: value!(given, idrPeriod),
            slices: slices(call, value!(given, sliceMode), value!(given, sliceModeData))?,
            references: value!(given, maxNumRefFramesInDPB),
            referred: word!(given, numRefL0),
            chroma_format: flags >> 9 & 0b11,
            depth_minus_8: flags >> 11 & 0b111,
            cabac: false,
            long_term: long_term(
                call,
                flags & 1 << 5 != 0,
                value!(given, ltrNumFrames),
                value!(given, ltrTrustMode),
            )?,
            colours: colours::of_vui(
                call,
                &Given(&raw mut (*given.0).hevcVUIParameters),
                flags >> 9 & 0b11,
            )?,
            refresh: refresh(
                flags & 1 << 8 != 0,
                value!(given, intraRefreshPeriod),
                value!(given, intraRefreshCnt),
            ),
            repeat: flags & 1 << 7 != 0,
        })
    }
}

/// # Safety
/// `given` can be read.
unsafe fn av1(call: &Call<'_>, given: &Given<sdk::NV_ENC_CONFIG_AV1>) -> Result<Coding, u32> {
    // SAFETY: the caller's word.
    unsafe {
        zero!(call, given, sdk::NV_ENC_CONFIG_AV1: reserved1, reserved2);
        let flags = word!(given, _bitfield_1);
        // Beside the reserved ones those that change the format: Annex B and a table of tiles.
        if flags >> 18 != 0 || flags & (1 | 1 << 10) != 0 {
            return Err(call.refuse(INVALID_PARAM, "flags of AV1 that are reserved or not offered"));
        }
        let depth_minus_8 = flags >> 15 & 0b111;
        if flags >> 12 & 0b111 != depth_minus_8 {
            return Err(
                call.refuse(UNSUPPORTED_PARAM, "input and stream differ in their bit depth")
            );
        }
        let tiles = value!(given, numTileColumns).max(1) * value!(given, numTileRows).clamp(1, 64);
        if !tiles.is_power_of_two() {
            return Err(call.refuse(INVALID_PARAM, "tiles are no power of two"));
        }
        Ok(Coding {
            idr_period: value!(given, idrPeriod),
            slices: tiles,
            references: value!(given, maxNumRefFramesInDPB),
            referred: word!(given, numFwdRefs),
            chroma_format: flags >> 7 & 0b11,
            depth_minus_8,
            cabac: false,
            long_term: 0,
            colours: colours::of_av1(call, given)?,
            refresh: refresh(
                flags & 1 << 6 != 0,
                value!(given, intraRefreshPeriod),
                value!(given, intraRefreshCnt),
            ),
            repeat: flags & 1 << 5 != 0,
        })
    }
}
