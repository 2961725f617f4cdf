//! What the double claims to be, and what tests change of it.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS as Cap, NV_ENC_PARAMS_RC_MODE as RateControl, NVENCAPI_MAJOR_VERSION,
    NVENCAPI_MINOR_VERSION,
};

use crate::picture::Format;
use crate::references::LONG_TERM;
use crate::status::SUCCESS;

/// Codecs that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Codec {
    H264,
    Hevc,
    Av1,
}

impl Codec {
    pub(crate) const ALL: [Self; 3] = [Self::H264, Self::Hevc, Self::Av1];

    pub(crate) const fn guid(self) -> GUID {
        match self {
            Self::H264 => sdk::NV_ENC_CODEC_H264_GUID,
            Self::Hevc => sdk::NV_ENC_CODEC_HEVC_GUID,
            Self::Av1 => sdk::NV_ENC_CODEC_AV1_GUID,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Profiles with the names that the log has for them.
    pub(crate) fn profiles(self) -> &'static [(GUID, &'static str)] {
        match self {
            Self::H264 => &[
                (sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, "auto"),
                (sdk::NV_ENC_H264_PROFILE_BASELINE_GUID, "baseline"),
                (sdk::NV_ENC_H264_PROFILE_MAIN_GUID, "main"),
                (sdk::NV_ENC_H264_PROFILE_HIGH_GUID, "high"),
                (sdk::NV_ENC_H264_PROFILE_HIGH_444_GUID, "high444"),
            ],
            Self::Hevc => &[
                (sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, "auto"),
                (sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID, "main"),
                (sdk::NV_ENC_HEVC_PROFILE_MAIN10_GUID, "main10"),
                (sdk::NV_ENC_HEVC_PROFILE_FREXT_GUID, "frext"),
            ],
            Self::Av1 => &[
                (sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, "auto"),
                (sdk::NV_ENC_AV1_PROFILE_MAIN_GUID, "main"),
            ],
        }
    }
}

/// Presets in their order, P1 first.
pub(crate) const PRESETS: [GUID; 7] = [
    sdk::NV_ENC_PRESET_P1_GUID,
    sdk::NV_ENC_PRESET_P2_GUID,
    sdk::NV_ENC_PRESET_P3_GUID,
    sdk::NV_ENC_PRESET_P4_GUID,
    sdk::NV_ENC_PRESET_P5_GUID,
    sdk::NV_ENC_PRESET_P6_GUID,
    sdk::NV_ENC_PRESET_P7_GUID,
];

/// Capabilities of `NV_ENC_CAPS`; those that are not named are 0.
fn claimed(codec: Codec, cap: u32) -> i32 {
    let h264 = codec == Codec::H264;
    let is = |other: Cap| cap == other as u32;
    if is(Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES) {
        return RateControl::NV_ENC_PARAMS_RC_VBR as i32 | RateControl::NV_ENC_PARAMS_RC_CBR as i32;
    }
    let sizes = [
        (Cap::NV_ENC_CAPS_WIDTH_MIN, 145, 129),
        (Cap::NV_ENC_CAPS_HEIGHT_MIN, 49, 33),
        (Cap::NV_ENC_CAPS_WIDTH_MAX, 4096, 8192),
        (Cap::NV_ENC_CAPS_HEIGHT_MAX, 4096, 8192),
        // As many as OpenH264 takes.
        (Cap::NV_ENC_CAPS_MB_NUM_MAX, 36_864, 262_144),
        (Cap::NV_ENC_CAPS_MB_PER_SEC_MAX, 983_040, 983_040),
        (Cap::NV_ENC_CAPS_LEVEL_MAX, 52, 186),
        (Cap::NV_ENC_CAPS_NUM_ENCODER_ENGINES, 1, 1),
    ];
    if let Some(&(_, first, others)) = sizes.iter().find(|size| is(size.0)) {
        return if h264 { first } else { others };
    }
    if is(Cap::NV_ENC_CAPS_NUM_MAX_LTR_FRAMES) {
        return if codec == Codec::Av1 { 0 } else { LONG_TERM as i32 };
    }
    let can = match cap {
        // There is nothing behind it in H.264: OpenH264 has no wave, and the others code nothing.
        _ if is(Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH)
            || is(Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE) =>
        {
            !h264
        }
        _ if is(Cap::NV_ENC_CAPS_SINGLE_SLICE_INTRA_REFRESH) => codec == Codec::Hevc,
        _ if is(Cap::NV_ENC_CAPS_SUPPORT_CABAC) => h264,
        _ if is(Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE) => codec != Codec::Av1,
        _ => {
            is(Cap::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE)
                || is(Cap::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE)
                || is(Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK)
                || is(Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)
                || is(Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION)
                || is(Cap::NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES)
        }
    };
    can.into()
}

