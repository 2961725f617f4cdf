//! A test double of `libnvidia-encode.so.1`: the whole table of functions, behind which nothing encodes
//! yet.
//!
//! Versions of structures are checked as the SDK says; beyond that every function answers
//! `NV_ENC_ERR_UNIMPLEMENTED`. It must never be installed where a program looks for the real library.
//! Opened twice by one path it is one library with one state, which is why tests open copies.
#![allow(non_snake_case, reason = "names as in nvEncodeAPI.h")]
#![expect(unsafe_code, reason = "a C interface: callers hand over pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nvidia_video_codec_sdk::sys::nvEncodeAPI::*;

const SUCCESS: NVENCSTATUS = NVENCSTATUS::NV_ENC_SUCCESS;
const INVALID_PTR: NVENCSTATUS = NVENCSTATUS::NV_ENC_ERR_INVALID_PTR;
const INVALID_VERSION: NVENCSTATUS = NVENCSTATUS::NV_ENC_ERR_INVALID_VERSION;
const UNIMPLEMENTED: NVENCSTATUS = NVENCSTATUS::NV_ENC_ERR_UNIMPLEMENTED;

/// What the driver claims; its own default is that of the headers.
static VERSION: AtomicU32 = AtomicU32::new(NVENCAPI_MAJOR_VERSION << 4 | NVENCAPI_MINOR_VERSION);
/// What `NvEncodeAPICreateInstance` answers; it fills the table only where this is success.
static CREATE_ANSWERS: AtomicU32 = AtomicU32::new(SUCCESS as u32);
/// One bit for each entry of the table that is left out.
static OMITTED: AtomicU64 = AtomicU64::new(0);

/// For tests: the version that the driver claims.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_version(version: u32) {
    VERSION.store(version, Ordering::Relaxed);
}

/// For tests: `NvEncodeAPICreateInstance` answers this status, which no header need know.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_create_answers(status: u32) {
    CREATE_ANSWERS.store(status, Ordering::Relaxed);
}

/// For tests: leaves the entry of this name out of the table. Answers 0 where there is none.
///
/// # Safety
/// `entry` is a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_nvenc_omit(entry: *const c_char) -> u32 {
    // SAFETY: the caller's word.
    let entry = unsafe { CStr::from_ptr(entry) };
    match ENTRIES.iter().position(|name| name.as_bytes() == entry.to_bytes()) {
        Some(place) => {
            OMITTED.fetch_or(1 << place, Ordering::Relaxed);
            1
        }
        None => 0,
    }
}

/// `NvEncodeAPIGetMaxSupportedVersion`.
///
/// # Safety
/// As in `nvEncodeAPI.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> NVENCSTATUS {
    if version.is_null() {
        return INVALID_PTR;
    }
    // SAFETY: not null, and theirs to be written.
    unsafe { version.write(VERSION.load(Ordering::Relaxed)) };
    SUCCESS
}

/// `NvEncodeAPICreateInstance`. Answers a number: a test may ask for one that is no `NVENCSTATUS`.
///
/// # Safety
/// As in `nvEncodeAPI.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut NV_ENCODE_API_FUNCTION_LIST) -> u32 {
    // SAFETY: passed on.
    if let Err(status) = unsafe { versioned(list.cast(), NV_ENCODE_API_FUNCTION_LIST_VER) } {
        return status as u32;
    }
    let answer = CREATE_ANSWERS.load(Ordering::Relaxed);
    if answer == SUCCESS as u32 {
        // SAFETY: not null, and of this version, hence of this size.
        unsafe { fill(list, OMITTED.load(Ordering::Relaxed)) };
    }
    answer
}

/// Checks the version that every structure begins with.
///
/// # Safety
/// `structure` is null or points to its version.
unsafe fn versioned(structure: *const u32, version: u32) -> Result<(), NVENCSTATUS> {
    if structure.is_null() {
        return Err(INVALID_PTR);
    }
    // SAFETY: not null, and the caller's word for the rest.
    if unsafe { structure.read() } == version { Ok(()) } else { Err(INVALID_VERSION) }
}

