//! The primary context, and what `fake-nvenc` finds behind a context's handle.
//!
//! The two libraries share no code: the encoder is handed a `CUcontext` as it would be by NVIDIA's, sees by
//! its first word that it is this one, and asks it for pictures. Bytes are copied under the driver's lock,
//! so a buffer that was freed too early is a broken rule and no crash.

use std::ffi::c_void;
use std::ptr;

use crate::driver::Origin;
use crate::sys::{INVALID_CONTEXT, INVALID_VALUE, SUCCESS, UNKNOWN};
use crate::{CONTROL, driver};

/// First word of a context of this double.
const MAGIC: u64 = u64::from_ne_bytes(*b"nearfake");

/// What a `CUcontext` points to. The first three functions take the context, an address and a length, the
/// others the context, a stream and a count of its waits; all answer a `CUresult`.
#[repr(C)]
pub(crate) struct FakeContext {
    magic: u64,
    /// Where a range lies.
    resolve: unsafe extern "C" fn(*const FakeContext, u64, u64, *mut Origin) -> u32,
    /// Copies it out.
    read: unsafe extern "C" fn(*const FakeContext, u64, u64, *mut u8) -> u32,
    /// Copies into it.
    write: unsafe extern "C" fn(*const FakeContext, u64, u64, *const u8) -> u32,
    /// Counts the waits that are in a stream.
    waits: unsafe extern "C" fn(*const FakeContext, u64, *mut u64) -> u32,
    /// Whether the first of them are over.
    reached: unsafe extern "C" fn(*const FakeContext, u64, u64) -> u32,
}

static CONTEXT: FakeContext = FakeContext { magic: MAGIC, resolve, read, write, waits, reached };

/// The handle of the primary context.
pub(crate) fn primary() -> *mut c_void {
    (&raw const CONTEXT).cast_mut().cast()
}

/// # Safety
/// An `Origin` can be written.
unsafe extern "C" fn resolve(
    context: *const FakeContext,
    address: u64,
    bytes: u64,
    origin: *mut Origin,
) -> u32 {
    // SAFETY: the caller's word.
    asked(context, origin.is_null(), "resolve", |driver| unsafe {
        origin.write(driver.origin(address, bytes)?);
        Ok(())
    })
}

/// # Safety
/// `bytes` can be written at `to`, outside of device memory.
unsafe extern "C" fn read(
    context: *const FakeContext,
    address: u64,
    bytes: u64,
    to: *mut u8,
) -> u32 {
    // SAFETY: `host` checked the range, which stays mapped while the driver is locked; `to` is the
    // caller's word.
    asked(context, to.is_null(), "read", |driver| unsafe {
        ptr::copy_nonoverlapping(driver.host(address, bytes)?, to, bytes as usize);
        Ok(())
    })
}

/// # Safety
/// `bytes` can be read at `from`, outside of device memory.
unsafe extern "C" fn write(
    context: *const FakeContext,
    address: u64,
    bytes: u64,
    from: *const u8,
) -> u32 {
    // SAFETY: as in `read`.
    asked(context, from.is_null(), "write", |driver| unsafe {
        ptr::copy_nonoverlapping(from, driver.host(address, bytes)?, bytes as usize);
        Ok(())
    })
}

/// # Safety
/// A number can be written.
unsafe extern "C" fn waits(context: *const FakeContext, stream: u64, count: *mut u64) -> u32 {
    // SAFETY: the caller's word.
    asked(context, count.is_null(), "waits", |driver| unsafe {
        count.write(driver.waits(stream)?);
        Ok(())
    })
}

unsafe extern "C" fn reached(context: *const FakeContext, stream: u64, count: u64) -> u32 {
    asked(context, false, "reached", |driver| driver.reached(stream, count))
}

/// Not logged: it is no call of the program.
fn asked(
    context: *const FakeContext,
    null: bool,
    name: &'static str,
    work: impl FnOnce(&mut crate::driver::Driver) -> Result<(), u32>,
) -> u32 {
    CONTROL.guarded(UNKNOWN, || {
        if !ptr::eq(context, &raw const CONTEXT) {
            return INVALID_CONTEXT;
        }
        if null {
            return INVALID_VALUE;
        }
        let mut driver = driver();
        driver.call = name;
        work(&mut driver).err().unwrap_or(SUCCESS)
    })
}
