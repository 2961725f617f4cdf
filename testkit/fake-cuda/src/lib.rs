//! A test double of `libcuda.so.1`: the functions that Nearlight calls, and one device that is none.
//!
//! It answers what a loader asks; contexts and memory are `CUDA_ERROR_NOT_SUPPORTED`. Types are those of
//! `cuda.h`, written again here: a double that shared them with the code under test would share its
//! mistakes. It must never be installed where a program looks for the real library. Opened twice by
//! one path it is one library with one state, which is why tests open copies.
#![allow(non_snake_case, reason = "names as in cuda.h")]
#![expect(unsafe_code, reason = "a C interface: callers hand over pointers")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// `CUDA_SUCCESS`.
const SUCCESS: u32 = 0;
const INVALID_VALUE: u32 = 1;
const NOT_INITIALIZED: u32 = 3;
const INVALID_DEVICE: u32 = 101;
const NOT_SUPPORTED: u32 = 801;

/// CUDA 12.4, as `cuDriverGetVersion` has it.
const VERSION: i32 = 12_040;
const NAME: &[u8] = b"Nearlight fake GPU";
const UUID: [u8; 16] = *b"nearlight-fake-0";

static INITIALISED: AtomicU32 = AtomicU32::new(0);
static INIT_ANSWERS: AtomicU32 = AtomicU32::new(SUCCESS);
static VERSION_NOW: AtomicI32 = AtomicI32::new(VERSION);
static DEVICES: AtomicI32 = AtomicI32::new(1);

/// For tests: from now on `cuInit` answers `result`.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_init_answers(result: u32) {
    INIT_ANSWERS.store(result, Ordering::Relaxed);
}

/// For tests: the driver's version, 1000 a major one and 10 a minor one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_version(version: u32) {
    VERSION_NOW.store(version as i32, Ordering::Relaxed);
}

/// For tests: how many devices there are said to be. The first alone is one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_devices(count: u32) {
    DEVICES.store(count as i32, Ordering::Relaxed);
}

/// Writes what a caller asked for.
///
/// # Safety
/// `to` is null or can hold a `T`.
unsafe fn answer<T>(to: *mut T, value: T) -> u32 {
    if to.is_null() {
        return INVALID_VALUE;
    }
    if INITIALISED.load(Ordering::Relaxed) == 0 {
        return NOT_INITIALIZED;
    }
    // SAFETY: not null, and the caller of the interface says that it is theirs to be written.
    unsafe { to.write(value) };
    SUCCESS
}

/// `cuInit`.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> u32 {
    if flags != 0 {
        return INVALID_VALUE;
    }
    let result = INIT_ANSWERS.load(Ordering::Relaxed);
    INITIALISED.store(u32::from(result == SUCCESS), Ordering::Relaxed);
    result
}

/// `cuDriverGetVersion`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> u32 {
    // SAFETY: passed on.
    unsafe { answer(version, VERSION_NOW.load(Ordering::Relaxed)) }
}

/// `cuDeviceGetCount`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> u32 {
    // SAFETY: passed on.
    unsafe { answer(count, DEVICES.load(Ordering::Relaxed)) }
}

/// `cuDeviceGet`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> u32 {
    if ordinal != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: passed on.
    unsafe { answer(device, 0) }
}

/// `cuDeviceGetName`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> u32 {
    if device != 0 {
        return INVALID_DEVICE;
    }
    let Some(room) = usize::try_from(length).ok().and_then(|length| length.checked_sub(1)) else {
        return INVALID_VALUE;
    };
    let written = NAME.len().min(room);
    // SAFETY: passed on; then `name` holds `length` bytes, of which at most `length` are written.
    unsafe {
        let result = answer(name, 0);
        if result == SUCCESS {
            name.cast::<u8>().copy_from_nonoverlapping(NAME.as_ptr(), written);
            name.add(written).write(0);
        }
        result
    }
}

/// `cuDeviceGetUuid`, the first version.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) -> u32 {
    // SAFETY: passed on.
    unsafe { cuDeviceGetUuid_v2(uuid, device) }
}

/// `cuDeviceGetUuid_v2`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> u32 {
    if device != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: passed on.
    unsafe { answer(uuid, UUID) }
}

/// `cuGetErrorName`: for what this double answers.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(result: u32, name: *mut *const c_char) -> u32 {
    if name.is_null() {
        return INVALID_VALUE;
    }
    let known = match result {
        SUCCESS => c"CUDA_SUCCESS",
        INVALID_VALUE => c"CUDA_ERROR_INVALID_VALUE",
        NOT_INITIALIZED => c"CUDA_ERROR_NOT_INITIALIZED",
        INVALID_DEVICE => c"CUDA_ERROR_INVALID_DEVICE",
        NOT_SUPPORTED => c"CUDA_ERROR_NOT_SUPPORTED",
        _ => return INVALID_VALUE,
    };
    // SAFETY: not null, and theirs to be written; the text is never freed.
    unsafe { name.write(known.as_ptr()) };
    SUCCESS
}

/// Functions that are there and do nothing yet.
macro_rules! not_supported {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name($(_: $argument),*) -> u32 {
                NOT_SUPPORTED
            }
        )*
    };
}

not_supported! {
    cuDevicePrimaryCtxRetain(*mut *mut c_void, c_int);
    cuDevicePrimaryCtxRelease_v2(c_int);
    cuCtxPushCurrent_v2(*mut c_void);
    cuCtxPopCurrent_v2(*mut *mut c_void);
    cuImportExternalMemory(*mut *mut c_void, *const c_void);
    cuExternalMemoryGetMappedBuffer(*mut u64, *mut c_void, *const c_void);
    cuDestroyExternalMemory(*mut c_void);
    cuMemFree_v2(u64);
    cuMemcpy2D_v2(*const c_void);
}