/// Declares every entry of the table with the structure whose version it checks.
macro_rules! entries {
    ($($entry:ident($($argument:ident: $type:ty),*) $([$structure:ident is $version:ident])?;)*) => {
        $(
            #[allow(unused_variables, reason = "most arguments, so far")]
            unsafe extern "C" fn $entry($($argument: $type),*) -> NVENCSTATUS {
                $(
                    // SAFETY: as in nvEncodeAPI.h, every structure begins with its version.
                    if let Err(status) = unsafe { versioned($structure.cast(), $version) } {
                        return status;
                    }
                )?
                UNIMPLEMENTED
            }
        )*

        /// Names of the entries in the order of their places; the last is the text of the last error.
        const ENTRIES: &[&str] = &[$(stringify!($entry),)* "nvEncGetLastErrorString"];

        /// Writes the table without the entries whose bit is set.
        ///
        /// # Safety
        /// `list` can be written.
        unsafe fn fill(list: *mut NV_ENCODE_API_FUNCTION_LIST, omitted: u64) {
            let mut place = 0;
            let mut here = || {
                place += 1;
                omitted & (1 << (place - 1)) == 0
            };
            // SAFETY: the caller's word.
            unsafe {
                $((*list).$entry = if here() { Some($entry) } else { None };)*
                (*list).nvEncGetLastErrorString =
                    if here() { Some(nvEncGetLastErrorString) } else { None };
            }
        }
    };
}

type Handle = *mut c_void;

