//! Opening, setting up, changing and destroying sessions.

use std::ffi::c_void;
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::NV_ENC_CAPS as Cap;

use super::{number, pointer};
use crate::config::Configuration;
use crate::device::Device;
use crate::given::{Call, Given, hand_over, value, word, zero};
use crate::session::{self, State};
use crate::settings::settings;
use crate::status::{
    INVALID_CALL, INVALID_DEVICE, INVALID_PARAM, INVALID_PTR, INVALID_VERSION, UNSUPPORTED_DEVICE,
    UNSUPPORTED_PARAM,
};

type Handle = *mut c_void;

pub(crate) unsafe fn open(
    call: &mut Call<'_>,
    given: *mut sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    encoder: *mut Handle,
) -> Result<(), u32> {
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)?;
        zero!(call, given, sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS: reserved, reserved1, reserved2);
        let version = value!(given, apiVersion);
        if version != sdk::NVENCAPI_VERSION {
            return Err(call.refuse(INVALID_VERSION, &format!("apiVersion {version:#x}")));
        }
        if word!(given, deviceType) != sdk::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA as u32 {
            return Err(call.refuse(UNSUPPORTED_DEVICE, "the device is not one of CUDA"));
        }
        if encoder.is_null() {
            return Err(call.refuse(INVALID_PTR, "nowhere to write the session to"));
        }
        let context = value!(given, device);
        if context.is_null() {
            return Err(call.refuse(INVALID_PTR, "no context"));
        }
        let Some(device) = Device::of(context) else {
            return Err(call.refuse(INVALID_DEVICE, "the context is not one of the double of CUDA"));
        };
        let (handle, result) = session::open(device);
        hand_over(call, encoder, pointer(handle))?;
        result
    }
}

pub(crate) unsafe fn initialize(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_INITIALIZE_PARAMS,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    // SAFETY: the caller's word.
    let config = unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_INITIALIZE_PARAMS_VER)?;
        Configuration::read(call, &given)?
    };
    *call.detail = config.to_string();
    let mut state = session.state();
    if state.configuration.is_some() {
        return Err(call.refuse(INVALID_CALL, "the encoder is initialised already"));
    }
    state.configuration = Some(Arc::new(config));
    Ok(())
}

/// The pointers are to streams, as FFmpeg passes them too.
pub(crate) unsafe fn streams(
    call: &mut Call<'_>,
    encoder: Handle,
    input: sdk::NV_ENC_CUSTREAM_PTR,
    output: sdk::NV_ENC_CUSTREAM_PTR,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    if input.is_null() || output.is_null() {
        return Err(call.refuse(INVALID_PTR, "no stream"));
    }
    // SAFETY: the caller's word.
    let stream = unsafe { input.cast::<*mut c_void>().read_unaligned() };
    if session.device.waits(number(stream)).is_none() {
        return Err(call.refuse(INVALID_PARAM, "no stream of the session's device"));
    }
    let mut state = session.state();
    state.configuration(call)?;
    if state.submitted > 0 {
        call.refuse(INVALID_CALL, "streams are set before the first picture");
    }
    state.stream = Some(number(stream));
    Ok(())
}

pub(crate) unsafe fn reconfigure(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_RECONFIGURE_PARAMS,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let before = session.state().configuration(call)?;
    // SAFETY: the caller's word; the parameters are a part of the structure.
    let (config, flags) = unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_RECONFIGURE_PARAMS_VER)?;
        let flags = word!(given, _bitfield_1);
        if flags & !0b11 != 0 {
            return Err(call.refuse(INVALID_PARAM, "reserved bits are not zero"));
        }
        let parameters = (&raw mut (*given.0).reInitEncodeParams).cast();
        let parameters = Given::new(call, parameters, sdk::NV_ENC_INITIALIZE_PARAMS_VER)?;
        (Configuration::read(call, &parameters)?, flags)
    };
    let (reset, force_key) = (flags & 0b01 != 0, flags & 0b10 != 0);
    *call.detail = format!("reset={} idr={} {config}", u8::from(reset), u8::from(force_key));
    allowed(call, &before, &config)?;
    let config = if settings().ignores_rates {
        Configuration { bitrate: before.bitrate, rate: before.rate, ..config }
    } else {
        config
    };
    let mut state = session.state();
    let resized = (before.width, before.height) != (config.width, config.height);
    if resized && state.submitted > state.coded {
        // The SDK does not forbid it, and does not say which size those have.
        call.refuse(INVALID_CALL, "the size changes while pictures are on their way");
    }
    change(&mut state, config, force_key || resized, reset);
    Ok(())
}

/// Refuses what cannot be changed without opening anew.
fn allowed(call: &Call<'_>, before: &Configuration, config: &Configuration) -> Result<(), u32> {
    let fixed = |c: &Configuration| {
        (c.codec, c.gop, c.idr_period, c.largest, c.ten_bit, c.full_chroma, c.profile, c.long_term)
    };
    if fixed(before) != fixed(config) {
        let rule =
            "codec, GOP, largest size, format, profile and long-term references stay as they are";
        return Err(call.refuse(UNSUPPORTED_PARAM, rule));
    }
    if (before.sub_frame, before.slice_offsets) != (config.sub_frame, config.slice_offsets) {
        return Err(call.refuse(UNSUPPORTED_PARAM, "how slices are read stays as it is"));
    }
    let resized = (before.width, before.height) != (config.width, config.height);
    if resized && before.largest == (0, 0) {
        return Err(call.refuse(UNSUPPORTED_PARAM, "no largest size was set, so the size stays"));
    }
    let new_rate = (before.bitrate, before.max_bitrate) != (config.bitrate, config.max_bitrate);
    if new_rate && !settings().can(config.codec, Cap::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE) {
        return Err(call.refuse(UNSUPPORTED_PARAM, "the bit rate cannot change"));
    }
    Ok(())
}

fn change(state: &mut State, config: Configuration, force_key: bool, reset: bool) {
    state.configuration = Some(Arc::new(config));
    state.force_key |= force_key;
    if reset {
        state.ended = false;
    }
}

pub(crate) unsafe fn destroy(call: &mut Call<'_>, encoder: Handle) -> Result<(), u32> {
    session::destroy(call, number(encoder))
}
