//! What the device offers.

use std::ffi::{c_int, c_void};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::GUID;

use super::number;
use crate::given::{Call, Given, hand_over, hand_over_list, put, put_word, word, zero};
use crate::session;
use crate::settings::{Codec, PRESETS, settings};
use crate::status::{INVALID_PARAM, UNSUPPORTED_PARAM};

type Handle = *mut c_void;

/// A session of which it is asked, and the codec of which.
fn codec(call: &Call<'_>, encoder: Handle, guid: GUID) -> Result<Codec, u32> {
    session::find(call, number(encoder))?;
    let codec = settings().codec(guid);
    codec.ok_or_else(|| call.refuse(UNSUPPORTED_PARAM, "the codec is not offered"))
}

pub(crate) unsafe fn codec_count(
    call: &mut Call<'_>,
    encoder: Handle,
    count: *mut u32,
) -> Result<(), u32> {
    session::find(call, number(encoder))?;
    let codecs = settings().codecs();
    // SAFETY: the caller's word.
    unsafe { hand_over(call, count, codecs.len() as u32) }
}

pub(crate) unsafe fn codecs(
    call: &mut Call<'_>,
    encoder: Handle,
    to: *mut GUID,
    room: u32,
    count: *mut u32,
) -> Result<(), u32> {
    session::find(call, number(encoder))?;
    let guids: Vec<_> = settings().codecs().into_iter().map(Codec::guid).collect();
    // SAFETY: the caller's word.
    unsafe { hand_over_list(call, &guids, to, room, count) }
}

pub(crate) unsafe fn profile_count(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    count: *mut u32,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    // SAFETY: the caller's word.
    unsafe { hand_over(call, count, codec.profiles().len() as u32) }
}

pub(crate) unsafe fn profiles(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    to: *mut GUID,
    room: u32,
    count: *mut u32,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    let guids: Vec<_> = codec.profiles().iter().map(|profile| profile.0).collect();
    // SAFETY: the caller's word.
    unsafe { hand_over_list(call, &guids, to, room, count) }
}

pub(crate) unsafe fn format_count(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    count: *mut u32,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    let formats = settings().formats(codec);
    // SAFETY: the caller's word.
    unsafe { hand_over(call, count, formats.len() as u32) }
}

pub(crate) unsafe fn formats(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    to: *mut u32,
    room: u32,
    count: *mut u32,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    let formats = settings().formats(codec);
    let numbers: Vec<_> = formats.into_iter().map(crate::picture::Format::number).collect();
    // SAFETY: the caller's word.
    unsafe { hand_over_list(call, &numbers, to, room, count) }
}

pub(crate) unsafe fn cap(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    asked: *mut sdk::NV_ENC_CAPS_PARAM,
    to: *mut c_int,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, asked, sdk::NV_ENC_CAPS_PARAM_VER)?;
        zero!(call, given, sdk::NV_ENC_CAPS_PARAM: reserved);
        let cap = word!(given, capsToQuery);
        if cap >= sdk::NV_ENC_CAPS::NV_ENC_CAPS_EXPOSED_COUNT as u32 {
            return Err(call.refuse(INVALID_PARAM, &format!("capability {cap} is not known")));
        }
        let answer = settings().number(codec, cap);
        *call.detail = format!("codec={} cap={cap} value={answer}", codec.name());
        hand_over(call, to, answer)
    }
}

pub(crate) unsafe fn preset(
    call: &mut Call<'_>,
    encoder: Handle,
    guid: GUID,
    preset: GUID,
    tuning: u32,
    config: *mut sdk::NV_ENC_PRESET_CONFIG,
) -> Result<(), u32> {
    let codec = codec(call, encoder, guid)?;
    let Some(place) = PRESETS.iter().position(|known| *known == preset) else {
        return Err(call.refuse(UNSUPPORTED_PARAM, "the preset is not known"));
    };
    if !matches!(tuning, 1..=4) {
        return Err(call.refuse(INVALID_PARAM, &format!("tuning {tuning} is no value")));
    }
    *call.detail = format!("codec={} preset=p{} tuning={tuning}", codec.name(), place + 1);
    // SAFETY: the caller's word; the configuration is a part of the structure.
    unsafe {
        let given = Given::new(call, config, sdk::NV_ENC_PRESET_CONFIG_VER)?;
        zero!(call, given, sdk::NV_ENC_PRESET_CONFIG: reserved1, reserved2);
        let config = (&raw mut (*given.0).presetCfg).cast();
        let config = Given::<sdk::NV_ENC_CONFIG>::new(call, config, sdk::NV_ENC_CONFIG_VER)?;
        fill(&config, codec);
    }
    Ok(())
}

/// Writes a preset, in which not all is what a caller with little time wants.
///
/// # Safety
/// The configuration can be written.
unsafe fn fill(config: &Given<sdk::NV_ENC_CONFIG>, codec: Codec) {
    let fill = settings().fill;
    // SAFETY: the caller's word.
    unsafe {
        put!(config, profileGUID = sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID);
        put!(config, gopLength = 250);
        put!(config, frameIntervalP = 1);
        put_word!(config, frameFieldMode = fill.or(1));
        put_word!(config, mvPrecision = fill.or(3));
        let rate = Given(&raw mut (*config.0).rcParams);
        put!(rate, version = sdk::NV_ENC_RC_PARAMS_VER);
        put_word!(rate, rateControlMode = fill.or(1));
        put_word!(rate, qpMapMode = fill.or(0));
        put_word!(rate, multiPass = fill.or(0));
        put!(rate, averageBitRate = 5_000_000);
        put!(rate, maxBitRate = 10_000_000);
        let coding = (&raw mut (*config.0).encodeCodecConfig).cast::<u32>();
        match codec {
            Codec::H264 => {
                let given = Given(coding.cast::<sdk::NV_ENC_CONFIG_H264>());
                put!(given, idrPeriod = 250);
                put!(given, sliceMode = 3);
                put!(given, sliceModeData = 1);
                put!(given, chromaFormatIDC = 1);
                put!(given, maxNumRefFrames = 4);
                put_word!(given, entropyCodingMode = fill.or(1));
                put_word!(given, adaptiveTransformMode = fill.or(2));
                put_word!(given, numRefL0 = fill.or(0));
            }
            Codec::Hevc => {
                let given = Given(coding.cast::<sdk::NV_ENC_CONFIG_HEVC>());
                put!(given, idrPeriod = 250);
                put!(given, sliceMode = 3);
                put!(given, sliceModeData = 1);
                put!(given, maxNumRefFramesInDPB = 4);
                // chromaFormatIDC 1.
                put_word!(given, _bitfield_1 = 1 << 9);
                put_word!(given, maxCUSize = fill.or(2));
                put_word!(given, numRefL0 = fill.or(0));
            }
            Codec::Av1 => {
                let given = Given(coding.cast::<sdk::NV_ENC_CONFIG_AV1>());
                put!(given, idrPeriod = 250);
                put!(given, maxNumRefFramesInDPB = 8);
                // chromaFormatIDC 1.
                put_word!(given, _bitfield_1 = 1 << 7);
                put_word!(given, maxPartSize = fill.or(0));
                put_word!(given, numFwdRefs = fill.or(0));
            }
        }
    }
}