entries! {
    nvEncOpenEncodeSession(device: *mut c_void, device_type: u32, encoder: *mut *mut c_void);
    nvEncGetEncodeGUIDCount(encoder: Handle, encode_guid_count: *mut u32);
    nvEncGetEncodeProfileGUIDCount(
        encoder: Handle,
        encode_guid: GUID,
        encode_preset_guid_count: *mut u32
    );
    nvEncGetEncodeProfileGUIDs(
        encoder: Handle,
        encode_guid: GUID,
        preset_guids: *mut GUID,
        guid_array_size: u32,
        encode_preset_guid_count: *mut u32
    );
    nvEncGetEncodeGUIDs(
        encoder: Handle,
        guids: *mut GUID,
        guid_array_size: u32,
        guid_count: *mut u32
    );
    nvEncGetInputFormatCount(encoder: Handle, encode_guid: GUID, input_fmt_count: *mut u32);
    nvEncGetInputFormats(
        encoder: Handle,
        encode_guid: GUID,
        input_fmts: *mut NV_ENC_BUFFER_FORMAT,
        input_fmt_array_size: u32,
        input_fmt_count: *mut u32
    );
    nvEncGetEncodeCaps(
        encoder: Handle,
        encode_guid: GUID,
        caps_param: *mut NV_ENC_CAPS_PARAM,
        caps_val: *mut c_int
    )
        [caps_param is NV_ENC_CAPS_PARAM_VER];
    nvEncGetEncodePresetCount(
        encoder: Handle,
        encode_guid: GUID,
        encode_preset_guid_count: *mut u32
    );
    nvEncGetEncodePresetGUIDs(
        encoder: Handle,
        encode_guid: GUID,
        preset_guids: *mut GUID,
        guid_array_size: u32,
        encode_preset_guid_count: *mut u32
    );
    nvEncGetEncodePresetConfig(
        encoder: Handle,
        encode_guid: GUID,
        preset_guid: GUID,
        preset_config: *mut NV_ENC_PRESET_CONFIG
    )
        [preset_config is NV_ENC_PRESET_CONFIG_VER];
    nvEncInitializeEncoder(encoder: Handle, create_encode_params: *mut NV_ENC_INITIALIZE_PARAMS)
        [create_encode_params is NV_ENC_INITIALIZE_PARAMS_VER];
    nvEncCreateInputBuffer(
        encoder: Handle,
        create_input_buffer_params: *mut NV_ENC_CREATE_INPUT_BUFFER
    )
        [create_input_buffer_params is NV_ENC_CREATE_INPUT_BUFFER_VER];
    nvEncDestroyInputBuffer(encoder: Handle, input_buffer: NV_ENC_INPUT_PTR);
    nvEncCreateBitstreamBuffer(
        encoder: Handle,
        create_bitstream_buffer_params: *mut NV_ENC_CREATE_BITSTREAM_BUFFER
    )
        [create_bitstream_buffer_params is NV_ENC_CREATE_BITSTREAM_BUFFER_VER];
    nvEncDestroyBitstreamBuffer(encoder: Handle, bitstream_buffer: NV_ENC_OUTPUT_PTR);
    nvEncEncodePicture(encoder: Handle, encode_pic_params: *mut NV_ENC_PIC_PARAMS)
        [encode_pic_params is NV_ENC_PIC_PARAMS_VER];
    nvEncLockBitstream(encoder: Handle, lock_bitstream_buffer_params: *mut NV_ENC_LOCK_BITSTREAM)
        [lock_bitstream_buffer_params is NV_ENC_LOCK_BITSTREAM_VER];
    nvEncUnlockBitstream(encoder: Handle, bitstream_buffer: NV_ENC_OUTPUT_PTR);
    nvEncLockInputBuffer(encoder: Handle, lock_input_buffer_params: *mut NV_ENC_LOCK_INPUT_BUFFER)
        [lock_input_buffer_params is NV_ENC_LOCK_INPUT_BUFFER_VER];
    nvEncUnlockInputBuffer(encoder: Handle, input_buffer: NV_ENC_INPUT_PTR);
    nvEncGetEncodeStats(encoder: Handle, encode_stats: *mut NV_ENC_STAT)
        [encode_stats is NV_ENC_STAT_VER];
    nvEncGetSequenceParams(
        encoder: Handle,
        sequence_param_payload: *mut NV_ENC_SEQUENCE_PARAM_PAYLOAD
    )
        [sequence_param_payload is NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER];
    nvEncRegisterAsyncEvent(encoder: Handle, event_params: *mut NV_ENC_EVENT_PARAMS)
        [event_params is NV_ENC_EVENT_PARAMS_VER];
    nvEncUnregisterAsyncEvent(encoder: Handle, event_params: *mut NV_ENC_EVENT_PARAMS)
        [event_params is NV_ENC_EVENT_PARAMS_VER];
    nvEncMapInputResource(encoder: Handle, map_input_res_params: *mut NV_ENC_MAP_INPUT_RESOURCE)
        [map_input_res_params is NV_ENC_MAP_INPUT_RESOURCE_VER];
    nvEncUnmapInputResource(encoder: Handle, mapped_input_buffer: NV_ENC_INPUT_PTR);
    nvEncDestroyEncoder(encoder: Handle);
    nvEncInvalidateRefFrames(encoder: Handle, invalid_ref_frame_time_stamp: u64);
    nvEncOpenEncodeSessionEx(
        open_session_ex_params: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
        encoder: *mut *mut c_void
    )
        [open_session_ex_params is NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER];
    nvEncRegisterResource(encoder: Handle, register_res_params: *mut NV_ENC_REGISTER_RESOURCE)
        [register_res_params is NV_ENC_REGISTER_RESOURCE_VER];
    nvEncUnregisterResource(encoder: Handle, registered_res: NV_ENC_REGISTERED_PTR);
    nvEncReconfigureEncoder(
        encoder: Handle,
        re_init_encode_params: *mut NV_ENC_RECONFIGURE_PARAMS
    )
        [re_init_encode_params is NV_ENC_RECONFIGURE_PARAMS_VER];
    nvEncCreateMVBuffer(encoder: Handle, create_mv_buffer_params: *mut NV_ENC_CREATE_MV_BUFFER)
        [create_mv_buffer_params is NV_ENC_CREATE_MV_BUFFER_VER];
    nvEncDestroyMVBuffer(encoder: Handle, mv_buffer: NV_ENC_OUTPUT_PTR);
    nvEncRunMotionEstimationOnly(encoder: Handle, me_only_params: *mut NV_ENC_MEONLY_PARAMS)
        [me_only_params is NV_ENC_MEONLY_PARAMS_VER];
    nvEncSetIOCudaStreams(
        encoder: Handle,
        input_stream: NV_ENC_CUSTREAM_PTR,
        output_stream: NV_ENC_CUSTREAM_PTR
    );
    nvEncGetEncodePresetConfigEx(
        encoder: Handle,
        encode_guid: GUID,
        preset_guid: GUID,
        tuning_info: NV_ENC_TUNING_INFO,
        preset_config: *mut NV_ENC_PRESET_CONFIG
    )
        [preset_config is NV_ENC_PRESET_CONFIG_VER];
    nvEncGetSequenceParamEx(
        encoder: Handle,
        enc_init_params: *mut NV_ENC_INITIALIZE_PARAMS,
        sequence_param_payload: *mut NV_ENC_SEQUENCE_PARAM_PAYLOAD
    )
        [enc_init_params is NV_ENC_INITIALIZE_PARAMS_VER];
    nvEncRestoreEncoderState(
        encoder: Handle,
        restore_state: *mut NV_ENC_RESTORE_ENCODER_STATE_PARAMS
    )
        [restore_state is NV_ENC_RESTORE_ENCODER_STATE_PARAMS_VER];
    nvEncLookaheadPicture(encoder: Handle, lookahead_params: *mut NV_ENC_LOOKAHEAD_PIC_PARAMS)
        [lookahead_params is NV_ENC_LOOKAHEAD_PIC_PARAMS_VER];
}

unsafe extern "C" fn nvEncGetLastErrorString(_: Handle) -> *const c_char {
    c"this is a test double".as_ptr()
}
