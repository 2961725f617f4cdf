//! A test double of `libcuda.so.1`: the functions that Nearlight calls, and one device that is none.
//!
//! "Device memory" is memory of another interface, imported as files: plain ones and lavapipe's, so that
//! what is written by one is seen by the other. Every call is logged, every rule that is broken is
//! recorded, and any call can be told to fail or to hang. Types are those of `cuda.h`, written again
//! here: a double that shared them with the code under test would share its mistakes. It must never
//! be installed where a program looks for the real library. Opened twice by one path it is one
//! library with one state, which is why tests open copies.
#![allow(non_snake_case, reason = "names as in cuda.h")]
#![expect(unsafe_code, reason = "a C interface: callers hand over pointers")]

mod context;
pub mod control;
mod driver;
mod memory;
mod stream;
mod sys;

use std::ffi::{c_char, c_int, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use driver::Driver;
use fake_control::Control;
use sys::{
    BufferDescription, CONTEXT_IS_DESTROYED, Copy2d, HandleDescription, INVALID_CONTEXT,
    INVALID_DEVICE, INVALID_HANDLE, INVALID_VALUE, NOT_INITIALIZED, NOT_READY, NOT_SUPPORTED,
    SUCCESS, SemaphoreDescription, UNKNOWN, WaitDescription,
};

/// CUDA 12.4, as `cuDriverGetVersion` has it.
const VERSION: i32 = 12_040;
const NAME: &[u8] = b"Nearlight fake GPU";

/// Functions whose calls can be planned.
const CALLS: [&str; 22] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetUuid",
    "cuDeviceGetUuid_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuImportExternalMemory",
    "cuExternalMemoryGetMappedBuffer",
    "cuDestroyExternalMemory",
    "cuMemFree_v2",
    "cuMemcpy2D_v2",
    "cuGetErrorName",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuImportExternalSemaphore",
    "cuDestroyExternalSemaphore",
    "cuWaitExternalSemaphoresAsync",
];

static DRIVER: LazyLock<Mutex<Driver>> = LazyLock::new(|| Mutex::new(Driver::new(VERSION)));
static CONTROL: LazyLock<Control> =
    LazyLock::new(|| Control::new("FAKE_CUDA_PLAN", &CALLS, |_| false));

fn driver() -> MutexGuard<'static, Driver> {
    // What a panic left behind is still a state to report from.
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all calls have in common: plans, the log, and the lock.
fn entry(call: &'static str, work: impl FnOnce(&mut Driver) -> Result<(), u32>) -> u32 {
    CONTROL.entry(call, UNKNOWN, |_| {
        let mut driver = driver();
        driver.call = call;
        work(&mut driver).err().unwrap_or(SUCCESS)
    })
}

/// Writes what a caller asked for.
///
/// # Safety
/// `to` is null or can hold a `T`.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), u32> {
    writable(to)?;
    // SAFETY: neither null nor misaligned, and the caller's word for the rest.
    unsafe { to.write(value) };
    Ok(())
}

fn writable<T>(to: *mut T) -> Result<(), u32> {
    if to.is_null() || !to.is_aligned() { Err(INVALID_VALUE) } else { Ok(()) }
}

/// Reads what a caller describes.
///
/// # Safety
/// `from` is null or holds a `T`, any bits of which are one.
unsafe fn take<T: Copy>(from: *const T) -> Result<T, u32> {
    writable(from.cast_mut())?;
    // SAFETY: neither null nor misaligned, and the caller's word for the rest.
    Ok(unsafe { from.read() })
}

/// `cuInit`.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> u32 {
    entry("cuInit", |driver| {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        driver.initialised = driver.init_answers == SUCCESS;
        if driver.initialised { Ok(()) } else { Err(driver.init_answers) }
    })
}

/// `cuDriverGetVersion`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> u32 {
    // SAFETY: passed on.
    entry("cuDriverGetVersion", |driver| unsafe { put(version, driver.version) })
}