/// What is put into fields that have an enumeration's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fill {
    /// What belongs there.
    #[default]
    Right,
    /// This in its place, in those that a caller need not understand.
    Number(u32),
}

impl Fill {
    pub(crate) fn or(self, right: u32) -> u32 {
        match self {
            Self::Right => right,
            Self::Number(number) => number,
        }
    }
}

/// What can be changed at any time; sessions look it up at each call.
pub(crate) struct Settings {
    /// What the driver claims as its version, in the form of `NvEncodeAPIGetMaxSupportedVersion`.
    pub(crate) version: u32,
    /// What `NvEncodeAPICreateInstance` answers; it fills the table only where this is success.
    pub(crate) create_answers: u32,
    /// One bit for each entry of the table that is left out.
    pub(crate) omitted: u64,
    /// How many sessions can be open at once.
    pub(crate) sessions: u32,
    /// Whether inputs are overwritten once they were coded.
    pub(crate) poison: bool,
    /// Whether pictures become long-term references as told.
    pub(crate) marks: bool,
    /// Whether long-term references are used as told.
    pub(crate) goes_back: bool,
    /// Whether units have the parameter sets that they are told to have.
    pub(crate) parameter_sets: bool,
    /// Whether H.264 counts pictures with eight bits less than OpenH264 does.
    pub(crate) few_numbers: bool,
    /// Whether a new bit rate is taken without a word and not followed.
    pub(crate) ignores_rates: bool,
    /// Whether requests for keyframes are.
    pub(crate) ignores_keyframes: bool,
    pub(crate) fill: Fill,
    /// How long the hardware takes for a picture beside what coding it takes, in microseconds.
    pub(crate) delay: u32,
    /// Slices of a picture that the hardware seems to be done with at the most.
    pub(crate) slices: u32,
    /// What the next lock of a picture answers, or one that waits for slices.
    pub(crate) breaks: Option<u32>,
    denied: Vec<Codec>,
    changed: Vec<(Codec, u32, i32)>,
}

impl Settings {
    fn new() -> Self {
        Self {
            version: NVENCAPI_MAJOR_VERSION << 4 | NVENCAPI_MINOR_VERSION,
            create_answers: SUCCESS,
            omitted: 0,
            // As of a GeForce since 2023.
            sessions: 8,
            poison: true,
            marks: true,
            goes_back: true,
            parameter_sets: true,
            few_numbers: false,
            ignores_rates: false,
            ignores_keyframes: false,
            fill: Fill::Right,
            delay: 0,
            slices: u32::MAX,
            breaks: None,
            denied: Vec::new(),
            changed: Vec::new(),
        }
    }

    pub(crate) fn deny(&mut self, codec: Codec) {
        self.denied.push(codec);
    }

    pub(crate) fn codecs(&self) -> Vec<Codec> {
        Codec::ALL.into_iter().filter(|codec| !self.denied.contains(codec)).collect()
    }

    /// The codec of a GUID, if it is offered.
    pub(crate) fn codec(&self, guid: GUID) -> Option<Codec> {
        self.codecs().into_iter().find(|codec| codec.guid() == guid)
    }

    /// From now on this is what a codec's capability is.
    pub(crate) fn change(&mut self, codec: Codec, cap: u32, value: i32) {
        self.changed.push((codec, cap, value));
    }

    /// A capability, by its number in `NV_ENC_CAPS`.
    pub(crate) fn number(&self, codec: Codec, cap: u32) -> i32 {
        let newest = self.changed.iter().rev().find(|change| (change.0, change.1) == (codec, cap));
        newest.map_or_else(|| claimed(codec, cap), |change| change.2)
    }

    pub(crate) fn can(&self, codec: Codec, cap: Cap) -> bool {
        self.number(codec, cap as u32) > 0
    }

    pub(crate) fn formats(&self, codec: Codec) -> Vec<Format> {
        let ten_bit = self.can(codec, Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE);
        let full_chroma = self.can(codec, Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE);
        let takes = |format: &Format| {
            (ten_bit || !format.ten_bit()) && (full_chroma || !format.full_chroma())
        };
        Format::ALL.into_iter().filter(takes).collect()
    }
}

/// The settings, for as long as the guard is held; nothing that locks is called meanwhile.
pub(crate) fn settings() -> MutexGuard<'static, Settings> {
    static SETTINGS: LazyLock<Mutex<Settings>> = LazyLock::new(|| Mutex::new(Settings::new()));
    SETTINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
