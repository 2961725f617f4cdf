//! Writes a plan into the driver's structures.
//!
//! Fields are assigned one by one through pointers, and nothing that lies there is read but words of
//! bits: what the preset has for the other fields stays, known to the bindings or not.
#![expect(unsafe_code, reason = "memory that a C library writes; confined to this module")]

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::{Coding, Plan};
use crate::nvenc::raw::Driver;

/// Sets bit fields of the structure at a pointer, and leaves its other bits. The bindings' setters take
/// a reference to the whole structure, which must not be made of what the driver wrote. So they are
/// called on blank ones, to learn which bits they set; only for structures of which zero is a value.
macro_rules! set_bits {
    ($pointer:expr, $type:ty, { $($set:ident($value:expr);)* }) => {{
        let (mut mask, mut bits) = (<$type>::default(), <$type>::default());
        $(
            mask.$set(u32::MAX);
            bits.$set($value);
        )*
        let word = (&raw mut (*$pointer)._bitfield_1).cast::<[u8; 4]>();
        let kept = u32::from_le_bytes(word.read()) & !(mask._bitfield_1.get(0, 32) as u32);
        word.write((kept | bits._bitfield_1.get(0, 32) as u32).to_le_bytes());
    }};
}

impl Plan {
    /// Writes the plan over a preset in `config`, and into `parameters` with the address of `config`:
    /// both must live through the call that is given `parameters`, and the address be taken anew
    /// (by `apply` again) once `config` was touched otherwise.
    pub(crate) fn apply(
        &self,
        config: &mut Driver<sdk::NV_ENC_CONFIG>,
        parameters: &mut Driver<sdk::NV_ENC_INITIALIZE_PARAMS>,
    ) {
        let config = config.pointer();
        // SAFETY: the pointer is that of a live box of this type, which is borrowed for this call.
        unsafe {
            (*config).version = sdk::NV_ENC_CONFIG_VER;
            (*config).profileGUID = self.profile;
            (*config).gopLength = sdk::NVENC_INFINITE_GOPLENGTH;
            (*config).frameIntervalP = 1;
            (*config).frameFieldMode =
                sdk::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
            self.rate_control(&raw mut (*config).rcParams);
            let codec = &raw mut (*config).encodeCodecConfig;
            match self.coding {
                Coding::H264 { .. } => self.h264(codec.cast()),
                Coding::Hevc { .. } => self.hevc(codec.cast()),
                Coding::Av1 { .. } => self.av1(codec.cast()),
            }
        }
        // SAFETY: as above.
        unsafe { self.initialize(parameters.pointer(), config) };
    }

    /// # Safety
    /// Both are pointers to live memory of their types; that of `parameters` can be written.
    unsafe fn initialize(
        &self,
        parameters: *mut sdk::NV_ENC_INITIALIZE_PARAMS,
        config: *mut sdk::NV_ENC_CONFIG,
    ) {
        let (numerator, denominator) = self.rate.fraction();
        // SAFETY: the caller's. Zero is a value of the structure.
        unsafe {
            (*parameters).version = sdk::NV_ENC_INITIALIZE_PARAMS_VER;
            (*parameters).encodeGUID = self.codec;
            (*parameters).presetGUID = self.preset;
            (*parameters).encodeWidth = self.size.width;
            (*parameters).encodeHeight = self.size.height;
            (*parameters).darWidth = self.size.width;
            (*parameters).darHeight = self.size.height;
            (*parameters).frameRateNum = numerator;
            (*parameters).frameRateDen = denominator;
            (*parameters).enableEncodeAsync = 0;
            (*parameters).enablePTD = 1;
            (*parameters).maxEncodeWidth = self.largest.width;
            (*parameters).maxEncodeHeight = self.largest.height;
            (*parameters).tuningInfo =
                sdk::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
            (*parameters).encodeConfig = config;
            set_bits!(parameters, sdk::NV_ENC_INITIALIZE_PARAMS, {
                set_reportSliceOffsets(self.sub_frames.into());
                set_enableSubFrameWrite(self.sub_frames.into());
                set_splitEncodeMode(self.split as u32);
            });
        }
    }

    /// # Safety
    /// The pointer is to live memory of its type that can be written.
    unsafe fn rate_control(&self, rate: *mut sdk::NV_ENC_RC_PARAMS) {
        // SAFETY: the caller's. Zero is a value of the structure.
        unsafe {
            (*rate).version = sdk::NV_ENC_RC_PARAMS_VER;
            (*rate).rateControlMode = sdk::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR;
            (*rate).averageBitRate = self.bitrate;
            (*rate).maxBitRate = self.bitrate;
            (*rate).vbvBufferSize = self.vbv;
            (*rate).vbvInitialDelay = self.vbv;
            (*rate).multiPass = sdk::NV_ENC_MULTI_PASS::NV_ENC_TWO_PASS_QUARTER_RESOLUTION;
            (*rate).qpMapMode = match self.map {
                Some(_) => sdk::NV_ENC_QP_MAP_MODE::NV_ENC_QP_MAP_DELTA,
                None => sdk::NV_ENC_QP_MAP_MODE::NV_ENC_QP_MAP_DISABLED,
            };
            (*rate).lookaheadDepth = 0;
            // A keyframe gets what any other frame gets.
            (*rate).lowDelayKeyFrameScale = 1;
            set_bits!(rate, sdk::NV_ENC_RC_PARAMS, {
                // Nor would maps of quantiser steps be taken with it.
                set_enableAQ(0);
                set_enableLookahead(0);
                set_enableTemporalAQ(0);
                set_enableNonRefP(0);
                set_zeroReorderDelay(1);
            });
        }
    }

