//! A test double of `libnvidia-encode.so.1`: the table of functions, and an encoder that is none.
//!
//! It behaves as `nvEncodeAPI.h` of the Video Codec SDK 12.1 says, for sessions on contexts of the double of
//! CUDA. Every call is logged, every rule that is broken is recorded and answered as the SDK says, and
//! any call can be told to fail or to hang. H.264 is coded by OpenH264; the other codecs are stand-ins
//! whose units have a digest of the picture. It must never be installed where a program looks for the
//! real library. Opened twice by one path it is one library with one state, which is why tests open
//! copies.
#![allow(non_snake_case, reason = "names as in nvEncodeAPI.h")]
#![expect(unsafe_code, reason = "a C interface: callers hand over pointers")]

mod bare;
mod codec;
mod colours;
mod config;
pub mod control;
mod device;
mod entries;
mod given;
mod h264;
mod hardware;
mod long_term;
mod narrow;
mod picture;
mod references;
mod session;
mod settings;
mod slice;
mod status;

use std::ffi::{c_char, c_int, c_void};
use std::sync::LazyLock;

use fake_control::Control;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::*;

use entries::{buffers, pictures, query, setup};
use given::{Call, Given, hand_over};
use settings::settings;
use status::{GENERIC, SUCCESS, UNIMPLEMENTED};

static CONTROL: LazyLock<Control> =
    LazyLock::new(|| Control::new("FAKE_NVENC_PLAN", ENTRIES, control::tell));

type Handle = *mut c_void;

/// What all calls have in common. Answers a number: a test may ask for one that is no `NVENCSTATUS`.
fn entry(name: &'static str, work: impl FnOnce(&mut Call<'_>) -> Result<(), u32>) -> u32 {
    CONTROL.entry(name, GENERIC, |detail| work(&mut Call { name, detail }).err().unwrap_or(SUCCESS))
}

/// `NvEncodeAPIGetMaxSupportedVersion`.
///
/// # Safety
/// As in `nvEncodeAPI.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> u32 {
    // SAFETY: passed on.
    entry("NvEncodeAPIGetMaxSupportedVersion", |call| unsafe {
        let claimed = settings().version;
        hand_over(call, version, claimed)
    })
}

/// `NvEncodeAPICreateInstance`.
///
/// # Safety
/// As in `nvEncodeAPI.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut NV_ENCODE_API_FUNCTION_LIST) -> u32 {
    entry("NvEncodeAPICreateInstance", |call| {
        // SAFETY: the caller's word.
        let list = unsafe { Given::new(call, list, NV_ENCODE_API_FUNCTION_LIST_VER)? };
        let answer = settings().create_answers;
        let omitted = settings().omitted;
        if answer != SUCCESS {
            return Err(answer);
        }
        // SAFETY: of this version, hence of this size.
        unsafe { fill(list.0, omitted) };
        Ok(())
    })
}

/// What an entry does: what its line says, or nothing.
macro_rules! answer {
    ($call:ident ($($argument:ident),*)) => { Err(UNIMPLEMENTED) };
    ($call:ident ($($argument:ident),*) $body:path) => {
        // SAFETY: as in nvEncodeAPI.h, by the caller's word.
        unsafe { $body($call, $($argument),*) }
    };
}

/// Declares every entry of the table, and what answers it. Enumerations are declared as the numbers that
/// callers may really pass.
macro_rules! entries {
    ($($entry:ident($($argument:ident: $type:ty),*) $(= $body:path)?;)*) => {
        $(
            #[allow(unused_variables, reason = "arguments of what is not implemented")]
            unsafe extern "C" fn $entry($($argument: $type),*) -> u32 {
                entry(stringify!($entry), |call| answer!(call ($($argument),*) $($body)?))
            }
        )*

        /// Names of the entries in the order of their places, then the text of the last error, and what
        /// the library exports: all that can be planned.
        const ENTRIES: &[&str] = &[
            $(stringify!($entry),)*
            "nvEncGetLastErrorString",
            "NvEncodeAPIGetMaxSupportedVersion",
            "NvEncodeAPICreateInstance",
        ];

        /// Writes the table without the entries whose bit is set.
        ///
        /// # Safety
        /// `list` can be written.
        unsafe fn fill(list: *mut NV_ENCODE_API_FUNCTION_LIST, omitted: u64) {
            let mut place = 0;
            let mut here = |entry: *const c_void| {
                place += 1;
                if omitted & (1 << (place - 1)) == 0 { entry } else { std::ptr::null() }
            };
            // SAFETY: the caller's word. An entry is null or the address of a function.
            unsafe {
                $((&raw mut (*list).$entry).cast::<*const c_void>().write(here($entry as _));)*
                (&raw mut (*list).nvEncGetLastErrorString)
                    .cast::<*const c_void>()
                    .write(here(nvEncGetLastErrorString as _));
            }
        }
    };
}

