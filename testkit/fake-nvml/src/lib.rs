//! A test double of `libnvidia-ml.so.1`: the functions that Nearlight calls, and two devices that are none.
//!
//! What they have never changes. The numbers of their nodes are in another order than their places, so that none is taken
//! for the other. Types are those of `nvml.h`, written again here: a double that shared them with the code under test
//! would share its mistakes. It must never be installed where a program looks for the real library.
#![allow(non_snake_case, reason = "names as in nvml.h")]
#![expect(unsafe_code, reason = "a C interface: callers hand over pointers")]

use std::ffi::{CStr, c_char, c_uint, c_ulonglong, c_void};
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicU32, Ordering};

const SUCCESS: c_uint = 0;
const UNINITIALIZED: c_uint = 1;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_FOUND: c_uint = 6;
const ARGUMENT_VERSION_MISMATCH: c_uint = 25;

/// A device, by its place in the list.
struct Device {
    minor: c_uint,
    address: &'static CStr,
    total: c_ulonglong,
    free: c_ulonglong,
}

const DEVICES: &[Device] = &[
    Device { minor: 1, address: c"0000:65:00.0", total: 16 << 30, free: 3 << 30 },
    Device { minor: 0, address: c"0000:b3:00.0", total: 8 << 30, free: 7 << 30 },
];
/// Of all, the driver keeps this to itself.
const RESERVED: c_ulonglong = 1 << 28;

/// How often it is open.
static OPEN: AtomicU32 = AtomicU32::new(0);

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_v2`: the second version, and the size of the structure.
const MEMORY_VERSION: c_uint = (2 << 24) | size_of::<Memory>() as c_uint;

/// What functions answer.
fn status(result: Result<(), c_uint>) -> c_uint {
    result.err().unwrap_or(SUCCESS)
}

fn ready() -> Result<(), c_uint> {
    if OPEN.load(Ordering::Relaxed) == 0 { Err(UNINITIALIZED) } else { Ok(()) }
}

/// Handles are places, counted from one.
fn place(device: *mut c_void) -> Result<usize, c_uint> {
    ready()?;
    let place = device.addr().checked_sub(1).filter(|place| *place < DEVICES.len());
    place.ok_or(INVALID_ARGUMENT)
}

fn writable<T>(to: *mut T) -> Result<(), c_uint> {
    if to.is_null() || !to.is_aligned() { Err(INVALID_ARGUMENT) } else { Ok(()) }
}

/// Writes what a caller asked for.
///
/// # Safety
/// `to` is null or can hold a `T`.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), c_uint> {
    writable(to)?;
    // SAFETY: neither null nor misaligned, and the caller's word for the rest.
    unsafe { to.write(value) };
    Ok(())
}

/// `nvmlInit_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    OPEN.fetch_add(1, Ordering::Relaxed);
    SUCCESS
}

/// `nvmlShutdown`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    status(ready().map(|()| _ = OPEN.fetch_sub(1, Ordering::Relaxed)))
}

/// `nvmlDeviceGetCount_v2`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    // SAFETY: passed on.
    status(ready().and_then(|()| unsafe { put(count, DEVICES.len() as c_uint) }))
}

/// `nvmlDeviceGetHandleByIndex_v2`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut *mut c_void,
) -> c_uint {
    let handle = without_provenance_mut(index as usize + 1);
    // SAFETY: passed on.
    status(place(handle).and_then(|_| unsafe { put(device, handle) }))
}

/// `nvmlDeviceGetHandleByPciBusId_v2`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    address: *const c_char,
    device: *mut *mut c_void,
) -> c_uint {
    let found = || {
        ready()?;
        writable(address.cast_mut())?;
        // SAFETY: not null, and the caller's word that it is a text.
        let address = unsafe { CStr::from_ptr(address) };
        let place = DEVICES.iter().position(|device| device.address == address);
        let place = place.ok_or(NOT_FOUND)?;
        // SAFETY: passed on.
        unsafe { put(device, without_provenance_mut(place + 1)) }
    };
    status(found())
}

/// `nvmlDeviceGetIndex`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetIndex(device: *mut c_void, index: *mut c_uint) -> c_uint {
    // SAFETY: passed on.
    status(place(device).and_then(|place| unsafe { put(index, place as c_uint) }))
}

/// `nvmlDeviceGetMinorNumber`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMinorNumber(
    device: *mut c_void,
    minor: *mut c_uint,
) -> c_uint {
    // SAFETY: passed on.
    status(place(device).and_then(|place| unsafe { put(minor, DEVICES[place].minor) }))
}

/// `nvmlDeviceGetMemoryInfo_v2`.
///
/// # Safety
/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: *mut c_void,
    memory: *mut Memory,
) -> c_uint {
    let told = || {
        let Device { total, free, .. } = DEVICES[place(device)?];
        writable(memory)?;
        // SAFETY: neither null nor misaligned, and the caller's word for the rest.
        let version = unsafe { (*memory).version };
        if version != MEMORY_VERSION {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        let (reserved, used) = (RESERVED, total - free - RESERVED);
        // SAFETY: passed on.
        unsafe { put(memory, Memory { version, total, reserved, free, used }) }
    };
    status(told())
}