    /// # Safety
    /// As for [`rate_control`](Self::rate_control).
    unsafe fn h264(&self, h264: *mut sdk::NV_ENC_CONFIG_H264) {
        let Coding::H264 { entropy, chroma_format, slices } = self.coding else { return };
        let (refresh, period, frames, single_slice) = self.refresh();
        // SAFETY: the caller's. Zero is a value of the structure.
        unsafe {
            (*h264).idrPeriod = sdk::NVENC_INFINITE_GOPLENGTH;
            (*h264).entropyCodingMode = entropy;
            (*h264).chromaFormatIDC = chroma_format;
            (*h264).sliceMode = 3;
            (*h264).sliceModeData = slices;
            (*h264).maxNumRefFrames = self.references;
            (*h264).numRefL0 = self.referred;
            (*h264).ltrNumFrames = self.long_term;
            // Which pictures they are is said with each picture.
            (*h264).ltrTrustMode = 0;
            (*h264).intraRefreshPeriod = period;
            (*h264).intraRefreshCnt = frames;
            (*h264).h264VUIParameters = self.vui;
            set_bits!(h264, sdk::NV_ENC_CONFIG_H264, {
                set_repeatSPSPPS(1);
                set_disableSPSPPS(0);
                set_outputAUD(0);
                set_enableLTR(u32::from(self.long_term > 0));
                // What a still picture does not need is not sent.
                set_enableFillerDataInsertion(0);
                set_enableIntraRefresh(refresh);
                set_outputRecoveryPointSEI(refresh);
                set_singleSliceIntraRefresh(single_slice);
            });
        }
    }

    /// # Safety
    /// As for [`rate_control`](Self::rate_control).
    unsafe fn hevc(&self, hevc: *mut sdk::NV_ENC_CONFIG_HEVC) {
        let Coding::Hevc { chroma_format, depth_minus_8, slices } = self.coding else { return };
        let (refresh, period, frames, single_slice) = self.refresh();
        // SAFETY: the caller's. Zero is a value of the structure.
        unsafe {
            (*hevc).idrPeriod = sdk::NVENC_INFINITE_GOPLENGTH;
            (*hevc).sliceMode = 3;
            (*hevc).sliceModeData = slices;
            (*hevc).maxNumRefFramesInDPB = self.references;
            (*hevc).numRefL0 = self.referred;
            (*hevc).ltrNumFrames = self.long_term;
            (*hevc).ltrTrustMode = 0;
            (*hevc).intraRefreshPeriod = period;
            (*hevc).intraRefreshCnt = frames;
            (*hevc).hevcVUIParameters = self.vui;
            set_bits!(hevc, sdk::NV_ENC_CONFIG_HEVC, {
                set_repeatSPSPPS(1);
                set_disableSPSPPS(0);
                set_outputAUD(0);
                set_enableLTR(u32::from(self.long_term > 0));
                set_enableFillerDataInsertion(0);
                set_chromaFormatIDC(chroma_format);
                set_pixelBitDepthMinus8(depth_minus_8);
                set_enableIntraRefresh(refresh);
                set_outputRecoveryPointSEI(refresh);
                set_singleSliceIntraRefresh(single_slice);
            });
        }
    }

    /// # Safety
    /// As for [`rate_control`](Self::rate_control).
    unsafe fn av1(&self, av1: *mut sdk::NV_ENC_CONFIG_AV1) {
        let Coding::Av1 { depth_minus_8, tile_columns, chroma_position } = self.coding else {
            return;
        };
        let (refresh, period, frames, _) = self.refresh();
        // SAFETY: the caller's. Zero is a value of the structure.
        unsafe {
            (*av1).idrPeriod = sdk::NVENC_INFINITE_GOPLENGTH;
            (*av1).numTileColumns = tile_columns;
            // As few as the standard allows.
            (*av1).numTileRows = 0;
            (*av1).maxNumRefFramesInDPB = self.references;
            (*av1).numFwdRefs = self.referred;
            (*av1).intraRefreshPeriod = period;
            (*av1).intraRefreshCnt = frames;
            (*av1).colorPrimaries = self.vui.colourPrimaries;
            (*av1).transferCharacteristics = self.vui.transferCharacteristics;
            (*av1).matrixCoefficients = self.vui.colourMatrix;
            (*av1).colorRange = self.vui.videoFullRangeFlag;
            (*av1).chromaSamplePosition = chroma_position;
            set_bits!(av1, sdk::NV_ENC_CONFIG_AV1, {
                set_repeatSeqHdr(1);
                set_disableSeqHdr(0);
                set_outputAnnexBFormat(0);
                set_enableBitstreamPadding(0);
                set_enableCustomTileConfig(0);
                set_chromaFormatIDC(1);
                set_inputPixelBitDepthMinus8(depth_minus_8);
                set_pixelBitDepthMinus8(depth_minus_8);
                set_enableIntraRefresh(refresh);
            });
        }
    }

    /// `enableIntraRefresh`, `intraRefreshPeriod`, `intraRefreshCnt` and `singleSliceIntraRefresh`.
    fn refresh(&self) -> (u32, u32, u32, u32) {
        match self.wave {
            Some(wave) => (1, wave.period, wave.frames, u32::from(wave.single_slice)),
            None => (0, 0, 0, 0),
        }
    }
}