/// `cuDeviceGetCount`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> u32 {
    entry("cuDeviceGetCount", |driver| {
        driver.ready()?;
        // SAFETY: passed on.
        unsafe { put(count, driver.devices + driver.device()) }
    })
}

/// `cuDeviceGet`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> u32 {
    entry("cuDeviceGet", |driver| {
        driver.ready()?;
        driver.uuid_of(ordinal)?;
        // SAFETY: passed on.
        unsafe { put(device, ordinal) }
    })
}

/// `cuDeviceGetName`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> u32 {
    entry("cuDeviceGetName", |driver| {
        driver.ready()?;
        driver.uuid_of(device)?;
        writable(name)?;
        let length = usize::try_from(length).map_err(|_| INVALID_VALUE)?;
        let written = NAME.len().min(length.checked_sub(1).ok_or(INVALID_VALUE)?);
        // SAFETY: not null; `name` holds `length` bytes, of which at most `length` are written.
        unsafe {
            name.cast::<u8>().copy_from_nonoverlapping(NAME.as_ptr(), written);
            name.add(written).write(0);
        }
        Ok(())
    })
}

/// `cuDeviceGetUuid`, the first version.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) -> u32 {
    entry("cuDeviceGetUuid", |driver| {
        driver.ready()?;
        let found = driver.uuid_of(device)?;
        // SAFETY: passed on.
        unsafe { put(uuid, found) }
    })
}

/// `cuDeviceGetUuid_v2`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> u32 {
    entry("cuDeviceGetUuid_v2", |driver| {
        driver.ready()?;
        let found = driver.uuid_of(device)?;
        // SAFETY: passed on.
        unsafe { put(uuid, found) }
    })
}

/// `cuDevicePrimaryCtxRetain`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> u32 {
    entry("cuDevicePrimaryCtxRetain", |driver| {
        driver.is_device(device)?;
        writable(context)?;
        driver.retain()?;
        // SAFETY: passed on.
        unsafe { put(context, context::primary()) }
    })
}

/// `cuDevicePrimaryCtxRelease_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> u32 {
    entry("cuDevicePrimaryCtxRelease_v2", |driver| {
        driver.is_device(device)?;
        driver.release()
    })
}

/// `cuCtxPushCurrent_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: *mut c_void) -> u32 {
    entry("cuCtxPushCurrent_v2", |driver| driver.push(context.addr(), context::primary().addr()))
}

/// `cuCtxPopCurrent_v2`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut *mut c_void) -> u32 {
    entry("cuCtxPopCurrent_v2", |driver| {
        writable(context)?;
        driver.pop()?;
        // SAFETY: passed on.
        unsafe { put(context, context::primary()) }
    })
}

/// `cuImportExternalMemory`.
///
/// # Safety
/// As in `cuda.h`; on success the descriptor is no longer the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuImportExternalMemory(
    memory: *mut *mut c_void,
    what: *const HandleDescription,
) -> u32 {
    let result = entry("cuImportExternalMemory", |driver| {
        writable(memory)?;
        // SAFETY: passed on.
        unsafe { put(memory, handle(driver.import(&take(what)?)?)) }
    });
    // Also of a call that was planned to fail.
    if result != SUCCESS {
        // SAFETY: passed on.
        if let Ok(what) = unsafe { take(what) } {
            CONTROL.guarded((), || driver().left_open(what.handle.fd));
        }
    }
    result
}

/// `cuExternalMemoryGetMappedBuffer`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuExternalMemoryGetMappedBuffer(
    address: *mut u64,
    memory: *mut c_void,
    what: *const BufferDescription,
) -> u32 {
    entry("cuExternalMemoryGetMappedBuffer", |driver| {
        writable(address)?;
        // SAFETY: passed on.
        unsafe { put(address, driver.map(memory.addr() as u64, &take(what)?)?) }
    })
}

/// `cuDestroyExternalMemory`.
#[unsafe(no_mangle)]
pub extern "C" fn cuDestroyExternalMemory(memory: *mut c_void) -> u32 {
    entry("cuDestroyExternalMemory", |driver| driver.destroy(memory.addr() as u64))
}

