//! What the entries of the table do. Each takes the arguments of `nvEncodeAPI.h` after the call itself, and
//! is unsafe as those of the header are: pointers are null or to what the header says.

pub(crate) mod buffers;
pub(crate) mod pictures;
pub(crate) mod query;
pub(crate) mod setup;

use std::ffi::c_void;
use std::ptr::without_provenance_mut;

/// A handle as the interface has it.
fn pointer(handle: u64) -> *mut c_void {
    without_provenance_mut(handle as usize)
}

/// And back.
fn number(handle: *mut c_void) -> u64 {
    handle.addr() as u64
}