entries! {
    nvEncOpenEncodeSession(device: Handle, device_type: u32, encoder: *mut Handle);
    nvEncGetEncodeGUIDCount(encoder: Handle, count: *mut u32) = query::codec_count;
    nvEncGetEncodeProfileGUIDCount(encoder: Handle, codec: GUID, count: *mut u32)
        = query::profile_count;
    nvEncGetEncodeProfileGUIDs(
        encoder: Handle, codec: GUID, to: *mut GUID, room: u32, count: *mut u32
    ) = query::profiles;
    nvEncGetEncodeGUIDs(encoder: Handle, to: *mut GUID, room: u32, count: *mut u32) = query::codecs;
    nvEncGetInputFormatCount(encoder: Handle, codec: GUID, count: *mut u32) = query::format_count;
    nvEncGetInputFormats(encoder: Handle, codec: GUID, to: *mut u32, room: u32, count: *mut u32)
        = query::formats;
    nvEncGetEncodeCaps(encoder: Handle, codec: GUID, cap: *mut NV_ENC_CAPS_PARAM, to: *mut c_int)
        = query::cap;
    nvEncGetEncodePresetCount(encoder: Handle, codec: GUID, count: *mut u32);
    nvEncGetEncodePresetGUIDs(
        encoder: Handle, codec: GUID, to: *mut GUID, room: u32, count: *mut u32
    );
    nvEncGetEncodePresetConfig(
        encoder: Handle, codec: GUID, preset: GUID, config: *mut NV_ENC_PRESET_CONFIG
    );
    nvEncInitializeEncoder(encoder: Handle, given: *mut NV_ENC_INITIALIZE_PARAMS)
        = setup::initialize;
    nvEncCreateInputBuffer(encoder: Handle, given: *mut NV_ENC_CREATE_INPUT_BUFFER)
        = buffers::create_input;
    nvEncDestroyInputBuffer(encoder: Handle, input: NV_ENC_INPUT_PTR) = buffers::destroy_input;
    nvEncCreateBitstreamBuffer(encoder: Handle, given: *mut NV_ENC_CREATE_BITSTREAM_BUFFER)
        = buffers::create_output;
    nvEncDestroyBitstreamBuffer(encoder: Handle, output: NV_ENC_OUTPUT_PTR)
        = buffers::destroy_output;
    nvEncEncodePicture(encoder: Handle, given: *mut NV_ENC_PIC_PARAMS) = pictures::encode;
    nvEncLockBitstream(encoder: Handle, given: *mut NV_ENC_LOCK_BITSTREAM) = pictures::lock;
    nvEncUnlockBitstream(encoder: Handle, output: NV_ENC_OUTPUT_PTR) = pictures::unlock;
    nvEncLockInputBuffer(encoder: Handle, given: *mut NV_ENC_LOCK_INPUT_BUFFER)
        = buffers::lock_input;
    nvEncUnlockInputBuffer(encoder: Handle, input: NV_ENC_INPUT_PTR) = buffers::unlock_input;
    nvEncGetEncodeStats(encoder: Handle, given: *mut NV_ENC_STAT);
    nvEncGetSequenceParams(encoder: Handle, given: *mut NV_ENC_SEQUENCE_PARAM_PAYLOAD);
    nvEncRegisterAsyncEvent(encoder: Handle, given: *mut NV_ENC_EVENT_PARAMS);
    nvEncUnregisterAsyncEvent(encoder: Handle, given: *mut NV_ENC_EVENT_PARAMS);
    nvEncMapInputResource(encoder: Handle, given: *mut NV_ENC_MAP_INPUT_RESOURCE) = buffers::map;
    nvEncUnmapInputResource(encoder: Handle, mapping: NV_ENC_INPUT_PTR) = buffers::unmap;
    nvEncDestroyEncoder(encoder: Handle) = setup::destroy;
    nvEncInvalidateRefFrames(encoder: Handle, timestamp: u64) = pictures::invalidate;
    nvEncOpenEncodeSessionEx(given: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, encoder: *mut Handle)
        = setup::open;
    nvEncRegisterResource(encoder: Handle, given: *mut NV_ENC_REGISTER_RESOURCE)
        = buffers::register;
    nvEncUnregisterResource(encoder: Handle, resource: NV_ENC_REGISTERED_PTR)
        = buffers::unregister;
    nvEncReconfigureEncoder(encoder: Handle, given: *mut NV_ENC_RECONFIGURE_PARAMS)
        = setup::reconfigure;
    nvEncCreateMVBuffer(encoder: Handle, given: *mut NV_ENC_CREATE_MV_BUFFER);
    nvEncDestroyMVBuffer(encoder: Handle, buffer: NV_ENC_OUTPUT_PTR);
    nvEncRunMotionEstimationOnly(encoder: Handle, given: *mut NV_ENC_MEONLY_PARAMS);
    nvEncSetIOCudaStreams(
        encoder: Handle, input: NV_ENC_CUSTREAM_PTR, output: NV_ENC_CUSTREAM_PTR
    ) = setup::streams;
    nvEncGetEncodePresetConfigEx(
        encoder: Handle, codec: GUID, preset: GUID, tuning: u32, config: *mut NV_ENC_PRESET_CONFIG
    ) = query::preset;
    nvEncGetSequenceParamEx(
        encoder: Handle,
        given: *mut NV_ENC_INITIALIZE_PARAMS,
        payload: *mut NV_ENC_SEQUENCE_PARAM_PAYLOAD
    );
    nvEncRestoreEncoderState(encoder: Handle, given: *mut NV_ENC_RESTORE_ENCODER_STATE_PARAMS);
    nvEncLookaheadPicture(encoder: Handle, given: *mut NV_ENC_LOOKAHEAD_PIC_PARAMS);
}

unsafe extern "C" fn nvEncGetLastErrorString(_: Handle) -> *const c_char {
    c"this is a test double".as_ptr()
}