/// `cuMemFree_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    entry("cuMemFree_v2", |driver| driver.free(address))
}

/// `cuMemcpy2D_v2`.
///
/// # Safety
/// As in `cuda.h`: host memory is there for every row that is named.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2D_v2(what: *const Copy2d) -> u32 {
    // SAFETY: passed on.
    entry("cuMemcpy2D_v2", |driver| unsafe { driver.copy(&take(what)?) })
}

/// `cuStreamCreate`.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, flags: u32) -> u32 {
    entry("cuStreamCreate", |driver| {
        writable(stream)?;
        // SAFETY: passed on.
        unsafe { put(stream, handle(driver.create_stream(flags)?)) }
    })
}

/// `cuStreamDestroy_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> u32 {
    entry("cuStreamDestroy_v2", |driver| driver.destroy_stream(stream.addr() as u64))
}

/// `cuImportExternalSemaphore`. What stands for a timeline is a sealed file whose first eight bytes are the
/// value that was reached.
///
/// # Safety
/// As in `cuda.h`; on success the descriptor is no longer the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuImportExternalSemaphore(
    semaphore: *mut *mut c_void,
    what: *const SemaphoreDescription,
) -> u32 {
    let result = entry("cuImportExternalSemaphore", |driver| {
        writable(semaphore)?;
        // SAFETY: passed on.
        unsafe { put(semaphore, handle(driver.import_semaphore(&take(what)?)?)) }
    });
    // Also of a call that was planned to fail.
    if result != SUCCESS {
        // SAFETY: passed on.
        if let Ok(what) = unsafe { take(what) } {
            CONTROL.guarded((), || driver().left_open(what.handle.fd));
        }
    }
    result
}

/// `cuDestroyExternalSemaphore`.
#[unsafe(no_mangle)]
pub extern "C" fn cuDestroyExternalSemaphore(semaphore: *mut c_void) -> u32 {
    entry("cuDestroyExternalSemaphore", |driver| driver.destroy_semaphore(semaphore.addr() as u64))
}

/// `cuWaitExternalSemaphoresAsync`, of one semaphore at a time.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuWaitExternalSemaphoresAsync(
    semaphores: *const *mut c_void,
    what: *const WaitDescription,
    count: u32,
    stream: *mut c_void,
) -> u32 {
    entry("cuWaitExternalSemaphoresAsync", |driver| {
        if count != 1 {
            return Err(NOT_SUPPORTED);
        }
        // SAFETY: passed on.
        let (semaphore, what) = unsafe { (take(semaphores)?, take(what)?) };
        driver.wait(semaphore.addr() as u64, &what, stream.addr() as u64)
    })
}

/// `cuGetErrorName`: for what this double answers.
///
/// # Safety
/// As in `cuda.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(result: u32, name: *mut *const c_char) -> u32 {
    entry("cuGetErrorName", |_| {
        let known = match result {
            SUCCESS => c"CUDA_SUCCESS",
            INVALID_VALUE => c"CUDA_ERROR_INVALID_VALUE",
            NOT_INITIALIZED => c"CUDA_ERROR_NOT_INITIALIZED",
            INVALID_DEVICE => c"CUDA_ERROR_INVALID_DEVICE",
            INVALID_CONTEXT => c"CUDA_ERROR_INVALID_CONTEXT",
            INVALID_HANDLE => c"CUDA_ERROR_INVALID_HANDLE",
            CONTEXT_IS_DESTROYED => c"CUDA_ERROR_CONTEXT_IS_DESTROYED",
            NOT_READY => c"CUDA_ERROR_NOT_READY",
            NOT_SUPPORTED => c"CUDA_ERROR_NOT_SUPPORTED",
            UNKNOWN => c"CUDA_ERROR_UNKNOWN",
            _ => return Err(INVALID_VALUE),
        };
        // SAFETY: passed on; the text is never freed.
        unsafe { put(name, known.as_ptr()) }
    })
}

/// A number that goes through an interface of pointers.
fn handle(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(number as usize)
}
